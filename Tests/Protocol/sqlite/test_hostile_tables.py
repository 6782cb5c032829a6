"""Whole tables, and rows by their number, where the table's shape is rare, or the name is that of something else."""

import sqlite3
import time

import pytest

from daemon import counting

MANY = 30_000


@pytest.fixture(scope="module")
def served(daemon):
    """A table of the shared daemon, and another way to its file."""
    with daemon.connect() as client:
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, p TEXT)")
        client.query(f"INSERT INTO t SELECT x, x % 7, printf('%0100d', x) FROM ({counting(MANY)})")
    other = sqlite3.connect(daemon.directory / "state" / "default.db", isolation_level=None)
    yield daemon, other
    other.close()


VIEWS = ["id, p", "p, id", "*", "rowid, id, p", "id AS rowid, p AS n", "n AS rowid, id", "p AS rowid, id"]


@pytest.mark.parametrize("columns", VIEWS)
def test_views(served, columns):
    """A view of plain columns has the program of its table; its row number is NULL, or a column."""
    daemon, other = served
    other.execute("DROP VIEW IF EXISTS v")
    other.execute(f"CREATE VIEW v AS SELECT {columns} FROM t")
    wanted = [list(row) for row in other.execute("SELECT * FROM v")]
    with daemon.connect() as client:
        session = client.session()
        assert client.query("SELECT * FROM v").rows == wanted
        assert client.query("SELECT * FROM v", session=session).rows == wanted


@pytest.mark.parametrize("name", ["t", "own"])
@pytest.mark.parametrize("columns", VIEWS)
def test_temporary_views(served, name, columns):
    """The name is that of a table to everybody else, or to nobody."""
    daemon, other = served
    wanted = [list(row) for row in other.execute(f"SELECT {columns} FROM t")]
    with daemon.connect() as client:
        session = client.session()
        client.query(f"CREATE TEMP VIEW {name} AS SELECT {columns} FROM main.t", session=session)
        assert client.query(f"SELECT * FROM {name}", session=session).rows == wanted


def test_rows_on_both_sides_of_zero(start_daemon):
    """A page that ends with row -1 has a range of numbers that is as wide as the greatest number of 64 bits."""
    daemon = start_daemon("--loops", 1)
    with daemon.connect() as client:
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
        client.query(f"INSERT INTO t SELECT x - 5, printf('%0900d', x) FROM ({counting(100)})")
        for _ in range(4):
            ids = [client.send_query("SELECT id FROM t WHERE id = ?", [key]) for key in range(-20, 40)]
            assert [len(client.collect(id).rows) for id in ids] == [int(key >= -4) for key in range(-20, 40)]


@pytest.mark.parametrize("change", ["ADD COLUMN b", "RENAME COLUMN a TO b"])
def test_columns_of_a_statement_that_is_older_than_its_reader(start_daemon, change):
    """It was prepared before the schema changed, and looked at for the first time after another statement has noticed that."""
    daemon = start_daemon("--loops", 1)
    other = sqlite3.connect(daemon.directory / "state" / "default.db", isolation_level=None)
    with daemon.connect() as client:
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        client.query("INSERT INTO t VALUES (1, 1)")
        for _ in range(40):
            client.query("SELECT * FROM t WHERE id = ?", [1])
            time.sleep(0.001)  # So seldom that no snapshot is held.
        other.execute(f"ALTER TABLE t {change}")
        client.query("SELECT count(*) FROM sqlite_schema")
        ids = [client.send_query("SELECT id + 1 FROM t") for _ in range(400)]
        ids.append(client.send_query("SELECT * FROM t WHERE id = ?", [1]))
        result = [client.collect(id) for id in ids][-1]
        assert result.names == [column[0] for column in other.execute("SELECT * FROM t").description]
        assert result.rows == [list(row) for row in other.execute("SELECT * FROM t")]
    other.close()
