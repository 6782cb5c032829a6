"""MySQL behind the protocol: what it has beyond the conformance suite; values by both of its protocols, errors, procedures, batches."""

import math
import time

import pytest

from daemon import run_to_end, wait_until
from mariadb import MariaDB, fixtures
from wire import RequestFailed

SECRET = "Xq7hidden"

SCHEMA = """
CREATE TABLE item(id int PRIMARY KEY, name varchar(20) NOT NULL, price decimal(10,2) CHECK (price >= 0)) ENGINE=InnoDB;
CREATE TABLE counter(n int) ENGINE=InnoDB; INSERT INTO counter VALUES (0);
CREATE TABLE auto(id int AUTO_INCREMENT PRIMARY KEY, x int) ENGINE=InnoDB;
CREATE TABLE parent(id int PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE child(p int, FOREIGN KEY (p) REFERENCES parent(id)) ENGINE=InnoDB;
CREATE TABLE pairs(a int PRIMARY KEY, b int) ENGINE=InnoDB; INSERT INTO pairs VALUES (1, 0), (2, 0);
CREATE SEQUENCE seq;
CREATE TABLE short(x varchar(3)) ENGINE=InnoDB;
DELIMITER //
CREATE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT 2, 3; UPDATE counter SET n = n; END//
CREATE PROCEDURE breaks() BEGIN SELECT 1 AS a; SELECT nix FROM nowhere; END//
CREATE PROCEDURE doubled(x int, OUT y int) BEGIN SELECT x AS x; SET y = 2 * x; END//
CREATE PROCEDURE escapes() BEGIN COMMIT; SET SESSION TRANSACTION READ WRITE; UPDATE counter SET n = 99; END//
"""


server, my = fixtures(SCHEMA)


@pytest.fixture
def client(my, mode):
    return my.connect(mode)


@pytest.fixture
def packed(my):
    return my.connect()


def configured(start_daemon, directory, url, *lines, limits="", **options):
    config = directory / "my.toml"
    config.write_text(f'[limits]\n{limits}\n[databases.my]\nurl = "{url}"\n' + "\n".join(lines) + "\n")
    return start_daemon("--config", config, **options)


def on(connection, sql, params=None, **options):
    return connection.query(sql, params, database="my", **options)


def fails(connection, sql, params=None, **options):
    return connection.query_fails(sql, params, database="my", **options)


# Values: declared type, literal, what arrives, type of the protocol.

VALUES = [
    ("tinyint", "-128", -128, "integer"), ("tinyint unsigned", "255", 255, "integer"), ("smallint", "-32768", -2**15, "integer"),
    ("mediumint", "8388607", 2**23 - 1, "integer"), ("int", "-2147483648", -2**31, "integer"),
    ("int(6) zerofill", "42", 42, "integer"), ("bigint", "-9223372036854775808", -2**63, "integer"),
    ("bigint", "9223372036854775807", 2**63 - 1, "integer"), ("bigint unsigned", "18446744073709551615", 2**64 - 1, "integer"),
    ("bigint unsigned", "9223372036854775808", 2**63, "integer"), ("boolean", "true", 1, "integer"),
    ("bit(1)", "b'1'", 1, "integer"), ("bit(9)", "b'100000001'", 257, "integer"), ("bit(64)", "~0", 2**64 - 1, "integer"),
    ("year", "2026", 2026, "integer"), ("year", "0", 0, "integer"),
    ("double", "0.1", 0.1, "real"), ("double", "1.7976931348623157e308", 1.7976931348623157e308, "real"),
    ("double", "5e-324", 5e-324, "real"), ("double(8,2)", "2.5", 2.5, "real"),
    ("float", "0.1", 0.1, "real"), ("float", "16777217", 16777200.0, "real"), ("float", "1.17549e-38", 1.17549e-38, "real"),
    ("float", "3.40282e38", 3.40282e38, "real"), ("float(7,2)", "1.5", 1.5, "real"),
    ("decimal(10,3)", "2.5", "2.500", "decimal"), ("decimal(65,30)", "-0.000000000000000000000000000001", "-0." + "0" * 29 + "1", "decimal"),
    ("char(3)", "'a'", "a", "text"), ("varchar(20)", "'ü'", "ü", "text"), ("varchar(20)", "'💾'", "💾", "text"),
    ("varchar(20) character set latin1", "'ü€'", "ü€", "text"), ("text character set utf16", "'ü💾'", "ü💾", "text"),
    ("text collate utf8mb4_bin", "'x'", "x", "text"), ("longtext", "''", "", "text"), ("varchar(9)", "'a\\0b'", "a\0b", "text"),
    ("binary(3)", "'a'", b"a\0\0", "blob"), ("varbinary(4)", "x'00ff'", b"\x00\xff", "blob"), ("blob", "''", b"", "blob"),
    ("date", "'2026-02-28'", "2026-02-28", "date"), ("date", "'0000-00-00'", "0000-00-00", "date"),
    ("date", "'2026-02-00'", "2026-02-00", "date"),
    ("time", "'-838:59:59'", "-838:59:59", "time"), ("time(2)", "'12:34:56.789'", "12:34:56.78", "time"),
    ("time(6)", "'00:00:00'", "00:00:00.000000", "time"),
    ("datetime", "'2026-02-28 12:34:56'", "2026-02-28 12:34:56", "datetime"),
    ("datetime(6)", "'2026-02-28 12:34:56.000001'", "2026-02-28 12:34:56.000001", "datetime"),
    ("datetime(3)", "'2026-02-28'", "2026-02-28 00:00:00.000", "datetime"),
    ("datetime", "'0000-00-00'", "0000-00-00 00:00:00", "datetime"),
    ("timestamp(3) null", "'2026-02-28 12:34:56.7'", "2026-02-28 12:34:56.700", "timestamp"),
    ("enum('sad','happy')", "'happy'", "happy", "enum"), ("set('a','b','c')", "'c,a'", "a,c", "set"),
    ("json", "'{\"a\": 1}'", '{"a": 1}', "json"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "uuid"),
    ("inet6", "'::1'", "::1", "inet6"),
    ("point", "ST_GeomFromText('POINT(1 2)')", bytes.fromhex("000000000101000000000000000000f03f0000000000000040"), "blob"),
    ("int", "NULL", None, "integer"), ("text", "NULL", None, "text"), ("datetime", "NULL", None, "datetime"),
    ("bit(3)", "NULL", None, "integer"), ("double", "NULL", None, "real"), ("float", "NULL", None, "real"),
]


@pytest.fixture(scope="module")
def values(server):
    columns = ", ".join(f"c{i} {type}{'' if 'null' in type else ' NULL'}" for i, (type, _, _, _) in enumerate(VALUES))
    server.sql(f"CREATE TABLE val(k int, {columns}) ENGINE=Aria; SET sql_mode = ''; INSERT INTO val VALUES (1, "
               + ", ".join(literal for _, literal, _, _ in VALUES) + ")", "lb")


@pytest.mark.parametrize("parameters", [None, [1]], ids=["text", "prepared"])
def test_values_and_their_types(client, values, parameters):
    columns = ", ".join(f"c{i}" for i in range(len(VALUES)))
    result = on(client, f"SELECT {columns} FROM val" + (" WHERE k = ?" if parameters else ""), parameters)
    for (declared, literal, value, name), got, column in zip(VALUES, result.rows[0], result.columns):
        assert (got, type(got), column["type"]) == (value, type(value), name), (declared, literal)
        assert column["declared_type"].split("(")[0].split(" ")[0] in ("tinyint", "text", *declared.replace("(", " ").split(" ")), declared


EXPRESSIONS = [("1", 1), ("-1", -1), ("1.50", "1.50"), ("1e0", 1.0), ("'x'", "x"), ("x'00'", b"\0"), ("NULL", None), ("true", 1),
               ("18446744073709551615", 2**64 - 1), ("1/3", "0.3333"), ("CAST('2026-01-02' AS datetime(2))", "2026-01-02 00:00:00.00"),
               ("TIME'01:02:03.5'", "01:02:03.5"), ("JSON_OBJECT('a', 1)", '{"a": 1}'), ("CAST('a' AS binary)", b"a"),
               ("SUM(id)", None), ("COUNT(*)", 0), ("AVG(id)", None), ("@nix", None), ("CONCAT('a', x'ff')", None)]


@pytest.mark.parametrize("parameters", [None, [5]], ids=["text", "prepared"])
def test_expressions(client, parameters):
    where = " FROM child c LEFT JOIN parent ON false WHERE " + ("p > ?" if parameters else "p > 5")
    for sql, value in EXPRESSIONS:
        if sql.startswith(("SUM", "COUNT", "AVG")):
            assert on(client, f"SELECT {sql}{where}", parameters).rows == [[value]], sql
        elif value is not None or sql == "NULL":
            assert on(client, f"SELECT {sql}" + (" WHERE 5 = ?" if parameters else ""), parameters).rows == [[value]], sql


PARAMETERS = [-2**63, 2**63 - 1, 2**64 - 1, 0.1, 1.7976931348623157e308, "ü\n'\\", "", "a\0b", b"\x00\x01\xff", b"", True, None,
              "x" * 300_000, b"\xff" * 100_000]


@pytest.mark.parametrize("value", PARAMETERS, ids=lambda value: f"{type(value).__name__}{str(value)[:8]!r}")
def test_parameters(client, value):
    assert on(client, "SELECT ?", [value]).value == value
    assert on(client, "SELECT ?", [value]).value == value


def test_parameters_that_cannot_be_sent(client):
    assert fails(client, "SELECT :a", {"a": 1})["code"] == "bad_request"
    assert "?" in fails(client, "SELECT :a", {"a": 1})["hint"]
    error = fails(client, "SELECT ?, ?", [1])
    assert (error["code"], error["sqlstate"]) == ("bad_request", "07001") and "2 placeholders" in error["message"]
    assert fails(client, "SELECT 1", [1])["sqlstate"] == "07001"
    assert fails(client, "SELECT ?", [math.inf])["code"] == "bad_request"
    error = fails(client, "SELECT ?")
    assert (error["code"], error["hint"]) == ("syntax_error", "Give one value for each placeholder of the statement.")
    assert on(client, "SELECT 1").value == 1


def test_names_and_no_rows(client):
    result = on(client, "SELECT id, name AS `ü x`, id FROM item WHERE false")
    assert result.names == ["id", "ü x", "id"] and result.rows == []
    result = on(client, "DO 1")
    assert result.columns == [] and result.rows == []


def test_a_table_that_changes(packed, server):
    server.sql("CREATE TABLE grows(a int); INSERT INTO grows VALUES (1)", "lb")
    assert on(packed, "SELECT * FROM grows WHERE a = ?", [1]).rows == [[1]]
    server.sql("ALTER TABLE grows ADD COLUMN b varchar(5) DEFAULT 'x'", "lb")
    for _ in range(3):
        assert on(packed, "SELECT * FROM grows WHERE a = ?", [1]).rows == [[1, "x"]]
    server.sql("DROP TABLE grows", "lb")
    assert fails(packed, "SELECT * FROM grows WHERE a = ?", [1])["sqlstate"] == "42S02"


def test_no_prepared_statement_is_kept(server, start_daemon, directory):
    client = configured(start_daemon, directory, server.url(), limits="pool_connections_max = 1").connect()

    def prepared():
        return int(server.sql("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").split("\t")[1])

    before = prepared()
    server.sql("CREATE TABLE kept(a int)", "lb")
    for round in range(3):
        for i in range(8):
            assert on(client, f"SELECT {i} + ?", [round]).value == i + round
        on(client, "SELECT ?", [1], max_rows=1)
        assert fails(client, "SELECT nix + ?", [round])["sqlstate"] == "42S22"
        assert fails(client, "SELECT ?", [1, 2])["sqlstate"] == "07001"
        assert fails(client, "SELECT SLEEP(?)", [9], timeout_ms=30)["code"] == "timeout"
        for atomic in (True, False):
            client.batch([{"sql": "INSERT INTO kept VALUES (?)", "param_rows": [[1], [2], [3]]}, {"sql": "UPDATE kept SET a = a WHERE a = ?", "params": [1]},
                          {"sql": "INSERT INTO kept VALUES (ABS(?))", "param_rows": [[1], [2]]}], database="my", atomic=atomic)
            error = client.fails("batch", {"statements": [{"sql": "INSERT INTO kept VALUES (?)", "param_rows": [[1], [2**40], [3]]}], "database": "my",
                                           "atomic": atomic})
            assert (error["sqlstate"], error["row_index"]) == ("22003", 1)
    wait_until(lambda: prepared() == before, "none is kept")
    assert server.sql("SELECT COUNT(*) FROM kept", "lb") == "33"


# Streaming

ROWS = "SELECT seq, CONCAT('row number ', seq), seq * 0.5e0 FROM seq_1_to_1000000"


def test_a_million_rows_of_a_prepared_statement_in_bounded_memory(my, packed):
    """Without parameters: test_conformance.py."""
    on(packed, "SELECT 1")
    my.reset_peak()
    before = my.memory_kib("VmHWM")
    id = packed.send_query(ROWS + " WHERE seq > ?", [0], database="my")
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
    assert my.memory_kib("VmHWM") - before < 16 << 10


def test_rows_that_nobody_wants_leave_the_loop_to_others(server, start_daemon):
    daemon = start_daemon("--loops", "1", databases={"my": server.url()})
    busy, other = daemon.connect(), daemon.connect()
    on(busy, "SELECT 1"), on(other, "SELECT 1")
    id = busy.send_query("SELECT seq, 'x' FROM seq_1_to_3000000", database="my", max_rows=1)
    slowest = 0
    while not slowest or time.monotonic() - started < 0.3:
        started = started if slowest else time.monotonic()
        begin = time.monotonic()
        other.call("health_check")
        slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 0.1
    assert busy.collect(id).last["truncated"] is True


@pytest.mark.parametrize("parameters", [None, [0]], ids=["text", "prepared"])
def test_long_values(client, parameters):
    more = " WHERE 0 = ?" if parameters else ""
    assert on(client, f"SELECT REPEAT('ü', 1000000), 1{more}", parameters).rows == [["ü" * 1_000_000, 1]]


@pytest.mark.parametrize("parameters", [None, [0]], ids=["text", "prepared"])
def test_a_row_that_is_too_long(server, start_daemon, directory, mode, parameters):
    client = configured(start_daemon, directory, server.url(), limits="row_bytes_max = 1048576").connect(mode)
    more = " WHERE seq > ?" if parameters else ""
    # Refused, whatever stands before and after it.
    for value in ("REPEAT('x', 2000000)", "REPEAT(x'ff', 2000000)", "REPEAT('x', 600000), REPEAT('y', 600000)"):
        error = fails(client, f"SELECT 1, IF(seq = 9, {value.replace('),', '), 1), IF(seq = 9,')}, 1), seq FROM seq_1_to_20000{more}", parameters)
        assert error["code"] == "limit_exceeded" and "row_bytes_max" in error["message"]
        assert on(client, "SELECT 1").value == 1


def test_an_error_after_rows_of_a_prepared_statement(client):
    """Without parameters: test_conformance.py."""
    client.query("SELECT 1", database="my")
    sql = "SELECT IF(seq < 5000, seq, (SELECT 1 UNION SELECT 2)) FROM seq_1_to_6000 WHERE seq > ?"
    with pytest.raises(RequestFailed) as failure:
        on(client, sql, [0])
    assert failure.value.data["vendor_code"] == 1242
    assert on(client, "SELECT 1").value == 1


# Errors

ERRORS = [
    ("SELEC 1", "syntax_error", "42000", 1064, 0), ("SELECT 'ü' FRM x", "syntax_error", "42000", 1064, 16),
    ("SELECT 1\nFROM item\nWHER 1", "syntax_error", "42000", 1064, 24), ("SELECT (1", "syntax_error", "42000", 1064, 9),
    ("(SELECT 1", "syntax_error", "42000", 1064, 9),
    ("SELECT nix", "syntax_error", "42S22", 1054, None), ("SELECT * FROM nowhere", "syntax_error", "42S02", 1146, None),
    ("SELECT 1; SELECT 2", "syntax_error", "42000", 1064, 10),
    ("INSERT INTO item VALUES (1, NULL, 0)", "constraint_violation", "23000", 1048, None),
    ("INSERT INTO item VALUES (1, 'a', -1)", "constraint_violation", "23000", 4025, None),
    ("INSERT INTO child VALUES (77)", "constraint_violation", "23000", 1452, None),
    ("INSERT INTO pairs VALUES (1, 1)", "constraint_violation", "23000", 1062, None),
    ("INSERT INTO item(id) VALUES (5)", "constraint_violation", "23502", 1364, None),
    ("CREATE TABLE item(a int)", "database_error", "42S01", 1050, None),
    ("INSERT INTO counter VALUES ('x')", "database_error", "22007", 1366, None), ("", "bad_request", "42601", None, None), ("/* x */ -- y", "bad_request", "42601", None, None),
    ("SELECT * FROM mysql.user", "permission_denied", "42501", 1142, None),
    ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE counter", "database_error", None, 4166, None),
]


@pytest.mark.parametrize("sql,code,sqlstate,number,offset", ERRORS)
def test_errors(client, sql, code, sqlstate, number, offset):
    error = fails(client, sql)
    assert (error["code"], error.get("vendor_code")) == (code, number), error
    assert len(error["sqlstate"]) == 5 and sqlstate in (None, error["sqlstate"])
    assert error["message"][0].isupper()
    if offset is not None:
        assert error["position"]["offset"] == offset
    assert on(client, "SELECT 1").value == 1


@pytest.mark.parametrize("sql", ["/*!99999 SELECT 1, */ START /*!99999 x */ TRANSACTION", "BEGIN NOT ATOMIC START TRANSACTION; END"])
def test_a_transaction_that_is_left_open_is_found(client, server, sql):
    assert fails(client, sql)["code"] == "needs_session"
    assert on(client, "SELECT @@in_transaction").value == 0


def test_a_statement_that_is_too_long_for_the_server(server, start_daemon):
    small = MariaDB(max_allowed_packet="1M")
    try:
        client = start_daemon(databases={"my": small.url()}).connect()
        for sql, parameters in (("SELECT LENGTH('" + "x" * 1_100_000 + "')", None), ("SELECT LENGTH(?)", ["x" * 1_100_000])):
            error = fails(client, sql, parameters)
            assert error["code"] == "limit_exceeded" and "max_allowed_packet" in error["hint"]
            assert error["limit"]["value"] == 1 << 20
        session = client.session(database="my")
        client.query("BEGIN", session=session)
        assert client.query_fails("SELECT ?", ["x" * 1_100_000], session=session)["transaction"] == "active"
        assert client.query("SELECT LENGTH(?)", ["x" * 1_000_000], session=session).value == 1_000_000
        # What the server's own functions make too long is its to refuse.
        assert on(client, "SELECT LENGTH(REPEAT('x', 2000000))").value is None
    finally:
        small.discard()


def test_describe(client):
    data = client.call("describe", {"sql": "SELECT id, name FROM item WHERE id = ?", "database": "my"}).data
    assert [(c["name"], c["type"], c["declared_type"]) for c in data["columns"]] == [("id", "integer", "int"), ("name", "text", "varchar")]


# Procedures: the first rows are the client's, the rest is read and dropped.

@pytest.mark.parametrize("parameters", [None, [1]], ids=["text", "prepared"])
def test_procedures(client, parameters):
    if parameters:
        result = on(client, "CALL doubled(?, @y)", parameters)
        assert (result.names, result.rows) == (["x"], [[1]])
    else:
        result = on(client, "CALL two()")
        assert (result.names, result.rows) == (["a"], [[1]])
        error = fails(client, "CALL breaks()")
        assert error["code"] == "syntax_error" and error["vendor_code"] in (1146, 1054)
    for _ in range(3):
        assert on(client, "SELECT 1").value == 1


# Sessions and batches

def test_what_a_statement_changed(packed):
    assert on(packed, "UPDATE counter SET n = n").last["rows_affected"] == 1
    result = on(packed, "INSERT INTO auto(x) VALUES (1), (2)")
    first = result.last["last_insert_id"]
    assert result.last["rows_affected"] == 2
    assert on(packed, "INSERT INTO auto(x) VALUES (?)", [3]).last["last_insert_id"] == first + 2
    result = on(packed, "INSERT INTO auto(x) VALUES (?), (?) RETURNING id, x", [4, 5])
    assert result.rows == [[first + 3, 4], [first + 4, 5]] and result.last["rows_affected"] == 2
    assert on(packed, "SELECT 1").last.get("last_insert_id") is None


def test_a_session_leaves_nothing_behind(server, start_daemon, directory):
    packed = configured(start_daemon, directory, server.url(), limits="pool_connections_max = 1").connect()
    session = packed.session(database="my")
    for sql in ("CREATE TEMPORARY TABLE mine(a int)", "SET @mine = 1, sql_mode = 'ANSI', NAMES latin1", "SELECT GET_LOCK('lb', 1)",
                "PREPARE p FROM 'SELECT 1'", "LOCK TABLES counter WRITE", "USE information_schema"):
        packed.query(sql, session=session)
    backend = packed.query("SELECT CONNECTION_ID()", session=session).value
    packed.call("db_disconnect", {"session": session})
    # The same connection, as good as new.
    assert on(packed, "SELECT CONNECTION_ID()").value == backend
    row = on(packed, "SELECT @mine, @@sql_mode LIKE '%ANSI%', IS_FREE_LOCK('lb'), @@character_set_results, 'ü', @@in_transaction").rows[0]
    assert row == [None, 0, 1, "utf8mb4", "ü", 0]
    assert fails(packed, "SELECT * FROM lb.mine")["sqlstate"] == "42S02"
    assert server.sql("UPDATE lb.counter SET n = n; SELECT 1") == "1"


def test_a_statement_that_changes_its_connection_is_cleared_after(server, start_daemon, directory):
    packed = configured(start_daemon, directory, server.url(), limits="pool_connections_max = 1").connect()
    on(packed, "BEGIN NOT ATOMIC SET @mine = 5; SET SESSION sql_mode = 'ANSI'; END")
    assert on(packed, "SELECT @mine, @@sql_mode LIKE '%ANSI%'").rows == [[None, 0]]


def test_a_batch_that_a_procedure_commits(packed, server):
    server.sql("UPDATE lb.counter SET n = 0")
    error = packed.fails("batch", {"statements": [{"sql": "CALL escapes()"}, {"sql": "SELECT 1"}], "database": "my"})
    assert (error["code"], error["statement_index"]) == ("database_error", 0) and "committed" in error["message"]
    server.sql("UPDATE lb.counter SET n = 0")


@pytest.mark.parametrize("sql", ["CREATE TABLE x(a int)", "TRUNCATE counter"])
def test_what_commits_by_itself_is_no_part_of_a_batch(packed, server, sql):
    before = server.sql("SELECT n FROM lb.counter")
    error = packed.fails("batch", {"statements": [{"sql": "UPDATE counter SET n = 8"}, {"sql": sql}], "database": "my"})
    assert (error["code"], error["statement_index"]) == ("bad_request", 1)
    assert server.sql("SELECT n FROM lb.counter") == before
    data = packed.batch([{"sql": "CREATE TABLE made(a int)"}, {"sql": "INSERT INTO made VALUES (?)", "param_rows": [[1], [2]]},
                         {"sql": "DROP TABLE made"}], atomic=False, database="my").data
    assert [result["rows_affected"] for result in data["results"]] == [0, 2, 0]


def test_the_last_id_of_a_batch(packed):
    data = packed.batch([{"sql": "INSERT INTO auto(x) VALUES (?)", "param_rows": [[1], [2]]}], database="my").data
    assert data["results"][0]["last_insert_id"] > 1


# How many each leaves. Of rows that come by the binary protocol the client library does not say it.
WARNING = [("INSERT INTO short VALUES ('abcd'), ('efgh'), ('i')", "INSERT INTO short VALUES (?), (?), (?)", ["abcd", "efgh", "i"], 2),
           ("SELECT x, 1 / 0 FROM short", "SELECT x, ? / 0 FROM short", [1], 3), ("SELECT x FROM short", "SELECT x, ? FROM short", [1], 0),
           ("UPDATE short SET x = 'abcd' WHERE x = 'i'", "UPDATE short SET x = ? WHERE x = 'i'", ["abcd"], 1),
           ("SELECT x FROM short", "SELECT x, ? FROM short", [1], 0), ("DELETE FROM short", "DELETE FROM short WHERE 1 = ?", [1], 0)]


@pytest.mark.parametrize("prepared", [False, True], ids=["text", "prepared"])
def test_warnings_are_counted_and_kept(packed, prepared):
    session = packed.session(database="my")
    packed.query("SET SESSION sql_mode = 'ERROR_FOR_DIVISION_BY_ZERO'", session=session)
    for text, statement, params, count in WARNING:
        done = packed.query(*([statement, params] if prepared else [text]), session=session)
        told = None if prepared and done.columns else count or None
        assert done.last.get("warning_count") == told, (text, done.last)
        assert packed.query("SELECT @@warning_count", session=session).value == count, text
        # Nothing that the daemon does in between is seen; a warning is of one statement.
        assert len(packed.query("SHOW WARNINGS", session=session).rows) == count, text
        assert len(packed.query("SHOW WARNINGS", session=session).rows) == count, text


def test_warnings_of_reading_and_of_batches(packed):
    assert on(packed, "SELECT 1 / 0").last["warning_count"] == 1
    session = packed.session(database="my", read_only=True)
    assert packed.query("SELECT 1 / 0", session=session).last["warning_count"] == 1
    assert len(packed.query("SHOW WARNINGS", session=session).rows) == 1
    rows = [["abcd"], ["e"], ["fghi"]]
    results = packed.batch([{"sql": "INSERT IGNORE INTO short VALUES ('abcd')"}, {"sql": "DELETE FROM short"},
                            {"sql": "INSERT IGNORE INTO short VALUES (?)", "param_rows": rows}], database="my").data["results"]
    assert [result.get("warning_count") for result in results] == [1, None, 2]


def test_a_commit_behind_what_ended_the_transaction(my, server, packed):
    """A deadlock ends it; what is sent behind that is committed by itself, and COMMIT finds nothing."""
    server.sql("UPDATE lb.pairs SET b = 0")

    def victim(first):
        """A session whose transaction was ended by a deadlock."""
        one, other = packed.session(database="my"), packed.session(database="my")
        packed.query(first, session=one)
        packed.query("BEGIN", session=other)
        packed.query("UPDATE pairs SET b = 7 WHERE a = 1", session=one)
        # Who has changed more goes on.
        packed.query("INSERT INTO auto(x) SELECT seq FROM seq_1_to_50", session=other)
        packed.query("UPDATE pairs SET b = 0 WHERE a = 2", session=other)
        id = packed.send_query("UPDATE pairs SET b = 0 WHERE a = 1", session=other)
        wait_until(server.busy, "it waits")
        error = packed.query_fails("UPDATE pairs SET b = 7 WHERE a = 2", session=one)
        assert (error["vendor_code"], error["transaction"]) == (1213, "none"), error
        packed.collect(id)
        packed.call("db_disconnect", {"session": other})
        return one

    def commit(session):
        try:
            return packed.query("COMMIT", session=session).transaction
        except RequestFailed as failure:
            return failure.code

    assert commit(victim("BEGIN")) == "transaction_rolled_back"
    for between, told in [("UPDATE counter SET n = n", "transaction_rolled_back"), ("SELECT 1", "transaction_rolled_back"), ("ROLLBACK", "none"),
                          ("SAVEPOINT a", "transaction_rolled_back"), ("BEGIN", "none")]:
        session = victim("START TRANSACTION")
        packed.query(between, session=session)
        assert commit(session) == told, between
        assert commit(session) == "none"
        packed.call("db_disconnect", {"session": session})
    # Without autocommit the next statement begins another one, which is committed.
    session = victim("SET autocommit = 0")
    packed.query("UPDATE pairs SET b = 3 WHERE a = 1", session=session)
    assert commit(session) == "none" and server.sql("SELECT b FROM lb.pairs WHERE a = 1") == "3"
    # What ends a transaction by itself has committed it, also where it fails.
    session = packed.session(database="my")
    packed.query("BEGIN", session=session)
    packed.query("UPDATE pairs SET b = 4 WHERE a = 1", session=session)
    assert packed.query_fails("CREATE TABLE pairs(a int)", session=session)["transaction"] == "none"
    assert commit(session) == "none" and server.sql("SELECT b FROM lb.pairs WHERE a = 1") == "4"


def test_transactions_that_begin_by_themselves(packed, server):
    session = packed.session(database="my")
    before = server.sql("SELECT n FROM lb.counter")
    packed.query("SET autocommit = 0", session=session)
    assert packed.query("UPDATE counter SET n = n + 1", session=session).transaction == "active"
    packed.call("db_disconnect", {"session": session})
    assert server.sql("SELECT n FROM lb.counter") == before
    assert on(packed, "SELECT @@autocommit").value == 1


# Who may do what, and what is never shown

@pytest.mark.parametrize("bad", ["@x@h/d", "/y@h/d", "%zz@h/d", "#@h/d"])
def test_no_password_of_a_url_that_is_not_understood(directory, bad):
    status, output = run_to_end("--check-config", "--database", f"a=mysql://u:{SECRET}{bad}", directory=directory)
    assert status != 0 and SECRET not in output


BAD_URLS = ["mysql://h:0/d", "mysql://h:x/d", "mysql://h:70000/d", "mysql://a/d?nix=1", "mysql://a/d?ssl-mode=verify-ca", "mysql:/d",
            "mysql://a/d?ssl-cert=/x", "mysql://[::1/d", "mysql://a,/d", "mysql://a/d?socket=/x", "mysql:///d?socket=x",
            "mysql://a/d?ssl-mode=disabled&ssl-ca=/x", "mysql://a/d?ssl-ca=/x&ssl-ca=/y", "mariadb://a/%ff"]


@pytest.mark.parametrize("url", BAD_URLS)
def test_urls_that_are_refused(directory, url):
    status, output = run_to_end("--check-config", "--database", f"a={url}", directory=directory)
    assert status != 0 and "URL" in output


def test_the_password_file(server, start_daemon, directory):
    server.sql(f"CREATE USER IF NOT EXISTS secret@localhost IDENTIFIED BY '{SECRET}'; GRANT ALL ON lb.* TO secret@localhost")
    client = start_daemon(databases={"my": server.url(user="secret", password=SECRET)}).connect()
    assert on(client, "SELECT CURRENT_USER()").value == "secret@localhost"
    client = start_daemon(databases={"my": server.url(user="secret", password="wrong")}).connect()
    error = fails(client, "SELECT 1")
    assert (error["code"], error["vendor_code"], error["sqlstate"], error.get("retryable")) == ("connect_failed", 1045, "28000", None)


def test_the_role_that_the_documentation_grants(server, start_daemon, directory):
    client = configured(start_daemon, directory, server.url(user="reader"), 'access = "read_only"').connect()
    assert on(client, "SELECT n FROM counter").rows and on(client, "SHOW CREATE TABLE item").rows
    assert fails(client, "SELECT 1 INTO OUTFILE '/tmp/lb-outfile'")["code"] == "permission_denied"


@pytest.mark.parametrize("sql", ["x", "x / 3", "x * 1.1", "AVG(x)", "SUM(x) / 7", "CAST(x AS double(12,4)) / 3", "-x / 3", "CAST(NULL AS double(9,2))",
                                 "CAST(1e300 AS double) / 3", "ROUND(x / 7, 2)", "y / 3", "1e15 / 7 + x * 0"])
def test_numbers_with_a_fixed_point_are_the_same_by_both_protocols(server, packed, sql):
    server.sql("CREATE OR REPLACE TABLE fixed(x double(10,3), y double); INSERT INTO fixed VALUES (1.2345, 0.1), (1.0005, 2e20)", "lb")
    group = "" if "(x)" in sql else "GROUP BY x ORDER BY x"
    text = packed.query(f"SELECT {sql} FROM fixed WHERE 1 = 1 {group}", database="my")
    prepared = packed.query(f"SELECT {sql} FROM fixed WHERE 1 = ? {group}", [1], database="my")
    assert text.rows == prepared.rows and len(text.rows) >= 1
    shown = server.sql(f"SELECT {sql} FROM fixed {group}", "lb").split("\n")
    assert [None if value == "NULL" else float(value) for value in shown] == [row[0] for row in prepared.rows]


@pytest.mark.parametrize("count", [1, 10])
def test_calls_that_wait_for_a_connection_are_all_answered(server, start_daemon, directory, count):
    """A connection is cleared behind each, and the next one may begin and end before the first is answered. The first was forgotten then."""
    packed = configured(start_daemon, directory, server.url(), limits=f"pool_connections_max = {count}").connect()
    for _ in range(10):
        ids = [packed.send_query("CALL two()", database="my") for _ in range(40)]
        assert [packed.collect(id).value for id in ids] == [1] * len(ids)
