"""Backups and exports through the unit's sandbox: the client opens the file, and the daemon, which cannot see it, writes."""

import re

import pytest

from machine import SERVICE

EXAMPLES = "/usr/share/doc/litebase/examples/systemd"
ROWS = 20_000
COPIES = "/var/backups/litebase"


@pytest.fixture
def filled(machine):
    machine.run("litebase", "query", "CREATE TABLE moved(a INTEGER, b TEXT)", user="member")
    machine.run("litebase", "query", "INSERT INTO moved WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ?) "
                "SELECT x, 'text of ' || x FROM c", ROWS, user="member")
    yield machine
    machine.run("litebase", "query", "DROP TABLE moved", user="member")
    for unit in ("litebase-backup.timer", "litebase-backup.service"):
        machine.systemctl("disable", "--now", unit, check=False)
        machine.remove(f"/etc/systemd/system/{unit}")
    machine.systemctl("daemon-reload")
    machine.remove(COPIES, "/home/member/copy.db", "/home/member/rows.csv")


def rows_of(machine, path):
    script = "import sqlite3, sys; print(*sqlite3.connect(f'file:{sys.argv[1]}?immutable=1', uri=True).execute('SELECT count(*) FROM moved').fetchone())"
    return int(machine.output("python3", "-c", script, path))


def test_a_member_copies_a_database_and_exports_rows_to_his_own_files(filled):
    filled.run("litebase", "backup", "-d", "default", "/home/member/copy.db", user="member")
    assert rows_of(filled, "/home/member/copy.db") == ROWS
    assert filled.output("stat", "-c", "%U %a", "/home/member/copy.db") == "member 600"
    filled.run("litebase", "export", "SELECT a, b FROM moved ORDER BY a", "-o", "/home/member/rows.csv", user="member")
    lines = filled.path("/home/member/rows.csv").read_text().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (ROWS + 1, "a,b", f"{ROWS},text of {ROWS}")
    piped = filled.shell("litebase export 'SELECT a FROM moved' | wc -l", user="member")
    assert piped.stdout.strip() == str(ROWS + 1), piped
    assert filled.state() == "active"


def test_a_stranger_copies_nothing(filled):
    refused = filled.run("litebase", "backup", "-d", "default", "/tmp/strangers.db", user="stranger", check=False)
    assert refused.returncode == 77 and not filled.path("/tmp/strangers.db").exists(), refused


def test_the_daily_backup(filled):
    """As the guide says; a second copy goes beside the first, and only as many stay as the unit says."""
    for name in ("litebase-backup.service", "litebase-backup.timer"):
        filled.run("cp", f"{EXAMPLES}/{name}", "/etc/systemd/system/")
    filled.systemctl("daemon-reload")
    filled.systemctl("enable", "--now", "litebase-backup.timer")
    assert "litebase-backup.timer" in filled.output("systemctl", "list-timers", "--no-pager", "litebase-backup.timer")
    # The service need not run, and is stopped again by nobody.
    filled.systemctl("stop", SERVICE)
    filled.systemctl("start", "litebase-backup.service", timeout=60)
    [copy] = filled.output("ls", COPIES).split()
    assert re.match(r"default.*\.db$", copy) and rows_of(filled, f"{COPIES}/{copy}") == ROWS
    assert filled.output("stat", "-c", "%U %a", COPIES, f"{COPIES}/{copy}").splitlines() == ["root 700", "root 600"]
    filled.shell("sleep 1.1")  # their names have seconds
    filled.systemctl("start", "litebase-backup.service", timeout=60)
    assert len(filled.output("ls", COPIES).split()) == 2
    # What the guide says of a restore.
    filled.run("litebase", "query", "DELETE FROM moved", user="member")
    filled.systemctl("stop", "litebase.socket", SERVICE)
    filled.run("install", "-o", "litebase", "-g", "litebase", "-m", "0600", f"{COPIES}/{copy}", "/var/lib/litebase/default.db")
    filled.shell("rm -f /var/lib/litebase/default.db-wal /var/lib/litebase/default.db-shm")
    filled.systemctl("start", "litebase.socket")
    counted = filled.output("litebase", "query", "SELECT count(*) FROM moved", "--format", "csv", user="member")
    assert counted.split()[-1] == str(ROWS)
