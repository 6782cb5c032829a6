"""The conformance suite's second half: cancelling, timeouts, clients and servers that leave at every step, a full pool.

As in test_conformance.py, after every case it is looked whether anything is left behind.
"""

import os
import random
import statistics
import time

import pytest

from conformance import (CONNECTIONS_MAX, POOL, POOL_WAIT_MS, SWEEPS_ALL, Place, cancelled_within, client, engine, failure_of,  # noqa: F401
                         fails, on, packed, place, says, start_slow, whole_place)
from daemon import wait_until
from engines import ENGINES
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


@pytest.mark.needs("sql")
def test_cancel_while_waiting_for_a_lock(place, client):
    table = place.table([("id", "key"), ("v", "integer")])
    on(client, f"INSERT INTO {table} VALUES (1, 1)")
    holder, waiter = client.session(database="db"), client.session(database="db")
    client.query("BEGIN", session=holder)
    client.query(f"UPDATE {table} SET v = 2", session=holder)
    for options in ({"database": "db"}, {"session": waiter}):
        id = client.send_query(f"UPDATE {table} SET v = 3", **options)
        time.sleep(0.1)
        assert cancelled_within(client, id) < 0.5
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
    cancelled_within(client, start_slow(place, client, write))
    assert place.count(table) == 0
    # A batch: what ran before the statement that is cancelled is undone, too.
    id = client.send("batch", {"statements": [{"sql": f"INSERT INTO {table} VALUES (1, 1)"}, {"sql": write}], "database": "db"})
    time.sleep(0.1)
    cancelled_within(client, id)
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
            packed.query("ROLLBACK", session=session)
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


# The pool

@pytest.mark.needs("pool")
def test_a_full_pool_tells_who_has_it(place, engine, client):
    watcher = place.connect()
    sessions = [client.session(database="db") for _ in range(POOL)]
    started = time.monotonic()
    ids = [watcher.send_query(engine.say(1), database="db") for _ in range(3)]
    error = failure_of(watcher, ids[0]).data
    assert POOL_WAIT_MS / 1000 * 0.9 < time.monotonic() - started < 3
    assert error["code"] == "busy" and error["retryable"] is True and error["sqlstate"], error
    for word in ("pool_connections_max", f"{POOL} of {POOL}", "wait"):
        assert word in error["message"], error
    holder = error["holder"]
    assert (holder["uid"], holder["pid"]) == (os.getuid(), os.getpid()) and holder["since_ms"] >= POOL_WAIT_MS * 0.9
    for id in ids[1:]:
        assert failure_of(watcher, id).code == "busy"
    assert watcher.fails("db_connect", {"database": "db"})["code"] == "busy"
    # Who waits when a connection becomes free gets it.
    waiting = watcher.send_query(engine.say(5), database="db")
    time.sleep(0.05)
    client.call("db_disconnect", {"session": sessions[0]})
    assert watcher.collect(waiting).value == engine.said(5)
    for session in sessions[1:]:
        assert says(client, engine, session=session)


def test_many_clients_at_once(place, engine):
    clients = [place.connect() for _ in range(40)]
    ids = [(each, number, each.send_query(engine.say(number), database="db")) for each in clients for number in range(10)]
    for each, number, id in ids:
        assert each.collect(id).value == engine.said(number)
    # Each write once.
    table = place.table([("id", "key"), ("v", "integer")])
    ids = [(each, each.send_query(engine.insert(table), [number, number], database="db")) for number, each in enumerate(10 * clients)]
    for each, id in ids:
        each.collect(id)
    assert sorted(engine.values(table)) == list(range(400))
    assert engine.backend_count() <= CONNECTIONS_MAX


@pytest.mark.needs("server")
def test_connections_are_closed_when_they_are_idle(engine):
    before = engine.backend_count()
    hasty = Place(engine, pool_idle_ms_max=100)
    try:
        with hasty.connect() as client:
            number = on(client, engine.link).value
            wait_until(lambda: engine.backend_count() == before, "it is closed")
            assert on(client, engine.link).value != number
        hasty.finish()
    finally:
        hasty.discard()


# A conversation, and who leaves it at which step

class Talk:
    """What a client does one step after the other, and what came of it.

    Rows of `table` by their part: 1, a single write; 2, a transaction of three; 3, a batch of fifty.
    """

    STEPS = ["insert", "pages", "fetch", "open", "begin", "insert in it", "savepoint", "batch in it", "read in it", "commit",
             "batch", "describe", "slow read", "slow write", "close"]

    def __init__(self, place, client, table):
        self.engine, self.client, self.table = place.engine, client, table
        self.session, self.paged = "none", None
        self.outcomes = {}

    def request(self, step):
        """Type and data of a step's request."""
        insert = self.engine.insert(self.table)
        here, shared = {"session": self.session}, {"database": "db"}
        return {
            "insert": ("query", {"sql": insert, "params": [1, 1], **shared}),
            "pages": ("query", {"sql": self.engine.rows(50_000), "page_rows": 5, **shared}),
            "fetch": ("fetch", {"request": self.paged}),
            "open": ("db_connect", shared),
            "begin": ("query", {"sql": self.engine.begin, **here}),
            "insert in it": ("query", {"sql": insert, "params": [2, 2], **here}),
            "savepoint": ("query", {"sql": self.engine.savepoint, **here}),
            "batch in it": ("batch", {"statements": [{"sql": insert, "param_rows": [[3, 2], [4, 2]]}],
                                       "atomic": "nested" not in self.engine.lacks, **here}),
            "read in it": ("query", {"sql": self.engine.look(self.table), **here}),
            "commit": ("query", {"sql": self.engine.commit, **here}),
            "batch": ("batch", {"statements": [{"sql": insert, "param_rows": [[100 + n, 3] for n in range(50)]}], **shared}),
            "describe": ("describe", {"sql": self.engine.say(1), **shared}),
            "slow read": ("query", {"sql": self.engine.slow, **shared}),
            "slow write": ("query", {"sql": self.engine.slow_write.format(table=self.table), **shared}),
            "close": ("db_disconnect", here),
        }[step]

    def send(self, step):
        type, data = self.request(step)
        id = self.client.send(type, data)
        if step == "pages":
            self.paged = id
        return id

    def finish(self, step, id):
        """Reads the reply of a step; slow ones are cancelled."""
        if step.startswith("slow"):
            self.client.send("cancel", {"request": id})
        reply = self.client.receive_for(self.paged if step == "fetch" else id)
        if reply.type == "error":
            self.outcomes[step] = reply.data
        else:
            self.outcomes[step] = "done"
            self.session = reply.data.get("session", self.session)
        return self.outcomes[step]

    def until(self, step):
        """Everything before `step`."""
        for earlier in self.STEPS[:self.STEPS.index(step)]:
            outcome = self.finish(earlier, self.send(earlier))
            assert outcome == "done" or outcome["code"] == "cancelled", (earlier, outcome)

    def check(self, place, sent=None):
        """What was acknowledged is there, what was refused is not, and nothing is there in part."""
        for step, part, total in (("insert", 1, 1), ("commit", 2, 3), ("batch", 3, 50)):
            count, outcome = self.engine.count(self.table, part), self.outcomes.get(step)
            assert count in (0, total), f"{count} of {total} rows of the {step}"
            if outcome == "done":
                assert count == total, f"the {step} was acknowledged"
            elif outcome is not None and outcome["code"] != "outcome_unknown" or outcome is None and step != sent:
                assert count == 0, f"the {step} ended with {outcome}"


def some(steps, wanted):
    return steps if SWEEPS_ALL else wanted


@pytest.mark.parametrize("step", Talk.STEPS)
def test_the_client_leaves_at_a_step(place, step):
    """Before a whole request is sent, without reading the reply, and after it."""
    for how in ("half", "unread", "read"):
        table = place.table([("id", "key"), ("v", "integer")])
        client = place.connect()
        talk = Talk(place, client, table)
        talk.until(step)
        if how == "half":
            type, data = talk.request(step)
            payload = client.bytes_of(type, data)[1]
            client.socket.sendall(payload[:len(payload) // 2])
        else:
            id = talk.send(step)
            if how == "read" and step != "fetch":
                talk.finish(step, id)
        client.close()
        wait_until(place.is_quiet, f"nothing is left: {how}", timeout=8, interval=0.01)
        talk.check(place, sent=step if how == "unread" else None)


@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_the_client_leaves_after_some_bytes(place, engine, mode):
    table = place.table([("id", "key"), ("v", "integer")])
    insert = engine.insert(table)
    with place.connect(mode) as model:
        payload = b"".join(model.bytes_of(*request)[1] for request in (
            ("db_connect", {"database": "db"}), ("query", {"sql": engine.rows(50_000), "database": "db", "page_rows": 3}),
            ("query", {"sql": insert, "params": [1, 1], "database": "db"}), ("query", {"sql": engine.slow, "database": "db"}),
            ("batch", {"statements": [{"sql": insert, "param_rows": [[100 + n, 3] for n in range(50)]}], "database": "db"})))
    for count in range(0, len(payload), 1 if SWEEPS_ALL else len(payload) // 40):
        with place.connect() as client:
            on(client, engine.emptying(table))
        leaver = place.connect()
        leaver.socket.sendall(payload[:count])
        leaver.close()
        wait_until(place.is_quiet, f"nothing is left after {count} bytes", timeout=8, interval=0.005)
        assert engine.count(table, 3) in (0, 50)


# The server

def reaches_again(place):
    """Waits until the daemon has found its server by itself."""
    with place.connect() as client:
        def works():
            try:
                return says(client, place.engine)
            except RequestFailed as failure:
                assert failure.code in ("connect_failed", "busy") and failure.data["retryable"] is True, failure
                return False

        wait_until(works, "the daemon finds its server again", timeout=12, interval=0.05)


KILLED_AT = ["insert", "pages", "fetch", "open", "insert in it", "commit", "batch", "slow read", "slow write"]


@pytest.mark.needs("server")
@pytest.mark.parametrize("step", some(Talk.STEPS, KILLED_AT))
def test_the_server_is_killed_at_a_step(place, engine, step):
    table = place.table([("id", "key"), ("v", "integer")])
    client = place.connect()
    talk = Talk(place, client, table)
    talk.until(step)
    try:
        if step.startswith("slow"):
            id = start_slow(place, client, talk.request(step)[1]["sql"])
        else:
            id = talk.send(step)
        started = time.monotonic()
        engine.kill()
        outcome = talk.finish(step, id)
        assert time.monotonic() - started < 3
        if outcome != "done":
            assert outcome["code"] in ("connect_failed", "outcome_unknown", "cancelled"), outcome
            assert outcome["sqlstate"] and outcome["message"], outcome
            if outcome["code"] == "outcome_unknown":
                assert not outcome.get("retryable"), outcome
            elif step.startswith("slow w"):
                assert outcome["code"] != "connect_failed", outcome
        # A session that has lost its connection says so, as often as it is asked.
        if "open" in talk.outcomes and step != "close":
            for _ in range(2):
                error = client.query_fails(engine.say(1), session=talk.session)
                assert error["code"] in ("connect_failed", "session_not_found"), error
                assert error.get("transaction", "none") == "none", error
        started = time.monotonic()
        for _ in range(3):
            error = fails(client, engine.say(1))
            # Not retryable: a read that was lost on its way, and whose functions may have written.
            assert error["code"] == "connect_failed", error
        assert client.fails("db_connect", {"database": "db"})["code"] == "connect_failed"
        assert error["retryable"] is True and error["retry_after_ms"] > 0 and time.monotonic() - started < 3, error
    finally:
        engine.restart()
        reaches_again(place)
    talk.check(place, sent=step)
    client.close()
    with place.connect() as fresh:
        assert says(fresh, engine, session=fresh.session(database="db"))


@pytest.mark.needs("server")
def test_a_restart_between_two_requests_is_not_noticed(place, engine, packed):
    """Connections that rest in the pool are found dead before they are used."""
    ids = [packed.send_query(engine.say(1), database="db") for _ in range(20)]
    for id in ids:
        packed.collect(id)
    session = packed.session(database="db")
    packed.query(engine.begin, session=session)
    engine.stop()
    engine.restart()
    assert says(packed, engine)
    table = place.table([("id", "key"), ("v", "integer")])
    on(packed, engine.insert(table), [1, 1])
    assert engine.values(table) == [1]
    packed.query_fails(engine.commit, session=session)
    error = packed.query_fails(engine.say(1), session=session)
    assert error["code"] in ("connect_failed", "session_not_found") and error.get("transaction", "none") == "none", error
    packed.call("db_disconnect", {"session": session})


@pytest.mark.needs("server")
def test_the_server_is_stopped_while_statements_run(place, engine, packed):
    """In good order: it may tell its clients so."""
    table = place.table([("id", "key"), ("v", "integer")])
    session = packed.session(database="db")
    packed.query(engine.begin, session=session)
    packed.query(engine.insert(table), [1, 1], session=session)
    reading = start_slow(place, packed, engine.slow_read)
    writing = packed.send_query(engine.slow_write.format(table=table), database="db")
    wait_until(lambda: len(engine.busy_backends()) >= 2, "both run")
    engine.stop()
    try:
        assert failure_of(packed, reading).code == "connect_failed"
        assert failure_of(packed, writing).code in ("connect_failed", "outcome_unknown")
        error = packed.query_fails(engine.say(1), session=session)
        assert (error["code"], error["transaction"]) == ("connect_failed", "none"), error
        # Within the backoff nobody waits for the network.
        started = time.monotonic()
        for _ in range(2):
            error = fails(packed, engine.say(1))
            assert error["code"] == "connect_failed" and error["retryable"] is True, error
        assert time.monotonic() - started < 3
    finally:
        engine.restart()
        reaches_again(place)
    assert engine.values(table) == []
    assert says(packed, engine, session=packed.session(database="db"))


@pytest.mark.needs("server")
def test_a_server_that_does_not_react(place, engine, packed):
    table = place.table([("id", "key"), ("v", "integer")])
    session = packed.session(database="db")
    reading = start_slow(place, packed)
    on(packed, engine.insert(table), [1, 7])
    engine.pause()
    try:
        started = time.monotonic()
        request = packed.send("cancel", {"request": reading})
        # A command that waits for something to take it away is a write.
        assert failure_of(packed, reading).code in ("cancelled", "outcome_unknown")
        packed.answer(request)
        assert time.monotonic() - started < 0.5
        started = time.monotonic()
        assert fails(packed, engine.say(1), timeout_ms=100)["code"] in ("timeout", "busy")
        error = packed.query_fails(engine.insert(table), [2, 8], timeout_ms=100, session=session)
        # The server has the statement, and may run it when it goes on.
        assert error["code"] == "outcome_unknown" and not error.get("retryable"), error
        assert time.monotonic() - started < 1.5
    finally:
        engine.go_on()
        reaches_again(place)
    assert engine.count(table, 7) == 1


def test_every_engine_says_what_it_lacks():
    features = {"reading batch", "server", "pool", "permission", "failed", "sql", "nested", "kinds", *(case for each in ENGINES.values() for case in each.errors)}
    for each in ENGINES.values():
        assert set(each.lacks) <= features and all(each.lacks.values())
