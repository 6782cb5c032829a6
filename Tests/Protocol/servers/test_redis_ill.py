"""Servers for Redis that mean ill, or stop in the middle: what is told of the outcome, and what they can cost."""

import socket
import threading
import time

import pytest

from redis_server import FakeRedis, read_reply
from test_redis import fails, on


class StoppingRedis(FakeRedis):
    """Takes the first commands after the greeting, answers none, and hangs up when `proceed` is set."""

    buffering = 0  # what it has not taken stays in the socket

    def __init__(self, taken):
        self.taken, self.seen, self.proceed = taken, [], threading.Event()
        super().__init__(b"")

    def talk(self, connection, stream):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while words := read_reply(stream):
            if greeting := self.greetings.get(words[0]):
                connection.sendall(greeting)
                continue
            self.seen.append(words[0])
            if len(self.seen) == self.taken:
                self.proceed.wait(10)
                return


def test_a_batch_that_was_sent_in_part(start_daemon):
    """The first commands may have been executed: to send the batch once more would do that twice."""
    fake = StoppingRedis(taken=2)
    try:
        client = start_daemon(databases={"cache": fake.url()}).connect()
        statements = [{"sql": "INCR n"}] * 2 + [{"sql": "SET", "params": ["k", "x" * 1_000_000]}] * 4
        threading.Timer(0.3, fake.proceed.set).start()
        error = client.fails("batch", {"statements": statements, "atomic": False, "database": "cache"})
        assert fake.seen == ["INCR", "INCR"]
        assert (error["code"], error["sqlstate"], error.get("retryable")) == ("outcome_unknown", "08007", None)
    finally:
        fake.proceed.set()
        fake.discard()


def test_a_transaction_whose_end_was_not_sent(start_daemon):
    """Without EXEC nothing is executed."""
    fake = StoppingRedis(taken=2)
    try:
        client = start_daemon(databases={"cache": fake.url()}).connect()
        statements = [{"sql": "INCR n"}] * 2 + [{"sql": "SET", "params": ["k", "x" * 1_000_000]}] * 4
        threading.Timer(0.3, fake.proceed.set).start()
        error = client.fails("batch", {"statements": statements, "atomic": True, "database": "cache"})
        assert (error["code"], error["retryable"]) == ("connect_failed", True)
    finally:
        fake.proceed.set()
        fake.discard()


@pytest.mark.parametrize("start", [b"+", b"-ERR ", b"$1", b"*1\r\n+"], ids=["status", "error", "length", "element"])
def test_a_line_without_end(start_daemon, start):
    fake = FakeRedis(start + b"1" * (96 << 20))
    try:
        daemon = start_daemon(databases={"cache": fake.url()})
        client = daemon.connect()
        before = daemon.memory_kib("VmHWM")
        assert fails(client, "GET x")["code"] in ("limit_exceeded", "database_error")
        assert daemon.memory_kib("VmHWM") - before < 64 << 10
        fake.reply = b"+fine\r\n"
        assert on(client, "PING").value == "fine"
    finally:
        fake.discard()


class GoneRedis(FakeRedis):
    """Answers a blocking command late, hangs up, and does not let anybody in any more."""

    is_gone = False

    def talk(self, connection, stream):
        if self.is_gone:
            time.sleep(3)
            return
        while words := read_reply(stream):
            greeting = self.greetings.get(words[0])
            if not greeting:
                self.is_gone = True
                time.sleep(0.3)
            connection.sendall(greeting or b"*-1\r\n")
            if not greeting:
                return


def test_a_server_that_is_gone_while_it_is_told_of_a_cancel(start_daemon):
    """The loop waits for that without looking at a closed socket again and again."""
    fake = GoneRedis(b"")
    try:
        daemon = start_daemon(databases={"cache": fake.url()})
        client = daemon.connect()
        assert fails(client, "BLPOP a 0", timeout_ms=100)["code"] in ("timeout", "outcome_unknown")
        time.sleep(0.4)
        before = daemon.cpu_seconds()
        time.sleep(0.5)
        assert daemon.cpu_seconds() - before < 0.2
    finally:
        fake.discard()


def test_a_greeting_of_many_fields(start_daemon):
    """What it costs grows with its length, and no faster."""
    fake = FakeRedis(b"+fine\r\n")
    count = 200_000
    fields = b"$1\r\nx\r\n:1\r\n" * (count // 2 - 1) + b"$2\r\nid\r\n:7\r\n"
    fake.greetings = {**fake.greetings, "HELLO": b"*%d\r\n%s" % (count, fields)}
    try:
        daemon = start_daemon(databases={"cache": fake.url()})
        client = daemon.connect()
        before = daemon.cpu_seconds()
        assert on(client, "PING").value == "fine"
        assert daemon.cpu_seconds() - before < 5
    finally:
        fake.discard()
