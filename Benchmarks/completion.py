#!/usr/bin/env python3
"""How long `complete` takes at 1,000 and at 100,000 tables: round trips over a Unix socket, one after the other.

    LITEBASED=.build/release/litebased .venv/bin/python Benchmarks/completion.py [--rounds N] [--peer-rounds N] [TABLES …]

Goal 13: p99 of at most 1 ms at 1,000 tables, and of at most 5 ms at 100,000. The texts are those that one types: each with its cursor at
the end of a word, in a statement that may go on behind it.

Beside it is pgcli's completer, if it is installed (Benchmarks/requirements.txt): the same names, texts and cursors, in its own process and
without a round trip, since that is how it runs. What pgcli makes of a list, the menu, is not counted.
"""

import argparse
import importlib.util
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


def timed(count, rounds, complete):
    """Milliseconds of each round, by the text: `complete(sql, cursor)`."""
    times = {template: [] for template in TEXTS}
    for number in range(rounds):
        for template in TEXTS:
            sql, cursor = text(template, number, count)
            start = time.perf_counter()
            complete(sql, cursor)
            times[template].append((time.perf_counter() - start) * 1000)
    return times


def measure(client, count, rounds):
    return timed(count, rounds, lambda sql, cursor: client.call("complete", {"sql": sql, "cursor": cursor, "database": "many"}))


def quantiles(times):
    """p50 and p99 of all texts."""
    everything = sorted(time for some in times.values() for time in some)
    return (everything[int(len(everything) * part)] for part in (0.5, 0.99))


# pgcli


def peer(count):
    """pgcli's completer with the same names, as `main.py` of pgcli fills it from a server's catalog; None if it is not installed."""
    if not importlib.util.find_spec("pgcli"):
        print("left out: pgcli: it is not installed (Benchmarks/requirements.txt)", file=sys.stderr)
        return None
    from pgcli.packages.parseutils.meta import ForeignKey
    from pgcli.pgcompleter import PGCompleter

    completer = PGCompleter(smart_completion=True)
    completer.extend_schemata(["public"])
    completer.set_search_path(["public"])
    completer.extend_relations([("public", table(number)) for number in range(count)], kind="tables")
    completer.extend_columns([("public", table(number), name, kind, False, None) for number in range(count)
                              for name, kind in (("id", "integer"), ("parent", "integer"), ("name", "text"), ("note", "text"), ("made_at", "text"))],
                             kind="tables")
    completer.extend_foreignkeys([ForeignKey("public", table(number // 2), "id", "public", table(number), "parent")
                                  for number in range(1, count)])
    return completer


def measure_peer(completer, count, rounds):
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    event = CompleteEvent(completion_requested=True)
    return timed(count, rounds, lambda sql, cursor: list(completer.get_completions(Document(sql, cursor), event)))


def report(count, filled, times, others):
    p50, p99 = quantiles(times)
    goal = GOALS.get(count)
    verdict = "" if goal is None else f"; goal {goal:g} ms: {'met' if p99 <= goal else 'MISSED'}"
    print(f"{count:,} tables: catalog there after {filled:.2f} s; p50 {p50:.3f} ms, p99 {p99:.3f} ms{verdict}")
    if others:
        print("    pgcli's completer: p50 {:.3f} ms, p99 {:.3f} ms".format(*quantiles(others)))
    for template, some in times.items():
        some.sort()
        beside = ""
        if others:
            other = sorted(others[template])
            beside = f" (pgcli {other[len(other) // 2]:9.3f} {other[int(len(other) * 0.99)]:9.3f})"
        print(f"    {some[len(some) // 2]:7.3f} {some[int(len(some) * 0.99)]:7.3f}{beside}  {template}")
    return goal is None or p99 <= goal


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--peer-rounds", type=int, default=5, help="of pgcli's completer; 0 leaves it out")
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
                    times = measure(client, count, options.rounds)
            finally:
                daemon.discard()
        completer = peer(count) if options.peer_rounds else None
        met &= report(count, filled, times, measure_peer(completer, count, options.peer_rounds) if completer else None)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
