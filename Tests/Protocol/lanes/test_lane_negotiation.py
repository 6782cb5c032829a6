"""How a connection gets a lane, and when it does not: then everything stays on the socket, and nothing is an error."""

import fcntl
import mmap
import os
import socket
import struct

import pytest

from daemon import free_port, wait_until
from lane import DAEMON_SLEEPS, REPLY_READ, REPLY_WRITTEN, REQUEST_READ, REQUEST_WRITTEN, LaneClient, LaneMemory
from wire import Client

SO_PASSRIGHTS = 83
SEALS = 0x1 | 0x2 | 0x4  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW


def test_the_memory_is_as_documented(lane_of):
    client = lane_of()
    memory = client.lane.memory
    assert (memory.version, memory.request_bytes, memory.reply_bytes) == (1, 64 << 10, 256 << 10)
    assert client.descriptor_seals & SEALS == SEALS, "its size is for ever"
    assert [memory[at] for at in (REQUEST_WRITTEN, REQUEST_READ, REPLY_WRITTEN, REPLY_READ)] == [0, 0, 0, 0]
    client.call("health_check")
    assert memory[REQUEST_READ] == memory[REQUEST_WRITTEN] > 0 and memory[REPLY_WRITTEN] > 0
    wait_until(lambda: memory[DAEMON_SLEEPS] == 1, "an idle lane sleeps")


def test_the_size_cannot_be_changed(daemon):
    with Client(daemon.socket_path) as client:
        descriptor = memory_of(client)
        try:
            size = os.fstat(descriptor).st_size
            for other in (size - 4096, size + 4096, 0):
                with pytest.raises(PermissionError):
                    os.ftruncate(descriptor, other)
            with pytest.raises(PermissionError):
                fcntl.fcntl(descriptor, 1033, 0x8)  # F_ADD_SEALS: not even one more
        finally:
            os.close(descriptor)


def memory_of(client):
    """Asks for a lane by hand; returns the descriptor."""
    _, payload = client.bytes_of("hello", {"transport": "shared_memory"})
    client.socket.sendall(payload)
    _, ancillary, _, _ = client.socket.recvmsg(1, socket.CMSG_SPACE(64), socket.MSG_CMSG_CLOEXEC)
    (_, _, content), = ancillary
    assert len(content) == 4, "exactly one descriptor, with the first byte"
    return struct.unpack("i", content)[0]


@pytest.mark.parametrize("wanted, given", [
    ((4096, 4096), (4096, 4096)), ((1, 1), (4096, 4096)), ((5000, 70_000), (8192, 131_072)), ((1 << 20, 1 << 20), (1 << 20, 1 << 20)),
    ((1 << 30, 1 << 62), (1 << 20, 1 << 20))], ids=str)
def test_sizes_are_rounded_up_and_have_a_limit(lane_of, wanted, given):
    client = lane_of(sizes=wanted)
    assert (client.answer_to_hello["request_ring_bytes"], client.answer_to_hello["reply_ring_bytes"]) == given
    assert client.query("SELECT 6 * 7").value == 42


def test_what_hello_says_besides_is_heeded(lane_of):
    client = lane_of("lines", client="by lane", protocol=[1], int64="string")
    assert client.answer_to_hello["protocol"] == 1 and client.answer_to_hello["peer"]["uid"] == os.getuid()
    assert client.query("SELECT 9007199254740993").value == "9007199254740993"


def test_a_second_hello_changes_nothing(lane_of):
    client = lane_of()
    reply = client.call("hello", {"transport": "shared_memory", "request_ring_bytes": 4096}).data
    assert (reply["transport"], reply["request_ring_bytes"]) == ("shared_memory", 64 << 10)
    client.settle()


@pytest.mark.parametrize("transport", ["carrier_pigeon", "socket", "", 7, None])
def test_another_transport(daemon, transport):
    """What a later version may know is not an error, what cannot be one is."""
    with daemon.connect() as client:
        id = client.send("hello", {"transport": transport})
        reply = client.receive_for(id)
        assert "transport" not in reply.data and (reply.type == "hello_response" or reply.data["code"] == "bad_request")
        client.settle()


@pytest.mark.parametrize("size", [0, -1, 1.5, "large", True])
def test_a_size_is_a_positive_integer(daemon, size):
    with daemon.connect() as client:
        error = client.fails("hello", {"transport": "shared_memory", "request_ring_bytes": size})
        assert error["code"] == "bad_request"
        client.settle()


def test_nothing_may_follow_before_the_reply(daemon):
    """Nobody could say whether it belongs to the socket or to the lane."""
    with daemon.connect() as client:
        hello, first = client.bytes_of("hello", {"transport": "shared_memory"})
        health, second = client.bytes_of("health_check")
        client.socket.sendall(first + second)
        reply = client.receive_for(hello)
        assert reply.type == "error" and reply.data["code"] == "bad_request", reply
        assert client.receive_for(health).type == "health_response"
        client.settle()


def test_not_while_a_request_runs(daemon):
    from daemon import ENDLESS
    with daemon.connect() as client:
        long = client.send_query(ENDLESS)
        assert client.fails("hello", {"transport": "shared_memory"})["code"] == "bad_request"
        client.call("cancel", {"request": long})
        assert client.receive_for(long).data["code"] == "cancelled"
        client.settle()


def test_a_socket_that_takes_no_descriptors(daemon):
    """The kernel does not pass the memory on; so everything stays on the socket."""
    with daemon.connect() as watcher, Client(daemon.socket_path) as client:
        try:
            client.socket.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
        except OSError:
            pytest.skip("this kernel always passes descriptors (before Linux 6.16)")
        before = watcher.call("stats").data["lanes"]["opened"]
        for name in ("one", "two"):
            reply = client.call("hello", {"transport": "shared_memory", "client": name}).data
            assert "transport" not in reply and "request_ring_bytes" not in reply and reply["protocol"] == 1
            assert client.query("SELECT 6 * 7").value == 42
        assert watcher.call("stats").data["lanes"]["opened"] == before, "there was none"
        client.socket.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 1)
        os.close(memory_of(client))


def test_tcp_stays_on_the_socket(start_daemon):
    port = free_port()
    daemon = start_daemon("--port", port)
    wait_until(lambda: f"127.0.0.1:{port}" in daemon.log(), "the port is open")
    with LaneClient(("127.0.0.1", port)) as client:
        assert client.lane is None and "transport" not in client.answer_to_hello
        client.settle()
    with LaneClient(daemon.socket_path) as client:
        assert client.lane


def test_none_where_the_administrator_wants_none(limited):
    daemon = limited(lanes_per_user_max=0)
    with LaneClient(daemon.socket_path) as client:
        assert client.lane is None and "transport" not in client.answer_to_hello
        assert client.query("SELECT 1").value == 1


def test_the_memory_is_given_back(lane_of, daemon):
    def lanes():
        return sum("memfd:litebase-lane" in line for line in open(f"/proc/{daemon.pid}/maps"))

    before = lanes()
    clients = [lane_of() for _ in range(5)]
    wait_until(lambda: lanes() == before + 5, "five are mapped")
    # The last one is closed behind its mapping.
    wait_until(lambda: not [name for name in os.listdir(f"/proc/{daemon.pid}/fd") if "litebase-lane" in link(daemon.pid, name)],
               "no descriptor is kept")
    for client in clients:
        client.close()
    wait_until(lambda: lanes() == before, "none is mapped")


def link(pid, name):
    try:
        return os.readlink(f"/proc/{pid}/fd/{name}")
    except FileNotFoundError:
        return ""


def test_a_client_may_map_it_for_reading_only(daemon):
    """It then cannot use it; the daemon does not care."""
    with Client(daemon.socket_path) as client:
        descriptor = memory_of(client)
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[:8] == b"LiteLane"
        os.close(descriptor)
    with LaneClient(daemon.socket_path) as client:
        assert isinstance(client.lane.memory, LaneMemory)
        client.settle()
