"""The vectors of the protocol, which the tests of every client read (clients/vectors)."""

import functools
import json
import math
import pathlib
import struct

import pytest

import litebase
from litebase import _changes, _link, _msgpack, _session

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "vectors"


def lines_of(name):
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


def native_value(native):
    kind = native["kind"]
    if kind == "integer":
        return int(native["value"])
    if kind == "real":
        return struct.unpack(">d", bytes.fromhex(native["bits"]))[0]
    if kind == "text":
        return bytes.fromhex(native["utf8"]).decode()
    return bytes.fromhex(native["hex"]) if kind == "blob" else native.get("value")


def own():
    return _msgpack.pack, _msgpack.unpack


@pytest.fixture(params=["package", "own"])
def codec(request, monkeypatch):
    if request.param == "package":
        pytest.importorskip("msgpack")
    else:
        monkeypatch.setattr(_msgpack, "choose", own)
    return _msgpack.choose()


def test_values(codec):
    pack, unpack = codec
    for line in lines_of("values.jsonl"):
        value = native_value(line["native"])
        assert pack(value).hex() == line["msgpack"]
        for form in [line["msgpack"], *line.get("msgpack_also", [])]:
            back = unpack(bytes.fromhex(form))
            assert (type(back), back) == (type(value), value)
            if isinstance(value, float):
                assert math.copysign(1, back) == math.copysign(1, value)


def test_requests(codec):
    for line in lines_of("requests.jsonl"):
        message = codec[1](bytes.fromhex(line["msgpack"]))
        assert message["type"] == line["type"]
        link = _link.Link()
        # This client always sends `data`.
        if "data" in message:
            assert link.frame(message["id"], message["type"], message["data"]).hex() == line["frame"]


def test_replies(codec):
    """What both encodings say is the same."""
    for line in lines_of("replies.jsonl"):
        for body, text in zip(line["msgpack"], line["json"]):
            message, same = codec[1](bytes.fromhex(body)), json.loads(text)
            assert list(message) == list(same)
            assert (message["id"], message["type"], list(message["data"])) == (same["id"], same["type"], list(same["data"]))


@pytest.mark.parametrize(
    "line", [line for line in lines_of("streams.jsonl") if line["framing"] == "frames"], ids=lambda line: line["name"]
)
def test_streams_wherever_they_are_cut(codec, line):
    stream, bodies = bytes.fromhex(line["bytes"]), [codec[1](bytes.fromhex(body)) for body in line["bodies"]]
    for size in [1, 2, 3, 5, 7, 64, len(stream), *range(len(stream) // 2, len(stream) // 2 + 4)]:
        notices = []
        link = _link.Link(on_notice=notices.append)
        got = []
        for start in range(0, len(stream), size):
            link.received.append(stream[start : start + size])
            while (message := link._next()) is not None:
                got.append(message)
        assert got == bodies, size


def change_of(told):
    message = told["message"]
    if message is not None:
        texts = {key: native_value(message[key]) if message[key] else None for key in ("channel", "payload", "pattern")}
        message = litebase.ChannelMessage(**texts, pid=message["pid"])
    return litebase.Change(**{**told, "relations": tuple(told["relations"]), "message": message})


@pytest.mark.parametrize("line", [line for line in lines_of("replies.jsonl") if "changes" in line], ids=lambda line: line["name"])
def test_changes_are_told(codec, line):
    """Each by itself, as it comes; the error ends them."""
    *bodies, error = [codec[1](bytes.fromhex(body)) for body in line["msgpack"]]
    changes = [change_of(told) for told in line["changes"]]
    assert [_changes.change(body["data"]) for body in bodies] == changes
    # On a connection: `hello` has the first id, so that the subscription has the second.
    session = _session.Session(_link.Link())
    hello = {"id": 1, "type": "hello_response", "data": {"version": "0.2.0", "limits": {"frame_bytes_max": 1 << 24}}}
    first, *later = [bytes.fromhex(body).replace(b"\xa2id\x01", b"\xa2id\x02", 1) for body in line["msgpack"]]

    def receive(*messages):
        session.link.received.append(b"".join(struct.pack(">I", len(body)) + body for body in messages))

    subscription = _changes.Subscription(session)
    steps = subscription.begin("vectors", {})
    next(steps)
    receive(codec[0](hello), first)
    with pytest.raises(StopIteration):
        while True:
            next(steps)
    assert (subscription.position, subscription.covers) == (changes[0].position, bodies[0]["data"]["covers"])
    # What is here is told together, but for messages, and the error behind it to who asks next.
    receive(*later)
    told = changes if changes[0].resync else changes[1:]
    if not any(change.message for change in told):
        told = [functools.reduce(litebase.Change.followed_by, told)]
    for change in told:
        with pytest.raises(StopIteration) as stopped:
            next(subscription.next())
        assert stopped.value.value == change
    assert subscription.position == changes[-1].position
    for _ in range(2):
        with pytest.raises(litebase.Error) as caught:
            next(subscription.next())
        assert caught.value.code == error["data"]["code"]


@pytest.mark.parametrize("line", lines_of("replies.jsonl"), ids=lambda line: line["name"])
def test_what_is_waited_for_is_found_among_what_comes(codec, line):
    """Rows of the request are its own, notices are told, an error is raised with what it says."""
    bodies = [codec[1](bytes.fromhex(body)) for body in line["msgpack"]]
    notices = []
    link = _link.Link(on_notice=notices.append)
    link.received.extend(struct.pack(">I", len(body) // 2) + bytes.fromhex(body) for body in line["msgpack"])
    for body in bodies:
        if body["id"] is None:
            continue
        steps = link.reply(body["id"])
        if body["type"] == "error":
            with pytest.raises(litebase.Error) as caught:
                next(steps)
            assert caught.value.code == body["data"]["code"]
        else:
            with pytest.raises(StopIteration) as stopped:
                next(steps)
            assert stopped.value.value == body["data"]
    assert notices == [body["data"] for body in bodies if body["id"] is None]
