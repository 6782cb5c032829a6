"""A restart, a reload of systemd, an upgrade: nobody who talks to the daemon notices, but for sessions that are gone."""

import time

import pytest

from load import FINE, assert_connected_once, assert_outcomes, assert_rows, describe, outcomes, total
from machine import SERVICE, rounds

pytestmark = pytest.mark.load

GAP_SECONDS = 0.15


def nothing_failed(machine):
    """No unit of ours ended badly, as far as systemd's own messages say."""
    bad = [text for text in machine.messages(machine.began, "-u", "litebase.service", "-u", "litebase.socket")
           if "Failed with result" in text or "Failed to start" in text]
    assert not bad, bad
    assert machine.property("Result") == "success"
    assert machine.state("litebase.socket") == "active"


def test_restarts_under_load_lose_nothing(machine, load, figures):
    count, pids = rounds(100), set()
    with load() as running:
        for _ in range(count):
            machine.systemctl("restart", SERVICE)
            pids.add(machine.main_pid())
            time.sleep(GAP_SECONDS)
    report = running.report
    figures(restarts=count, requests=total(report, "ok"), outcomes=report["outcomes"], latency=report["latency"],
            rows=report["rows"]["stored"], sessions_lost=outcomes(report, "session").get("error:session_not_found", 0))
    assert len(pids) == count, f"{len(pids)} main processes seen in {count} restarts"
    assert_outcomes(report, FINE)
    assert_connected_once(report, "persistent", "thoughtful", "session", "streaming")
    assert_rows(report)
    nothing_failed(machine)


def test_the_socket_outlives_any_number_of_restarts(machine):
    """systemd's own limit, five starts in ten seconds, would leave none behind."""
    for _ in range(8):
        machine.systemctl("restart", "litebase.socket")
        assert machine.state("litebase.socket") == "active"
    machine.ping()
    nothing_failed(machine)


def test_restart_of_the_socket_reaches_the_service(machine):
    machine.ping()
    pid = machine.main_pid()
    machine.systemctl("restart", "litebase.socket")
    machine.ping()
    assert machine.main_pid() != pid
    nothing_failed(machine)


def test_systemds_own_reload_and_reexec_disturb_nobody(machine, load, figures):
    with load() as running:
        for _ in range(rounds(30)):
            machine.systemctl("daemon-reload")
        for _ in range(rounds(5)):
            machine.systemctl("daemon-reexec")
    report = running.report
    figures(requests=total(report, "ok"), latency=report["latency"])
    assert_outcomes(report, {kind: {"ok"} for kind in FINE})
    assert_connected_once(report, "persistent", "thoughtful", "session", "streaming")
    assert_rows(report)


def test_the_same_load_sees_the_errors_of_a_daemon_that_binds_its_own_socket(machine, load, figures):
    """The negative: without the socket unit and its descriptors, the very same checks fail."""
    machine.write("/etc/systemd/system/tested-standalone.service", """
[Unit]
StartLimitIntervalSec=0

[Service]
Type=notify
User=litebase
Group=litebase
RuntimeDirectory=tested-standalone
StateDirectory=tested-standalone
ExecStart=/usr/bin/litebased --listen=standalone --socket=/run/tested-standalone/s.sock --socket-mode=0660
""")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "tested-standalone.service")
    with load(path="/run/tested-standalone/s.sock") as running:
        for _ in range(rounds(20)):
            machine.systemctl("restart", "tested-standalone.service")
            time.sleep(GAP_SECONDS)
    report = running.report
    machine.systemctl("stop", "tested-standalone.service")
    figures(outcomes=report["outcomes"])
    assert total(report, "refused", "no_socket", "reset", "eof") > 0, describe(report)
    with pytest.raises(AssertionError):
        assert_outcomes(report, FINE)
    with pytest.raises(AssertionError):
        assert_connected_once(report, "persistent")
    assert_rows(report)
