"""What the load generator counted: outcomes by name, latencies, and the fate of every row that it wrote."""

import collections
import threading

ROWS_SHOWN = 20


class Ledger:
    """Shared by all clients of a run."""

    def __init__(self):
        self.lock = threading.Lock()
        self.outcomes = collections.defaultdict(collections.Counter)
        self.connects = {}
        self.latencies = collections.defaultdict(list)
        self.samples = []
        self.rows = {"acknowledged": set(), "unknown": set(), "refused": set()}

    def count(self, kind, outcome, client="", detail=""):
        with self.lock:
            self.outcomes[kind][outcome] += 1
            if outcome != "ok" and len(self.samples) < 200:
                self.samples.append(f"{client or kind}: {outcome} {detail}".strip())

    def connected(self, client):
        with self.lock:
            self.connects[client] = self.connects.get(client, 0) + 1

    def latency(self, kind, seconds):
        with self.lock:
            self.latencies[kind].append(seconds)

    def row(self, fate, key):
        """`fate`: acknowledged (must be there), unknown (may be there), refused (must not be there)."""
        with self.lock:
            self.rows[fate].add(key)

    def check_rows(self, stored):
        """Compares with what the database holds, an iterable of (client, number)."""
        found = collections.Counter(tuple(key) for key in stored)
        written = set().union(*self.rows.values())
        wrong = {
            "lost": [key for key in self.rows["acknowledged"] if key not in found],
            "twice": [key for key, count in found.items() if count > 1],
            "in_spite_of_error": [key for key in self.rows["refused"] if key in found],
            "never_sent": [key for key in found if key not in written],
        }
        return {
            "stored": sum(found.values()),
            **{fate: len(keys) for fate, keys in self.rows.items()},
            "wrong": {name: len(keys) for name, keys in wrong.items()},
            "examples": {name: sorted(keys)[:ROWS_SHOWN] for name, keys in wrong.items() if keys},
        }

    def report(self):
        """Everything but the rows, ready for JSON."""
        figures = {}
        for kind, values in self.latencies.items():
            values.sort()
            figures[kind] = {"p50_ms": round(1e3 * values[len(values) // 2], 3),
                             "p99_ms": round(1e3 * values[len(values) * 99 // 100], 3),
                             "max_ms": round(1e3 * values[-1], 3)}
        return {"outcomes": {kind: dict(counter) for kind, counter in self.outcomes.items()},
                "connects": self.connects, "latency": figures, "samples": self.samples}
