"""Many clients that behave badly at once: the daemon stays well, forgets nothing, and leaves well in the middle of it."""

import random
import signal
import threading
import time

import pytest

from daemon import ENDLESS, counting, wait_until
from wire import Client, ConnectionEnded, RequestFailed, framed

SECONDS = 4


class Mischief:
    """One client's life: connections of random length, random requests, random ends; all from one seed."""

    def __init__(self, path, seed, end):
        self.path, self.generator, self.end = path, random.Random(seed), end
        self.written = 0  # acknowledged rows
        self.failure = None

    def run(self):
        try:
            while time.monotonic() < self.end:
                self.one_connection()
        except (BrokenPipeError, ConnectionResetError, ConnectionEnded, ConnectionRefusedError, FileNotFoundError):
            pass  # the daemon left
        except RequestFailed as failure:
            self.failure = None if failure.code == "shutting_down" else failure
        except BaseException as failure:
            self.failure = failure

    def one_connection(self):
        with Client(self.path, self.generator.choice(["msgpack", "lines", "json"]), timeout=20) as client:
            client.tracks = False
            for _ in range(self.generator.randint(1, 12)):
                action = self.generator.choice([self.write, self.read, self.stream, self.leave_running, self.cancel, self.page,
                                                self.transact, self.garbage, self.half_close, self.vanish])
                if action(client) == "closed" or time.monotonic() > self.end:
                    return

    def write(self, client):
        try:
            client.query("INSERT INTO chaos VALUES (?)", [self.generator.random()], timeout_ms=15_000)
            self.written += 1
        except RequestFailed as failure:
            assert failure.code in ("busy", "timeout", "shutting_down", "cancelled"), failure

    def read(self, client):
        try:
            assert client.query("SELECT ?", [7]).rows == [[7]]
        except RequestFailed as failure:
            assert failure.code == "shutting_down", failure

    def stream(self, client):
        id = client.send_query(counting(self.generator.randint(1, 20_000)))
        for _ in range(self.generator.randint(0, 3)):
            if client.receive_for(id).terminal:
                return

    def leave_running(self, client):
        client.send_query(ENDLESS, timeout_ms=self.generator.randint(1, 300))

    def cancel(self, client):
        id = client.send_query(counting(100_000, "max(x)"))
        client.send("cancel", {"request": id})

    def page(self, client):
        id = client.send_query(counting(100), page_rows=7)
        client.send("fetch", {"request": id})

    def transact(self, client):
        session = client.call("db_connect", {"database": "default"}).data["session"]
        client.send_query("BEGIN", session=session)
        client.send_query("CREATE TEMP TABLE mine AS SELECT 1", session=session)
        if self.generator.random() < 0.5:
            client.send("db_disconnect", {"session": session})

    def garbage(self, client):
        noise = self.generator.randbytes(self.generator.randint(0, 60))
        # The space decides for lines: as a connection's first byte, noise might decide for frames.
        line = b" " + noise.replace(b"\n", b" ") + b"\n"
        client.socket.sendall(line if client.mode == "lines" else framed(noise))

    def half_close(self, client):
        client.half_close()
        return "closed"

    def vanish(self, client):
        if self.generator.random() < 0.5:
            client.socket.sendall(b"\0\0\1" if client.mode != "lines" else b'{"id":1')
        return "closed"


def make_mischief(daemon, seed, seconds, count=8):
    lives = [Mischief(daemon.socket_path, seed * 1000 + number, time.monotonic() + seconds) for number in range(count)]
    threads = [threading.Thread(target=life.run, daemon=True) for life in lives]
    for thread in threads:
        thread.start()
    return lives, threads


def finish_mischief(lives, threads, seed):
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), f"a client hangs, seed {seed}"
    failures = [life.failure for life in lives if life.failure]
    assert not failures, f"seed {seed}: {failures}"


@pytest.mark.parametrize("seed", [1, 2])
def test_bad_company(start_daemon, seed):
    daemon = start_daemon(log_level="warning")
    watcher = daemon.connect()
    watcher.query("CREATE TABLE chaos(x)")
    lives, threads = make_mischief(daemon, seed, SECONDS)
    while any(thread.is_alive() for thread in threads):
        start = time.monotonic()
        watcher.call("health_check")
        assert time.monotonic() - start < 3, "a quiet client is served meanwhile"
        time.sleep(0.05)
    finish_mischief(lives, threads, seed)
    wait_until(daemon.is_idle, "nothing goes on for clients that left")
    stats = watcher.call("stats").data
    assert stats["requests_in_flight"] <= 1 and stats["sessions"]["open"] == 0 and stats["connections"]["open"] == 1, stats
    assert not stats["errors"].get("internal"), stats["errors"]
    assert watcher.query("SELECT count(*) FROM chaos").value >= sum(life.written for life in lives) > 0
    assert watcher.query("PRAGMA integrity_check").value == "ok"


@pytest.mark.parametrize("seed", [3, 4])
def test_leaving_in_bad_company(start_daemon, directory, seed):
    """SIGTERM in the middle: exit 0 within the drain's deadline, and every acknowledged write is there afterwards."""
    daemon = start_daemon(directory=directory, log_level="warning")
    with daemon.connect() as client:
        client.query("CREATE TABLE chaos(x)")
    lives, threads = make_mischief(daemon, seed, 20)
    wait_until(lambda: sum(life.written for life in lives) > 20, "the clients are busy", timeout=20)
    assert daemon.terminate(signal.SIGTERM) == 0
    for life in lives:
        life.end = 0
    finish_mischief(lives, threads, seed)
    after = start_daemon(directory=directory)
    assert after.connect().query("SELECT count(*) FROM chaos").value >= sum(life.written for life in lives)
