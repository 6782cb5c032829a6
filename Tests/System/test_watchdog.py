"""A daemon that hangs or dies is replaced, and the next client is answered."""

import signal
import time

from machine import LIBRARY, SERVICE, SOCKET, wait_until

WATCHDOG_SECONDS = 2


def short_watchdog(machine):
    machine.drop_in("watchdog", f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}s\n")


def journal_result(machine):
    return "\n".join(machine.messages(machine.began, "-u", SERVICE))


def assert_replaced_by_the_watchdog(machine, pid, started, figures):
    # Behind SIGABRT systemd sends SIGCONT, and a loop may take a waiting connection with it in the moment before the process ends.
    first = machine.run("litebase", "ping", "-c", "1", "--socket", SOCKET, timeout=30, check=False)
    if first.returncode != 0:
        assert "Connection reset by peer" in first.stderr, first
        machine.ping(timeout=30)
    seconds = time.monotonic() - started
    figures(answered_after_seconds=round(seconds, 2))
    assert machine.wait_restarted(pid) != pid
    text = journal_result(machine)
    assert "Watchdog timeout" in text and "Failed with result 'watchdog'" in text, text
    assert machine.state("litebase.socket") == "active"


def test_a_process_that_stands_still_is_replaced(machine, figures):
    short_watchdog(machine)
    machine.ping()
    pid = machine.main_pid()
    started = time.monotonic()
    machine.run("kill", "-STOP", pid)
    assert_replaced_by_the_watchdog(machine, pid, started, figures)


def test_a_hang_counts_as_a_crash_of_who_had_something_running(machine):
    short_watchdog(machine)
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
    for _ in range(2):
        running = machine.start("litebase", "query", slow, user="member")
        wait_until(lambda: '"requests_in_flight":1' in machine.output("litebase", "status", "--json"), "it runs")
        pid = machine.main_pid()
        machine.run("kill", "-STOP", pid)
        machine.wait_restarted(pid)
        assert running.wait(timeout=15) != 0
    assert "2 crashes in a row" in journal_result(machine)


def test_one_loop_that_hangs_is_enough(machine, figures):
    """Only one serving thread stops; the others and the one that speaks to systemd go on."""
    short_watchdog(machine)
    machine.ping()
    pid = machine.main_pid()
    loops = [ids for name, ids in machine.threads(pid).items() if name.startswith("litebase-loop")]
    thread = min(loops)[0]
    assert thread != pid
    started = time.monotonic()
    holder = machine.start("python3", f"{LIBRARY}/hold.py", thread)
    try:
        assert holder.stdout.readline() == "held\n", holder.communicate()
        wait_until(lambda: "Watchdog timeout" in journal_result(machine), "the watchdog notices", timeout=15)
    finally:
        holder.communicate(timeout=10)
    assert_replaced_by_the_watchdog(machine, pid, started, figures)


def test_the_watchdog_leaves_a_busy_daemon_alone(machine, connect):
    """The negative: long statements, and waiting for writes, are no hang."""
    short_watchdog(machine)
    client = connect()
    pid = client.call("health_check").data["pid"]
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
    ids = [client.send_query(slow, timeout_ms=3 * WATCHDOG_SECONDS * 1000) for _ in range(3)]
    for id in ids:
        assert client.receive_for(id).data["code"] in ("timeout", "cancelled")
    assert machine.main_pid() == pid
    client.settle()


def test_an_idle_daemon_speaks_to_the_watchdog(machine, connect):
    short_watchdog(machine)
    client = connect()
    pid = client.call("health_check").data["pid"]
    time.sleep(3 * WATCHDOG_SECONDS)
    assert machine.main_pid() == pid and int(machine.property("NRestarts")) == 0
    client.settle()


def test_every_deadly_signal_is_followed_by_a_new_daemon(machine):
    for name in ("KILL", "SEGV", "ABRT"):
        machine.ping()
        pid = machine.main_pid()
        machine.run("kill", f"-{signal.Signals['SIG' + name].value}", pid)
        machine.ping()
        assert machine.wait_restarted(pid) != pid
    assert machine.state("litebase.socket") == "active"


def test_a_long_drain_extends_the_time_to_stop(machine, connect):
    """A statement that may drain longer than TimeoutStopSec= is not cut off by SIGKILL."""
    machine.write("/etc/litebase/litebase.toml.d/test-drain.toml", "[limits]\ndrain_time_ms_max = 8000\n")
    machine.drop_in("stop", "[Service]\nTimeoutStopSec=2s\n")
    client = connect()
    client.settle()
    id = client.send_query("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 60000000) SELECT count(*) FROM c")
    time.sleep(0.2)
    machine.systemctl("stop", "litebase.socket", SERVICE)
    assert machine.property("Result") == "success"
    text = journal_result(machine)
    assert "SIGKILL" not in text and "timed out" not in text, text
    assert client.receive_for(id).type in ("query_response", "error")
