"""A daemon that cannot start says why, and the socket survives until it can."""

import pathlib
import subprocess
import time

import pytest

from machine import SERVICE, wait_until

BAD = "/etc/litebase/litebase.toml.d/test-bad.toml"


def lines(machine):
    return machine.journal(machine.began, "-u", SERVICE)


def break_configuration(machine, text='idle_exit_secnods = 5\n'):
    machine.write(BAD, text)


def test_the_waiting_client_is_answered_when_the_error_is_mended(machine, figures):
    """Attempts one after the other: the socket stays, the client waits, and nobody needs `reset-failed`."""
    break_configuration(machine)
    waiting = machine.start("litebase", "ping", "-c", "1", "--timeout", "60", user="member")
    wait_until(lambda: int(machine.property("NRestarts")) >= 4, "five attempts to start", timeout=30)
    assert machine.state("litebase.socket") == "active"
    assert waiting.poll() is None, waiting.communicate()
    machine.remove(BAD)
    mended = time.monotonic()
    output, errors = waiting.communicate(timeout=15)
    assert waiting.returncode == 0 and "healthy" in output, output + errors
    figures(answered_after_the_mending_seconds=round(time.monotonic() - mended, 2))
    assert machine.state() == "active"


def test_the_message_names_file_line_and_remedy(machine):
    break_configuration(machine)
    machine.systemctl("start", "--no-block", SERVICE)
    wait_until(lambda: "attempt 2" in machine.property("StatusText"), "the second attempt to start")
    entries = [entry for entry in lines(machine) if entry.get("_COMM") == "litebased" or entry["SYSLOG_IDENTIFIER"] == "litebased"]
    said = [entry for entry in entries if "idle_exit_secnods" in entry["MESSAGE"]]
    assert said and BAD in said[0]["MESSAGE"] and "1" in said[0]["MESSAGE"], [entry["MESSAGE"] for entry in entries]
    assert int(said[0]["PRIORITY"]) <= 3
    text = "\n".join(entry["MESSAGE"] for entry in lines(machine))
    # sysexits.h: 78 is EX_CONFIG, which systemd spells out.
    assert "status=78/CONFIG" in text, text
    assert "exit-code" in text


def test_a_missing_directory_is_named(machine):
    break_configuration(machine, '[databases.gone]\nurl = "sqlite:/nowhere/at/all.db"\n')
    machine.run("litebase", "query", "--database", "gone", "SELECT 1", check=False)
    error = machine.run("litebase", "query", "--database", "gone", "SELECT 1", check=False)
    assert error.returncode != 0 and "/nowhere" not in error.stdout
    assert any("/nowhere/at/all.db" in str(entry["MESSAGE"]) for entry in lines(machine)), [e["MESSAGE"] for e in lines(machine)]


def test_six_quick_restarts_do_not_fail_the_socket(machine):
    for _ in range(8):
        machine.systemctl("restart", SERVICE)
    assert machine.state("litebase.socket") == "active"
    machine.ping()


def test_a_service_that_fails_at_once_does_not_trip_the_trigger_limit(machine):
    """Clients that hammer the socket while the daemon cannot start are kept waiting, not refused."""
    break_configuration(machine)
    waiting = [machine.start("litebase", "ping", "-c", "1") for _ in range(10)]
    time.sleep(4)
    assert machine.state("litebase.socket") == "active"
    assert machine.property("Result", "litebase.socket") == "success"
    machine.remove(BAD)
    for client in waiting:
        output, errors = client.communicate(timeout=15)
        assert client.returncode == 0, output + errors


def test_a_socket_with_an_unknown_name_is_refused(machine):
    """A socket that nobody accepts from would keep its clients waiting for ever."""
    machine.systemctl("stop", "litebase.socket")
    machine.drop_in("name", "[Socket]\nFileDescriptorName=elephant\n", "litebase.socket")
    machine.systemctl("start", "litebase.socket")
    waiting = machine.start("litebase", "ping", "-c", "1")
    wait_until(lambda: any("elephant" in str(entry["MESSAGE"]) for entry in lines(machine)), "a message that names it")
    machine.systemctl("stop", "litebase.socket", SERVICE)
    assert waiting.wait(timeout=15) != 0


def test_without_sockets_the_unit_says_so(machine):
    """`--listen=systemd` without descriptors is a configuration error, not a silent fallback."""
    done = machine.run("litebased", "--listen=systemd", check=False, timeout=10)
    assert done.returncode == 78 and "litebase.socket" in done.stderr, done
    assert not machine.run("sh", "-c", "LISTEN_PID=1 LISTEN_FDS=1 timeout 5 litebased --listen=systemd", check=False).returncode in (0, 124)


def test_attempts_become_rare_and_are_said_once(machine, figures):
    """A mistake that nobody mends for a month: the journal is not full of it, and the processor has other things to do."""
    break_configuration(machine)
    waiting = machine.start("litebase", "ping", "-c", "1", "--timeout", "60")
    wait_until(lambda: "attempt 4" in machine.property("StatusText"), "the fourth attempt", timeout=30)
    said = [entry for entry in lines(machine) if "idle_exit_secnods" in str(entry["MESSAGE"]) and entry["SYSLOG_IDENTIFIER"] == "litebased"]
    # Of the first process, which has ended at once, journald may not know any more whose it was.
    assert 1 <= len(said) <= 2, [entry["MESSAGE"] for entry in said]
    assert machine.state("litebase.socket") == "active" and waiting.poll() is None
    # Whoever asks is told the reason, and does not wait for ever.
    asked = machine.run("litebase", "status", "--timeout", "1", check=False)
    assert asked.returncode == 69 and "idle_exit_secnods" in asked.stderr, asked.stderr
    # A stop does not wait for the pause, nor does the start that somebody asks for.
    began = time.monotonic()
    assert machine.systemctl("restart", SERVICE, check=False).returncode != 0
    figures(failed_restart_seconds=round(time.monotonic() - began, 2))
    assert time.monotonic() - began < 3
    machine.remove(BAD)
    output, errors = waiting.communicate(timeout=15)
    assert waiting.returncode == 0, output + errors


def test_the_check_of_the_examples_fails_and_recovers(machine):
    for suffix in ("service", "timer"):
        text = machine.path(f"/usr/share/doc/litebase/examples/systemd/litebase-check.{suffix}").read_text()
        machine.write(f"/etc/systemd/system/litebase-check.{suffix}", text.replace("--timeout 10", "--timeout 2"))
    machine.systemctl("daemon-reload")
    shown = machine.run("systemd-analyze", "verify", "litebase-check.service", "litebase-check.timer", check=False)
    assert (shown.returncode, shown.stdout + shown.stderr) == (0, "")
    machine.systemctl("start", "litebase-check.service")
    break_configuration(machine)
    machine.systemctl("stop", SERVICE)
    assert machine.systemctl("start", "litebase-check.service", check=False).returncode != 0
    assert "litebase-check.service" in machine.output("systemctl", "--failed", "--plain", "--no-legend")
    assert any("idle_exit_secnods" in line for line in machine.messages(machine.began, "-u", "litebase-check.service"))
    machine.remove(BAD)
    wait_until(lambda: machine.run("litebase", "ping", check=False).returncode == 0, "the daemon answers")
    machine.systemctl("start", "litebase-check.service")
    assert "litebase-check" not in machine.output("systemctl", "--failed", "--plain", "--no-legend")


@pytest.mark.parametrize("how, told", [("overflow", "crashed (SIGSEGV)"), ("kill", "was killed (SIGKILL")])
def test_a_daemon_that_dies_before_it_serves_is_slowed_down_and_told(machine, tmp_path, how, told):
    """Loaded into it, a library ends it just before READY=1; systemd hands what the next process needs."""
    library = "/usr/lib/litebase-test-crash.so"
    source = pathlib.Path(__file__).parent.parent / "Support/start_crash.c"
    subprocess.run(["cc", "-O0", "-shared", "-fPIC", "-o", tmp_path / "crash.so", source, "-ldl"], check=True)
    machine.copy_in(tmp_path / "crash.so", library)
    try:
        machine.drop_in("crash", f"[Service]\nEnvironment=LD_PRELOAD={library} START_CRASH={how} START_CRASH_PAUSE=150\n")
        waiting = machine.start("litebase", "ping", "-c", "1", "--timeout", "60")
        wait_until(lambda: "attempt 4" in machine.property("StatusText"), "the fourth attempt", timeout=30)
        assert told in machine.property("StatusText") and machine.state("litebase.socket") == "active"
        said = [entry for entry in lines(machine) if told in str(entry["MESSAGE"]) and entry["SYSLOG_IDENTIFIER"] == "litebased"]
        assert 1 <= len(said) <= 2, [entry["MESSAGE"] for entry in said]
        asked = machine.run("litebase", "status", "--timeout", "1", check=False)
        assert asked.returncode == 69 and told in asked.stderr, asked.stderr
        machine.remove(f"/etc/systemd/system/{SERVICE}.d/crash.conf")
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", SERVICE)
        # None of those that died had accepted it.
        output, errors = waiting.communicate(timeout=15)
        assert waiting.returncode == 0 and "healthy" in output, output + errors
    finally:
        machine.remove(library)
