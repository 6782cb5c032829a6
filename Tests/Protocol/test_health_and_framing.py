"""Health, hello, and everything between the first byte of a connection and a decoded request.

"Guess" in a comment marks what the protocol page does not say.
"""

import datetime
import http.client
import json
import os
import pwd
import random
import re
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


# Health and hello


@pytest.mark.parametrize("mode", MODES)
def test_health(daemon, mode):
    client = daemon.connect(mode)
    reply = client.call("health_check", id="first")
    assert reply.type == "health_response"
    assert reply.id == "first"
    assert reply.data["status"] == "healthy"
    assert reply.data["protocol"] == 1
    assert reply.data["pid"] == daemon.pid
    assert reply.data["activation"] == "standalone"
    assert re.match(r"\d+\.\d+", reply.data["version"])
    assert type(reply.data["uptime_ms"]) is int and reply.data["uptime_ms"] >= 0
    later = wait_until(lambda: client.call("health_check").data["uptime_ms"] > reply.data["uptime_ms"], "uptime grows")
    assert later


@pytest.mark.parametrize("mode", MODES)
def test_timestamp(daemon, mode):
    before = time.time() - 0.001
    reply = daemon.connect(mode).call("health_check")
    after = time.time() + 0.001
    if mode == "msgpack":
        assert isinstance(reply.timestamp, msgpack.Timestamp), "ext -1"
        seconds = reply.timestamp.to_unix()
    else:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", reply.timestamp), reply.timestamp
        seconds = datetime.datetime.fromisoformat(reply.timestamp.replace("Z", "+00:00")).timestamp()
    assert before <= seconds <= after


@pytest.mark.parametrize("mode", MODES)
def test_existing_client_message(daemon, mode):
    """A map {id, type, timestamp, data} with a timestamp and a nil data works as it is."""
    client = daemon.connect(mode)
    stamps = [msgpack.Timestamp(1, 0), msgpack.Timestamp(1 << 33, 5), msgpack.Timestamp(-5, 999_999_999)]
    for stamp in stamps if mode == "msgpack" else ["2024-02-29T12:00:00Z", 17, None]:
        message = {"id": "a", "type": "health_check", "timestamp": stamp, "data": None}
        body = encode(message, client.encoding)
        client.expect("a")
        client.socket.sendall(body + b"\n" if mode == "lines" else framed(body))
        assert client.answer("a").type == "health_response"


@pytest.mark.parametrize("mode", MODES)
def test_unknown_fields_are_ignored(daemon, mode):
    client = daemon.connect(mode)
    extra = {"trace": {"deep": [1, {"x": None}]}, "more": [], "text": "\u2028", "number": -1.5}
    assert client.call("health_check", {"unknown": extra}, surplus=extra).type == "health_response"
    result = client.collect(client.send("query", {"sql": "SELECT 1", "surplus": extra}, other=extra))
    assert result.rows == [[1]]
    client.settle()


def test_unknown_extension_types_are_ignored_in_unknown_fields(daemon):
    client = daemon.connect()
    assert client.call("health_check", strange=msgpack.ExtType(42, b"abc")).type == "health_response"


@pytest.mark.parametrize("mode", MODES)
def test_hello(daemon, mode):
    client = daemon.connect(mode)
    data = client.call("hello", {"client": "tests", "protocol": [1]}).data
    assert data["protocol"] == 1
    assert data["version"] == client.call("health_check").data["version"]
    assert data["limits"] and isinstance(data["limits"], dict)
    assert FRAME_BYTE_COUNT_MAX in data["limits"].values(), "the frame limit of 16 MiB is among the limits"
    peer = data["peer"]
    assert (peer["uid"], peer["gid"], peer["pid"]) == (os.getuid(), os.getgid(), os.getpid())
    assert peer["user"] == pwd.getpwuid(os.getuid()).pw_name
    client.settle()


def test_hello_with_versions_to_choose_from(daemon):
    assert daemon.connect().call("hello", {"client": "tests", "protocol": [7, 1, 3]}).data["protocol"] == 1


def test_hello_without_a_common_version(daemon):
    client = daemon.connect()
    error = client.fails("hello", {"client": "tests", "protocol": [2, 3]})
    assert error["code"] == "bad_request"  # guess: the page names no code
    client.settle()


def test_hello_with_an_unknown_integer_style(daemon):
    client = daemon.connect()
    assert client.fails("hello", {"client": "tests", "protocol": [1], "int64": "roman"})["code"] == "bad_request"
    client.settle()


# The first byte


@pytest.mark.parametrize("prefix", [b"", b" ", b"\t", b"\r", b"\n", b"\r\n", b" \t\r\n\n  "], ids=repr)
def test_json_lines_by_first_byte(daemon, prefix):
    client = raw(daemon, "lines")
    client.socket.sendall(prefix + HEALTH_LINE)
    line = client.read_line()
    assert decode(line).type == "health_response"
    assert not line.endswith(b"\r"), "replies end with LF alone"


def test_json_lines_with_crlf(daemon):
    client = raw(daemon, "lines")
    client.socket.sendall(b'{"id":1,"type":"health_check"}\r\n{"id":2,"type":"health_check"}\r\n')
    assert sorted(client.receive().id for _ in range(2)) == [1, 2]
    client.settle()


def test_json_lines_with_blank_lines_and_spaces_between(daemon):
    client = raw(daemon, "lines")
    client.socket.sendall(HEALTH_LINE + b"\n\r\n" + b'  {"id" : 2 ,\t"type": "health_check" , "data" : null }  \n')
    assert sorted(client.receive().id for _ in range(2)) == [1, 2]
    client.settle()


def test_json_escapes_in_the_envelope(daemon):
    client = raw(daemon, "lines")
    client.socket.sendall(b'{"\\u0069d":"a\\u00e9\\ud83d\\ude00\\u0000\\/","type":"health\\u005fcheck"}\n')
    assert client.receive().id == "aé😀\x00/"


@pytest.mark.parametrize("byte", [0x05, 0x07, 0x16, 0x1f, 0x21, 0x22, 0x41, 0x5b, 0x68, 0x7f, 0x80, 0x84, 0xc0,
                                  0xde, 0xff], ids=hex)
def test_unknown_first_byte(daemon, byte):
    client = daemon.connect("lines", timeout=10)
    client.socket.sendall(bytes([byte]) + b"hello there\n")
    reply = client.receive()
    assert (reply.type, reply.data["code"]) == ("error", "bad_frame")
    assert reply.data["hint"]
    client.receive_end()


def test_unknown_first_byte_alone_is_answered_at_once(daemon):
    client = daemon.connect("lines", timeout=10)
    client.socket.sendall(b"\xff")
    assert client.receive().data["code"] == "bad_frame"
    client.receive_end()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "CONNECT", "TRACE"])
def test_http_is_answered_in_http(daemon, method):
    client = daemon.connect("lines", timeout=10)
    client.socket.sendall(f"{method} / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".encode())
    answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b"litebase" in answer.lower(), "it says what this socket speaks"
    assert answer.count(b"HTTP/1.1") == 1


def test_http_answer_is_well_formed(daemon):
    client = daemon.connect("lines", timeout=10)
    client.socket.sendall(b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = http.client.HTTPResponse(client.socket)
    response.begin()
    body = response.read()
    assert response.status == 400
    assert response.will_close
    assert b"litebase" in body.lower()
    client.receive_end()


def test_http_method_that_arrives_byte_by_byte(daemon):
    client = daemon.connect("lines", timeout=10)
    for byte in b"POST ":
        client.send_delivered(bytes([byte]))
    try:
        client.socket.sendall(b"/ HTTP/1.0\r\n\r\n")
    except BrokenPipeError:
        pass  # "POST " was enough for an answer
    assert read_all(client).startswith(b"HTTP/1.1 400")


def test_a_capital_letter_that_is_no_http_method(daemon):
    client = daemon.connect("lines", timeout=10)
    client.socket.sendall(b"GEORGE\n")
    assert client.receive().data["code"] == "bad_frame"
    client.receive_end()


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


# Bodies that cannot be decoded

UNDECODABLE = {
    "empty": b"",
    "never used": b"\xc1",
    "array": b"\x92\x01\x02",
    "integer": b"\x01",
    "text": b"hello",
    "map cut short": b"\x82\xa2id\x01",
    "map32 that claims 4 G pairs": b"\xdf\xff\xff\xff\xff",
    "map16 cut in its header": b"\xde\x00",
    "string longer than the body": b"\x81\xdb\xff\xff\xff\xffid",
    "binary longer than the body": b"\x83\xa2id\x01\xa4type\xachealth_check\xa1x\xc6\xff\xff\xff\xffx",
    "trailing byte": msgpack.packb({"id": 1, "type": "health_check"}) + b"\x00",
    "key that is not UTF-8": b"\x81\xa2\xff\xfe\x01",
    "type that is not UTF-8": b"\x82\xa2id\x01\xa4type\xa2\xc3\x28",
    "key twice": b"\x83\xa2id\x01\xa2id\x02\xa4type\xacheal" + b"th_check",
    "nested too deep": b"\x83\xa2id\x01\xa4type\xachealth_check\xa1x" + b"\x91" * 5000 + b"\xc0",
    "maps nested too deep": b"\x83\xa2id\x01\xa4type\xachealth_check\xa4data" + b"\x81\xa1a" * 5000 + b"\xc0",
    "JSON cut short": b'{"id":1,"type":"health_check"',
    "JSON with a trailing byte": b'{"id":1,"type":"health_check"}x',
    "two JSON objects": b'{"id":1,"type":"health_check"}{"id":2,"type":"health_check"}',
    "JSON key twice": b'{"id":1,"id":2,"type":"health_check"}',
    "JSON with a comment": b'{"id":1,/* */"type":"health_check"}',
    "JSON with a trailing comma": b'{"id":1,"type":"health_check",}',
    "JSON that is not UTF-8": b'{"id":1,"type":"health_check","x":"\xff"}',
    "JSON with an overlong form": b'{"id":1,"type":"health_check","x":"\xc0\x80"}',
    "JSON with a raw control character": b'{"id":1,"type":"health_check","x":"\x01"}',
    "JSON with a lone surrogate": b'{"id":1,"type":"health_check","x":"\\ud800"}',
    "JSON with a bad escape": b'{"id":1,"type":"health_check","x":"\\q"}',
    "JSON with a bad number": b'{"id":1,"type":"health_check","x":01}',
    "JSON with NaN": b'{"id":1,"type":"health_check","x":NaN}',
    "JSON with a single quote": b"{'id':1,'type':'health_check'}",
    "JSON nested too deep": b'{"id":1,"type":"health_check","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "JSON objects nested too deep": b'{"id":1,"type":"health_check","data":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
}


@pytest.mark.parametrize("name", UNDECODABLE)
def test_body_that_cannot_be_decoded_keeps_the_connection(daemon, name):
    client = raw(daemon, "json" if name.startswith(("JSON", "two JSON")) else "msgpack")
    client.socket.sendall(framed(UNDECODABLE[name]))
    reply = client.receive()
    assert (reply.type, reply.data["code"]) == ("error", "bad_frame")
    assert reply.data["message"]
    assert client.call("health_check", id="still here").type == "health_response"


def test_many_bad_bodies_in_a_row(daemon):
    client = raw(daemon)
    generator = random.Random(20240229)
    good = msgpack.packb({"id": 1, "type": "health_check", "data": None})
    for round in range(300):
        body = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            body[generator.randrange(len(body))] = generator.randrange(256)
        client.socket.sendall(framed(bytes(body)))
        stream = client.read_body()
        assert stream[:1] in b"{\xde\xdf" or stream[0] & 0xf0 == 0x80, f"seed 20240229, round {round}: {stream[:60]!r}"
    assert client.call("health_check", id="still here").type == "health_response"


def test_bad_line_is_named(daemon):
    """Whether a JSON Lines connection survives a bad line, the page leaves open."""
    client = raw(daemon, "lines")
    client.socket.sendall(b'{"id":1,"type":}\n')
    assert client.receive().data["code"] == "bad_frame"
    client.half_close()
    assert read_all(client) == b""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("message, code", [
    ({"id": 1}, "bad_request"),
    ({"id": 1, "type": 5}, "bad_request"),
    ({"id": 1, "type": None}, "bad_request"),
    ({"id": 1, "type": "health_check", "data": []}, "bad_request"),
    ({"id": 1, "type": "health_check", "data": "x"}, "bad_request"),
    ({"id": 1, "type": "query", "data": 5}, "bad_request"),
    ({"id": 1, "type": "no_such_request"}, "unknown_type"),
    ({"id": 1, "type": ""}, "unknown_type"),
    ({"id": 1, "type": "HEALTH_CHECK"}, "unknown_type"),
    ({"id": 1, "type": "health_check\0"}, "unknown_type"),
    ({"id": 1, "type": "x" * 100_000}, "unknown_type"),
    ({"id": 1, "type": "health_response"}, "unknown_type"),
], ids=lambda value: str(value)[:60])
def test_envelope_errors_keep_the_connection(daemon, mode, message, code):
    client = raw(daemon, mode)
    body = encode(message, client.encoding)
    client.socket.sendall(body + b"\n" if mode == "lines" else framed(body))
    reply = client.receive()
    assert (reply.type, reply.id, reply.data["code"]) == ("error", 1, code)
    assert len(reply.raw) < 2000, "the error does not repeat what was sent"
    assert client.call("health_check", id="still here").type == "health_response"


# Encodings within one connection


def test_reply_uses_the_encoding_of_its_request(daemon):
    client = daemon.connect("msgpack")
    for id, encoding in enumerate(["msgpack", "json", "json", "msgpack", "json", "msgpack"], 1):
        client.expect(id)
        client.socket.sendall(framed(encode({"id": id, "type": "query", "data": {"sql": "SELECT x'00ff'"}}, encoding)))
        reply = client.receive()
        assert reply.encoding == encoding
        assert reply.data["rows"] == [[b"\x00\xff"]]


def test_first_frame_may_be_json(daemon):
    client = daemon.connect("json")
    assert client.call("health_check").encoding == "json"


@pytest.mark.parametrize("body", [
    b"\xde\x00\x02\xa2id\x01\xa4type\xachealth_check",
    b"\xdf\x00\x00\x00\x02\xa2id\x01\xa4type\xachealth_check",
    b"\x82\xd9\x02id\xcf\x00\x00\x00\x00\x00\x00\x00\x01\xda\x00\x04type\xdb\x00\x00\x00\x0chealth_check",
    b"\x82\xa4type\xd9\x0chealth_check\xa2id\xd3\x00\x00\x00\x00\x00\x00\x00\x01",
    b"\x84\xa4data\xc0\xa9timestamp\xc7\x0c\xff" + bytes(12) + b"\xa4type\xachealth_check\xa2id\xcc\x01",
], ids=lambda value: value[:12].hex())
def test_every_width_of_messagepack_is_understood(daemon, body):
    client = raw(daemon)
    client.socket.sendall(framed(body))
    reply = client.receive()
    assert (reply.type, reply.id) == ("health_response", 1)


# Ids

GOOD_IDS = [0, 1, -1, 127, 128, -32, -33, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -2**31, 2**32, 2**53 - 1, 2**53,
            2**53 + 1, -2**53 - 1, 2**63 - 1, 2**63, 2**64 - 1, -2**63, "", "a", "1", "id with \"quotes\" \\ \n\t\0",
            "é", "日本語", "😀" * 32, "x" * 31, "x" * 32, "x" * 127, "x" * 128, "é" * 64]


@pytest.mark.parametrize("mode", MODES)
def test_ids_come_back_exactly(daemon, mode):
    client = daemon.connect(mode)
    for id in GOOD_IDS:
        reply = client.call("health_check", id=id)
        assert reply.type == "health_response"
        assert (type(reply.id), reply.id) == (type(id), id)
        if mode != "msgpack" and isinstance(id, int):
            assert re.search(rb'"id"\s*:\s*%d\s*[,}]' % id, reply.raw), f"a plain number: {reply.raw[:80]!r}"


@pytest.mark.parametrize("mode", MODES)
def test_ids_come_back_in_errors_and_rows(daemon, mode):
    client = daemon.connect(mode)
    for id in (2**64 - 1, -2**63, "é" * 64, ""):
        assert client.collect(client.send_query("SELECT 1", id=id)).rows == [[1]]
        assert client.fails("query", {"sql": "SELEC"}, id=id)["code"] == "syntax_error"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("id", ["x" * 129, "é" * 65, "x" * 5000, 1.5, True, [1], {"a": 1}, None],
                         ids=lambda value: str(value)[:20])
def test_ids_that_are_refused(daemon, mode, id):
    """Longer than 128 bytes, or neither string nor integer. Guess: `bad_request`, with an id of null."""
    client = daemon.connect(mode)
    body = encode({"id": id, "type": "health_check"}, client.encoding)
    client.socket.sendall(body + b"\n" if mode == "lines" else framed(body))
    reply = decode(client.read_body())
    assert (reply.type, reply.data["code"]) == ("error", "bad_request")
    assert reply.id is None
    client.settle()


@pytest.mark.parametrize("mode", MODES)
def test_request_without_an_id(daemon, mode):
    client = daemon.connect(mode)
    body = encode({"type": "health_check"}, client.encoding)
    client.socket.sendall(body + b"\n" if mode == "lines" else framed(body))
    assert client.receive().data["code"] == "bad_request"  # guess
    client.settle()


@pytest.mark.parametrize("mode", MODES)
def test_one_id_twice_at_the_same_time(daemon, mode):
    """The page is silent: each request still gets one terminal frame, be it an answer or `bad_request`."""
    client = daemon.connect(mode)
    payload = b"".join(client.bytes_of("query", {"sql": counting(20_000, "max(x)")}, id="same")[1] for _ in range(3))
    client.socket.sendall(payload)
    for _ in range(3):
        reply = client.receive_for("same")
        assert reply.data.get("rows") == [[20_000]] or reply.data["code"] == "bad_request"
    client.settle()


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
