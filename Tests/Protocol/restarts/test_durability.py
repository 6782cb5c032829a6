"""What was acknowledged is there, whenever the daemon is killed."""

import json
import random
import signal
import socket
import sqlite3
import threading
import time

from daemon import Daemon

WRITERS = 32
KILLS = 200


class Writer(threading.Thread):
    """Inserts numbers that nobody else inserts, one at a time, and remembers what it was told."""

    def __init__(self, path, number):
        super().__init__(daemon=True)
        self.path, self.number = path, number
        self.acknowledged, self.unknown = [], []
        self.is_over = False
        self.problem = None

    def run(self):
        serial = 0
        while not self.is_over:
            try:
                connection = socket.socket(socket.AF_UNIX)
                connection.settimeout(20)
                connection.connect(self.path)
                lines = connection.makefile("rwb")
            except OSError:
                time.sleep(0.002)
                continue
            value = None
            try:
                while not self.is_over:
                    serial += 1
                    value = self.number * 10_000_000 + serial
                    request = {"id": value, "type": "query", "data": {"sql": "INSERT INTO t VALUES (?)", "params": [value]}}
                    lines.write(json.dumps(request).encode() + b"\n")
                    lines.flush()
                    line = lines.readline()
                    if not line.endswith(b"\n"):
                        raise OSError("closed")
                    reply = json.loads(line)
                    assert reply["id"] == value and reply["type"] == "query_response", reply
                    self.acknowledged.append(value)
                    value = None
            except OSError:
                if value is not None:
                    self.unknown.append(value)
            except BaseException as problem:
                self.problem = problem
                return
            finally:
                connection.close()


def test_200_kills_lose_nothing_that_was_acknowledged(directory):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    path = directory / "kill.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t(x INTEGER)")
    database.close()
    writers = [Writer(str(directory / "litebase.sock"), number) for number in range(1, WRITERS + 1)]
    daemons = 0
    for round in range(KILLS):
        daemon = Daemon(directory=directory, databases={"default": f"sqlite:{path}"}, log_level="error")
        daemons += 1
        if round == 0:
            for writer in writers:
                writer.start()
        time.sleep(rng.random() * 0.12)
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
    for writer in writers:
        writer.is_over = True
    for writer in writers:
        writer.join(30)
        assert writer.problem is None and not writer.is_alive(), repr(writer.problem)
    acknowledged = [value for writer in writers for value in writer.acknowledged]
    unknown = {value for writer in writers for value in writer.unknown}
    with sqlite3.connect(path) as database:
        rows = [row[0] for row in database.execute("SELECT x FROM t")]
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    print(f"{daemons} kills, {len(acknowledged)} acknowledged, {len(unknown)} unknown, "
          f"{len(set(rows) & unknown)} of these took effect")
    assert len(rows) == len(set(rows)), "a row is there twice"
    assert not set(acknowledged) - set(rows), "an acknowledged row is gone"
    assert set(rows) - set(acknowledged) <= unknown
    # The kills did hit work.
    assert len(acknowledged) > KILLS * 5 and len(unknown) > KILLS
