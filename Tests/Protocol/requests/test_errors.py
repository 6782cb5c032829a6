"""Every error of the protocol, and every wrong flag, file, URL and statement: one table each.

A row says what to send and what must come back. Codes that need a situation rather than a bad input
(`cancelled`, `timeout`, `shutting_down`, …) have a function of their own below, or a file of their own.
"Guess" in a comment marks what the protocol page does not say.
"""

import os
import re
import sqlite3
import threading

import pytest

from daemon import ENDLESS, run_to_end, wait_until

CODES = {"bad_frame", "target_not_found", "frame_too_large", "bad_request", "unknown_type", "permission_denied", "database_not_found",
         "session_not_found", "needs_session", "connect_failed", "driver_missing", "syntax_error", "constraint_violation",
         "read_only", "database_error", "busy", "timeout", "cancelled", "limit_exceeded", "shutting_down", "outcome_unknown",
         "configuration_invalid", "transaction_rolled_back", "internal"}
FROM_THE_DATABASE = {"syntax_error", "constraint_violation", "read_only", "database_error", "busy"}
FIELDS = {"code", "message", "detail", "hint", "sqlstate", "vendor_code", "position", "statement_index", "row_index",
          "retryable", "retry_after_ms", "transaction", "holder", "limit"}
SECRET = "correct-horse-battery-staple"


def check_shape(error):
    """What every error owes, whatever it is about."""
    assert error["code"] in CODES
    assert set(error) <= FIELDS, f"unknown fields: {set(error) - FIELDS}"
    message = error["message"]
    assert isinstance(message, str) and len(message) >= 8 and "\n" not in message, f"one sentence: {message!r}"
    assert not re.search(r"Optional\(|Error\.|rawValue|\(\w+: |0x[0-9a-f]{6}", message), f"not for a person: {message!r}"
    for field in ("hint", "detail"):
        assert error.get(field) is None or error[field].strip(), f"an empty {field}"
    if error["code"] in FROM_THE_DATABASE:
        assert re.fullmatch(r"[0-9A-Z]{5}", error["sqlstate"]), "every database error has an SQLSTATE"
    if error.get("position") is not None:
        position = error["position"]
        assert set(position) == {"offset", "line", "column"}
        assert position["offset"] >= 0 and position["line"] >= 1 and position["column"] >= 1


# Wrong SQL. Columns: sql, code, SQLSTATE (a regular expression), vendor code, word in the message.
# Guess: the SQLSTATE is PostgreSQL's for the same mistake.

SCHEMA = [
    "CREATE TABLE e_parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER CHECK (age >= 0), need TEXT NOT NULL DEFAULT 'x')",
    "CREATE TABLE e_child(id INTEGER PRIMARY KEY, parent REFERENCES e_parent(id))",
    "CREATE TABLE e_strict(n INTEGER) STRICT",
    "CREATE TABLE e_rowid(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID",
    "INSERT INTO e_parent(id, name) VALUES (1, 'taken')",
    "INSERT INTO e_rowid VALUES (1, 1)",
    "CREATE TRIGGER e_trigger BEFORE DELETE ON e_parent BEGIN SELECT RAISE(ABORT, 'never delete a parent'); END",
]

SQL_ERRORS = [
    ("SELEC 1", "syntax_error", "42601", 1, "SELEC"),
    ("SELECT FROM WHERE", "syntax_error", "42601", 1, "FROM"),
    ("SELECT (1", "syntax_error", "42601", 1, "incomplete"),
    ("SELECT 'unfinished", "syntax_error", "42601", 1, "unfinished"),
    ("SELECT 1 FROM", "syntax_error", "42601", 1, "incomplete"),
    ("SELECT #", "syntax_error", "42601", 1, "#"),
    ("INSERT INTO e_parent VALUES", "syntax_error", "42601", 1, ""),
    ("SELECT * FROM no_such_table", "syntax_error", "42P01", 1, "no_such_table"),
    ("DROP TABLE no_such_table", "syntax_error", "42P01", 1, "no_such_table"),
    ("SELECT no_such_column FROM e_parent", "syntax_error", "42703", 1, "no_such_column"),
    ("INSERT INTO e_parent(no_such_column) VALUES (1)", "syntax_error", "42703", 1, "no_such_column"),
    ("SELECT no_such_function(1)", "syntax_error", "42883", 1, "no_such_function"),
    ("SELECT abs(1, 2)", "syntax_error", "42...", 1, "abs"),
    ("SELECT abs(-9223372036854775807 - 1)", "database_error", "22003", 1, "overflow"),
    ("CREATE TABLE e_parent(x)", "database_error", "42P07", 1, "e_parent"),
    ("CREATE TABLE twice(a, a)", "database_error", "42...", 1, "a"),
    ("SELECT id FROM e_parent, e_child", "syntax_error", "42702", 1, "id"),
    ("INSERT INTO e_parent VALUES (1)", "syntax_error", "42...", 1, "columns"),
    ("SELECT 1 UNION SELECT 1, 2", "syntax_error", "42...", 1, "columns"),
    ("SELECT 1 ORDER BY 5", "syntax_error", "42...", 1, "ORDER BY"),
    ("SELECT max(sum(id)) FROM e_parent", "syntax_error", "42...", 1, "aggregate"),
    ("SELECT json('{')", "database_error", ".....", 1, "JSON"),
    ("INSERT INTO e_parent(id) VALUES (1)", "constraint_violation", "23505", 1555, "e_parent.id"),
    ("INSERT INTO e_parent(name) VALUES ('taken')", "constraint_violation", "23505", 2067, "e_parent.name"),
    ("INSERT INTO e_rowid VALUES (1, 1)", "constraint_violation", "23505", 1555, "e_rowid"),
    ("INSERT INTO e_parent(need) VALUES (NULL)", "constraint_violation", "23502", 1299, "e_parent.need"),
    ("INSERT INTO e_parent(age) VALUES (-1)", "constraint_violation", "23514", 275, ""),
    ("INSERT INTO e_child(parent) VALUES (99)", "constraint_violation", "23503", 787, ""),
    ("DELETE FROM e_parent", "constraint_violation", "23...|P0001", 1811, "never delete a parent"),
    ("INSERT INTO e_strict VALUES ('text')", "constraint_violation", "23514", 3091, "e_strict"),
    ("INSERT INTO e_parent(id) VALUES ('text')", "database_error", ".....", 20, "mismatch"),
    ("SELECT zeroblob(3000000000)", ("database_error", "limit_exceeded"), "54000|.....", 18, ""),
    ("SELECT " + "(" * 2000 + "1" + ")" * 2000, ("syntax_error", "database_error", "limit_exceeded"), ".....", 1, ""),
    ("SELECT " + "1+" * 2000 + "1", ("database_error", "limit_exceeded"), ".....", 1, ""),
    ("SELECT " + ",".join("1" * 2001), ("database_error", "limit_exceeded"), ".....", 1, "columns"),
    ("PRAGMA integrity_check(", "syntax_error", "42601", 1, ""),
    ("DETACH no_such_database", ("database_error", "needs_session"), ".....", 1, ""),
    ("SELECT load_extension('x')", ("database_error", "permission_denied"), ".....", None, ""),
]


@pytest.fixture(scope="module")
def schema(daemon):
    client = daemon.connect()
    for sql in SCHEMA:
        client.query(sql)


@pytest.mark.parametrize("sql, code, sqlstate, vendor_code, word", SQL_ERRORS, ids=lambda value: str(value)[:50])
def test_wrong_sql(client, schema, sql, code, sqlstate, vendor_code, word):
    error = client.query_fails(sql)
    check_shape(error)
    assert not error.get("retryable"), "another try of a wrong statement never helps"
    assert error["code"] in ([code] if isinstance(code, str) else code)
    if error["code"] in FROM_THE_DATABASE:
        assert re.fullmatch(sqlstate, error["sqlstate"])
        if vendor_code is not None:
            assert error["vendor_code"] == vendor_code
    assert word.lower() in (error["message"] + str(error.get("detail"))).lower()
    assert len(error["message"]) < 500
    client.settle()


# Where in the text. Guess: the offset counts bytes from 0; line and column count from 1.


@pytest.mark.parametrize("sql, offset, line, column", [
    ("SELEC 1", 0, 1, 1),
    ("SELECT 1 FRM x y", 13, 1, 14),
    ("SELECT 1,\n  FROM t", 12, 2, 3),
    ("SELECT\n\n\n  no_such_column_here", 11, 4, 3),
    ("SELECT 1\r\nFROM WHERE", 15, 2, 6),
    ("-- first\nSELECT * FROM\n   WHERE", 26, 3, 4),
], ids=repr)
def test_position(client, sql, offset, line, column):
    position = client.query_fails(sql)["position"]
    assert (position["line"], position["column"], position["offset"]) == (line, column, offset)


def test_position_after_text_that_is_not_ascii(client):
    """Guess: a column counts characters, as an editor does; an offset counts bytes of UTF-8."""
    position = client.query_fails("SELECT 'é😀', FROM t")["position"]
    assert (position["line"], position["column"], position["offset"]) == (1, 14, 17)


def test_position_within_a_batch(client):
    error = client.fails("batch", {"statements": [{"sql": "SELECT 1"}, {"sql": "SELECT 1,\n FROM t"}]})
    check_shape(error)
    assert (error["statement_index"], error["position"]["line"], error["position"]["column"]) == (1, 2, 2)


# Wrong requests. Columns: type, data, codes, whether a hint is owed.

REQUEST_ERRORS = [
    ("no_such_type", None, "unknown_type", True),
    ("Query", {"sql": "SELECT 1"}, "unknown_type", True),
    ("query", None, "bad_request", False),
    ("query", {}, "bad_request", False),
    ("query", {"sql": 1}, "bad_request", False),
    ("query", {"sql": "SELECT ?", "params": [1, 2]}, "bad_request", False),
    ("query", {"sql": "SELECT 1", "database": "nowhere"}, "database_not_found", True),
    ("query", {"sql": "SELECT 1", "session": "nothing"}, "session_not_found", True),
    ("query", {"sql": "BEGIN"}, "needs_session", True),
    ("query", {"sql": "SAVEPOINT x"}, "needs_session", True),
    ("query", {"sql": "DELETE FROM fixed", "database": "sealed"}, "read_only", False),
    ("batch", None, "bad_request", False),
    ("batch", {"statements": 5}, "bad_request", False),
    ("describe", None, "bad_request", False),
    ("describe", {"sql": "SELEC"}, "syntax_error", False),
    ("fetch", None, "bad_request", False),
    ("cancel", None, "bad_request", False),
    ("db_disconnect", None, "bad_request", False),
    ("db_disconnect", {"session": "nothing"}, "session_not_found", True),
    ("db_connect", {"database": "nowhere"}, "database_not_found", True),
    ("db_connect", {"url": "sqlite:/no/such/directory/file.db"}, "connect_failed", False),
    ("db_connect", {"url": "sqlite:/etc/hostname?mode=ro"}, "connect_failed|database_error", False),
    ("db_connect", {"url": "sqlite:/dev/null/x"}, "connect_failed", False),
    ("db_connect", {"url": "sqlite:relative.db?mode=ro"}, "connect_failed|bad_request", False),
    ("db_connect", {"url": "postgresql:///x"}, "driver_missing|connect_failed|bad_request", True),
    ("db_connect", {"url": "mysql://localhost/x"}, "driver_missing|connect_failed|bad_request", True),
    ("db_connect", {"url": "redis://localhost/0"}, "driver_missing|connect_failed|bad_request", True),
    ("db_connect", {"url": "gopher://localhost/"}, "driver_missing|bad_request", True),
    ("hello", {"protocol": [99]}, "bad_request", False),
    ("hello", {"protocol": "1"}, "bad_request", False),
]


@pytest.mark.parametrize("type, data, codes, hint", REQUEST_ERRORS, ids=lambda value: str(value)[:60])
def test_wrong_request(client, type, data, codes, hint):
    error = client.fails(type, data)
    check_shape(error)
    assert error["code"] in codes.split("|")
    if hint:
        assert error.get("hint"), f"no hint in {error}"
    client.settle()


def test_every_code_in_the_log_of_stats_is_documented(daemon, client):
    """Nothing of all this was an `internal` error, and no code is outside the protocol page."""
    client.query_fails("SELEC")
    stats = client.call("stats").data
    errors = next(value for key, value in stats.items() if "error" in key and isinstance(value, dict))
    assert set(errors) <= CODES
    assert not errors.get("internal")


# Situations


@pytest.mark.slow
def test_busy_by_another_program(daemon, client):
    """Another program holds the file's write lock: `busy`, and worth another try."""
    path = daemon.directory / "second.db"
    client.query("CREATE TABLE IF NOT EXISTS t(x)", database="second")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        error = client.query_fails("INSERT INTO t VALUES (1)", database="second", timeout_ms=25_000)
    finally:
        other.execute("ROLLBACK")
        other.close()
    check_shape(error)
    assert error["code"] == "busy"
    assert error["retryable"] is True
    assert error["vendor_code"] & 0xff in (5, 6)
    assert client.query("INSERT INTO t VALUES (1)", database="second").last["rows_affected"] == 1


@pytest.mark.slow
def test_busy_names_the_holder(daemon, client, table):
    """A lock that another session of this daemon holds: the error says whose process that is."""
    client.query(f"CREATE TABLE {table}(x)")
    holder = daemon.connect()
    session = holder.session()
    holder.query("BEGIN IMMEDIATE", session=session)
    holder.query(f"INSERT INTO {table} VALUES (1)", session=session)
    error = client.query_fails("BEGIN IMMEDIATE", session=client.session(), timeout_ms=25_000)
    check_shape(error)
    assert error["code"] == "busy"
    assert (error["holder"]["uid"], error["holder"]["pid"]) == (os.getuid(), os.getpid())
    assert error["holder"]["since_ms"] >= 0
    holder.query("ROLLBACK", session=session)
    assert client.query(f"INSERT INTO {table} VALUES (2)").last["rows_affected"] == 1


def test_a_writer_waits_for_a_short_lock(daemon, client, table):
    """A lock held for a moment is waited for, not reported."""
    client.query(f"CREATE TABLE {table}(x)")
    holder = daemon.connect()
    session = holder.session()
    holder.query("BEGIN IMMEDIATE", session=session)
    id = client.send_query(f"INSERT INTO {table} VALUES (1)")
    timer = threading.Timer(0.3, lambda: holder.query("COMMIT", session=session))
    timer.start()
    assert client.collect(id).last["rows_affected"] == 1
    timer.join()


def test_lost_snapshot_is_busy(daemon, client, table):
    """A reader that wants to write after another wrote: SQLITE_BUSY_SNAPSHOT, at once, and retryable."""
    client.query(f"CREATE TABLE {table}(x)")
    session = client.session()
    client.query("BEGIN", session=session)
    client.query(f"SELECT * FROM {table}", session=session)
    daemon.connect().query(f"INSERT INTO {table} VALUES (1)")
    error = client.query_fails(f"INSERT INTO {table} VALUES (2)", session=session)
    check_shape(error)
    assert (error["code"], error["vendor_code"], error["retryable"]) == ("busy", 517, True)


def test_timeout_and_cancelled_have_the_shape(client):
    error = client.query_fails(ENDLESS, timeout_ms=50)
    check_shape(error)
    assert error["code"] == "timeout"
    id = client.send_query(ENDLESS)
    client.call("cancel", {"request": id})
    error = client.receive_for(id).data
    check_shape(error)
    assert error["code"] == "cancelled"


def test_too_many_sessions(daemon, client):
    """A limit is an error that says so, and giving one back makes room."""
    sessions = []
    for _ in range(5000):
        id = client.send("db_connect", {"database": "default"})
        reply = client.receive_for(id)
        if reply.type == "error":
            break
        sessions.append(reply.data["session"])
    check_shape(reply.data)
    assert reply.data["code"] == "limit_exceeded"
    assert reply.data["hint"]
    client.call("db_disconnect", {"session": sessions.pop()})
    assert client.session()
    assert daemon.connect().session(), "another connection has its own share"


@pytest.mark.slow
def test_too_many_requests_in_flight(daemon, client):
    """Endless statements beyond requests_in_flight_max: the daemon stops reading from that connection, serves the
    others, and stops everything when the connection is closed."""
    other = daemon.connect(client.mode)
    # On a busy machine a moment without room in the socket does not mean that the daemon has stopped reading.
    client.socket.settimeout(0.1)
    for _ in range(200):
        with pytest.raises(TimeoutError):
            for _ in range(30_000):
                client.send_query(ENDLESS)
        if other.call("stats").data["requests_in_flight"] == 1024:
            break
    assert other.query("SELECT 1").rows == [[1]]
    wait_until(lambda: other.call("stats").data["requests_in_flight"] == 1024, "as many as may be", timeout=20)
    client.close()
    wait_until(lambda: other.call("stats").data["requests_in_flight"] == 0, "everything is stopped", timeout=20)
    assert other.query("SELECT 1").rows == [[1]]


def test_corrupt_database(daemon, client, directory):
    """A file whose pages are garbage: a database error with its SQLSTATE, and the daemon lives."""
    path = directory / "corrupt.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t(x)")
        database.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 200)
    database.close()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(16 * 4096))
    session = client.session(url=f"sqlite:{path}?mode=ro")
    error = client.query_fails("SELECT count(*), max(x) FROM t", session=session)
    check_shape(error)
    assert (error["code"], error["vendor_code"] & 0xff) == ("database_error", 11)
    client.settle()


# Secrets


def test_parameter_values_stay_out_of_messages_and_log(daemon, client, schema):
    """Neither an error nor the log at `debug` repeats a parameter's value."""
    cases = [("INSERT INTO e_parent(name, age) VALUES (?, -1)", [SECRET]), ("INSERT INTO e_parent(need) VALUES (?)", [None]),
             ("INSERT INTO e_strict VALUES (?)", [SECRET]), ("SELECT json(?)", [SECRET + "{"]),
             ("INSERT INTO e_parent(id) VALUES (?)", [SECRET]), ("SELECT ?, ?", [SECRET]), ("SELECT :a", {"surplus": SECRET, "a": SECRET}),
             ("SELEC ?", [SECRET]), ("SELECT 1 WHERE ? MATCH ?", [SECRET, SECRET])]
    for sql, params in cases:
        error = client.query_fails(sql, params)
        assert SECRET not in str(error), sql
    error = client.fails("batch", {"statements": [{"sql": "INSERT INTO e_strict VALUES (?)", "param_rows": [[1], [SECRET]]}]})
    assert SECRET not in str(error)
    assert client.query("SELECT ?", [SECRET]).value == SECRET
    client.settle()
    logged = [line for line in daemon.log().splitlines() if SECRET in line]
    assert not logged, logged[:3]


@pytest.mark.parametrize("url", [f"postgresql://someone:{SECRET}@localhost/x", f"mysql://someone:{SECRET}@localhost:3306/x",
                                 f"redis://:{SECRET}@localhost/0", f"gopher://someone:{SECRET}@localhost/",
                                 f"sqlite:/no/such/directory/x.db?key={SECRET}", f"postgresql://localhost/x?password={SECRET}",
                                 f"postgresql://someone:{SECRET}@[::1/x"], ids=lambda value: value.split(":")[0] + str(len(value)))
def test_passwords_in_urls_stay_out_of_messages_and_log(daemon, client, url):
    error = client.fails("db_connect", {"url": url})
    check_shape(error)
    assert SECRET not in str(error)
    assert SECRET not in str(client.call("list_databases").data)
    assert SECRET not in daemon.log()


# Wrong flags and files. Exit statuses by sysexits(3).

USAGE, DATA, NO_INPUT, UNAVAILABLE, SOFTWARE, OS_ERROR, CANNOT_CREATE, NO_PERMISSION, CONFIG = 64, 65, 66, 69, 70, 71, 73, 77, 78

COMMAND_LINE_ERRORS = [
    (["--no-such-flag"], [USAGE], "no-such-flag"),
    (["-z"], [USAGE], "-z"),
    (["stray"], [USAGE], "stray"),
    (["--socket"], [USAGE], "socket"),
    (["--socket="], [USAGE], "socket"),
    (["--port", "many"], [USAGE], "many"),
    (["--port", "70000"], [USAGE], "port"),
    (["--port", "-1"], [USAGE], "port"),
    (["--log-level", "loud"], [USAGE], "loud"),
    (["--listen", "nowhere"], [USAGE], "nowhere"),
    (["--socket-mode", "9"], [USAGE], "9"),
    (["--socket-mode", "rw"], [USAGE], "rw"),
    (["--socket-mode", "7777777"], [USAGE], "7777777"),
    (["--socket-group", "no-such-group-here"], [USAGE, 67, CONFIG], "no-such-group-here"),
    (["--idle-exit", "soon"], [USAGE], "soon"),
    (["--idle-exit", "-5"], [USAGE], "idle-exit"),
    (["--database", "nameonly"], [USAGE], "nameonly"),
    (["--database", "=sqlite::memory:"], [USAGE], "database"),
    (["--database", "x="], [USAGE], "x"),
    (["--database", "x=gopher://host/"], [USAGE, CONFIG], "gopher"),
    (["--database", "x=sqlite::memory:", "--database", "x=sqlite:/tmp/y.db"], [USAGE, CONFIG], "x"),  # guess
    (["--config", "{directory}/missing.toml"], [NO_INPUT, CONFIG], "missing.toml"),
    (["--config", "{directory}"], [NO_INPUT, CONFIG], "{directory}"),
    (["--config"], [USAGE], "config"),
    (["--listen", "systemd"], [USAGE, UNAVAILABLE, CONFIG, OS_ERROR], "systemd"),
]


@pytest.mark.parametrize("flags, statuses, word", COMMAND_LINE_ERRORS, ids=lambda value: " ".join(map(str, value))[:60])
def test_wrong_command_line(directory, flags, statuses, word):
    flags = [flag.format(directory=directory) for flag in flags]
    if "--listen" not in flags:
        flags += ["--listen", "standalone"]
    if not any(flag.startswith("--socket") and not flag.startswith("--socket-") for flag in flags):
        flags = ["--socket", str(directory / "s.sock"), *flags] if flags[0] != "--config" or len(flags) > 3 else flags
    status, output = run_to_end(*flags, directory=directory)
    assert status in statuses, output
    assert word.format(directory=directory) in output
    assert 0 < len(output.strip().splitlines()) <= 6, f"a clear word, not a page:\n{output}"
    assert not re.search(r"Fatal error|Thread \d|Optional\(", output)
    assert not (directory / "s.sock").exists()


@pytest.mark.parametrize("flags", [["--version"], ["--help"], ["-help"], ["-version"], ["-h"]], ids=str)
def test_flags_that_inform(directory, flags):
    status, output = run_to_end(*flags, directory=directory)
    assert status == 0
    assert "litebased" in output
    if "help" in flags[0] or flags[0] == "-h":
        for flag in ("socket", "socket-mode", "socket-group", "port", "listen", "database", "config", "check-config",
                     "idle-exit", "log-level", "version", "help"):
            assert f"--{flag}" in output
    else:
        assert re.search(r"\d+\.\d+", output)


@pytest.mark.parametrize("text, line, word", [
    ("no_such_key = 1\n", 1, "no_such_key"),
    ("\n\n# comment\nanother_wrong_key = true\n", 4, "another_wrong_key"),
    ("x = [1,\n", None, ""),
    ("a = 1\na = 2\n", 2, "a"),
    ("[no_such_table]\nx = 1\n", None, "no_such_table"),
    ("x = \xff\n", None, ""),
    ("= 5\n", 1, ""),
], ids=repr)
@pytest.mark.parametrize("check_only", [True, False])
def test_wrong_configuration_file(directory, text, line, word, check_only):
    path = directory / "litebase.toml"
    path.write_bytes(text.encode("latin-1"))
    flags = ["--config", path, "--listen", "standalone", "--socket", directory / "s.sock"]
    status, output = run_to_end(*flags, *(["--check-config"] if check_only else []), directory=directory)
    assert status == CONFIG, output
    assert "litebase.toml" in output
    assert word in output
    if line is not None:
        assert re.search(rf"litebase\.toml:{line}\b|line {line}\b", output), output
    assert not (directory / "s.sock").exists()


def test_check_config_says_yes(directory):
    path = directory / "litebase.toml"
    path.write_text("# nothing but a comment\n")
    status, output = run_to_end("--config", path, "--check-config", directory=directory)
    assert status == 0, output
    assert not (directory / "litebase.sock").exists()


def test_password_on_the_command_line_is_not_repeated(directory):
    _, output = run_to_end("--listen", "standalone", "--socket", directory / "s.sock", "--check-config",
                           "--database", f"x=gopher://someone:{SECRET}@host/y", directory=directory)
    assert SECRET not in output


@pytest.mark.parametrize("sql, params, named", [
    ("SELECT ?, ?", [1, 2**63], "Parameter 2"), ("SELECT :big", {"big": 2**64 - 1}, ":big"), ("INSERT INTO {t} VALUES (?)", [2**63], "Parameter 1"),
])
def test_an_integer_that_sqlite_does_not_have_is_named(client, table, sql, params, named):
    client.query(f"CREATE TABLE {table}(x)")
    error = client.query_fails(sql.format(t=table), params)
    assert error["code"] == "bad_request" and named in error["message"] and "9223372036854775807" in error["message"], error
    assert "not an error" not in str(error).lower()
    error = client.fails("batch", {"statements": [{"sql": f"INSERT INTO {table} VALUES (?)", "param_rows": [[1], [2**63]]}]})
    assert (error["code"], error["statement_index"], error["row_index"]) == ("bad_request", 0, 1), error
    assert client.query(f"SELECT count(*) FROM {table}").rows == [[0]]
