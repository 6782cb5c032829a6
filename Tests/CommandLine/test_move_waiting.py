"""`litebase move --switch`: who waits for its lock gets an error, whatever it is that he wants to change."""

import re
import sqlite3
import subprocess
import time

import pytest

from daemon import LITEBASE
from directories import directory  # noqa: F401
from test_move import Held, VIEWED, make_place, server  # noqa: F401

FOUND = VIEWED + "; CREATE VIRTUAL TABLE found USING fts5(word); INSERT INTO found VALUES ('old')"
WAITERS = {
    "search": ["query", "-d", "shop", "INSERT INTO found(word) VALUES ('new')"],
    "session": ["query", "-d", "shop", "BEGIN IMMEDIATE; DROP TABLE t; COMMIT"],
    "deferred": ["query", "-d", "shop", "BEGIN; DROP VIEW w; COMMIT"],
    "savepoint": ["query", "-d", "shop", "SAVEPOINT a; INSERT INTO found(word) VALUES ('new'); RELEASE a"],
    "restore": ["restore", "shop", "OTHER", "--yes"],
    "drop": ["query", "-d", "shop", "DROP TABLE t"],
    "alter": ["query", "-d", "shop", "ALTER TABLE t ADD COLUMN more TEXT DEFAULT 'x'"],
    "insert": ["query", "-d", "shop", "INSERT INTO t(v) VALUES ('c')"],
}


@pytest.mark.parametrize("name", WAITERS)
def test_who_waits_is_refused(make_place, tmp_path, name):  # noqa: F811
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as made:
        made.executescript("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t(v) VALUES ('restored')")
    made.close()
    place = make_place(FOUND)
    with Held(place) as held:
        moving = held.start("--switch", "--accept", "virtual-table")
        words = [str(other) if word == "OTHER" else word for word in WAITERS[name]]
        waiter = subprocess.Popen([LITEBASE, *words, "--socket", place.daemon.socket_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True)
        time.sleep(1)
        assert waiter.poll() is None, waiter.communicate()
    output, errors = moving.communicate(timeout=60)
    assert moving.returncode == 0, (output, errors)
    said = waiter.communicate(timeout=60)
    file = sqlite3.connect(place.file)
    closed = file.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'litebase_moved_%'").fetchone()[0]
    file.close()
    # A transaction may have read the schema before the move was done: then it is that which is too old.
    expected = "was moved to PostgreSQL, and this file takes no more writes|Database is locked" if name in ("deferred", "savepoint") else "no more writes"
    assert re.search(expected, said[1]), said
    # docs/scaling.md: "Who has waited to write gets an error and not a lost row"; the file is closed to writers.
    assert waiter.returncode != 0 and closed == 3, (said, closed)
    assert place.psql("SELECT count(*) FROM t") == "2"


def test_a_database_is_open_again_without_the_triggers(make_place):  # noqa: F811
    place = make_place(FOUND)
    place.move("--retire", "--accept", "virtual-table")
    client = place.daemon.connect()
    for sql in ("INSERT INTO found(word) VALUES ('new')", "ALTER TABLE t ADD COLUMN more", "DELETE FROM t", "DROP TABLE t",
                "CREATE TABLE more(a)", "DROP VIEW w"):
        failed = client.fails("query", {"sql": sql, "database": "shop"})
        assert failed["code"] == "read_only" and "litebase_moved_" in failed["hint"], failed
    triggers = client.query("SELECT name FROM sqlite_schema WHERE name LIKE 'litebase_moved_%'", database="shop").rows
    session = client.call("db_connect", {"database": "shop"}).data["session"]
    for sql in ["BEGIN"] + [f'DROP TRIGGER "{name}"' for (name,) in triggers]:
        client.query(sql, session=session)
    # Within the transaction it is open; for others it is when that is committed.
    client.query("INSERT INTO t(v) VALUES ('c')", session=session)
    client.query("ROLLBACK", session=session)
    assert client.fails("query", {"sql": "DROP VIEW w", "database": "shop"})["code"] == "read_only"
    client.query("BEGIN", session=session)
    for (name,) in triggers:
        client.query(f'DROP TRIGGER "{name}"', session=session)
    client.query("INSERT INTO t(v) VALUES ('c')", session=session)
    client.query("COMMIT", session=session)
    client.query("DROP VIEW w", database="shop")
    client.query("INSERT INTO found(word) VALUES ('new')", database="shop")
