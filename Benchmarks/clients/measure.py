"""One measurement of clients.py, of a driver for Python: `measure.py DRIVER WHAT TARGET ROWS SELECTS`; prints JSON.

DRIVER: litebase, sqlite3, psycopg, adbc, pandas. WHAT: "rows" (point SELECTs, then all rows), "arrow", "frame".
TARGET: the name of a database of the daemon at $LITEBASE_SOCKET, the path of a file, or a connection string.
"""

import json
import statistics
import sys
import time

ALL = "SELECT id, number, name, price, text FROM item"
ONE = f"{ALL} WHERE id = "


def connect(driver, target):
    """A connection that commits each statement by itself, and its placeholder."""
    if driver == "litebase":
        import litebase

        connection = litebase.connect(target, autocommit=True)
        return connection, "$1" if connection.engine == "postgresql" else "?"
    if driver == "psycopg":
        import psycopg

        return psycopg.connect(target, autocommit=True), "%s"
    if driver == "adbc":
        import adbc_driver_sqlite.dbapi

        return adbc_driver_sqlite.dbapi.connect(target), "?"
    import sqlite3

    return sqlite3.connect(target, isolation_level=None), "?"


def rows(connection, mark, count, selects):
    cursor, taken = connection.cursor(), []
    for number in range(selects):
        key = number * 7919 % count
        began = time.perf_counter()
        cursor.execute(ONE + mark, (key,))
        row = cursor.fetchone()
        taken.append(time.perf_counter() - began)
        assert row[0] == key, row
    began = time.perf_counter()
    cursor.execute(ALL)
    found = cursor.fetchall()
    seconds = time.perf_counter() - began
    assert len(found) == count
    return {"point_us": statistics.median(taken) * 1e6, "seconds": seconds}


def timed(connection, make, count):
    # The first statement of a connection opens the file.
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM (SELECT id FROM item LIMIT 10)")
    assert cursor.fetchone()[0] == 10
    cursor.close()
    began = time.perf_counter()
    made = make()
    seconds = time.perf_counter() - began
    assert len(made) == count
    return {"seconds": seconds}


def arrow(connection):
    cursor = connection.cursor()
    cursor.execute(ALL)
    return cursor.fetch_arrow_table()


def frame(driver, connection):
    import pandas

    return connection.execute(ALL).fetch_df() if driver == "litebase" else pandas.read_sql(ALL, connection)


def main():
    driver, what, target, count, selects = *sys.argv[1:4], *map(int, sys.argv[4:6])
    connection, mark = connect(driver, target)
    if what == "rows":
        found = rows(connection, mark, count, selects)
    else:
        if what == "arrow":
            import pyarrow  # noqa: F401 - not its import is measured
        else:
            import pandas  # noqa: F401
        found = timed(connection, lambda: arrow(connection) if what == "arrow" else frame(driver, connection), count)
    connection.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
