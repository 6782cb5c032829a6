"""The socket for those who only watch: a unit that somebody has to enable, and a group that opens no database."""

import pytest

from machine import SERVICE, wait_until

UNIT, PATH = "litebase-monitor.socket", "/run/litebase/monitor.sock"
EX_NOPERM = 77  # sysexits.h


@pytest.fixture
def watcher(machine):
    """A user who is in the group for watching, and in no other of ours."""
    machine.run("useradd", "--create-home", "watcher")
    machine.run("usermod", "-aG", "litebase-monitor", "watcher")
    yield machine
    machine.systemctl("disable", "--now", UNIT, check=False)
    machine.systemctl("stop", SERVICE)
    machine.run("userdel", "--remove", "watcher")


def test_it_is_not_there_unless_somebody_enables_it(machine):
    assert machine.output("systemctl", "is-enabled", UNIT, check=False) == "disabled"
    machine.ping()
    assert machine.state(UNIT) == "inactive" and not machine.path(PATH).exists()
    assert machine.output("getent", "group", "litebase-monitor").endswith(":")
    shown = machine.run("systemd-analyze", "verify", UNIT, check=False)
    assert (shown.returncode, shown.stdout + shown.stderr) == (0, "")


def test_enabled_as_the_guide_says_it_serves_watchers_and_nobody_else(watcher, connect):
    machine = watcher
    client = connect()
    client.query("CREATE TABLE IF NOT EXISTS watched(x)")
    before = machine.main_pid()
    machine.systemctl("enable", UNIT)
    machine.systemctl("restart", "litebase.socket")
    machine.wait_restarted(before)
    assert machine.state(UNIT) == "active"
    # The connections of others have noticed nothing.
    assert client.query("SELECT count(*) FROM watched").value == 0

    def run(*arguments, user="watcher"):
        return machine.run("litebase", *arguments, "--socket", PATH, user=user, check=False)

    for arguments in (("ping", "-c", "1"), ("ping", "-c", "1", "-d", "default"), ("status",), ("databases",)):
        done = run(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    assert "root" in run("status").stdout and '"access":"none"' in run("databases").stdout
    refused = run("query", "SELECT count(*) FROM watched")
    assert refused.returncode == EX_NOPERM and "may only ask how the daemon is" in refused.stderr
    assert machine.run("litebase", "ping", "-c", "1", user="watcher", check=False).returncode == EX_NOPERM
    assert run("ping", "-c", "1", user="stranger").returncode == EX_NOPERM
    # A member of litebase is no member of this one; root is let in, and not to databases.
    assert run("ping", "-c", "1", user="member").returncode == EX_NOPERM
    assert run("query", "SELECT 1", user=None).returncode == EX_NOPERM and run("reload", user=None).returncode == 0


def test_it_starts_the_daemon_and_outlives_it(watcher):
    machine = watcher
    machine.systemctl("start", UNIT)
    assert machine.state() == "inactive"
    machine.ping(PATH, user="watcher")
    pid = machine.main_pid()
    machine.run("kill", "-KILL", pid)
    machine.wait_restarted(pid)
    machine.ping(PATH, user="watcher")
    machine.systemctl("restart", SERVICE)
    machine.ping(PATH, user="watcher")
    machine.ping(user="member")


def test_stopped_it_leaves_nothing_and_the_service_alone(watcher):
    machine = watcher
    machine.systemctl("start", UNIT)
    machine.ping(PATH, user="watcher")
    machine.systemctl("stop", UNIT)
    assert not machine.path(PATH).exists() and machine.state() == "active"
    machine.ping(user="member")
    machine.systemctl("restart", SERVICE)
    machine.ping(user="member")
    wait_until(lambda: machine.state(UNIT) == "inactive", "it stays stopped")
