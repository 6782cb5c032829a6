#!/usr/bin/env python3
"""How long `complete` takes at 1,000 and at 100,000 tables: round trips over a Unix socket, one after the other.

    LITEBASED=.build/release/litebased Benchmarks/completion.py [TABLES …]

Goal 13: p99 of at most 1 ms at 1,000 tables, and of at most 5 ms at 100,000. The texts are those that one types: each with its cursor at
the end of a word, in a statement that may go on behind it.
"""

import argparse
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/Support"))

import large_schema  # noqa: E402
from daemon import Daemon  # noqa: E402

GOALS = {1_000: 1.0, 100_000: 5.0}
WORDS = ("order", "item", "customer", "price", "shipment", "payment", "address", "country", "product", "invoice")
TEXTS = (
    "SELECT | FROM order_item_{0}",
    "SELECT o.| FROM order_item_{0} o JOIN customer_price_{1} c ON c.id = o.parent",
    "SELECT * FROM ord|",
    "SELECT * FROM oi|",
    "SELECT * FROM tmrc|",
    "SELECT * FROM order_item_{0} o JOIN |",
    "SELECT * FROM order_item_{0} o JOIN sp|",
    "SELECT na| FROM order_item_{0} WHERE id IN (SELECT parent FROM customer_price_{1})",
    "INSERT INTO order_item_{0} (|",
    "UPDATE order_item_{0} SET n|",
    "WITH x AS (SELECT * FROM order_item_{0}) SELECT x.| FROM x",
    "SELECT * FROM zq|",
)


def definitions(count):
    """Name and definition of `count` tables of five columns; each but the first refers to another one."""
    for number in range(count):
        other = f" REFERENCES {table(number // 2)}(id)" if number else ""
        yield table(number), f"CREATE TABLE {table(number)}(id INTEGER PRIMARY KEY, parent INTEGER{other}, name TEXT, note TEXT, made_at TEXT)"


def table(number):
    return f"{WORDS[number % 10]}_{WORDS[number // 10 % 10]}_{number}"


def text(template, number, count):
    """The text without its bar, and the place of the bar."""
    marked = template.format(number * 100 % count // 100 * 100 + 10, 32)
    return marked.replace("|", "", 1), marked.index("|")


def warm(client):
    start = time.monotonic()
    while client.call("complete", {"sql": "SELECT * FROM ord", "database": "many"}).data.get("incomplete"):
        time.sleep(0.05)
        if time.monotonic() - start > 300:
            sys.exit("the catalog is never there")
    return time.monotonic() - start


def measure(client, count, rounds):
    times = {template: [] for template in TEXTS}
    for number in range(rounds):
        for template in TEXTS:
            sql, cursor = text(template, number, count)
            start = time.perf_counter()
            client.call("complete", {"sql": sql, "cursor": cursor, "database": "many"})
            times[template].append((time.perf_counter() - start) * 1000)
    return times


def report(count, filled, times):
    everything = sorted(time for some in times.values() for time in some)
    p50, p99 = (everything[int(len(everything) * part)] for part in (0.5, 0.99))
    goal = GOALS.get(count)
    verdict = "" if goal is None else f"; goal {goal:g} ms: {'met' if p99 <= goal else 'MISSED'}"
    print(f"{count:,} tables: catalog there after {filled:.2f} s; p50 {p50:.3f} ms, p99 {p99:.3f} ms{verdict}")
    for template, some in times.items():
        some.sort()
        print(f"    {some[len(some) // 2]:7.3f} {some[int(len(some) * 0.99)]:7.3f}  {template}")
    return goal is None or p99 <= goal


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    met = True
    for count in options.tables:
        with tempfile.TemporaryDirectory(prefix="lbc", dir="/tmp") as directory:
            file = pathlib.Path(directory) / "many.db"
            large_schema.make(file, definitions(count))
            daemon = Daemon(directory=pathlib.Path(directory), databases={"many": f"sqlite:{file}"})
            try:
                with daemon.connect("msgpack") as client:
                    filled = warm(client)
                    met &= report(count, filled, measure(client, count, options.rounds))
            finally:
                daemon.discard()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
