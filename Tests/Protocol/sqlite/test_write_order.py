"""Writes without a session that are in flight together: they share commits, are cancelled one by one, and what one connection
has sent is done in that order (docs/protocol.md, Order)."""

import os
import random
import sqlite3
import time

import pytest

from wire import RequestFailed

ROUNDS = int(os.environ.get("LITEBASE_ORDER_ROUNDS") or 3)
# Longer than a loop prepares by itself.
PADDING = "/*" + "x" * 17_000 + "*/"


def code_of(client, id):
    with pytest.raises(RequestFailed) as failure:
        client.collect(id) if client.queries[id] else client.answer(id)
    return failure.value.code


class Locked:
    """A daemon whose database another process has locked for writing, and a group of writes that waits for that."""

    def __init__(self, daemon):
        self.client = client = daemon.connect(timeout=15)
        client.queries = {}
        client.query("CREATE TABLE w(n)")
        path = client.query("PRAGMA database_list").rows[0][2]
        self.other = sqlite3.connect(path, isolation_level=None)
        self.other.execute("BEGIN IMMEDIATE")
        # It waits alone, and behind it the others gather.
        first = self.insert(0)
        self.ids = {n: self.insert(n, **({"timeout_ms": 1_200} if n == 6 else {})) for n in range(1, 9)}
        self.batch = client.send("batch", {"statements": [{"sql": "INSERT INTO w VALUES (?)", "param_rows": [[9], [10]]}]})
        client.queries[self.batch] = False
        self.last = self.insert(11)
        time.sleep(0.1)
        self.cancel(first)
        time.sleep(0.1)

    def insert(self, n, **options):
        id = self.client.send_query(f"INSERT INTO w VALUES ({n})", **options)
        self.client.queries[id] = True
        return id

    def cancel(self, id):
        start = time.monotonic()
        assert self.client.call("cancel", {"request": id}).data["cancelled"] is True
        assert code_of(self.client, id) == "cancelled"
        assert time.monotonic() - start < 1, "told at once"

    def rows(self):
        return sorted(n for n, in self.client.query("SELECT n FROM w").rows)


@pytest.fixture
def locked(limited):
    place = Locked(limited(busy_time_ms_max=12_000))
    yield place
    place.other.close()


def test_one_of_a_group_is_cancelled_while_another_process_has_the_lock(locked):
    """It is told at once and never run, and the others go on. The same for one whose time is over, and for a batch."""
    for n in (3, 1):
        locked.cancel(locked.ids.pop(n))
    locked.cancel(locked.batch)
    assert code_of(locked.client, locked.ids.pop(6)) == "timeout"
    assert locked.rows() == []
    locked.other.execute("COMMIT")
    for id in [*locked.ids.values(), locked.last]:
        assert locked.client.collect(id).last["rows_affected"] == 1
    assert locked.rows() == [2, 4, 5, 7, 8, 11]
    locked.client.settle()


def test_all_of_a_group_are_cancelled_while_another_process_has_the_lock(locked):
    for id in [*locked.ids.values(), locked.batch, locked.last]:
        locked.cancel(id)
    again = locked.insert(12)
    locked.other.execute("COMMIT")
    locked.client.collect(again)
    assert locked.rows() == [12]
    locked.client.settle()


def test_a_group_whose_client_is_gone_is_not_run(locked, limited):
    socket_path, client = locked.client.socket.getpeername(), locked.client
    locked.client = type(client)(socket_path)
    client.close()
    time.sleep(0.2)
    locked.other.execute("COMMIT")
    assert locked.client.query("INSERT INTO w VALUES (20)").last["rows_affected"] == 1
    assert locked.rows() == [20]


def test_the_rest_of_a_group_is_busy_when_the_lock_is_not_given_up(limited):
    locked = Locked(limited(busy_time_ms_max=1_000))
    start = time.monotonic()
    assert {code_of(locked.client, id) for id in locked.ids.values()} <= {"busy", "timeout"}
    assert code_of(locked.client, locked.last) == "busy"
    assert time.monotonic() - start < 5
    locked.other.close()
    assert locked.rows() == []


# The order of one connection

class Writer:
    """One connection's writes; what it writes is numbered as it was sent."""

    def __init__(self, client, name, generator):
        self.client, self.name, self.generator = client, name, generator
        self.count = self.tables = 0
        self.good, self.bad, self.payload = [], [], []

    def add(self, type, data, fails=False):
        id, payload = self.client.bytes_of(type, data)
        self.payload.append(payload)
        (self.bad if fails else self.good).append((id, type, str(data)[:100]))

    def numbered(self):
        self.count += 1
        return [self.name, self.count]

    def step(self):
        insert = "INSERT INTO ordered(who, n) VALUES (?, ?)"
        kind = self.generator.choices(("short", "long", "with", "batch", "upsert", "fails", "deferred", "new table", "renamed"),
                                      (8, 3, 3, 4, 2, 2, 1, 2, 1))[0]
        if kind == "short":
            self.add("query", {"sql": insert, "params": self.numbered()})
        elif kind == "long":
            self.add("query", {"sql": insert + PADDING, "params": self.numbered()})
        elif kind == "with":
            self.add("query", {"sql": f"WITH {PADDING} a(x) AS (SELECT ?), b(y) AS (SELECT ?) INSERT INTO ordered(who, n) SELECT x, y FROM a, b",
                               "params": self.numbered()})
        elif kind == "batch":
            self.add("batch", {"statements": [{"sql": insert, "param_rows": [self.numbered(), self.numbered()]}]})
        elif kind == "upsert":
            self.add("query", {"sql": "INSERT INTO ordered(who, n) VALUES (?, ?) ON CONFLICT DO NOTHING", "params": self.numbered()})
        elif kind == "fails":
            self.add("query", {"sql": "INSERT INTO picky VALUES (NULL)"}, fails=True)
        elif kind == "deferred":  # cannot share a transaction
            self.add("query", {"sql": "INSERT INTO child VALUES (1)"}, fails=True)
        else:
            # Each needs what the one before has made.
            table = f"made_by_{self.name}_{self.tables}"
            self.tables += 1
            padding = self.generator.choice(("", PADDING))
            self.add("query", {"sql": f"CREATE TABLE {table}(a)"})
            self.add("query", {"sql": f"INSERT INTO {table} VALUES (1){padding}"})
            if kind == "renamed":
                self.add("query", {"sql": f"ALTER TABLE {table} RENAME COLUMN a TO b"})
                self.add("query", {"sql": f"UPDATE {table} SET b = 2{padding}"})
            self.add("query", {"sql": f"DROP TABLE {table}"})

    def take_replies(self):
        for id, type, text in self.good:
            try:
                self.client.collect(id) if type == "query" else self.client.answer(id)
            except RequestFailed as failure:
                raise AssertionError(f"{text}: {failure}") from None
        for id, _, _ in self.bad:
            with pytest.raises(RequestFailed) as failure:
                self.client.collect(id)
            assert failure.value.code == "constraint_violation"


def test_what_one_connection_writes_is_done_in_the_order_in_which_it_was_sent(daemon, mode):
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LITEBASE_TEST_SEED={seed}")
    generator = random.Random(seed)
    client = daemon.connect(mode)
    for sql in ("DROP TABLE IF EXISTS ordered", "DROP TABLE IF EXISTS child", "DROP TABLE IF EXISTS picky",
                "CREATE TABLE ordered(who TEXT, n INTEGER)", "CREATE TABLE picky(x NOT NULL)",
                "CREATE TABLE IF NOT EXISTS parent(id INTEGER PRIMARY KEY)",
                "CREATE TABLE child(p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)"):
        client.query(sql)
    for round in range(ROUNDS):
        writers = [Writer(daemon.connect(mode), f"w{round}_{number}", generator) for number in range(3)]
        for writer in writers:
            for _ in range(generator.randint(5, 30)):
                writer.step()
        for writer in writers:
            writer.client.socket.sendall(b"".join(writer.payload))
        for writer in writers:
            writer.take_replies()
            rows = client.query("SELECT n FROM ordered WHERE who = ? ORDER BY rowid", [writer.name]).rows
            assert [n for n, in rows] == list(range(1, writer.count + 1)), f"seed {seed}, round {round}"
            writer.client.close()
