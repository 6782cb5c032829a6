"""PostgreSQL behind the protocol: what it has beyond the conformance suite; values, errors, names of sessions, clean connections."""

import math
import os
import pwd
import subprocess

import pytest

from bystander import Bystander
from daemon import LITEBASE, wait_until
from postgresql import PostgreSQL
from wire import RequestFailed

SECRET = "Xq7hidden"


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    instance.psql("CREATE TABLE item(id int PRIMARY KEY, name varchar(20) NOT NULL, price numeric(10,2) CHECK (price >= 0));"
                  "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN small AS int CHECK (VALUE < 10);"
                  "CREATE TYPE pair AS (a int, b text); CREATE TABLE counter(n int); INSERT INTO counter VALUES (0);"
                  "CREATE SEQUENCE seq; CREATE TABLE parent(id int PRIMARY KEY);"
                  "CREATE TABLE child(p int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    yield instance
    instance.discard()


@pytest.fixture
def pg(server, start_daemon):
    """A daemon with the database `pg`, and `sealed`, the same for reading only."""
    daemon = start_daemon(databases={"pg": server.url(password=SECRET)})
    yield daemon
    daemon.close_clients()
    wait_until(lambda: "active" not in server.backends(), "nothing runs for clients that are gone")


@pytest.fixture
def client(pg, mode):
    return pg.connect(mode)


@pytest.fixture
def packed(pg):
    return pg.connect()


def on(connection, sql, params=None, **options):
    return connection.query(sql, params, database="pg", **options)


def fails(connection, sql, params=None, **options):
    return connection.query_fails(sql, params, database="pg", **options)


# Values

VALUES = [
    ("1::int2", 1, "integer"), ("(-2147483648)::int4", -2**31, "integer"), ("(-9223372036854775807-1)::int8", -2**63, "integer"),
    ("4294967295::oid", 2**32 - 1, "integer"), ("0.1::float8", 0.1, "real"), ("1.5::float4", 1.5, "real"),
    ("'Infinity'::float8", math.inf, "real"), ("'-Infinity'::float4", -math.inf, "real"), ("'-0.0'::float8", -0.0, "real"),
    ("2.50::numeric", "2.50", "decimal"), ("'NaN'::numeric", "NaN", "decimal"), ("true", True, "boolean"),
    ("false", False, "boolean"), ("'ü'::text", "ü", "text"), ("'a'::char(3)", "a  ", "text"),
    ("'\\x00ff'::bytea", b"\x00\xff", "blob"), ("''::bytea", b"", "blob"),
    ("'{\"a\": 1}'::json", '{"a": 1}', "json"), ("'{\"a\":1}'::jsonb", '{"a": 1}', "jsonb"),
    ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "uuid"),
    ("'2026-02-28'::date", "2026-02-28", "date"), ("'2026-02-28 12:34:56.123456'::timestamp", "2026-02-28 12:34:56.123456", "timestamp"),
    ("'1 day 2 hours'::interval", "1 day 02:00:00", "interval"), ("ARRAY[1,NULL,3]", "{1,NULL,3}", "int4[]"),
    ("'[1,5)'::int4range", "[1,5)", "int4range"), ("'happy'::mood", "happy", "mood"), ("ARRAY['sad']::mood[]", "{sad}", "mood[]"),
    ("5::small", 5, "integer"), ("'10.0.0.1'::inet", "10.0.0.1", "inet"), ("NULL::int4", None, "integer"),
]


def test_values_and_their_types(client):
    result = on(client, "SELECT " + ", ".join(sql for sql, _, _ in VALUES))
    assert result.rows == [[value for _, value, _ in VALUES]]
    assert [column["type"] for column in result.columns] == [name for _, _, name in VALUES]
    assert math.copysign(1, result.rows[0][8]) == -1
    assert math.isnan(on(client, "SELECT 'NaN'::float8").value)


def test_declared_types_and_no_rows(client):
    result = on(client, "SELECT id, name, price, 1 AS one FROM item WHERE false")
    assert [(c["name"], c["type"], c["declared_type"]) for c in result.columns] == [
        ("id", "integer", "int4"), ("name", "text", "varchar"), ("price", "decimal", "numeric"), ("one", "integer", None)]
    assert result.rows == []


def test_a_type_that_is_new_gets_its_name(packed, server):
    server.psql("CREATE TYPE brand_new AS ENUM ('x')")
    try:
        assert on(packed, "SELECT 'x'::brand_new").rows == [["x"]]
        wait_until(lambda: on(packed, "SELECT 'x'::brand_new").columns[0]["type"] == "brand_new", "the name is known")
    finally:
        server.psql("DROP TYPE brand_new")


PARAMETERS = [("$1::int8", -2**63), ("$1::int8", 2**63 - 1), ("$1::float8", 0.1), ("$1::float8", math.inf), ("$1::text", "ü\n'\\"),
              ("$1::text", ""), ("$1::bytea", b"\x00\x01\xff"), ("$1", b"\x00"), ("$1::bool", True), ("$1::bool", False),
              ("$1::int4", None), ("$1::text", "x" * 300_000)]


@pytest.mark.parametrize("sql,value", PARAMETERS)
def test_parameters(client, sql, value):
    assert on(client, f"SELECT {sql}", [value]).value == value


def test_parameters_that_cannot_be_sent(client):
    assert fails(client, "SELECT :a", {"a": 1})["code"] == "bad_request"
    assert "$1" in fails(client, "SELECT :a", {"a": 1})["hint"]
    assert fails(client, "SELECT $1::text", ["a\0b"])["sqlstate"] == "22021"
    assert fails(client, "SELECT '\0'")["code"] == "bad_request"
    assert fails(client, "SELECT $1::int, $2::int", [1])["sqlstate"] == "08P01"
    assert on(client, "SELECT 1").value == 1


# Streaming

def test_a_row_of_half_a_gigabyte(pg, packed):
    """It is not gathered to be refused, and keeps nobody waiting."""
    assert on(packed, "SELECT 1").value == 1
    pg.reset_peak()
    before = pg.memory_kib()
    with Bystander(pg, patience=2) as bystander:
        error = fails(packed, "SELECT repeat('x', 500000000)")
    assert (error["code"], error["sqlstate"]) == ("limit_exceeded", "54000")
    assert pg.memory_kib("VmHWM") - before < 400 << 10 and bystander.slowest < 0.5
    assert on(packed, "SELECT 1").value == 1


# Errors

# What every engine has is in engine_postgresql.py.
ERRORS = [
    # A constraint that is looked at by the commit.
    ("INSERT INTO child VALUES (77)", "constraint_violation", "23503", None), ("SELECT 'x'::int", "database_error", "22P02", 7),
    ("COPY item TO STDOUT", "database_error", "0A000", None), ("COPY item FROM STDIN", "database_error", "0A000", None),
]


@pytest.mark.parametrize("sql,code,sqlstate,offset", ERRORS)
def test_errors(client, sql, code, sqlstate, offset):
    error = fails(client, sql)
    assert (error["code"], error["sqlstate"]) == (code, sqlstate)
    assert error["message"][0].isupper() or not error["message"][0].isalpha()
    if offset is not None:
        assert error["position"]["offset"] == offset
    assert on(client, "SELECT 1").value == 1


# Sessions and batches

def test_a_session_leaves_nothing_behind(server, start_daemon, directory):
    config = directory / "one.toml"
    config.write_text(f'[limits]\npool_connections_max = 1\n[databases.pg]\nurl = "{server.url()}"\n')
    packed = start_daemon("--config", config).connect()
    session = packed.session(database="pg")
    for sql in ("CREATE TEMP TABLE mine(a int)", "SET application_name = 'other'", "SELECT pg_advisory_lock(42)"):
        packed.query(sql, session=session)
    backend = packed.query("SELECT pg_backend_pid()", session=session).value
    packed.call("db_disconnect", {"session": session})
    # The same backend, as good as new.
    assert on(packed, "SELECT pg_backend_pid()").value == backend
    assert on(packed, "SELECT current_setting('application_name')").value == "litebase"
    assert fails(packed, "SELECT * FROM mine")["sqlstate"] == "42P01"
    assert on(packed, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()").value == 0


def shown_names(server):
    return server.psql("SELECT application_name FROM pg_stat_activity WHERE backend_type = 'client backend' "
                       "AND pid <> pg_backend_pid() AND application_name <> 'beside' ORDER BY 1").split("\n")


@pytest.mark.parametrize("name, shown", [
    ("billing", "litebase: billing"), ("x" * 100, ("litebase: " + "x" * 100)[:63]),
    ("Zürich\n'; DROP\x00", "litebase: Z??rich?'; DROP?"), ("", "litebase"), (None, "litebase")])
def test_a_session_shows_its_client(server, start_daemon, directory, mode, name, shown):
    config = directory / "one.toml"
    config.write_text(f'[limits]\npool_connections_max = 1\n[databases.pg]\nurl = "{server.url()}"\n')
    client = start_daemon("--config", config).connect(mode)
    client.call("hello", {"client": name})
    assert on(client, "SELECT current_setting('application_name')").value == "litebase"
    session = client.session(database="pg")
    wait_until(lambda: shown_names(server) == [shown], "the name is shown before any statement")
    assert client.query("SELECT current_setting('application_name')", session=session).value == shown
    # It is no transaction, and the session may change it.
    assert client.query("BEGIN", session=session).transaction == "active"
    assert client.query("ROLLBACK", session=session).transaction == "none"
    client.query("SET application_name = 'other'", session=session)
    assert client.query("SELECT current_setting('application_name')", session=session).value == "other"
    client.call("db_disconnect", {"session": session})
    assert on(client, "SELECT current_setting('application_name')").value == "litebase"
    session = client.session(database="pg", read_only=True)
    assert client.query("SELECT current_setting('application_name')", session=session).value == shown


def test_names_of_sessions_do_not_mix(server, start_daemon):
    daemon = start_daemon(databases={"pg": server.url(application_name="shop")})
    first, second = daemon.connect(), daemon.connect()
    first.call("hello", {"client": "first"})
    second.call("hello", {"client": "second"})
    for _ in range(20):
        one, two = first.session(database="pg"), second.session(database="pg")
        assert second.query("SELECT current_setting('application_name')", session=two).value == "shop: second"
        assert first.query("SELECT current_setting('application_name')", session=one).value == "shop: first"
        first.call("db_disconnect", {"session": one})
        second.call("db_disconnect", {"session": two})
    assert on(first, "SELECT current_setting('application_name')").value == "shop"


def test_a_server_that_is_silent_when_a_session_opens(server, start_daemon):
    client = start_daemon(databases={"pg": server.url()}).connect()
    client.call("hello", {"client": "patient"})
    on(client, "SELECT 1")
    server.pause()
    try:
        session = client.session(database="pg")
        assert client.query_fails("SELECT 1", session=session, timeout_ms=200)["code"] == "timeout"
    finally:
        server.go_on()
    assert client.query("SELECT current_setting('application_name')", session=session).value == "litebase: patient"
    other = client.session(database="pg")
    for name in (session, other):
        client.call("db_disconnect", {"session": name})
    wait_until(lambda: shown_names(server) == ["litebase", "litebase"], "two connections are as good as new")
    # Closed, and cut off, while the server is still to answer.
    server.pause()
    client.call("db_disconnect", {"session": client.session(database="pg")})
    session = client.session(database="pg")
    server.kill()
    server.start()
    assert client.query_fails("SELECT 1", session=session)["code"] in ("connect_failed", "session_not_found")
    wait_until(lambda: try_value(client), "the pool has recovered")


def try_value(client):
    try:
        return on(client, "SELECT 1").value
    except RequestFailed:
        return None


def test_the_servers_own_timeout_is_a_timeout(packed, server):
    session = packed.session(database="pg")
    packed.query("SET statement_timeout = 50", session=session)
    error = packed.query_fails("SELECT pg_sleep(20)", session=session)
    assert (error["code"], error["sqlstate"]) == ("timeout", "57014"), error
    packed.query("SET statement_timeout = 0", session=session)
    sleeping = packed.send_query("SELECT pg_sleep(20) -- ended by another", session=session)
    wait_until(lambda: server.psql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%-- ended by another' "
                                   "AND state = 'active' AND pid <> pg_backend_pid()") == "t", "it runs, and is ended")
    assert packed.receive_for(sleeping).data["code"] == "cancelled"


# The server comes and goes

def test_one_backend_is_ended(pg, packed, server):
    pid = on(packed, "SELECT pg_backend_pid()").value
    server.psql(f"SELECT pg_terminate_backend({pid}, 5000)")
    assert on(packed, "SELECT 1").value == 1
    session = packed.session(database="pg")
    pid = packed.query("SELECT pg_backend_pid()", session=session).value
    id = packed.send_query("SELECT pg_sleep(20)", session=session)
    wait_until(lambda: "active" in server.backends(), "it runs")
    server.psql(f"SELECT pg_terminate_backend({pid})")
    with pytest.raises(RequestFailed) as failure:
        packed.collect(id)
    assert failure.value.code == "connect_failed" and failure.value.data["sqlstate"] == "57P01"


# Who may do what, and what is never shown

@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_connection_is_cleared_before_another_user_gets_it(server, start_daemon, directory):
    directory.chmod(0o755)
    config = directory / "one.toml"
    config.write_text(f'[limits]\npool_connections_max = 1\n[databases.pg]\nurl = "{server.url()}"\n')
    daemon = start_daemon("--config", config, "--socket-mode", "0666", directory=directory)
    client = daemon.connect()
    on(client, "SELECT set_config('litebase.mine', 'secret', false)")
    # The name is known from then on; what it held is gone, for the same user, too.
    assert on(client, "SELECT current_setting('litebase.mine', true)").value == ""
    session = client.session(database="pg")
    client.query("SELECT set_config('litebase.mine', 'secret', false)", session=session)
    client.call("db_disconnect", {"session": session})
    script = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "s.sendall(b'{\"id\":1,\"type\":\"query\",\"data\":{\"sql\":\"SELECT current_setting(\\'litebase.mine\\', true)\","
              "\"database\":\"pg\"}}\\n'); print(s.recv(65536).decode()); "
              "s.sendall(b'{\"id\":2,\"type\":\"db_connect\",\"data\":{\"url\":\"postgresql://h/d\"}}\\n'); print(s.recv(65536).decode())")
    nobody = pwd.getpwnam("nobody")
    output = subprocess.run(["/usr/bin/python3", "-c", script, daemon.socket_path], stdout=subprocess.PIPE, timeout=20, text=True,
                            user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], check=True).stdout
    assert "secret" not in output and '"row_count":1' in output
    assert "permission_denied" in output


@pytest.mark.parametrize("sql, params, hint", [
    ("SELECT ?", [1], "The placeholders of PostgreSQL are $1, $2, …"), ("SELECT ?", None, None), ("SELECT $1 ?", [1], None),
    ("SELECT (", [1], None)])
def test_another_engines_placeholders_are_told(client, sql, params, hint):
    error = client.query_fails(sql, params, database="pg")
    assert (error["sqlstate"], error.get("hint")) == ("42601", hint)


def test_workloads_are_for_sqlite(pg):
    result = subprocess.run([LITEBASE, "bench", "scan", "-d", "pg", "-n", "1", "--socket", pg.socket_path], capture_output=True,
                            text=True, timeout=30)
    assert (result.returncode, result.stderr) == (
        64, "litebase: point-select, insert and scan are for SQLite; database 'pg' is postgresql: use --sql\n")
