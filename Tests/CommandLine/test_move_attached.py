"""A database that was moved takes no more writes through the daemon, whichever way they come (docs/scaling.md)."""

import contextlib
import sqlite3
import subprocess

import pytest

from daemon import LITEBASE, Daemon
from directories import directory  # noqa: F401
from test_move import make_place, server  # noqa: F401
from wire import RequestFailed

# It starts a database server.
pytestmark = pytest.mark.slow

SCRIPT = "CREATE TABLE t(a); INSERT INTO t VALUES (1); CREATE VIRTUAL TABLE words USING fts5(body); INSERT INTO words VALUES ('one')"


@pytest.mark.parametrize("sql", ["INSERT INTO moved.words VALUES ('lost')", "CREATE TABLE moved.lost(a)", "CREATE INDEX moved.lost ON t(a)",
                                 "PRAGMA moved.user_version = 7"])
def test_writes_by_attach(make_place, sql):  # noqa: F811
    place = make_place(SCRIPT)
    place.move("--accept", "all", "--retire")
    with place.daemon.connect() as client:
        session = client.session(database="default")
        client.query(f"ATTACH '{place.file}' AS moved", session=session)
        with pytest.raises(RequestFailed):
            client.query(sql, session=session)


def test_its_own_number(make_place):  # noqa: F811
    """Programs keep the version of their schema in it."""
    place = make_place(SCRIPT)
    place.move("--accept", "all", "--retire")
    with place.daemon.connect() as client, pytest.raises(RequestFailed):
        client.query("PRAGMA user_version = 7", database="shop")


LATE = ["INSERT INTO words VALUES ('lost')", "CREATE TABLE lost(a)"]


def is_taken(client, sql, database):
    try:
        client.query(sql, database=database)
        return True
    except RequestFailed:
        return False


def test_another_name_of_the_file(make_place):  # noqa: F811
    """docs/operations.md: one file, two databases."""
    place = make_place(SCRIPT)
    place.add("second_name", f"sqlite:{place.file}")
    with place.daemon.connect() as client:
        client.call("reload")
        client.query("INSERT INTO words VALUES ('before')", database="second_name")
        place.move("--accept", "all", "--retire")
        assert [sql for sql in LATE if is_taken(client, sql, "second_name")] == []


@contextlib.contextmanager
def another_daemon(place):
    """One that has written into the file before it is moved."""
    other = Daemon(databases={"shop": f"sqlite:{place.file}"})
    try:
        with other.connect() as client:
            client.query("INSERT INTO words VALUES ('before')", database="shop")
            place.move("--accept", "all", "--retire")
            yield other, client
    finally:
        other.finish()


def test_another_daemon_that_had_the_file_open(make_place):  # noqa: F811
    with another_daemon(make_place(SCRIPT)) as (_, client):
        assert [sql for sql in LATE if is_taken(client, sql, "shop")] == []


def test_a_restore_by_another_daemon(make_place):  # noqa: F811
    """It would take away the triggers that close the file."""
    with another_daemon(make_place(SCRIPT)) as (other, _):
        backup = other.directory / "backup.db"
        with sqlite3.connect(backup) as made:
            made.execute("CREATE TABLE t(a)")
        made.close()
        done = subprocess.run([LITEBASE, "restore", "shop", backup, "--yes", "--socket", other.socket_path], capture_output=True, timeout=30,
                              check=False)
        assert done.returncode != 0, done
