"""One connection to the daemon as the load generator needs it: every way in which it can fail has its own name.

Runs inside the machine, with nothing but the standard library and python3-msgpack. Framing is one of "lines" (JSON
lines), "json" and "msgpack" (4-byte length, then the body).
"""

import errno
import json
import socket
import struct

import msgpack

FRAMINGS = ("lines", "json", "msgpack")

CONNECT_FAILURES = {errno.ECONNREFUSED: "refused", errno.ENOENT: "no_socket", errno.EACCES: "denied",
                    errno.EAGAIN: "queue_full"}


class Failure(Exception):
    """The connection is of no use any more; `kind` says why, in the words of the report."""

    def __init__(self, kind, detail=""):
        super().__init__(f"{kind} {detail}".strip())
        self.kind = kind


class Peer:
    """One connection; after a `Failure` it is only good for closing."""

    def __init__(self, path, framing="lines", timeout=60.0):
        self.framing, self.timeout = framing, timeout
        self.buffer = bytearray()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except TimeoutError:
            raise Failure("timeout", "connect") from None
        except OSError as error:
            raise Failure(CONNECT_FAILURES.get(error.errno, errno.errorcode.get(error.errno, "connect"))) from None

    def close(self):
        self.socket.close()

    def send(self, message):
        if self.framing == "lines":
            payload = json.dumps(message).encode() + b"\n"
        else:
            body = msgpack.packb(message) if self.framing == "msgpack" else json.dumps(message).encode()
            payload = struct.pack(">I", len(body)) + body
        self.guarded(lambda: self.socket.sendall(payload))

    def receive(self):
        """The next reply as a dictionary."""
        while (body := self.take_body()) is None:
            piece = self.guarded(lambda: self.socket.recv(1 << 16))
            if not piece:
                raise Failure("cut_reply" if self.buffer else "eof")
            self.buffer += piece
        return self.decode(body)

    def guarded(self, call):
        """The call's value; the errors of a connection that has ended as `Failure`."""
        try:
            return call()
        except TimeoutError:
            raise Failure("timeout") from None
        except ConnectionResetError:
            raise Failure("reset") from None
        except BrokenPipeError:
            raise Failure("eof") from None

    def take_body(self):
        """Takes one whole body off the buffer, or returns None."""
        if self.framing == "lines":
            end = self.buffer.find(b"\n")
            start, after = 0, end + 1
        else:
            count = struct.unpack_from(">I", self.buffer)[0] if len(self.buffer) >= 4 else 1 << 32
            if count > 1 << 26 and len(self.buffer) >= 4:
                raise Failure("out_of_step", f"a length of {count}")
            start, after = 4, 4 + count
            end = after if after <= len(self.buffer) else -1
        if end < 0:
            return None
        body = bytes(self.buffer[start:end])
        del self.buffer[:after]
        return body

    def decode(self, body):
        try:
            if self.framing == "msgpack" and body[:1] != b"{":
                reply = msgpack.unpackb(body, timestamp=0)
            else:
                reply = json.loads(body)
            return {"id": reply["id"], "type": reply["type"], "data": reply["data"]}
        except (ValueError, KeyError, TypeError, msgpack.exceptions.UnpackException) as error:
            raise Failure("out_of_step", f"{error}: {body[:80]!r}") from None

    def quiet_failure(self, seconds):
        """Waits that long between two requests; the kind of failure when something comes meanwhile, else None."""
        if self.buffer:
            return "unasked_reply"
        self.socket.settimeout(seconds)
        try:
            return "unasked_reply" if self.socket.recv(1, socket.MSG_PEEK) else "eof_between_requests"
        except TimeoutError:
            return None
        except ConnectionResetError:
            return "reset_between_requests"
        finally:
            self.socket.settimeout(self.timeout)
