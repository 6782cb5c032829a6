"""A large table of SQLite as Arrow and as a frame, beside ADBC's driver of SQLite and pandas.read_sql in this process.

    python clients/python/benchmarks/frames.py [--rows 1000000] [--repetitions 7]

Ways take turns within each repetition, so that a machine that is busy is so for all of them; medians are compared, and the ratios
within the repetitions, whose median says more on a machine that is not quiet. A way whose package is not installed is left out.
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

import litebase  # noqa: E402

SQL = "SELECT id, name, price FROM item"
CREATE = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL)"


@contextlib.contextmanager
def ways(count):
    """For each way its packages, and what makes a table of all rows."""
    daemon = Daemon(log_level="warning")
    path = daemon.directory / "items.db"
    with contextlib.closing(sqlite3.connect(path)) as direct:
        direct.execute("PRAGMA journal_mode=WAL")
        direct.execute(CREATE)
        direct.executemany(
            "INSERT INTO item VALUES (?, ?, ?)", ((n, f"the item with number {n}", n * 0.25) for n in range(count))
        )
        direct.commit()
        with contextlib.closing(litebase.connect(url=f"sqlite:{path}", socket=daemon.socket_path, autocommit=True)) as db:
            yield {
                "litebase, Arrow": (("pyarrow",), lambda: db.execute(SQL).fetch_arrow_table()),
                "litebase, batches": (("pyarrow",), lambda: sum(len(batch) for batch in db.execute(SQL).fetch_arrow_batches())),
                "litebase, pandas": (("pyarrow", "pandas"), lambda: db.execute(SQL).fetch_df()),
                "litebase, polars": (("pyarrow", "polars"), lambda: db.execute(SQL).fetch_polars()),
                "litebase, fetchall": ((), lambda: db.execute(SQL).fetchall()),
                "ADBC's SQLite, Arrow": (("pyarrow", "adbc_driver_sqlite"), lambda: by_adbc(path)),
                "pandas.read_sql, sqlite3": (("pandas",), lambda: by_pandas(direct)),
            }
    daemon.discard()


def by_adbc(path):
    import adbc_driver_sqlite.dbapi

    with adbc_driver_sqlite.dbapi.connect(str(path)) as connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        return cursor.fetch_arrow_table()


def by_pandas(connection):
    import pandas

    return pandas.read_sql(SQL, connection)


def length(made):
    return made if isinstance(made, int) else len(made)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repetitions", type=int, default=7)
    options = arguments.parse_args()
    with ways(options.rows) as found:
        taken = {name: [] for name, (packages, _) in found.items() if all(map(importlib.util.find_spec, packages))}
        for name in set(found) - set(taken):
            print(f"{name}: a package of {', '.join(found[name][0])} is not installed, and it is left out", file=sys.stderr)
        for _ in range(options.repetitions):
            for name in taken:
                began = time.perf_counter()
                assert length(found[name][1]()) == options.rows
                taken[name].append(time.perf_counter() - began)
    others = [name for name in taken if not name.startswith("litebase")]
    print("| way | seconds |" + "".join(f" times {other} |" for other in others) + "\n|---|---|" + "---|" * len(others))
    for name, seconds in taken.items():
        ratios = (statistics.median(one / two for one, two in zip(seconds, taken[other])) for other in others)
        print(f"| {name} | {statistics.median(seconds):.2f} |" + "".join(f" {ratio:.2f} |" for ratio in ratios))


if __name__ == "__main__":
    main()
