"""Another program gives an open database other content: its text encoding, and a table that hides one of an attached file."""

import contextlib
import sqlite3
import time

import pytest

from random_tables import make_file
from wire import RequestFailed


def made(path, encoding, rows):
    with contextlib.closing(make_file(path, encoding=encoding)) as database:
        database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        database.executemany("INSERT INTO t(a) VALUES (?)", rows)
    return path


@pytest.mark.parametrize("sql", ["SELECT count(*) FROM t", "INSERT INTO t(a) VALUES ('ü')"])
def test_another_encoding(start_daemon, directory, sql):
    """SQLite's connections do not change their encoding; those of the daemon are opened again then. `sqlite3 d.db ".restore n.db"` does this."""
    path, other = made(directory / "d.db", "UTF-8", [("d",)]), made(directory / "n.db", "UTF-16le", [("n",)] * 3)
    daemon = start_daemon(databases={"d": f"sqlite:{path}"}, directory=directory)
    with daemon.connect() as client:
        assert client.query("SELECT a FROM t", database="d").rows == [["d"]]
        client.query("UPDATE t SET a = 'd'", database="d")
        with contextlib.closing(sqlite3.connect(other)) as source, contextlib.closing(sqlite3.connect(path)) as target:
            source.backup(target)
        asked(client, sql)
        assert asked(client, "SELECT DISTINCT a FROM t WHERE id < 4").rows == [["n"]]


def asked(client, sql):
    """What it gives, once the connections that had the former encoding are gone: each is known by an error."""
    for attempt in range(10):
        try:
            return client.query(sql, database="d")
        except RequestFailed as failure:
            assert attempt < 9 and "encoding" in str(failure), failure
            time.sleep(0.05)


def test_a_name_that_comes_to_mean_a_table_of_the_file(start_daemon, directory):
    """Texts that the session has sent before mean what new ones mean."""
    path, other = directory / "d.db", made(directory / "n.db", "UTF-8", [("attached",)])
    make_file(path).close()
    daemon = start_daemon(databases={"d": f"sqlite:{path}"}, directory=directory)
    with daemon.connect() as client, daemon.connect() as stranger:
        session = client.session(database="d")
        client.query(f"ATTACH '{other}' AS other", session=session)
        for _ in range(20):
            assert client.query("SELECT a FROM t", session=session).rows == [["attached"]]
        stranger.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a)", database="d")
        stranger.query("INSERT INTO t(a) VALUES ('main')", database="d")
        # The session knows of the table from now on.
        assert client.query("SELECT a FROM main.t", session=session).rows == [["main"]]
        assert client.query("SELECT  a FROM t", session=session).rows == [["main"]]
        assert client.query("SELECT a FROM t", session=session).rows == [["main"]]
