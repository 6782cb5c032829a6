"""The log: native entries of the journal with their fields, no secret, the catalog. What stands in the journal's place is in journal.py."""

import os
import re
import shutil
import socket
import subprocess

import pytest

from daemon import ENDLESS, counting, wait_until
from identity import NOBODY
from journal import CATALOG, DEBUG, INFO, MARKER, MESSAGE_IDS, SLOW, journal, needs_namespace, started  # noqa: F401 - fixtures among them


# Fields


@needs_namespace
def test_start_and_stop(started, journal, directory):
    daemon = started()
    entry = journal.wait("listening")[0]
    assert entry == {
        "MESSAGE": f"IPC server started on unix:{daemon.socket_path}", "PRIORITY": INFO, "SYSLOG_IDENTIFIER": "litebased",
        "MESSAGE_ID": MESSAGE_IDS["listening"], "LITEBASE_ADDRESS": f"unix:{daemon.socket_path}"}
    assert daemon.terminate() == 0
    assert [entry["MESSAGE"] for entry in journal.wait("stopped")] == ["Stopped"]
    assert journal.wait("draining")[0]["LITEBASE_REQUESTS"] == "0"
    assert daemon.log() == "", "all went to the journal"


@needs_namespace
def test_every_line_about_a_request_has_its_fields(started, journal, mode):
    daemon = started(log_level="debug", databases={"music": f"sqlite:{journal.prefix[-1]}/../music.db"})
    with daemon.connect(mode) as client:
        session = client.session(database="music")
        client.query("SELECT 1", database="music")
        client.collect(client.send_query("CREATE TABLE t(x UNIQUE)", id="first", session=session))
        client.collect(client.send_query("INSERT INTO t VALUES (1), (2)", id="filled", session=session))
        client.fails("query", {"sql": "INSERT INTO t VALUES (2)", "session": session}, id="twice")
        client.fails("query", {"sql": "SELECT 1", "session": "nowhere"}, id="lost")
        client.fails("query", {"sql": 7}, id=2**64 - 1)
        client.call("batch", {"statements": [{"sql": "DELETE FROM t"}], "session": session}, id=-5)
        client.settle()
    common = {"LITEBASE_CONNECTION": journal.wait(LITEBASE_REQUEST="first")[0]["LITEBASE_CONNECTION"],
              "LITEBASE_PEER_UID": str(os.getuid()), "LITEBASE_PEER_PID": str(os.getpid()), "PRIORITY": DEBUG,
              "SYSLOG_IDENTIFIER": "litebased"}

    def ended(request):
        """The last entry about a request, without the message and what all of them have."""
        entries = journal.wait(count=2, LITEBASE_REQUEST=request)
        for entry in entries:
            assert common.items() <= entry.items()
        rest = {key: value for key, value in entries[-1].items() if key not in common and key != "MESSAGE"}
        if "LITEBASE_DURATION_US" in rest:
            assert 0 <= int(rest.pop("LITEBASE_DURATION_US")) < 5_000_000
        return entries[-1]["MESSAGE"], rest

    message, fields = ended("filled")
    assert fields == {"LITEBASE_REQUEST": "filled", "LITEBASE_DATABASE": "music", "LITEBASE_ROWS": "0",
                      "LITEBASE_ROWS_AFFECTED": "2"}
    number = common["LITEBASE_CONNECTION"]
    head = f"Connection {number} (uid {os.getuid()}, pid {os.getpid()}): "
    assert re.fullmatch(re.escape(head) + r"query filled on music done in \d+\.\d{3} ms", message)
    message, fields = ended("twice")
    assert fields == {"LITEBASE_REQUEST": "twice", "LITEBASE_DATABASE": "music", "LITEBASE_ROWS": "0",
                      "LITEBASE_ROWS_AFFECTED": "0", "LITEBASE_CODE": "constraint_violation", "LITEBASE_SQLSTATE": "23505"}
    assert re.fullmatch(
        re.escape(head) + r"query twice on music failed with constraint_violation \(23505\) in \d+\.\d{3} ms", message)
    assert ended("lost") == (head + "query lost failed with session_not_found",
                             {"LITEBASE_REQUEST": "lost", "LITEBASE_CODE": "session_not_found"})
    assert ended(str(2**64 - 1))[1] == {"LITEBASE_REQUEST": str(2**64 - 1), "LITEBASE_CODE": "bad_request"}
    assert ended("-5")[1] == {"LITEBASE_REQUEST": "-5", "LITEBASE_DATABASE": "music", "LITEBASE_ROWS": "0",
                              "LITEBASE_ROWS_AFFECTED": "2"}


@needs_namespace
def test_ids_cannot_forge_lines_and_are_cut(started, journal):
    daemon = started(log_level="debug")
    with daemon.connect() as client:
        client.call("health_check", id="a\nPRIORITY=0\n\x1b[31m\u202e")
        client.call("health_check", id="é" * 64)
        client.call("health_check", id="\n" * 128)
    requests = [entry["LITEBASE_REQUEST"] for entry in journal.wait(count=3) if "LITEBASE_REQUEST" in entry]
    wait_until(lambda: len([e for e in journal.entries() if "LITEBASE_REQUEST" in e]) == 3, "three requests")
    requests = [entry["LITEBASE_REQUEST"] for entry in journal.entries() if "LITEBASE_REQUEST" in entry]
    assert requests == ["a\\nPRIORITY=0\\n\\u{1b}[31m\\u{202e}", "é" * 64, "\\n" * 62 + "…"]
    assert all(len(request.encode()) <= 128 for request in requests)


@needs_namespace
def test_the_peer_is_the_one_that_connected(started, journal, directory):
    os.chmod(directory, 0o755)
    daemon = started("", "--socket-mode", "0666", log_level="debug")
    script = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'nonsense'); "
              "s.recv(4096)")
    client = subprocess.Popen(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/python3", "-c",
                               script, daemon.socket_path])
    assert client.wait(10) == 0
    peer = {"LITEBASE_PEER_UID": str(NOBODY), "LITEBASE_PEER_PID": str(client.pid)}
    entry = journal.wait("protocolViolation", **peer)[0]
    assert entry["PRIORITY"] == INFO and entry["MESSAGE"].startswith(
        f"Connection {entry['LITEBASE_CONNECTION']} (uid {NOBODY}, pid {client.pid}) broke the protocol: The first byte")
    journal.wait(LITEBASE_CONNECTION=entry["LITEBASE_CONNECTION"], **peer, count=3)


@needs_namespace
def test_plain_lines_say_the_same(start_daemon, directory):
    """Without a journal the line alone has to say who, what and how long."""
    daemon = start_daemon(directory=directory)
    with daemon.connect() as client:
        client.fails("query", {"sql": "SELEC 1"}, id="wrong")
    head = rf"debug   Connection \d+ \(uid {os.getuid()}, pid {os.getpid()}\): "
    wait_until(lambda: re.search(head + r"query wrong on default failed with syntax_error \(42601\) in \d+\.\d{3} ms\n",
                                 daemon.log()), "the line")


# Slow statements


# Secrets


def use_everything(client, directory, secret):
    """Requests of all kinds, with the secret in every place that a parameter or SQL text can have."""
    session = client.session()
    client.query(f"CREATE TABLE secrets(x TEXT UNIQUE CHECK (x <> 'no {secret}'))", session=session)
    client.query("INSERT INTO secrets VALUES (?)", [secret], session=session)
    client.query("INSERT INTO secrets VALUES (:x)", {"x": secret.encode()}, session=session)
    client.query(f"SELECT x, '{secret}' FROM secrets WHERE x <> ?", [secret])
    client.query_fails("INSERT INTO secrets VALUES (?)", [secret])
    client.query_fails(f"INSERT INTO secrets VALUES ('no {secret}')")
    client.query_fails(f"SELECT '{secret}")
    client.query_fails(f"SELECT {secret.replace('-', '_')} FROM secrets")
    client.query_fails("SELECT ?", [secret], database=secret)
    client.query_fails("SELECT ?", [secret], session=secret)
    client.fails("query", {"sql": ENDLESS + " WHERE x <> ?", "params": [secret], "timeout_ms": 30})
    client.call("batch", {"statements": [{"sql": "INSERT INTO secrets VALUES (?)", "param_rows": [[secret + "2"]]}]})
    client.fails("batch", {"statements": [{"sql": "INSERT INTO secrets VALUES (?)", "params": [secret]}]})
    client.call("describe", {"sql": f"SELECT '{secret}'"})
    client.fails("describe", {"sql": f"SELECT {secret} FROM {secret}"})
    client.fails("db_connect", {"url": f"postgresql://user:{secret}@host/db"})
    client.fails("db_disconnect", {"session": secret})
    client.fails("fetch", {"request": secret})
    client.call("cancel", {"request": secret})
    client.fails(secret, {"x": secret})
    client.call("hello", {"client": secret})
    client.query("CREATE TRIGGER guard BEFORE DELETE ON secrets BEGIN SELECT RAISE(ABORT, '" + secret + "'); END")
    client.query_fails("DELETE FROM secrets")
    client.query(counting(300_000, "sum(x), ?"), [secret])
    client.call("db_disconnect", {"session": session})
    client.settle()


def send_garbage(path, secret):
    """Bytes that are no message, with the secret in them."""
    for payload in [secret.encode() + b"\n", b"{" + secret.encode() + b"\n", b'{"id":1,"type":"' + secret.encode(),
                    b'{"id":1,"type":"query","data":{"sql":"' + secret.encode() + b"\xff\"}}\n",
                    b"\0\0\0\x20" + secret.encode() + b"." * 32, b"GET /" + secret.encode() + b" HTTP/1.1\r\n\r\n"]:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(path)
            client.sendall(payload)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass


@needs_namespace
def test_no_secret_reaches_the_journal(started, journal, directory, mode):
    """Neither at the most talkative level, nor with slow statements; where SQL text is wanted, parameters still do not."""
    daemon = started(SLOW.format(10, 0), log_level="debug")
    with daemon.connect(mode) as client:
        use_everything(client, directory, MARKER)
    send_garbage(daemon.socket_path, MARKER)
    with daemon.connect() as client:
        client.settle()
    assert daemon.terminate() == 0
    journal.wait("stopped")
    assert len(journal.entries("slowStatement")) >= 2 and len(journal.entries()) > 60, "there was something to see"
    assert MARKER.encode() not in journal.raw and MARKER.replace("-", "_").encode() not in journal.raw
    assert MARKER not in daemon.log()


@needs_namespace
def test_no_secret_reaches_plain_lines(start_daemon, directory, mode):
    daemon = start_daemon(directory=directory, log_level="debug")
    with daemon.connect(mode) as client:
        use_everything(client, directory, MARKER)
    send_garbage(daemon.socket_path, MARKER)
    with daemon.connect() as client:
        client.settle()
    assert daemon.terminate() == 0
    assert len(daemon.log().splitlines()) > 60 and "Stopped" in daemon.log()
    assert MARKER not in daemon.log() and MARKER.replace("-", "_") not in daemon.log()


# The catalog


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="journalctl is not installed")
def test_journalctl_takes_the_catalog(directory):
    folder = directory / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (directory / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    command = ["journalctl", f"--root={directory}"]
    result = subprocess.run([*command, "--update-catalog"], capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stderr) == (0, ""), result
    listed = subprocess.run([*command, "--list-catalog"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert sorted(line.split(" ")[0] for line in listed.splitlines()) == sorted(MESSAGE_IDS.values())
    assert all(line.split(" ")[1] == "LiteBase:" for line in listed.splitlines())
