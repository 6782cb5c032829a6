"""Connections outlive the daemon: which ones are kept, and what a table of them that is wrong does."""

import os
import random
import socket
import struct
import time

import pytest

from daemon import wait_until
from identity import needs_root
from test_handover import KILL, TERM, kept, settle
from wire import Client, ConnectionEnded


def test_a_client_that_leaves_is_forgotten(manager):
    daemon = manager()
    clients = [daemon.client() for _ in range(20)]
    for client in clients:
        client.call("health_check")
    kept(daemon, 20)
    for client in clients[:10]:
        client.close()
    kept(daemon, 10)
    # One that the daemon closes: the store's duplicate must not keep the client waiting.
    clients[10].socket.sendall(b"\x04\xff\xff\xff")
    clients[10].socket.settimeout(5)
    clients[10].tracks = False
    clients[10].receive()
    clients[10].receive_end()
    kept(daemon, 9)
    daemon.restart()
    for client in clients[11:]:
        assert client.call("health_check").data["pid"] == daemon.pid


def test_many_at_once_are_kept_a_little_later(manager):
    daemon = manager()
    clients = [daemon.client() for _ in range(600)]
    wait_until(lambda: len(daemon.names("client-")) == 600, "all are kept", timeout=20)
    settle()
    daemon.restart(KILL)
    for client in clients:
        assert client.call("health_check").data["pid"] == daemon.pid


def test_those_that_are_not_kept_yet_are_kept_at_a_stop(manager):
    daemon = manager()
    clients = [daemon.client() for _ in range(500)]
    daemon.restart(TERM)
    for client in clients:
        assert client.call("health_check").data["pid"] == daemon.pid


def test_beyond_the_limit_connections_end_with_the_process(manager):
    daemon = manager(settings="[limits]\nkept_connections_max = 2\n")
    clients = [daemon.client() for _ in range(3)]
    for client in clients:
        client.call("health_check")
    kept(daemon, 2)
    daemon.restart(TERM).wait_ready()
    ended = 0
    for client in clients:
        try:
            assert client.call("health_check").data["pid"] == daemon.pid
        except (ConnectionEnded, ConnectionResetError, BrokenPipeError):
            ended += 1
    assert ended == 1


class OtherUser:
    """A process of another user that opens connections, and says which of them a daemon still serves."""

    def __init__(self, uid, path):
        self.pid, self.uid = None, uid
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            try:
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                self.serve(theirs, path)
            finally:
                os._exit(0)
        theirs.close()
        self.control = ours.makefile("rw", buffering=1)

    def serve(self, control, path):
        control = control.makefile("rw", buffering=1)
        clients = []
        for line in control:
            word, number = line.split()
            if word == "open":
                clients += [Client(path) for _ in range(int(number))]
                control.write(f"{len(clients)}\n")
            elif word == "close":
                for _ in range(int(number)):
                    clients.pop().close()
                control.write(f"{len(clients)}\n")
            else:
                control.write(f"{sum(serves(client, int(number)) for client in clients)}\n")

    def tell(self, word, number):
        self.control.write(f"{word} {number}\n")
        return int(self.control.readline())

    def end(self):
        self.control.close()
        os.kill(self.pid, KILL)
        os.waitpid(self.pid, 0)


def serves(client, pid):
    try:
        return client.call("health_check").data["pid"] == pid
    except (ConnectionEnded, ConnectionResetError, BrokenPipeError):
        return False


@pytest.fixture
def others(manager):
    """Makes a daemon that other users may reach, and such users."""
    made = []

    def make(*uids, settings):
        daemon = manager(settings=settings)
        os.chmod(daemon.directory, 0o755)
        os.chmod(daemon.path, 0o666)
        made.extend(OtherUser(uid, daemon.path) for uid in uids)
        return daemon, *made

    yield make
    for user in made:
        user.end()


@needs_root
@pytest.mark.parametrize("sig", [TERM, KILL])
def test_no_user_takes_the_places_of_others(others, sig):
    daemon, taker, second, late = others(
        65534, 65533, 65532, settings="[limits]\nkept_connections_max = 80\n")
    assert taker.tell("open", 200) == 200
    kept(daemon, 40)
    assert second.tell("open", 200) == 200
    kept(daemon, 60)
    assert late.tell("open", 10) == 10
    kept(daemon, 70)
    settle()
    for _ in range(2):
        daemon.restart(sig).wait_ready()
        # Exactly: what is restored is counted, and what is lost is not.
        assert [user.tell("served", daemon.pid) for user in (taker, second, late)] == [40, 20, 10]
        kept(daemon, 70)
        settle()


@needs_root
def test_places_of_a_user_come_back(others):
    daemon, taker, late = others(65534, 65533, settings="[limits]\nkept_connections_max = 40\n")
    for _ in range(5):
        assert taker.tell("open", 60) == 60
        kept(daemon, 20)
        assert taker.tell("close", 60) == 0
        kept(daemon, 0)
    assert late.tell("open", 15) == 15
    kept(daemon, 15)
    daemon.restart(TERM).wait_ready()
    assert late.tell("served", daemon.pid) == 15


@needs_root
def test_at_a_stop_everybody_gets_a_share(others):
    """What was not kept yet is kept then: a storm of one user's connections is not to be first in the queue."""
    daemon, taker, late = others(65534, 65533, settings="[limits]\nkept_connections_max = 1000\n")
    assert taker.tell("open", 1500) == 1500
    assert late.tell("open", 10) == 10
    # They are accepted, not only in the queue of the socket.
    assert (taker.tell("served", daemon.pid), late.tell("served", daemon.pid)) == (1500, 10)
    daemon.restart(TERM).wait_ready()
    assert late.tell("served", daemon.pid) == 10
    assert taker.tell("served", daemon.pid) >= 490


def test_without_a_store_connections_end(manager):
    """The opposite: what the other tests see is the store's doing."""
    daemon = manager(keep=False)
    with daemon.client() as client:
        client.call("health_check")
        daemon.restart(TERM)
        with pytest.raises((ConnectionEnded, ConnectionResetError, BrokenPipeError)):
            client.call("health_check")


def test_a_table_that_makes_no_sense_closes_its_connections(manager):
    daemon = manager()
    with daemon.client() as client:
        client.call("health_check")
        kept(daemon, 1)
        daemon.end(TERM)
        os.pwrite(daemon.store["clients"][0], struct.pack("<I", 999), 8)
        daemon.start().wait_ready()
        client.receive_end()
    with daemon.client() as client:
        client.call("health_check")
        kept(daemon, 1)
        settle()
        daemon.restart(KILL)
        assert client.call("health_check").data["pid"] == daemon.pid


def test_connections_behind_a_table_that_makes_no_sense_are_kept(manager):
    """They wait when the daemon starts, so they are stored before it has told the store to forget the former ones."""
    daemon = manager()
    former = [daemon.client() for _ in range(3)]
    for client in former:
        client.call("health_check")
    kept(daemon, 3)
    daemon.end(TERM)
    names = daemon.names("client-")
    os.pwrite(daemon.store["clients"][0], struct.pack("<I", 999), 8)
    clients = [daemon.client() for _ in range(3)]
    daemon.start().wait_ready()
    for client in clients:
        client.call("health_check")
    for client in former:
        client.receive_end()
        client.close()
    wait_until(lambda: not set(names) & set(daemon.names("client-")), "the former ones are forgotten")
    kept(daemon, 3)
    settle()
    daemon.restart(KILL)
    for client in clients:
        assert client.call("health_check").data["pid"] == daemon.pid


@pytest.mark.parametrize("seed", [random.randrange(1 << 30)], ids=["random"])
def test_garbage_in_the_table_harms_nobody(manager, seed):
    print(f"seed {seed}")
    random.seed(seed)
    daemon = manager()
    for _ in range(5):
        clients = [daemon.client() for _ in range(8)]
        for client in clients:
            client.call("health_check")
        kept(daemon, 8)
        daemon.end(KILL)
        for _ in range(200):
            os.pwrite(daemon.store["clients"][0], os.urandom(random.randrange(1, 9)), 4096 + random.randrange(16 * 1024))
        daemon.start().wait_ready()
        with daemon.client() as client:
            assert client.call("health_check").data["status"] == "healthy"
        for client in clients:
            client.close()
        kept(daemon, 0)


def test_leftovers_of_clients_that_left_are_forgotten(manager):
    daemon = manager(settings="[limits]\ndrain_time_ms_max = 200\n")
    for _ in range(3):
        client = daemon.client()
        client.call("health_check")
        for _ in range(8):
            client.send_query("SELECT zeroblob(200000)")
        settle()
        kept(daemon, 1)
        daemon.end(TERM)
        assert len(daemon.names("leftover-")) == 1
        client.close()
        kept(daemon, 0)
        daemon.start().wait_ready()
        wait_until(lambda: daemon.names("leftover-") == [], "nothing is left in the store")


def test_a_connection_that_must_end_does_so_at_a_restart_too(manager):
    daemon = manager(settings="[limits]\ndrain_time_ms_max = 200\n")
    with daemon.client() as client:
        client.call("health_check")
        for _ in range(2):
            client.send_query("SELECT zeroblob(200000)")
        client.socket.sendall(b"\x7f\xff\xff\xff garbage")
        settle()
        daemon.restart(TERM).wait_ready()
        client.tracks = False
        with pytest.raises((ConnectionEnded, ConnectionResetError)):
            while True:
                client.receive()


@pytest.mark.parametrize("offset, value", [(16, 2**64 - 1), ("slot", 16), ("slot", 8)])
def test_absurd_numbers_in_the_table_harm_nobody(manager, offset, value):
    daemon = manager()
    with daemon.client() as client:
        client.call("health_check")
        kept(daemon, 1)
        settle()
        daemon.end(KILL)
        table = daemon.store["clients"][0]
        if offset == "slot":
            slot = int(daemon.names("client-")[0].split("-")[1])
            os.pwrite(table, struct.pack("<Q", 2**64 - 1), 4096 + slot * 1024 + value)
        else:
            os.pwrite(table, struct.pack("<Q", value), offset)
        daemon.start().wait_ready()
        with daemon.client() as other:
            other.call("db_connect")
            assert other.call("health_check").data["pid"] == daemon.pid


def test_an_encoding_that_lines_do_not_have_closes_the_connection(manager):
    daemon = manager()
    with daemon.client("lines") as client, daemon.client() as holder:
        lock = holder.call("db_connect").data["session"]
        holder.collect(holder.send_query("CREATE TABLE t(x)", session=lock))
        holder.collect(holder.send_query("BEGIN IMMEDIATE", session=lock))
        client.send_query("INSERT INTO t VALUES (1)")
        kept(daemon, 2)
        settle()
        daemon.end(KILL)
        table = daemon.store["clients"][0]
        for name in daemon.names("client-"):
            start = 4096 + int(name.split("-")[1]) * 1024
            if os.pread(table, 1, start + 4) == b"\0" and os.pread(table, 2, start + 6) == b"\1\0":
                os.pwrite(table, b"\0", start + 32)
        daemon.start().wait_ready()
        client.receive_end()
        with daemon.client() as other:
            assert other.call("health_check").data["pid"] == daemon.pid


def test_none_is_kept_twice(manager):
    """A sweep and a stop at the same time, with a service manager that does not listen for a while."""
    daemon = manager()
    clients = [daemon.client() for _ in range(900)]
    for client in clients[::50]:
        client.call("health_check")
    with daemon.lock:
        time.sleep(0.6)
        os.kill(daemon.pid, TERM)
        time.sleep(0.2)
    deadline = time.monotonic() + 20
    while os.waitpid(daemon.pid, os.WNOHANG)[0] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    daemon.pid = None
    time.sleep(0.2)
    numbers = [name.split("-")[2] for name in daemon.names("client-")]
    assert len(numbers) == len(set(numbers)) == 900
    daemon.start().wait_ready()
    for client in clients:
        assert client.call("health_check").data["pid"] == daemon.pid
