"""Servers for Redis that mean ill, or stop in the middle: what is told of the outcome, and what they can cost."""

import socket
import threading
import time

import pytest

from daemon import wait_until
from redis_server import FakeRedis, Redis, read_reply
from test_redis import fails, on


class StoppingRedis(FakeRedis):
    """Takes the first commands after the greeting, answers none, and hangs up when `proceed` is set."""

    buffering = 0  # what it has not taken stays in the socket
    greetings = {**FakeRedis.greetings, "MULTI": b"+OK\r\n"}

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


@pytest.mark.parametrize(("count", "is_taken"), [(4_000, True), (200_000, False)])
def test_a_greeting_of_many_fields(start_daemon, count, is_taken):
    """What it costs grows with its length, and no faster; of more than 64 KiB it is none."""
    fake = FakeRedis(b"+fine\r\n")
    fields = b"$1\r\nx\r\n:1\r\n" * (count // 2 - 1) + b"$2\r\nid\r\n:7\r\n"
    fake.greetings = {**fake.greetings, "HELLO": b"*%d\r\n%s" % (count, fields)}
    try:
        daemon = start_daemon(databases={"cache": fake.url()})
        client = daemon.connect()
        before = daemon.cpu_seconds()
        if is_taken:
            assert on(client, "PING").value == "fine"
        else:
            failed = fails(client, "PING")
            assert (failed["code"], failed["sqlstate"]) == ("connect_failed", "08P01"), failed
        assert daemon.cpu_seconds() - before < 5
    finally:
        fake.discard()


class DribblingRedis(FakeRedis):
    """Answers one command a few bytes at a time, for as long as the other side listens."""

    def __init__(self, command, begin=b"$50000\r\n", pause=0.02, piece=b"x"):
        self.command, self.begin, self.pause, self.piece = command, begin, pause, piece
        self.ended = []
        super().__init__(b"+fine\r\n")

    def talk(self, connection, stream):
        while words := read_reply(stream):
            if words[0] != self.command:
                connection.sendall(self.greetings.get(words[0]) or self.reply)
                continue
            begin = time.monotonic()
            try:
                connection.sendall(self.begin)
                while time.monotonic() - begin < 20:
                    connection.sendall(self.piece)
                    time.sleep(self.pause)
            finally:
                self.ended.append(time.monotonic() - begin)


@pytest.mark.parametrize("command", ["HELLO", "INFO", "COMMAND"])
def test_a_greeting_that_drips(start_daemon, tmp_path, command):
    """All of connecting has one limit: a server that sends a byte now and then keeps no thread beyond it."""
    fake = DribblingRedis(command)
    try:
        config = tmp_path / "litebase.toml"
        config.write_text(f'[limits]\nconnect_ms_max = 1000\n[databases.cache]\nurl = "{fake.url()}"\n')
        client = start_daemon("--config", config).connect()
        assert fails(client, "PING")["code"] == "connect_failed"
        wait_until(lambda: fake.ended, "the daemon hangs up", timeout=10)
        assert fake.ended[0] < 3
    finally:
        fake.discard()


@pytest.mark.parametrize("begin", [b"$900000000\r\n", b"+", b"*100000000\r\n" + b":1\r\n" * 400_000], ids=["announced", "line", "elements"])
def test_a_greeting_without_end(start_daemon, begin):
    """What it announces costs nothing, and what it sends is bounded, long before the time is over."""
    fake = DribblingRedis("COMMAND", begin, 0.01, b"x" * 512)
    try:
        daemon = start_daemon(databases={"cache": fake.url()})
        client = daemon.connect()
        before = daemon.memory_kib("VmRSS")
        failed = fails(client, "PING")
        assert (failed["code"], failed["sqlstate"]) == ("connect_failed", "08P01"), failed
        assert daemon.memory_kib("VmRSS") - before < 64 << 10
        wait_until(lambda: fake.ended, "the daemon hangs up", timeout=10)
        assert fake.ended[0] < 4
    finally:
        fake.discard()


def test_what_a_script_says_is_no_reason_to_send_it_again(start_daemon):
    """The words of a server that is not ready, of a script that has written, and of a batch of which a part is done."""
    server = Redis()
    try:
        client = start_daemon(databases={"cache": server.url()}).connect()
        script = {"sql": "EVAL", "params": ["redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1])", 1, "n", "LOADING x"]}
        for count, failed in enumerate((client.query_fails(**script, database="cache"),
                                        client.fails("batch", {"statements": [script], "database": "cache"}),
                                        client.fails("batch", {"statements": [script], "atomic": False, "database": "cache"})), 1):
            assert failed["code"] == "busy" and not failed.get("retryable"), (count, failed)
        assert server.ask("GET", "n") == "3"
        # One that cannot write may be repeated, and so may what is behind commands that only read.
        reading = {"sql": "EVAL_RO", "params": ["return redis.error_reply('LOADING x')", 0]}
        assert client.query_fails(**reading, database="cache")["retryable"] is True
        batch = {"atomic": False, "database": "cache"}
        assert client.fails("batch", {**batch, "statements": [{"sql": "GET n"}, reading]})["retryable"] is True
        failed = client.fails("batch", {**batch, "statements": [{"sql": "INCR n"}, reading]})
        assert failed["code"] == "busy" and failed["statement_index"] == 1 and not failed.get("retryable"), failed
    finally:
        server.discard()


def test_a_login_that_may_not_begin_transactions(start_daemon):
    """Nothing of an atomic batch is executed by itself, where MULTI is refused; nor later, when the right is taken away."""
    server = Redis()
    try:
        server.ask("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-multi")
        client = start_daemon(databases={"cache": server.url(user="plain", password="secret")}).connect()
        batch = {"statements": [{"sql": "INCR n"}] * 3, "database": "cache"}
        for _ in range(2):
            failed = client.fails("batch", batch)
            assert failed["code"] == "permission_denied" and "multi" in failed["message"], failed
            assert server.ask("GET", "n") is None
        server.ask("ACL", "SETUSER", "plain", "+multi")
        client.batch(batch["statements"], database="cache")
        assert server.ask("GET", "n") == "3"
        # The connection knows that it may, and so sends what follows at once.
        server.ask("ACL", "SETUSER", "plain", "-multi")
        failed = client.fails("batch", batch)
        assert failed["code"] == "outcome_unknown" and not failed.get("retryable"), failed
        before = server.ask("GET", "n")
        assert client.fails("batch", batch)["code"] == "permission_denied"
        assert server.ask("GET", "n") == before
    finally:
        server.discard()
