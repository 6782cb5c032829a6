"""Rows and counts: results of any size, several at a time, row by row or as a whole."""

import tracemalloc

import pytest

import litebase

COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT ?) SELECT x, 'row ' || x FROM c"


def test_all_rows_of_a_large_result_come(connect):
    rows = connect().execute(COUNT, (25_000,)).fetchall()
    assert len(rows) == 25_000
    assert rows[-1] == (25_000, "row 25000")


def test_rows_come_one_by_one_in_few_bytes(connect):
    cursor = connect().execute(COUNT, (300_000,))
    tracemalloc.start()
    try:
        assert sum(x for x, _ in cursor) == 300_000 * 300_001 // 2
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20, f"{peak:,} bytes"


def test_ways_of_fetching_go_on_where_the_former_ended(connect):
    cursor = connect().execute(COUNT, (5_000,))
    assert cursor.fetchone()[0] == 1
    assert [x for x, _ in cursor.fetchmany(3)] == [2, 3, 4]
    assert next(cursor)[0] == 5
    for x, _ in cursor:
        if x == 2_500:
            break
    assert cursor.rowcount == -1
    rest = cursor.fetchall()
    assert (rest[0][0], len(rest), cursor.rowcount) == (2_501, 2_500, 5_000)
    assert cursor.fetchone() is None
    assert cursor.fetchmany(2) == []
    assert cursor.fetchall() == []


def test_a_second_statement_leaves_the_rows_of_the_first_alone(connect):
    connection = connect()
    outer = connection.execute(COUNT, (3_000,))
    total = 0
    for x, _ in outer:
        (double,) = connection.execute("SELECT 2 * ?", (x,)).fetchone()
        total += double
    assert total == 3_000 * 3_001


def test_an_error_behind_some_rows_is_raised_when_they_are_taken(connect):
    connection = connect()
    sql = COUNT.replace("x, 'row ' || x", "json_extract('[1]', iif(x < 190000, '$', '?'))")
    cursor = connection.execute(sql, (200_000,))
    assert connection.execute("SELECT 1").fetchone() == (1,)  # Reads what the first one still has.
    with pytest.raises(litebase.DatabaseError):
        cursor.fetchall()
    assert connection.execute("SELECT 2").fetchone() == (2,)


def test_a_closed_cursor_stops_its_statement(connect):
    connection = connect()
    with connection.execute(COUNT, (10_000_000,)) as cursor:
        assert cursor.fetchone()[0] == 1
    assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(litebase.InterfaceError):
        cursor.fetchone()


def test_counts_say_what_happened(connect):
    connection = connect()
    connection.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
    assert connection.execute("INSERT INTO t(b) VALUES (1), (2), (3)").rowcount == 3
    inserted = connection.execute("INSERT INTO t(b) VALUES (?) RETURNING a", (4,))
    assert (inserted.rowcount, inserted.lastrowid, inserted.fetchall()) == (1, 4, [(4,)])
    assert connection.execute("UPDATE t SET b = 0 WHERE a > 1").rowcount == 3
    assert connection.execute("DELETE FROM t WHERE a > 100").rowcount == 0
    selected = connection.execute("SELECT a FROM t")
    assert (selected.rowcount, selected.description[0][:2]) == (4, ("a", "integer"))
    assert selected.description[0][1] == litebase.NUMBER != litebase.STRING
    with pytest.raises(litebase.ProgrammingError, match="no rows to fetch"):
        connection.execute("DELETE FROM t").fetchone()


def test_rows_are_what_the_program_wants(connect):
    connection = connect(row_factory=litebase.dict_row)
    assert connection.execute("SELECT 1 AS one, 'x' AS text").fetchall() == [{"one": 1, "text": "x"}]
    cursor = connection.cursor()
    cursor.row_factory = None
    assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_counts_outlive_their_cursor(connect):
    connection = connect()
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    cursor = connection.execute("INSERT INTO t VALUES (7), (8)")
    cursor.close()
    assert (cursor.rowcount, cursor.lastrowid) == (2, 8)
    cursor.close()
    assert (cursor.rowcount, cursor.lastrowid) == (2, 8)
