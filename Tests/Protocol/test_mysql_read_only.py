"""Read-only access to MySQL: whatever tries to get around it, by itself or in several steps."""

from test_mysql import configured, fails, my, on, packed, server  # fixtures among them
from wire import RequestFailed

WRITES = ["UPDATE counter SET n = 1", "CREATE TABLE x(a int)", "SELECT NEXTVAL(seq)", "SELECT SETVAL(seq, 5)", "DO NEXTVAL(seq)",
          "DROP TABLE item", "TRUNCATE counter", "ALTER TABLE counter ADD x int", "ANALYZE TABLE counter", "OPTIMIZE TABLE counter",
          "SELECT writes()", "CALL escapes()", "CALL two()", "BEGIN NOT ATOMIC COMMIT; UPDATE counter SET n = 1; END",
          "EXECUTE IMMEDIATE 'UPDATE counter SET n = 1'", "/*!99999 SELECT */ TRUNCATE counter", "/*! TRUNCATE */ counter",
          "LOCK TABLES counter WRITE", "XA START 'x'", "GRANT SELECT ON lb.* TO reader@localhost", "CREATE TEMPORARY TABLE x(a int)",
          "INSERT INTO counter VALUES (1) RETURNING n", "REPLACE INTO pairs VALUES (1, 1)", "LOAD DATA INFILE '/x' INTO TABLE counter",
          "SET STATEMENT tx_read_only = 0 FOR UPDATE counter SET n = 1", "SELECT n FROM counter FOR UPDATE",
          "SELECT unseals(), writes()", "UPDATE counter SET n = 1; COMMIT", "FLUSH TABLES", "RENAME TABLE counter TO c2",
          "lbl: BEGIN NOT ATOMIC COMMIT; END", "IF true THEN COMMIT; END IF", "WITH a AS (SELECT 1) SELECT writes()"]
ESCAPES = [["SET SESSION TRANSACTION READ WRITE"], ["SET tx_read_only = 0"], ["START TRANSACTION READ WRITE"],
           ["BEGIN", "SET TRANSACTION READ WRITE"], ["BEGIN", "COMMIT AND CHAIN"], ["BEGIN", "ROLLBACK AND CHAIN"], ["COMMIT AND CHAIN"],
           ["SET autocommit = 0"], ["SET @@autocommit = 0", "SELECT 1"], ["BEGIN", "SET `autocommit` = 1"], ["SET completion_type = 1"],
           ["SELECT unseals()"], ["SELECT unseals()", "BEGIN"], ["SELECT unseals()", "COMMIT AND CHAIN"], ["BEGIN", "SELECT unseals()", "COMMIT AND CHAIN"],
           ["BEGIN", "BEGIN"], ["START TRANSACTION WITH CONSISTENT SNAPSHOT"], ["START /*!50000 TRANSACTION READ */ WRITE"],
           ["BEGIN", "SAVEPOINT a", "ROLLBACK TO a"], ["PREPARE w FROM 'UPDATE counter SET n = 1'", "EXECUTE w"], ["BEGIN", "COMMIT RELEASE"],
           ["SET /*!50000 SESSION */ /**/ tx_read_only = 0"], ["BEGIN /* x */", "LOCK TABLES counter WRITE"], ["HANDLER counter OPEN"],
           ["BEGIN", "CREATE TABLE x2(a int)"], ["BEGIN", "SET PASSWORD = PASSWORD('x')"]]


def unchanged(server):
    return server.sql("SELECT n, (SELECT next_not_cached_value FROM lb.seq), (SELECT count(*) FROM information_schema.tables "
                      "WHERE table_schema = 'lb') FROM lb.counter")


def test_read_only_access(server, start_daemon, directory):
    server.sql("UPDATE lb.counter SET n = 0")
    before = unchanged(server)
    client = configured(start_daemon, directory, server.url(), 'access = "read_only"').connect()
    assert on(client, "SELECT n FROM counter").value == 0
    for sql in WRITES:
        error = fails(client, sql)
        assert error["code"] in ("read_only", "needs_session", "syntax_error", "permission_denied"), (sql, error)
        assert unchanged(server) == before, sql
    for escape in ESCAPES:
        session = client.session(database="my")
        for sql in escape:
            try:
                client.query(sql, session=session)
            except RequestFailed as failure:
                assert failure.code != "internal"
        failures = []
        for sql in ("UPDATE counter SET n = 1", "CREATE TABLE x3(a int)", "COMMIT"):
            try:
                client.query(sql, session=session)
            except RequestFailed as failure:
                failures.append(failure.code)
        assert set(failures) & {"read_only", "connect_failed"}, escape
        assert unchanged(server) == before, escape
        client.call("db_disconnect", {"session": session})
    assert on(client, "SHOW TABLES").rows and on(client, "EXPLAIN SELECT 1").rows and on(client, "(SELECT 1)").rows
    assert on(client, "SELECT n FROM counter WHERE n = ?", [0]).rows == [[0]]
    assert client.batch([{"sql": "SELECT 1"}, {"sql": "SELECT ?", "params": [1]}], database="my").data["transaction"] == "none"
    assert client.fails("batch", {"statements": [{"sql": "SELECT writes()"}], "database": "my"})["code"] == "read_only"
    assert client.fails("batch", {"statements": [{"sql": "CREATE TABLE x(a int)"}], "atomic": False, "database": "my"})["code"] == "read_only"
    assert unchanged(server) == before


def test_a_read_only_session(packed, server):
    server.sql("UPDATE lb.counter SET n = 0")
    session = packed.call("db_connect", {"database": "my", "read_only": True}).data
    assert session["read_only"] is True
    session = session["session"]
    assert packed.query_fails("UPDATE counter SET n = 1", session=session)["code"] == "read_only"
    assert packed.query("BEGIN", session=session).transaction == "active"
    assert packed.query("SELECT 1", session=session).value == 1
    assert packed.query_fails("UPDATE counter SET n = 1", session=session)["code"] == "read_only"
    assert packed.query("COMMIT", session=session).transaction == "none"
    packed.call("db_disconnect", {"session": session})
    # Its connection writes again for others.
    for _ in range(5):
        assert on(packed, "UPDATE counter SET n = n").last["rows_affected"] == 1


def test_the_role_that_the_documentation_grants(server, start_daemon, directory):
    client = configured(start_daemon, directory, server.url(user="reader"), 'access = "read_only"').connect()
    assert on(client, "SELECT n FROM counter").rows and on(client, "SHOW CREATE TABLE item").rows
    assert fails(client, "SELECT 1 INTO OUTFILE '/tmp/lb-outfile'")["code"] == "permission_denied"
