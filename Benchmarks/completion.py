#!/usr/bin/env python3
"""How long `complete` takes at 1,000 and at 100,000 tables: round trips over a Unix socket, one after the other.

From the first byte of the request, which was encoded before, to the last of the reply, which is decoded afterwards. Between them a
`health_check` each, on the same socket: what this client and this machine take by themselves.

    LITEBASED=.build/release/litebased .venv/bin/python Benchmarks/completion.py [--rounds N] [--peer-rounds N] [TABLES …]

Goal 13: p99 of at most 1 ms at 1,000 tables, and of at most 5 ms at 100,000. The texts are those that one types: each with its cursor at
the end of a word, in a statement that may go on behind it.

Beside it is pgcli's completer, if it is installed (Benchmarks/requirements.txt): the same names, texts and cursors, in its own process and
without a round trip, since that is how it runs. What pgcli makes of a list, the menu, is not counted.
"""

import argparse
import gc
import importlib.util
import pathlib
import socket
import struct
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Tests/Support"))

import large_schema  # noqa: E402
import wire  # noqa: E402
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
    """Milliseconds of each round, by the text: those of `complete(sql, cursor)`."""
    times = {template: [] for template in TEXTS}
    # The collector of this process would stop it in the middle of a round.
    gc.collect()
    gc.disable()
    for number in range(rounds):
        for template in TEXTS:
            sql, cursor = text(template, number, count)
            times[template].append(complete(sql, cursor) * 1000)
    gc.enable()
    return times


class Rounds:
    """One connection and one request at a time: nothing but bytes while the clock runs."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.bare = []

    def ask(self, kind, data):
        """Seconds until the whole reply was there."""
        request = wire.framed(wire.encode({"id": 1, "type": kind, "data": data}, "msgpack"))
        start = time.perf_counter()
        self.socket.sendall(request)
        (length,) = struct.unpack(">I", self.socket.recv(4, socket.MSG_WAITALL))
        body = self.socket.recv(length, socket.MSG_WAITALL)
        seconds = time.perf_counter() - start
        reply = wire.decode(body)
        if reply.type == "error":
            raise RuntimeError(f"the daemon refused: {reply}")
        return seconds

    def complete(self, sql, cursor):
        self.bare.append(self.ask("health_check", {}) * 1000)
        return self.ask("complete", {"sql": sql, "cursor": cursor, "database": "many"})


def quantiles(times):
    """p50 and p99."""
    times = sorted(times)
    return (times[int(len(times) * part)] for part in (0.5, 0.99))


def together(times):
    return [time for some in times.values() for time in some]


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

    def complete(sql, cursor):
        start = time.perf_counter()
        list(completer.get_completions(Document(sql, cursor), event))
        return time.perf_counter() - start

    return timed(count, rounds, complete)


def report(count, filled, times, bare, others):
    p50, p99 = quantiles(together(times))
    goal = GOALS.get(count)
    verdict = "" if goal is None else f"; goal {goal:g} ms: {'met' if p99 <= goal else 'MISSED'}"
    print(f"{count:,} tables: catalog there after {filled:.2f} s; p50 {p50:.3f} ms, p99 {p99:.3f} ms{verdict}")
    print("    health_check between them: p50 {:.3f} ms, p99 {:.3f} ms".format(*quantiles(bare)))
    if others:
        print("    pgcli's completer: p50 {:.3f} ms, p99 {:.3f} ms".format(*quantiles(together(others))))
    for template, some in times.items():
        beside = " (pgcli {:9.3f} {:9.3f})".format(*quantiles(others[template])) if others else ""
        print("    {:7.3f} {:7.3f}{}  {}".format(*quantiles(some), beside, template))
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
                rounds = Rounds(daemon.socket_path)
                times = timed(count, options.rounds, rounds.complete)
            finally:
                daemon.discard()
        completer = peer(count) if options.peer_rounds else None
        met &= report(count, filled, times, rounds.bare, measure_peer(completer, count, options.peer_rounds) if completer else None)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
