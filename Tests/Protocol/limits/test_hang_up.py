"""Clients that hang up while a worker has what they asked for: everything of theirs is given back, and charged to them until then."""

import contextlib
import os
import random
import time

import msgpack
import pytest

from daemon import wait_until
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis
from wire import PATIENCE, Client, RequestFailed, framed

MIB = 1 << 20
# More of them look for rare orders of events.
ROUNDS = int(os.environ.get("LITEBASE_HANG_UP_ROUNDS", "12"))
SERVERS = {"postgresql": PostgreSQL, "mysql": MariaDB, "redis": Redis}
# What a session is left with, and what must not be there afterwards.
WORDS = {
    "sqlite": {"begin": "BEGIN IMMEDIATE", "write": "INSERT INTO left_over VALUES (1)", "count": "SELECT count(*) FROM left_over",
               "create": "CREATE TABLE left_over(x INTEGER PRIMARY KEY)", "other": "DELETE FROM left_over"},
    "redis": {"begin": "WATCH left_over", "write": "MULTI", "count": "EXISTS left_over", "create": "PING", "other": "DEL left_over"},
}
WORDS["postgresql"] = WORDS["mysql"] = {**WORDS["sqlite"], "begin": "BEGIN"}


@pytest.fixture(params=["sqlite", *SERVERS])
def place(request, start_daemon, directory):
    """A daemon with one loop, a database of the engine, and the words for it."""
    server = SERVERS[request.param]() if request.param in SERVERS else None
    try:
        url = server.url() if server else f"sqlite:{directory}/far.db"
        config = directory / "hang_up.toml"
        # Whoever leaves a lock behind is found out by the next one.
        config.write_text(f'loops = 1\n[limits]\npool_connections_max = 3\n[databases.far]\nurl = "{url}"\n')
        yield request.param, start_daemon(f"--config={config}", directory=directory), WORDS[request.param]
    finally:
        if server:
            server.discard()


def long_requests(engine):
    """Requests of megabytes: a text, values, a batch, one that is only looked at, one that fails."""
    text, many = "b" * 3_000_000, "c" * 2_000_000
    if engine == "redis":
        yield "query", {"sql": "ECHO " + text}
        yield "query", {"sql": "ECHO", "params": [text]}
        yield "batch", {"statements": [{"sql": "ECHO", "param_rows": [[many], [many]]}], "atomic": False}
        yield "query", {"sql": 'ECHO "' + text}
        return
    mark = "$1" if engine == "postgresql" else "?"
    yield "query", {"sql": f"SELECT '{text}'"}
    yield "query", {"sql": f"SELECT length({mark})", "params": [text]}
    yield "batch", {"statements": [{"sql": f"SELECT length({mark})", "param_rows": [[many], [many]]}], "atomic": engine == "sqlite"}
    yield "describe", {"sql": f"SELECT 1 /*{text}*/"}
    yield "query", {"sql": "SELECT /*" + "\n" * 3_000_000 + "*/ )("}


def user_of(daemon, client):
    """What the account of this process's user knows of."""
    return next((user for user in client.call("stats").data["users"] if user.get("uid") == os.getuid()), {})


def test_who_hangs_up_during_a_long_request_leaves_nothing(place):
    engine, daemon, words = place
    watcher = daemon.connect(timeout=60)
    watcher.query(words["create"], database="far")
    # What was learnt by the first one stays.
    watcher.query(words["count"], database="far")
    requests = list(long_requests(engine))
    before, chance = None, random.Random(11)
    for number in range(ROUNDS):
        client = Client(daemon.socket_path, timeout=60)
        in_session = number % 2 == 0
        more = {"database": "far"}
        if in_session:
            more = {"session": client.session(database="far")}
            client.query(words["begin"], **more)
            client.query(words["write"], **more)
        # It reads nothing: behind a long reply the daemon takes nothing more, and the second request stays half sent.
        client.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            for kind, data in chance.sample(requests, 2):
                client.send(kind, {**data, **more})
        # Anywhere on the way: while it is read, decoded, judged, sent, done or answered.
        time.sleep(chance.choice((0, 0.001, 0.005, 0.02, 0.05)) * PATIENCE)
        client.close()

        def is_over():
            user = user_of(daemon, watcher)
            return [user[name] for name in ("connections", "sessions", "requests_in_flight")] == [1, 0, 0]

        wait_until(is_over, f"round {number}: the connection, its session and its requests are over", timeout=30)
        # The transaction is gone with its locks.
        with daemon.connect(timeout=60) as other:
            session = other.session(database="far")
            other.query(words["other"], session=session, timeout_ms=20_000)
        assert watcher.query(words["count"], database="far").value == 0, f"round {number}"
        if before is None and number >= ROUNDS // 3:
            before = daemon.memory_kib()
    assert user_of(daemon, watcher)["buffered_bytes"] < MIB
    if before:
        wait_until(lambda: daemon.memory_kib() < before + 24 * 1024, "memory is given back", timeout=20)


def test_who_hangs_up_pays_until_a_worker_has_done_with_it(start_daemon, directory):
    """Else whoever keeps the workers busy could hang up again and again, and have everything kept for him."""
    config = directory / "pays.toml"
    limit = 48 * MIB
    config.write_text(f"loops = 1\n[limits]\nworker_threads_max = 1\nbuffered_bytes_per_user_max = {limit}\n")
    daemon = start_daemon(f"--config={config}", directory=directory)
    busy, watcher = daemon.connect(timeout=60), daemon.connect()
    busy.query("CREATE TABLE t(x)")
    endless = busy.send_query(
        "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c")
    wait_until(lambda: len(watcher.call("activity").data["entries"]) == 1, "the only worker is busy")
    body = framed(msgpack.packb({"id": 1, "type": "query", "data": {"sql": "SELECT 1", "params": ["x" * (10 * MIB)]}}))
    daemon.reset_peak()
    before, refused = daemon.memory_kib(), 0
    for _ in range(20):
        client = Client(daemon.socket_path, timeout=60)
        try:
            client.send_delivered(body)
        except OSError:
            refused += 1  # closed by the daemon: the limit is reached
        client.close()
        wait_until(lambda: user_of(daemon, watcher)["connections"] == 2, "the connection is over")
    assert refused and user_of(daemon, watcher)["buffered_bytes"] > 2 * 10 * MIB
    assert daemon.memory_kib("VmHWM") - before < 3 * limit // 1024
    busy.call("cancel", {"request": endless})
    with pytest.raises(RequestFailed):
        busy.collect(endless)
    wait_until(lambda: user_of(daemon, watcher)["buffered_bytes"] == 0, "what the workers have done with is credited", timeout=20)
