"""One connection of the fuzzer of the protocol: bytes both ways, and each reply to its request."""

import collections
import socket
import struct

from fuzz_model import Owner, REFUSING_LIMITS, check_shape, require
from wire import PATIENCE, decode, framed

# Longer than anything that a plan asks for, on a busy machine.
ANSWER_SECONDS = 15 * PATIENCE

Request = collections.namedtuple("Request", "id type frame sent session check stoppable state")


class Link:
    """One connection that never blocks: bytes that wait to be sent, requests that wait for their end."""

    def __init__(self, path, mode, number, run):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.setblocking(False)
        self.mode, self.number, self.run = mode, number, run
        self.outbox, self.inbox = bytearray(), bytearray()
        self.requests = {}
        self.fetches = collections.Counter()  # fetches of each paged query that have not failed
        self.fetch_targets = {}
        self.broken = 0  # errors that are due for what was no request
        self.is_deaf = self.drips = self.has_shut = self.has_ended = self.is_cut_off = False
        self.style = "tagged"
        self.counter = 0
        self.sessions, self.ever = {}, []  # by their slots, and all that there were
        self.owner = Owner(run.next_owner(), "default")
        self.is_anonymous = 0  # requests that share an id

    @property
    def encoding(self):
        return "msgpack" if self.mode == "msgpack" else "json"

    def next_id(self):
        self.counter += 1
        form = self.counter % 7
        return {0: -self.counter, 1: f"é{self.counter}", 2: 2**63 + self.counter, 3: f"{self.counter}".rjust(128, "x"),
                4: -2**63 + self.counter}.get(form, self.counter)

    def put(self, body):
        self.outbox += body + b"\n" if self.mode == "lines" else framed(body)

    # Bytes

    def flush(self, chance):
        while self.outbox:
            count = chance.choice([1, 2, 3, 5, 20, 100, 1000]) if self.drips else len(self.outbox)
            try:
                sent = self.socket.send(self.outbox[:count])
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                require(self.is_cut_off, "the daemon closes no connection without a reason", f"connection {self.number}")
                self.outbox.clear()
                return
            del self.outbox[:sent]
            if self.drips:
                return

    def fill(self):
        try:
            piece = self.socket.recv(1 << 17)
        except BlockingIOError:
            return
        except ConnectionResetError:
            piece = b""
        if not piece:
            require(self.has_shut or self.is_cut_off, "the daemon closes no connection without a reason", f"connection {self.number}")
            self.has_ended = True
            return
        self.inbox += piece
        while (body := self.cut()) is not None:
            self.take(decode(body))

    def cut(self):
        if self.mode == "lines":
            end = self.inbox.find(b"\n")
            if end < 0:
                return None
            body = bytes(self.inbox[:end])
            del self.inbox[:end + 1]
            return body
        if len(self.inbox) < 4 or len(self.inbox) < 4 + struct.unpack_from(">I", self.inbox)[0]:
            return None
        end = 4 + struct.unpack_from(">I", self.inbox)[0]
        body = bytes(self.inbox[4:end])
        del self.inbox[:end]
        return body

    # Replies

    def take(self, reply):
        self.run.note(f"c{self.number} < {str(reply.id)[-8:]} {reply.type} {str(reply.data)[:160]}")
        check_shape(reply)
        if reply.id == "same":
            require(reply.terminal and self.is_anonymous > 0, "as many replies as requests share an id", reply)
            self.is_anonymous -= 1
        elif reply.id in self.fetch_targets and reply.type == "error":
            self.fetches[self.fetch_targets.pop(reply.id)] -= 1
            require(reply.data["code"] == "bad_request", "a fetch fails only where no page is due", reply)
        elif reply.id in self.requests:
            self.answer(self.requests[reply.id], reply)
        else:
            require(reply.type == "error" and reply.data["code"] in ("bad_frame", "bad_request", "unknown_type", "frame_too_large"),
                    "only an error answers what was no request", reply)
            require(self.broken > 0, "nothing was broken for which this is the answer", reply)
            self.broken -= 1

    def answer(self, request, reply):
        request.state["frames"] = request.state.get("frames", 0) + 1
        expected = {"health_check": "health_response"}.get(request.type, f"{request.type}_response")
        require(reply.type in (expected, "error"), "the reply is its request's", request.type, reply)
        require(reply.type == "query_response" or reply.terminal, "only a query has several replies", reply)
        if reply.type == "query_response":
            require(("columns" in reply.data) == (request.state["frames"] == 1), "the first frame has the columns, and no other", reply)
            request.state["width"] = len(reply.data.get("columns", ())) or request.state.get("width", 0)
            request.state.setdefault("rows", []).extend(reply.data["rows"])
            require(all(len(row) == request.state["width"] for row in reply.data["rows"]), "a row has a value for each column", reply)
        if reply.terminal:
            del self.requests[request.id]
            if reply.type == "query_response":
                require(reply.data["row_count"] == len(request.state["rows"]), "the rows are counted", reply.data["row_count"])
            if request.session is not None:
                request.session.unanswered_writes -= request.state.get("is_write", False)
        self.check_turn(request, reply)
        if request.state.get("is_early"):
            require(request.type in ("query", "batch") and "rows" not in request.state, "only what may be stopped ends early", reply)
        request.check(request, reply)

    def check_turn(self, request, reply):
        """The order within a session, and that nothing comes for a query that waits for its fetch."""
        if request.session is not None and request.state.get("has_turn"):
            waiting = request.session.queue
            # What is stopped before its turn, or refused when it comes, ends there and then; nothing of it was done.
            request.state["is_early"] = waiting[0] != request.id and reply.type == "error" and (
                reply.data["code"] in ("timeout", "cancelled") or reply.data.get("limit", {}).get("name") in REFUSING_LIMITS)
            require(waiting[0] == request.id or request.state["is_early"], "requests of a session end in their order", request.id, list(waiting)[:5])
            if reply.terminal:
                waiting.remove(request.id)
        page = request.state.get("page")
        if page and "rows" in request.state and reply.type == "query_response" and not request.state.get("is_returning"):
            allowed = page * (1 + self.fetches[request.id])
            require(len(request.state["rows"]) <= allowed, "no more pages than were asked for", len(request.state["rows"]), allowed)


def split(answer, mode):
    """The replies in all that a connection sent."""
    if mode == "lines":
        yield from map(decode, answer.splitlines())
        return
    while answer:
        end = 4 + struct.unpack_from(">I", answer)[0]
        require(end <= len(answer), "nothing is torn at the end", answer[:80])
        yield decode(answer[4:end])
        answer = answer[end:]
