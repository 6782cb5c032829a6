"""Health checks, hello, and the first byte of a connection."""

import datetime
import http.client
import os
import pwd
import re
import time

import msgpack
import pytest

from daemon import wait_until
from test_framing import HEALTH_LINE, raw, read_all  # noqa: F401 - fixtures among them
from wire import FRAME_BYTE_COUNT_MAX, MODES, decode, encode, framed


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
