"""Runs plans of the fuzzer of the protocol against a daemon, compares every reply with the model, and cuts a plan that
fails down to the steps that matter.

    python3 Tests/Protocol/hostile/fuzz_run.py --seconds 600            # a fresh seed, which is printed
    python3 Tests/Protocol/hostile/fuzz_run.py --seed 4711 --plans 1    # that one again
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

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "Support")]

import fuzz_plan
from daemon import Daemon, short_directory
from fuzz_link import ANSWER_SECONDS, Link, Request
from fuzz_model import Violation, require
from fuzz_results import ResultSteps
from fuzz_rows import RowSteps
from fuzz_wrong import FRAME_BYTES_MAX, WrongSteps
from wire import PATIENCE, encode

SESSIONS_MAX, PAGED_MAX = 4, 3

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


class Run(RowSteps, ResultSteps, WrongSteps):
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
        require(time.monotonic() - started < 5 * PATIENCE, "a new client is served at once", time.monotonic() - started)
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
             f"again: python3 {pathlib.Path(__file__).resolve().relative_to(HERE.parents[2])} --seed {seed} --plans 1 --steps {len(plan)}"]
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
