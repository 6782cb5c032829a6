"""What the drivers and the client libraries take for long requests and rows is charged to whose they are."""

import os

import pytest

from daemon import wait_until
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis

MIB = 1 << 20
LENGTH = 14_000_000
SERVERS = {"postgresql": PostgreSQL, "mysql": MariaDB, "redis": Redis}
# Beside what is charged: threads that were not there before, and what libraries take once.
BESIDES = 8 * MIB


@pytest.fixture(scope="module", params=SERVERS)
def engine(request):
    instance = SERVERS[request.param]()
    yield request.param, instance
    instance.discard()


def mark(engine, number):
    return f"${number}" if engine == "postgresql" else "?"


def requests(engine):
    if engine == "redis":
        return {"text": ("ECHO " + "a" * LENGTH, []), "value": ("ECHO", ["a" * LENGTH]), "many": ("EVAL 'return 1' 0", ["1"] * 65_000),
                "parts": ("EVAL 'return 1' 0", ["a" * 45_000] * 300)}
    listed = ", ".join(mark(engine, number + 1) for number in range(65_000))
    return {"text": (f"SELECT 1 /*{'a' * LENGTH}*/", []), "value": (f"SELECT length({mark(engine, 1)})", ["a" * LENGTH]),
            "many": (f"SELECT 1 IN ({listed})", [1] * 65_000),
            "parts": ("SELECT " + " + ".join(f"length({mark(engine, number + 1)})" for number in range(300)), ["a" * 45_000] * 300)}


@pytest.fixture
def daemon(engine, start_daemon, directory):
    config = directory / "copies.toml"
    config.write_text(f'loops = 1\n[databases.far]\nurl = "{engine[1].url()}"\n')
    return start_daemon(f"--config={config}", directory=directory)


def ping(engine):
    return "PING" if engine == "redis" else "SELECT 1"


def row(engine, length):
    """A row of one value of that length."""
    return {"postgresql": f"SELECT repeat('x', {length})", "mysql": f"SELECT REPEAT('x', {length})",
            "redis": f"EVAL \"return string.rep('x', {length})\" 0"}[engine]


def charged(client, name="buffered_bytes"):
    return next(user for user in client.call("stats").data["users"] if user.get("uid") == os.getuid())[name]


def is_charged(daemon, watcher, work):
    """The most memory that is taken while `work()` goes on is no more than what is charged at most, and little beside."""
    before = daemon.memory_kib()
    daemon.reset_peak()
    work()
    taken = (daemon.memory_kib("VmHWM") - before) * 1024
    most = charged(watcher, "buffered_bytes_peak")
    assert taken < most + BESIDES, f"{taken / MIB:.1f} MiB, {most / MIB:.1f} charged"
    # Nor is it out of all proportion.
    assert most < 8 * LENGTH


@pytest.mark.parametrize("what", ("text", "value", "many", "parts"))
@pytest.mark.parametrize("in_session", (False, True))
def test_copies_of_a_long_request_are_charged(engine, daemon, what, in_session):
    client, watcher = daemon.connect(timeout=60), daemon.connect()
    more = {"session": client.session(database="far")} if in_session else {"database": "far"}
    client.query(ping(engine[0]), **more)
    sql, values = requests(engine[0])[what]
    is_charged(daemon, watcher, lambda: client.query(sql, values, **more))
    if in_session:
        client.call("db_disconnect", more)
    wait_until(lambda: charged(watcher) < MIB, "it is credited")


def test_a_long_row_on_its_way_is_charged(engine, daemon):
    client, watcher = daemon.connect(timeout=60), daemon.connect()
    client.query(ping(engine[0]), database="far")
    is_charged(daemon, watcher, lambda: client.query(row(engine[0], LENGTH), database="far"))
    wait_until(lambda: charged(watcher) < MIB, "it is credited")


def test_what_a_session_keeps_is_charged(engine, daemon):
    """Buffers of client libraries keep the size of the longest message as long as the connection lives."""
    client, watcher = daemon.connect(timeout=60), daemon.connect()
    client.query(ping(engine[0]), database="far")
    before = daemon.memory_kib()
    sessions = [client.session(database="far") for _ in range(3)]
    for session in sessions:
        client.query(row(engine[0], LENGTH), session=session)
        client.query(ping(engine[0]), session=session)
    wait_until(lambda: (daemon.memory_kib() - before) * 1024 < charged(watcher) + BESIDES, "all of it is charged, or given back")
    for session in sessions[:2]:
        client.call("db_disconnect", {"session": session})
    # With the client that holds it goes the rest.
    client.close()
    wait_until(lambda: charged(watcher) < MIB, "it is credited")
    wait_until(lambda: (daemon.memory_kib() - before) * 1024 < BESIDES, "it is given back")
