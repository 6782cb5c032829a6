"""One suite for all engines: whatever is behind a database's name, the protocol's promises are the same.

`engine.py` and its like have what differs. A case that does not apply to an engine is skipped with the reason that `lacks` gives.
After every case the clients leave, and nothing of theirs may be left: see `Place.leaves_nothing`. Here are errors, transactions,
batches and descriptions; the other parts are test_conformance_rows.py, _readers.py, _cancel.py, _faults.py and _service.py.
"""

import re
import time

import pytest

from conformance import POOL, client, engine, fails, on, packed, place, says, unless_busy, whole_place  # noqa: F401
from daemon import ROOT, wait_until
from engines import ENGINES
from wire import RequestFailed


# Errors

CASES = sorted({name for engine in ENGINES.values() for name in engine.errors})


@pytest.mark.parametrize("case", CASES)
def test_errors(engine, client, case):
    if case not in engine.errors:
        pytest.skip(f"{engine.name}: {engine.lacks.get(case, 'not an error there')}")
    sql, code, sqlstate, offset = engine.errors[case]
    session = client.session(database="db")
    for options in ({"database": "db"}, {"session": session}):
        error = client.query_fails(sql, **options)
        assert error["code"] == code, error
        assert len(error["sqlstate"]) == 5 and sqlstate in (None, error["sqlstate"]), error
        assert not error["message"][0].islower() and not error.get("retryable"), error
        if offset is not None:
            assert error["position"]["offset"] == offset, error
            assert error["position"]["line"] == 1, error
        assert says(client, engine, **options)


def documented_codes():
    """The table of docs/errors.md: codes by SQLSTATE, or by its class."""
    rows = re.findall(r"^\| ((?:`\w+` ?)+)\| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    codes = {state: code for states, code in rows for state in re.findall(r"`(\w+)`", states)}
    assert codes["42"] == "syntax_error" and codes["42P07"] == "database_error" and len(codes) > 30
    return codes


def test_codes_follow_from_states(engine, client):
    """One table for all engines: a missing table is the same to a client wherever it is missing."""
    codes = documented_codes()
    seen = set()
    for case, (sql, *_) in engine.errors.items():
        error = client.query_fails(sql, database="db")
        # What the daemon itself finds wrong with a request has its code from there.
        if error["code"] == "bad_request":
            continue
        state = error["sqlstate"]
        assert error["code"] == codes.get(state, codes.get(state[:2], "database_error")), (case, error)
        seen.add(state)
    assert len(seen) >= 2, seen


@pytest.mark.needs("sql")
@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "SELECT nowhere FROM item", "SELECT nowhere(1)", "INSERT INTO nowhere VALUES (1)",
                                 "DROP TABLE nowhere", "INSERT INTO item(nowhere) VALUES (1)", "SELECT 1 UNION SELECT 1, 2",
                                 "INSERT INTO item(id, name) VALUES (1)", "SELECT FROM WHERE", "SELECT id FROM item a, item b"])
def test_what_cannot_be_compiled(engine, client, sql):
    assert client.query_fails(sql, database="db")["code"] == "syntax_error"


@pytest.mark.needs("sql")
def test_a_mistake_behind_a_change_of_the_schema(place, engine, client):
    """Is the statement's own, and not that the schema has changed."""
    session = client.session(database="db")
    sql, code, sqlstate, _ = engine.errors["column"]
    for options in ({"database": "db"}, {"session": session}):
        place.table([("id", "key")])
        for _ in range(2):
            error = client.query_fails(sql, **options)
            assert (error["code"], error["sqlstate"], error.get("retryable", False)) == (code, sqlstate, False), error


@pytest.mark.needs("permission")
def test_what_the_servers_user_may_not_do(engine, client):
    sql, sqlstate = engine.denied
    error = client.query_fails(sql, database="limited")
    assert (error["code"], error["sqlstate"]) == ("permission_denied", sqlstate), error
    assert says(client, engine, database="limited")


@pytest.mark.needs("sql")
def test_an_error_after_rows(engine, client):
    with pytest.raises(RequestFailed) as failure:
        on(client, engine.late_error(100_000))
    error = failure.value
    assert (error.code, error.data["sqlstate"]) == ("database_error", engine.late_state) and error.frames, error
    assert on(client, "SELECT 1").value == 1


@pytest.mark.needs("sql")
def test_wrong_parameters(engine, client):
    # How many there are, and values that are none.
    for params in ([], [1], [1, 2, 3]):
        error = fails(client, f"SELECT {engine.mark(1)}, {engine.mark(2)}", params)
        # PostgreSQL does not know the type of a parameter that the statement does not have; MariaDB takes statements
        # without parameters as they are.
        codes = ("bad_request",) if len(params) == 1 else ("bad_request", "syntax_error")
        assert error["code"] in codes and not error.get("retryable"), error
        assert on(client, "SELECT 1").value == 1
    assert fails(client, f"SELECT {engine.mark(1)}", [[1]])["code"] == "bad_request"
    # A NUL in the text ends it nowhere too early: it is refused, or part of the statement.
    try:
        assert on(client, "SELECT 'a\0b'").value == "a\0b"
    except RequestFailed as failure:
        assert failure.code in ("bad_request", "syntax_error"), failure


def test_names_that_no_parameter_has(engine, client):
    """They are the client's mistake, with the same state on every engine, in a batch too."""
    sql = engine.echo("text")
    for params in ({"nobody": "a"}, {":nobody": "a"}, {"nobody": "a", "noone": "b"}):
        error = fails(client, sql, params)
        assert (error["code"], error["sqlstate"]) == ("bad_request", "07001") and error.get("hint"), error
        error = client.fails("batch", {"database": "db", "statements": [{"sql": sql, "params": params}]})
        assert (error["code"], error["sqlstate"], error["statement_index"]) == ("bad_request", "07001", 0), error


@pytest.mark.needs("sql")
def test_a_parameters_value_is_in_no_message(place, engine, client):
    table = place.table([("id", "key"), ("v", "integer")])
    on(client, f"INSERT INTO {table} VALUES ({engine.marks(2)})", [7171, 1])
    error = fails(client, f"INSERT INTO {table} VALUES ({engine.marks(2)})", [7171, 1])
    assert error["code"] == "constraint_violation" and "7171" not in error["message"], error
    assert "7171" not in place.daemon.log()


# Transactions

@pytest.mark.needs("sql")
def test_transactions(place, engine, client):
    table = place.table([("v", "integer")])
    session = client.session(database="db")
    run = lambda sql: client.query(sql, session=session)  # noqa: E731
    assert run("SELECT 1").transaction == "none"
    assert run("BEGIN").transaction == "active"
    run(f"INSERT INTO {table} VALUES (1)")
    assert place.count(table) == 0
    assert on(client, f"SELECT count(*) FROM {table}").value == 0
    assert run("COMMIT").transaction == "none"
    assert place.count(table) == 1
    run("BEGIN")
    run(f"INSERT INTO {table} VALUES (2)")
    assert run("ROLLBACK").transaction == "none"
    assert place.count(table) == 1
    # Savepoints, one within the other.
    run("BEGIN")
    for value in (10, 20, 30):
        run(f"SAVEPOINT s{value}")
        run(f"INSERT INTO {table} VALUES ({value})")
    run("ROLLBACK TO SAVEPOINT s20")
    run(f"INSERT INTO {table} VALUES (40)")
    assert run("RELEASE SAVEPOINT s10").transaction == "active"
    run("COMMIT")
    assert sorted(row[0] for row in on(client, f"SELECT v FROM {table}").rows) == [1, 10, 40]


@pytest.mark.needs("sql")
def test_the_failed_state(place, engine, client):
    table = place.table([("v", "integer")])
    session = client.session(database="db")
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {table} VALUES (1)", session=session)
    error = client.query_fails("INSERT INTO item(id, name) VALUES (1, 'twice')", session=session)
    if "failed" in engine.lacks:
        assert error["transaction"] == "active"
        assert client.query("COMMIT", session=session).transaction == "none"
        assert place.count(table) == 1
        return
    assert error["transaction"] == "failed"
    error = client.query_fails("SELECT 1", session=session)
    assert (error["transaction"], error["sqlstate"]) == ("failed", "25P02"), error
    # COMMIT of a failed transaction must not look like one that has committed, in whatever words.
    for word in ("COMMIT", "/* x */ end", "COMMIT AND CHAIN"):
        error = client.query_fails(word, session=session)
        assert (error["code"], error["sqlstate"]) == ("transaction_rolled_back", "40000") and error["hint"], error
        assert error["transaction"] == ("active" if "CHAIN" in word else "none") and not error.get("retryable"), error
        assert client.query("ROLLBACK", session=session).transaction == "none"
        client.query("BEGIN", session=session)
        client.query_fails("SELECT * FROM nowhere", session=session)
    # Nor in a batch that goes on behind it.
    answer = client.fails("batch", {"statements": [{"sql": "COMMIT"}, {"sql": f"INSERT INTO {table} VALUES (9)"}], "atomic": False, "session": session})
    assert (answer["code"], answer["statement_index"], answer["transaction"]) == ("transaction_rolled_back", 0, "none"), answer
    # A rollback is what was asked for.
    client.query("BEGIN", session=session)
    client.query_fails("SELECT * FROM nowhere", session=session)
    assert client.query("ABORT" if engine.name == "postgresql" else "ROLLBACK", session=session).transaction == "none"
    assert client.query("COMMIT", session=session).transaction == "none"
    assert place.count(table) == 0
    client.query("BEGIN", session=session)
    client.query("SAVEPOINT a", session=session)
    client.query_fails("SELECT * FROM nowhere", session=session)
    assert client.query("ROLLBACK TO SAVEPOINT a", session=session).transaction == "active"
    client.query(f"INSERT INTO {table} VALUES (2)", session=session)
    client.query("COMMIT", session=session)
    assert place.count(table) == 1


@pytest.mark.needs("sql")
@pytest.mark.parametrize("sql", ["BEGIN", "/* x */ begin", "-- x\nROLLBACK", "COMMIT", "SAVEPOINT a", "RELEASE SAVEPOINT a"])
def test_transactions_need_a_session(engine, client, sql):
    error = fails(client, sql)
    assert error["code"] == "needs_session" and error["hint"], error
    assert on(client, "SELECT 1").value == 1


def test_what_else_needs_a_session(place, engine, client):
    """It would change a connection that others use."""
    for sql in engine.for_sessions:
        error = fails(client, sql)
        assert error["code"] == "needs_session" and error["hint"], (sql, error)
        assert says(client, engine), sql


@pytest.mark.needs("sql")
@pytest.mark.parametrize("how", ["db_disconnect", "close", "reset"])
def test_what_is_open_is_rolled_back(place, client, how):
    table = place.table([("v", "integer")])
    leaver = place.connect(client.mode)
    session = leaver.session(database="db")
    leaver.query("BEGIN", session=session)
    leaver.query(f"INSERT INTO {table} VALUES (1)", session=session)
    if how == "db_disconnect":
        leaver.call("db_disconnect", {"session": session})
        assert leaver.query_fails("SELECT 1", session=session)["code"] == "session_not_found"
    else:
        if how == "reset":  # with replies unread
            leaver.send_query("SELECT 1", session=session)
            time.sleep(0.05)
        leaver.close()
    # The lock of the row, or of the file, is free soon.
    wait_until(lambda: unless_busy(lambda: on(client, f"INSERT INTO {table} VALUES (2)")), "the lock is free", timeout=3)
    assert on(client, f"SELECT v FROM {table}").rows == [[2]]


@pytest.mark.needs("sql")
def test_sessions_are_separate(place, engine, packed):
    table = place.table([("v", "integer")])
    first, second = packed.session(database="db"), packed.session(database="db")
    assert first != second
    packed.query("BEGIN", session=first)
    packed.query(f"INSERT INTO {table} VALUES (1)", session=first)
    assert packed.query(f"SELECT count(*) FROM {table}", session=first).value == 1
    assert packed.query(f"SELECT count(*) FROM {table}", session=second).value == 0
    assert packed.query("SELECT 1", session=second).transaction == "none"
    packed.query("ROLLBACK", session=first)
    stranger = place.connect()
    assert stranger.query_fails("SELECT 1", session=first)["code"] == "session_not_found"


@pytest.mark.needs("sql")
def test_a_session_leaves_nothing_for_the_next(place, engine, packed):
    setting, look, mine = engine.settings
    shared = on(packed, look).value
    session = packed.session(database="db")
    usual = packed.query(look, session=session).value
    packed.call("db_disconnect", {"session": session})
    assert mine not in (shared, usual)
    for _ in range(POOL + 1):
        session = packed.session(database="db")
        packed.query(engine.temporary.format(table="mine"), session=session)
        packed.query(setting, session=session)
        assert packed.query(look, session=session).value == mine
        packed.query("INSERT INTO mine VALUES (1)", session=session)
        packed.call("db_disconnect", {"session": session})
    sessions = [packed.session(database="db") for _ in range(POOL)]
    for session in sessions:
        assert packed.query(look, session=session).value == usual
        assert packed.query_fails("SELECT * FROM mine", session=session)["sqlstate"] in ("42P01", "42S02")
    for session in sessions:
        packed.call("db_disconnect", {"session": session})
    for _ in range(2 * POOL):
        assert on(packed, look).value == shared
        assert fails(packed, "SELECT * FROM mine")["code"] in ("syntax_error", "database_error")


# Batches

@pytest.mark.needs("sql")
def test_batches(place, engine, client):
    table = place.table([("id", "key"), ("v", "integer")])
    insert = f"INSERT INTO {table} VALUES ({engine.marks(2)})"
    rows = [[number, number * 2] for number in range(10_000)]
    data = client.batch([{"sql": insert, "param_rows": rows}, {"sql": f"UPDATE {table} SET v = {engine.marks(1)}", "params": [5]},
                         {"sql": f"DELETE FROM {table} WHERE id >= 9000"}, {"sql": f"SELECT * FROM {table}"}], database="db").data
    assert [result["rows_affected"] for result in data["results"]] == [10_000, 10_000, 1000, 0]
    assert data["transaction"] == "none" and place.count(table) == 9000
    assert client.batch([{"sql": insert, "param_rows": []}], database="db").data["results"][0]["rows_affected"] == 0


@pytest.mark.needs("sql")
@pytest.mark.parametrize("at", [0, 1, 500, 999])
def test_a_batch_that_fails_changes_nothing(place, engine, client, at):
    table = place.table([("id", "key"), ("v", "integer")])
    insert = f"INSERT INTO {table} VALUES ({engine.marks(2)})"
    on(client, insert, [-1, 0])
    rows = [[number, 0] for number in range(1000)]
    rows[at] = [-1, 0]
    statements = [{"sql": f"UPDATE {table} SET v = 1"}, {"sql": insert, "param_rows": rows}, {"sql": f"DELETE FROM {table}"}]
    error = client.fails("batch", {"statements": statements, "database": "db"})
    assert (error["code"], error["statement_index"], error["row_index"]) == ("constraint_violation", 1, at), error
    assert place.count(table) == 1 and place.count(table, "v = 0") == 1
    error = client.fails("batch", {"statements": statements, "database": "db", "atomic": False})
    assert (error["statement_index"], error["row_index"]) == (1, at), error
    # What came before stays; nothing behind it has run.
    assert place.count(table) == 1 + at and place.count(table, "v = 1") == 1
    for wrong in ("SELECT * FROM nowhere", "SELEC 1"):
        error = client.fails("batch", {"statements": [{"sql": f"DELETE FROM {table}"}, {"sql": wrong}], "database": "db"})
        assert error["statement_index"] == 1 and place.count(table) == 1 + at, error
    assert on(client, "SELECT 1").value == 1


@pytest.mark.needs("sql")
def test_a_batch_in_a_session(place, engine, client):
    table = place.table([("id", "key"), ("v", "integer")])
    session = client.session(database="db")
    insert = f"INSERT INTO {table} VALUES ({engine.marks(2)})"
    client.query("BEGIN", session=session)
    client.query(insert, [1, 1], session=session)
    twice = [{"sql": insert, "param_rows": [[2, 2], [1, 1]]}]
    error = client.fails("batch", {"statements": twice, "session": session})
    assert (error["statement_index"], error["row_index"], error["transaction"]) == (0, 1, "active"), error
    assert client.query(f"SELECT count(*) FROM {table}", session=session).value == 1
    assert client.batch([{"sql": insert, "params": [3, 3]}], session=session).data["transaction"] == "active"
    client.query("COMMIT", session=session)
    assert place.count(table) == 2
    assert client.batch([{"sql": insert, "params": [4, 4]}], session=session).data["transaction"] == "none"
    assert place.count(table) == 3


@pytest.mark.needs("sql")
@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "BEGIN", "/* */ commit", "ROLLBACK; "])
def test_a_batch_cannot_be_broken_open(place, engine, client, sql):
    table = place.table([("v", "integer")])
    statements = [{"sql": f"INSERT INTO {table} VALUES (1)"}, {"sql": sql}, {"sql": f"INSERT INTO {table} VALUES (2)"},
                  {"sql": "SELECT * FROM nowhere"}]
    for options in ({"database": "db"}, {"session": client.session(database="db")}):
        error = client.fails("batch", {"statements": statements, **options})
        assert (error["code"], error["statement_index"]) == ("bad_request" if "session" in options else engine.in_batch, 1), error
        assert place.count(table) == 0


# Describe

@pytest.mark.needs("sql")
def test_describe(place, engine, client):
    data = client.call("describe", {"sql": f"SELECT id, name AS title FROM item WHERE id = {engine.marks(1)}", "database": "db"}).data
    assert [column["name"] for column in data["columns"]] == ["id", "title"]
    assert data["parameters"] == [None] and data["read_only"] is True
    data = client.call("describe", {"sql": "DELETE FROM item WHERE id = 1", "database": "db"}).data
    assert data["columns"] == [] and data["parameters"] == [] and data["read_only"] is False
    assert place.count("item") == 3
    for case in ("syntax", "table", "column", "nothing"):
        sql, code, sqlstate, _ = engine.errors[case]
        error = client.fails("describe", {"sql": sql, "database": "db"})
        assert (error["code"], error["sqlstate"]) == (code, sqlstate)
    data = client.call("db_connect", {"database": "db"}).data
    assert data["engine"] == engine.name and data["server_version"][0].isdigit() and data["read_only"] is False
    names = {entry["name"]: entry for entry in client.call("list_databases").data["databases"]}
    assert names["db"]["engine"] == engine.name and names["sealed"]["access"] == "read_only"
