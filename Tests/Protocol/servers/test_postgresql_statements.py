"""Statements to PostgreSQL are parsed each time they are sent, and nothing is kept on its connections; what PREPARE makes is the
client's own."""

import subprocess

import pytest

from daemon import wait_until
from postgresql import PgBouncer, PostgreSQL
from wire import RequestFailed


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    instance.psql("CREATE TABLE item(id int PRIMARY KEY, name text); INSERT INTO item SELECT x, 'n' || x FROM generate_series(1, 100) x;"
                  "CREATE FUNCTION forget() RETURNS int LANGUAGE plpgsql AS $$BEGIN DEALLOCATE ALL; RETURN 1; END$$;"
                  "CREATE FUNCTION inner_error() RETURNS int LANGUAGE plpgsql AS "
                  "$$BEGIN PERFORM nextval('calls'); RAISE EXCEPTION 'no' USING ERRCODE = '26000'; END$$; CREATE SEQUENCE calls")
    yield instance
    instance.discard()


def one_connection(server, start_daemon, directory, access="read_write", url=None):
    config = directory / "one.toml"
    config.write_text(f'[limits]\npool_connections_max = 1\n'
                      f'[databases.pg]\nurl = "{url or server.url()}"\naccess = "{access}"\n')
    return start_daemon("--config", config)


@pytest.fixture
def client(server, start_daemon, directory):
    return one_connection(server, start_daemon, directory).connect()


def on(client, sql, params=None, **options):
    return client.query(sql, params, **({} if "session" in options else {"database": "pg"}), **options)


def kept(client, **options):
    """How many statements its connection keeps prepared."""
    return on(client, "SELECT count(*) FROM pg_prepared_statements", **options).value


POINT = "SELECT id, name FROM item WHERE id = $1"


def test_nothing_is_kept(client):
    for id in range(1, 9):
        result = on(client, POINT, [id])
        assert result.rows == [[id, f"n{id}"]]
        assert [(c["name"], c["type"], c["declared_type"]) for c in result.columns] == [("id", "integer", "int4"), ("name", "text", "text")]
    client.batch([{"sql": "UPDATE item SET name = name WHERE id = $1", "param_rows": [[x] for x in range(200)]}], database="pg")
    assert kept(client) == 0


def test_constants_are_of_the_moment(client, server):
    """'now' is read when a statement is parsed."""
    server.psql("DROP TABLE IF EXISTS stamp; CREATE TABLE stamp(n int, t timestamptz)")
    seen = []
    for number in range(4):
        assert on(client, "SELECT 'now'::timestamptz = now()").value is True
        on(client, "INSERT INTO stamp VALUES ($1, 'now')", [number])
        client.batch([{"sql": "INSERT INTO stamp VALUES ($1, 'now')", "param_rows": [[number], [number]]}], database="pg")
        client.batch([{"sql": "INSERT INTO stamp VALUES ($1, 'now')", "param_rows": [[number + 10]]}], database="pg", atomic=False)
        seen.append(on(client, "SELECT 'now'::timestamptz::text").value)
    assert len(set(seen)) == 4
    assert server.psql("SELECT count(DISTINCT t) FROM stamp") == "12"
    # In a transaction it is the transaction's.
    assert server.psql("SELECT max(x) FROM (SELECT count(*) x FROM stamp GROUP BY t) y") == "2"


def test_a_row_that_changes_what_the_next_one_means(client, server):
    """Rows of a batch are parsed once only where the statement calls nothing that could do that."""
    server.psql("DROP TABLE IF EXISTS stamp; CREATE TABLE stamp(n text, t timestamptz)")
    insert = "INSERT INTO stamp SELECT set_config('TimeZone', $1, true), '2024-06-01 12:00'"
    client.batch([{"sql": insert, "param_rows": [["UTC"], ["Asia/Tokyo"], ["UTC"], ["UTC"]]}], database="pg")
    assert server.psql("SELECT count(DISTINCT t) FROM stamp") == "2"


def test_types_follow_the_values(client):
    for value in (b"\x01\x02", "text", b"\x03", "more", None, 5, b"", True):
        assert on(client, "SELECT $1", [value]).value == (value if isinstance(value, bytes) or value is None else
                                                          {5: "5", True: "true"}.get(value, value))


def test_errors_have_their_position(client, server):
    server.psql("CREATE TABLE short_lived(a int)")
    for _ in range(3):
        on(client, "SELECT  a FROM short_lived")
    server.psql("DROP TABLE short_lived")
    for _ in range(3):
        assert client.query_fails("SELECT  a FROM short_lived", database="pg")["sqlstate"] == "42P01"
    server.psql("CREATE TABLE short_lived(a int)")
    on(client, "SELECT  a, a FROM short_lived")
    server.psql("DROP TABLE short_lived")
    error = client.query_fails("SELECT  a, a FROM short_lived", database="pg")
    assert error["sqlstate"] == "42P01" and error["position"]["offset"] == 18
    # A value that does not fit.
    for value in ("1", "2", "x", "3"):
        if value == "x":
            assert client.query_fails("SELECT $1::int", [value], database="pg")["sqlstate"] == "22P02"
        else:
            assert on(client, "SELECT $1::int", [value]).value == int(value)


@pytest.mark.parametrize("access", ["read_write", "read_only"])
def test_a_table_that_changes(server, start_daemon, directory, access):
    client = one_connection(server, start_daemon, directory, access=access).connect()
    server.psql("DROP TABLE IF EXISTS grows; CREATE TABLE grows(a int); INSERT INTO grows VALUES (1)")
    for count in range(1, 4):
        for _ in range(3):
            result = on(client, "SELECT * FROM grows")
            assert len(result.columns) == count and result.rows == [[1] + [None] * (count - 1)]
        server.psql(f"ALTER TABLE grows ADD b{count} text")
    server.psql("ALTER TABLE grows ALTER a TYPE text; ALTER TABLE grows RENAME b1 TO renamed")
    result = on(client, "SELECT * FROM grows")
    assert result.rows == [["1", None, None, None]] and result.columns[0]["type"] == "text" and result.columns[1]["name"] == "renamed"
    # Once for each that was asked for.
    if access == "read_write":
        for _ in range(2):
            on(client, "INSERT INTO grows (a) VALUES ('x') RETURNING *")
        server.psql("ALTER TABLE grows ADD c int")
        assert len(on(client, "INSERT INTO grows (a) VALUES ('x') RETURNING *").columns) == 5
        assert server.psql("SELECT count(*) FROM grows WHERE a = 'x'") == "3"


def test_in_a_transaction_it_is_read_anew(client, server):
    server.psql("DROP TABLE IF EXISTS grows; CREATE TABLE grows(a int)")
    session = client.session(database="pg")
    for _ in range(2):
        on(client, "SELECT * FROM grows", session=session)
    on(client, "BEGIN", session=session)
    on(client, "SELECT 1", session=session)
    server.psql("ALTER TABLE grows ADD b int")
    assert len(on(client, "SELECT * FROM grows", session=session).columns) == 2
    on(client, "COMMIT", session=session)


DROPS = ["DEALLOCATE ALL", "DISCARD ALL", "SELECT forget()", "DO $$BEGIN DEALLOCATE ALL; END$$"]


@pytest.mark.parametrize("drop", DROPS)
def test_statements_that_are_dropped(client, drop):
    session = client.session(database="pg")
    for round in range(6):
        for id in range(1, 4):
            assert on(client, POINT, [id], session=session).rows == [[id, f"n{id}"]]
        on(client, drop, session=session)
    for id in range(1, 4):
        assert on(client, POINT, [id], session=session).rows == [[id, f"n{id}"]]
    # Within a transaction, where nothing can be repeated behind the client's back.
    on(client, "BEGIN", session=session)
    on(client, POINT, [1], session=session)
    if drop == "DEALLOCATE ALL":
        on(client, drop, session=session)
        assert on(client, POINT, [2], session=session).rows == [[2, "n2"]]
    client.call("db_disconnect", {"session": session})
    assert on(client, POINT, [3]).rows == [[3, "n3"]]


def test_a_batch_that_drops_statements(client, server):
    server.psql("DROP TABLE IF EXISTS sink; CREATE TABLE sink(a int)")
    insert = {"sql": "INSERT INTO sink VALUES ($1)", "param_rows": [[x] for x in range(300)]}
    for _ in range(2):
        client.batch([insert], database="pg")
    client.batch([insert, {"sql": "SELECT forget()"}, insert], database="pg")
    assert server.psql("SELECT count(*) FROM sink") == "1200"
    session = client.session(database="pg")
    client.batch([insert], session=session)
    client.batch([insert, {"sql": "DEALLOCATE ALL"}, insert], session=session)
    client.batch([insert, {"sql": "SELECT forget()"}, insert], session=session, atomic=False)
    assert server.psql("SELECT count(*) FROM sink") == "2700"
    error = client.fails("batch", {"statements": [insert, {"sql": "INSERT INTO sink VALUES ($1)", "params": ["x"]}], "session": session})
    assert error["statement_index"] == 1 and error["sqlstate"] == "22P02"
    assert server.psql("SELECT count(*) FROM sink") == "2700"


def test_an_error_of_a_function_is_its_own(client, server):
    """The SQLSTATE of a lost statement from within a function is no reason to call it again."""
    on(client, "SELECT count(*) FROM (SELECT 1) x, (SELECT CASE WHEN $1 THEN inner_error() END) y", [False])
    on(client, "SELECT count(*) FROM (SELECT 1) x, (SELECT CASE WHEN $1 THEN inner_error() END) y", [False])
    before = server.psql("SELECT last_value FROM calls WHERE is_called")
    with pytest.raises(RequestFailed):
        on(client, "SELECT CASE WHEN $1 THEN inner_error() END", [True])
    on(client, "SELECT CASE WHEN $1 THEN inner_error() END", [False])
    on(client, "SELECT CASE WHEN $1 THEN inner_error() END", [False])
    with pytest.raises(RequestFailed) as failure:
        on(client, "SELECT CASE WHEN $1 THEN inner_error() END", [True])
    assert failure.value.data["sqlstate"] == "26000" and failure.value.data["message"] == "No."
    assert int(server.psql("SELECT last_value FROM calls")) == int(before or 0) + 2


def test_what_the_client_prepares_is_its_own(client):
    session = client.session(database="pg")
    on(client, "PREPARE p AS SELECT 5", session=session)
    on(client, "PREPARE \"\"\"\" (int) AS SELECT $1, 'mine'", session=session)
    for id in range(1, 4):
        assert on(client, POINT, [id], session=session).rows == [[id, f"n{id}"]]
        client.batch([{"sql": "UPDATE item SET name = name WHERE id = $1", "param_rows": [[1], [2]]}], session=session)
        assert on(client, "EXECUTE p", session=session).value == 5
        assert on(client, 'EXECUTE """" (7)', session=session).rows == [[7, "mine"]]
    assert kept(client, session=session) == 2
    client.call("db_disconnect", {"session": session})
    assert kept(client) == 0


def test_settings_of_a_session_apply(client, server):
    server.psql("CREATE SCHEMA IF NOT EXISTS other; CREATE TABLE IF NOT EXISTS other.item(id int, name text)")
    session = client.session(database="pg")
    for id in range(1, 4):
        assert on(client, POINT, [id], session=session).rows == [[id, f"n{id}"]]
    on(client, "SET search_path = other", session=session)
    for id in range(1, 4):
        assert on(client, POINT, [id], session=session).rows == []
    client.call("db_disconnect", {"session": session})
    assert on(client, POINT, [1]).rows == [[1, "n1"]]


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_behind_pgbouncer(server, start_daemon, directory, mode):
    bouncer = PgBouncer(server, pool_mode=mode, default_pool_size=3)
    try:
        client = one_connection(server, start_daemon, directory, url=bouncer.url()).connect()
        others = [subprocess.Popen([server.programs["psql"], bouncer.url(), "-Atc", "SELECT pg_sleep(0.01 * x) FROM generate_series(1,10) x"],
                                   stdout=subprocess.DEVNULL) for _ in range(2)]
        for _ in range(5):
            for id in range(1, 20):
                assert on(client, POINT, [id]).rows == [[id, f"n{id}"]]
        client.batch([{"sql": "UPDATE item SET name = name WHERE id = $1", "param_rows": [[x] for x in range(200)]}], database="pg")
        assert on(client, "SELECT count(*) FROM pg_prepared_statements").value == 0
        assert all(other.wait(20) == 0 for other in others)
    finally:
        bouncer.discard()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_that_loses_the_server(start_daemon, directory, mode):
    """It says so with the SQLSTATE of a wrong number of parameters, and does not know what the server has done."""
    server = PostgreSQL()
    bouncer = PgBouncer(server, pool_mode=mode)
    try:
        server.psql("CREATE TABLE item(id int)")
        client = start_daemon(databases={"pg": bouncer.url()}).connect()
        for sql, code in (("INSERT INTO item SELECT 1 FROM pg_sleep(60)", "outcome_unknown"), ("SELECT pg_sleep(60)", "connect_failed")):
            id = client.send_query(sql, database="pg")
            wait_until(lambda: server.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1", "it runs")
            server.kill()
            with pytest.raises(RequestFailed) as failure:
                client.collect(id)
            data = failure.value.data
            assert data["code"] == code and "conn crashed" in data["detail"], data
            server.start()

            def works():
                try:
                    return on(client, "SELECT 1").value == 1
                except RequestFailed as failure:
                    return failure.code != "connect_failed"

            wait_until(works, "the pooler has the server again", timeout=25, interval=0.2)
    finally:
        bouncer.discard()
        server.discard()


def test_the_server_sees_that_the_daemon_is_gone(server, start_daemon, directory):
    daemon = one_connection(server, start_daemon, directory)
    client = daemon.connect()
    assert on(client, "SHOW client_connection_check_interval").value == "2s"
    session = client.session(database="pg")
    on(client, "DISCARD ALL", session=session)
    client.call("db_disconnect", {"session": session})
    assert on(client, "SHOW client_connection_check_interval").value == "2s"
    client.send_query("SELECT pg_sleep(60)", database="pg")
    wait_until(lambda: "active" in server.backends(), "it runs")
    daemon.process.kill()
    daemon.process.wait()
    wait_until(lambda: server.backends() == [], "the server has stopped it", timeout=5)


def test_an_interval_of_the_administrator_stays(start_daemon, directory):
    server = PostgreSQL(client_connection_check_interval="7s")
    try:
        client = one_connection(server, start_daemon, directory).connect()
        assert on(client, "SHOW client_connection_check_interval").value == "7s"
    finally:
        server.discard()


@pytest.mark.parametrize("sql", ["LISTEN news", "listen \"News\"", "/* x */ LISTEN news;"])
def test_nobody_listens_in_vain(client, sql):
    """Notifications reach no client yet, so asking for them is refused, wherever it is done; sending them works."""
    alone = client.query_fails(sql, database="pg")
    session = client.session(database="pg")
    for error in (alone, client.query_fails(sql, session=session)):
        assert (error["code"], error["sqlstate"]) == ("database_error", "0A000") and "hint" in error, error
    error = client.fails("batch", {"statements": [{"sql": "SELECT 1"}, {"sql": sql}], "session": session})
    assert error["sqlstate"] == "0A000" and error["statement_index"] == 1, error
    assert client.query("SELECT 1", session=session).value == 1
    client.query("NOTIFY news, 'x'", session=session)
    client.query("UNLISTEN *", session=session)


def test_too_many_parameters_to_describe(client, server):
    """libpq closes the connection at a description of parameters of more than 30,000 bytes."""
    def text(count):
        return "SELECT 1 WHERE 1 IN (" + ", ".join(f"${number}" for number in range(1, count + 1)) + ")"

    assert len(client.call("describe", {"database": "pg", "sql": text(7498)}).data["parameters"]) == 7498
    for count in (7499, 65535):
        error = client.fails("describe", {"database": "pg", "sql": text(count)})
        assert error["code"] == "limit_exceeded" and "7,498 parameters" in error["message"]
        assert on(client, text(count), list(range(count))).value == 1
    # The server's own word for what is not valid.
    error = client.fails("describe", {"database": "pg", "sql": text(65536)})
    assert error["code"] != "connect_failed", error
