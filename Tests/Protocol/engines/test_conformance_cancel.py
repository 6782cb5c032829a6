"""The conformance suite's part on cancelling and timeouts."""

import random
import statistics
import time

import pytest

from conformance import (POOL, POOL_WAIT_MS, Place, cancelled_within, client, engine, failure_of, fails,  # noqa: F401
                         on, packed, place, says, start_slow, whole_place)
from daemon import wait_until
from wire import RequestFailed


# Cancelling

@pytest.mark.parametrize("kind", ["autocommit", "session"])
def test_cancel_within_100_ms(place, client, kind):
    options = {"session": client.session(database="db")} if kind == "session" else {"database": "db"}
    delays = []
    for _ in range(5):
        id = start_slow(place, client, **options)
        delays.append(cancelled_within(client, id))
        assert says(client, place.engine, **options)
    assert statistics.median(delays) < 0.1 and max(delays) < 1, delays


def test_cancel_before_the_start(engine, client):
    """Query, cancel and the next query in one write."""
    for _ in range(50):
        first, a = client.bytes_of("query", {"sql": engine.say(1), "database": "db"})
        cancel, b = client.bytes_of("cancel", {"request": first})
        second, c = client.bytes_of("query", {"sql": engine.say(2), "database": "db"})
        client.socket.sendall(a + b + c)
        assert ended_as_told(client, first, cancel)
        assert client.collect(second).value == engine.said(2)


def ended_as_told(client, id, cancel):
    """Whether the reply to `cancel` and that of the request tell the same."""
    try:
        client.collect(id)
        return client.answer(cancel).data["cancelled"] is False
    except RequestFailed as failure:
        assert failure.code == "cancelled", failure
        return client.answer(cancel).data["cancelled"] is True


@pytest.mark.parametrize("kind", ["autocommit", "session"])
def test_a_late_cancel_hits_nobody_else(engine, packed, kind):
    options = {"session": packed.session(database="db")} if kind == "session" else {"database": "db"}
    generator = random.Random(11)
    for round in range(200 if kind == "autocommit" else 60):
        first = packed.send_query(engine.sleep_brief, **options)
        pause = time.monotonic() + generator.random() * 0.004
        while time.monotonic() < pause:
            pass
        cancel = packed.send("cancel", {"request": first})
        # Behind the cancel, while it may be on its way to the server.
        second = packed.send_query(engine.say(round), **options)
        assert ended_as_told(packed, first, cancel), f"seed 11, round {round}"
        assert packed.collect(second).value == engine.said(round), f"seed 11, round {round}"
        third = packed.send_query(engine.sleep_brief, **options)
        packed.collect(third)


@pytest.mark.parametrize("kind", ["autocommit", "session"])
def test_a_cancelled_write_is_told_as_it_ended(place, engine, packed, kind):
    """Write and cancel, nearer and farther: whatever the reply says is what the table has."""
    table = place.table([("id", "key"), ("v", "integer")])
    options = {"session": packed.session(database="db")} if kind == "session" else {"database": "db"}
    told = {}
    for number in range(120):
        id, write = packed.bytes_of("query", {"sql": engine.insert(table), "params": [number, number], **options})
        cancel, stop = packed.bytes_of("cancel", {"request": id})
        packed.socket.sendall(write)
        pause = time.monotonic() + number % 12 / 50_000
        while time.monotonic() < pause:
            pass
        packed.socket.sendall(stop)
        try:
            assert packed.collect(id).columns is not None
            told[number] = 1
        except RequestFailed as failure:
            assert failure.code in ("cancelled", "outcome_unknown"), failure
            told[number] = 0 if failure.code == "cancelled" else None
        packed.answer(cancel)
    stored = engine.values(table)
    for number, expected in told.items():
        assert expected in (None, stored.count(number)), number


def test_cancel_while_waiting(place, engine, client):
    """For its turn in the session; behind it, another waits that is not meant."""
    session = client.session(database="db")
    first = start_slow(place, client, session=session)
    second = client.send_query(engine.say(2), session=session)
    third = client.send_query(engine.say(3), session=session)
    assert cancelled_within(client, second) < 0.5
    assert not client.stash[first]
    cancelled_within(client, first)
    assert client.collect(third).value == engine.said(3)


@pytest.mark.needs("pool")
def test_cancel_while_waiting_for_the_pool(engine, client):
    sessions = [client.session(database="db") for _ in range(POOL)]
    delays = [cancelled_within(client, client.send_query(engine.say(1), database="db")) for _ in range(5)]
    assert statistics.median(delays) < 0.1, delays
    second = client.send_query(engine.say(2), database="db")
    cancelled_within(client, client.send_query(engine.say(3), database="db"))
    client.call("db_disconnect", {"session": sessions[0]})
    assert client.collect(second).value == engine.said(2)


def cancelled_soon(client, sql, **options):
    """Whether a statement that waits is cancelled within half a second, in one of three attempts.

    A server that gets no processor meanwhile may not confirm it in time; then nobody knows.
    """
    for _ in range(3):
        id = client.send_query(sql, **options)
        time.sleep(0.1)
        started = time.monotonic()
        request = client.send("cancel", {"request": id})
        failure = failure_of(client, id)
        took = time.monotonic() - started
        assert failure.code in ("cancelled", "outcome_unknown"), failure
        assert client.answer(request).data["cancelled"] is (failure.code == "cancelled")
        if failure.code == "cancelled" and took < 0.5:
            return True
    return False


@pytest.mark.needs("sql")
def test_cancel_while_waiting_for_a_lock(place, client):
    table = place.table([("id", "key"), ("v", "integer")])
    on(client, f"INSERT INTO {table} VALUES (1, 1)")
    holder, waiter = client.session(database="db"), client.session(database="db")
    client.query("BEGIN", session=holder)
    client.query(f"UPDATE {table} SET v = 2", session=holder)
    for options in ({"database": "db"}, {"session": waiter}):
        assert cancelled_soon(client, f"UPDATE {table} SET v = 3", **options)
        error = client.query_fails(f"UPDATE {table} SET v = 3", timeout_ms=100, **options)
        assert error["code"] == "timeout", error
    client.query("COMMIT", session=holder)
    assert on(client, f"SELECT v FROM {table}").rows == [[2]]


def test_cancel_while_rows_flow(place, engine, client):
    for options in ({"database": "db"}, {"session": client.session(database="db")}):
        id = client.send_query(engine.rows(engine.many), **options)
        for _ in range(3):
            assert client.receive_for(id).data["more"] is True
        assert cancelled_within(client, id) < 2
        assert says(client, place.engine, **options)
    # The reader has stalled, and the daemon with it.
    id = client.send_query(engine.rows(engine.many), database="db")
    wait_until(place.daemon.is_idle, "the daemon waits for the reader")
    cancelled_within(client, id)


def test_cancel_of_what_has_ended_or_never_was(engine, client):
    id = client.send_query(engine.say(1), database="db")
    client.collect(id)
    for request in (id, id, "never", 2**63):
        assert client.call("cancel", {"request": request}).data["cancelled"] is False
    client.settle()


@pytest.mark.needs("sql")
def test_a_cancelled_write_changes_nothing(place, engine, client):
    table = place.table([("id", "key"), ("v", "integer")])
    write = engine.slow_write.format(table=table)
    # A busy server may not confirm it in time.
    codes = ("cancelled", "outcome_unknown")
    cancelled_within(client, start_slow(place, client, write), codes)
    assert place.count(table) == 0
    # A batch: what ran before the statement that is cancelled is undone, too.
    id = client.send("batch", {"statements": [{"sql": f"INSERT INTO {table} VALUES (1, 1)"}, {"sql": write}], "database": "db"})
    time.sleep(0.1)
    cancelled_within(client, id, codes)
    assert place.count(table) == 0
    assert on(client, f"INSERT INTO {table} VALUES (1, 1)").last["rows_affected"] == 1


@pytest.mark.needs("sql")
def test_cancel_in_a_transaction(place, engine, client):
    table = place.table([("v", "integer")])
    session = client.session(database="db")
    client.query("BEGIN", session=session)
    client.query(f"INSERT INTO {table} VALUES (1)", session=session)
    id = start_slow(place, client, session=session)
    client.call("cancel", {"request": id})
    state = failure_of(client, id).data["transaction"]
    assert state in ("active", "failed")
    client.query("COMMIT" if state == "active" else "ROLLBACK", session=session)
    assert place.count(table) == (1 if state == "active" else 0)
    assert client.query("SELECT 1", session=session).transaction == "none"


@pytest.mark.needs("server", "sql")
def test_of_two_that_wait_for_each_other_one_goes_on(place, engine, packed):
    table = place.table([("id", "key"), ("v", "integer")])
    packed.batch([{"sql": f"INSERT INTO {table} VALUES (1, 0)"}, {"sql": f"INSERT INTO {table} VALUES (2, 0)"}], database="db")
    sessions = [packed.session(database="db") for _ in range(2)]
    for number, session in enumerate(sessions, 1):
        packed.query("BEGIN", session=session)
        packed.query(f"UPDATE {table} SET v = {number} WHERE id = {number}", session=session)
    ids = [packed.send_query(f"UPDATE {table} SET v = {number} WHERE id = {3 - number}", session=session)
           for number, session in enumerate(sessions, 1)]
    failures, won = [], []
    for id, session in zip(ids, sessions):
        try:
            packed.collect(id)
            won.append(session)
        except RequestFailed as failure:
            failures.append(failure.data)
            # Some servers have nothing to commit any more and say so to nobody.
            rest = packed.query_fails("COMMIT", session=session)
            assert (rest["code"], rest["transaction"]) == ("transaction_rolled_back", "none"), rest
            assert packed.query("COMMIT", session=session).transaction == "none"
    [error] = failures
    assert error["code"] == "busy" and error["retryable"] is True, error
    assert (error["sqlstate"], error.get("vendor_code")) == engine.deadlock, error
    # Where a mistake leaves the transaction as it was, a deadlock ends it.
    assert error["transaction"] == ("none" if "failed" in engine.lacks else "failed"), error
    packed.query("COMMIT", session=won[0])
    [[first], [second]] = on(packed, f"SELECT v FROM {table}").rows
    assert first == second != 0


# Timeouts

def test_timeouts(place, engine, client):
    table = place.table([("id", "key"), ("v", "integer")])
    for options in ({"database": "db"}, {"session": client.session(database="db")}):
        for sql in {engine.slow, engine.slow_write.format(table=table)}:
            started = time.monotonic()
            error = client.query_fails(sql, timeout_ms=60, **options)
            assert error["code"] == "timeout" and not error.get("retryable"), error
            assert 0.05 < time.monotonic() - started < 1
            assert says(client, engine, timeout_ms=5000, **options)
    assert engine.count(table, 7) == 0


@pytest.mark.needs("pool")
def test_a_timeout_counts_while_waiting_for_the_pool(engine, client):
    for _ in range(POOL):
        client.session(database="db")
    started = time.monotonic()
    assert fails(client, engine.say(1), timeout_ms=50)["code"] in ("timeout", "busy")
    assert time.monotonic() - started < POOL_WAIT_MS / 1000


@pytest.fixture
def impatient(place):
    """A second daemon beside the first, for limits of its own."""
    second = Place(place.engine, idle_transaction_ms_max=400)
    yield second
    second.finish()


def test_an_idle_transaction_ends(place, engine, impatient):
    table = place.table([("id", "key"), ("v", "integer")])
    with impatient.connect() as packed:
        session = packed.session(database="db")
        packed.query(engine.begin, session=session)
        packed.query(engine.insert(table), [1, 1], session=session)
        other = packed.session(database="db")
        time.sleep(0.6)
        error = packed.query_fails(engine.say(1), session=session)
        assert (error["code"], error["sqlstate"]) == ("session_not_found", "25P03"), error
        # Sessions without a transaction may rest.
        assert says(packed, engine, session=other)
        packed.query(engine.insert(table), [2, 2], session=other)
    assert (engine.count(table, 1), engine.count(table, 2)) == (0, 1)
