"""The disk of the databases is full while the daemon runs: reads go on, whatever is restarted or killed; nothing has to be mended."""

import pytest

from machine import SERVICE

STATE = "/var/lib/litebase"
FILL = f"dd if=/dev/zero of={STATE}/fill bs=4096 count=4096 2>/dev/null; [ $(df --output=avail {STATE} | tail -1) = 0 ]"


@pytest.fixture
def small(machine):
    """The databases on a file system of 8 MiB."""
    machine.ping()
    machine.systemctl("stop", "litebase.socket", SERVICE)
    machine.shell(f"mount -t tmpfs -o size=8m,mode=0700,uid=$(id -u litebase),gid=$(id -g litebase) tmpfs {STATE}")
    machine.systemctl("start", "litebase.socket")
    yield machine
    machine.systemctl("stop", "litebase.socket", SERVICE)
    machine.run("umount", STATE)


def query(machine, sql):
    return machine.run("litebase", "query", sql, user="member", check=False)


def only_reads(machine):
    assert query(machine, "SELECT count(*) AS n FROM t").stdout == '{"n":1}\n'
    failed = query(machine, "INSERT INTO t VALUES (zeroblob(100000))")
    assert failed.returncode == 1 and "Database or disk is full." in failed.stderr and "free some space" in failed.stderr, failed
    assert machine.run("litebase", "ping", "-d", "default", user="member", check=False).returncode == 0


def test_a_full_disk(small):
    machine = small
    for sql in ("CREATE TABLE t(x)", "INSERT INTO t VALUES (1)"):
        assert query(machine, sql).returncode == 0
    machine.shell(FILL)
    only_reads(machine)
    machine.systemctl("restart", SERVICE)
    only_reads(machine)
    pid = machine.main_pid()
    machine.run("kill", "-KILL", pid)
    machine.wait_restarted(pid)
    only_reads(machine)
    machine.remove(f"{STATE}/fill")
    assert query(machine, "INSERT INTO t VALUES (2)").returncode == 0
    assert query(machine, "PRAGMA integrity_check").stdout == '{"integrity_check":"ok"}\n'
