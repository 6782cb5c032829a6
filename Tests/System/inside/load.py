"""The load generator: many clients of several kinds against one socket, until standard input ends. Prints a JSON report.

    load.py --socket PATH --table NAME --seed N short=16 persistent=8 ...

It prints "running" when every client has begun. At the end it compares the table with what the clients were told.
"""

import argparse
import json
import sys
import threading
import time

from clients import KINDS, query
from ledger import Ledger
from peer import Failure, Peer

JOIN_SECONDS_MAX = 70


class Load:
    def __init__(self, path, table, seed):
        self.path, self.table, self.seed = path, table, seed
        self.ledger = Ledger()
        self.stopping = threading.Event()
        self.clients = []

    def start(self, counts):
        for kind, count in counts.items():
            self.clients += [KINDS[kind](self, number) for number in range(count)]
        for client in self.clients:
            client.start()

    def stop(self):
        """Waits for the clients' last replies; returns the names of those that still wait."""
        self.stopping.set()
        deadline = time.monotonic() + JOIN_SECONDS_MAX
        for client in self.clients:
            client.join(max(0.0, deadline - time.monotonic()))
        return [client.name for client in self.clients if client.is_alive()]


def rows_of(path, sql):
    """All rows of a statement, by a connection of its own."""
    peer = Peer(path, "msgpack")
    peer.send(query("rows", sql))
    rows = []
    while True:
        reply = peer.receive()
        if reply["type"] == "error":
            raise Failure("error", str(reply["data"]))
        rows += reply["data"]["rows"]
        if not reply["data"]["more"]:
            peer.close()
            return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("counts", nargs="+")
    options = parser.parse_args()

    load = Load(options.socket, options.table, options.seed)
    rows_of(options.socket, f"CREATE TABLE {options.table}(client TEXT, number INTEGER)")
    started = time.monotonic()
    load.start({kind: int(count) for kind, _, count in (item.partition("=") for item in options.counts)})
    print("running", flush=True)
    sys.stdin.read()
    stuck = load.stop()
    report = {"seed": options.seed, "seconds": round(time.monotonic() - started, 1), "stuck": stuck, **load.ledger.report()}
    try:
        report["rows"] = load.ledger.check_rows(rows_of(options.socket, f"SELECT client, number FROM {options.table}"))
        report["integrity"] = rows_of(options.socket, "PRAGMA integrity_check")[0][0]
    except Failure as failure:
        report["check_failed"] = str(failure)
    print(json.dumps(report), flush=True)


main()
