"""What a transfer has had open is closed when it has ended, whoever else was there meanwhile."""

import contextlib
import os
import sqlite3

import pytest

from daemon import ENDLESS, counting, wait_until
from transfers import hello, open_files, opened, transfer

READ = os.O_RDONLY


def do_restore(client, path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        database.execute("INSERT INTO t " + counting(1000, "x, randomblob(1000)"))
        database.commit()
    with opened(path, READ) as descriptor:
        transfer(client, "restore", descriptor, database="default")


def do_import(client, path):
    path.write_text("id,a\n" + "".join(f"{number},a\n" for number in range(1000)))
    with opened(path, READ) as descriptor:
        transfer(client, "import", descriptor, database="default", relation="t", format="csv")


def do_export(client, path):
    with opened(path) as descriptor:
        transfer(client, "export", descriptor, database="default", relation="t", format="csv")


def do_backup(client, path):
    with opened(path) as descriptor:
        transfer(client, "backup", descriptor, database="default")


@pytest.mark.parametrize("work", [do_restore, do_import, do_export, do_backup])
def test_nothing_stays_open(start_daemon, directory, work):
    daemon = start_daemon("--loops", 1)
    path = directory / "file"
    with daemon.connect() as client, daemon.connect() as other:
        hello(client)
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        endless = [other.send_query(ENDLESS) for _ in range(3)]
        wait_until(lambda: daemon.cpu_seconds() > 0.1, "they run")
        work(client, path)
        for id in endless:
            other.call("cancel", {"request": id})
        for _ in range(50):
            client.query("SELECT 1")

        def left():
            return [name for name in open_files(daemon.pid).values() if "restore" in name or name.startswith(str(path))]

        wait_until(lambda: not left(), f"{left()} closed", timeout=3)
