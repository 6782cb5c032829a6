"""Clients that write unique numbers while servers are killed, and what must be there afterwards.

Each writer sends one number at a time. After an error that says `retryable` it sends the same one again; after `outcome_unknown` or
`timeout` it goes on to the next one. At the end every number that was acknowledged is there, and none is there twice.
"""

import threading
import time

from daemon import wait_until
from wire import Client, RequestFailed

WAYS = ("autocommit", "transaction", "batch")


class Writer(threading.Thread):
    """One client, by autocommit, by sessions with transactions, or by atomic batches."""

    # Words around a transaction, and a statement that reads.
    begin, commit, reading = "BEGIN", "COMMIT", "SELECT 1"

    def __init__(self, path, database, insert, number, way):
        super().__init__(daemon=True)
        self.path, self.database, self.insert, self.number, self.way = path, database, insert, number, way
        self.acknowledged, self.unknown, self.refused, self.codes = set(), set(), set(), {}
        self.ending = threading.Event()
        self.problem = None
        self.session = None

    def run(self):
        try:
            with Client(self.path, timeout=60) as self.client:
                id = self.number * 1_000_000
                while not self.ending.is_set():
                    id += 1
                    self.write_until_answered(id)
        except BaseException as problem:  # noqa: BLE001  told by `finish`
            self.problem = problem

    def write_until_answered(self, id):
        while True:
            try:
                getattr(self, self.way)(id)
                self.acknowledged.add(id)
                return
            except RequestFailed as failure:
                code = failure.data["code"]
                self.codes[code] = self.codes.get(code, 0) + 1
                self.session = None
                if code == "outcome_unknown":
                    self.unknown.add(id)
                    return
                if code == "timeout":  # nothing has happened
                    self.refused.add(id)
                    return
                assert failure.data.get("retryable") or code in ("connect_failed", "session_not_found"), failure.data
                if self.ending.is_set():
                    self.refused.add(id)
                    return
                time.sleep(failure.data.get("retry_after_ms", 10) / 1000)

    def statement(self, id):
        """What writes a number: by a parameter, or where the text has a place for it."""
        if "{id}" in self.insert:
            return {"sql": self.insert.format(id=id)}
        return {"sql": self.insert, "params": [id]}

    def autocommit(self, id):
        self.client.query(**self.statement(id), database=self.database)

    def batch(self, id):
        self.client.batch([{"sql": self.reading}, self.statement(id)], database=self.database)

    def transaction(self, id):
        """A transaction that is lost before COMMIT was sent has not happened: it may be repeated as a whole."""
        if not self.session:
            self.session = self.client.session(database=self.database)
        session = self.session
        try:
            self.client.query(self.begin, session=session)
            self.client.query(**self.statement(id), session=session)
            self.client.query(self.commit, session=session)
        except RequestFailed:
            try:
                self.client.call("db_disconnect", {"session": session})
            except RequestFailed:
                pass
            raise

    def finish(self):
        self.ending.set()
        self.join(90)
        assert not self.is_alive(), "a writer hangs"
        if self.problem:
            raise self.problem


def start_writers(daemon, database, insert, count=9, kind=Writer):
    writers = [kind(daemon.socket_path, database, insert, number, WAYS[number % 3]) for number in range(1, count + 1)]
    for writer in writers:
        writer.start()
    return writers


def progress(writers, more=5):
    """Waits until every writer has written so many more."""
    before = [len(writer.acknowledged) for writer in writers]

    def all_go_on():
        for writer in writers:
            assert writer.is_alive(), writer.problem
        return all(len(writer.acknowledged) >= count + more for writer, count in zip(writers, before))

    wait_until(all_go_on, "every writer goes on", timeout=30, interval=0.02)


def finish(writers):
    """Ends them; all were acknowledged something."""
    for writer in writers:
        writer.finish()
    assert all(writer.acknowledged for writer in writers)


def check(writers, found, kept=None):
    """Nothing acknowledged is lost, nothing is there twice or against what was said.

    `found` is how often each number is there; `kept`, which of those acknowledged the server has promised to keep: all.
    """
    twice = {id for id, count in found.items() if count > 1}
    assert not twice, f"written twice: {sorted(twice)[:10]}"
    acknowledged = set().union(*(writer.acknowledged for writer in writers))
    promised = acknowledged if kept is None else kept
    assert promised <= set(found), f"lost: {sorted(promised - set(found))[:10]}"
    unknown = set().union(*(writer.unknown for writer in writers))
    assert set(found) <= acknowledged | unknown, f"never acknowledged: {sorted(set(found) - acknowledged - unknown)[:10]}"
    return sum(writer.codes.get("outcome_unknown", 0) for writer in writers)
