"""Descriptors on the socket: who may send them, which request gets which, and that none stays open."""

import fcntl
import os
import random
import socket
import sqlite3
import time

import pytest

from daemon import wait_until
from transfers import hello, open_files, open_paths, opened, outcome, pass_bytes, send_with, transfer, transfer_fails
from wire import RequestFailed

LINE_MODES = ("msgpack", "lines", "json")


@pytest.fixture(params=LINE_MODES)
def passing(request, daemon):
    with daemon.connect(request.param) as client:
        # Of a database without a file there is no copy.
        client.query("CREATE TABLE IF NOT EXISTS used(x)")
        yield hello(client)


def test_without_hello_none_is_taken(daemon, directory):
    with daemon.connect() as client:
        assert "descriptors" not in client.call("hello", {}).data
        error = client.fails("backup", {"descriptors": 1})
        assert error["code"] == "bad_request" and "hello" in error["hint"], error
        client.settle()


def test_hello_takes_it_back(passing):
    assert "descriptors" not in passing.call("hello", {"descriptors": False}).data
    assert passing.fails("backup", {"descriptors": 1})["code"] == "bad_request"
    passing.settle()


def test_a_request_gets_its_descriptor(passing, directory):
    path = directory / "copy.db"
    with opened(path) as descriptor:
        reply = transfer(passing, "backup", descriptor)
    assert reply["bytes"] == path.stat().st_size > 0
    passing.settle()


def test_first_in_first_out(passing, directory):
    """Three requests in one write, whose descriptors come together: each has its own."""
    passing.query("CREATE TABLE IF NOT EXISTS numbered(x)", database="second")
    names = ["default", "second", "sealed"]
    payload, ids, files = b"", [], []
    for name in names:
        id, part = passing.bytes_of("backup", {"database": name, "descriptors": 1})
        ids.append(id)
        payload += part
        files.append(os.open(directory / f"{name}.copy", os.O_WRONLY | os.O_CREAT))
    pass_bytes(passing, payload, files)
    for id, name, file in zip(ids, names, files):
        assert outcome(passing, id)[-1]["bytes"] == (directory / f"{name}.copy").stat().st_size
        os.close(file)
    assert sqlite3.connect(directory / "sealed.copy").execute("SELECT count(*) FROM fixed").fetchall() == [(3,)]
    assert sqlite3.connect(directory / "second.copy").execute("SELECT count(*) FROM numbered").fetchall() == [(0,)]


def test_a_refused_request_keeps_its_own(passing, directory):
    """The descriptor of a request that fails never goes to the next one."""
    first, second = directory / "first", directory / "second"
    with opened(first) as one, opened(second) as two:
        a, head = passing.bytes_of("backup", {"database": "no such", "descriptors": 1})
        b, tail = passing.bytes_of("backup", {"descriptors": 1})
        pass_bytes(passing, head + tail, [one, two])
        with pytest.raises(RequestFailed) as refused:
            outcome(passing, a)
        assert refused.value.code == "database_not_found"
        outcome(passing, b)
    assert first.stat().st_size == 0 and second.stat().st_size > 0


def test_an_early_request_does_not_lose_what_comes_later(passing, directory):
    """A plain request ahead of the declaring one, in the same write."""
    path = directory / "copy"
    with opened(path) as descriptor:
        plain, head = passing.bytes_of("health_check")
        id, tail = passing.bytes_of("backup", {"descriptors": 1})
        pass_bytes(passing, head + tail, [descriptor])
        assert passing.answer(plain)
        assert outcome(passing, id)[-1]["bytes"] > 0


def test_undeclared_ones_are_closed(daemon, passing, directory):
    path = directory / "undeclared"
    with opened(path) as descriptor:
        for _ in range(20):
            passing.answer(send_with(passing, [descriptor, descriptor], "health_check", None))
        wait_until(lambda: open_paths(daemon.process.pid, path) == 0, "they are closed")
        # The next one that declares some does not get one of these.
        with opened(directory / "declared") as wanted:
            transfer(passing, "backup", wanted)
    assert path.stat().st_size == 0 and (directory / "declared").stat().st_size > 0


def test_missing_ones_end_the_connection(passing):
    id = passing.send("backup", {"descriptors": 1})
    with pytest.raises(RequestFailed) as missing:
        outcome(passing, id)
    assert missing.value.code == "bad_request", missing.value
    passing.receive_end()


def test_one_is_wanted(passing, directory):
    with opened(directory / "a") as a, opened(directory / "b") as b:
        id = send_with(passing, [a, b], "backup", {"descriptors": 2})
        with pytest.raises(RequestFailed) as refused:
            outcome(passing, id)
    assert refused.value.code == "bad_request"
    passing.settle()
    assert passing.fails("backup", {})["code"] == "bad_request"


def wrong_kinds(directory):
    yield "read only", os.open(directory / "empty", os.O_RDONLY | os.O_CREAT)
    yield "path only", os.open(directory / "empty", os.O_PATH)
    yield "directory", os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    yield "listening socket", socket.create_server(("127.0.0.1", 0)).detach()
    yield "socket pair", socket.socketpair()[0].detach()
    yield "device", os.open("/dev/null", os.O_WRONLY)
    yield "read end", os.pipe()[0]
    yield "an order for the kernel", os.open("/proc/self/comm", os.O_WRONLY)
    yield "memory", os.memfd_create("memory")
    yield "shared memory", os.open(f"/dev/shm/litebase-test-{os.getpid()}", os.O_WRONLY | os.O_CREAT)
    os.unlink(f"/dev/shm/litebase-test-{os.getpid()}")


def test_wrong_kinds(daemon, passing, directory):
    before = len(open_files(daemon.process.pid))
    for what, descriptor in wrong_kinds(directory):
        error = transfer_fails(passing, "backup", descriptor)
        assert error["code"] == "bad_request", (what, error)
        os.close(descriptor)
    passing.settle()
    wait_until(lambda: len(open_files(daemon.process.pid)) <= before + 2, "they are closed")


def test_the_daemons_own_database(daemon, passing, directory):
    """It is not written to, and closing what was sent ends no lock of the daemon's on it."""
    passing.query("CREATE TABLE IF NOT EXISTS held(x)", database="second")
    path = daemon.directory / "second.db"
    before = path.read_bytes()
    with opened(path, os.O_RDWR) as descriptor:
        assert transfer_fails(passing, "backup", descriptor)["code"] == "bad_request"
        passing.answer(send_with(passing, [descriptor], "health_check", None))
        time.sleep(0.3)
        assert is_locked(path)
    assert path.read_bytes() == before


def is_locked(path):
    inode = os.stat(path).st_ino
    with open("/proc/locks") as locks:
        return any(f":{inode} " in line for line in locks)


def test_how_many_one_may_have_waiting(daemon, directory):
    """More than a connection may have waiting end it, and nobody else notices."""
    path = directory / "many"
    with daemon.connect() as other, opened(path) as descriptor:
        for _ in range(10):
            with daemon.connect() as client:
                hello(client)
                _, payload = client.bytes_of("backup", {"descriptors": 1})
                pass_bytes(client, payload[:1], [descriptor] * 200)
                client.receive()
                client.receive_end()
        other.settle()
        wait_until(lambda: open_paths(daemon.process.pid, path) == 0, "they are closed")


def test_none_is_left(daemon, directory):
    """Any number with any split: what was not declared is closed, at the latest with the connection."""
    seed = random.randrange(1 << 30)
    print("seed", seed)
    dice = random.Random(seed)
    path = directory / "fuzz"
    with opened(path) as descriptor, daemon.connect() as other:
        for _ in range(60):
            with daemon.connect(dice.choice(LINE_MODES)) as client:
                if dice.random() < 0.9:
                    hello(client)
                client.tracks = False
                payload = b""
                for _ in range(dice.randrange(1, 6)):
                    kind = dice.choice(["health_check", "backup", "no_such_type"])
                    data = {"descriptors": dice.randrange(1, 3)} if kind == "backup" else {}
                    payload += client.bytes_of(kind, data)[1]
                try:
                    while payload:
                        length = dice.randrange(1, len(payload) + 1)
                        pass_bytes(client, payload[:length], [descriptor] * dice.choice([0, 0, 1, 1, 2, 5]))
                        payload = payload[length:]
                    if dice.random() < 0.5:
                        client.half_close()
                        while client.socket.recv(1 << 16):
                            pass
                except OSError:
                    pass
        other.settle()
        wait_until(lambda: open_paths(daemon.process.pid, path) == 0, "they are closed", 20)


def test_descriptors_do_not_survive_exec(daemon, passing, directory):
    """None is inherited by what the daemon starts."""
    path = directory / "waiting"
    with opened(path) as descriptor:
        _, payload = passing.bytes_of("backup", {"descriptors": 1})
        pass_bytes(passing, payload[:1], [descriptor])
        wait_until(lambda: open_paths(daemon.process.pid, path) == 1, "it has come")
        number = next(n for n, target in open_files(daemon.process.pid).items() if target == str(path))
        flags = next(line for line in open(f"/proc/{daemon.process.pid}/fdinfo/{number}") if line.startswith("flags"))
        assert int(flags.split()[1], 8) & os.O_CLOEXEC
        pass_bytes(passing, payload[1:], [])
        passing.receive()
    assert fcntl.fcntl(passing.socket, fcntl.F_GETFD) >= 0

