"""Redis behind the protocol: cancelling, hostile servers, URLs and passwords, the command line."""

import subprocess
import threading
import time

import pytest

from daemon import LITEBASE, SANITIZER, free_port, run_to_end, wait_until
from redis_server import FakeRedis, Redis
from test_redis import SECRET, cache, client, fails, on, packed, server  # noqa: F401 - fixtures among them
from wire import RequestFailed


# Cancelling

def blocked_in(server, count):
    wait_until(lambda: server.blocked() == count, f"{count} wait")


# On a busy machine the server may not confirm a cancel within the 80 ms that the daemon waits for it: then nobody knows what the
# command did (`outcome_unknown`). So each of these is repeated until it is confirmed.

def cancelled(packed, server, line):
    id = packed.send_query(line, database="cache")
    blocked_in(server, 1)
    cancel = packed.send("cancel", {"request": id})
    with pytest.raises(RequestFailed) as failure:
        packed.collect(id)
    assert failure.value.code in ("cancelled", "outcome_unknown"), failure.value
    assert packed.answer(cancel).data["cancelled"] is (failure.value.code == "cancelled")
    return failure.value.code == "cancelled"


def timed_out(packed, line, **options):
    code = packed.query_fails(line, timeout_ms=60, **options)["code"]
    assert code in ("timeout", "outcome_unknown")
    return code == "timeout"


@pytest.mark.parametrize("line", ["BLPOP nothing 0", "BRPOP nothing 30", "BZPOPMIN nothing 0", "XREAD BLOCK 0 STREAMS nothing $",
                                  "BLMOVE nothing other LEFT LEFT 0", "WAIT 5 0"])
def test_blocking_commands_are_cancelled(cache, packed, server, line):
    wait_until(lambda: cancelled(packed, server, line), "the server confirms the cancel in time", timeout=60)
    wait_until(lambda: timed_out(packed, line, database="cache"), "the server confirms the end of the time in time", timeout=60)
    blocked_in(server, 0)
    with cache.connect() as leaving:
        leaving.send_query(line, database="cache")
        blocked_in(server, 1)
    blocked_in(server, 0)
    # Their connections are used again.
    for _ in range(20):
        on(packed, "PING")
    assert len(server.clients()) <= 4


def test_a_session_outlives_a_cancel(packed, server):
    session = packed.session(database="cache")
    connection = packed.query("CLIENT ID", session=session).value
    for _ in range(5):
        wait_until(lambda: timed_out(packed, "BLPOP nothing 0", session=session), "the server confirms it in time", timeout=60)
    assert packed.query("CLIENT ID", session=session).value == connection


def test_nothing_that_was_popped_is_lost(packed, server):
    """Data and cancel race: either the value is delivered, or it is still there; a late cancel hits nobody else."""
    delivered = cancelled = 0
    for round in range(200):
        id = packed.send_query("BLPOP queue 0", database="cache")
        blocked_in(server, 1)
        pusher = threading.Thread(target=server.ask, args=("RPUSH", "queue", f"value {round}"))
        pusher.start()
        # Longer where the machine is so busy that no value has come before its cancel.
        time.sleep((round % 20) / 10_000 * (1 if delivered else 1 + round / 10))
        cancel = packed.send("cancel", {"request": id})
        try:
            assert packed.collect(id).rows == [["queue", f"value {round}"]]
            delivered += 1
        except RequestFailed as failure:
            pusher.join()
            left = on(packed, "LPOP queue").value
            if failure.code == "cancelled":
                cancelled += 1
                assert left == f"value {round}"
            else:
                # A busy server has not confirmed it in time.
                assert failure.code == "outcome_unknown" and left in (None, f"value {round}"), failure
        packed.answer(cancel)
        pusher.join()
        assert on(packed, "BLPOP queue 0.001").rows == []
    assert delivered and server.ask("EXISTS", "queue") == 0


def test_a_large_reply_is_cancelled(packed, server, cache):
    server.ask("EVAL", "for i = 1, 200000 do redis.call('RPUSH', 'big', i) end", 0)
    id = packed.send_query("LRANGE big 0 -1", database="cache", page_rows=10)
    packed.receive_for(id)
    assert packed.call("cancel", {"request": id}).data["cancelled"] is True

    def is_told_that_it_was_executed():
        """What was taken away is not handed over as if nothing had happened."""
        server.ask("EVAL", "for i = 1, 200000 do redis.call('RPUSH', 'taken', i) end", 0)
        id = packed.send_query("LPOP taken 200000", database="cache", page_rows=10)
        packed.receive_for(id)
        assert packed.call("cancel", {"request": id}).type == "cancel_response"
        with pytest.raises(RequestFailed) as failure:
            while True:
                packed.collect(id)
        assert failure.value.code == "outcome_unknown"
        # The end of the reply has come in the time that is waited for it, or not: with a sanitizer it never does.
        return SANITIZER or "executed" in failure.value.data["message"]

    wait_until(is_told_that_it_was_executed, "the reply ends in time", timeout=60)
    for _ in range(20):
        assert on(packed, "ECHO 1").value == "1"


@pytest.mark.alone
def test_a_server_that_does_not_react(packed, server):
    on(packed, "SET a 1")
    for id in [packed.send_query("BLPOP nothing 0.1", database="cache") for _ in range(6)]:
        packed.collect(id)
    blocked = packed.send_query("BLPOP nothing 0", database="cache")
    blocked_in(server, 1)
    server.pause()
    try:
        for line, codes in (("GET a", ["timeout"]), ("SET a 2", ["outcome_unknown"]), ("EVAL 'return 1' 0", ["outcome_unknown"])):
            started = time.monotonic()
            assert fails(packed, line, timeout_ms=50)["code"] in codes
            assert time.monotonic() - started < 0.4
        started = time.monotonic()
        packed.call("cancel", {"request": blocked})
        assert time.monotonic() - started < 0.3
        with pytest.raises(RequestFailed) as failure:
            packed.collect(blocked)
        # It may have popped something before it was told to stop.
        assert failure.value.code == "outcome_unknown"
    finally:
        server.go_on()
    assert on(packed, "ECHO 1").value == "1"


# The pool, and a server that comes and goes

def test_one_connection_is_ended(packed, server):
    on(packed, "PING")
    for id in server.clients():
        server.ask("CLIENT", "KILL", "ID", id)
    assert on(packed, "ECHO 1").value == "1"
    session = packed.session(database="cache")
    server.ask("CLIENT", "KILL", "ID", packed.query("CLIENT ID", session=session).value)
    assert packed.query_fails("ECHO 1", session=session)["code"] == "connect_failed"


# Hostile servers

HOSTILE = [(b"*2147483648\r\n", "database_error"), (b"*99999999999999999999\r\n", "database_error"), (b"hello\r\n", "database_error"),
           (b"*1\r\n" * 20 + b"+x\r\n", "database_error"), (b"$99999999999\r\nabc", "limit_exceeded"), (b"$-7\r\n", "database_error"),
           (b":12x\r\n", "database_error"), (b"$536870912\r\nabc", "limit_exceeded")]


@pytest.mark.parametrize("reply,code", HOSTILE)
def test_replies_that_are_none(start_daemon, reply, code):
    fake = FakeRedis(reply)
    try:
        daemon = start_daemon(databases={"cache": fake.url()})
        client = daemon.connect()
        before = daemon.memory_kib("VmRSS")
        for _ in range(3):
            assert fails(client, "GET x")["code"] in (code, "outcome_unknown")
        assert daemon.memory_kib("VmRSS") - before < 16 << 10
        # An array that claims to be huge costs nothing; its reader gives up.
        fake.reply = b"*2147483647\r\n+a\r\n"
        assert fails(client, "PING", timeout_ms=100)["code"] == "timeout"
        fake.reply = b"+fine\r\n"
        assert on(client, "PING").value == "fine"
        fake.reply = b"+fine\r\n+more than was asked for\r\n"
        assert on(client, "PING").value == "fine"
        fake.reply = b"+other\r\n"
        assert on(client, "PING").value == "other"
        assert daemon.memory_kib("VmRSS") - before < 16 << 10
    finally:
        fake.discard()


# Who may do what, and what is never shown

URLS = ["redis://", "redis://h:0", "redis://h:x", "redis://h/x", "redis://h/1?db=2", "redis://h/-1", "redis://h?nix=1", "redis://h/%zz",
        "redis:h", "redis+unix://relative", "unix://", "redis://[::1", "redis://h /1"]


@pytest.mark.parametrize("url", URLS[1:])
def test_urls_that_are_not_understood(directory, url):
    status, output = run_to_end("--check-config", "--database", f"cache={url.replace('//', f'//u:{SECRET}@', 1)}", directory=directory)
    assert status != 0 and SECRET not in output


@pytest.mark.parametrize("url", ["redis://", "redis://h", "redis://:p@h/3", "redis://u:p%40@[::1]:7/0", "valkey://h", "unix:///s?db=1",
                                 "redis+unix:///s", "redis://h/?db=4"])
def test_urls_that_are_understood(directory, url):
    assert run_to_end("--check-config", "--database", f"cache={url}", directory=directory)[0] == 0


def test_encryption_is_refused_with_a_remedy(directory):
    status, output = run_to_end("--check-config", "--database", "cache=rediss://h", directory=directory)
    assert status != 0 and "TLS" in output and "stunnel" in output


def test_a_server_over_tcp(start_daemon):
    port = free_port()
    server = Redis(port=port, bind="127.0.0.1", requirepass=SECRET, databases=4)
    try:
        client = start_daemon(databases={"cache": f"redis://:{SECRET}@127.0.0.1:{port}/3",
                                         "none": f"redis://:{SECRET}@localhost:{port}/4",
                                         "out": f"redis://127.0.0.1:{port}"}).connect()
        assert " db=3 " in on(client, "CLIENT INFO").value and " name=litebase " in on(client, "CLIENT INFO").value
        assert client.query_fails("PING", database="none")["code"] == "connect_failed"
        error = client.query_fails("PING", database="out")
        assert (error["code"], error["sqlstate"]) == ("connect_failed", "28000")
    finally:
        server.discard()


# The command line

def command(cache, *arguments, text=None):
    return subprocess.run([LITEBASE, *arguments, "--socket", cache.socket_path], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=20, text=True, check=False)


def test_the_command_line(cache, server):
    assert command(cache, "query", "-d", "cache", "SET greeting 'hello world; it is'").returncode == 0
    assert "hello world; it is" in command(cache, "query", "-d", "cache", "GET greeting").stdout
    # What is typed is what is stored, numbers included.
    for value in ("v", "007", "1.50", "-5", "null", "x'00'", "a;b;"):
        assert command(cache, "query", "-d", "cache", "SET", "k", value).returncode == 0
        assert server.ask("GET", "k") == value
        assert command(cache, "query", "--url", server.url(), "SET", "j", value).returncode == 0
        assert server.ask("GET", "j") == value
    assert command(cache, "query", "-d", "cache", r'SET k "a\";b"').returncode == 0 and server.ask("GET", "k") == 'a";b'
    output = command(cache, "query", "-d", "cache", "GET 'x").stdout
    assert "not closed" in output and "^" in output


def test_lines_are_commands_in_the_shell_and_in_scripts(cache, server):
    lines = "SET a 1\nINCR a\n\n.timing off\nMULTI\nINCR a\nEXEC\nSET s \"x;\\\";y\"\nSET t [--\nGET t\n"
    for output in (command(cache, "shell", "-d", "cache", text=lines).stdout,
                   command(cache, "query", "-d", "cache", "-", text=lines.replace(".timing off\n", "")).stdout):
        assert "QUEUED" in output and "[--" in output, output
        assert (server.ask("GET", "a"), server.ask("GET", "s"), server.ask("GET", "t")) == ("3", 'x;";y', "[--")
    output = command(cache, "shell", text=".use cache\nPING\n.use default\nSELECT 6\n* 7;\n").stdout
    assert "PONG" in output and "42" in output


def test_a_refusal_is_told_from_a_server_that_is_not_there(server, start_daemon, directory):
    client = start_daemon("--database", f"ninety={server.url(db=90)}", "--database", f"away=redis+unix://{directory}/nothing",
                          directory=directory).connect()
    error = client.query_fails("PING", database="ninety")
    assert error["message"] == "The Redis server did not let the daemon in." and "index is out of range" in error["detail"]
    assert "number of the database" in error["hint"] and error["retryable"] is True
    error = client.query_fails("PING", database="away")
    assert error["message"] == "The Redis server cannot be reached." and error["hint"] == "Check that the server runs, and the URL."


def test_what_a_busy_server_did_not_tell_is_asked_again(start_daemon):
    """HELLO is answered while a script runs, COMMAND is not: what a reader may send by such a connection is not known, for as long as it lives."""
    server = Redis(lua_time_limit="100")
    try:
        server.ask("SET", "a", "1")
        daemon = start_daemon(databases={"cache": server.url()})
        script = "local t = redis.call('TIME') local e = t[1] + 2 repeat t = redis.call('TIME') until t[1] + 0 > e"
        thread = threading.Thread(target=server.ask, args=("EVAL", script, "1", "a"))
        thread.start()
        time.sleep(0.5)
        with daemon.connect() as client:
            session = client.session(database="cache", read_only=True)
            refusal = client.query_fails("GET a", session=session)
            assert refusal["code"] == "busy" and refusal["retryable"], refusal
            client.call("db_disconnect", {"session": session})
            thread.join()
            session = client.session(database="cache", read_only=True)
            assert client.query("GET a", session=session).value == "1"
    finally:
        server.discard()
