"""`reload`: the request, `litebase reload`, and SIGHUP do the same; a bad configuration changes nothing."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from daemon import ENDLESS, LITEBASE, LITEBASED, environment_for, wait_until
from manager import reading
from wire import Client, RequestFailed

CONFIG_ERROR, NO_DAEMON = 78, 69
NOBODY = 65534


def configured(start_daemon, directory, text, *flags, **options):
    """A daemon with a configuration file of its own; returns it and the file."""
    file = directory / "litebase.toml"
    file.write_text(text)
    return start_daemon("--config", file, *flags, directory=directory, **options), file


def reload_command(daemon, *arguments, prefix=()):
    return subprocess.run([*prefix, LITEBASE, "reload", "--socket", daemon.socket_path, *arguments],
                          capture_output=True, timeout=40, env=environment_for(daemon.directory))


def limit_of(daemon):
    with daemon.connect() as client:
        return client.call("hello").data["limits"]["sessions_per_connection_max"]


def test_reload_puts_it_in_force_before_it_answers(start_daemon, directory, mode):
    """On every loop: each of many connections, spread over four loops, sees the new limit at once."""
    daemon, file = configured(start_daemon, directory, "[limits]\nsessions_per_connection_max = 7\n", "--loops", 4)
    with daemon.connect(mode) as client:
        for limit in range(8, 40):
            file.write_text(f"[limits]\nsessions_per_connection_max = {limit}\n")
            reply = client.call("reload")
            assert reply.type == "reload_response"
            assert reply.data == {"databases": 1, "restart_needed": []}
            for _ in range(4):
                assert limit_of(daemon) == limit
    assert daemon.log().count("Configuration reloaded, 1 database\n") == 32


def test_databases_come_and_go(start_daemon, directory):
    daemon, file = configured(start_daemon, directory, "# empty\n")
    with daemon.connect() as client:
        client.query("SELECT 1")
        file.write_text(f'[databases.music]\nurl = "sqlite:{directory}/music.db"\n')
        assert client.call("reload").data["databases"] == 2
        assert client.query("SELECT 2", database="music").value == 2
        file.write_text("")
        assert client.call("reload").data["databases"] == 1
        assert client.query_fails("SELECT 2", database="music")["code"] == "database_not_found"


def test_connections_sessions_and_running_requests_go_on(start_daemon, directory):
    daemon, file = configured(start_daemon, directory, "# empty\n")
    with daemon.connect() as client, daemon.connect() as administrator:
        session = client.session()
        client.query("CREATE TEMP TABLE mine(x)", session=session)
        endless = client.send_query(ENDLESS)
        file.write_text("[limits]\nsessions_per_connection_max = 3\n")
        assert administrator.call("reload").type == "reload_response"
        assert client.query("SELECT count(*) FROM mine", session=session).value == 0
        assert client.call("cancel", {"request": endless}).data == {"cancelled": True}
        with pytest.raises(RequestFailed, match="cancelled"):
            client.collect(endless)


def test_a_bad_configuration_changes_nothing_and_all_errors_are_named(start_daemon, directory, mode):
    daemon, file = configured(start_daemon, directory, "[limits]\nsessions_per_connection_max = 7\n")
    (directory / "litebase.toml.d").mkdir()
    (directory / "litebase.toml.d" / "10-more.toml").write_text("loops = -1\n")
    file.write_text("[limits]\nsessions_per_connection_max = 8\n\nsession_max = 3\n[databases.music]\naccess = \"all\"\n")
    with daemon.connect(mode) as client:
        error = client.fails("reload")
        assert error["code"] == "configuration_invalid"
        assert error["message"] == "The configuration has 4 errors; the former one stays in force."
        lines = error["detail"].splitlines()
        places = [f"{file}:4:1: unknown key", f"{file}:5:", f"{file}:6:", f"{directory}/litebase.toml.d/10-more.toml:1:1:"]
        assert len(lines) == 4 and all(line.startswith(place) for line, place in zip(lines, places)), lines
        assert "retryable" not in error
        client.settle()
    assert limit_of(daemon) == 7
    for line in lines:
        assert f"Configuration not reloaded, the old one stays: {line}" in daemon.log()


@pytest.mark.parametrize("text", ["[é]\n", "[=]\n", "[ # nothing\n]\n", "[[\\u00e9]]\n"])
def test_a_table_without_a_name_is_an_error_like_others(start_daemon, directory, text):
    """toml++ asserts that a table's name begins as one: a slip of the pen ended the daemon."""
    daemon, file = configured(start_daemon, directory, "")
    file.write_text(text)
    with daemon.connect() as client:
        error = client.fails("reload")
        assert error["code"] == "configuration_invalid" and f"{file}:1:" in error["detail"]
        client.settle()


def test_thousands_of_errors_make_a_short_answer(start_daemon, directory):
    daemon, file = configured(start_daemon, directory, "")
    file.write_text("".join(f"x{n} = 1\n" for n in range(5000)))
    with daemon.connect() as client:
        error = client.fails("reload")
    assert len(error["detail"].splitlines()) == 101 and error["detail"].endswith("\nand 4900 more")
    assert daemon.log().count("not reloaded") == 101


def test_settings_that_wait_for_a_restart_are_named_until_then(start_daemon, directory):
    daemon, file = configured(start_daemon, directory, "")
    changed = "loops = 3\n[socket]\npath = \"/nowhere/x\"\nport = 47110\n[limits]\nworker_threads_max = 7\n"
    file.write_text(changed)
    with daemon.connect() as client:
        # socket.path has a flag, which goes before the file.
        expected = {"databases": 1, "restart_needed": ["loops", "socket.port"]}
        assert client.call("reload").data == expected
        assert client.call("reload").data == expected, "as long as they wait"
        file.write_text("")
        assert client.call("reload").data["restart_needed"] == []
    assert daemon.log().count("loops, socket.port changed: this takes effect after a restart") == 2


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")


@needs_root
def test_only_administrators_may(start_daemon, directory):
    """Another user is told no, and nothing is read; root and the daemon's own user may."""
    os.chmod(directory, 0o755)
    daemon, file = configured(start_daemon, directory, "", "--socket-mode", "0666")
    file.write_text("broken = 1\n")
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/python3", "-c", """
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b'{"id":1,"type":"reload"}\\n'); sys.stdout.write(s.makefile().readline())
""", daemon.socket_path)
    reply = json.loads(subprocess.run(as_nobody, capture_output=True, timeout=10, check=True).stdout)
    assert reply["type"] == "error" and reply["data"]["code"] == "permission_denied"
    assert "broken" not in daemon.log()


@needs_root
def test_the_daemons_own_user_may(start_daemon, directory):
    environment_for(directory)
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if subprocess.run([*prefix, "test", "-x", LITEBASED]).returncode != 0:
        pytest.skip("an ordinary user cannot run the daemon where it lies")
    file = directory / "litebase.toml"
    file.write_text("")
    file.chmod(0o644)
    for path in [directory, *directory.iterdir()]:
        os.chown(path, NOBODY, NOBODY)
    daemon = start_daemon("--config", file, directory=directory, prefix=prefix)
    result = reload_command(daemon, prefix=prefix)
    assert (result.returncode, result.stdout) == (0, b"Configuration reloaded: 1 database\n"), result


def test_tcp_clients_may_not(start_daemon, directory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = start_daemon("--port", port, directory=directory)
    wait_until(lambda: f"127.0.0.1:{port}" in daemon.log(), "the port is open, which comes after the socket")
    with Client(("127.0.0.1", port)) as client:
        assert client.fails("reload")["code"] == "permission_denied"
        client.settle()


def test_an_administrator_gets_through_when_the_daemon_is_full(start_daemon, directory):
    """Else nobody could raise the limit without losing the connections."""
    daemon, file = configured(start_daemon, directory, "[limits]\nconnections_max = 2\n")
    # wait_ready's own connection may still be closing.
    first = daemon.connect()
    wait_until(lambda: first.call("stats").data["connections"]["open"] == 1, "the probe is gone")
    second = daemon.connect()
    second.settle()
    with daemon.connect() as third:
        assert third.fails("health_check")["code"] == "limit_exceeded"
        third.receive_end()
    file.write_text("[limits]\nconnections_max = 3\n")
    with daemon.connect() as third:
        assert third.call("reload").data["databases"] == 1
        third.receive_end()
    wait_until(lambda: first.call("stats").data["connections"]["open"] == 2, "the third one is gone")
    with daemon.connect() as third:
        third.settle()


def test_many_reloads_at_once(start_daemon, directory):
    """Each is answered once, whatever SIGHUP does between them."""
    daemon, _ = configured(start_daemon, directory, "", "--loops", 3)
    answers = []

    def work():
        with Client(daemon.socket_path) as client:
            ids = [client.send("reload") for _ in range(50)]
            answers.extend(client.answer(id).data["databases"] for id in ids)
            client.settle()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.005)
    for thread in threads:
        thread.join(30)
    assert answers == [1] * 200


def test_a_client_that_does_not_wait_for_its_answer(start_daemon, directory):
    daemon, _ = configured(start_daemon, directory, "")
    for _ in range(50):
        client = daemon.connect()
        client.send("reload")
        client.close()
    with daemon.connect() as client:
        assert client.call("reload").data["databases"] == 1
        client.settle()


def test_ready_is_told_after_every_reload(start_daemon, directory):
    """RELOADING with its time stamp, then READY, before the client has its answer; also when it failed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(directory / "notify"))
        receiver.setblocking(False)
        daemon, file = configured(start_daemon, directory, "", environment={"NOTIFY_SOCKET": str(directory / "notify")})

        def states():
            seen = []
            while True:
                try:
                    seen.append(receiver.recv(65536).decode().splitlines())
                except BlockingIOError:
                    return seen

        wait_until(lambda: any(message[0] == "READY=1" for message in states()), "the start is told")
        for text, kind in [("", "reload_response"), ("nonsense = 1\n", "error"), ("", "reload_response")]:
            states()
            file.write_text(text)
            with daemon.connect() as client:
                assert client.receive_for(client.send("reload")).type == kind
            told = [message for message in states() if not message[0].startswith("STATUS")]
            assert [message[0] for message in told] == ["RELOADING=1", "READY=1"], told
            assert told[0][1].startswith("MONOTONIC_USEC=")
        with reading(receiver):
            assert daemon.terminate() == 0


# The command


def test_command(start_daemon, directory):
    daemon, file = configured(start_daemon, directory, "")
    result = reload_command(daemon)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"Configuration reloaded: 1 database\n", b"")
    file.write_text(f'loops = 2\n[databases.music]\nurl = "sqlite:{directory}/music.db"\n')
    assert reload_command(daemon).stdout == b"Configuration reloaded: 2 databases\nWaiting for a restart: loops\n"
    assert json.loads(reload_command(daemon, "--json").stdout) == {"databases": 2, "restart_needed": ["loops"]}


def test_command_lists_what_is_wrong(start_daemon, directory):
    daemon, file = configured(start_daemon, directory, "")
    file.write_text("lops = 2\n\nlog_level = 3\n")
    result = reload_command(daemon)
    assert (result.returncode, result.stdout) == (CONFIG_ERROR, b"")
    lines = result.stderr.decode().splitlines()
    assert lines[0] == "litebase: The configuration has 2 errors; the former one stays in force."
    assert lines[1].startswith(f'detail: {file}:1:1: unknown key "lops"') and "loops" in lines[1]
    assert lines[2].startswith(f"detail: {file}:3:1: log_level")


def test_command_without_a_daemon(directory):
    result = subprocess.run([LITEBASE, "reload", "--socket", directory / "none"], capture_output=True, timeout=10)
    assert result.returncode == NO_DAEMON
