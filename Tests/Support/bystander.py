"""Somebody who works at the same time, and must be served as if nothing had happened."""

import threading
import time

from wire import RequestFailed


class Bystander:
    """Reads and writes on the default database, until the block ends; then says how that went.

    Each of its requests must succeed within `patience` seconds. `refusals`: details of errors that may hit it like everybody else;
    it must be served all the same within that time.
    """

    def __init__(self, daemon, patience=5.0, writes=True, pause=0.005, refusals=()):
        self.daemon, self.patience, self.writes, self.pause, self.refusals = daemon, patience, writes, pause, refusals
        self.stop, self.count, self.slowest, self.failure = threading.Event(), 0, 0.0, None

    def __enter__(self):
        self.client = self.daemon.connect("msgpack")
        self.client.socket.settimeout(self.patience)
        if self.writes:
            self.client.query("CREATE TABLE IF NOT EXISTS bystander(x INTEGER)")
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        return self

    def work(self):
        try:
            while not self.stop.is_set():
                before = time.monotonic()
                while not self.reads(before):
                    time.sleep(self.pause)
                if self.writes:
                    self.client.query("INSERT INTO bystander VALUES (1)")
                self.slowest = max(self.slowest, time.monotonic() - before)
                self.count += 1
                time.sleep(self.pause)
        except BaseException as error:  # whatever it is, the test that looks on has to hear of it
            self.failure = error

    def reads(self, began):
        """Whether the read was served; a refusal that may be is not."""
        try:
            assert self.client.query("SELECT 7").value == 7
            return True
        except RequestFailed as failure:
            if failure.data.get("detail") not in self.refusals or time.monotonic() - began > self.patience:
                raise
            return False

    def check(self):
        """It is served now: another round ends."""
        count = self.count
        deadline = time.monotonic() + self.patience
        while self.count <= count and self.failure is None:
            assert time.monotonic() < deadline, "the bystander is not served"
            time.sleep(0.002)
        assert self.failure is None, f"the bystander was not served: {self.failure!r}"

    def __exit__(self, kind, *_):
        alive = self.daemon.process.poll() is None
        if kind is None and alive:
            self.check()
        self.stop.set()
        self.thread.join(self.patience)
        if kind is None and alive:
            assert self.failure is None, f"the bystander was not served: {self.failure!r}"
        self.client.close()
