"""The driver beside the usual one of each engine: a point SELECT, and all rows of a large table.

    python clients/python/benchmarks/compare.py [--rows 1000000] [--repetitions 7] [--selects 2000]

Drivers take turns within each repetition, so that a machine that is busy is so for all of them; medians are compared. The
servers are of the benchmark's own (Tests/Support). A driver that is not installed is left out, by name.
"""

import argparse
import contextlib
import importlib.util
import pathlib
import sqlite3
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "Tests/Support"), str(ROOT / "clients/python/src")]

from daemon import Daemon  # noqa: E402
from mariadb import MariaDB  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402

import litebase  # noqa: E402

CREATE = "CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, price DOUBLE PRECISION NOT NULL)"


def rows(count):
    return ((number, f"the item with number {number}", number * 0.25) for number in range(count))


@contextlib.contextmanager
def sqlite(count):
    daemon = Daemon(log_level="warning")
    path = daemon.directory / "default.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(CREATE)
    database.executemany("INSERT INTO item VALUES (?, ?, ?)", rows(count))
    database.commit()
    yield (
        "?",
        {
            "litebase": litebase.connect(url=f"sqlite:{path}", socket=daemon.socket_path, autocommit=True),
            "sqlite3": database,
        },
    )
    database.close()
    daemon.discard()


@contextlib.contextmanager
def behind(server, mark, others):
    """Parameters: `others` is what makes a connection of each driver's module, by its name."""
    daemon = Daemon(databases={"server": server.url()}, log_level="warning")
    connections = {"litebase": litebase.connect("server", socket=daemon.socket_path, autocommit=True)}
    for name, open_other in others.items():
        if importlib.util.find_spec(name):
            connections[name] = open_other(importlib.import_module(name))
        else:
            print(f"{name} is not installed, and left out", file=sys.stderr)
    try:
        yield mark, connections
    finally:
        for connection in connections.values():
            connection.close()
        daemon.discard()
        server.discard()


@contextlib.contextmanager
def postgresql(count):
    server = PostgreSQL()
    server.psql(CREATE)
    server.psql(f"INSERT INTO item SELECT n, 'the item with number ' || n, n * 0.25 FROM generate_series(0, {count - 1}) AS s(n)")
    server.psql("ANALYZE item")

    def open_psycopg2(psycopg2):
        connection = psycopg2.connect(server.url())
        connection.autocommit = True
        return connection

    others = {"psycopg": lambda psycopg: psycopg.connect(server.url(), autocommit=True), "psycopg2": open_psycopg2}
    with behind(server, "$1", others) as found:
        yield found


@contextlib.contextmanager
def mariadb(count):
    server = MariaDB()
    server.sql(
        f"{CREATE}; INSERT INTO item SELECT seq, CONCAT('the item with number ', seq), seq * 0.25 FROM seq_0_to_{count - 1}", "lb"
    )

    def open_other(pymysql):
        return pymysql.connect(unix_socket=str(server.socket), user="lb", database="lb", autocommit=True)

    with behind(server, "?", {"pymysql": open_other}) as found:
        yield found


def point(connection, mark, count, selects):
    """The median time of a SELECT of one row, in microseconds."""
    sql = f"SELECT name, price FROM item WHERE id = {mark}"
    cursor = connection.cursor()
    taken = []
    for number in range(selects):
        key = number * 7919 % count
        began = time.perf_counter()
        cursor.execute(sql, (key,))
        row = cursor.fetchone()
        taken.append(time.perf_counter() - began)
        assert row[1] == key * 0.25
    return statistics.median(taken) * 1e6


def all_rows(connection, mark, count):
    """The time for all rows, as tuples, in seconds."""
    cursor = connection.cursor()
    began = time.perf_counter()
    cursor.execute("SELECT id, name, price FROM item")
    found = len(cursor.fetchall())
    taken = time.perf_counter() - began
    assert found == count
    return taken


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repetitions", type=int, default=7)
    arguments.add_argument("--selects", type=int, default=2000)
    options = arguments.parse_args()
    print("| | driver | point SELECT, p50 | all rows |\n|---|---|---|---|")
    for prepare in (sqlite, postgresql, mariadb):
        with prepare(options.rows) as (mark, connections):
            marks = {name: mark if name in ("litebase", "sqlite3") else "%s" for name in connections}
            measured = {name: ([], []) for name in connections}
            for _ in range(options.repetitions):
                for name, connection in connections.items():
                    measured[name][0].append(point(connection, marks[name], options.rows, options.selects))
                for name, connection in connections.items():
                    measured[name][1].append(all_rows(connection, marks[name], options.rows))
        medians = {name: [statistics.median(each) for each in lists] for name, lists in measured.items()}
        for name, (one, every) in medians.items():
            ratios = "" if name != "litebase" else "".join(
                f", {one / other[0]:.1f} and {every / other[1]:.1f} times {another}"
                for another, other in medians.items() if another != "litebase"
            )  # fmt: skip
            print(f"| {prepare.__name__} | {name} | {one:.0f} µs | {every:.2f} s{ratios} |", flush=True)


if __name__ == "__main__":
    main()
