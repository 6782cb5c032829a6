"""A row of many megabytes keeps no loop from serving others: it is neither made nor copied nor freed there."""

import os
import random
import time

import pytest

from daemon import wait_until
from loop_probe import serves_meanwhile
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis
from wire import RequestFailed

MIB = 1 << 20
TURN_MS_MAX = 5


def resident(daemon):
    with open(f"/proc/{daemon.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def keeps_no_loop(daemon, work, tolerated):
    """Each large row would be seen by one client or more; some are left out for what the machine does."""
    serves_meanwhile(daemon, work, "a large row", wrong=lambda probe: probe.slow_but_for(tolerated, TURN_MS_MAX))


@pytest.mark.alone
@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_a_large_row_keeps_no_loop(start_daemon, mode):
    daemon = start_daemon()
    # A row's text is as long as its JSON.
    sql = "SELECT zeroblob(60000000)" if mode == "msgpack" else "SELECT printf('%.*c', 25000000, 'x')"
    before = None

    def read():
        nonlocal before
        client = daemon.connect(mode)
        client.query(sql)
        before = resident(daemon)
        for _ in range(4):
            (row,) = client.query(sql).rows
            assert len(row[0]) >= 25_000_000

    keeps_no_loop(daemon, read, 2)
    # What is freed elsewhere is freed all the same, soon.
    wait_until(lambda: resident(daemon) < before + 64 * MIB, "memory of rows is given back")


@pytest.mark.alone
def test_a_large_row_behind_unread_output_is_not_copied(start_daemon):
    daemon = start_daemon()
    sql = "SELECT zeroblob(60000000)"

    def read_late():
        client = daemon.connect()
        client.query(sql)
        for _ in range(2):
            ids = [client.send_query(sql) for _ in range(3)]
            time.sleep(0.3)
            for id in ids:
                assert client.collect(id).value == bytes(60_000_000)

    keeps_no_loop(daemon, read_late, 2)


# Servers

MADE = {  # a text of so many characters, bytes that are many more in JSON, and bytes
    "postgresql": ("SELECT repeat('x', {})", "SELECT repeat(chr(1), {})", "SELECT decode(repeat('41', {}), 'hex')"),
    "mysql": ("SELECT REPEAT('x', {})", "SELECT REPEAT(CHAR(10 USING utf8mb4), {})", "SELECT CAST(REPEAT('A', {}) AS BINARY)"),
    "redis": ("GET text{}", "GET control{}", "GET bytes{}"),
}
SERVERS = {"postgresql": PostgreSQL, "mysql": lambda: MariaDB(max_allowed_packet="64M"), "redis": Redis}


class Place:
    """A daemon with a database on a server of its own."""

    def __init__(self, name, start_daemon):
        self.name = name
        self.server = SERVERS[name]()
        self.daemon = start_daemon(databases={"default": self.server.url()})

    def statement(self, kind, count):
        """What returns one value of `count` characters or bytes, and the value."""
        value = ("x" * count, ("\x01" if self.name != "mysql" else "\n") * count, b"A" * count)[kind]
        if self.name == "redis":
            # What is UTF-8 is text there.
            value = b"\xff" * count if kind == 2 else value
            with self.daemon.connect() as client:
                client.query("SET", [f"{('text', 'control', 'bytes')[kind]}{count}", value])
        return MADE[self.name][kind].format(count), value

    def is_quiet(self):
        with self.daemon.connect() as client:
            stats = client.call("stats").data
            return all(pool["used"] == 0 for pool in stats["pools"]) and stats["requests_in_flight"] == 0


@pytest.fixture(params=list(SERVERS))
def place(request, start_daemon):
    place = Place(request.param, start_daemon)
    yield place
    place.server.discard()


@pytest.mark.alone
@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_a_large_row_of_a_server_keeps_no_loop(place, mode):
    # (In JSON each of the second value's bytes becomes six.)
    asked = [place.statement(kind, count) for kind, count in ((0, 14_000_000), (1, 9_000_000 if mode == "msgpack" else 4_000_000), (2, 14_000_000))]

    def read():
        client = place.daemon.connect(mode)
        for sql, value in 2 * asked:
            assert client.query(sql).value == value

    for sql, value in asked:
        assert place.daemon.connect(mode).query(sql).value == value
    keeps_no_loop(place.daemon, read, 2)


# From so many bytes on a worker makes a row.
LONG = 128 << 10


@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_rows_of_whatever_length_are_whole(place, mode):
    client = place.daemon.connect(mode)
    for count in (1, LONG // 2 - 3, LONG - 40, LONG - 1, LONG, LONG + 1, 3 * LONG, 9 * LONG):
        for kind in range(3):
            sql, value = place.statement(kind, count)
            ids = [client.send_query(sql) for _ in range(3)]
            assert [client.collect(id).value == value for id in ids] == [True] * 3, (count, kind)
    if place.name == "redis":
        client.query("DEL list")
        client.query("RPUSH list", ["a", "b" * LONG, "c"])
        assert [row[0] for row in client.query("LRANGE list 0 -1").rows] == ["a", "b" * LONG, "c"]
        return
    placeholder = "$1" if place.name == "postgresql" else "?"
    cast = "::int" if place.name == "postgresql" else ""
    union = " UNION ALL ".join(f"SELECT {number} AS n, repeat('y', {count})" for number, count in enumerate(
        (1, 2 * LONG, 3, LONG, 20 * LONG, 5)))
    for sql, params in ((f"SELECT * FROM ({union}) AS t ORDER BY n", None),
                        (f"SELECT * FROM ({union}) AS t WHERE n >= {placeholder}{cast} ORDER BY n", [0])):
        id = client.send_query(sql, params, page_rows=2)
        lengths = []
        while True:
            frame = client.receive_for(id)
            lengths += [len(row[1]) for row in frame.data["rows"]]
            if not frame.data["more"]:
                break
            if frame.data["rows"] and len(lengths) % 2 == 0:
                client.send("fetch", {"request": id})
        assert lengths == [1, 2 * LONG, 3, LONG, 20 * LONG, 5]


def test_long_rows_can_be_given_up_at_any_time(place):
    """Cancelled, timed out, or left by its client while a worker has the connection, or before, or after."""
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.randrange(1 << 32))
    chance = random.Random(seed)
    sql, value = place.statement(0, 8_000_000)
    for round in range(int(os.environ.get("LITEBASE_LARGE_ROW_ROUNDS") or 25)):
        what = f"round {round}, LITEBASE_TEST_SEED={seed}"
        client = place.daemon.connect()
        how = chance.choice(["cancel", "timeout", "leave"])
        session = {"session": client.session()} if chance.random() < 0.3 else {}
        limit = {"timeout_ms": chance.randrange(1, 60)} if how == "timeout" else {}
        id = client.send_query(sql, **session, **limit)
        time.sleep(chance.random() * 0.06)
        if how == "leave":
            client.close()
            continue
        if how == "cancel":
            client.send("cancel", {"request": id})
        try:
            assert client.collect(id).value == value, what
        except RequestFailed as failure:
            assert failure.code in ("cancelled", "timeout", "outcome_unknown"), (what, failure)
        client.close()
    wait_until(place.is_quiet, f"nothing is left, LITEBASE_TEST_SEED={seed}", timeout=10)
    with place.daemon.connect() as client:
        assert client.query(sql).value == value
