"""A thin raw client for the LiteBase protocol, version 1, in its three framings.

It knows frames, the envelope and the value forms, and it watches two rules all by itself: a reply has
exactly the four envelope fields, and no frame arrives for a request that has already ended. Tests that
need malformed bytes write to `client.socket` themselves.
"""

import base64
import collections
import fcntl
import itertools
import json
import math
import os
import socket
import struct
import termios
import time

import msgpack

# A factor for everything that a test waits for: a daemon under a sanitizer is many times slower.
PATIENCE = float(os.environ.get("LITEBASE_TEST_PATIENCE") or 1)

FRAME_BYTE_COUNT_MAX = 16 * 1024 * 1024
SAFE_INTEGER_MAX = 2**53 - 1

# How a connection is spoken to: length-prefixed MessagePack, JSON Lines, length-prefixed JSON.
MODES = ("msgpack", "lines", "json")


class RequestFailed(Exception):
    """An `error` reply; `frames` are the frames of the same request that came before it."""

    def __init__(self, data, frames=()):
        super().__init__(f"{data.get('code')}: {data.get('message')} {data}")
        self.data = data
        self.code = data.get("code")
        self.frames = list(frames)


class ConnectionEnded(Exception):
    """The daemon closed the connection where a reply was expected."""


class Reply:
    """One decoded frame, with the bytes of its body and the encoding they had."""

    def __init__(self, message, raw, encoding):
        assert isinstance(message, dict), f"a reply is a map, got {message!r}"
        assert set(message) == {"id", "type", "timestamp", "data"}, f"envelope fields: {sorted(message)}"
        assert isinstance(message["data"], dict), f"reply data is a map: {message['data']!r}"
        self.id, self.type = message["id"], message["type"]
        self.timestamp, self.data = message["timestamp"], message["data"]
        self.raw, self.encoding = raw, encoding

    @property
    def terminal(self):
        return self.data.get("more", self.type in ("query_response", "catalog_response")) is False

    def __repr__(self):
        return f"Reply(id={self.id!r}, type={self.type!r}, data={str(self.data)[:400]})"


class Result:
    """All frames of one query that ended well."""

    def __init__(self, frames):
        self.frames = frames
        self.last = frames[-1].data
        self.columns = frames[0].data["columns"]
        self.rows = [row for frame in frames for row in frame.data["rows"]]
        self.transaction = self.last.get("transaction")

    @property
    def value(self):
        return self.rows[0][0]

    @property
    def names(self):
        return [column["name"] for column in self.columns]


def tagged(value):
    """The JSON form of a value, as the table "Values" of the protocol has it."""
    if isinstance(value, (bytes, bytearray)):
        return {"$blob": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$real": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SAFE_INTEGER_MAX:
        return {"$int": str(value)}
    if isinstance(value, dict):
        return {key: tagged(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tagged(item) for item in value]
    return value


def untagged(pairs):
    """Strict reading of one JSON object: no key twice, tagged values back to Python's."""
    result = dict(pairs)
    assert len(result) == len(pairs), f"a key appears twice: {[key for key, _ in pairs]}"
    if len(pairs) == 1 and pairs[0][0].startswith("$"):
        tag, value = pairs[0]
        assert isinstance(value, str), f"{tag} holds a string: {value!r}"
        if tag == "$int":
            return int(value)
        if tag == "$real":
            assert value in ("NaN", "Infinity", "-Infinity"), value
            return float(value)
        if tag == "$blob":
            return base64.b64decode(value, validate=True)
        raise AssertionError(f"unknown tag {tag}")
    return result


def not_json(constant):
    raise AssertionError(f"{constant} is not JSON")


def encode(message, encoding):
    """The body of one request."""
    if encoding == "msgpack":
        return msgpack.packb(message, use_bin_type=True)
    if isinstance(message.get("data"), dict):
        message = {**message, "data": tagged(message["data"])}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def decode(body):
    """The reply in a body, which is strict MessagePack or strict JSON by its first byte."""
    if body[:1] == b"{":
        message = json.loads(body.decode("utf-8"), object_pairs_hook=untagged, parse_constant=not_json)
        return Reply(message, body, "json")
    message = msgpack.unpackb(body, raw=False, strict_map_key=True, timestamp=0,
                              max_str_len=1 << 30, max_bin_len=1 << 30, max_array_len=1 << 30)
    return Reply(message, body, "msgpack")


def framed(body):
    return struct.pack(">I", len(body)) + body


class Client:
    """One connection. `address` is a socket path, a (host, port) pair, or a socket that is connected already."""

    def __init__(self, address, mode="msgpack", timeout=30.0):
        if isinstance(address, socket.socket):
            self.socket = address
        else:
            self.socket = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout * PATIENCE)
        if self.socket is not address:
            self.socket.connect(address)
        self.mode = mode
        self.buffer = bytearray()
        self.waiting = collections.Counter()  # ids of requests without a terminal frame
        self.fetches = set()  # ids of fetches, which are answered under the query's id unless they fail
        self.stash = collections.defaultdict(collections.deque)
        self.numbers = itertools.count(1)
        self.tracks = True  # False: the test writes requests by hand, so no reply is unexpected

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # Sending

    @property
    def encoding(self):
        return "msgpack" if self.mode == "msgpack" else "json"

    def bytes_of(self, type, data=None, id=None, **fields):
        """The bytes of a request in this connection's framing, and the request is counted as sent."""
        message = {"id": next(self.numbers) if id is None else id, "type": type, **fields}
        if data is not None:
            message["data"] = data
        self.expect(message["id"], type)
        body = encode(message, self.encoding)
        return message["id"], body + b"\n" if self.mode == "lines" else framed(body)

    def expect(self, id, type="query"):
        if type == "fetch":
            self.fetches.add(id)
        else:
            self.waiting[id] += 1

    def send(self, type, data=None, id=None, **fields):
        id, payload = self.bytes_of(type, data, id, **fields)
        self.socket.sendall(payload)
        return id

    def send_delivered(self, payload, timeout=5.0):
        """Sends, and returns once the daemon has read every byte (the send queue is empty)."""
        self.socket.sendall(payload)
        deadline = time.monotonic() + timeout * PATIENCE
        while struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0\0\0\0"))[0] > 0:
            assert time.monotonic() < deadline, "the daemon does not read"
            time.sleep(0.0002)

    # Receiving

    def fill(self):
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionEnded(f"closed by the daemon; left in the buffer: {bytes(self.buffer[:200])!r}")
        self.buffer += piece

    def take(self, count, skipped=0):
        """Takes `count` bytes off the buffer, and returns those behind the first `skipped`; copied once, since they may be many."""
        with memoryview(self.buffer) as view, view[skipped:count] as wanted:
            piece = bytes(wanted)
        del self.buffer[:count]
        return piece

    def read_line(self):
        start = 0
        while (end := self.buffer.find(b"\n", start)) < 0:
            start = len(self.buffer)
            self.fill()
        line = self.take(end)
        del self.buffer[:1]
        return line

    def read_body(self):
        """Takes one whole body off the buffer; leaves the buffer as it is when a read raises."""
        if self.mode == "lines":
            return self.read_line()
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from(">I", self.buffer)[0]:
            self.fill()
        return self.take(4 + struct.unpack_from(">I", self.buffer)[0], skipped=4)

    def receive(self):
        """The next frame of the connection, whichever request it belongs to."""
        reply = decode(self.read_body())
        if reply.id is None:
            assert reply.type == "error", f"only an error may lack an id: {reply}"
        elif reply.id in self.fetches and reply.type == "error":
            self.fetches.discard(reply.id)
        elif self.tracks or self.waiting[reply.id] > 0:
            assert self.waiting[reply.id] > 0, f"a frame for a request that has ended or never was: {reply}"
            if reply.terminal:
                self.waiting[reply.id] -= 1
        return reply

    def receive_for(self, id):
        while not self.stash[id]:
            reply = self.receive()
            self.stash[reply.id].append(reply)
        return self.stash[id].popleft()

    def receive_end(self, timeout=10.0):
        """Asserts that the daemon closes the connection without sending anything more."""
        self.socket.settimeout(timeout * PATIENCE)
        try:
            rest = bytes(self.buffer) + self.socket.recv(1 << 16)
        except ConnectionResetError:
            rest = b""  # bytes that the daemon did not want to read were still in its queue
        assert rest == b"", f"expected the end of the connection, got {rest[:300]!r}"

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    # Requests

    def collect(self, id):
        """Reads the frames of a query to its end; raises RequestFailed."""
        frames = []
        while True:
            reply = self.receive_for(id)
            if reply.type == "error":
                raise RequestFailed(reply.data, frames)
            assert reply.type == "query_response", reply
            frames.append(reply)
            if reply.terminal:
                return Result(frames)

    def answer(self, id):
        """The one reply of a request that is not a query; raises RequestFailed."""
        reply = self.receive_for(id)
        if reply.type == "error":
            raise RequestFailed(reply.data)
        return reply

    def call(self, type, data=None, id=None, **fields):
        return self.answer(self.send(type, data, id, **fields))

    def send_query(self, sql, params=None, id=None, **options):
        data = {"sql": sql, **options}
        if params is not None:
            data["params"] = params
        return self.send("query", data, id)

    def query(self, sql, params=None, **options):
        return self.collect(self.send_query(sql, params, **options))

    def batch(self, statements, **options):
        return self.call("batch", {"statements": statements, **options})

    def session(self, **options):
        options = options or {"database": "default"}
        return self.call("db_connect", options).data["session"]

    def fails(self, type, data=None, **fields):
        """Sends a request that has to fail; returns the error's data."""
        id = self.send(type, data, **fields)
        while True:
            reply = self.receive_for(id)
            if reply.terminal:
                break
        assert reply.type == "error", f"expected an error, got {reply}"
        return reply.data

    def query_fails(self, sql, params=None, **options):
        data = {"sql": sql, **options}
        if params is not None:
            data["params"] = params
        return self.fails("query", data)

    def settle(self):
        """A health check after everything else: asserts that nothing is owed and the connection lives."""
        assert self.call("health_check").type == "health_response"
        owed = {id: count for id, count in self.waiting.items() if count}
        assert not owed, f"requests without a terminal frame: {owed}"
