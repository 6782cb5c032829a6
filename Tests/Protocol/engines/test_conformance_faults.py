"""The conformance suite's part on clients and servers that leave at every step, and on a full pool.

As in test_conformance.py, after every case it is looked whether anything is left behind.
"""

import os
import time

import pytest

from conformance import (CONNECTIONS_MAX, POOL, POOL_WAIT_MS, SWEEPS_ALL, Place, client, engine,  # noqa: F401
                         failure_of, fails, on, packed, place, says, start_slow, whole_place)
from daemon import wait_until
from engines import ENGINES
from wire import RequestFailed


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

    def collect(client, id, *request):
        """On a busy machine a connection may not be free in time: nothing was done, and it may be tried again."""
        while True:
            try:
                return client.collect(id)
            except RequestFailed as error:
                if error.code != "busy":
                    raise
                id = client.send_query(*request, database="db")

    ids = [(each, number, each.send_query(engine.say(number), database="db")) for each in clients for number in range(10)]
    for each, number, id in ids:
        assert collect(each, id, engine.say(number)).value == engine.said(number)
    # Each write once.
    table = place.table([("id", "key"), ("v", "integer")])
    ids = [(each, number, each.send_query(engine.insert(table), [number, number], database="db"))
           for number, each in enumerate(10 * clients)]
    for each, number, id in ids:
        collect(each, id, engine.insert(table), [number, number])
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
            # A busy server may not have confirmed the cancelling in time.
            expected = ("cancelled", "outcome_unknown") if earlier == "slow write" else ("cancelled",)
            assert outcome == "done" or outcome["code"] in expected, (earlier, outcome)

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
def test_the_server_is_killed_while_a_reader_stalls(place, engine):
    """A socket that has been hung up is told of without end; nobody looks at it until the reader goes on."""
    stalled = place.connect()
    id = stalled.send_query(engine.rows(engine.many), database="db")
    wait_until(place.daemon.is_idle, "the daemon waits for the reader")
    engine.kill()
    try:
        wait_until(place.daemon.is_idle, "the daemon still waits for the reader", timeout=3)
        try:
            stalled.collect(id)  # all of it was there
        except RequestFailed as failure:
            assert failure.code == "connect_failed"
    finally:
        engine.restart()
        reaches_again(place)


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
