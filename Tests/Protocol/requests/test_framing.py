"""Everything between the bytes of a connection and a decoded request: closing, limits, pieces, pipelines."""

import json
import os
import random
import socket
import struct
import subprocess
import time

import msgpack
import pytest

from daemon import counting, wait_until
from wire import FRAME_BYTE_COUNT_MAX, MODES, Client, ConnectionEnded, decode, encode, framed

HEALTH_LINE = b'{"id":1,"type":"health_check"}\n'


def raw(daemon, mode="msgpack"):
    """A connection to which the test writes bytes itself."""
    client = daemon.connect(mode, timeout=10)
    client.tracks = False
    return client


def lenient_bodies(stream):
    """Decodes what came on a connection, whichever framing it has: frames or lines."""
    bodies = []
    while stream:
        if stream[0] <= 4:
            length = struct.unpack(">I", stream[:4])[0]
            assert len(stream) >= 4 + length, f"a torn frame from the daemon: {stream[:80]!r}"
            bodies.append(decode(stream[4:4 + length]))
            stream = stream[4 + length:]
        else:
            line, newline, stream = stream.partition(b"\n")
            assert newline, f"a line without its end: {line[:80]!r}"
            bodies.append(decode(line))
    return bodies


def read_all(client):
    pieces = []
    try:
        while piece := client.socket.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


# Half-close and full close


@pytest.mark.parametrize("mode", MODES)
def test_half_close_finishes_what_was_asked(daemon, mode):
    client = daemon.connect(mode)
    ids = [client.send("health_check") for _ in range(20)]
    stream = client.send_query(counting(50_000))
    client.half_close()
    for id in ids:
        assert client.answer(id).type == "health_response"
    assert len(client.collect(stream).rows) == 50_000
    client.receive_end()


def test_half_close_without_a_request(daemon):
    client = daemon.connect()
    client.half_close()
    client.receive_end()


def test_half_close_within_the_framing_of_a_line(daemon):
    """A last line without LF: answered, or named as torn (guess), but never a hanging connection."""
    client = raw(daemon, "lines")
    client.socket.sendall(HEALTH_LINE + b'{"id":2,"type":"health_check"}')
    client.half_close()
    replies = lenient_bodies(read_all(client))
    assert replies[0].type == "health_response"
    assert len(replies) == 2, "the last line gets an answer of some kind"
    assert replies[1].type == "health_response" or replies[1].data["code"] == "bad_frame"


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_torn_frame_then_half_close(daemon, cut):
    whole = framed(encode({"id": 1, "type": "health_check"}, "msgpack"))
    client = raw(daemon)
    client.socket.sendall(whole + whole[:cut])
    client.half_close()
    replies = lenient_bodies(read_all(client))
    assert replies[0].type == "health_response"
    assert [reply.data["code"] for reply in replies[1:]] in ([], ["bad_frame"])


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 20])
def test_torn_frame_then_close_harms_nobody(daemon, packed, cut):
    packed.settle()
    before = daemon.socket_count()
    whole = framed(encode({"id": 1, "type": "health_check"}, "msgpack"))
    for _ in range(20):
        client = daemon.connect()
        client.socket.sendall(whole[:cut])
        client.close()
    packed.settle()
    wait_until(lambda: daemon.socket_count() <= before, "the daemon closes what was torn")


def nc(daemon, *flags, input):
    return subprocess.run(["nc", *flags, "-U", daemon.socket_path], input=input, capture_output=True, timeout=10)


def test_netcat_in_a_pipe(daemon):
    result = nc(daemon, "-N", input=b'{"id":1,"type":"health_check"}\n{"id":2,"type":"query","data":{"sql":"SELECT 6*7"}}\n')
    assert result.returncode == 0
    replies = {reply.id: reply for reply in map(decode, result.stdout.splitlines())}
    assert replies[1].data["status"] == "healthy"
    assert replies[2].data["rows"] == [[42]]


def test_netcat_by_hand(daemon):
    """A person types a line, reads the answer, and types the next one."""
    with subprocess.Popen(["nc", "-U", daemon.socket_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as person:
        for id in (1, "two", 3):
            person.stdin.write(json.dumps({"id": id, "type": "health_check"}).encode() + b"\n")
            person.stdin.flush()
            assert decode(person.stdout.readline()).id == id
        person.terminate()


# Limits


@pytest.mark.parametrize("header", [b"\x01\x00\x00\x01", b"\x01\xff\xff\xff", b"\x02\x00\x00\x00", b"\x04\x00\x00\x00",
                                    b"\x04\xff\xff\xff"], ids=lambda value: value.hex())
def test_frame_too_large(daemon, header):
    """Answered from the header alone; in which encoding, the page does not say."""
    client = raw(daemon)
    client.socket.sendall(header)
    (reply,) = lenient_bodies(read_all(client))
    assert (reply.type, reply.data["code"]) == ("error", "frame_too_large")
    assert reply.data["message"]


def test_frame_too_large_after_good_ones(daemon):
    client = raw(daemon)
    client.socket.sendall(framed(encode({"id": 1, "type": "health_check"}, "msgpack")) + b"\x03\xff\xff\xff" + b"x" * 100)
    replies = lenient_bodies(read_all(client))
    assert [reply.type for reply in replies] == ["health_response", "error"]
    assert replies[1].data["code"] == "frame_too_large"


def test_memory_is_not_set_aside_for_a_frame_too_large(daemon, packed):
    packed.settle()
    for _ in range(3):  # every loop has met one before anything is measured
        read_all_of_large_header(daemon)
    before = daemon.memory_kib("VmSize")
    daemon.reset_peak()
    peak_before = daemon.memory_kib("VmHWM")
    for _ in range(30):
        read_all_of_large_header(daemon)
    assert daemon.memory_kib("VmHWM") - peak_before < 4096
    assert daemon.memory_kib("VmSize") - before < 256 * 1024, "30 frames of 64 MiB were announced"


def read_all_of_large_header(daemon):
    client = daemon.connect("msgpack", timeout=10)
    client.socket.sendall(b"\x03\xff\xff\xff")
    assert read_all(client)


def test_memory_follows_the_bytes_that_arrive_not_the_length_announced(daemon, packed):
    """40 frames of 16 MiB are announced and never sent: only what arrives may cost memory."""
    packed.settle()
    before = daemon.memory_kib()
    announced = [daemon.connect() for _ in range(40)]
    for client in announced:
        client.send_delivered(struct.pack(">I", FRAME_BYTE_COUNT_MAX) + b"\x81")
    packed.settle()
    assert daemon.memory_kib() - before < 32 * 1024


@pytest.mark.parametrize("excess", [0, 1])
def test_frame_of_exactly_the_limit(daemon, excess):
    client = daemon.connect("msgpack")
    message = {"id": 1, "type": "query", "data": {"sql": "SELECT length(?)", "params": [b""]}}
    filler = FRAME_BYTE_COUNT_MAX + excess - len(msgpack.packb(message)) - 3  # bin32 has a header 3 bytes longer
    message["data"]["params"] = [bytes(filler)]
    body = msgpack.packb(message)
    assert len(body) == FRAME_BYTE_COUNT_MAX + excess
    client.expect(1)
    try:
        client.socket.sendall(framed(body))
    except (BrokenPipeError, ConnectionResetError):
        assert excess, "a frame of exactly the limit is read"
    if excess:
        (reply,) = lenient_bodies(read_all(client))
        assert reply.data["code"] == "frame_too_large"
    else:
        assert client.collect(1).rows == [[filler]]
        client.settle()


def test_line_over_the_limit(daemon):
    client = daemon.connect("lines", timeout=15)
    piece = b" " * (1 << 20)
    try:
        client.socket.sendall(b'{"id":1,')
        for _ in range(17):
            client.socket.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass
    try:
        assert client.receive().data["code"] == "frame_too_large"
        client.receive_end()
    except ConnectionResetError:
        pytest.fail("reset before the error could be read")


# Pieces and pipelines


@pytest.mark.parametrize("mode", MODES)
def test_request_split_at_every_byte_boundary(daemon, mode):
    client = daemon.connect(mode)
    _, payload = client.bytes_of("query", {"sql": "SELECT ?, ?", "params": ["é😀", b"\x00\xff"]}, id="split-ü")
    client.waiting.clear()
    for cut in range(1, len(payload)):
        if cut <= 10:  # the choice of the framing itself is split, too
            client = daemon.connect(mode)
        client.expect("split-ü")
        client.send_delivered(payload[:cut])
        client.socket.sendall(payload[cut:])
        assert client.collect("split-ü").rows == [["é😀", b"\x00\xff"]], f"cut after {cut} bytes"


@pytest.mark.parametrize("mode", MODES)
def test_requests_byte_by_byte(daemon, mode):
    client = daemon.connect(mode)
    payload = b"".join(client.bytes_of("health_check", id=id)[1] for id in ("a", "b"))
    for byte in payload:
        client.send_delivered(bytes([byte]))
    assert {client.receive().id, client.receive().id} == {"a", "b"}


@pytest.mark.parametrize("mode", MODES)
def test_requests_in_random_pieces(daemon, mode):
    seed = 7
    generator = random.Random(seed)
    client = daemon.connect(mode)
    expected, payload = {}, b""
    for number in range(300):
        id, piece = client.bytes_of("query", {"sql": "SELECT ?", "params": ["x" * generator.randrange(400)]})
        expected[id] = piece
        payload += piece
    position = 0
    while position < len(payload):
        step = generator.choice([1, 2, 3, 5, 17, 100, 4096, 70_000])
        client.socket.sendall(payload[position:position + step])
        position += step
    for id in expected:
        client.collect(id)
    client.settle()


@pytest.mark.parametrize("mode", MODES)
def test_a_thousand_pipelined_requests(daemon, mode):
    client = daemon.connect(mode)
    payload, queries = b"", []
    for number in range(1000):
        if number % 2:
            id, piece = client.bytes_of("health_check")
        else:
            id, piece = client.bytes_of("query", {"sql": "SELECT ?+1", "params": [number]})
            queries.append((id, number + 1))
        payload += piece
    client.socket.sendall(payload)
    for id, value in queries:
        assert client.collect(id).rows == [[value]]
    client.settle()


def test_pipelining_far_beyond_the_socket_buffer(daemon):
    """20,000 requests before the first reply is read: the daemon must neither stall for good nor lose one."""
    client = daemon.connect("msgpack")
    payload = b"".join(client.bytes_of("health_check")[1] for _ in range(20_000))
    client.socket.setblocking(False)
    received, sent = 0, 0
    view = memoryview(payload)
    deadline = time.monotonic() + 30
    while received < 20_000:
        assert time.monotonic() < deadline, f"{received} replies after 30 s"
        if sent < len(payload):
            try:
                sent += client.socket.send(view[sent:sent + 65536])
                continue
            except BlockingIOError:
                pass
        received += drain(client)
    client.socket.settimeout(10)
    client.settle()


def drain(client):
    """Reads what is there without blocking; returns the number of whole frames."""
    try:
        client.buffer += client.socket.recv(1 << 18)
    except BlockingIOError:
        time.sleep(0.0005)
    count = 0
    while len(client.buffer) >= 4 and len(client.buffer) >= 4 + int.from_bytes(client.buffer[:4], "big"):
        client.receive()
        count += 1
    return count


def test_a_client_that_never_reads_does_not_fill_the_daemon(daemon, packed):
    """Replies to a client that does not read are bounded; others are served."""
    packed.settle()
    before = daemon.memory_kib()
    greedy = daemon.connect("msgpack")
    _, one = greedy.bytes_of("query", {"sql": "SELECT zeroblob(50000)"})
    greedy.socket.setblocking(False)
    payload = one * 2000
    sent, idle_since = 0, time.monotonic()
    while sent < len(payload) and time.monotonic() - idle_since < 0.3:
        try:
            sent += greedy.socket.send(payload[sent:])
            idle_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.002)
    packed.settle()
    assert daemon.memory_kib() - before < 64 * 1024, "2,000 replies of 50 kB are 100 MB"
    greedy.close()
    packed.settle()


def test_many_connections(daemon):
    clients = [daemon.connect("msgpack" if number % 2 else "lines") for number in range(200)]
    ids = [client.send_query("SELECT ?", [number]) for number, client in enumerate(clients)]
    for number, (client, id) in enumerate(zip(clients, ids)):
        assert client.collect(id).rows == [[number]]


def test_connection_that_says_nothing_is_no_burden(daemon, packed):
    packed.settle()
    before = daemon.socket_count()
    silent = [daemon.connect() for _ in range(50)]
    packed.settle()
    assert daemon.is_idle()
    for client in silent:
        client.close()
    wait_until(lambda: daemon.socket_count() <= before, "the daemon closes what the clients closed")


def test_end_of_connection_is_seen_by_the_raw_client(daemon):
    """The client's own check: reading past the daemon's close raises instead of hanging."""
    client = daemon.connect("lines", timeout=10)
    client.half_close()
    with pytest.raises(ConnectionEnded):
        client.receive()


def test_socket_is_a_stream_with_restricted_mode(daemon):
    assert os.stat(daemon.socket_path).st_mode & 0o7777 == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        with pytest.raises(OSError):
            other.connect(daemon.socket_path)
    with Client(daemon.socket_path) as client:
        client.settle()
