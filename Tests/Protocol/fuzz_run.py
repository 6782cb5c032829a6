"""Runs plans of the fuzzer of the protocol against a daemon, compares every reply with the model, and cuts a plan that
fails down to the steps that matter.

    python3 Tests/Protocol/fuzz_run.py --seconds 600            # a fresh seed, which is printed
    python3 Tests/Protocol/fuzz_run.py --seed 4711 --plans 1    # that one again
"""

import argparse
import collections
import os
import pathlib
import random
import select
import socket
import sqlite3
import struct
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import fuzz_plan
from daemon import ENDLESS, PATIENCE, Daemon, counting, short_directory, wait_until
from fuzz_model import TRANSIENT, Owner, Session, Violation, check_shape, require
from wire import SAFE_INTEGER_MAX, decode, encode, framed

SESSIONS_MAX, PAGED_MAX, FRAME_BYTES_MAX = 4, 3, 262_144
ANSWER_SECONDS = 15 * PATIENCE

CONFIGURATION = f"""
loops = 2
[log]
slow_statement_ms = 1
statement_bytes_max = 80
[limits]
frame_bytes_max = {FRAME_BYTES_MAX}
row_bytes_max = 1000000
requests_in_flight_max = 300
sessions_per_connection_max = {SESSIONS_MAX}
paged_queries_per_connection_max = {PAGED_MAX}
readers_per_database_max = 6
statement_cache_max = 8
busy_time_ms_max = 60
[databases.second]
url = "sqlite:DIRECTORY/second.db"
[databases.sealed]
url = "sqlite:DIRECTORY/sealed.db"
access = "read_only"
"""
# What `configure` writes: as above, with one more database, and with an error.
VARIANTS = [("", 4), ("[databases.coming]\nurl = \"sqlite::memory:\"\n", 5), ("[limits.nonsense]\nx = 1\n", None)]

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
            # What is stopped before its turn ends there and then; nothing of it was done.
            request.state["is_early"] = waiting[0] != request.id and reply.type == "error" and reply.data["code"] in ("timeout", "cancelled")
            require(waiting[0] == request.id or request.state["is_early"], "requests of a session end in their order", request.id, list(waiting)[:5])
            if reply.terminal:
                waiting.remove(request.id)
        page = request.state.get("page")
        if page and "rows" in request.state and reply.type == "query_response" and not request.state.get("is_returning"):
            allowed = page * (1 + self.fetches[request.id])
            require(len(request.state["rows"]) <= allowed, "no more pages than were asked for", len(request.state["rows"]), allowed)


class Run:
    """One plan against one daemon."""

    def __init__(self, daemon, seed, plan):
        self.daemon, self.seed, self.plan = daemon, seed, plan
        self.links, self.gone = {}, []
        self.numbers = 0
        self.owners, self.all_sessions = [], []
        self.log = collections.deque(maxlen=80)
        self.chance = random.Random(seed)

    def note(self, text):
        self.log.append(text)

    def next_owner(self):
        self.numbers += 1
        return self.numbers

    # The course of events

    def go(self):
        for step in self.plan:
            self.chance = random.Random(self.seed * 1_000_003 + step.index)
            self.note(f"{step.index}: {step.kind} {str(step.arguments)[:160]}")
            getattr(self, f"do_{step.kind}")(**step.arguments)
            self.pump(0)
        self.finish()

    def pump(self, seconds, until=None):
        """Moves bytes for that long, or until something holds."""
        deadline = time.monotonic() + seconds
        while True:
            live = {link.socket.fileno(): link for link in self.links.values() if not link.has_ended}
            poll = select.poll()
            for number, link in live.items():
                poll.register(number, (0 if link.is_deaf else select.POLLIN) | (select.POLLOUT if link.outbox else 0))
            left = deadline - time.monotonic()
            for number, events in poll.poll(max(0, min(left, 0.02)) * 1000):
                link = live[number]
                if link.outbox and events & select.POLLOUT:
                    link.flush(self.chance)
                if events & (select.POLLIN | select.POLLHUP) and not link.is_deaf:
                    link.fill()
                if link.is_deaf and events & select.POLLHUP:
                    link.is_deaf = False
            if until is not None and until():
                return True
            if left <= 0:
                return False

    def wait(self, what, until):
        if not self.pump(ANSWER_SECONDS, until):
            raise Violation(f"waited {ANSWER_SECONDS} s in vain: {what()}")

    def link(self, number):
        """The connection of that number, which is opened when there is none; None when it takes nothing more."""
        if number not in self.links:
            self.do_open(number, self.chance.choice(["msgpack", "lines", "json"]), None)
        link = self.links.get(number)
        return None if link is None or link.has_shut or link.is_cut_off or link.has_ended else link

    # Sending

    def request(self, link, type, data, check, session=None, stoppable=False, has_turn=False, is_write=False, **state):
        id = link.next_id()
        message = {"id": id, "type": type, **({} if data is None else {"data": data})}
        state.update(has_turn=has_turn, is_write=is_write, style=link.style)
        if session is not None and session.is_closing:
            check, session, state["has_turn"], stoppable = self.expect("session_not_found"), None, False, False
        if session is not None:
            if has_turn:
                session.queue.append(id)
            session.unanswered_writes += is_write
        link.requests[id] = Request(id, type, 0, time.monotonic(), session, check, stoppable, state)
        self.note(f"c{link.number} > {str(id)[-8:]} {type} {str(data)[:160]}")
        link.put(encode(message, link.encoding))
        link.flush(self.chance)
        return id

    def in_session(self, link, slot, send):
        """Sends something in a session, or for one that does not exist when there is none."""
        if slot not in link.sessions and self.chance.random() < 0.9:
            self.do_connect(link.number, slot, self.chance.choice(["default", "default", "default", "second"]))
        session = link.sessions.get(slot)
        if session is not None and session.name is None and not session.failed:
            self.listen_all_of(link)
            self.wait(lambda: f"db_connect on c{link.number}", lambda: session.name or session.failed or link.has_ended)
        if link.has_ended:
            return
        if session is None or session.failed:
            self.request(link, "query", {"sql": "SELECT 1", "session": "s0-none"}, self.expect("session_not_found"))
        else:
            send(session)

    def listen_all_of(self, link):
        """What must be answered now needs a client that reads; and pages that somebody asks for."""
        link.is_deaf = False
        for request in list(link.requests.values()):
            if request.stoppable and (request.state.get("page") or request.state.get("is_endless")):
                self.send_cancel(link, request.id)

    def expect(self, *codes):
        def check(request, reply):
            if reply.terminal:
                require(reply.type == "error" and reply.data["code"] in codes, f"one of {codes}", reply)
        return check

    def expect_success(self, *also):
        def check(request, reply):
            require(reply.type != "error" or reply.data["code"] in also, "this succeeds", reply)
        return check

    @staticmethod
    def expect_anything(request, reply):
        if reply.type == "error":
            require(reply.data["code"] not in ("internal", "outcome_unknown", "shutting_down", "frame_too_large", "bad_frame", "unknown_type"),
                    "an error that has something to do with the statement", reply)
            if request.session is not None:
                request.session.after_error(reply.data, request)
        elif reply.terminal and request.session is not None:
            request.session.check_state(reply.data.get("transaction"), reply)

    # Connections

    def do_open(self, connection, mode, int64):
        if connection in self.links and not self.links[connection].has_ended:
            return
        link = self.links[connection] = Link(self.daemon.socket_path, mode, connection, self)
        self.owners.append(link.owner)
        self.gone.append(link)
        # The first byte of the first request decides for the connection.
        self.request(link, "health_check", None, self.expect_success())
        if int64:
            self.say_hello(link, int64)

    def say_hello(self, link, int64):
        self.request(link, "hello", {"client": "fuzzer", "protocol": [1, 99], "int64": int64}, self.expect_success())
        link.style = int64

    def do_hello(self, connection):
        if link := self.link(connection):
            self.say_hello(link, self.chance.choice(["tagged", "number", "string"]))

    def do_health(self, connection):
        if link := self.link(connection):
            for _ in range(self.chance.choice([1, 1, 5, 60])):
                self.request(link, "health_check", {}, self.expect_success())

    def do_information(self, connection, type):
        if link := self.link(connection):
            self.request(link, type, None, self.expect_success())

    def do_deaf(self, connection):
        if link := self.link(connection):
            link.is_deaf = True

    def do_listen(self, connection):
        if link := self.link(connection):
            link.is_deaf = link.drips = False

    def do_drip(self, connection):
        if link := self.link(connection):
            link.drips = True

    def do_pause(self, milliseconds):
        self.pump(milliseconds / 1000)

    def do_settle(self, connection):
        if link := self.link(connection):
            self.settle(link)

    def settle(self, link):
        """Everything that was asked is answered, once."""
        link.is_deaf = link.drips = False
        self.listen_all_of(link)
        self.wait(lambda: f"c{link.number} owes {[(r.type, r.id, r.state) for r in link.requests.values()][:5]}, {link.broken} broken, "
                  f"{link.is_anonymous} of one id, {len(link.outbox)} bytes unsent",
                  lambda: not link.requests and not link.broken and not link.is_anonymous and not link.outbox or link.has_ended)
        require(not link.has_ended or link.has_shut or link.is_cut_off, "the connection lives", link.number)

    def leave(self, link):
        """The client's side is gone, whatever was in flight."""
        for session in link.ever:
            session.vanished()
        link.socket.close()
        self.links.pop(link.number)

    def do_vanish(self, connection):
        link = self.links.get(connection)
        if link is None:
            return
        if self.chance.random() < 0.3:
            link.is_cut_off = True
            try:
                link.socket.shutdown(self.chance.choice([socket.SHUT_RD, socket.SHUT_RDWR]))
                link.socket.send(b"\0\0\0\1\x80" * 5 if link.mode != "lines" else b"{}\n" * 5)
            except OSError:
                pass
        self.leave(link)

    def do_write_and_go(self, connection, **arguments):
        self.do_insert(connection, **arguments)
        self.do_vanish(connection)

    def do_half_close(self, connection):
        if link := self.link(connection):
            self.close_politely(link)

    def close_politely(self, link):
        """Finish my requests, send the replies, close."""
        link.is_deaf = link.drips = False
        self.wait(lambda: f"c{link.number} takes its requests; {len(link.outbox)} bytes left", lambda: not link.outbox or link.has_ended)
        link.has_shut = True
        link.socket.shutdown(socket.SHUT_WR)
        self.wait(lambda: f"the end of c{link.number}, which owes {[(r.type, r.id, r.state) for r in link.requests.values()][:5]}", lambda: link.has_ended)
        require(not link.requests and not link.broken and not link.is_anonymous, "everything is answered before the end",
                [(r.type, r.id) for r in link.requests.values()], link.broken)
        require(not link.inbox, "nothing is torn at the end", bytes(link.inbox[:80]))
        for session in link.ever:
            session.ended()
        link.socket.close()
        self.links.pop(link.number)

    def do_oversize(self, connection):
        link = self.link(connection)
        if link is None:
            return
        self.settle(link)
        link.is_cut_off = True
        link.broken += 1
        link.outbox += b"{" + b" " * (FRAME_BYTES_MAX + 200_000) if link.mode == "lines" else struct.pack(">I", FRAME_BYTES_MAX + 1) + b"x" * 50
        self.wait(lambda: f"the end of c{connection}", lambda: link.has_ended)
        require(not link.broken, "a frame that is too large is named before the end")
        self.leave(link)

    # Sessions

    def do_connect(self, connection, session, where):
        link = self.link(connection)
        if link is None or session in link.sessions:
            return
        data, database, read_only = {
            "default": (None, "default", False), "second": ({"database": "second"}, "second", False),
            "memory": ({"url": "sqlite::memory:"}, None, False), "sealed": ({"database": "sealed"}, None, True),
            "read_only": ({"database": "default", "read_only": True}, "default", True),
            "url": ({"url": f"sqlite:{self.daemon.directory}/second.db"}, "second", False)}[where]
        model = link.sessions[session] = Session(self.next_owner(), database, read_only, database is not None)
        model.queue = collections.deque()
        self.all_sessions.append(model)
        link.ever.append(model)

        def check(request, reply):
            if reply.type == "error":
                model.failed = True
                link.sessions.pop(session)
                require(reply.data["code"] in ("busy", "limit_exceeded"), "a database that is there opens", reply)
                return
            model.name = reply.data["session"]
            require(model.name not in self.daemon.session_names, "no session's name comes twice", model.name)
            self.daemon.session_names.add(model.name)
            require(reply.data["read_only"] is read_only, "read-only as was asked", reply)
        self.request(link, "db_connect", data, check)

    def do_disconnect(self, connection, session):
        link = self.link(connection)
        if link is None:
            return

        def send(model):
            def check(request, reply):
                require(reply.type != "error", "a session that is there ends", reply)
                model.ended()
            self.request(link, "db_disconnect", {"session": model.name}, check, model, has_turn=True)
            model.is_closing = True
            link.sessions.pop(session)
        self.in_session(link, session, send)

    def do_transaction(self, connection, session, verb, name):
        link = self.link(connection)
        if link is None:
            return
        with_name = verb in ("SAVEPOINT", "RELEASE", "ROLLBACK TO")

        def send(model):
            def check(request, reply):
                plain = "BEGIN" if verb.startswith("BEGIN") else verb
                key = name if with_name else None
                if reply.type == "error":
                    accepted = model.accepts(plain, key)
                    allowed = TRANSIENT | ({"read_only"} if model.read_only else set()) | (set() if accepted else {"database_error"})
                    require(reply.data["code"] in allowed, f"{verb} at this point", f"accepted {accepted}", reply)
                    model.after_error(reply.data, request)
                else:
                    require(model.do(plain, key), f"{verb} has no place here", reply)
                    model.check_state(reply.data["transaction"], reply)
            sql = f'{verb} "{name}"' if with_name else verb
            self.request(link, "query", {"sql": sql, "session": model.name}, check, model, stoppable=True, has_turn=True, is_write=True)
        self.in_session(link, session, send)

    # Rows

    def do_insert(self, connection, session, keys, form, timeout):
        link = self.link(connection)
        if link is None:
            return
        if session is None:
            return self.send_insert(link, None, link.owner, keys, form, timeout)
        self.in_session(link, session, lambda model: self.send_insert(link, model, model, keys, form, timeout))

    def send_insert(self, link, model, owner, keys, form, timeout):
        if form == "named":
            sql = "INSERT INTO f VALUES " + ", ".join(f"(:k{index}, :owner, 'SECRET')" for index in range(len(keys)))
            params = {"owner": owner.number, **{f"k{index}": key for index, key in enumerate(keys)}}
        elif form == "recursive":
            sql = "INSERT INTO f " + counting(len(keys), "x + ?, ?, 'SECRET'")
            params = [keys[0] - 1, owner.number]
        else:
            sql = "INSERT INTO f VALUES " + ", ".join(["(?, ?, 'SECRET')"] * len(keys)) + (" RETURNING k" if form == "returning" else "")
            params = [value for key in keys for value in (key, owner.number)]
        owner.sent |= set(keys)

        def check(request, reply):
            if reply.type == "error":
                self.check_write_error(request, owner, model, keys, reply)
            elif reply.terminal:
                if form == "returning":
                    require(request.state["rows"] == [[key] for key in keys], "RETURNING returns", request.state["rows"][:9])
                require(reply.data["rows_affected"] == len(keys), "the rows are counted", reply)
                if model is None:
                    owner.succeeded(keys)
                else:
                    require(not model.read_only and model.has_table, "a read-only session writes nothing", reply)
                    model.insert(keys)
                    model.check_state(reply.data["transaction"], reply)
        data = {"sql": sql, "params": params, **({"session": model.name} if model else {}), **({"timeout_ms": timeout} if timeout else {})}
        self.request(link, "query", data, check, model, stoppable=True, has_turn=model is not None, is_write=True)

    def check_write_error(self, request, owner, model, keys, reply, *also):
        allowed = TRANSIENT | set(also)
        if model is None:
            owner.failed(keys)
        elif model.read_only:
            allowed = TRANSIENT | {"read_only"} | (set() if model.has_table else {"syntax_error", "database_error"})
        elif not model.has_table:
            allowed = TRANSIENT | {"syntax_error", "database_error"}
        require(reply.data["code"] in allowed, "why a write may fail", reply)
        if model is not None:
            model.after_error(reply.data, request)

    def do_delete(self, connection, session, remainder):
        link = self.link(connection)

        def send(model):
            def check(request, reply):
                if reply.type == "error":
                    return self.check_write_error(request, None, model, [], reply)
                keys = {key for key in model.visible if key % 3 == remainder}
                require(reply.data["rows_affected"] == len(keys), "exactly the session's rows are deleted", len(keys), reply)
                model.delete(keys)
                model.check_state(reply.data["transaction"], reply)
            self.request(link, "query", {"sql": "DELETE FROM f WHERE owner = ? AND k % 3 = ?", "params": [model.number, remainder], "session": model.name},
                         check, model, stoppable=True, has_turn=True, is_write=True)
        if link:
            self.in_session(link, session, send)

    def do_duplicate(self, connection, session, conflict):
        """Inserts a row that is there already, if the session has any."""
        link = self.link(connection)

        def send(model):
            def check(request, reply):
                if reply.type != "error":
                    require(conflict == "OR IGNORE " or not model.visible, "a key is there once", reply)
                    require(reply.data["rows_affected"] == 0, "nothing was inserted", reply)
                    return model.check_state(reply.data["transaction"], reply)
                if reply.data["code"] == "constraint_violation":
                    require(model.visible and conflict != "OR IGNORE ", "a constraint is violated by something", reply)
                    if conflict == "OR ROLLBACK ":
                        model.rollback()
                    return model.check_state(reply.data["transaction"], reply)
                self.check_write_error(request, None, model, [], reply)
            sql = f"INSERT {conflict}INTO f SELECT k, owner, 'SECRET' FROM f WHERE owner = ? ORDER BY k LIMIT 1"
            self.request(link, "query", {"sql": sql, "params": [model.number], "session": model.name}, check, model,
                         stoppable=True, has_turn=True, is_write=True)
        if link:
            self.in_session(link, session, send)

    def do_batch(self, connection, session, keys, atomic, cut, flaw):
        link = self.link(connection)
        if link is None:
            return
        if session is None:
            return self.send_batch(link, None, link.owner, keys, atomic, cut, flaw)
        self.in_session(link, session, lambda model: self.send_batch(link, model, model, keys, atomic, cut, flaw))

    def send_batch(self, link, model, owner, keys, atomic, cut, flaw):
        insert = "INSERT INTO f VALUES (?, ?, 'SECRET')"
        first, second = keys[:cut], keys[cut:]
        statements = [{"sql": insert, "param_rows": [[key, owner.number] for key in first]}, {"sql": "SELECT 1"}]
        statements += [{"sql": insert, "params": [key, owner.number]} for key in second]
        place = None
        if flaw == "syntax":
            place = (len(statements), None, {"syntax_error"})
            statements.append({"sql": "SELEC"})
        elif flaw == "twice":
            place = (len(statements), 1, {"constraint_violation"})
            statements.append({"sql": insert, "param_rows": [[-keys[0], owner.number], [keys[0], owner.number]]})
        elif flaw == "transaction" and (atomic or model is None):
            place = (len(statements), None, {"bad_request", "needs_session"})
            statements.append({"sql": "ROLLBACK"})
        extra = [-keys[0]] if flaw == "twice" else []
        owner.sent |= {*keys, *extra}

        def check(request, reply):
            if reply.type != "error":
                require(place is None, "a batch with a flaw fails", reply)
                results = [result["rows_affected"] for result in reply.data["results"]]
                require(results == [len(first), 0] + [1] * len(second), "each statement has its result", results)
                done = keys
            else:
                done = [] if atomic else self.done_before(reply.data, first, second, extra)
                also = place[2] if place and (place[0], place[1]) == (reply.data.get("statement_index"), reply.data.get("row_index")) else ()
                if also and reply.data["code"] in also:
                    require(atomic or set(done) == {*keys, *extra}, "what comes before the flaw is done")
                if model is None:
                    self.check_batch_error(owner, [key for key in [*keys, *extra] if key not in done], reply, also)
                else:
                    self.check_session_batch(request, model, done, reply, also)
            if model is None:
                owner.succeeded(done)
            elif reply.type != "error":
                model.insert(done)
                model.check_state(reply.data["transaction"], reply)
        data = {"statements": statements, **({} if atomic else {"atomic": False}), **({"session": model.name} if model else {})}
        self.request(link, "batch", data, check, model, stoppable=True, has_turn=model is not None, is_write=True)

    @staticmethod
    def done_before(error, first, second, extra):
        """The keys of a batch that is not atomic which came before its error."""
        statement, row = error.get("statement_index"), error.get("row_index")
        if statement is None:
            return []
        if statement == 0:
            return first[:row or 0]
        return [*first, *second[:max(0, statement - 2)], *(extra if statement >= 2 + len(second) and row == 1 else [])]

    def check_batch_error(self, owner, undone, reply, also):
        owner.failed(undone)
        require(reply.data["code"] in TRANSIENT | set(also), "why a batch may fail", reply)

    def check_session_batch(self, request, model, done, reply, also):
        if done and not model.read_only and model.has_table:
            model.insert(done)
        self.check_write_error(request, None, model, [], reply, *also)

    def do_read(self, connection, session):
        link = self.link(connection)
        if link is None:
            return
        sql = "SELECT k FROM f WHERE owner = ?"
        if session is None:
            before = set(link.owner.acknowledged)

            def check(request, reply):
                if reply.type == "error":
                    require(reply.data["code"] in TRANSIENT, "a read succeeds", reply)
                elif reply.terminal:
                    link.owner.check_read(request.state["rows"], before)
            self.request(link, "query", {"sql": sql, "params": [link.owner.number]}, check, stoppable=True)
            return

        def send(model):
            def check(request, reply):
                if reply.type == "error":
                    require(reply.data["code"] in TRANSIENT | (set() if model.has_table else {"database_error", "syntax_error"}), "a read succeeds", reply)
                    model.after_error(reply.data, request)
                elif reply.terminal:
                    found = {row[0] for row in request.state["rows"]}
                    require(found == model.visible, "a session sees its rows", f"lost {sorted(model.visible - found)[:9]}",
                            f"undead {sorted(found - model.visible)[:9]}")
                    model.check_state(reply.data["transaction"], reply)
            self.request(link, "query", {"sql": sql, "params": [model.number], "session": model.name}, check, model, stoppable=True, has_turn=True)
        self.in_session(link, session, send)

    # Results

    def select(self, link, session, type, data, check, **state):
        """Sends a statement that changes nothing, in a session or without."""
        if session is None:
            self.request(link, type, data, check, stoppable=type == "query", **state)
            return
        self.in_session(link, session, lambda model: self.request(
            link, type, {**data, "session": model.name}, check, model, stoppable=type == "query", has_turn=True, **state))

    def do_stream(self, connection, session, limit, max_rows, pad):
        link = self.link(connection)
        if link is None:
            return

        def check(request, reply):
            if reply.type == "error":
                require(reply.data["code"] in TRANSIENT, "a stream ends well", reply)
            elif reply.terminal:
                count = min(limit or 1, max_rows or 1 << 60)
                require([row[0] for row in request.state["rows"]] == list(range(1, count + 1)), "every row once and in order")
                require(("truncated" in reply.data) == (max_rows is not None and max_rows < (limit or 1)), "cut results say so", reply.data.get("truncated"))
            self.expect_anything(request, reply)
        # LIMIT 0 of a recursive part still yields its first row when it is written as LIMIT 1.
        self.select(link, session, "query", {"sql": counting(limit or 1, f"x, zeroblob({pad})" if pad else "x"), **({"max_rows": max_rows} if max_rows else {})}, check)

    def do_paged(self, connection, session, limit, page, max_rows):
        link = self.link(connection)
        if link is None:
            return

        def check(request, reply):
            require(reply.type != "error" or reply.data["code"] in {*TRANSIENT, "limit_exceeded"}, "a paged query ends well", reply)
            if reply.type != "error" and reply.terminal:
                count = min(limit or 1, max_rows or 1 << 60)
                require([row[0] for row in request.state["rows"]] == list(range(1, count + 1)), "every row of every page")
            self.expect_anything(request, reply)
        self.select(link, session, "query", {"sql": counting(limit or 1), "page_rows": page, **({"max_rows": max_rows} if max_rows else {})}, check, page=page)

    def do_fetch(self, connection, which):
        link = self.link(connection)
        if link is None:
            return
        paged = [request.id for request in link.requests.values() if request.state.get("page")]
        target = paged[int(which * len(paged))] if paged else "never"
        id = link.next_id()
        link.fetch_targets[id] = target
        link.fetches[target] += 1
        self.note(f"c{link.number} > {str(id)[-8:]} fetch {target}")
        link.put(encode({"id": id, "type": "fetch", "data": {"request": target}}, link.encoding))
        link.flush(self.chance)

    def do_endless(self, connection, session, timeout):
        link = self.link(connection)
        if link is None:
            return

        def check(request, reply):
            require(reply.type == "error" and reply.data["code"] in ("timeout", "cancelled"), "what never ends is stopped", reply)
            self.expect_anything(request, reply)
        self.select(link, session, "query", {"sql": ENDLESS, "timeout_ms": timeout}, check, is_endless=True, timeout=timeout)

    def do_cancel(self, connection, which):
        link = self.link(connection)
        if link is None:
            return
        targets = [request.id for request in link.requests.values() if request.stoppable]
        self.send_cancel(link, targets[int(which * len(targets))] if targets and which is not None else "never")

    def send_cancel(self, link, target):
        victim = link.requests.get(target)
        outcome = {}
        if victim is not None:
            inner = victim.check

            def watch(request, reply):
                if reply.terminal:
                    outcome["code"] = reply.data.get("code", "success")
                inner(request, reply)
            link.requests[target] = victim._replace(check=watch)

        def check(request, reply):
            require(reply.type != "error", "cancel is answered", reply)
            if victim is None:
                require(reply.data["cancelled"] is False, "nothing was cancelled", reply)
            else:
                require("code" in outcome, "the reply to cancel comes behind that of the request", reply)
                require(not reply.data["cancelled"] or outcome["code"] == "cancelled", "cancelled is true exactly when it ended so", outcome, reply)
        self.request(link, "cancel", {"request": target}, check)

    def do_describe(self, connection, session, sql):
        if link := self.link(connection):
            self.select(link, session, "describe", {"sql": fuzz_plan.ODD_SQL[sql]}, self.expect_anything)

    def do_odd(self, connection, session, sql, params):
        if link := self.link(connection):
            self.select(link, session, "query", {"sql": fuzz_plan.ODD_SQL[sql], **({"params": params} if params else {}), "timeout_ms": 2000}, self.expect_anything)

    def do_echo(self, connection, session, values):
        link = self.link(connection)
        if link is None:
            return

        def back(value, style):
            if isinstance(value, bool):
                return int(value)
            if isinstance(value, int) and abs(value) > SAFE_INTEGER_MAX and style == "string" and link.mode != "msgpack":
                return str(value)
            return value

        def check(request, reply):
            if reply.type == "error":
                require(reply.data["code"] in {*TRANSIENT, "limit_exceeded"}, "values come back", reply)
            elif reply.terminal:
                wanted = [back(value, request.state["style"]) for value in values]
                require(repr(request.state["rows"]) == repr([wanted]), "values come back as they went", request.state["rows"], wanted)
            self.expect_anything(request, reply)
        self.select(link, session, "query", {"sql": "SELECT " + ", ".join("?" * len(values)), "params": values}, check)

    # What is wrong

    def do_bad(self, connection, which):
        if link := self.link(connection):
            type, data, codes = fuzz_plan.BAD_REQUESTS[which]
            if type == "fetch":
                id = link.next_id()
                link.requests[id] = Request(id, type, 0, 0, None, self.expect(*codes.split()), False, {})
                link.put(encode({"id": id, "type": type, **({} if data is None else {"data": data})}, link.encoding))
            else:
                self.request(link, type, data, self.expect(*codes.split(), "limit_exceeded", *(TRANSIENT if type == "batch" else ())))

    def do_broken(self, connection, which):
        if link := self.link(connection):
            bodies = fuzz_plan.BROKEN[link.mode]
            link.broken += 1
            self.note(f"c{link.number} > {bodies[int(which * len(bodies))][:80]!r}")
            link.put(bodies[int(which * len(bodies))])
            link.flush(self.chance)

    def do_same_ids(self, connection):
        if link := self.link(connection):
            for _ in range(self.chance.randrange(2, 9)):
                link.is_anonymous += 1
                type, data = self.chance.choice([("health_check", None), ("query", {"sql": "SELECT 1"}), ("cancel", {"request": "same"}), ("stats", {})])
                link.put(encode({"id": "same", "type": type, **({"data": data} if data else {})}, link.encoding))
            link.flush(self.chance)

    def do_stranger(self, which, noise):
        """Somebody who does not speak the protocol: an answer in a language of his, and the end."""
        first = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" + noise, b"HELP\r\n" + noise, bytes([5 + noise[0] % 4]) + noise,
                 b"\x00", b"", struct.pack(">I", FRAME_BYTES_MAX + 1), bytes([noise[0] % 5]) + noise][which]
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(ANSWER_SECONDS)
            stranger.connect(self.daemon.socket_path)
            try:
                stranger.sendall(first)
                stranger.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # answered and closed already
            answer = self.read_to_end(stranger)
        if which == 0:
            require(answer.startswith(b"HTTP/1.1 400 "), "HTTP is answered as such", answer[:80])
        elif which in (2, 3) and not first.startswith(b"\t"):
            require(b'"bad_frame"' in answer and answer.endswith(b"\n"), "who speaks something else is told so", first[:20], answer[:300])

    def do_mutants(self, mode, seed, count):
        """Requests in which one byte is another, too many or missing: each has one reply, and the stream goes on."""
        chance = random.Random(seed)
        encoding = "msgpack" if mode == "msgpack" else "json"
        originals = [encode({"id": number, "type": type, "data": data}, encoding) for number, (type, data) in enumerate([
            ("health_check", None), ("hello", {"client": "x", "protocol": [1]}), ("query", {"sql": "SELECT ?, ?", "params": [1, "x"], "timeout_ms": 500}),
            ("describe", {"sql": "SELECT 1 AS a"}), ("list_databases", None), ("cancel", {"request": 5}), ("db_connect", {"database": "default"}),
            ("batch", {"statements": [{"sql": "SELECT ?", "param_rows": [[1], [2]]}]})])]
        end = encode({"id": "end", "type": "health_check"}, encoding)
        bodies = [end]
        while len(bodies) <= count:
            body = bytearray(chance.choice(originals))
            place = chance.randrange(len(body))
            way = chance.randrange(3)
            body[place:place + (way != 1)] = b"" if way == 0 else bytes([chance.choice([chance.randrange(256), 0xdf, 0xc1, 0x22, 0x7b])])
            if mode != "lines" or b"\n" not in body and body.strip(b" \t\r"):
                bodies.append(bytes(body))
        bodies.append(end)
        payload = b"".join(body + b"\n" if mode == "lines" else framed(body) for body in bodies)
        with socket.socket(socket.AF_UNIX) as mutant:
            mutant.settimeout(ANSWER_SECONDS)
            mutant.connect(self.daemon.socket_path)
            cut = chance.randrange(len(payload))
            mutant.sendall(payload[:cut])
            mutant.sendall(payload[cut:])
            mutant.shutdown(socket.SHUT_WR)
            answer = self.read_to_end(mutant)
        replies = list(split(answer, mode))
        for reply in replies:
            check_shape(reply)
        ended = sum(reply.terminal for reply in replies)
        require(ended == len(bodies), "as many replies as requests", f"{ended} of {len(bodies)}", [body[:60] for body in bodies])

    @staticmethod
    def read_to_end(peer):
        answer = b""
        try:
            while piece := peer.recv(1 << 16):
                answer += piece
        except ConnectionResetError:
            pass  # there was more to read than the daemon wanted
        return answer

    # Configuration

    def do_configure(self, variant):
        self.daemon.variant = variant
        self.daemon.write_configuration(VARIANTS[variant][0])

    def do_reload(self, connection):
        if link := self.link(connection):
            def check(request, reply):
                if reply.type == "error":
                    require(reply.data["code"] == "configuration_invalid" and reply.data["detail"], "why a configuration is refused", reply)
                else:
                    require(reply.data["restart_needed"] == [] and reply.data["databases"] in (4, 5, 3), "what a reload says", reply)
            self.request(link, "reload", None, check)

    # The end

    def finish(self):
        """All connections end, in either way; then nothing is left of them, and every row is as the model has it."""
        for link in list(self.links.values()):
            if link.has_ended or link.is_cut_off:
                self.leave(link)
                continue
            self.settle(link)
            if self.chance.random() < 0.5:
                self.close_politely(link)
            else:
                self.leave(link)
        started = time.monotonic()
        control = self.daemon.connect(timeout=ANSWER_SECONDS)
        control.call("health_check")
        require(time.monotonic() - started < 2 * PATIENCE, "a new client is served at once", time.monotonic() - started)
        try:
            self.check_left_overs(control)
            self.check_rows(control)
        finally:
            control.close()
            self.daemon.clients.remove(control)

    def check_left_overs(self, control):
        def stats():
            data = control.call("stats").data
            counts = (data["connections"]["open"], data["sessions"]["open"], data["requests_in_flight"])
            return counts == (1, 0, 0) or counts
        deadline = time.monotonic() + ANSWER_SECONDS
        while (left := stats()) is not True:
            require(time.monotonic() < deadline, "connections, sessions and requests end with their clients", left)
            time.sleep(0.005)
        data = control.call("stats").data
        require(not data["errors"].get("internal"), "no internal errors", data["errors"])
        entries = control.call("activity").data["entries"]
        require(not entries, "nothing goes on", entries)

    def check_rows(self, control):
        for database in ("default", "second"):
            found = collections.defaultdict(set)
            for key, owner in control.query("SELECT k, owner FROM f", database=database).rows:
                found[owner].add(key)
            models = [model for model in (*self.owners, *self.all_sessions) if model.database == database]
            strangers = set(found) - {model.number for model in models}
            require(not strangers, "every row has an owner", strangers)
            for model in models:
                model.check_end(found[model.number])
            control.query("DELETE FROM f", database=database)

    def abandon(self):
        for link in self.gone:
            link.socket.close()


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


class FuzzedDaemon(Daemon):
    """A daemon with small limits, whose configuration the plans change."""

    def __init__(self):
        directory = short_directory()
        self.session_names, self.variant = set(), 0
        self.configuration = directory / "litebase.toml"
        self.directory = directory
        self.write_configuration("")
        with sqlite3.connect(directory / "sealed.db") as sealed:
            sealed.execute("CREATE TABLE fixed(x)")
        sealed.close()
        super().__init__("--config", self.configuration, directory=directory, log_level="info")
        self.owns_directory = True
        with self.connect() as control:
            for database in ("default", "second"):
                control.query("CREATE TABLE f(k INTEGER PRIMARY KEY, owner INTEGER, n TEXT)", database=database)
        self.clients.clear()

    def write_configuration(self, more):
        new = self.configuration.with_suffix(".new")
        new.write_text(CONFIGURATION.replace("DIRECTORY", str(self.directory)) + more)
        new.rename(self.configuration)


def failure_of(daemon, seed, plan):
    """Runs a plan; returns what went wrong and the last things that happened, or None."""
    run = Run(daemon, seed, plan)
    try:
        run.go()
        return None
    except Exception as error:
        text = str(error) if isinstance(error, Violation) else "".join(traceback.format_exception(error)[-4:])
        if daemon.process.poll() is not None:
            text += f"\nthe daemon ended with {daemon.process.returncode}:\n{daemon.log()[-3000:]}"
        return text, list(run.log)
    finally:
        run.abandon()


def fails_alone(seed, plan):
    """Whether a plan fails against a daemon of its own."""
    daemon = FuzzedDaemon()
    try:
        return failure_of(daemon, seed, plan)
    finally:
        daemon.discard()


def cut_down(seed, plan, seconds):
    """Takes steps out while the plan still fails; a plan that fails only sometimes stays longer than it had to be."""
    deadline, size, failure = time.monotonic() + seconds, max(1, len(plan) // 2), None
    while time.monotonic() < deadline:
        start, changed = 0, False
        while start < len(plan) and time.monotonic() < deadline:
            shorter = plan[:start] + plan[start + size:]
            found = fails_alone(seed, shorter)
            if found:
                plan, failure, changed = shorter, found, True
            else:
                start += size
        if size == 1 and not changed:
            break
        size = max(1, size // 2)
    return plan, failure


def report(seed, plan, failure, seconds=60):
    """What a person needs: the seed, the steps that matter, and the last messages."""
    text, log = failure
    shorter, again = cut_down(seed, plan, seconds)
    lines = [f"plan with seed {seed} of {len(plan)} steps fails: {text}",
             f"again: python3 {pathlib.Path(__file__).relative_to(pathlib.Path(__file__).parents[2])} --seed {seed} --plans 1 --steps {len(plan)}"]
    if again:
        lines += [f"{len(shorter)} steps suffice, with: {again[0]}", *(f"  {step}" for step in shorter[:60])]
        log = again[1]
    return "\n".join([*lines, "the last messages:", *(f"  {line}" for line in log[-40:])])


def fuzz(seed, seconds=None, plans=None, steps=120, progress=None):
    """Runs plans until the time is over; returns how many. Raises Violation with a report."""
    started, count = time.monotonic(), 0
    daemon = FuzzedDaemon()
    try:
        baseline = None
        while (plans is None or count < plans) and (seconds is None or time.monotonic() - started < seconds):
            plan = fuzz_plan.make_plan(seed + count, steps)
            failure = failure_of(daemon, seed + count, plan)
            if failure:
                raise Violation(report(seed + count, plan, failure))
            count += 1
            if count == 20:
                baseline = daemon.memory_kib(), len(os.listdir(f"/proc/{daemon.pid}/fd"))
            if progress and count % 50 == 0:
                progress(f"{count} plans, {time.monotonic() - started:.0f} s, {daemon.memory_kib()} KiB, {len(os.listdir(f'/proc/{daemon.pid}/fd'))} descriptors")
        check_growth(daemon, baseline)
        daemon.finish()
    finally:
        daemon.discard()
    return count


def check_growth(daemon, baseline):
    """What a plan needs is given back after it: memory and descriptors of the first plans are enough for all."""
    if baseline is None:
        return
    memory, descriptors = daemon.memory_kib(), len(os.listdir(f"/proc/{daemon.pid}/fd"))
    require(descriptors <= baseline[1] + 40, "descriptors are given back", baseline[1], descriptors)
    if not os.environ.get("LITEBASE_TEST_SANITIZER"):
        require(memory <= baseline[0] + (48 << 10), "memory is given back", baseline[0], memory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 40))
    parser.add_argument("--plans", type=int)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    if options.seconds is None and options.plans is None:
        options.seconds = 60
    print(f"seed {options.seed}", flush=True)
    try:
        count = fuzz(options.seed, options.seconds, options.plans, options.steps, lambda line: print(line, flush=True))
    except Violation as failure:
        sys.exit(str(failure))
    print(f"{count} plans, nothing found")


if __name__ == "__main__":
    main()
