"""Transactions: what begins them, what ends them, and what is left of an executemany."""

import sqlite3

import pytest

import litebase

ROWS = 100_000


@pytest.fixture
def table(daemon, tmp_path):
    """A file database, by a URL, with an empty table."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    database.close()
    return f"sqlite:{path}"


def test_a_transaction_begins_with_the_first_statement(connect, table):
    writer, reader = connect(url=table), connect(url=table, autocommit=True)
    writer.execute("INSERT INTO t VALUES (1, 'x')")
    assert writer.in_transaction
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
    writer.commit()
    assert not writer.in_transaction
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    writer.execute("DELETE FROM t")
    writer.rollback()
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    writer.commit()
    writer.rollback()


def test_with_autocommit_none_begins(connect, table):
    connection = connect(url=table, autocommit=True)
    connection.execute("INSERT INTO t VALUES (1, 'x')")
    assert not connection.in_transaction
    assert connect(url=table).execute("SELECT count(*) FROM t").fetchone() == (1,)
    with connection.transaction(), pytest.raises(litebase.ProgrammingError, match="transaction is open"):
        connection.autocommit = False
    connection.autocommit = False
    connection.execute("SELECT 1")
    assert connection.in_transaction


def test_a_savepoint_that_comes_first_is_within_the_transaction(connect, table):
    """SQLite would commit with its release, and servers have none without a transaction (test_sqlalchemy.py)."""
    writer, reader = connect(url=table), connect(url=table, autocommit=True)
    for end, count in ((writer.rollback, 0), (writer.commit, 1)):
        writer.execute("SAVEPOINT mine")
        writer.execute("INSERT INTO t VALUES (1, 'x')")
        writer.execute("RELEASE mine")
        assert writer.in_transaction
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
        end()
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (count,)
    reader.execute("SAVEPOINT mine")
    reader.execute("DELETE FROM t")
    reader.execute("RELEASE mine")
    assert not reader.in_transaction


def test_the_programs_own_words_are_left_alone(connect, table):
    connection = connect(url=table)
    connection.execute("-- mine\n begin immediate")
    connection.execute("INSERT INTO t VALUES (1, 'x')")
    connection.execute("commit")
    connection.execute("PRAGMA user_version = 3")
    connection.execute("VACUUM")
    assert not connection.in_transaction


def test_leaving_the_connection_commits_or_rolls_back(connect, table):
    with connect(url=table) as connection:
        connection.execute("INSERT INTO t VALUES (1, 'x')")
    assert connection.closed
    with pytest.raises(ZeroDivisionError), connect(url=table) as connection:
        connection.execute("INSERT INTO t VALUES (2, 'x')")
        1 / 0  # noqa: B018
    assert connect(url=table).execute("SELECT a FROM t").fetchall() == [(1,)]
    with pytest.raises(litebase.InterfaceError, match="closed"):
        connection.execute("SELECT 1")


def test_blocks_nest(connect, table):
    connection = connect(url=table, autocommit=True)
    with connection.transaction():
        connection.execute("INSERT INTO t VALUES (1, 'x')")
        with pytest.raises(litebase.IntegrityError), connection.transaction():
            connection.execute("INSERT INTO t VALUES (2, 'x')")
            connection.execute("INSERT INTO t VALUES (1, 'again')")
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (3, 'x')")
    assert not connection.in_transaction
    assert connection.execute("SELECT a FROM t").fetchall() == [(1,), (3,)]


@pytest.mark.parametrize("autocommit", [True, False])
def test_many_rows_go_in_or_none(connect, table, autocommit):
    connection = connect(url=table, autocommit=autocommit)
    rows = ({"a": a, "b": b"x" * 30} for a in range(ROWS))
    assert connection.executemany("INSERT INTO t VALUES (:a, :b)", rows).rowcount == ROWS
    connection.commit()
    rows = ((a, "again") for a in range(2 * ROWS, ROWS - 2, -1))
    with pytest.raises(litebase.IntegrityError) as failure:
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    assert failure.value.row_index is not None
    connection.rollback()
    assert connection.execute("SELECT count(*), sum(b = 'again') FROM t").fetchone() == (ROWS, 0)

    def broken():
        yield from ((a, "broken") for a in range(ROWS, 2 * ROWS))
        raise KeyError("the program's own")

    with pytest.raises(KeyError):
        connection.executemany("INSERT INTO t VALUES (?, ?)", broken())
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (ROWS,)
    assert connection.executemany("DELETE FROM t WHERE a = ?", []).rowcount == 0
    with pytest.raises(litebase.ProgrammingError, match="by name"):
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, 2), {"a": 1}])


def test_errors_say_what_they_know(connect, table):
    connection = connect(url=table)
    with pytest.raises(litebase.ProgrammingError) as failure:
        connection.execute("SELECT *\nFROM t WHERE ORDER")
    error = failure.value
    assert (error.code, error.sqlstate, error.position["line"]) == ("syntax_error", "42601", 2)
    connection.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(litebase.IntegrityError) as failure:
        connection.execute("INSERT INTO t VALUES (1, 'x')")
    assert (failure.value.sqlstate, failure.value.vendor_code, failure.value.retryable) == ("23505", 1555, False)
    with pytest.raises(litebase.ProgrammingError, match="placeholder"):
        connection.execute("SELECT ?")
    assert connection.in_transaction
    connection.rollback()
    with pytest.raises(litebase.OperationalError) as failure:
        connect(url=table, read_only=True).execute("DELETE FROM t")
    assert failure.value.code == "read_only"
    with pytest.raises(litebase.OperationalError) as failure:
        connect("nowhere")
    assert failure.value.code == "database_not_found"


def test_who_waits_for_a_lock_learns_who_has_it(connect, table):
    first, second = connect(url=table), connect(url=table, timeout=0.3)
    first.execute("INSERT INTO t VALUES (1, 'x')")
    with pytest.raises((litebase.Busy, litebase.TimedOut)):
        second.execute("INSERT INTO t VALUES (2, 'x')")
    first.rollback()
    second.rollback()
    second.execute("INSERT INTO t VALUES (2, 'x')")


def test_a_block_whose_commit_fails_leaves_no_transaction(connect, table):
    connection = connect(url=table, autocommit=True)
    connection.execute("CREATE TABLE u(b REFERENCES t(a) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(litebase.IntegrityError), connection.transaction():
        connection.execute("INSERT INTO u VALUES (7)")
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM u").fetchone() == (0,)
