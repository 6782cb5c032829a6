"""PostgreSQL: notices, kinds of values beyond the usual ones, other encodings, and what must not get around read-only access."""

import pytest

from daemon import wait_until
from postgresql import PostgreSQL
from wire import RequestFailed, decode


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    instance.psql("CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION dblink;"
                  "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b text);"
                  "CREATE DOMAIN word AS text CHECK (VALUE <> ''); CREATE DOMAIN amount AS numeric(10,2); CREATE DOMAIN flag AS bool;"
                  "CREATE DOMAIN bytes AS bytea; CREATE DOMAIN moods AS mood; CREATE TABLE t(a int); CREATE SEQUENCE seq;"
                  "CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a';"
                  "CREATE PROCEDURE proc() LANGUAGE plpgsql AS $$BEGIN INSERT INTO t VALUES (2); COMMIT; END$$")
    yield instance
    instance.discard()


@pytest.fixture
def client(server, start_daemon, mode):
    return start_daemon(databases={"pg": server.url()}).connect(mode)


def on(client, sql, params=None, **options):
    return client.query(sql, params, database="pg", **options)


VALUES = [
    ("ARRAY[true,NULL]", "{t,NULL}", "bool[]"), ("ARRAY['a b','c\"d',NULL]::text[]", '{"a b","c\\"d",NULL}', "text[]"),
    ("ARRAY[1.50,'NaN']::numeric[]", "{1.50,NaN}", "numeric[]"), ("ARRAY['\\x00ff'::bytea]", '{"\\\\x00ff"}', "bytea[]"),
    ("ARRAY[[1,2],[3,4]]", "{{1,2},{3,4}}", "int4[]"), ("'{}'::int8[]", "{}", "int8[]"),
    ("ARRAY['2026-01-01'::date]", "{2026-01-01}", "date[]"), ("ARRAY['{\"a\":1}'::jsonb]", '{"{\\"a\\": 1}"}', "jsonb[]"),
    ("'[1.5,2.5)'::numrange", "[1.5,2.5)", "numrange"), ("'empty'::int8range", "empty", "int8range"),
    ("'{[1,2),[5,7)}'::int4multirange", "{[1,2),[5,7)}", "int4multirange"),
    ("'[2026-01-01,2026-02-01)'::daterange", "[2026-01-01,2026-02-01)", "daterange"),
    ("ROW(1,'x y')::pair", '(1,"x y")', "pair"), ("ARRAY[ROW(1,NULL)::pair]", '{"(1,)"}', "pair[]"),
    ("'happy'::moods", "happy", "mood"), ("'x'::word", "x", "text"), ("2.5::amount", "2.50", "decimal"), ("true::flag", True, "boolean"),
    ("'\\x01'::bytes", b"\x01", "blob"), ("'a=>1'::hstore", '"a"=>"1"', "hstore"), ("'AbC'::citext", "AbC", "citext"),
    ("repeat('9', 200)::numeric", "9" * 200, "decimal"), ("1e-300::numeric", "0." + "0" * 299 + "1", "decimal"),
    ("'Infinity'::numeric", "Infinity", "decimal"), ("0.00::numeric(4,2)", "0.00", "decimal"),
    ("5e-324::float8", 5e-324, "real"), ("1.7976931348623157e308::float8", 1.7976931348623157e308, "real"),
    ("'1.1754944e-38'::float4", 1.1754944e-38, "real"), ("'12:00'::time", "12:00:00", "time"), ("'1.5'::money", "$1.50", "money"),
    ("B'101'", "101", "bit"), ("'a b'::tsvector", "'a' 'b'", "tsvector"), ("'(1,2)'::point", "(1,2)", "point"),
    ("'10.0.0.0/8'::cidr", "10.0.0.0/8", "cidr"), ("'<a/>'::xml", "<a/>", "xml"), ("'infinity'::timestamp", "infinity", "timestamp"),
    ("'-infinity'::date", "-infinity", "date"), ("'4713-01-01 BC'::date", "4713-01-01 BC", "date"),
]


def test_values_of_all_kinds(client):
    sql = "SELECT " + ", ".join(text for text, _, _ in VALUES)
    # Rows of a table are types as well: their names are asked for when they come up.
    wait_until(lambda: "any" not in [column["type"] for column in on(client, sql).columns], "all types are known")
    # Unnamed, prepared, and with the columns that were kept.
    for _ in range(3):
        result = on(client, sql)
        for (text, value, name), got, column in zip(VALUES, result.rows[0], result.columns):
            assert (got, column["type"]) == (value, name), text


def test_timestamps_in_other_time_zones(client):
    session = client.session(database="pg")
    for zone, text in (("UTC", "2026-07-01 12:00:00.123456+00"), ("Asia/Kolkata", "2026-07-01 17:30:00.123456+05:30"),
                       ("America/St_Johns", "2026-07-01 09:30:00.123456-02:30")):
        client.query(f"SET timezone = '{zone}'", session=session)
        for _ in range(3):
            assert client.query("SELECT '2026-07-01 12:00:00.123456Z'::timestamptz", session=session).value == text


def test_large_rows_and_many_columns(client):
    result = on(client, "SELECT " + ", ".join(f"{x} AS c{x}" for x in range(1600)))
    assert result.rows == [list(range(1600))] and result.columns[1599]["name"] == "c1599"
    with pytest.raises(RequestFailed) as failure:
        on(client, "SELECT " + ", ".join(str(x) for x in range(1700)))
    assert failure.value.data["sqlstate"] == "54011"
    assert len(on(client, "SELECT repeat('x', 20000000)").value) == 20_000_000
    assert on(client, "SELECT 1").value == 1


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_other_encodings(server, start_daemon, mode, encoding):
    name = f"db_{encoding.lower()}"
    if not server.psql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        server.psql(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
    client = start_daemon(databases={"pg": server.url(database=name)}).connect(mode)
    assert on(client, "SELECT 'grün'").value == "grün"
    assert on(client, "SELECT $1::text || 'ß'", ["ü"]).value == "üß"
    if encoding == "LATIN1":
        assert on(client, "SELECT length('ü')").value == 1 and on(client, "SELECT chr(228)").value == "ä"
        error = client.query_fails("SELECT $1::text", ["€"], database="pg")
        assert error["sqlstate"] == "22P05"
    else:
        # Bytes that are no UTF-8 arrive as they are.
        assert on(client, "SELECT convert_from('\\xfc41'::bytea, 'SQL_ASCII')").value == b"\xfcA"
        assert on(client, "SELECT chr(228), 'x'").rows == [[b"\xe4", "x"]]


# Notices

def notices(client, sql, **options):
    """What comes before the final reply, and that reply."""
    id = client.send_query(sql, **options)
    found = []
    while True:
        message = decode(client.read_body())
        if message.type == "notice":
            assert message.id is None and message.data["request"] == id
            found.append(message.data)
        elif message.id == id and message.terminal:
            client.waiting[id] -= 1
            return found, message


RAISE = "DO $$BEGIN RAISE NOTICE 'hello %', 5 USING DETAIL = 'd', HINT = 'h', ERRCODE = '01234'; RAISE WARNING 'careful'; END$$"


def test_notices_reach_who_asked_for_them(client):
    client.call("hello", {"client": "test", "notices": True})
    found, reply = notices(client, RAISE, database="pg")
    assert reply.type == "query_response"
    first, second = found
    assert {key: first[key] for key in ("code", "severity", "message", "sqlstate", "detail", "hint")} == {
        "code": "database_notice", "severity": "NOTICE", "message": "hello 5", "sqlstate": "01234", "detail": "d", "hint": "h"}
    assert second["severity"] == "WARNING" and second["message"] == "careful" and "detail" not in second
    session = client.session(database="pg")
    found, _ = notices(client, "ROLLBACK", session=session)
    assert [(notice["severity"], notice["session"]) for notice in found] == [("WARNING", session)]
    # Also of a statement that fails.
    found, reply = notices(client, "DO $$BEGIN RAISE NOTICE 'before'; RAISE 'no'; END$$", database="pg")
    assert [notice["message"] for notice in found] == ["before"] and reply.type == "error"
    # Nothing of the last one's is told with the next one.
    assert notices(client, "SELECT 1", database="pg")[0] == []


def test_notices_have_a_limit(client):
    client.call("hello", {"client": "test", "notices": True})
    found, _ = notices(client, "DO $$BEGIN FOR i IN 1..250 LOOP RAISE NOTICE '%', i; END LOOP; END$$", database="pg")
    assert [notice["message"] for notice in found[:100]] == [str(x) for x in range(1, 101)]
    assert found[100]["code"] == "database_notices_dropped" and found[100]["count"] == 150 and len(found) == 101
    found, _ = notices(client, "DO $$BEGIN RAISE NOTICE '%', repeat('x', 100000); RAISE NOTICE 'short'; END$$", database="pg")
    assert [notice["code"] for notice in found] == ["database_notice", "database_notices_dropped"]
    assert found[0]["message"] == "short"


def test_others_get_no_notices(client):
    assert notices(client, RAISE, database="pg")[0] == []


# Read-only

GET_AROUNDS = [
    "SELECT writes()", "CALL proc()", "DO $$BEGIN PERFORM writes(); END$$", "DO $$BEGIN CALL proc(); END$$",
    "WITH w AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM w", "/* SELECT */ INSERT INTO t VALUES (1)",
    "-- SELECT\nINSERT INTO t VALUES (1)", "(WITH w AS (DELETE FROM t RETURNING a) SELECT * FROM w)", "SELECT 1 INTO made",
    "CREATE TABLE made AS SELECT 1", "SELECT 1; INSERT INTO t VALUES (1)", "COPY t FROM '/dev/null'", "COPY t FROM PROGRAM 'true'",
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/never'", "/**/COPY t TO PROGRAM 'true'", "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
    "SELECT set_config('transaction_read_only', 'off', true), writes()", "SELECT nextval('seq')", "SELECT setval('seq', 9)",
    "SELECT lo_create(4711)", "SELECT lo_from_bytea(4712, 'x')", "SELECT lo_import('/etc/passwd')", "TRUNCATE t", "VACUUM FULL t",
    "ALTER TABLE t ADD b int", "REFRESH MATERIALIZED VIEW t", "GRANT ALL ON t TO PUBLIC", "COMMENT ON TABLE t IS 'x'",
    "ALTER SYSTEM SET work_mem = '1MB'", "SECURITY LABEL ON TABLE t IS 'x'", "LOCK TABLE t IN EXCLUSIVE MODE",
    "SELECT * FROM t FOR UPDATE", "NOTIFY a", "PREPARE w AS INSERT INTO t VALUES (1)",
    "SET default_transaction_read_only = off", "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z",
]


@pytest.mark.parametrize("way", ["request", "session", "batch"])
def test_nothing_gets_around_read_only(server, start_daemon, directory, way):
    config = directory / "sealed.toml"
    config.write_text(f'[databases.pg]\nurl = "{server.url()}"\naccess = "read_only"\n')
    client = start_daemon("--config", config).connect()

    def state():
        return server.psql("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM pg_class WHERE relname = 'made'), (SELECT is_called FROM seq), "
                           "(SELECT count(*) FROM pg_largeobject_metadata), (SELECT relnatts FROM pg_class WHERE relname = 't'), "
                           "obj_description('t'::regclass), (SELECT relacl FROM pg_class WHERE relname = 't')")

    before = state()
    # Neither is a write for the server; of SET and PREPARE the next statement shows that they are of no use.
    harmless = ("SET default", "PREPARE w", "NOTIFY")
    for sql in GET_AROUNDS:
        try:
            if way == "request":
                on(client, sql)
            elif way == "batch":
                client.batch([{"sql": sql}, {"sql": "SELECT 1"}], database="pg")
            else:
                session = client.session(database="pg")
                try:
                    for text in (sql, "INSERT INTO t VALUES (3)", "COMMIT"):
                        try:
                            client.query(text, session=session)
                        except RequestFailed:
                            pass
                finally:
                    client.call("db_disconnect", {"session": session})
                continue
            assert sql.startswith(harmless), f"was let through: {sql}"
        except RequestFailed:
            pass
        assert state() == before, sql
    assert state() == before
    assert on(client, "SELECT count(*) FROM t").value == int(before.split("|")[0])


def test_notifications_do_not_pile_up(server, start_daemon):
    """They are not carried; a session that has sent LISTEN and is idle costs nothing for that."""
    daemon = start_daemon(databases={"pg": server.url()})
    client = daemon.connect()
    session = client.session(database="pg")
    # LISTEN itself is refused; what is executed within a function cannot be seen.
    client.query("DO $$ BEGIN EXECUTE 'LISTEN channel'; END $$", session=session)
    before = daemon.memory_kib()
    for _ in range(4):
        server.psql("SELECT pg_notify('channel', repeat('x', 7900) || i) FROM generate_series(1, 1000) i")
    assert client.query("SELECT 1", session=session).value == 1
    assert daemon.memory_kib() - before < 8 << 10
