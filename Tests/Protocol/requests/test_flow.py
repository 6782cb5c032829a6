"""Flow control: whatever is pipelined, in whatever sizes and under whatever limits, all of it is answered and nothing waits
for ever. The rules themselves are tried in `ServerTests/FlowControlTests.swift`; this is the daemon that follows them."""

import os
import queue
import random
import threading
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from wire import MODES, RequestFailed

ROUNDS = int(os.environ.get("LITEBASE_FLOW_ROUNDS") or 4)
# Frames as large as a reply may be that holds one value, and a little more.
LARGE = 60_000


def text_of(size, padding=0):
    """SQL for one text of that many bytes; `padding` makes the request itself longer."""
    return f"SELECT printf('%0{size}d', 0) /*{'x' * padding}*/"


class Pipeline:
    """Sends everything from a thread of its own, as fast as the daemon takes it, while the test reads."""

    def __init__(self, client, payloads=(), half_close=False):
        self.client, self.half_close = client, half_close
        self.failure = None
        self.due = queue.SimpleQueue()
        for payload in payloads:
            self.due.put(payload)
        self.thread = threading.Thread(target=self.send_all, daemon=True)
        self.thread.start()
        if half_close:
            self.due.put(None)

    def send_all(self):
        try:
            while (payload := self.due.get()) is not None:
                self.client.socket.sendall(payload)
            if self.half_close:
                self.client.half_close()
        except OSError as failure:
            self.failure = failure

    def end(self):
        self.due.put(None)
        self.thread.join(20)
        assert not self.thread.is_alive() and self.failure is None, f"the daemon does not read: {self.failure}"


def pipeline(client, queries, padding=0):
    """Sends queries and reads their replies, each of which must be of the size that was asked for.

    `queries` are (size, options); the replies to those of one session must come in their order."""
    payloads, sizes, sessions = [], {}, {}
    for size, options in queries:
        id, payload = client.bytes_of("query", {"sql": text_of(size, padding), **options})
        payloads.append(payload)
        sizes[id], sessions[id] = size, options.get("session")
    sender = Pipeline(client, payloads)
    time.sleep(0.2)  # so that there is more than the sockets take
    ended = {session: [] for session in sessions.values()}
    while any(client.waiting.values()):
        reply = client.receive()
        assert reply.type == "query_response", reply
        assert len(reply.data["rows"][0][0]) == sizes[reply.id]
        ended[sessions[reply.id]].append(reply.id)
    sender.end()
    for session, ids in ended.items():
        assert session is None or ids == sorted(ids), "a session keeps its order"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["session", "autocommit"])
def test_more_large_replies_than_requests_may_be_in_flight(limited, mode, kind):
    client = limited(requests_in_flight_max=20).connect(mode, timeout=10)
    options = {"session": client.session()} if kind == "session" else {}
    # More than is read at a time: the rest comes when half of the first replies are sent.
    pipeline(client, [(LARGE, options)] * 100, padding=4_000)
    client.settle()


def test_1500_large_replies_in_a_session(daemon):
    client = daemon.connect(timeout=10)
    pipeline(client, [(LARGE, {"session": client.session()})] * 1500)
    client.settle()


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_session_behind_a_slow_statement_while_others_are_in_flight(limited, mode):
    """64 requests run, some behind each other, some without a session, while a session's wait behind a slow one."""
    daemon = limited(requests_in_flight_max=100)
    client = daemon.connect(mode, timeout=10)
    slow, *others = [client.session() for _ in range(13)]
    held = [client.send_query(ENDLESS, session=slow), *(client.send_query(text_of(LARGE), session=slow) for _ in range(20))]
    running = [client.send_query(ENDLESS, session=session) for session in others for _ in range(5)]
    running += [client.send_query(ENDLESS) for _ in range(4)]
    assert len(running) == 64
    watcher = daemon.connect()
    wait_until(lambda: watcher.call("stats").data["requests_in_flight"] == len(held) + 64, "all are there")
    # The others of the connection are answered meanwhile.
    assert len(client.query(text_of(300_000)).value) == 300_000
    client.send("cancel", {"request": held[0]})
    with pytest.raises(RequestFailed) as failure:
        client.collect(held[0])
    assert failure.value.code == "cancelled"
    for id in held[1:]:
        assert len(client.collect(id).value) == LARGE
    for id in running:
        client.send("cancel", {"request": id})
    for id in reversed(running):
        with pytest.raises(RequestFailed):
            client.collect(id)
    client.settle()


def test_what_waits_in_a_session_goes_on_behind_a_long_request(daemon):
    """A long request is decoded elsewhere, and nothing else is looked at; a session that waits for the reader does not mind."""
    client = daemon.connect(timeout=10)
    session = client.session()
    for size in (40_000, 400_000):
        payloads = [client.bytes_of("query", {"sql": text_of(LARGE), "session": session})[1] for _ in range(40)]
        last, long = client.bytes_of("query", {"sql": "SELECT length(?)", "params": ["x" * size]})
        sender = Pipeline(client, [*payloads, long])
        time.sleep(0.1)
        while any(client.waiting.values()):
            reply = client.receive()
            assert reply.id != last or reply.data["rows"] == [[size]]
        sender.end()
    client.settle()


@pytest.mark.parametrize("kind", ["session", "autocommit"])
def test_everything_is_answered_after_a_half_close(limited, kind):
    client = limited(requests_in_flight_max=20).connect(timeout=10)
    options = {"session": client.session()} if kind == "session" else {}
    payloads = [client.bytes_of("query", {"sql": text_of(LARGE), **options})[1] for _ in range(60)]
    sender = Pipeline(client, payloads, half_close=True)
    time.sleep(0.2)
    while any(client.waiting.values()):
        assert client.receive().type == "query_response"
    sender.end()
    client.receive_end()


def test_a_long_request_of_a_session_is_answered_although_the_output_was_full(daemon):
    """What it is, is known when a worker has decoded it; until then others fill the output."""
    for size in (33_000, 100_000, 400_000):
        client = daemon.connect(timeout=10)
        session = client.session()
        payloads = [client.bytes_of("query", {"sql": text_of(300_000)})[1] for _ in range(4)]
        long, last = client.bytes_of("query", {"sql": "SELECT length(?)", "params": ["x" * size], "session": session})
        sender = Pipeline(client, [b"".join(payloads) + last], half_close=True)
        time.sleep(0.3)
        while any(client.waiting.values()):
            reply = client.receive()
            assert reply.id != long or reply.data["rows"] == [[size]]
        sender.end()
        client.receive_end()


# A connection that is full of what waits for a fetch

@pytest.mark.parametrize("mode", MODES)
def test_a_fetch_gets_through_to_a_connection_that_is_full(limited, mode):
    """All that is in flight waits for a page to be asked for, or behind that: the daemon reads on, for what may end it."""
    daemon = limited(requests_in_flight_max=10)
    client = daemon.connect(mode, timeout=10)
    session = client.session()
    paged = client.send_query(counting(6), page_rows=3, session=session)
    assert client.receive_for(paged).data["rows"] == [[1], [2], [3]]
    behind = [client.send_query("SELECT 1", session=session) for _ in range(9)]
    refused = [client.send_query("SELECT 1"), client.send("batch", {"statements": [{"sql": "SELECT 1"}]}),
               client.send("describe", {"sql": "SELECT 1"}), client.send("db_connect", {"database": "default"}),
               client.send("db_disconnect", {"session": session})]
    for id in refused:
        reply = client.receive_for(id)
        assert (reply.type, reply.data["code"]) == ("error", "limit_exceeded"), reply
        assert reply.data["limit"] == {"name": "requests_in_flight_max", "value": 10, "used": 10, "uid": os.getuid()}
        assert reply.data["retryable"] is True and reply.data["hint"]
    client.call("health_check")
    client.send("fetch", {"request": paged})
    assert client.receive_for(paged).data["rows"] == [[4], [5], [6]]
    client.send("fetch", {"request": paged})
    assert client.receive_for(paged).data["more"] is False
    for id in behind:
        assert client.collect(id).value == 1
    client.settle()


def test_a_cancel_gets_through_to_a_connection_that_is_full(limited):
    daemon = limited(requests_in_flight_max=4)
    client = daemon.connect(timeout=10)
    for _ in range(3):
        paged = [client.send_query(counting(6), page_rows=3) for _ in range(4)]
        for id in paged:
            assert len(client.receive_for(id).data["rows"]) == 3
        for id in paged:
            assert client.call("cancel", {"request": id}).data["cancelled"] is True
            with pytest.raises(RequestFailed):
                client.collect(id)
    client.settle()


# Everything at random

class Traffic:
    """One connection's random requests, and what must come of them."""

    SIZES = (1, 300, 20_000, LARGE, 70_000, 300_000)

    def __init__(self, client, generator):
        self.client, self.generator = client, generator
        self.sessions = [client.session() for _ in range(generator.randint(0, 3))]
        self.payloads, self.paged, self.order, self.sizes = [], set(), {}, {}
        self.may_refuse = self.may_cancel = False

    def add(self, type, data, session=None):
        if session:
            data = {**data, "session": session}
        id, payload = self.client.bytes_of(type, data)
        self.payloads.append(payload)
        if session:
            self.order[id] = session
        return id

    def step(self):
        generator = self.generator
        session = generator.choice([*self.sessions, *self.sessions, None])
        kind = generator.choices(("text", "rows", "paged", "long", "write", "batch", "describe", "health", "cancel"),
                                 (12, 4, 1, 2, 3, 1, 1, 2, 1))[0]
        if kind == "text":
            size = generator.choice(self.SIZES)
            self.sizes[self.add("query", {"sql": text_of(size)}, session)] = size
        elif kind == "rows":
            self.add("query", {"sql": counting(generator.randint(1, 12_000), "x, 'some text that fills frames'")}, session)
        elif kind == "paged":
            self.paged.add(self.add("query", {"sql": counting(generator.randint(1, 40)), "page_rows": 9}, session))
            self.may_refuse = True
        elif kind == "long":
            size = generator.randint(33_000, 120_000)
            self.add("query", {"sql": "SELECT length(?)", "params": ["x" * size]}, session)
        elif kind == "write":
            self.add("query", {"sql": "INSERT INTO flow VALUES (1)"}, session)
        elif kind == "batch":
            self.add("batch", {"statements": [{"sql": "INSERT INTO flow VALUES (?)", "param_rows": [[1], [2]]}]}, session)
        elif kind == "describe":
            self.add("describe", {"sql": "SELECT 1"}, session)
        elif kind == "health":
            self.add("health_check", None)
        elif self.sizes:
            self.add("cancel", {"request": generator.choice([*self.sizes, *self.paged])})
            self.may_cancel = True

    def play(self, half_close):
        """Sends it all and reads all replies, by fits and starts."""
        sender = Pipeline(self.client, self.payloads, half_close)
        pace = self.generator.choice((0, 0, 0.001, 0.02))
        time.sleep(self.generator.choice((0, 0.05, 0.3)))
        ended = {}
        while any(self.client.waiting.values()):
            reply = self.client.receive()
            if pace and self.generator.random() < 0.1:
                time.sleep(pace)
            if not reply.terminal and reply.id in self.paged and not half_close:
                sender.due.put(self.client.bytes_of("fetch", {"request": reply.id})[1])
            if reply.terminal and reply.type != "error" and reply.id in self.order:
                ended.setdefault(self.order[reply.id], []).append(reply.id)
            self.check(reply, half_close)
        sender.end()
        for ids in ended.values():
            assert ids == sorted(ids), "a session keeps its order"

    def check(self, reply, half_close):
        if reply.type == "error":
            codes = (["cancelled"] if self.may_cancel or half_close else []) + (["limit_exceeded"] if self.may_refuse else [])
            # A fetch may come when its query has ended.
            assert reply.data["code"] in [*codes, "bad_request"][:None if self.paged else len(codes)], reply
        elif reply.id in self.sizes and reply.data["rows"]:
            assert len(reply.data["rows"][0][0]) == self.sizes[reply.id]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_random_pipelines_are_answered(limited, mode):
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LITEBASE_TEST_SEED={seed}")
    generator = random.Random(seed)
    daemon = limited(requests_in_flight_max=generator.choice((1, 2, 5, 20, 64)))
    daemon.connect().query("CREATE TABLE flow(x)")
    for _ in range(ROUNDS):
        client = daemon.connect(mode, timeout=10)
        traffic = Traffic(client, generator)
        for _ in range(generator.randint(10, 150)):
            traffic.step()
        half_close = generator.random() < 0.3
        traffic.play(half_close)
        if half_close:
            client.receive_end()
        else:
            client.settle()
        client.close()
    wait_until(daemon.is_idle, "the daemon rests")
