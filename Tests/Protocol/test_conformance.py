"""One suite for all engines: whatever is behind a database's name, the protocol's promises are the same.

`engines.py` has what differs. A case that does not apply to an engine is skipped with the reason that `lacks` gives.
After every case the clients leave, and nothing of theirs may be left: see `Place.leaves_nothing`.
"""

import math
import time

import pytest

from conformance import POOL, cancelled_within, client, engine, fails, on, packed, place, says, whole_place  # noqa: F401
from daemon import wait_until
from engines import EDGES, ENGINES
from wire import RequestFailed


def same(left, right):
    """Equal to the bit and to the type: 1 is not 1.0 nor true, -0.0 is not 0.0, NaN is NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return math.isnan(left) and math.isnan(right) or left == right and math.copysign(1, left) == math.copysign(1, right)
    return left == right


def shown(value):
    text = repr(value)
    return text if len(text) < 80 else text[:60] + f"… ({len(value)})"


# Values

@pytest.mark.needs("sql")
@pytest.mark.parametrize("kind", EDGES)
def test_values_go_into_a_column_and_come_back(place, engine, client, kind):
    table = place.table([("id", "key"), ("v", kind)])
    insert = f"INSERT INTO {table} VALUES ({engine.marks(2)})"
    expected = []
    for number, value in enumerate(EDGES[kind]):
        if refusal := engine.refuses(kind, value):
            assert fails(client, insert, [number, value])["sqlstate"] == refusal, shown(value)
            continue
        assert on(client, insert, [number, value]).last["rows_affected"] == 1, shown(value)
        expected.append([number, engine.stores(kind, value)])
    result = on(client, f"SELECT id, v FROM {table} ORDER BY id")
    for row, (number, value) in zip(result.rows, expected, strict=True):
        assert row[0] == number and same(row[1], value), f"{shown(row[1])}, expected {shown(value)}"
    if kind in engine.type_names:
        assert result.columns[1]["type"] == engine.type_names[kind]


@pytest.mark.parametrize("kind", EDGES)
def test_parameters_come_back_as_they_are(engine, client, kind):
    if kind not in engine.kinds:
        pytest.skip(f"{engine.name}: {engine.lacks['kinds']}")
    for value in EDGES[kind]:
        if refusal := engine.refuses(kind, value):
            assert fails(client, engine.echo(kind), [value])["sqlstate"] == refusal, shown(value)
        else:
            result = on(client, engine.echo(kind), [value])
            assert same(result.value, engine.reads(kind, value)), f"{shown(result.value)}, expected {shown(value)}"


@pytest.mark.needs("sql")
def test_a_batch_stores_the_same_values(place, engine, client):
    kinds = list(EDGES)
    table = place.table([("id", "key"), *((f"c_{kind}", kind) for kind in kinds)])
    rows = []
    for number in range(max(map(len, EDGES.values()))):
        values = [EDGES[kind][number % len(EDGES[kind])] for kind in kinds]
        rows.append([number, *(None if engine.refuses(kind, value) else value for kind, value in zip(kinds, values))])
    insert = f"INSERT INTO {table} VALUES ({engine.marks(1 + len(kinds))})"
    data = client.batch([{"sql": insert, "param_rows": rows}], database="db").data
    assert data["results"][0]["rows_affected"] == len(rows)
    stored = on(client, f"SELECT * FROM {table} ORDER BY id").rows
    for row, wanted in zip(stored, rows, strict=True):
        for kind, left, right in zip(kinds, row[1:], wanted[1:]):
            assert same(left, engine.stores(kind, right)), f"{kind}: {shown(left)}, expected {shown(right)}"


@pytest.mark.needs("sql")
def test_text_that_is_not_utf8_comes_as_bytes(engine, client):
    if engine.invalid_text is None:
        pytest.skip(f"{engine.name}: the server lets no such text in")
    sql, value = engine.invalid_text
    assert same(on(client, sql).value, value)


def test_both_encodings_give_the_same(place, engine):
    results = []
    for mode in ("msgpack", "lines", "json"):
        results.append(on(place.connect(mode), engine.rows(2500)))
    assert results[0].rows == results[1].rows == results[2].rows and len(results[0].rows) == 2500
    assert results[0].columns == results[1].columns == results[2].columns


# The shape of results

@pytest.mark.needs("sql")
def test_column_names_may_repeat(client):
    result = on(client, "SELECT 1 AS a, 2 AS a, 3 AS \"b\", 4 AS A")
    assert [name.lower() for name in result.names] == ["a", "a", "b", "a"] and result.rows == [[1, 2, 3, 4]]


@pytest.mark.needs("sql")
def test_no_rows_and_no_columns(place, engine, client):
    result = on(client, "SELECT id, name FROM item WHERE id < 0")
    assert (result.names, result.rows, result.last["row_count"]) == (["id", "name"], [], 0)
    result = on(client, f"CREATE TABLE {place.table([('a', 'integer')])}_more(a INTEGER)")
    assert (result.columns, result.rows) == ([], [])
    if engine.zero_columns:
        result = on(client, engine.zero_columns)
        assert (result.columns, result.rows) == ([], [[], [], []])


@pytest.mark.needs("sql")
def test_wide_rows(engine, client):
    result = on(client, "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(1000)))
    assert result.rows == [list(range(1000))] and result.names[999] == "c999"
    big = "ü" * 2_000_000
    result = on(client, f"SELECT {engine.mark(1, 'text')}, 1", [big])
    assert result.rows == [[big, 1]]


@pytest.mark.needs("sql")
def test_rows_that_a_statement_changed(place, engine, client):
    table = place.table([("id", "key"), ("v", "integer")])
    insert = f"INSERT INTO {table} VALUES ({engine.marks(2)})"
    assert on(client, insert, [1, 1]).last["rows_affected"] == 1
    on(client, insert, [2, 1])
    assert on(client, f"UPDATE {table} SET v = v + 1").last["rows_affected"] == 2
    # What matches counts, also where nothing is changed by it.
    assert on(client, f"UPDATE {table} SET v = 2").last["rows_affected"] == 2
    assert on(client, f"UPDATE {table} SET v = 3 WHERE id > 5").last["rows_affected"] == 0
    assert on(client, f"SELECT * FROM {table}").last["rows_affected"] == 0
    assert on(client, f"DELETE FROM {table}").last["rows_affected"] == 2


# Large results, pages, limits

def test_a_million_rows_for_a_reader_who_stalls(place, engine, packed):
    assert says(packed, engine)
    place.daemon.reset_peak()
    before = place.daemon.memory_kib("VmHWM")
    id = packed.send_query(engine.rows(1_000_000), database="db")
    time.sleep(0.5)
    count, last = 0, None
    while True:
        frame = packed.receive_for(id)
        count += len(frame.data["rows"])
        last = frame.data["rows"][-1] if frame.data["rows"] else last
        if not frame.data["more"]:
            break
    assert (count, last) == (1_000_000, engine.row(1_000_000))
    assert place.daemon.memory_kib("VmHWM") - before < 16 << 10


def test_others_are_served_while_a_reader_stalls(place, engine, packed):
    stalled = place.connect()
    stalled.send_query(engine.rows(1_000_000), database="db")
    time.sleep(0.2)
    for number in range(20):
        assert says(packed, engine, number)


def read_pages(client, id):
    sizes, rows = [], []
    while True:
        frame = client.receive_for(id)
        assert frame.type == "query_response", frame
        sizes.append(len(frame.data["rows"]))
        rows += frame.data["rows"]
        if not frame.data["more"]:
            return sizes, rows
        client.send("fetch", {"request": id})


@pytest.mark.parametrize("total,size", [(25, 10), (20, 10), (1, 1), (0, 5), (3000, 999), (5, 100)])
def test_pages(engine, client, total, size):
    sizes, rows = read_pages(client, client.send_query(engine.counting(total), database="db", page_rows=size))
    assert rows == [[engine.said(number)] for number in range(1, total + 1)]
    assert all(count == size for count in sizes[:total // size]), sizes
    assert says(client, engine)


def test_the_clients_time_between_pages_does_not_count(engine, packed):
    for _ in range(2):  # the first one may have to wait for a connection
        id = packed.send_query(engine.counting(15), database="db", page_rows=10, timeout_ms=250)
        assert len(packed.receive_for(id).data["rows"]) == 10
        time.sleep(0.4)
        packed.send("fetch", {"request": id})
        assert packed.receive_for(id).type == "query_response"


def test_large_replies_that_are_there_at_once(engine, client):
    """A frame that is full, and the end, within the turn of the request: nothing of it may be used again too early."""
    for _ in range(20):
        for size in (300_000, 1, 70_000):
            assert len(on(client, engine.echo("text"), ["x" * size]).value) == size
        assert says(client, engine)


def test_a_paged_query_is_cancelled(engine, client):
    session = client.session(database="db")
    for options in ({"database": "db"}, {"session": session}):
        id = client.send_query(engine.rows(1_000_000), page_rows=10, **options)
        assert len(client.receive_for(id).data["rows"]) == 10
        assert cancelled_within(client, id) < 0.5
        assert client.fails("fetch", {"request": id})["code"] == "bad_request"
        assert says(client, engine, **options)


def test_a_session_goes_on_behind_its_pages(engine, packed):
    session = packed.session(database="db")
    paged = packed.send_query(engine.counting(8), session=session, page_rows=5)
    assert len(packed.receive_for(paged).data["rows"]) == 5
    behind = packed.send_query(engine.say(7), session=session)
    time.sleep(0.05)
    assert not packed.stash[behind]
    packed.send("fetch", {"request": paged})
    assert packed.receive_for(paged).data["rows"] == [[engine.said(number)] for number in (6, 7, 8)]
    assert packed.collect(behind).value == engine.said(7)


def test_pages_that_are_open_when_the_client_leaves(place, engine):
    for _ in range(3):
        client = place.connect()
        for _ in range(POOL):
            client.receive_for(client.send_query(engine.rows(1_000_000), database="db", page_rows=10))
        client.close()
        with place.connect() as other:
            wait_until(lambda: works(other, engine), "the connections are free again", timeout=5)


def works(client, engine):
    try:
        return says(client, engine)
    except RequestFailed as failure:
        assert failure.code == "busy", failure
        return False


def test_max_rows(engine, client):
    result = on(client, engine.counting(100_000), max_rows=3)
    assert result.rows == [[engine.said(number)] for number in (1, 2, 3)] and result.last["truncated"] is True and result.last["row_count"] == 3
    for limit in (10, 11):
        assert on(client, engine.counting(10), max_rows=limit).last.get("truncated") in (None, False)
    sizes, rows = read_pages(client, client.send_query(engine.counting(100), database="db", page_rows=4, max_rows=10))
    assert rows == [[engine.said(number)] for number in range(1, 11)]


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
    # COMMIT of a failed transaction must not look like one that has committed.
    client.query("COMMIT", session=session)
    assert client.query("SELECT 1", session=session).transaction == "none"
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
    wait_until(lambda: succeeds(client, f"INSERT INTO {table} VALUES (2)"), "the lock is free", timeout=3)
    assert on(client, f"SELECT v FROM {table}").rows == [[2]]


def succeeds(client, sql):
    try:
        return on(client, sql)
    except RequestFailed as failure:
        assert failure.code == "busy", failure
        return False


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
