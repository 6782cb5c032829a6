"""Large results: bounded frames, bounded memory, and a reader that sets the pace."""

import os
import sqlite3
import time

import pytest

from daemon import counting, wait_until

ROW_COUNT = 1_000_000
CEILING_KIB = 16 * 1024
SQL = "SELECT id, name, price, stock, tag FROM item"


@pytest.fixture(scope="module")
def million(daemon):
    """A million rows of five columns in a file that the daemon opens by URL; returns the URL."""
    path = daemon.directory / "million.db"
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=OFF")
        database.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER, tag TEXT)")
        columns = "x, printf('item number %d', x), x * 0.25, x % 1000, 'tag'"
        database.execute(f"INSERT INTO item {counting(ROW_COUNT, columns)}")
    database.close()
    yield f"sqlite:{path}"
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"{path}{suffix}"):
            os.unlink(f"{path}{suffix}")


def idle_memory(daemon, client):
    """Resident memory at rest with a connection and a session in place, and the peak set back to it."""
    client.settle()
    daemon.reset_peak()
    return daemon.memory_kib()


def check_row(row):
    number = row[0]
    assert row == [number, f"item number {number}", number * 0.25, number % 1000, "tag"]


def consume(client, id, on_frame=lambda: None):
    """Reads a stream without keeping it; returns the rows seen and the last frame's data."""
    seen = 0
    while True:
        reply = client.receive_for(id)
        assert reply.type == "query_response", reply
        rows = reply.data["rows"]
        if rows:
            check_row(rows[0])
            check_row(rows[-1])
            assert rows[0][0] == seen + 1
        seen += len(rows)
        on_frame()
        if reply.terminal:
            return seen, reply.data


@pytest.mark.slow
def test_a_million_rows_in_bounded_memory(daemon, mode, million):
    client = daemon.connect(mode)
    session = client.session(url=million)
    base = idle_memory(daemon, client)
    seen, last = consume(client, client.send_query(SQL + " ORDER BY id", session=session))
    assert (seen, last["row_count"], last.get("truncated")) == (ROW_COUNT, ROW_COUNT, None if "truncated" not in last else False)
    assert daemon.memory_kib("VmHWM") - base < CEILING_KIB
    client.settle()


@pytest.mark.slow
def test_stalled_reader(daemon, million):
    """Ten seconds without reading: memory stays, the processor rests, others are served, nothing is lost."""
    slow = daemon.connect("msgpack", timeout=60)
    other = daemon.connect("msgpack")
    session = slow.session(url=million)
    base = idle_memory(daemon, other)
    id = slow.send_query(SQL + " ORDER BY id", session=session)
    slow.receive_for(id)
    slow.stash[id].clear()
    end = time.monotonic() + 10
    burnt, worst = daemon.cpu_seconds(), 0.0
    while time.monotonic() < end:
        start = time.monotonic()
        other.call("health_check")
        other.query("SELECT 1")
        worst = max(worst, time.monotonic() - start)
        time.sleep(0.05)
        assert daemon.memory_kib() - base < CEILING_KIB
    assert daemon.cpu_seconds() - burnt < 2.0, "the daemon waits, it does not spin"
    assert worst < 1.0
    rest = 0
    while True:
        reply = slow.receive_for(id)
        rest += len(reply.data["rows"])
        if reply.terminal:
            break
    assert reply.data["row_count"] == ROW_COUNT and rest < ROW_COUNT
    assert daemon.memory_kib("VmHWM") - base < CEILING_KIB


def test_several_stalled_readers(daemon, million):
    """Each stalled stream costs no more than its own few frames."""
    other = daemon.connect("msgpack")
    readers = [daemon.connect("msgpack") for _ in range(8)]
    base = idle_memory(daemon, other)
    for reader in readers:
        reader.send_query(SQL, session=reader.session(url=million))
    wait_until(daemon.is_idle, "all eight wait for their readers")
    other.settle()
    assert daemon.memory_kib("VmHWM") - base < 8 * CEILING_KIB // 2
    for reader in readers:
        reader.close()
    wait_until(daemon.is_idle, "nothing goes on for readers that left")


def test_stream_without_a_session_goes_at_the_readers_pace(daemon, client):
    base = idle_memory(daemon, client)
    id = client.send_query(counting(300_000, "x, printf('%0100d', x)"))
    wait_until(daemon.is_idle, "the daemon waits for the reader")
    count = 0
    while True:
        reply = client.receive_for(id)
        count += len(reply.data["rows"])
        if reply.terminal:
            break
    assert count == 300_000
    assert daemon.memory_kib("VmHWM") - base < CEILING_KIB


def test_sort_of_a_large_result_does_not_hold_it_in_the_daemon(daemon, client, million):
    """Ten thousand rows of 4 kB, sorted: what SQLite spills, the daemon does not keep."""
    base = idle_memory(daemon, client)
    result = client.query(counting(10_000, "x, hex(randomblob(2000)) AS r") + " ORDER BY 2")
    assert len(result.rows) == 10_000
    assert daemon.memory_kib("VmHWM") - base < 96 * 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_requests(daemon, table):
    """The second ten thousand requests of every kind cost nothing that the first did not."""
    client = daemon.connect()
    client.query(f"CREATE TABLE {table}(x)")

    def work():
        for round in range(20):
            connection = daemon.connect("msgpack" if round % 2 else "lines")
            session = connection.session()
            ids = [connection.send_query("SELECT ?, ?", [n, "x" * (n % 300)]) for n in range(300)]
            ids += [connection.send_query(f"SELECT {n} + {round}") for n in range(100)]  # statements never seen before
            ids += [connection.send_query("SELECT 1", session=session) for _ in range(50)]
            ids += [connection.send_query(f"INSERT INTO {table} VALUES (?)", [n]) for n in range(20)]
            for id in ids:
                connection.collect(id)
            for _ in range(20):
                connection.query_fails("SELEC")
            connection.call("batch", {"statements": [{"sql": f"INSERT INTO {table} VALUES (?)", "param_rows": [[n] for n in range(100)]}]})
            connection.close()
        client.settle()

    work()
    before = daemon.memory_kib()
    work()
    assert daemon.memory_kib() - before < 3 * 1024


# Frames


def frames_of(client, sql):
    id = client.send_query(sql)
    return client.collect(id).frames


@pytest.mark.parametrize("width", [1, 20, 100, 1000, 5000, 60_000])
def test_frames_close_at_64_kib_or_1000_rows(client, width):
    frames = frames_of(client, counting(min(20_000, 4_000_000 // width), f"x, printf('%0{width}d', x)"))
    assert len(frames) > 3
    for frame in frames[:-1]:
        rows, size = len(frame.data["rows"]), len(frame.raw)
        assert rows <= 1000
        assert size <= 64 * 1024 + 2 * (width + 64), f"{size} bytes"
        assert rows == 1000 or size >= 32 * 1024, f"closed early: {rows} rows, {size} bytes"


def test_a_row_larger_than_a_frame_travels_alone(client):
    frames = frames_of(client, counting(5, "x, zeroblob(300000)"))
    assert len(frames) in (5, 6)
    assert all(len(frame.data["rows"]) <= 1 for frame in frames)
    assert sum(len(frame.data["rows"]) for frame in frames) == 5


def test_a_large_row_leaves_no_memory_behind(start_daemon):
    daemon = start_daemon("--loops", "1")
    client = daemon.connect()
    base = idle_memory(daemon, client)
    assert len(client.query("SELECT zeroblob(50000000)").value) == 50_000_000
    wait_until(lambda: daemon.memory_kib() - base < CEILING_KIB, "the memory is given back")


def test_first_rows_come_before_the_last_are_known(daemon, client):
    """A statement that never ends shows its first rows at once."""
    start = time.monotonic()
    id = client.send_query("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c")
    reply = client.receive_for(id)
    assert reply.data["rows"][:3] == [[1], [2], [3]]
    assert time.monotonic() - start < 2
    client.call("cancel", {"request": id})


def test_two_streams_on_one_connection_share_it(daemon, client):
    """Neither of two long results waits for the end of the other."""
    first, second = client.send_query(counting(100_000)), client.send_query(counting(100_000, "-x"))
    order, rows = [], {first: 0, second: 0}
    while any(client.waiting.values()):
        reply = client.receive()
        order.append(reply.id)
        rows[reply.id] += len(reply.data["rows"])
    assert rows == {first: 100_000, second: 100_000}


def test_stream_survives_writes_to_its_table(daemon, client, table):
    """A stream reads one snapshot to its end, while another connection empties the table."""
    client.query(f"CREATE TABLE {table}(x)")
    client.query(f"INSERT INTO {table} {counting(50_000)}")
    id = client.send_query(f"SELECT x, printf('%0100d', x) FROM {table}")
    client.stash[id].append(client.receive_for(id))
    daemon.connect().query(f"DELETE FROM {table}")
    assert len(client.collect(id).rows) == 50_000
    assert client.query(f"SELECT count(*) FROM {table}").value == 0


def test_error_in_the_middle_of_a_stream(client):
    """Row 20,001 fails: the rows before it came, and the error is the end."""
    id = client.send_query(counting(30_000, "CASE WHEN x > 20000 THEN abs(-9223372036854775807 - 1) ELSE x END"))
    rows = 0
    while True:
        reply = client.receive_for(id)
        if reply.terminal:
            break
        rows += len(reply.data["rows"])
    assert (reply.type, reply.data["code"]) == ("error", "database_error")
    assert reply.data["sqlstate"]
    assert rows <= 20_000
    client.settle()
