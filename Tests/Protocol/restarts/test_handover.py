"""Connections outlive the daemon: restarted, replaced, killed. The service manager is manager.py; Tests/System has the real one."""

import random
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from daemon import ENDLESS, LITEBASE, counting, wait_until
from wire import ConnectionEnded, RequestFailed

TERM, KILL = signal.SIGTERM, signal.SIGKILL


def kept(manager, count):
    wait_until(lambda: len(manager.names("client-")) == count, f"{count} kept connections, not {manager.names()}")


def settle():
    """Time for the daemon to come to rest after a reply."""
    time.sleep(0.05)


@pytest.mark.parametrize("sig", [TERM, KILL])
@pytest.mark.parametrize("mode", ["msgpack", "lines", "json"])
def test_a_connection_between_requests_stays(manager, mode, sig):
    daemon = manager()
    with daemon.client(mode) as client, daemon.client(mode) as silent:
        client.call("hello", {"int64": "string"})
        first = client.call("health_check").data["pid"]
        kept(daemon, 2)
        settle()
        for _ in range(3):
            daemon.restart(sig)
            assert client.call("health_check").data["pid"] == daemon.pid
            rows = client.collect(client.send_query("SELECT 9007199254740993")).rows
            assert rows == [["9007199254740993" if client.encoding == "json" else 9007199254740993]]
            settle()
        assert daemon.pid != first
        # One that had not sent a byte decides about its framing now.
        assert silent.call("health_check").data["pid"] == daemon.pid
    kept(daemon, 0)


def test_a_manager_that_does_not_read_keeps_nobody_waiting(manager):
    """Its queue is full: the daemon accepts and serves all the same, and what it has to tell arrives later, in order."""
    daemon = manager()
    count = int(open("/proc/sys/net/unix/max_dgram_qlen").read()) + 30
    with daemon.lock:
        begun = time.monotonic()
        clients = [daemon.client() for _ in range(count)]
        for client in clients:
            client.call("health_check")
        assert time.monotonic() - begun < 5
    kept(daemon, count)
    settle()
    daemon.restart(KILL)
    for client in clients:
        assert client.call("health_check").data["pid"] == daemon.pid
        client.close()
    kept(daemon, 0)


@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_requests_that_a_kill_cuts_off_end_with_outcome_unknown(manager, mode):
    daemon = manager()
    with daemon.client(mode) as client, daemon.client() as holder:
        ids = ["a text", "", "x" * 128, 0, -7, 2**63, 2**64 - 1, "ü"]
        # Writes that wait for somebody else's lock are in flight, and leave the processor alone.
        lock = holder.call("db_connect").data["session"]
        holder.collect(holder.send_query("CREATE TABLE t(x)", session=lock))
        holder.collect(holder.send_query("BEGIN IMMEDIATE", session=lock))
        session = client.call("db_connect").data["session"]
        for id in ids[:-1]:
            client.send_query("INSERT INTO t VALUES (1)", id=id)
        client.send_query("INSERT INTO t VALUES (1)", id=ids[-1], session=session)
        settle()
        kept(daemon, 2)
        daemon.restart(KILL)
        for id in ids:
            with pytest.raises(RequestFailed) as failure:
                client.collect(id)
            assert failure.value.code == "outcome_unknown"
            assert session in failure.value.data["detail"]
            assert "retryable" not in failure.value.data
        assert client.collect(client.send_query("SELECT 1")).rows == [[1]]
        with pytest.raises(RequestFailed) as failure:
            client.collect(client.send_query("SELECT 1", session=session))
        assert failure.value.code == "session_not_found" and "restarted" in failure.value.data["message"]
        assert client.call("db_connect").data["session"] != session
        with pytest.raises(RequestFailed) as failure:
            client.collect(client.send_query("SELECT 1", session=f"{session}7"))
        assert "restarted" not in failure.value.data["message"]


def test_rows_that_a_kill_cuts_off_end_with_outcome_unknown(manager):
    daemon = manager()
    with daemon.client() as client:
        kept(daemon, 1)
        id = client.send_query(counting(100_000), page_rows=10)
        frame = client.receive_for(id)
        assert frame.data["more"]
        settle()
        daemon.restart(KILL)
        with pytest.raises(RequestFailed) as failure:
            client.collect(id)
        assert failure.value.code == "outcome_unknown"
        assert client.call("health_check").data["pid"] == daemon.pid


def test_a_page_that_was_not_fetched_ends_with_a_restart(manager):
    """Nobody has cancelled it; it is sent again."""
    daemon = manager()
    with daemon.client() as client:
        kept(daemon, 1)
        id = client.send_query(counting(100_000), page_rows=10)
        assert client.receive_for(id).data["more"]
        settle()
        daemon.restart(TERM)
        with pytest.raises(RequestFailed) as failure:
            client.collect(id)
        assert failure.value.code == "shutting_down" and failure.value.data["retryable"], failure.value.data
        assert client.call("health_check").data["pid"] == daemon.pid


def test_a_restart_lets_requests_end(manager):
    daemon = manager()
    with daemon.client() as client:
        kept(daemon, 1)
        id = client.send_query(counting(3_000_000, "count(*)"))
        settle()
        assert client.waiting[id]
        daemon.restart(TERM)
        assert client.collect(id).rows[0] is not None
        assert client.call("health_check").data["pid"] == daemon.pid


def test_a_restart_cancels_what_does_not_end(manager):
    daemon = manager(settings="[limits]\ndrain_time_ms_max = 200\n")
    with daemon.client() as client:
        kept(daemon, 1)
        session = client.call("db_connect").data["session"]
        client.collect(client.send_query("CREATE TABLE t(x)", session=session))
        client.collect(client.send_query("BEGIN", session=session))
        client.collect(client.send_query("INSERT INTO t VALUES (1)", session=session))
        endless, behind = client.send_query(ENDLESS, session=session), client.send_query("COMMIT", session=session)
        settle()
        daemon.restart(TERM)
        for id in endless, behind:
            with pytest.raises(RequestFailed) as failure:
                client.collect(id)
            assert failure.value.code == "shutting_down"
        assert client.collect(client.send_query("SELECT count(*) FROM t")).rows == [[0]]
        with pytest.raises(RequestFailed) as failure:
            client.collect(client.send_query("COMMIT", session=session))
        assert failure.value.code == "session_not_found"


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_half_a_request_is_completed_after_a_restart(manager, mode, size):
    daemon = manager()
    with daemon.client(mode) as client:
        id, payload = client.bytes_of("query", {"sql": "SELECT length(?)", "params": ["x" * size]})
        cut = len(payload) - 5
        client.send_delivered(payload[:cut])
        kept(daemon, 1)
        daemon.restart(TERM)
        client.socket.sendall(payload[cut:])
        assert client.collect(id).rows == [[size]]
        assert daemon.names("leftover-") == []


def test_half_a_request_that_a_kill_loses_ends_the_connection(manager):
    daemon = manager()
    with daemon.client() as client:
        kept(daemon, 1)
        _, payload = client.bytes_of("query", {"sql": "SELECT 1"})
        client.send_delivered(payload[:-3])
        daemon.restart(KILL)
        client.receive_end()
    kept(daemon, 0)


def test_pipelined_requests_are_each_answered_once_over_restarts(manager):
    daemon = manager()
    with daemon.client() as client:
        kept(daemon, 1)
        client.collect(client.send_query("CREATE TABLE t(x INTEGER PRIMARY KEY)"))
        total = 6_000
        requests = [client.bytes_of("query", {"sql": "INSERT INTO t VALUES (?)", "params": [n]}) for n in range(total)]
        sender = threading.Thread(target=lambda: client.socket.sendall(b"".join(payload for _, payload in requests)))
        sender.start()
        pids = set()
        for round in range(4):
            time.sleep(0.03)
            daemon.restart(TERM).wait_ready()
            pids.add(daemon.pid)
        for id, _ in requests:
            assert client.collect(id) is not None
        sender.join()
        assert client.collect(client.send_query("SELECT count(*) FROM t")).rows == [[total]]
        assert len(pids) == 4


def test_a_slow_reader_gets_the_rest_after_a_restart(manager):
    daemon = manager(settings="[limits]\ndrain_time_ms_max = 100\n")
    with daemon.client() as client:
        kept(daemon, 1)
        requests = [client.send_query(counting(1, "randomblob(100000)")) for _ in range(60)]
        time.sleep(0.2)
        daemon.restart(TERM).wait_ready()
        answers, cut = 0, 0
        for id in requests:
            try:
                assert len(client.collect(id).rows[0][0]) == 100_000
                answers += 1
            except RequestFailed as failure:
                assert failure.code == "shutting_down"
                cut += 1
        # Cut are those that were running when the time was over.
        assert answers > 0 and answers + cut == 60
        assert client.call("health_check").data["pid"] == daemon.pid
        assert daemon.names("leftover-") == []


def test_a_large_result_that_nobody_reads_is_cut_with_an_error(manager):
    daemon = manager(settings="[limits]\ndrain_time_ms_max = 100\n")
    with daemon.client() as client:
        kept(daemon, 1)
        id = client.send_query(counting(1_000_000))
        time.sleep(0.2)
        daemon.restart(TERM).wait_ready()
        with pytest.raises(RequestFailed) as failure:
            client.collect(id)
        assert failure.value.code in ("shutting_down", "outcome_unknown")
        assert client.call("health_check").data["pid"] == daemon.pid


class Worker(threading.Thread):
    """Sends requests one after the other and keeps account of every one of them."""

    def __init__(self, daemon, number, rng, pause):
        super().__init__(daemon=True)
        self.manager, self.number, self.rng, self.pause = daemon, number, rng, pause
        self.acknowledged, self.unknown, self.lost = set(), set(), set()
        self.connects = self.ended = 0
        self.is_over = False
        self.problem = None
        self.mode = ["msgpack", "lines", "json"][number % 3]

    def run(self):
        try:
            client = self.connect()
            serial = 0
            while not self.is_over:
                serial += 1
                value = self.number * 1_000_000 + serial
                try:
                    self.one(client, value)
                except RequestFailed as failure:
                    assert failure.code == "outcome_unknown", failure
                    self.unknown.add(value)
                except (ConnectionEnded, ConnectionResetError, BrokenPipeError):
                    self.ended += 1
                    self.lost.add(value)
                    client = self.connect()
                if self.pause:
                    time.sleep(self.rng.random() * self.pause)
        except BaseException as problem:
            self.problem = problem

    def connect(self):
        self.connects += 1
        return self.manager.client(self.mode)

    def one(self, client, value):
        if self.rng.random() < 0.5:
            assert client.collect(client.send_query("INSERT INTO t VALUES (?)", [value])).last["rows_affected"] == 1
            self.acknowledged.add(value)
        else:
            assert client.collect(client.send_query("SELECT ?", [value])).rows == [[value]]


@pytest.mark.parametrize("sig", [TERM, KILL])
def test_nothing_is_lost_or_answered_twice(manager, directory, sig):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    daemon = manager("--database", f"default={directory}/load.db")
    with daemon.client() as client:
        client.collect(client.send_query("CREATE TABLE t(x INTEGER PRIMARY KEY)"))
    workers = [Worker(daemon, number, random.Random(seed + number), [0, 0.02][number % 2]) for number in range(8)]
    for worker in workers:
        worker.start()
    rng = random.Random(seed)
    rounds = 25
    for _ in range(rounds):
        time.sleep(rng.random() * 0.2)
        daemon.restart(sig).wait_ready()
    time.sleep(0.1)
    for worker in workers:
        worker.is_over = True
    for worker in workers:
        worker.join(20)
        assert worker.problem is None and not worker.is_alive(), repr(worker.problem)
    ended = sum(worker.ended for worker in workers)
    unknown = sum(len(worker.unknown) for worker in workers)
    acknowledged = set().union(*(worker.acknowledged for worker in workers))
    maybe = set().union(*(worker.unknown | worker.lost for worker in workers))
    print(f"acknowledged {len(acknowledged)}, unknown {unknown}, connections ended {ended}")
    with sqlite3.connect(directory / "load.db") as database:
        rows = {row[0] for row in database.execute("SELECT x FROM t")}
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert acknowledged <= rows
    assert rows - acknowledged <= maybe
    if sig == TERM:
        assert (ended, unknown) == (0, 0)
    else:
        # A kill may hit a loop while it moves the bytes of a connection: then, and only then, that one ends.
        assert unknown > 0
        assert ended <= rounds * 2


def test_the_shell_goes_on_after_a_restart(manager):
    daemon = manager()
    shell = subprocess.Popen([LITEBASE, "shell", "--socket", daemon.path, "--format", "csv"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)

    def ask(sql, wanted):
        shell.stdin.write(sql + "\n")
        shell.stdin.flush()
        lines = []
        while not any(wanted in line for line in lines):
            lines.append(shell.stdout.readline())
            assert lines[-1], lines
        return lines

    ask("SELECT 'one';", "one\n")
    settle()
    daemon.restart(TERM)
    lines = ask("SELECT 'two';", "two\n")
    assert not any("session" in line for line in lines)
    ask("BEGIN; SELECT 'three';", "three\n")
    settle()
    daemon.restart(TERM)
    # What follows in a script was meant for the transaction that is gone.
    ask("SELECT 'four';", "restarted")
    assert "what follows was not run" in shell.stdout.read()
    shell.stdin.close()
    assert shell.wait(10) == 1
    shell.stdout.close()
    kept(daemon, 0)
