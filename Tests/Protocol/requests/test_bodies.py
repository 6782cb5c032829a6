"""Bodies of frames: those that cannot be decoded, both encodings within one connection, ids.

"Guess" in a comment marks what the protocol page does not say.
"""

import random
import re

import msgpack
import pytest

from daemon import counting
from test_framing import raw, read_all  # noqa: F401 - fixtures among them
from wire import MODES, decode, encode, framed


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
    """A line that begins as an object does, and is none, is the client's mistake: the next line is read."""
    client = raw(daemon, "lines")
    client.socket.sendall(b'{"id":1,"type":}\n{"id":2,"type":"health_check"}\n')
    assert client.receive().data["code"] == "bad_frame"
    assert client.receive().type == "health_response"
    client.half_close()
    assert read_all(client) == b""


@pytest.mark.parametrize("line", [b"Host: localhost", b"[1]", b"7", b'"x"', b"null", b"\x00\x00\x00\x17", b"}", b"GET / HTTP/1.1", b"\xef\xbb\xbf{}"])
@pytest.mark.parametrize("start", [b'{"id":1,"type":"health_check"}\n', b"\r\n", b" "])
def test_a_line_that_is_no_object_ends_the_connection(daemon, table, line, start):
    """Another protocol's text, with a request of this one within, from a program that was led here: nothing of it is done."""
    client = raw(daemon, "lines")
    request = b'{"id":2,"type":"query","data":{"sql":"CREATE TABLE %s(x)"}}\n' % table.encode()
    client.socket.sendall(start + line + b"\n" + request)
    if start.startswith(b"{"):
        assert client.receive().type == "health_response"
    reply = client.receive()
    assert (reply.type, reply.id, reply.data["code"]) == ("error", None, "bad_frame")
    assert read_all(client) == b""
    with daemon.connect() as other:
        assert other.query("SELECT count(*) FROM sqlite_schema WHERE name = ?", [table]).rows == [[0]]


def test_what_runs_when_such_a_line_comes_is_answered(daemon):
    client = raw(daemon, "lines")
    client.socket.sendall(b'{"id":1,"type":"query","data":{"sql":"%s"}}\nHost: x\n' % counting(100_000, "max(x)").encode())
    replies = {reply.id: reply for reply in (client.receive(), client.receive())}
    assert replies[None].data["code"] == "bad_frame" and replies[1].data["rows"] == [[100_000]]
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
@pytest.mark.parametrize("id", ["same", 7, -3, 2**64 - 1, ""])
def test_one_id_twice_at_the_same_time(daemon, mode, id):
    """Two replies could not be told apart: the second request is refused, and not begun; afterwards the id is free again."""
    client = daemon.connect(mode)
    client.query("CREATE TABLE IF NOT EXISTS twice(x)")
    client.query("DELETE FROM twice")
    session = client.session()
    requests = [("query", {"sql": counting(200_000, "max(x)")}), ("query", {"sql": "INSERT INTO twice VALUES (1)"}),
                ("batch", {"statements": [{"sql": "INSERT INTO twice VALUES (2)"}]}),
                ("query", {"sql": "INSERT INTO twice VALUES (3)", "session": session}),
                ("describe", {"sql": "SELECT 1"}), ("db_connect", {}), ("db_disconnect", {"session": session}),
                ("health_check", {}), ("hello", {}), ("stats", {}), ("activity", {}), ("list_databases", {})]
    client.socket.sendall(b"".join(client.bytes_of(type, data, id=id)[1] for type, data in requests))
    replies = [client.receive_for(id) for _ in requests]
    refused = [reply for reply in replies if reply.type == "error"]
    assert [reply.data["code"] for reply in refused] == ["bad_request"] * 11
    assert "same id" in refused[0].data["message"]
    assert replies[-1].data["rows"] == [[200_000]]
    assert client.query("SELECT count(*) FROM twice").rows == [[0]]
    assert client.collect(client.send_query("SELECT 1", id=id)).rows == [[1]]
    client.settle()


@pytest.mark.parametrize("mode", MODES)
def test_ids_that_come_in_any_order_are_told_apart(daemon, mode):
    client = daemon.connect(mode)
    ids = [5, 3, "5", 9, 4, "3", 2**63, 2**64 - 1, -1, 10, 8]
    client.socket.sendall(b"".join(client.bytes_of("query", {"sql": counting(20_000, "max(x)")}, id=id)[1] for id in ids))
    for id in ids:
        assert client.collect(id).rows == [[20_000]]
    client.settle()


def test_a_cancel_and_a_fetch_may_have_the_id_of_what_they_name(daemon):
    client = daemon.connect("msgpack")
    client.tracks = False
    client.send_query(counting(10), id=1, page_rows=4)
    assert len(client.receive().data["rows"]) == 4
    client.send("fetch", {"request": 1}, id=1)
    assert len(client.receive().data["rows"]) == 4
    client.send("cancel", {"request": 1}, id=1)
    assert sorted(client.receive().type for _ in range(2)) == ["cancel_response", "error"]
