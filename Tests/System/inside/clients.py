"""The kinds of clients of the load generator. Each is a thread with a connection and a habit of its own."""

import random
import threading
import time

from peer import FRAMINGS, Failure, Peer

PAUSE_AFTER_FAILURE_SECONDS = 0.01
STREAM_ROW_COUNT = 20_000
STREAM = f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT {STREAM_ROW_COUNT}) SELECT x FROM c"


class Client(threading.Thread):
    """Repeats `step` until the load stops. `name` is unique, and so are its request ids and its rows."""

    kind = "client"

    def __init__(self, load, number):
        super().__init__(name=f"{self.kind}-{number}", daemon=True)
        self.path, self.table, self.ledger, self.stopping = load.path, load.table, load.ledger, load.stopping
        self.random = random.Random(f"{load.seed}/{self.name}")
        self.framing = FRAMINGS[number % len(FRAMINGS)]
        self.serial = 0
        self.peer = None

    def run(self):
        while not self.stopping.is_set():
            try:
                self.step()
            except Failure as failure:
                self.ledger.count(self.kind, failure.kind, self.name, str(failure))
                self.disconnect()
                self.stopping.wait(PAUSE_AFTER_FAILURE_SECONDS)
        self.finish()
        self.disconnect()

    def step(self):
        raise NotImplementedError

    def finish(self):
        """After the last step: a connection that is left must be silent."""
        if self.peer and (failure := self.peer.quiet_failure(0.2)):
            self.ledger.count(self.kind, failure, self.name, "at the end")

    def connect(self):
        self.peer = Peer(self.path, self.framing)
        self.ledger.connected(self.name)

    def disconnect(self):
        if self.peer:
            self.peer.close()
        self.peer = None

    def next_id(self):
        self.serial += 1
        return f"{self.name}/{self.serial}"

    # Requests

    def question(self):
        """A health check, a read, or a write: (message, type of the reply, row's key or None, expected rows or None)."""
        id = self.next_id()
        choice = self.random.random()
        if choice < 0.3:
            return {"id": id, "type": "health_check"}, "health_response", None, None
        if choice < 0.6:
            return query(id, "SELECT ?, ?", [self.name, self.serial]), "query_response", None, [[self.name, self.serial]]
        key = (self.name, self.serial)
        return query(id, f"INSERT INTO {self.table} VALUES (?, ?)", list(key)), "query_response", key, None

    def judge(self, reply, expected_type, key, expected_rows, id=None):
        """Counts one reply, and what became of its row."""
        if reply["type"] == "error":
            code = reply["data"].get("code", "?")
            outcome = f"error:{code}"
            fate = "unknown" if code == "outcome_unknown" else "refused"
        elif reply["type"] != expected_type or (id is not None and reply["id"] != id):
            outcome, fate = "wrong_reply", "unknown"
        elif expected_rows is not None and reply["data"].get("rows") != expected_rows:
            outcome, fate = "wrong_reply", "unknown"
        else:
            outcome, fate = "ok", "acknowledged"
        if key:
            self.ledger.row(fate, key)
        self.ledger.count(self.kind, outcome, self.name, "" if outcome == "ok" else str(reply)[:200])


def query(id, sql, parameters=(), **data):
    return {"id": id, "type": "query", "data": {"sql": sql, "params": list(parameters), **data}}


class ShortLived(Client):
    """Connects, asks once, and leaves."""

    kind = "short"
    pause_seconds = (0.001, 0.01)

    def step(self):
        message, type, key, rows = self.question()
        started = time.monotonic()
        self.connect()
        try:
            self.peer.send(message)
            reply = self.peer.receive()
        except Failure as failure:
            if key:
                self.ledger.row("unknown", key)
            milliseconds = 1e3 * (time.monotonic() - started)
            raise Failure(failure.kind, f"{message['type']} after {milliseconds:.1f} ms") from None
        self.ledger.latency(self.kind, time.monotonic() - started)
        self.judge(reply, type, key, rows, message["id"])
        self.disconnect()
        self.stopping.wait(self.random.uniform(*self.pause_seconds))

    def connect(self):
        self.peer = Peer(self.path, self.framing)


class Visitor(ShortLived):
    """The same at leisure: 16 of them make about a hundred connections a second."""

    kind = "visitor"
    pause_seconds = (0.1, 0.2)


class Persistent(Client):
    """Keeps one connection; asks one question, or several at once; thinks; looks whether anything came unasked."""

    kind = "persistent"
    think_seconds = (0.0, 0.02)
    at_once = (1, 1, 1, 4)

    def step(self):
        if not self.peer:
            self.connect()
        waiting = {}
        started = time.monotonic()
        try:
            for _ in range(self.random.choice(self.at_once)):
                message, *expected = self.question()
                waiting[message["id"]] = expected
                self.peer.send(message)
            while waiting:
                reply = self.peer.receive()
                expected = waiting.pop(reply["id"], None)
                if not expected:
                    raise Failure("reply_twice_or_never_asked", str(reply)[:200])
                self.judge(reply, *expected)
        except Failure as failure:
            for _, key, _ in waiting.values():
                if key:
                    self.ledger.row("unknown", key)
            milliseconds = 1e3 * (time.monotonic() - started)
            raise Failure(failure.kind, f"{len(waiting)} waiting for {milliseconds:.1f} ms, {failure}") from None
        self.ledger.latency(self.kind, time.monotonic() - started)
        if failure := self.peer.quiet_failure(self.random.uniform(*self.think_seconds) + 0.0005):
            raise Failure(failure)


class Thoughtful(Persistent):
    """A persistent client that is between two requests nearly all the time: nothing may ever happen to it."""

    kind = "thoughtful"
    think_seconds = (0.3, 1.0)
    at_once = (1,)


class InSession(Client):
    """Writes pairs of rows in transactions of a session. When the session is gone, it opens another."""

    kind = "session"
    session = None

    def step(self):
        if not self.peer:
            self.connect()
            self.session = None
        if not self.session:
            reply = self.ask({"id": self.next_id(), "type": "db_connect", "data": {"database": "default"}})
            self.session = reply and reply["session"]
            return
        keys, fate = [], "refused"
        try:
            if self.execute("BEGIN") is None:
                return
            for _ in range(2):
                self.serial += 1
                keys.append((self.name, self.serial))
                if self.execute(f"INSERT INTO {self.table} VALUES (?, ?)", keys[-1]) is None:
                    return
                time.sleep(self.random.uniform(0, 0.01))
            fate = "unknown"
            if self.execute("COMMIT") is not None:
                fate = "acknowledged"
            elif self.code != "outcome_unknown":
                fate = "refused"
        finally:
            for key in keys:
                self.ledger.row(fate, key)

    def execute(self, sql, parameters=()):
        return self.ask(query(self.next_id(), sql, parameters, session=self.session))

    def ask(self, message):
        """The data of a good reply; None after an error, and then the session is given up when it is gone."""
        self.peer.send(message)
        reply = self.peer.receive()
        if reply["id"] != message["id"]:
            raise Failure("reply_twice_or_never_asked", str(reply)[:200])
        self.judge(reply, reply["type"], None, None)
        if reply["type"] != "error":
            return reply["data"]
        self.code = reply["data"].get("code")
        if self.code in ("session_not_found", "outcome_unknown"):
            self.session = None
        else:
            self.peer.send(query(self.next_id(), "ROLLBACK", session=self.session))
            self.peer.receive()
        return None


class Streaming(Client):
    """Reads long results, and checks that no row is missing, twice or out of place, whatever their end."""

    kind = "streaming"

    def step(self):
        if not self.peer:
            self.connect()
        id, next_value = self.next_id(), 1
        self.peer.send(query(id, STREAM))
        while True:
            reply = self.peer.receive()
            if reply["id"] != id:
                raise Failure("reply_twice_or_never_asked", str(reply)[:200])
            if reply["type"] == "error":
                break
            values = [row[0] for row in reply["data"]["rows"]]
            if values != list(range(next_value, next_value + len(values))):
                raise Failure("wrong_rows", f"expected {next_value}, got {values[:3]}")
            next_value += len(values)
            if not reply["data"]["more"]:
                break
            time.sleep(0.002)
        if reply["type"] != "error" and next_value != STREAM_ROW_COUNT + 1:
            raise Failure("wrong_rows", f"{next_value - 1} rows")
        self.judge(reply, "query_response", None, None)


KINDS = {kind.kind: kind for kind in (ShortLived, Visitor, Persistent, Thoughtful, InSession, Streaming)}
