"""The log in hard times: floods, a journal that is ill, databases that fail, starts that fail."""

import os
import socket
import sqlite3
import subprocess
import time

import pytest

from daemon import ENDLESS, LITEBASED, counting, wait_until
from journal import ERROR, MESSAGE_IDS, SLOW, journal, needs_namespace, started  # noqa: F401 - fixtures among them


CONFIG_ERROR = 78


# The limit of the rate


def noise(path, count):
    for _ in range(count):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"nonsense\n")
            while client.recv(4096):
                pass


@pytest.mark.slow
@needs_namespace
def test_clients_cannot_flood_the_log(started, journal):
    """Protocol violations, refused connections and slow statements: a burst of each, then one line that counts."""
    daemon = started(SLOW.format(1, 0) + "[limits]\nconnections_max = 3\n")
    noise(daemon.socket_path, 400)
    with daemon.connect() as client:
        for _ in range(150):
            client.query(counting(50_000, "sum(x)"))
        wait_until(lambda: client.call("stats").data["connections"]["open"] == 1, "the others are gone")
        with daemon.connect(), daemon.connect() as last:
            last.settle()
            for _ in range(300):
                with daemon.connect() as refused:
                    refused.send("health_check")
                    refused.receive()
    wait_until(lambda: len(journal.entries("connectionRefused")) >= 100, "the refusals")
    assert daemon.terminate() == 0
    journal.wait("stopped")
    counts = {}
    for entry in journal.entries("suppressed"):
        name = next(name for name, id in MESSAGE_IDS.items() if id == entry["LITEBASE_SUPPRESSED_ID"])
        counts[name] = int(entry["LITEBASE_SUPPRESSED"])
        assert entry["PRIORITY"] == journal.entries(name)[0]["PRIORITY"]
        assert entry["MESSAGE"].startswith(f"{counts[name]} messages suppressed: ")
    for name in ("protocolViolation", "slowStatement", "connectionRefused"):
        assert len(journal.entries(name)) == 100, name
    assert counts["protocolViolation"] == 300 and counts["connectionRefused"] >= 200 and counts["slowStatement"] == 50
    assert len(journal.entries()) < 350


@needs_namespace
def test_debugging_is_not_limited(started, journal):
    daemon = started(log_level="debug")
    with daemon.connect() as client:
        for _ in range(500):
            client.query_fails("SELEC")
    wait_until(lambda: sum("LITEBASE_CODE" in entry for entry in journal.entries()) == 500, "all failures")


@needs_namespace
def test_failing_statements_leave_no_trace_at_the_usual_level(started, journal):
    daemon = started()
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x UNIQUE)")
        client.query("INSERT INTO t VALUES (1)")
        for sql in ["SELEC", "SELECT * FROM nowhere", "INSERT INTO t VALUES (1)", "BEGIN", "SELECT abs(-9223372036854775808)"]:
            client.query_fails(sql)
        client.fails("query", {"sql": ENDLESS, "timeout_ms": 20})
    assert daemon.terminate() == 0
    journal.wait("stopped")
    assert {entry.get("MESSAGE_ID") for entry in journal.entries()} == {
        MESSAGE_IDS[name] for name in ("listening", "databaseOpened", "stopRequested", "draining", "stopped")}


# A journal in trouble


@needs_namespace
def test_a_journal_that_does_not_read_keeps_nobody_waiting(started, journal):
    """Records that do not fit into its queue are lost, but the next one that does says how many."""
    daemon = started(log_level="debug")
    # In the queue wait as many as net.unix.max_dgram_qlen says, and one more is in the reader's hands.
    count = int(open("/proc/sys/net/unix/max_dgram_qlen").read()) + 300
    with daemon.connect() as client:
        with journal.changed:
            begun = time.monotonic()
            for _ in range(count):
                client.query_fails("SELEC")
            assert time.monotonic() - begun < 10
            assert not [entry for entry in journal.received if entry.get("MESSAGE_ID") == MESSAGE_IDS["recordsLost"]]
        client.query_fails("SELEC")
        wait_until(lambda: client.query_fails("SELEC") and journal.entries("recordsLost"), "the count of what is missing")
    entry = journal.entries("recordsLost")[0]
    assert int(entry["LITEBASE_LOST"]) >= 250 and entry["PRIORITY"] == "4"
    assert entry["MESSAGE"].startswith(entry["LITEBASE_LOST"] + " messages")
    # The count is complete: whatever is not there is lost.
    failures = sum("LITEBASE_CODE" in entry for entry in journal.entries())
    assert failures >= count - int(entry["LITEBASE_LOST"])
    assert daemon.log() == "", "nothing goes another way"


@needs_namespace
def test_a_journal_that_hangs_stops_neither_start_nor_end(started, journal, directory):
    """Its queue is full from the beginning, and it never reads."""
    with journal.changed:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                while True:
                    sender.sendto(b"X=1\n", str(directory / "journal/socket"))
            except BlockingIOError:
                pass
        begun = time.monotonic()
        daemon = started(log_level="debug")
        with daemon.connect() as client:
            for _ in range(400):
                client.query_fails("SELEC")
        assert time.monotonic() - begun < 5
        begun = time.monotonic()
        assert daemon.terminate() == 0
        assert time.monotonic() - begun < 5, "it waits for a moment only"
    assert daemon.log() == "", "nothing goes another way: journald reads that as well"


@needs_namespace
@pytest.mark.parametrize("what", ["no file", "nobody listens"])
def test_without_a_journal_the_messages_go_to_standard_error(started, journal, directory, what):
    """As far as the environment says, standard error leads to the journal, but there is none."""
    socket_path = directory / "journal/socket"
    socket_path.unlink()
    if what == "nobody listens":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
            gone.bind(str(socket_path))
    daemon = started()
    with daemon.connect() as client:
        client.settle()
    assert daemon.terminate() == 0
    lines = daemon.log().splitlines()
    assert f"<6>IPC server started on unix:{daemon.socket_path}" in lines and "<5>Stopped" in lines


# Databases in trouble


@needs_namespace
def test_a_damaged_database_is_told(started, journal, directory):
    path = directory / "damaged.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t(x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,) for _ in range(100)])
    connection.close()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    daemon = started("", databases={"damaged": f"sqlite:{path}"})
    with daemon.connect() as client:
        assert client.query_fails("SELECT count(*), max(x) FROM t", database="damaged")["sqlstate"] == "XX001"
    entry = journal.wait("databaseTrouble")[0]
    assert entry["PRIORITY"] == ERROR and entry["LITEBASE_DATABASE"] == "damaged"
    assert (entry["LITEBASE_CODE"], entry["LITEBASE_SQLSTATE"]) == ("database_error", "XX001")
    assert "malformed" in entry["MESSAGE"]


@needs_namespace
def test_a_database_that_cannot_be_opened_is_told(started, journal, directory):
    daemon = started("", databases={"nowhere": f"sqlite:{directory}/missing/x.db"})
    with daemon.connect() as client:
        assert client.query_fails("SELECT 1", database="nowhere")["code"] == "connect_failed"
    entry = journal.wait("databaseFailed")[0]
    assert entry["PRIORITY"] == ERROR and entry["LITEBASE_DATABASE"] == "nowhere"
    assert f"{directory}/missing/x.db" in entry["MESSAGE"]
    assert not journal.entries("databaseTrouble")


# Starts that fail


@needs_namespace
def test_all_mistakes_of_the_configuration_are_told(journal, directory):
    file = directory / "litebase.toml"
    file.write_text("lops = 1\n\n[limits]\nconnections_max = 0\n[databases.music]\n")
    command = [*journal.prefix, LITEBASED, "--config", file]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(directory / "notify"))
        manager.settimeout(5)
        result = subprocess.run(command, capture_output=True, timeout=10,
                                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(directory / "notify")})
        state = manager.recv(65536).decode().splitlines()
    assert (result.returncode, result.stderr) == (CONFIG_ERROR, b"")
    entries = journal.wait("configurationInvalid", count=3)
    assert [entry["LITEBASE_CONFIG_LINE"] for entry in entries] == ["1", "4", "5"]
    assert {entry["LITEBASE_CONFIG_FILE"] for entry in entries} == {str(file)}
    assert {entry["PRIORITY"] for entry in entries} == {ERROR}
    assert entries[0]["MESSAGE"] == f'{file}:1:1: unknown key "lops"; did you mean "loops"?'
    assert "limits.connections_max is out of range" in entries[1]["MESSAGE"] and "url" in entries[2]["MESSAGE"]
    assert state[0] == f"STATUS={entries[0]['MESSAGE']} (and 2 more)" and f"EXIT_STATUS={CONFIG_ERROR}" in state


@needs_namespace
def test_other_failures_of_the_start_are_told(journal, directory):
    for flags, status, word in [(["--listen=systemd"], 78, "systemd passed no sockets"), (["--nonsense"], 64, "nonsense"),
                                ([f"--socket={directory}", f"--database=default={directory}/x.db"], 73, "is a directory")]:
        result = subprocess.run([*journal.prefix, LITEBASED, *flags], capture_output=True, timeout=10,
                                env={"PATH": os.environ["PATH"], "HOME": str(directory)})
        assert result.returncode == status, result
        entry = journal.wait("startFailed", LITEBASE_EXIT_STATUS=str(status))[0]
        assert word in entry["MESSAGE"] and entry["PRIORITY"] == ERROR
