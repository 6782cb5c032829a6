"""Signals, crowds, and clients that behave badly."""

import os
import random
import resource
import signal
import socket
import struct
import time

import pytest

from bystander import Bystander
from daemon import ENDLESS, counting, wait_until
from test_faults_files import numbers
from wire import Client


# Signals, crowds, and clients that behave badly


def test_a_storm_of_signals(start_daemon):
    daemon = start_daemon("--log-level", "warning")
    client = daemon.connect()
    client.query("CREATE TABLE t(x)")
    numbers = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGWINCH, signal.SIGPIPE,
               signal.SIGCONT, signal.SIGURG]
    generator = random.Random(7)
    with Bystander(daemon):
        end, count = time.monotonic() + 1.5, 0
        while time.monotonic() < end:
            for _ in range(20):
                os.kill(daemon.pid, generator.choice(numbers))
            client.query("INSERT INTO t VALUES (1)")
            count += 1
        assert client.query("SELECT count(*) FROM t").value == count
        assert count > 20


def connect_patiently(path, seconds=20):
    """Waits while the listener's queue is full (4,096 of them): a socket with Python's own timeout would get EAGAIN there, as
    every non-blocking connect(2) to a Unix socket does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", seconds, 0))
    connection.connect(path)
    connection.settimeout(seconds)
    return connection


def test_ten_thousand_connections(start_daemon):
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500)
    if count < 1_000:
        pytest.skip(f"only {count} descriptors are allowed here (ulimit -Hn)")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = []
    try:
        daemon = start_daemon(log_level="warning")
        with Bystander(daemon, pause=0.05) as bystander:
            for _ in range(count - 100):
                crowd.append(connect_patiently(daemon.socket_path))
            request = b'{"id":1,"type":"query","data":{"sql":"SELECT 7"}}\n'
            for connection in crowd:
                connection.sendall(request)
            for connection in crowd:
                assert b"[[7]]" in connection.recv(4096)
            bystander.check()
            stats = daemon.connect().call("stats").data
            assert stats["connections"]["open"] >= len(crowd)
            for connection in crowd:
                connection.close()
            wait_until(lambda: daemon.socket_count() < 20, "all are closed", timeout=20, interval=0.1)
    finally:
        for connection in crowd:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_send_by_the_byte(start_daemon):
    """500 clients that send a byte now and then: nobody waits for them, and they are served when they have ended."""
    daemon = start_daemon(log_level="warning")
    requests = [b'{"id":1,"type":"query","data":{"sql":"SELECT 7"}}\n',
                b"\0\0\0\x31" + b'{"id":1,"type":"query","data":{"sql":"SELECT 7"}}']
    assert len(requests[1]) == 4 + 0x31
    with Bystander(daemon) as bystander:
        slow = []
        for index in range(500):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(20)
            connection.connect(daemon.socket_path)
            slow.append((connection, requests[index % 2]))
        for place in range(max(map(len, requests))):
            for connection, request in slow:
                if place < len(request):
                    connection.sendall(request[place:place + 1])
            if place % 10 == 0:
                bystander.check()
        for connection, _ in slow:
            assert b"[[7]]" in connection.recv(4096)
            connection.close()
        assert bystander.slowest < 2


STEPS = [
    "connected", "half a frame", "a request that nobody waits for", "half a result", "a session", "a transaction",
    "a write lock", "a waiting write", "half of the pages", "a batch",
]


def play(path, step):
    """In a process of its own: does what `step` says, says so, and waits to be killed."""
    client = Client(path)
    if step == "half a frame":
        client.socket.sendall(b"\0\0\1\0abc")
    elif step == "a request that nobody waits for":
        client.send_query(ENDLESS)
    elif step == "half a result":
        client.receive_for(client.send_query(counting(10_000_000, "x, 'some text'")))
    elif step in ("a session", "a transaction", "a write lock"):
        session = client.session()
        if step == "a transaction":
            client.query("BEGIN", session=session)
            client.query("SELECT * FROM t", session=session)
        if step == "a write lock":
            client.query("BEGIN IMMEDIATE", session=session)
            client.query("INSERT INTO t VALUES (-1)", session=session)
    elif step == "a waiting write":
        session = client.session()
        client.query("BEGIN IMMEDIATE", session=session)
        client.send_query("INSERT INTO t VALUES (-2)")
    elif step == "half of the pages":
        client.send_query(counting(1000), page_rows=10)
    elif step == "a batch":
        client.send("batch", {"statements": [{"sql": "INSERT INTO t VALUES (-3)"}, {"sql": f"INSERT INTO t {ENDLESS}"}]})
    return client


def test_clients_killed_at_each_step(start_daemon):
    daemon = start_daemon(log_level="warning")
    watcher = daemon.connect()
    watcher.query("CREATE TABLE t(x)")
    with Bystander(daemon, writes=False) as bystander:
        for step in STEPS:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    client = play(daemon.socket_path, step)
                    os.write(writing, b".")
                    signal.pause()
                finally:
                    os._exit(1)
            os.close(writing)
            assert os.read(reading, 1) == b".", f"the client did not come to: {step}"
            os.close(reading)
            time.sleep(0.02)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            start = time.monotonic()
            watcher.query("INSERT INTO t VALUES (1)")
            assert time.monotonic() - start < 2, f"what was left keeps others from writing: {step}"
            bystander.check()
        wait_until(lambda: watcher.call("stats").data["sessions"]["open"] == 0, "no session is left")
        wait_until(lambda: watcher.call("stats").data["requests_in_flight"] <= 1 + 1, "no request is left")
        rows = [row[0] for row in watcher.query("SELECT x FROM t ORDER BY x").rows]
        assert -1 not in rows and -3 not in rows and rows.count(1) == len(STEPS), rows
    daemon.close_clients()
    wait_until(daemon.is_idle, "nothing goes on for clients that are gone")
