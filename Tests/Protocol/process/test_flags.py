"""Flags of the daemon, those that are wrong among them.

"Guess" in a comment marks what the protocol page does not say.
"""

import os
import socket
import subprocess

import pytest

from daemon import Daemon, free_port, wait_until
from test_process import healthy, standalone_fails


# Flags


def test_go_style_flags(directory):
    """What people of the page that inspired this type: one dash, an equals sign."""
    port = free_port()
    path = str(directory / "go.sock")
    daemon = Daemon(f"-socket={path}", f"-port={port}", "-log-level=debug", "-listen=standalone", directory=directory,
                    standalone=False, socket_flag=False, log_level=None, wait=False)
    try:
        daemon.wait_ready(path)
        assert healthy(path)["pid"] == daemon.pid
        assert healthy(("127.0.0.1", port))["pid"] == daemon.pid
        daemon.finish()
    finally:
        daemon.discard()
    assert not os.path.lexists(path)


def test_started_line_names_every_listener(start_daemon):
    port = free_port()
    daemon = start_daemon("--port", port, log_level="info")
    wait_until(lambda: daemon.log().count("IPC server started") >= 2, "both listeners are logged")
    lines = [line for line in daemon.log().splitlines() if "IPC server started" in line]
    assert any(daemon.socket_path in line for line in lines)
    assert any(str(port) in line for line in lines)


@pytest.mark.parametrize("level, more", [("debug", True), ("error", False)])
def test_log_level(start_daemon, level, more):
    daemon = start_daemon(log_level=level)
    healthy(daemon.socket_path)
    assert daemon.terminate() == 0
    assert bool(daemon.log().strip()) is more, daemon.log()


def test_port_is_loopback_alone(start_daemon):
    port = free_port()
    daemon = start_daemon("--port", port)
    for mode in ("msgpack", "lines"):
        assert healthy(("127.0.0.1", port), mode)["pid"] == daemon.pid
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True).stdout
    if listening:
        addresses = [line.split()[3].rpartition(":")[0].strip("[]") for line in listening.splitlines()]
        assert set(addresses) <= {"127.0.0.1", "::1"}
    for address in other_addresses():
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, port)) != 0


def other_addresses():
    text = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout
    return [address for address in text.split() if ":" not in address and not address.startswith("127.")]


def test_port_in_use(start_daemon, directory):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        output = standalone_fails(directory, str(directory / "s.sock"), "--port", port)
        assert str(port) in output
    assert not (directory / "s.sock").exists(), "what was bound before is taken back"


def test_databases_by_flag(start_daemon, directory):
    daemon = start_daemon(directory=directory, databases={"a": f"sqlite:{directory}/a.db", "m": "sqlite::memory:",
                                                          "a-b_c.2": f"sqlite:{directory}/b.db"})
    client = daemon.connect()
    names = {entry["name"] for entry in client.call("list_databases").data["databases"]}
    assert {"default", "a", "m", "a-b_c.2"} <= names
    client.query("CREATE TABLE t(x)", database="a")
    assert (directory / "a.db").is_file()
    assert client.query("SELECT 1", database="m").rows == [[1]]


def test_named_memory_database_is_one_for_all(start_daemon):
    """Guess: a memory database with a name holds its tables as long as the daemon runs, for every connection."""
    daemon = start_daemon(databases={"m": "sqlite::memory:"})
    daemon.connect().query("CREATE TABLE t(x)", database="m")
    daemon.connect().query("INSERT INTO t VALUES (1)", database="m")
    daemon.close_clients()
    assert daemon.connect().query("SELECT count(*) FROM t", database="m").value == 1


@pytest.mark.parametrize("environment, place", [({}, "state/default.db"),
                                                ({"STATE_DIRECTORY": None}, "xdg-state/litebase/default.db")])
def test_place_of_the_default_database(start_daemon, directory, as_user, environment, place):
    daemon = start_daemon(directory=directory, environment=environment, prefix=as_user)
    daemon.connect().query("CREATE TABLE t(x)")
    assert (directory / place).is_file()


def test_data_outlives_the_daemon(start_daemon, directory):
    first = start_daemon(directory=directory)
    first.connect().query("CREATE TABLE t AS SELECT 42 AS x")
    assert first.terminate() == 0
    wal = directory / "state" / "default.db-wal"
    assert not wal.exists() or wal.stat().st_size == 0, "a clean exit leaves a checkpoint behind"
    second = start_daemon(directory=directory)
    assert second.connect().query("SELECT x FROM t").value == 42


def test_acknowledged_writes_survive_kill(start_daemon, directory):
    for round in range(3):
        daemon = start_daemon(directory=directory)
        client = daemon.connect()
        client.query("CREATE TABLE IF NOT EXISTS t(round, n)")
        ids = [client.send_query("INSERT INTO t VALUES (?, ?)", [round, n]) for n in range(500)]
        acknowledged = 0
        for id in ids[:50 + 100 * round]:
            client.collect(id)
            acknowledged += 1
        daemon.process.kill()
        daemon.process.wait()
        daemon.close_clients()
        check = start_daemon(directory=directory)
        client = check.connect()
        assert client.query("SELECT count(*) FROM t WHERE round = ? AND n < ?", [round, acknowledged]).value == acknowledged
        assert client.query("PRAGMA integrity_check").value == "ok"
        assert check.terminate() == 0
