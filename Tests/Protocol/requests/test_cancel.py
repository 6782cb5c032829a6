"""Cancelling, timeouts, and closed connections: what runs is stopped, what comes next is not touched.

"Guess" in a comment marks what the protocol page does not say.
"""

import random
import statistics
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from wire import RequestFailed

ENDLESS_X = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x FROM c"
ENDLESS_ROWS = ENDLESS_X.replace("SELECT x FROM", "SELECT x, 'some text to fill the frame' FROM")


def failure_of(client, id):
    with pytest.raises(RequestFailed) as caught:
        client.collect(id)
    return caught.value


def running(daemon, since):
    """True once the daemon has burnt processor time since `since` seconds: the statement runs."""
    return daemon.cpu_seconds() - since >= 0.03


def start_endless(daemon, client, **options):
    since = daemon.cpu_seconds()
    id = client.send_query(ENDLESS, **options)
    wait_until(lambda: running(daemon, since), "the endless statement runs")
    return id


def options_for(client, kind):
    return {"session": client.session()} if kind == "session" else {}


@pytest.mark.parametrize("kind", ["autocommit", "session"])
def test_cancel_within_100_ms(daemon, client, kind):
    options = options_for(client, kind)
    delays = []
    for _ in range(7):
        id = start_endless(daemon, client, **options)
        start = time.monotonic()
        request = client.send("cancel", {"request": id})
        failure = failure_of(client, id)
        delays.append(time.monotonic() - start)
        assert failure.code == "cancelled"
        assert failure.data["message"]
        assert client.answer(request).data["cancelled"] is True
    assert statistics.median(delays) < 0.1, delays
    assert max(delays) < 1, delays
    assert client.query("SELECT 1", **options).rows == [[1]]
    wait_until(daemon.is_idle, "the daemon rests")


def test_cancelled_database_statement_has_an_sqlstate(daemon, client):
    id = start_endless(daemon, client)
    client.call("cancel", {"request": id})
    assert failure_of(client, id).data["sqlstate"] == "57014"  # guess: the value; every database error has one


@pytest.mark.parametrize("how", ["close", "close with session", "close after a paged query"])
def test_closing_the_connection_stops_the_statement(daemon, packed, client, how):
    packed.settle()  # both connections are accepted before they are counted
    client.settle()
    before = daemon.socket_count()
    victim = daemon.connect(client.mode)
    if how == "close after a paged query":
        paged = victim.send_query(ENDLESS_ROWS, page_rows=10)
        victim.receive_for(paged)
    start_endless(daemon, victim, **options_for(victim, "session" if how == "close with session" else ""))
    victim.close()
    wait_until(daemon.is_idle, "the daemon rests after the client left", timeout=5)
    packed.settle()
    wait_until(lambda: daemon.socket_count() <= before, "the descriptors are closed")


def test_closing_stops_within_100_ms(daemon, packed):
    """A session's write lock is free that soon after its connection closed in the middle of a statement."""
    packed.query("CREATE TABLE IF NOT EXISTS lock_probe(x)")
    delays = []
    for _ in range(3):
        victim = daemon.connect()
        session = victim.session()
        victim.query("BEGIN IMMEDIATE", session=session)
        start_endless(daemon, victim, session=session)
        victim.close()
        start = time.monotonic()

        def writable():
            try:
                return packed.query("INSERT INTO lock_probe VALUES (1)", timeout_ms=5000).last["rows_affected"] == 1
            except RequestFailed:
                return False

        wait_until(writable, "the lock is free", timeout=5)
        delays.append(time.monotonic() - start)
    assert statistics.median(delays) < 0.2, delays


def test_half_close_waits_for_the_statement(daemon):
    client = daemon.connect()
    id = client.send_query(counting(500_000, "max(x)"))
    client.half_close()
    assert client.collect(id).value == 500_000
    client.receive_end()


def test_others_are_served_meanwhile(daemon, client):
    busy = [daemon.connect() for _ in range(3)]
    ids = [start_endless(daemon, other) for other in busy]
    delays = []
    for _ in range(50):
        start = time.monotonic()
        client.call("health_check")
        assert client.query("SELECT 1").rows == [[1]]
        delays.append(time.monotonic() - start)
    assert statistics.median(delays) < 0.25, "two round trips beside three endless statements on two cores"
    newcomer = daemon.connect()
    assert newcomer.query("SELECT 2").rows == [[2]]
    for other, id in zip(busy, ids):
        other.call("cancel", {"request": id})
        assert failure_of(other, id).code == "cancelled"


def test_the_same_connection_is_served_meanwhile(daemon, client):
    id = start_endless(daemon, client)
    for _ in range(20):
        assert client.query("SELECT 1").rows == [[1]]
    client.call("cancel", {"request": id})
    assert failure_of(client, id).code == "cancelled"
    client.settle()


@pytest.mark.slow
def test_many_endless_statements_leave_room(daemon, client):
    """More endless statements than there are workers: short ones and cancels still get through."""
    others = [daemon.connect() for _ in range(24)]
    ids = [other.send_query(ENDLESS) for other in others]
    wait_until(lambda: client.call("health_check"), "health")
    start = time.monotonic()
    for other, id in zip(others, ids):
        other.call("cancel", {"request": id})
        assert failure_of(other, id).code in ("cancelled", "limit_exceeded")
    assert time.monotonic() - start < 10
    assert client.query("SELECT 1").rows == [[1]]
    wait_until(daemon.is_idle, "the daemon rests")


# Late cancels


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["autocommit", "session"])
def test_late_cancel_never_hits_the_next_statement(daemon, client, kind):
    """A short statement, its cancel and the next statement in one write, many times."""
    options = options_for(client, kind)
    generator = random.Random(42)
    for round in range(400):
        length = generator.choice([1, 10, 500, 3000])
        first, a = client.bytes_of("query", {"sql": counting(length, "max(x)"), **options})
        cancel, b = client.bytes_of("cancel", {"request": first})
        second, c = client.bytes_of("query", {"sql": counting(length, "sum(x)"), **options})
        client.socket.sendall(a + b + c)
        try:
            assert client.collect(first).value == length
            ended_well = True
        except RequestFailed as failure:
            assert failure.code == "cancelled"
            ended_well = False
        cancelled = client.answer(cancel).data["cancelled"]
        assert not (cancelled and ended_well), f"seed 42, round {round}: said to be cancelled, and was not"
        assert cancelled or ended_well, f"seed 42, round {round}: cancelled, and denied it"
        assert client.collect(second).value == length * (length + 1) // 2
    client.settle()


@pytest.mark.slow
def test_late_cancel_from_behind(daemon, client):
    """The cancel is written after random waits, so that it meets the statement at its end."""
    session = client.session()
    generator = random.Random(43)
    for _ in range(150):
        first = client.send_query(counting(20_000, "max(x)"), session=session)
        second = client.send_query("SELECT 'second'", session=session)
        pause = time.monotonic() + generator.random() * 0.004
        while time.monotonic() < pause:
            pass
        cancel = client.send("cancel", {"request": first})
        try:
            client.collect(first)
        except RequestFailed as failure:
            assert failure.code == "cancelled"
        assert client.collect(second).rows == [["second"]]
        client.answer(cancel)
    client.settle()


def test_cancel_of_a_queued_statement(daemon, client):
    """The second statement of a session waits for the first; cancelling it ends it at once, and only it."""
    session = client.session()
    first = start_endless(daemon, client, session=session)
    second = client.send_query("SELECT 2", session=session)
    third = client.send_query("SELECT 3", session=session)
    assert client.call("cancel", {"request": second}).data["cancelled"] is True
    assert failure_of(client, second).code == "cancelled"
    assert client.waiting[first] == 1 and not client.stash[first]
    client.call("cancel", {"request": first})
    assert failure_of(client, first).code == "cancelled"
    assert client.collect(third).rows == [[3]]
    client.settle()


@pytest.mark.parametrize("request_id", ["nothing", 0, 2**64 - 1, ""])
def test_cancel_of_an_unknown_id(client, request_id):
    assert client.call("cancel", {"request": request_id}).data["cancelled"] is False
    client.settle()


def test_cancel_of_an_ended_request(client):
    id = client.send_query("SELECT 1")
    client.collect(id)
    for _ in range(3):
        assert client.call("cancel", {"request": id}).data["cancelled"] is False
    client.settle()


def test_cancel_tells_an_integer_from_a_string(daemon, client):
    id = start_endless(daemon, client)
    assert client.call("cancel", {"request": str(id)}).data["cancelled"] is False
    assert client.call("cancel", {"request": id}).data["cancelled"] is True
    assert failure_of(client, id).code == "cancelled"


def test_cancel_reaches_no_other_connection(daemon, client):
    victim = daemon.connect()
    id = start_endless(daemon, victim, id="same name")
    assert client.call("cancel", {"request": "same name"}).data["cancelled"] is False
    since = daemon.cpu_seconds()
    wait_until(lambda: running(daemon, since), "the victim goes on")
    victim.call("cancel", {"request": id})
    assert failure_of(victim, id).code == "cancelled"


@pytest.mark.parametrize("data", [{}, None, {"request": 1.5}, {"request": None}, {"request": [1]}], ids=str)
def test_cancel_of_the_wrong_shape(client, data):
    assert client.fails("cancel", data)["code"] == "bad_request"
    client.settle()


def test_cancel_twice(daemon, client):
    id = start_endless(daemon, client)
    answers = [client.send("cancel", {"request": id}) for _ in range(2)]
    assert failure_of(client, id).code == "cancelled"
    assert True in [client.answer(answer).data["cancelled"] for answer in answers]
    client.settle()


# What is cancelled while it writes, streams, or waits for a fetch


def test_cancelled_write_changes_nothing(daemon, client, table):
    client.query(f"CREATE TABLE {table}(x)")
    since = daemon.cpu_seconds()
    id = client.send_query(f"INSERT INTO {table} {ENDLESS_X}")
    wait_until(lambda: running(daemon, since), "the write runs")
    client.call("cancel", {"request": id})
    assert failure_of(client, id).code == "cancelled"
    assert client.query(f"SELECT count(*) FROM {table}").value == 0
    assert client.query(f"INSERT INTO {table} VALUES (1)").last["rows_affected"] == 1


def test_cancelled_statement_leaves_its_transaction_usable(daemon, client, table):
    client.query(f"CREATE TABLE {table}(x)")
    session = client.session()
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {table} VALUES (1)", session=session)
    id = start_endless(daemon, client, session=session)
    client.call("cancel", {"request": id})
    assert failure_of(client, id).data["transaction"] == "active"
    assert client.query("COMMIT", session=session).transaction == "none"
    assert client.query(f"SELECT count(*) FROM {table}").value == 1


def test_cancelled_batch(daemon, client, table):
    client.query(f"CREATE TABLE {table}(x)")
    since = daemon.cpu_seconds()
    id = client.send("batch", {"statements": [{"sql": f"INSERT INTO {table} VALUES (1)"}, {"sql": ENDLESS}]})
    wait_until(lambda: running(daemon, since), "the batch runs")
    assert client.call("cancel", {"request": id}).data["cancelled"] is True
    assert failure_of(client, id).code == "cancelled"
    assert client.query(f"SELECT count(*) FROM {table}").value == 0


def test_cancel_while_streaming(daemon, client):
    """Rows that flowed stay valid; the terminal frame is the error, and it is the last one."""
    id = client.send_query(ENDLESS_ROWS)
    for _ in range(5):
        assert client.receive_for(id).data["more"] is True
    client.send("cancel", {"request": id})
    failure = failure_of(client, id)
    assert failure.code == "cancelled"
    client.settle()
    wait_until(daemon.is_idle, "the daemon rests")


def test_cancel_while_the_reader_stalls(daemon, client):
    """The daemon waits for the reader, and the cancel is behind nothing but what is in the socket already."""
    id = client.send_query(ENDLESS_ROWS)
    wait_until(daemon.is_idle, "the daemon waits for the reader")
    cancel = client.send("cancel", {"request": id})
    frames = failure_of(client, id).frames
    assert sum(len(frame.raw) for frame in frames) < 8 << 20
    assert client.answer(cancel).data["cancelled"] is True
    client.settle()


def test_cancel_of_a_paged_query(daemon, client):
    session = client.session()
    for options in ({}, {"session": session}):
        id = client.send_query(ENDLESS_ROWS, page_rows=10, **options)
        assert len(client.receive_for(id).data["rows"]) == 10
        assert client.call("cancel", {"request": id}).data["cancelled"] is True
        failure = failure_of(client, id)
        assert (failure.code, failure.frames) == ("cancelled", [])
        assert client.fails("fetch", {"request": id})["code"] == "bad_request"  # guess
        assert client.query("SELECT 1", **options).rows == [[1]]
    client.settle()


def test_cancel_and_fetch_in_one_write(client):
    for order in (("fetch", "cancel"), ("cancel", "fetch")):
        id = client.send_query(ENDLESS_ROWS, page_rows=10)
        client.receive_for(id)
        payload = b""
        for type in order:
            payload += client.bytes_of(type, {"request": id})[1]
        client.socket.sendall(payload)
        assert failure_of(client, id).code == "cancelled"
        client.settle()


def test_paged_query_does_not_block_writers_or_leak(daemon, client, table):
    client.query(f"CREATE TABLE {table}(x)")
    client.query(f"INSERT INTO {table} {counting(100)}")
    ids = [client.send_query(f"SELECT x FROM {table}", page_rows=10) for _ in range(10)]
    for id in ids:
        client.receive_for(id)
    assert client.query(f"INSERT INTO {table} VALUES (0)").last["rows_affected"] == 1
    for id in ids:
        client.call("cancel", {"request": id})
        assert failure_of(client, id).code == "cancelled"
    client.query(f"DROP TABLE {table}")
    client.settle()


# Timeouts


@pytest.mark.parametrize("kind", ["autocommit", "session"])
def test_timeout(daemon, client, kind):
    options = options_for(client, kind)
    start = time.monotonic()
    error = client.query_fails(ENDLESS, timeout_ms=150, **options)
    elapsed = time.monotonic() - start
    assert error["code"] == "timeout"
    assert 0.14 <= elapsed < 1.0
    assert client.query("SELECT 1", **options).rows == [[1]]
    wait_until(daemon.is_idle, "the daemon rests")


def test_timeout_does_not_touch_what_is_quick(client):
    assert client.query("SELECT 1", timeout_ms=5000).rows == [[1]]
    session = client.session()
    for _ in range(30):  # a timer that outlives its statement would hit one of the next
        client.query("SELECT 1", timeout_ms=20, session=session)
        client.query(counting(30_000, "max(x)"), session=session)


def test_timeout_of_a_write_changes_nothing(client, table):
    client.query(f"CREATE TABLE {table}(x)")
    assert client.query_fails(f"INSERT INTO {table} {ENDLESS_X}", timeout_ms=100)["code"] == "timeout"
    assert client.query(f"SELECT count(*) FROM {table}").value == 0


@pytest.mark.slow
def test_timeout_of_a_stream(client):
    """A timeout after rows have flowed is as visible as one before."""
    id = client.send_query(ENDLESS_ROWS, timeout_ms=200)
    failure = failure_of(client, id)
    assert failure.code == "timeout"
    assert failure.frames, "rows had flowed"
    client.settle()


# Everything at random


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_interleavings_end_each_request_once(daemon, mode, seed):
    """Queries, streams, pages, fetches, cancels, sessions in any order: one terminal frame for each request.

    The client itself fails on a frame after a terminal one; `settle` fails on a missing one.
    """
    generator = random.Random(seed)
    client = daemon.connect(mode)
    sessions = [client.session(), client.session(), None, None]
    live, paged = [], []

    def options():
        session = generator.choice(sessions)
        return {"session": session} if session else {}

    def step(kind):
        if kind == "short":
            live.append(client.send_query("SELECT 1", **options()))
        elif kind == "medium":
            live.append(client.send_query(counting(generator.randint(1, 50_000), "max(x)"), **options()))
        elif kind == "stream":
            live.append(client.send_query(counting(generator.randint(1, 5000)), **options()))
        elif kind == "bad":
            live.append(client.send_query("SELEC", **options()))
        elif kind == "endless":
            live.append(client.send_query(ENDLESS, timeout_ms=generator.randint(1, 60), **options()))
        elif kind == "paged":
            id = client.send_query(counting(generator.randint(1, 60)), page_rows=7, timeout_ms=20_000)
            live.append(id)
            paged.append(id)
        elif kind == "fetch" and paged:
            client.send("fetch", {"request": generator.choice(paged)})
        elif kind == "cancel" and live:
            client.send("cancel", {"request": generator.choice(live[-10:])})
        elif kind == "health":
            client.send("health_check")

    kinds = ["short"] * 6 + ["medium"] * 3 + ["stream"] * 2 + ["bad", "endless", "paged", "fetch", "cancel", "cancel", "health"]
    for _ in range(250):
        step(generator.choice(kinds))
        if generator.random() < 0.2:
            read_what_is_there(client)
    for id in paged:  # a paged query that was not fetched to its end owes nothing until it is cancelled
        client.send("cancel", {"request": id})
    client.socket.settimeout(20)
    while any(client.waiting.values()):
        client.receive()
    client.settle()
    wait_until(daemon.is_idle, f"the daemon rests, seed {seed}")


def read_what_is_there(client):
    """Receives until the kernel has nothing more for now."""
    client.socket.setblocking(False)
    try:
        while True:
            client.receive()
    except BlockingIOError:
        pass
    finally:
        client.socket.settimeout(30)
