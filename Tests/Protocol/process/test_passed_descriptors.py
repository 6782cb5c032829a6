"""Descriptors that a client, or a server, sends along: whoever closes the last one of a TCP socket waits as long as it says."""

import array
import contextlib
import os
import socket
import struct
import threading

import pytest

from bystander import Bystander
from daemon import wait_until
from test_activation import Activated
from wire import Client, RequestFailed

LINGER_SECONDS = 20
PATIENCE_SECONDS = 3
SO_PASSRIGHTS = 83


def lingering():
    """A TCP socket with much to send to somebody who does not read, and that somebody."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        sender = socket.socket()
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sender.connect(listener.getsockname())
        reader, _ = listener.accept()
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(b"x" * 65536)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS))
    return sender, reader


def send_with_descriptor(connection, data):
    """Whether the kernel lets it pass. Whoever gets it has the last descriptor."""
    sender, reader = lingering()
    try:
        connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sender.fileno()]))])
        return True
    except PermissionError:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        return False
    finally:
        sender.close()
        READERS.append(reader)


READERS = []


@pytest.fixture(autouse=True)
def close_readers():
    yield
    while READERS:
        READERS.pop().close()


def kernel_refuses():
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            return probe.getsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS) == 1
        except OSError:
            return False


LINE = b'{"id":1,"type":"health_check"}\n'


def test_clients_send_none(daemon):
    with Bystander(daemon, writes=False) as bystander:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(daemon.socket_path)
            assert send_with_descriptor(connection, LINE) != kernel_refuses()
        bystander.check()
        with daemon.connect() as client:
            client.settle()


@pytest.mark.parametrize("end", ["read", "not read"])
def test_what_has_come_before_anybody_could_refuse_it(directory, end):
    """As with all connections on kernels before 6.16."""
    path = directory / "socket"
    activated = Activated(directory, [path])
    try:
        with socket.socket(socket.AF_UNIX) as early:
            wait_until(lambda: early.connect_ex(str(path)) == 0, "it listens")
            if end == "not read":
                # More than is looked at before the replies have been taken.
                early.setblocking(False)
                query = b'{"id":%d,"type":"query","data":{"sql":"SELECT hex(zeroblob(100000))"}}\n'
                early.sendall(b"".join(query % i for i in range(1, 200)))
                early.setblocking(True)
            assert send_with_descriptor(early, LINE)
            with activated.connect(str(path)) as client:
                client.socket.settimeout(PATIENCE_SECONDS)
                client.settle()
                if end == "read":
                    early.settimeout(PATIENCE_SECONDS)
                    assert early.recv(1)
                early.close()
                for _ in range(20):
                    client.settle()
        with Client(str(path)) as client:
            client.socket.settimeout(PATIENCE_SECONDS)
            client.settle()
    finally:
        activated.process.kill()
        activated.process.wait()


@pytest.mark.parametrize("scheme", ["postgresql", "redis", "mysql"])
def test_servers_send_none(start_daemon, directory, scheme):
    """A server that a client may name: a socket of the client's own."""
    name = {"postgresql": ".s.PGSQL.5432", "redis": "redis", "mysql": "mysql"}[scheme]
    path = os.path.join(directory, name)
    url = {"postgresql": f"postgresql://u@/d?host={directory}", "redis": f"redis+unix://{path}",
           "mysql": f"mysql://u@localhost/d?socket={path}"}[scheme]
    daemon = start_daemon("--loops", "1", directory=directory, databases={"evil": url})
    sent = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer:
                    sent.append(send_with_descriptor(peer, b"N"))
                    peer.settimeout(1)
                    peer.recv(1 << 16)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(4)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Bystander(daemon, writes=False) as bystander, daemon.connect() as client:
            with pytest.raises(RequestFailed) as refused:
                client.query("GET x" if scheme == "redis" else "SELECT 1", database="evil", timeout_ms=2000)
            bystander.check()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert sent, refused.value
    assert not any(sent) or not kernel_refuses()
