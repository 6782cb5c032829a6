"""The conformance suite's part on values, the shape of results, large results and pages."""

import math
import time

import pytest

from conformance import POOL, cancelled_within, client, engine, fails, on, packed, place, says, unless_busy, whole_place  # noqa: F401
from daemon import wait_until
from engines import EDGES
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


def test_the_time_in_which_the_client_does_not_read_does_not_count(place, engine):
    """Neither for the statement whose rows wait, nor for what is behind it in its session."""
    sessions = [place.connect(), place.connect()]
    streams = []
    for client in sessions:
        options = {"session": client.session(database="db")} if client is sessions[0] else {"database": "db"}
        streams.append(client.send_query(engine.rows(300_000), timeout_ms=2000, **options))
        behind = client.send_query(engine.say(7), timeout_ms=500, **options)
        streams.append(behind)
    time.sleep(2.5)
    for client in sessions:
        stream, behind = streams.pop(0), streams.pop(0)
        rows = 0
        while True:
            frame = client.receive_for(stream)
            assert frame.type == "query_response", frame
            rows += len(frame.data["rows"])
            if frame.terminal:
                break
        assert rows == 300_000 and frame.data["elapsed_us"] < 2_000_000
        assert client.collect(behind).value == engine.said(7)


def test_a_timeout_comes_for_a_reader_who_has_paused(place, engine, packed):
    """The clock stands while the client does not read, and goes on where it stood."""
    assert says(packed, engine)
    id = packed.send_query(engine.rows(1_000_000), database="db", timeout_ms=120)
    time.sleep(0.5)
    with pytest.raises(RequestFailed) as failure:
        packed.collect(id)
    assert failure.value.code == "timeout"


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
            wait_until(lambda: unless_busy(lambda: says(other, engine)), "the connections are free again", timeout=5)


def test_max_rows(engine, client):
    result = on(client, engine.counting(100_000), max_rows=3)
    assert result.rows == [[engine.said(number)] for number in (1, 2, 3)] and result.last["truncated"] is True and result.last["row_count"] == 3
    for limit in (10, 11):
        assert on(client, engine.counting(10), max_rows=limit).last.get("truncated") in (None, False)
    sizes, rows = read_pages(client, client.send_query(engine.counting(100), database="db", page_rows=4, max_rows=10))
    assert rows == [[engine.said(number)] for number in range(1, 11)]
