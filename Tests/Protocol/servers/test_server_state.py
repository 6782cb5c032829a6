"""The state of a database's server, as requests have met it: asked by a ping, listed, counted, logged; and who sees it."""

import json
import os
import signal
import subprocess
import time

import pytest

from daemon import LITEBASE, PATIENCE, environment_for, free_port, wait_until
from fake_server import FakeServer
from identity import as_user, connect_as, needs_root
from journal import Journal, needs_namespace
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis
from wire import RequestFailed

SERVERS = {"postgresql": PostgreSQL, "mysql": MariaDB, "redis": Redis}
ALICE, EVE = 4101, 4102
SECRET = "Hx3kept"


@pytest.fixture
def serve(request):
    def start(name, **settings):
        server = SERVERS[name](**settings)
        request.addfinalizer(server.discard)
        return server
    return start


@pytest.fixture
def run(directory):
    """The command line."""
    def call(daemon, *arguments, user=None):
        become = {"preexec_fn": lambda: as_user(user)} if user else {}
        return subprocess.run([LITEBASE, *arguments, "--socket", daemon.socket_path], capture_output=True, text=True, timeout=60,
                              cwd="/", env=environment_for(directory), **become)
    return call


def entry(client, name):
    [found] = [one for one in client.call("list_databases").data["databases"] if one["name"] == name]
    return found


def ping(client, name, **data):
    return client.call("health_check", {"database": name, **data}).data["database"]


def failure(client, name):
    """The code of a ping that fails; None of one that succeeds."""
    try:
        ping(client, name)
    except RequestFailed as failed:
        return failed.code
    return None


class Silent(FakeServer):
    def talk(self, connection, stream):
        stream.read()


@pytest.mark.parametrize("engine", SERVERS)
def test_a_server_is_there_lost_and_back(serve, start_daemon, mode, engine):
    server = serve(engine)
    daemon = start_daemon(databases={"it": server.url()})
    client = daemon.connect(mode)
    state = entry(client, "it")["server"]
    assert state["reachable"] is None and not {"since_ms", "last_error"} & set(state)
    assert state["pool"] == {"value": 10, "open": 0, "used": 0, "waiting": 0}

    health = ping(client, "it")
    assert (health["name"], health["engine"]) == ("it", engine) and health["server_version"] and health["elapsed_us"] > 0
    state = entry(client, "it")["server"]
    assert state["reachable"] is True and state["pool"]["open"] == 1 and "last_error" not in state

    server.kill()
    wait_until(lambda: failure(client, "it") == "connect_failed"
               and entry(client, "it")["server"]["reachable"] is False, "it is lost")
    time.sleep(0.2)
    state = entry(client, "it")["server"]
    assert state["since_ms"] >= 200 and state["last_error"] and state["last_error_ms"] <= state["since_ms"] + 1000
    assert client.call("health_check").data["status"] == "healthy"
    assert client.query("SELECT 1").value == 1

    server.start()
    wait_until(lambda: failure(client, "it") is None, "it is back")
    state = entry(client, "it")["server"]
    assert state["reachable"] is True and state["last_error"] and state["since_ms"] < 10_000


def test_a_file_has_no_server_and_can_be_asked(start_daemon, directory, mode):
    daemon = start_daemon(databases={"nowhere": f"sqlite:{directory}/missing/x.db"})
    client = daemon.connect(mode)
    assert "server" not in entry(client, "default")
    before = client.call("stats").data["rows_sent"]
    client.query("CREATE TABLE t(x)")
    assert ping(client, "default")["engine"] == "sqlite"
    assert client.fails("health_check", {"database": "nowhere"})["code"] == "connect_failed"
    assert client.fails("health_check", {"database": "none"})["code"] == "database_not_found"
    assert client.fails("health_check", {"database": 7})["code"] == "bad_request"
    assert client.fails("health_check", {"database": "default", "timeout_ms": 0})["code"] == "bad_request"
    assert "database" not in client.call("health_check", {"timeout_ms": 5}).data
    assert client.call("stats").data["rows_sent"] == before


def test_a_server_that_stands_still(serve, start_daemon, mode):
    server = serve("redis")
    daemon = start_daemon(databases={"it": server.url()})
    client = daemon.connect(mode)
    ping(client, "it")
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        assert client.fails("health_check", {"database": "it", "timeout_ms": 300})["code"] == "timeout"
        assert 0.25 < time.monotonic() - started < 3 * PATIENCE
        id = client.send("health_check", {"database": "it"})
        assert client.call("cancel", {"request": id}).data["cancelled"] is True
        with pytest.raises(RequestFailed) as failed:
            client.answer(id)
        assert failed.value.code == "cancelled"
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def test_a_server_that_never_answers_is_not_reachable(start_daemon, directory):
    silent = Silent(("127.0.0.1", port := free_port()))
    try:
        (directory / "litebase.toml").write_text(
            f'[databases.it]\nurl = "redis://127.0.0.1:{port}/0"\n[limits]\nconnect_ms_max = 300\n')
        client = start_daemon("--config", directory / "litebase.toml", directory=directory).connect()
        assert failure(client, "it") == "connect_failed"
        state = entry(client, "it")["server"]
        assert state["reachable"] is False and state["last_error"]
    finally:
        silent.close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be several users")
def test_who_sees_it(start_daemon, directory, run):
    """Who may use the database. Others are told what they are told of one that there is not."""
    port = free_port()
    os.chmod(directory, 0o755)
    (directory / "litebase.toml").write_text(
        f'[databases.default]\nurl = "sqlite:{directory}/default.db"\n'
        f'[databases.it]\nurl = "redis://:{SECRET}@127.0.0.1:{port}/0"\nusers = ["{ALICE}"]\n')
    daemon = start_daemon("--config", directory / "litebase.toml", "--socket-mode", "0666", directory=directory)
    alice, eve = connect_as(daemon.socket_path, ALICE), connect_as(daemon.socket_path, EVE)
    failed = alice.fails("health_check", {"database": "it"})
    assert failed["code"] == "connect_failed"
    state = entry(alice, "it")["server"]
    assert state["reachable"] is False and "refused" in state["last_error"]
    assert [one["name"] for one in eve.call("list_databases").data["databases"]] == ["default"]
    hidden, absent = (eve.fails("health_check", {"database": name}) for name in ("it", "no"))
    assert {**hidden, "message": ""} == {**absent, "message": ""} and hidden["code"] == "database_not_found"
    assert hidden["message"] == absent["message"].replace('"no"', '"it"')
    shown = "".join(done.stdout + done.stderr for done in (
        run(daemon, "databases"), run(daemon, "status"), run(daemon, "status", "--json"), run(daemon, "ping", "-d", "it")))
    assert SECRET not in shown + json.dumps(state) + json.dumps(failed) + daemon.log()


@needs_namespace
def test_the_journal_has_one_message_for_each_change(serve, start_daemon, directory):
    journal, server = Journal(directory), serve("redis")
    daemon = start_daemon(databases={"it": server.url()}, prefix=journal.prefix)
    client = daemon.connect()
    ping(client, "it")
    server.kill()
    for _ in range(30):
        client.fails("health_check", {"database": "it"})
    server.start()
    wait_until(lambda: failure(client, "it") is None, "it is back")
    [back] = journal.wait("databaseBack")
    [lost] = journal.entries("databaseLost")
    assert lost["PRIORITY"] == "3" and lost["LITEBASE_DATABASE"] == back["LITEBASE_DATABASE"] == "it"
    assert lost["MESSAGE"].startswith("Database it cannot be reached: ") and int(back["LITEBASE_LOST_MS"]) > 0
    assert not journal.entries("databaseFailed") and len(journal.entries("databaseOpened")) == 1


@needs_namespace
@needs_root
def test_two_logins_of_a_server_are_lost_and_back_once(serve, start_daemon, directory):
    """The pool of those who may only read (`read_only_url`) is on the same server; a login of its own may fail by itself."""
    journal, server = Journal(directory), serve("redis")
    os.chmod(directory, 0o755)
    (directory / "litebase.toml").write_text(
        f'[databases.it]\nurl = "{server.url()}"\nread_only_url = "{server.url()}"\n'
        f'users = ["{ALICE}"]\nread_only_users = ["{EVE}"]\n')
    daemon = start_daemon("--config", directory / "litebase.toml", "--socket-mode", "0666", directory=directory,
                          prefix=journal.prefix)
    alice, eve = connect_as(daemon.socket_path, ALICE), connect_as(daemon.socket_path, EVE)

    def both(code):
        wait_until(lambda: failure(alice, "it") == failure(eve, "it") == code, f"both get {code}")

    def told():
        return [len(journal.entries(name)) for name in ("databaseOpened", "databaseLost", "databaseBack")]

    both(None)
    for round in range(1, 3):
        server.kill()
        both("connect_failed")
        server.start()
        both(None)
        # The log has a thread of its own.
        wait_until(lambda: told() == [1, round, round], "all of it is in the log")
    assert daemon.terminate() == 0 and told() == [1, 2, 2], "and no more"


def test_a_server_that_comes_and_goes_fills_no_log(start_daemon):
    port = free_port()
    daemon = start_daemon(databases={"it": f"redis://127.0.0.1:{port}/0"})
    client, server = daemon.connect(), Redis(port=port)
    try:
        for _ in range(8):
            server.kill()
            wait_until(lambda: failure(client, "it"), "it is lost")
            server.start()
            wait_until(lambda: not failure(client, "it"), "it is back")
    finally:
        server.discard()
    told = [line for line in daemon.log().splitlines() if "Database it " in line]
    assert 4 <= len(told) <= 8, told


def test_the_command_line(serve, start_daemon, run):
    server = serve("redis")
    daemon = start_daemon(databases={"it": server.url()})
    shown = run(daemon, "ping", "-d", "it")
    assert shown.returncode == 0 and shown.stdout.startswith("healthy from database it: redis 7.") and ", time=" in shown.stdout
    assert "server of it" in run(daemon, "status").stdout and "reachable for " in run(daemon, "status").stdout
    server.kill()
    wait_until(lambda: run(daemon, "ping", "-d", "it").returncode == 69, "it is lost")
    failed = run(daemon, "ping", "-d", "it", "-c", "3", "-i", "0.05", "--format", "jsonl")
    rows = [json.loads(line) for line in failed.stdout.splitlines()]
    assert failed.returncode == 69 and [row["status"] for row in rows] == ["connect_failed"] * 3 and rows[0]["error"]
    [row] = [row for row in map(json.loads, run(daemon, "databases", "--format", "jsonl").stdout.splitlines()) if row["name"] == "it"]
    assert row["reachable"] is False and row["pool"] == "0/10" and row["last_error"] and row["since_ms"] >= 0
    assert "cannot be reached for " in run(daemon, "status").stdout
    told = json.loads(run(daemon, "status", "--json").stdout)["servers"]["it"]
    assert told["reachable"] is False and told["pool"]["value"] == 10
    assert run(daemon, "ping", "-d", "none").returncode == 1
