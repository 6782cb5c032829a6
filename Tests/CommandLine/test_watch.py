"""`litebase watch`: what changes in a database, as a line, as JSON, or as the start of a command."""

import json
import signal
import sqlite3
import subprocess
import time

import pytest

from daemon import LITEBASE, Daemon, wait_until
from directories import directory  # noqa: F401
from postgresql import PostgreSQL
from redis_server import Redis
from subscription import Subscription


@pytest.fixture
def daemon(directory):
    instance = Daemon(databases={"default": f"sqlite://{directory}/d.db"}, directory=directory)
    yield instance
    instance.discard()


@pytest.fixture
def watch(daemon, tmp_path):
    """Starts the command; its output goes into a file."""
    started = []

    def start(*arguments):
        output = open(tmp_path / f"output{len(started)}", "w+b")
        process = subprocess.Popen(
            [LITEBASE, "watch", "--socket", daemon.socket_path, *arguments], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT)
        process.said = lambda: open(output.name).read()
        started.append(process)
        # It listens when the daemon knows of its request.
        with daemon.connect() as client:
            wait_until(lambda: sum(entry["type"] == "subscribe" for entry in client.call("activity").data["entries"])
                       >= sum(one.poll() is None for one in started), "a subscription")
        # All that have asked before are told from then on; it may be on another loop, and a moment later.
        Subscription(daemon.connect())
        time.sleep(0.1)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def client(daemon):
    with daemon.connect() as client:
        client.query("CREATE TABLE IF NOT EXISTS item(x)")
        client.query("CREATE TABLE IF NOT EXISTS other(x)")
        yield client


def test_a_line_for_each_commit(watch, client):
    process = watch("default")
    client.query("INSERT INTO item VALUES (1)")
    wait_until(lambda: "  item\n" in process.said(), "the change")
    client.query("ALTER TABLE other ADD COLUMN y")
    wait_until(lambda: "  schema, other\n" in process.said(), "the change of the schema")


def test_json_and_once(watch, client):
    process = watch("default", "ITEM", "--json", "--once")
    client.query("INSERT INTO other(x) VALUES (1)")
    client.query("INSERT INTO item VALUES (1)")
    assert process.wait(10) == 0
    change = json.loads(process.said())
    assert change["relations"] == ["item"] and change["schema"] is False and change["resync"] is None
    assert change["position"]


def test_another_program(watch, client, directory):
    process = watch("default")
    with sqlite3.connect(directory / "d.db", timeout=30) as outside:
        outside.execute("INSERT INTO item VALUES (2)")
    wait_until(lambda: "resync (other_program)\n" in process.said(), "the foreign change")


def test_a_command_is_run(watch, client, tmp_path):
    """One at a time; what changes while it runs is one change for the next run."""
    record = tmp_path / "record"
    watch("default", "--exec", f"echo $LITEBASE_RELATIONS >> {record}; sleep 0.5")
    client.query("INSERT INTO item VALUES (1)")
    wait_until(record.exists, "the first run")
    for _ in range(20):
        client.query("INSERT INTO item VALUES (1)")
        client.query("INSERT INTO other(x) VALUES (1)")
    wait_until(lambda: len(record.read_text().splitlines()) == 2, "the second run")
    time.sleep(1)
    lines = record.read_text().splitlines()
    assert lines[0] == "item" and sorted(lines[1].split()) == ["item", "other"] and len(lines) == 2


def test_a_command_that_fails_is_told(watch, client):
    process = watch("default", "--exec", "exit 3")
    client.query("INSERT INTO item VALUES (1)")
    wait_until(lambda: "ended with status 3" in process.said(), "the message")
    assert process.poll() is None


def test_ctrl_c_ends_it(watch):
    process = watch("default")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    assert process.said() == ""


def test_an_unknown_database_is_an_error(daemon):
    done = subprocess.run([LITEBASE, "watch", "--socket", daemon.socket_path, "nowhere"], capture_output=True, text=True)
    assert done.returncode == 1 and "nowhere" in done.stderr


def test_the_daemon_may_be_restarted(watch, client, daemon):
    process = watch("default")
    daemon.restart()
    wait_until(lambda: "connected again" in process.said(), "the second connection")
    wait_until(lambda: "resync (position_unknown)" in process.said(), "the gap")
    with daemon.connect() as again:
        again.query("INSERT INTO item VALUES (1)")
    wait_until(lambda: "  item\n" in process.said(), "the change")
    assert process.said().count("waited for") == 1, process.said()


@pytest.fixture
def watch_server(watch, daemon, request):
    """Serves a server's database under the name "server", and watches that."""
    def start(kind, *arguments, **heard):
        server = kind()
        request.addfinalizer(server.discard)
        daemon.command += ["--database", f"server={server.url()}"]
        daemon.restart()
        process = watch("server", *arguments)
        # What the server sends to a later subscription, it sends to that one.
        Subscription(daemon.connect(), database="server", **heard)
        return server, process

    return start


def test_messages_of_postgresql(watch_server):
    server, process = watch_server(PostgreSQL, "--channel", "news", "--channel", "More", channels=["news", "More"])
    server.psql("NOTIFY news, 'hello'")
    server.psql("NOTIFY \"More\", 'again'")
    wait_until(lambda: "  news: hello\n" in process.said() and "  More: again\n" in process.said(), "the messages")
    server.kill()
    server.start()
    wait_until(lambda: "resync (connection_lost)\n" in process.said(), "the gap", 20)


def test_messages_of_redis(watch_server):
    server, process = watch_server(Redis, "--pattern", "n*", "--json", patterns=["n*"])
    server.ask("PUBLISH", "news", b"a\xff")
    server.ask("PUBLISH", "news", "b")
    wait_until(lambda: process.said().count("\n") == 2, "the messages")
    first, second = map(json.loads, process.said().splitlines())
    assert first.pop("position") != second.pop("position")
    assert first == {"channel": "news", "pattern": "n*", "payload": {"$blob": "Yf8="}}
    assert second == {"channel": "news", "pattern": "n*", "payload": "b"}


def test_a_command_for_each_message(watch_server, tmp_path):
    record = tmp_path / "record"
    command = f'echo "$LITEBASE_CHANNEL $LITEBASE_PAYLOAD" >> {record}; sleep 0.1'
    server, _ = watch_server(Redis, "--channel", "news", "--exec", command, channels=["news"])
    for number in range(10):
        server.ask("PUBLISH", "news", number)
    wait_until(lambda: record.exists() and len(record.read_text().splitlines()) == 10, "ten runs")
    assert record.read_text().splitlines() == [f"news {number}" for number in range(10)]


@pytest.mark.parametrize("arguments", [["item", "--channel", "x"], ["--channel", "x", "--delay", "5"]])
def test_what_does_not_go_with_channels(daemon, arguments):
    done = subprocess.run([LITEBASE, "watch", "--socket", daemon.socket_path, "default", *arguments], capture_output=True, text=True)
    assert done.returncode == 64 and "Error: " in done.stderr
