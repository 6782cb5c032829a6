"""Exports of whole tables in sessions, which several threads may read: what is written is what the session sees."""

import json
import random
import sqlite3
import threading

from transfers import hello, opened, transfer

MANY = 45_000
PADDING = "x" * 100


def make(directory, wal=True):
    path = directory / "d.db"
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = wal")
    database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, p TEXT)")
    database.execute("BEGIN")
    database.executemany("INSERT INTO t VALUES (?, ?, ?)", [(number, 100, PADDING) for number in range(MANY)])
    database.execute("COMMIT")
    return path, database


def export(client, directory, **data):
    path = directory / "exported"
    with opened(path) as descriptor:
        reply = transfer(client, "export", descriptor, **data)
    return path.read_bytes(), reply


def test_the_state_of_a_transaction_is_told(start_daemon, directory):
    path, _ = make(directory)
    with start_daemon(directory=directory, databases={"d": f"sqlite://{path}"}).connect() as client:
        hello(client)
        session = client.session(database="d")
        client.query("BEGIN", session=session)
        _, reply = export(client, directory, relation="t", session=session)
        assert reply["transaction"] == client.query("SELECT 1", session=session).transaction == "active"


def test_one_snapshot_in_a_transaction(start_daemon, directory):
    """The first read of a transaction while others commit without a pause."""
    path, database = make(directory)
    daemon = start_daemon(directory=directory, databases={"d": f"sqlite://{path}"})
    stop = threading.Event()

    def write():
        chosen = random.Random(1)
        other = sqlite3.connect(path, isolation_level=None, timeout=10)
        other.execute("PRAGMA synchronous = off")
        while not stop.is_set():
            source, target = chosen.randrange(MANY), chosen.randrange(MANY)
            other.execute("UPDATE t SET n = n + CASE id WHEN ? THEN -1 ELSE 1 END WHERE id IN (?, ?) AND ? <> ?",
                          [source, source, target, source, target])

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        with daemon.connect() as client:
            hello(client)
            session = client.session(database="d")
            for _ in range(40):
                client.query("BEGIN", session=session)
                content, _ = export(client, directory, relation="t", header=False, session=session)
                rows = [line.split(b",") for line in content.splitlines()]
                assert len(rows) == MANY and sum(int(row[1]) for row in rows) == 100 * MANY
                again, _ = export(client, directory, relation="t", header=False, session=session)
                assert again == content
                client.query("COMMIT", session=session)
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def test_a_temporary_view_that_hides_the_table(start_daemon, directory):
    """Its column `rowid` is no row number, and its columns are others than the table's."""
    path, _ = make(directory)
    with start_daemon(directory=directory, databases={"d": f"sqlite://{path}"}).connect() as client:
        hello(client)
        session = client.session(database="d")
        for columns in ("id AS rowid, n + 0 AS a", "id AS rowid, p AS n", "n AS rowid, id"):
            client.query(f"CREATE TEMP VIEW t AS SELECT {columns} FROM main.t", session=session)
            content, _ = export(client, directory, sql="SELECT * FROM t", format="jsonl", session=session)
            read = [list(json.loads(line).values()) for line in content.splitlines()]
            wanted = client.query("SELECT * FROM (SELECT * FROM t) WHERE 1 + 1 = 2", session=session).rows
            assert read == wanted, columns
            assert client.query("SELECT * FROM t", session=session).rows == wanted
            client.query("DROP VIEW temp.t", session=session)
