"""Starts and stops the load generator inside the machine, and judges its report."""

import contextlib
import itertools
import json
import os
import time

from machine import LIBRARY, SOCKET

NUMBERS = itertools.count(1)
SEED = int(os.environ.get("LITEBASE_TEST_SEED", time.time_ns() % 1_000_000))

# Few enough new connections that each of them gets into the descriptor store at once.
CALM_LOAD = {"visitor": 16, "persistent": 8, "thoughtful": 4, "session": 2, "streaming": 1}

# The load of the promise: 16 that come and go, 8 that stay; beside them some of every other habit.
FULL_LOAD = {"short": 16, "persistent": 8, "thoughtful": 4, "session": 2, "streaming": 1}

SESSIONS_LOST = {"ok", "error:session_not_found"}
FINE = {"short": {"ok"}, "visitor": {"ok"}, "persistent": {"ok"}, "thoughtful": {"ok"}, "session": SESSIONS_LOST, "streaming": {"ok"}}


class Load:
    """A running generator; `report` is there after `stop`."""

    def __init__(self, machine, path=SOCKET, counts=None, user="member"):
        self.table = f"load_{os.getpid()}_{next(NUMBERS)}"
        self.process = machine.start(
            "python3", f"{LIBRARY}/load.py", "--socket", path, "--table", self.table, "--seed", SEED,
            *(f"{kind}={count}" for kind, count in (counts or FULL_LOAD).items()), user=user)
        line = self.process.stdout.readline()
        assert line == "running\n", f"the load does not start: {line}{self.process.communicate()[1]}"
        self.report = None

    def stop(self):
        output, errors = self.process.communicate(timeout=150)
        assert self.process.returncode == 0, f"{output}{errors}"
        self.report = json.loads(output)
        return self.report


@contextlib.contextmanager
def load(machine, **options):
    """Load while the block runs; the report is in `.report` afterwards."""
    running = Load(machine, **options)
    try:
        yield running
        running.stop()
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def outcomes(report, kind):
    return report["outcomes"].get(kind, {})


def total(report, *names):
    """How often outcomes with these names happened, over all kinds."""
    return sum(count for counter in report["outcomes"].values() for name, count in counter.items() if name in names)


def describe(report):
    shown = {**report, "samples": report["samples"][:12], "connects": None}
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in shown.items())


def assert_rows(report):
    """Every acknowledged row is there once; none that was refused, none twice."""
    assert "check_failed" not in report, describe(report)
    assert not any(report["rows"]["wrong"].values()), describe(report)
    assert report["rows"]["acknowledged"] > 0 and report["integrity"] == "ok", describe(report)


def assert_outcomes(report, allowed):
    """Only these outcomes, kind by kind; nobody waits in vain, and every kind was at work."""
    assert not report["stuck"], describe(report)
    for kind, counter in report["outcomes"].items():
        assert set(counter) <= allowed[kind], f"{kind}: {counter}\n{describe(report)}"
        assert counter.get("ok", 0) > 0, describe(report)


def assert_connected_once(report, *kinds):
    again = {name: count for name, count in report["connects"].items() if count != 1 and name.startswith(kinds)}
    assert not again, f"connected more than once: {again}\n{describe(report)}"
