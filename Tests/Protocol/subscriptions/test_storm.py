"""The promise of `subscribe`, kept while clients, daemons and other programs are killed at random.

Each table has a number that its writers raise by one with each commit. A mirror follows as a program would: it listens, reads
what it is told of, and nothing else. When everything is quiet it has to have the last number of each table, without having
looked unasked; and whatever it was told of it must have been able to see.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from daemon import wait_until
from subscription import Subscription
from wire import ConnectionEnded, RequestFailed

TABLES = ["a", "b", "c", "keyed"]
RAISE = "UPDATE {} SET n = n + 1"
# Another program: raises a table's number, now and then in a transaction that it takes its time for, or undoes.
OUTSIDE = """
import random, sqlite3, sys, time
path, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
db = sqlite3.connect(path, isolation_level=None, timeout=60)
db.execute("PRAGMA cache_size = 5")
while True:
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"UPDATE {random.choice(['a', 'b', 'c', 'keyed'])} SET n = n + 1")
    if random.random() < 0.2:
        db.execute("UPDATE filler SET x = randomblob(3000)")
    if random.random() < 0.2:
        time.sleep(random.random() / 50)
    db.execute("ROLLBACK" if random.random() < 0.1 else "COMMIT")
    time.sleep(random.random() / 20)
"""


class Mirror(threading.Thread):
    """Follows the tables by what it is told alone."""

    def __init__(self, daemon, seed):
        super().__init__(daemon=True)
        self.served = daemon
        self.random = random.Random(seed)
        self.numbers = {}
        self.resyncs = self.told = 0
        self.failure = None
        self.stopped = False
        self.position = None
        self.start()

    def run(self):
        while not self.stopped:
            try:
                self.follow()
            except (OSError, ConnectionEnded, RequestFailed):
                # Killed, or hung up: it goes on where it was.
                time.sleep(0.01)
            except Exception as error:  # noqa: BLE001 - told by the test
                self.failure = error
                return

    def follow(self):
        with self.served.connect() as client:
            subscription = Subscription(client, **({"from": self.position} if self.position else {}))
            if self.position is None or subscription.first.get("resync"):
                self.read(client, TABLES)
            self.position = subscription.position
            last = time.monotonic() + self.random.uniform(0.05, 2)
            while not self.stopped and time.monotonic() < last:
                event = subscription.event(0.05)
                if event is None:
                    continue
                self.told += 1
                self.resyncs += bool(event.get("resync"))
                known = dict(self.numbers)
                changed = TABLES if event.get("resync") else [name for name in event.get("relations", []) if name in TABLES]
                self.read(client, changed)
                self.position = event["position"]
                if not event.get("resync"):
                    for name in changed:
                        assert self.numbers[name] >= known[name], f"{name} went back"

    def read(self, client, names):
        for name in names:
            self.numbers[name] = client.query(f"SELECT n FROM {name}").value


def test_no_commit_is_untold(directory, start_daemon):
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LITEBASE_TEST_SEED={seed}")
    rng = random.Random(seed)
    daemon = start_daemon(databases={"default": f"sqlite://{directory}/d.db"}, directory=directory)
    with daemon.connect() as client:
        for name in TABLES[:3]:
            client.query(f"CREATE TABLE {name}(n INTEGER)")
            client.query(f"INSERT INTO {name} VALUES (0)")
        client.query("CREATE TABLE keyed(n INTEGER PRIMARY KEY) WITHOUT ROWID")
        client.query("INSERT INTO keyed VALUES (0)")
        client.query("CREATE TABLE filler(x)")
        client.query("INSERT INTO filler WITH RECURSIVE c(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM c WHERE n < 100) "
                     "SELECT randomblob(3000) FROM c")
    mirrors = [Mirror(daemon, seed + number) for number in range(4)]
    outsiders = {}
    stopped = threading.Event()

    def write(number):
        """A client of the daemon, of which some are sessions, and some hang up in a transaction."""
        own = random.Random(seed * 7 + number)
        while not stopped.is_set():
            try:
                with daemon.connect() as client:
                    session = client.session() if own.random() < 0.5 else None
                    fields = {"session": session} if session else {}
                    for _ in range(own.randrange(1, 30)):
                        if session and own.random() < 0.3:
                            client.query("BEGIN", **fields)
                            client.query(RAISE.format(own.choice(TABLES)), **fields)
                            client.query(own.choice(["COMMIT", "COMMIT", "ROLLBACK"]), **fields)
                        elif own.random() < 0.2:
                            client.batch([{"sql": RAISE.format(own.choice(TABLES))} for _ in range(3)], **fields)
                        else:
                            client.query(RAISE.format(own.choice(TABLES)), **fields)
                        time.sleep(own.random() / 50)
                    if session and own.random() < 0.5:
                        client.query("BEGIN", **fields)
                        client.query(RAISE.format(own.choice(TABLES)), **fields)
            except (OSError, ConnectionEnded, RequestFailed):
                time.sleep(0.01)

    writers = [threading.Thread(target=write, args=(number,), daemon=True) for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        rounds = int(os.environ.get("LITEBASE_TEST_ROUNDS", "1")) * 100
        for step in range(rounds):
            time.sleep(rng.random() / 10)
            number = rng.randrange(2)
            if (process := outsiders.pop(number, None)) is not None:
                # Perhaps within a commit, which is completed or undone by the next one that looks.
                process.send_signal(signal.SIGKILL)
                process.wait()
            else:
                outsiders[number] = subprocess.Popen(
                    [sys.executable, "-c", OUTSIDE, str(directory / "d.db"), str(seed + step)], stderr=subprocess.DEVNULL)
            if step % 25 == 24:
                daemon.process.kill()
                daemon.process.wait()
                daemon.launch()
                daemon.wait_ready()
    finally:
        stopped.set()
        for process in outsiders.values():
            process.kill()
            process.wait()
        for writer in writers:
            writer.join(30)
    with sqlite3.connect(directory / "d.db", timeout=30) as database:
        def numbers():
            return {name: database.execute(f"SELECT n FROM {name}").fetchone()[0] for name in TABLES}

        final = numbers()
        try:
            wait_until(lambda: all(mirror.failure or mirror.numbers == final for mirror in mirrors), "the mirrors", 10)
        finally:
            for mirror in mirrors:
                mirror.stopped = True
                print(mirror.told, "told,", mirror.resyncs, "of them resync;", mirror.numbers, mirror.failure)
            print("in the file:", final)
        assert numbers() == final
    for mirror in mirrors:
        mirror.join(10)
        assert mirror.failure is None, mirror.failure
        assert mirror.told > 20
    assert min(final.values()) > 20, "nothing happened"
