"""The vectors that the tests of every client read (clients/vectors) are what this daemon says and understands."""

import json
import re
import runpy
import struct
import subprocess
import sys

import msgpack
import pytest

from daemon import ROOT, wait_until
from wire import decode, framed

FOLDER = ROOT / "clients/vectors"
make = runpy.run_path(str(FOLDER / "make.py"))


def lines_of(name):
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


VALUES = [line for line in lines_of("values.jsonl") if line["stored_by"] == "sqlite"]
REQUESTS = lines_of("requests.jsonl")
REPLIES = [line for line in lines_of("replies.jsonl") if "request" in line]
STYLES = {"tagged": "json", "number": "number", "string": "string"}


def test_the_files_are_made_by_the_program():
    result = subprocess.run([sys.executable, FOLDER / "make.py", "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def native_value(line):
    native = line["native"]
    return {
        "null": lambda: None, "boolean": lambda: native["value"], "integer": lambda: int(native["value"]),
        "real": lambda: struct.unpack(">d", bytes.fromhex(native["bits"]))[0], "blob": lambda: bytes.fromhex(native["hex"]),
        "text": lambda: bytes.fromhex(native["utf8"]).decode(),
    }[native["kind"]]()  # fmt: skip


def query_around(parameter):
    """A `query` in MessagePack whose only parameter is given as bytes."""
    before = msgpack.packb({"id": 1, "type": "query", "data": {"sql": "SELECT ?1 AS v", "params": [0]}})
    return before[:-1] + parameter


def exchange(client, payload):
    """Sends bytes; returns the body of the reply."""
    client.tracks = False
    client.socket.sendall(payload)
    return client.receive().raw


def test_values_in_messagepack(daemon):
    """Every form that a client may send arrives; the daemon sends the one of the vector."""
    client = daemon.connect()
    for line in VALUES:
        wanted = bytes.fromhex(line["msgpack"])
        for form in [line["msgpack"], *line.get("msgpack_also", [])]:
            body = exchange(client, framed(query_around(bytes.fromhex(form))))
            start = body.index(b"\xa4rows") + 5
            assert body[start:].startswith(b"\xdd\0\0\0\1\x91" + wanted + b"\xa4more"), (line, body)


@pytest.mark.parametrize("style", STYLES)
def test_values_in_json(daemon, style):
    client = daemon.connect("lines")
    exchange(client, b'{"id":0,"type":"hello","data":{"int64":"%s"}}\n' % style.encode())
    for line in VALUES:
        wanted = line.get("json_int64", {}).get(style, line["json"])
        for form in [line["json"], *line.get("json_also", [])]:
            request = f'{{"id":1,"type":"query","data":{{"sql":"SELECT ?1 AS v","params":[{form}]}}}}\n'
            body = exchange(client, request.encode()).decode()
            assert f'"rows":[[{wanted}]],"more"' in body, (line, body)


@pytest.mark.parametrize("framing", ["frame", "json", "framed json"])
def test_requests(start_daemon, framing):
    """Each is understood, and gets the reply that the vector names."""
    daemon = start_daemon()
    for line in REQUESTS:
        client = daemon.connect("lines" if framing == "json" else "msgpack")
        payload = {
            "frame": bytes.fromhex(line["frame"]), "json": line["json"].encode() + b"\n",
            "framed json": framed(line["json"].encode()),
        }[framing]  # fmt: skip
        reply = decode(exchange(client, payload))
        assert reply.type == line["reply"], (line, reply)
        assert reply.id == msgpack.unpackb(bytes.fromhex(line["msgpack"]))["id"]
        client.close()


def test_what_a_request_says_is_the_same_in_both_encodings():
    for line in REQUESTS:
        body = bytes.fromhex(line["msgpack"])
        assert bytes.fromhex(line["frame"]) == framed(body)
        from_json = json.loads(line["json"])
        from_msgpack = msgpack.unpackb(body)
        assert list(from_json) == list(from_msgpack)
        assert make["json_text"](from_msgpack.get("data")) == json.dumps(
            from_json.get("data"), ensure_ascii=False, separators=(",", ":"))


def with_all_names(body):
    """A completion's reply, None while the daemon reads the names of the database."""
    return None if b"incomplete" in body else body


@pytest.mark.parametrize("line", REPLIES, ids=lambda line: line["name"])
def test_replies(daemon, line):
    """Byte by byte, once the moment and the time taken are those of the vector."""
    message = {"id": 1, "type": line["type"], "data": line["request"]}
    client, request = daemon.connect(), framed(msgpack.packb(message))
    body = wait_until(lambda: with_all_names(exchange(client, request)), "the names of the database are known")
    volatile = body.index(b"\xd7\xff")
    moment = bytes.fromhex(line["msgpack"][0])[volatile:volatile + 10]
    body = re.sub(b"etag\xb0.{16}", b"etag\xb048f261beda7d029f", body, flags=re.DOTALL)
    same = re.sub(b"elapsed_us.*", b"elapsed_us\x2a", body[volatile + 10:], flags=re.DOTALL)
    assert (body[:volatile] + moment + same).hex() == line["msgpack"][0]

    text = exchange(daemon.connect("lines"), json.dumps(message).encode() + b"\n").decode()
    start = text.index('"timestamp":"') + len('"timestamp":"')
    moment = line["json"][0][start:start + 27]
    text = re.sub('"etag":"[^"]*"', '"etag":"48f261beda7d029f"', text)
    same = re.sub(r'("elapsed_us":)\d+', r"\g<1>42", text[start + 27:])
    assert (text[:start] + moment + same).rstrip("\n") == line["json"][0]


def test_streams_are_their_bodies():
    for line in lines_of("streams.jsonl"):
        if line["framing"] == "frames":
            assert b"".join(framed(bytes.fromhex(body)) for body in line["bodies"]).hex() == line["bytes"]
        else:
            assert "".join(body + "\n" for body in line["bodies"]).encode().hex() == line["bytes"]
