"""The daemon is killed while it imports: what the table has then is what the protocol says of an import that ends early."""

import os
import random
import signal
import threading
import time

import pytest

from daemon import wait_until
from transfers import hello, send_with

# It starts database servers.
pytestmark = pytest.mark.slow

ROWS = 60_000
PAD = "x" * 60


@pytest.fixture
def served(servers, start_daemon, directory):
    databases = {name: servers[name].url() for name in ("pg", "my")}
    return start_daemon(directory=directory, databases={**databases, "lite": f"sqlite:{directory}/lite.db"})


@pytest.fixture
def table(served, name):
    made = f"t{random.randrange(1 << 40)}"
    with served.connect() as client:
        client.query(f"CREATE TABLE {made}(i int PRIMARY KEY, pad varchar(100))", database=name)
    yield made
    with served.connect() as client:
        client.query(f"DROP TABLE IF EXISTS {made}", database=name)


def feed(writer):
    """Rows in order, as fast as they are taken."""
    try:
        with open(writer, "wb") as pipe:
            for start in range(0, ROWS, 1_000):
                pipe.write("".join(f"{row},{PAD}\r\n" for row in range(start, start + 1_000)).encode())
    except BrokenPipeError:
        pass


def begin(client, name, table, **data):
    reader, writer = os.pipe()
    send_with(client, [reader], "import", {"descriptors": 1, "database": name, "relation": table, "header": False, "progress_ms": 1, **data})
    os.close(reader)
    thread = threading.Thread(target=feed, args=(writer,))
    thread.start()
    return thread


def killed_after(daemon, seconds):
    time.sleep(seconds)
    assert daemon.terminate(signal.SIGKILL) == -signal.SIGKILL
    daemon.close_clients()


def settled(client, name, table):
    """How many rows there are, and the last one, when the server has undone what it had begun."""
    text = f"SELECT count(*), coalesce(max(i), -1) FROM {table}"
    found = []

    def is_still():
        found.append(client.query(text, database=name).rows[0])
        time.sleep(0.2)
        return client.query(text, database=name).rows[0] == found[-1]

    wait_until(is_still, "it is settled")
    return found[-1]


@pytest.mark.parametrize("atomic", [False, True], ids=["as they go", "atomic"])
@pytest.mark.parametrize("name", ["lite", "pg", "my"])
def test_an_import(served, name, table, atomic):
    dice, seen = random.Random(f"{name}{atomic}"), set()
    for turn in range(7):
        with served.connect() as client:
            hello(client)
            client.query(f"DELETE FROM {table}", database=name)
            start = time.monotonic()
            thread = begin(client, name, table, atomic=atomic)
            if turn == 0:
                # How long it takes.
                thread.join()
                wait_until(lambda: client.query(f"SELECT count(*) FROM {table}", database=name).rows == [[ROWS]], "it is done", timeout=60)
                duration = time.monotonic() - start
                continue
            killed_after(served, dice.uniform(0.1, 1.0) * duration)
        thread.join()
        served.launch()
        served.wait_ready()
        with served.connect() as client:
            count, last = settled(client, name, table)
            assert count == last + 1, "rows in front of the last one are missing"
            if atomic:
                assert count in (0, ROWS)
            seen.add("none" if count == 0 else "all" if count == ROWS else "some")
            if name == "lite":
                assert client.query("PRAGMA quick_check", database=name).rows == [["ok"]]
    assert ("none" if atomic else "some") in seen, "it was never killed in the middle"
