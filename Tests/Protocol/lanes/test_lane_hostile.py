"""What the other side of shared memory may do, it does: the connection ends, nobody else notices, and the daemon lives."""

import os
import random
import socket
import time

import pytest

from daemon import counting, wait_until
from lane import (BELL, CLIENT_SLEEPS, DAEMON_SLEEPS, HALF_CLOSE, LEAVE, REPLY_READ, REPLY_WRITTEN, REQUEST_READ, REQUEST_WRITTEN, request)

ROUNDS = int(os.environ.get("LITEBASE_TEST_ROUNDS") or 60)


@pytest.fixture(autouse=True)
def bystander(daemon):
    """Somebody else who is served before and after."""
    with daemon.connect() as other:
        other.settle()
        yield other
        other.settle()


def is_closed(client):
    client.socket.inner.settimeout(10)
    try:
        while data := client.socket.inner.recv(4096):
            assert data.strip(BELL) == b""
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("beyond", [1, 4096, 2**31, 2**32, 2**63])
@pytest.mark.parametrize("word, size", [(REQUEST_WRITTEN, 65536), (REPLY_READ, 262144)], ids=["written", "read"])
def test_a_position_that_cannot_be(lane_of, word, size, beyond):
    """More written than the ring holds, more read than was written, or backwards; what was read is looked at where the ring would be full."""
    client = lane_of()
    client.call("health_check")
    memory = client.lane.memory
    memory[word] = memory[word] + size + beyond
    client.send_query(counting(100_000)) if word == REPLY_READ else client.lane.ring()
    assert is_closed(client)


@pytest.mark.parametrize("beyond", [1, 4096, 200_000])
def test_a_position_before_its_bytes(lane_of, beyond):
    """Who says that he has read what is not written yet may be believed: only his own replies are overwritten."""
    client = lane_of()
    client.call("health_check")
    memory = client.lane.memory
    client.send_query(counting(100_000))
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        memory[REPLY_READ] = memory[REPLY_WRITTEN] + beyond
        client.lane.ring()


@pytest.mark.parametrize("back", [1, 20, 2**40])
def test_a_position_that_goes_back(lane_of, back):
    client = lane_of()
    client.call("health_check")
    memory = client.lane.memory
    memory[REQUEST_WRITTEN] = memory[REQUEST_WRITTEN] - back
    client.lane.ring()
    assert is_closed(client)


def test_the_daemons_words_are_only_for_the_client(lane_of):
    """It has its own: what stands there is nothing to it."""
    client = lane_of()
    client.query("SELECT 1")
    memory = client.lane.memory
    for number in range(100):
        written, read, sizes = memory[REPLY_WRITTEN], memory[REQUEST_READ], (memory.narrow[3], memory.narrow[4])
        for at in (REPLY_WRITTEN, REQUEST_READ, 0):
            memory.wide[at // 8] = random.getrandbits(64)
        memory.narrow[3] = memory.narrow[4] = random.getrandbits(32)
        memory[REPLY_WRITTEN], memory[REQUEST_READ] = written, read
        memory.narrow[3], memory.narrow[4] = sizes
        assert client.query("SELECT ?", [number]).value == number
    for at, count in ((8, 4), (12, 4), (16, 4)):
        memory.bytes[at:at + count] = b"\xff" * count
    assert client.query("SELECT 1").value == 1


def test_bytes_that_change_behind_a_frame(lane_of):
    """What was read is not read again: the ring is overwritten with other requests as soon as the position has moved."""
    client = lane_of()
    memory = client.lane.memory
    for number in range(ROUNDS * 5):
        before = client.lane.written
        client.send_query("SELECT ?", [number])
        wait_until(lambda: memory[REQUEST_READ] == memory[REQUEST_WRITTEN], "it was read", interval=0)
        memory.put(before, os.urandom(client.lane.written - before))
        assert client.receive().data["rows"] == [[number]]


@pytest.mark.parametrize("bytes_sent", [b"\x04", b"\xff", b"{}", request("health_check"), BELL * 10 + b"x", LEAVE, LEAVE + request("health_check")],
                         ids=["4", "255", "json", "frame", "bells", "leave", "leave and a frame"])
def test_bytes_on_the_socket(lane_of, bytes_sent):
    """Nothing but bells, descriptors and the half-close has a meaning there, and nobody was asked to leave."""
    client = lane_of()
    client.settle()
    client.lane.inner.sendall(bytes_sent)
    assert is_closed(client)


def test_bells_without_end(lane_of, daemon):
    """They are worth nothing, and keep nobody from being served."""
    client = lane_of()
    inner = client.lane.inner
    deadline = time.monotonic() + 1
    with daemon.connect() as other:
        while time.monotonic() < deadline:
            try:
                inner.send(BELL * 4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
            other.settle()
    client.settle()


def test_bells_that_are_never_received(lane_of):
    """The socket is full of them at last; replies come all the same, and the daemon does not wait."""
    client = lane_of()
    memory = client.lane.memory
    for number in range(3000):
        memory[CLIENT_SLEEPS] = 1
        client.put_raw(request("query", {"sql": "SELECT ?", "params": [number]}))
        client.expect(1)
        wait_until(client.lane.has_bytes, "the reply", interval=0)
        assert client.receive().data["rows"] == [[number]]


def test_half_close_twice(lane_of):
    client = lane_of()
    id = client.send_query("SELECT 1")
    client.lane.inner.sendall(HALF_CLOSE * 3)
    assert client.collect(id).value == 1
    assert is_closed(client)


def test_requests_behind_the_half_close(lane_of):
    """There are none: what is written behind it may be read or not, but harms nobody."""
    client = lane_of()
    client.tracks = False
    client.half_close()
    try:
        for _ in range(100):
            client.put_raw(request("health_check"))
    except (BrokenPipeError, ConnectionResetError, TimeoutError):
        pass
    assert is_closed(client)


@pytest.mark.parametrize("value", [0, 1, 2, 2**32 - 1])
def test_sleep_words_say_what_they_like(lane_of, value):
    """Too many bells, or none: then the client itself does not wake up, or rings."""
    client = lane_of()
    memory = client.lane.memory
    for number in range(200):
        memory[DAEMON_SLEEPS] = value
        memory[CLIENT_SLEEPS] = value
        client.put_raw(request("query", {"sql": "SELECT ?", "params": [number]}))
        client.lane.ring()
        client.expect(1)
        wait_until(client.lane.has_bytes, "the reply", interval=0)
        assert client.receive().data["rows"] == [[number]]


def test_a_client_that_never_reads_is_closed(limited):
    from lane import LaneClient
    daemon = limited(write_stall_ms_max=1000)
    with LaneClient(daemon.socket_path, sizes=(4096, 4096)) as client:
        client.send_query(counting(1_000_000))
        began = time.monotonic()
        assert is_closed(client)
        assert 0.5 < time.monotonic() - began < 8


def test_a_client_that_reads_slowly_is_not_closed(limited):
    from lane import LaneClient
    daemon = limited(write_stall_ms_max=1000)
    with LaneClient(daemon.socket_path, sizes=(4096, 4096)) as client:
        id = client.send_query(counting(3000))
        taken = bytearray()
        for _ in range(8):
            time.sleep(0.4)
            taken += client.lane.recv(1024)
        client.buffer += taken
        assert len(client.collect(id).rows) == 3000


def test_random_words_and_bytes(lane_of, bystander):
    """Scribbles in the whole memory, between requests and bells."""
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.getrandbits(32))
    print("seed", seed)
    dice = random.Random(seed)
    words = (REQUEST_WRITTEN, CLIENT_SLEEPS, REQUEST_READ, DAEMON_SLEEPS, REPLY_WRITTEN, REPLY_READ)
    for _ in range(ROUNDS):
        client = lane_of(sizes=(dice.choice((4096, 65536)), dice.choice((4096, 65536))))
        memory, inner = client.lane.memory, client.lane.inner
        written = 0
        for _ in range(dice.randrange(1, 60)):
            act = dice.randrange(10)
            if act < 4:
                data = dice.choice((request("health_check"), request("query", {"sql": counting(dice.randrange(1, 5000))}),
                                    os.urandom(dice.randrange(1, 100)), request("cancel", {"request": 1})))
                memory.put(written, data)
                written += len(data)
                memory[REQUEST_WRITTEN] = written
            elif act < 6:
                memory[REPLY_READ] = memory[REPLY_WRITTEN]
            elif act == 6:
                memory[dice.choice(words)] = dice.choice((0, 1, dice.getrandbits(64), memory[dice.choice(words)] + dice.randrange(-99, 99)))
            elif act == 7:
                at = dice.randrange(0, memory.size - 64)
                memory.bytes[at:at + 64] = os.urandom(64)
            try:
                inner.send(BELL if dice.random() < 0.98 else dice.choice((HALF_CLOSE, LEAVE, b"\0", b"?")), socket.MSG_DONTWAIT)
            except OSError:
                break
        client.close()
    bystander.settle()
