"""PostgreSQL behind the protocol: a real server, values, streaming, errors, transactions, the pool, cancelling, recovery."""

import math
import os
import pathlib
import pwd
import subprocess
import time

import pytest

from bystander import Bystander
from daemon import run_to_end, wait_until
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


def sealed_daemon(server, start_daemon, directory):
    config = directory / "sealed.toml"
    config.write_text(f'[databases.sealed]\nurl = "{server.url()}"\naccess = "read_only"\n')
    return start_daemon("--config", config)


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

def test_a_million_rows_in_bounded_memory(pg, packed):
    on(packed, "SELECT 1")
    pg.reset_peak()
    before = pg.memory_kib("VmHWM")
    id = packed.send_query("SELECT x, 'row number ' || x, x * 0.5::float8 FROM generate_series(1, 1000000) x", database="pg")
    # The reader stalls: the daemon must hold only what its buffers may.
    time.sleep(0.5)
    count, last = 0, None
    while True:
        frame = packed.receive_for(id)
        count += len(frame.data["rows"])
        if frame.data["rows"]:
            last = frame.data["rows"][-1]
        if not frame.data["more"]:
            break
    assert (count, last) == (1_000_000, [1_000_000, "row number 1000000", 500_000.0])
    assert pg.memory_kib("VmHWM") - before < 16 << 10


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


def test_pages_and_max_rows(client):
    id = client.send_query("SELECT generate_series(1, 25) x", database="pg", page_rows=10)
    sizes = []
    while True:
        frame = client.receive_for(id)
        sizes.append(len(frame.data["rows"]))
        if not frame.data["more"]:
            break
        client.send("fetch", {"request": id})
    assert sizes[:2] == [10, 10] and sum(sizes) == 25
    result = on(client, "SELECT generate_series(1, 100000)", max_rows=3)
    assert result.rows == [[1], [2], [3]] and result.last["truncated"] is True
    assert on(client, "SELECT 1", max_rows=1).last.get("truncated") is None


def test_an_error_after_rows(client):
    with pytest.raises(RequestFailed) as failure:
        on(client, "SELECT 100 / (5000 - x) FROM generate_series(1, 6000) x")
    assert failure.value.data["sqlstate"] == "22012" and failure.value.frames
    assert on(client, "SELECT 1").value == 1


# Errors

ERRORS = [
    ("SELEC 1", "syntax_error", "42601", 0), ("SELECT 'ü', nix", "syntax_error", "42703", 13),
    ("SELECT * FROM nowhere", "syntax_error", "42P01", 14), ("SELECT 1; SELECT 2", "syntax_error", "42601", None),
    ("INSERT INTO item VALUES (1, NULL, 0)", "constraint_violation", "23502", None),
    ("INSERT INTO item VALUES (1, 'a', -1)", "constraint_violation", "23514", None),
    ("INSERT INTO child VALUES (77)", "constraint_violation", "23503", None),
    ("CREATE TABLE item(a int)", "database_error", "42P07", None), ("SELECT 1/0", "database_error", "22012", None),
    ("SELECT 'x'::int", "database_error", "22P02", 7), ("", "bad_request", "42601", None),
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


@pytest.mark.parametrize("sql", ["BEGIN", "/* x */ commit", "ROLLBACK", "SAVEPOINT a", "SET search_path = x", "LISTEN a",
                                 "PREPARE p AS SELECT 1", "DISCARD ALL", "DECLARE c CURSOR FOR SELECT 1", "LOCK TABLE item"])
def test_what_needs_a_session(client, sql):
    assert fails(client, sql)["code"] == "needs_session"
    assert on(client, "SELECT 1").value == 1


def test_describe(client):
    data = client.call("describe", {"sql": "SELECT id, name FROM item WHERE id = $1", "database": "pg"}).data
    assert [c["name"] for c in data["columns"]] == ["id", "name"] and data["parameters"] == [None] and data["read_only"]
    assert client.call("describe", {"sql": "DELETE FROM item", "database": "pg"}).data["read_only"] is False
    assert client.fails("describe", {"sql": "SELECT nix", "database": "pg"})["sqlstate"] == "42703"


# Sessions and batches

def test_transactions(packed, server):
    session = packed.session(database="pg")
    data = packed.call("db_connect", {"database": "pg"}).data
    assert data["engine"] == "postgresql" and data["server_version"][0].isdigit()
    assert packed.query("BEGIN", session=session).transaction == "active"
    assert packed.query("UPDATE counter SET n = n + 1", session=session).last["rows_affected"] == 1
    assert packed.query_fails("SELECT 1/0", session=session)["transaction"] == "failed"
    assert packed.query_fails("SELECT 1", session=session)["sqlstate"] == "25P02"
    assert packed.query("ROLLBACK", session=session).transaction == "none"
    packed.query("BEGIN", session=session)
    packed.query("UPDATE counter SET n = n + 1", session=session)
    packed.call("db_disconnect", {"session": session})
    assert server.psql("SELECT n FROM counter") == "0"


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
                       "AND pid <> pg_backend_pid() ORDER BY 1").split("\n")


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


def test_batches(packed, server):
    server.psql("TRUNCATE item")
    rows = [[i, f"item {i}", "1.50"] for i in range(1, 3001)]
    insert = {"sql": "INSERT INTO item VALUES ($1, $2, $3)"}
    data = packed.batch([{**insert, "param_rows": rows}, {"sql": "UPDATE counter SET n = 5"}], database="pg").data
    assert [r["rows_affected"] for r in data["results"]] == [3000, 1]
    bad = [[i, "x", 1] for i in range(4000, 4500)] + [[7, "x", 1]] + [[i, "x", 1] for i in range(4500, 5000)]
    error = packed.fails("batch", {"statements": [{"sql": "UPDATE counter SET n = 6"}, {**insert, "param_rows": bad}],
                                   "database": "pg"})
    assert (error["code"], error["statement_index"], error["row_index"]) == ("constraint_violation", 1, 500)
    assert server.psql("SELECT count(*), (SELECT n FROM counter) FROM item") == "3000|5"
    error = packed.fails("batch", {"statements": [{"sql": "UPDATE counter SET n = 8"}, {"sql": "COMMIT"}], "database": "pg"})
    assert (error["code"], error["statement_index"]) == ("bad_request", 1)
    # A constraint that is looked at by COMMIT.
    assert packed.fails("batch", {"statements": [{"sql": "INSERT INTO child VALUES (9)"}], "database": "pg"})["sqlstate"] == "23503"
    error = packed.fails("batch", {"statements": [{"sql": "UPDATE counter SET n = 7"}, {"sql": "SELECT 1/0"}],
                                   "atomic": False, "database": "pg"})
    assert error["statement_index"] == 1 and server.psql("SELECT n FROM counter") == "7"
    session = packed.session(database="pg")
    packed.query("BEGIN", session=session)
    packed.query("UPDATE counter SET n = 0", session=session)
    packed.fails("batch", {"statements": [{"sql": "UPDATE counter SET n = 9"}, {"sql": "SELECT 1/0"}], "session": session})
    assert packed.query("SELECT n FROM counter", session=session).value == 0
    assert packed.query("COMMIT", session=session).transaction == "none"
    packed.settle()


# Read-only

WRITES = ["UPDATE counter SET n = 1", "CREATE TABLE x(a int)", "SELECT nextval('seq')", "SELECT setval('seq', 5)",
          "DO $$ BEGIN UPDATE counter SET n = 1; END $$", "SELECT lo_create(0)", "WITH a AS (DELETE FROM item RETURNING 1) SELECT * FROM a",
          "SELECT set_config('transaction_read_only', 'off', false)",
          "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); UPDATE counter SET n = 1; END $$",
          "DO $$ BEGIN RESET transaction_read_only; UPDATE counter SET n = 1; END $$",
          "DO $$ BEGIN PERFORM set_config('transaction_read_only', NULL, true); UPDATE counter SET n = 1; END $$",
          "DO $$ BEGIN COMMIT; UPDATE counter SET n = 1; END $$"]
ESCAPES = [["SET default_transaction_read_only = off"], ["SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"],
           ["BEGIN READ WRITE"], ["BEGIN", "SET TRANSACTION READ WRITE"], ["BEGIN", "SAVEPOINT a", "SET TRANSACTION READ WRITE"],
           ["BEGIN", "COMMIT AND CHAIN", "SET TRANSACTION READ WRITE"], ["BEGIN", "ROLLBACK AND CHAIN", "SET transaction_read_only = off"],
           ["RESET ALL"], ["BEGIN", "SET transaction_read_only TO DEFAULT"], ["BEGIN", "SET LOCAL transaction_read_only = DEFAULT"],
           ["BEGIN", "RESET ALL"], ["BEGIN", "SELECT set_config('transaction_read_only', NULL, false)"],
           ["SELECT set_config('default_transaction_read_only', 'off', false)", "BEGIN"], ["BEGIN", "DISCARD ALL"], ["BEGIN", "RESET transaction_read_only"], ["ROLLBACK PREPARED 'x'"], ["START TRANSACTION READ WRITE", "SAVEPOINT b",
            "ROLLBACK TO b"], ["PREPARE w AS UPDATE counter SET n = 1", "EXECUTE w"]]


def test_read_only_access(server, start_daemon, directory):
    server.psql("UPDATE counter SET n = 0")
    before = server.psql("SELECT last_value FROM seq")
    client = sealed_daemon(server, start_daemon, directory).connect()
    assert client.query("SELECT n FROM counter", database="sealed").value == 0
    for sql in WRITES:
        assert client.query_fails(sql, database="sealed")["sqlstate"] in ("25006", "25001", "25000", "2D000"), sql
    for escape in ESCAPES:
        session = client.session(database="sealed")
        for sql in escape:
            try:
                client.query(sql, session=session)
            except RequestFailed:
                pass
        # PostgreSQL 15 may be talked into the write itself, but never into keeping it.
        failures = []
        for sql in ("UPDATE counter SET n = 1", "COMMIT"):
            try:
                client.query(sql, session=session)
            except RequestFailed as failure:
                failures.append(failure.data["sqlstate"])
        assert set(failures) & {"25006", "25P02"}, escape
        assert server.psql("SELECT n FROM counter") == "0", escape
        client.call("db_disconnect", {"session": session})
    assert server.psql("SELECT n FROM counter") == "0" and server.psql("SELECT last_value FROM seq") == before
    assert server.psql("SELECT count(*) FROM pg_largeobject_metadata") == "0"
    data = client.batch([{"sql": "SELECT 1"}], database="sealed").data
    assert data["transaction"] == "none"
    assert client.fails("batch", {"statements": [{"sql": "SELECT lo_create(0)"}], "database": "sealed"})["code"] == "read_only"


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


def test_a_read_only_session(packed, server):
    session = packed.call("db_connect", {"database": "pg", "read_only": True}).data
    assert session["read_only"] is True
    assert packed.query_fails("UPDATE counter SET n = 1", session=session["session"])["code"] == "read_only"
    assert packed.query("BEGIN", session=session["session"]).transaction == "active"
    assert packed.query("SELECT 1", session=session["session"]).value == 1
    assert packed.query_fails("UPDATE counter SET n = 1", session=session["session"])["code"] == "read_only"


# Cancelling

def test_cancel_and_timeout(pg, packed, server):
    started = time.monotonic()
    id = packed.send_query("SELECT pg_sleep(20)", database="pg")
    wait_until(lambda: "active" in server.backends(), "it runs")
    assert packed.call("cancel", {"request": id}).data["cancelled"] is True
    with pytest.raises(RequestFailed) as failure:
        packed.collect(id)
    assert failure.value.code == "cancelled" and time.monotonic() - started < 5
    assert fails(packed, "SELECT pg_sleep(20)", timeout_ms=50)["code"] == "timeout"
    # While rows wait for the client.
    id = packed.send_query("SELECT generate_series(1, 10000000)", database="pg", page_rows=10)
    packed.receive_for(id)
    assert packed.call("cancel", {"request": id}).data["cancelled"] is True
    wait_until(lambda: "active" not in server.backends(), "the server has stopped")
    for _ in range(50):
        assert on(packed, "SELECT 1").value == 1


def test_a_late_cancel_hits_nobody_else(packed):
    for delay in range(60):
        id = packed.send_query("SELECT pg_sleep(0.002)", database="pg")
        time.sleep(delay / 20_000)
        packed.call("cancel", {"request": id})
        try:
            packed.collect(id)
        except RequestFailed as failure:
            assert failure.code == "cancelled"
        assert on(packed, "SELECT pg_sleep(0.001), 7").rows[0][1] == 7


def test_a_server_that_does_not_react(pg, packed, server):
    on(packed, "SELECT 1")
    id = packed.send_query("SELECT pg_sleep(3)", database="pg")
    write = packed.send_query("UPDATE counter SET n = n", database="pg")
    packed.collect(write)
    server.pause()
    try:
        started = time.monotonic()
        assert packed.call("cancel", {"request": id}).data["cancelled"] is True
        assert time.monotonic() - started < 0.5
        with pytest.raises(RequestFailed):
            packed.collect(id)
        error = fails(packed, "UPDATE counter SET n = n", timeout_ms=50)
        assert error["code"] in ("outcome_unknown", "timeout")
    finally:
        server.go_on()
    assert on(packed, "SELECT 1").value == 1


def test_clients_that_leave(pg, server):
    """At each step; nothing of theirs runs on, and no connection is lost to the pool."""
    steps = [["SELECT pg_sleep(30)"], ["SELECT generate_series(1, 10000000)"], ["UPDATE counter SET n = n + pg_sleep(30)::text::int"]]
    for step in steps:
        for _ in range(4):
            with pg.connect() as client:
                client.send_query(step[0], database="pg")
                time.sleep(0.02)
    for _ in range(4):
        with pg.connect() as client:
            session = client.session(database="pg")
            client.query("BEGIN", session=session)
            client.query("UPDATE counter SET n = 100", session=session)
    wait_until(lambda: set(server.backends()) == {"idle"}, "all is quiet")
    with pg.connect() as client:
        ids = [client.send_query("SELECT pg_sleep(0.05)", database="pg") for _ in range(10)]
        for id in ids:
            client.collect(id)
    assert len(server.backends()) <= 10


# The pool

def test_many_clients_on_few_connections(pg, server):
    clients = [pg.connect() for _ in range(200)]
    waits = []
    for client in clients:
        client.sent = [client.send_query("SELECT pg_sleep(0.01), 1", database="pg") for _ in range(2)]
    started = time.monotonic()
    for client in clients:
        for id in client.sent:
            assert client.collect(id).rows[0][1] == 1
        waits.append(time.monotonic() - started)
    assert len(server.backends()) <= 10
    assert max(waits) < 5


def test_the_limit_tells_who_has_the_connections(server, start_daemon, directory):
    config = directory / "small.toml"
    config.write_text(f'[limits]\npool_connections_max = 2\npool_wait_ms_max = 200\n[databases.pg]\nurl = "{server.url()}"\n')
    client = start_daemon("--config", config).connect()
    sessions = [client.session(database="pg") for _ in range(2)]
    error = fails(client, "SELECT 1")
    assert error["code"] == "busy" and error["retryable"] is True and "2 of 2" in error["message"]
    assert error["holder"]["uid"] == os.getuid() and error["holder"]["pid"] == os.getpid()
    assert client.fails("db_connect", {"database": "pg"})["code"] == "busy"
    waiting = client.send_query("SELECT 5", database="pg")
    id = client.send_query("SELECT 6", database="pg")
    assert client.call("cancel", {"request": id}).data["cancelled"] is True
    client.call("db_disconnect", {"session": sessions[0]})
    assert client.collect(waiting).value == 5


def test_connections_are_closed_when_idle(server, start_daemon, directory):
    config = directory / "idle.toml"
    config.write_text(f'[limits]\npool_idle_ms_max = 100\n[databases.pg]\nurl = "{server.url()}"\n')
    client = start_daemon("--config", config).connect()
    pid = on(client, "SELECT pg_backend_pid()").value
    wait_until(lambda: server.psql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == "0", "it is closed")
    assert on(client, "SELECT 1").value == 1


# The server comes and goes

@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_of_the_server(start_daemon, how):
    server = PostgreSQL()
    try:
        server.psql("CREATE TABLE counter(n int); INSERT INTO counter VALUES (0)")
        client = start_daemon(databases={"pg": server.url()}).connect()
        on(client, "SELECT 1")
        session = client.session(database="pg")
        client.query("BEGIN", session=session)
        client.query("UPDATE counter SET n = 1", session=session)
        reading = client.send_query("SELECT pg_sleep(30)", database="pg")
        writing = client.send_query("INSERT INTO counter SELECT 1 FROM pg_sleep(30)", database="pg")
        wait_until(lambda: server.backends().count("active") == 2, "both run")
        getattr(server, how)()
        for id, codes in ((reading, ["connect_failed"]), (writing, ["connect_failed", "outcome_unknown"])):
            with pytest.raises(RequestFailed) as failure:
                client.collect(id)
            assert failure.value.code in codes, failure.value
        if how == "kill":
            assert failure.value.code == "outcome_unknown"
        error = client.query_fails("SELECT 1", session=session)
        assert error["code"] == "connect_failed" and error["transaction"] == "none"
        error = fails(client, "SELECT 1")
        assert error["code"] == "connect_failed" and error["retryable"] is True
        # Within the backoff nobody waits for the network.
        error = fails(client, "SELECT 1")
        assert error["code"] == "connect_failed"
        if how == "kill":
            (server.data / "postmaster.pid").unlink(missing_ok=True)
        server.start()

        def works():
            try:
                return on(client, "SELECT n FROM counter").rows == [[0]]
            except RequestFailed as failure:
                assert failure.code == "connect_failed", failure
                time.sleep(failure.data.get("retry_after_ms", 10) / 1000)
                return False

        wait_until(works, "the daemon finds the server again")
        fresh = client.session(database="pg")
        assert client.query("SELECT 1", session=fresh).value == 1
    finally:
        server.discard()


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

def maps(daemon):
    return pathlib.Path(f"/proc/{daemon.pid}/maps").read_text()


def test_a_daemon_without_postgresql_does_not_load_its_library(start_daemon, server):
    daemon = start_daemon()
    client = daemon.connect()
    assert client.query("SELECT 1").value == 1
    assert "libpq" not in maps(daemon)
    session = client.call("db_connect", {"url": server.url()}).data
    assert session["engine"] == "postgresql"
    assert client.query("SELECT 1 AS a", session=session["session"]).columns[0]["type"] == "integer"
    assert "libpq" in maps(daemon)


def test_a_library_that_is_missing(start_daemon, server, directory):
    (directory / "libpq.so.5").write_bytes(b"no library")
    daemon = start_daemon(databases={"pg": server.url()}, environment={"LD_LIBRARY_PATH": str(directory)})
    client = daemon.connect()
    error = fails(client, "SELECT 1")
    assert error["code"] == "driver_missing" and "libpq5" in error["hint"]
    assert client.query("SELECT 1").value == 1


def test_no_password_anywhere(server, start_daemon, directory):
    url = f"postgresql://nobody-here:{SECRET}@/nix?host={server.directory}"
    daemon = start_daemon(databases={"pg": url, "away": f"postgresql://u:{SECRET}@127.0.0.1:1/d"})
    client = daemon.connect()
    shown = [client.call("list_databases").data, client.call("activity").data, client.call("stats").data]
    for name in ("pg", "away"):
        error = client.query_fails("SELECT 1", database=name)
        assert error["code"] == "connect_failed" and error["detail"], error
        shown.append(error)
    shown.append(client.fails("db_connect", {"url": url + "&nix=1"}))
    assert client.call("list_databases").data["databases"][1]["engine"] == "postgresql"
    status, output = run_to_end("--check-config", "--database", f"pg={url}", directory=directory)
    assert status == 0 and "***" in output
    shown += [output, run_to_end("--database", url, directory=directory)[1],
              run_to_end("--database", f"a={url}&nix=1", directory=directory)[1], daemon.log()]
    assert all(SECRET not in str(text) for text in shown), [text for text in shown if SECRET in str(text)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_connection_is_cleared_before_another_user_gets_it(server, start_daemon, directory):
    directory.chmod(0o755)
    config = directory / "one.toml"
    config.write_text(f'[limits]\npool_connections_max = 1\n[databases.pg]\nurl = "{server.url()}"\n')
    daemon = start_daemon("--config", config, "--socket-mode", "0666", directory=directory)
    client = daemon.connect()
    on(client, "SELECT set_config('litebase.mine', 'secret', false)")
    assert on(client, "SELECT current_setting('litebase.mine', true)").value == "secret"
    script = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "s.sendall(b'{\"id\":1,\"type\":\"query\",\"data\":{\"sql\":\"SELECT current_setting(\\'litebase.mine\\', true)\","
              "\"database\":\"pg\"}}\\n'); print(s.recv(65536).decode()); "
              "s.sendall(b'{\"id\":2,\"type\":\"db_connect\",\"data\":{\"url\":\"postgresql://h/d\"}}\\n'); print(s.recv(65536).decode())")
    nobody = pwd.getpwnam("nobody")
    output = subprocess.run(["/usr/bin/python3", "-c", script, daemon.socket_path], stdout=subprocess.PIPE, timeout=20, text=True,
                            user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], check=True).stdout
    assert "secret" not in output and '"row_count":1' in output
    assert "permission_denied" in output
