"""Copies and what SQLite takes for a part of them: logs and journals that lie beside a file, and programs that have it open."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from daemon import LITEBASE, counting, wait_until
from directories import directory  # noqa: F401
from test_transfers import run, start_daemon  # noqa: F401
from transfers import hello, opened, transfer_fails


@pytest.fixture
def served(start_daemon, directory):  # noqa: F811
    daemon = start_daemon(directory=directory, databases={"geo": f"sqlite:{directory}/geo.db"})
    with daemon.connect() as client:
        client.query("CREATE TABLE t(a)", database="geo")
        client.query("INSERT INTO t VALUES (1), (2)", database="geo")
    return daemon


def rows(daemon):
    with daemon.connect() as client:
        return client.query("SELECT count(*) FROM t", database="geo").value


def left_by_who_has_died(path, mode, script):
    """A database whose program was killed in the middle of what it did."""
    program = f"""import os, sqlite3
c = sqlite3.connect({str(path)!r}, isolation_level=None)
c.execute("PRAGMA journal_mode = {mode}"); c.execute("PRAGMA cache_size = 5"); c.execute("PRAGMA wal_autocheckpoint = 0")
{script}
os._exit(0)"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_file_with_a_log_is_not_restored(served, directory, tmp_path):  # noqa: F811
    left_by_who_has_died(tmp_path / "src.db", "wal", "c.execute('CREATE TABLE t(a)'); c.execute('INSERT INTO t VALUES (7)')")
    refused = run(served, "restore", "geo", tmp_path / "src.db", status=65)
    assert "src.db-wal has more of this database" in refused.stderr and rows(served) == 2
    # By the way that the message names.
    with sqlite3.connect(tmp_path / "src.db") as source, sqlite3.connect(tmp_path / "whole.db") as whole:
        source.backup(whole)
    source.close(), whole.close()
    run(served, "restore", "geo", tmp_path / "whole.db")
    assert rows(served) == 1


def test_a_file_in_the_middle_of_a_transaction_is_not_restored(served, tmp_path):
    left_by_who_has_died(tmp_path / "src.db", "delete", """
c.execute('CREATE TABLE t(a)'); c.execute('BEGIN')
for n in range(20_000): c.execute('INSERT INTO t VALUES (?)', (n,))""")
    assert os.path.getsize(tmp_path / "src.db-journal") > 0
    refused = run(served, "restore", "geo", tmp_path / "src.db", status=65)
    assert "src.db-journal" in refused.stderr and rows(served) == 2
    # Of a transaction that has ended, whatever the journal's mode.
    for mode in ("persist", "truncate"):
        left_by_who_has_died(tmp_path / f"{mode}.db", mode, "c.execute('CREATE TABLE t(a)'); c.close()")
        assert os.path.exists(tmp_path / f"{mode}.db-journal")
        run(served, "restore", "geo", tmp_path / f"{mode}.db")
        assert rows(served) == 0


def test_a_database_is_not_restored_from_itself(served, directory):  # noqa: F811
    run(served, "restore", "geo", directory / "geo.db", status=65)
    with served.connect() as client:
        hello(client)
        with opened(directory / "geo.db", os.O_RDONLY) as descriptor:
            error = transfer_fails(client, "restore", descriptor, database="geo")
    assert error["code"] == "bad_request" and "locks" in error["message"] and rows(served) == 2


def test_a_log_beside_the_name_of_a_copy_is_not_taken_for_its(served, tmp_path):
    left_by_who_has_died(tmp_path / "night.db", "wal", "c.execute('CREATE TABLE other(a)'); c.execute('INSERT INTO other VALUES (1)')")
    refused = run(served, "backup", "-d", "geo", tmp_path / "night.db", status=64)
    assert "exists" in refused.stderr
    run(served, "backup", "-d", "geo", tmp_path / "night.db", "--force")
    assert sorted(os.listdir(tmp_path)) == ["night.db"]
    with sqlite3.connect(tmp_path / "night.db") as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    (tmp_path / "new.db-wal").write_bytes(b"something")
    refused = run(served, "backup", "-d", "geo", tmp_path / "new.db", status=64)
    assert "new.db-wal is there" in refused.stderr and not (tmp_path / "new.db").exists()


def test_a_copy_can_be_read_where_nobody_may_write(served, tmp_path):
    run(served, "backup", "-d", "geo", tmp_path / "copy.db")
    header = (tmp_path / "copy.db").read_bytes()[18:20]
    assert header == b"\x01\x01", "SQLite would make a log beside it"
    with sqlite3.connect(f"file:{tmp_path}/copy.db?mode=ro", uri=True) as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    assert sorted(os.listdir(tmp_path)) == ["copy.db"]


def test_a_copy_does_not_take_the_place_of_a_database_in_use(served, directory):  # noqa: F811
    before = os.stat(directory / "geo.db").st_ino
    refused = run(served, "backup", "-d", "geo", directory / "geo.db", "--force", status=64)
    assert "has open" in refused.stderr and os.stat(directory / "geo.db").st_ino == before and rows(served) == 2


def test_a_database_that_is_gone_is_no_reason_to_delete_its_copies(start_daemon, directory, tmp_path):  # noqa: F811
    disk = directory / "disk"
    disk.mkdir()
    daemon = start_daemon(directory=directory, databases={"geo": f"sqlite:{disk}/geo.db"})
    copies = ["geo-20200101T000000Z.db"]
    (tmp_path / copies[0]).write_bytes(b"of a day when it was there")
    for _ in range(2):
        failed = run(daemon, "backup", "--all", tmp_path, "--keep", "1", status=1)
        assert "geo was not copied" in failed.stderr and "no file" in failed.stderr
    assert os.listdir(tmp_path) == copies and os.listdir(disk) == []


def test_a_collation_of_an_application(start_daemon, directory, tmp_path):  # noqa: F811
    with sqlite3.connect(directory / "geo.db") as made:
        made.create_collation("german", lambda a, b: (a > b) - (a < b))
        made.execute("CREATE TABLE t(a TEXT COLLATE german)")
        made.execute("CREATE INDEX i ON t(a)")
        made.executemany("INSERT INTO t VALUES (?)", [(str(n),) for n in range(100)])
    made.close()
    daemon = start_daemon(directory=directory, databases={"geo": f"sqlite:{directory}/geo.db"})
    copied = run(daemon, "backup", "-d", "geo", tmp_path / "copy.db")
    assert "was not checked" in copied.stderr and "german" in copied.stderr
    run(daemon, "restore", "geo", tmp_path / "copy.db")
    assert rows(daemon) == 100


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_check_is_interrupted(served, directory, tmp_path, sign):  # noqa: F811
    """Of a database for which it takes a while."""
    with served.connect() as client:
        client.query("CREATE TABLE long(a INTEGER PRIMARY KEY, b CHECK (length(hex(zeroblob(3000))) > length(b)))", database="geo")
        client.query(f"INSERT INTO long {counting(300_000, 'x, hex(x)')}", database="geo")
        size = client.query("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", database="geo").value
    copying = subprocess.Popen([LITEBASE, "backup", "--socket", served.socket_path, "-d", "geo", tmp_path / "copy.db"],
                               stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "copy.db.partial"
    wait_until(lambda: copying.poll() is not None or partial.exists() and partial.stat().st_size >= size, "all pages are there")
    copying.send_signal(sign)
    copying.communicate(timeout=30)
    assert copying.returncode != 0 and os.listdir(tmp_path) == []
