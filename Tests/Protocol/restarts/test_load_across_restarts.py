"""`litebase bench` and `litebase top` while the service manager restarts the daemon: their connections stay."""

import json
import signal
import subprocess
import time

import pytest

from daemon import LITEBASE
from test_handover import kept


def start(manager, *arguments):  # noqa: F811
    return subprocess.Popen([LITEBASE, *arguments, "--socket", manager.path], stdout=subprocess.PIPE, text=True)


def report_of(process):
    output, _ = process.communicate(timeout=60)
    return json.loads(output)


def test_restarts_cost_a_load_nothing(manager):  # noqa: F811
    daemon = manager()
    process = start(daemon, "bench", "-c", "8", "-t", "4", "--warmup", "0", "--json")
    kept(daemon, 9)
    for _ in range(3):
        time.sleep(0.5)
        daemon.restart(signal.SIGTERM).wait_ready()
    report = report_of(process)
    assert report["errors"] == {} and process.returncode == 0
    assert report["requests"] > 1000
    # The restarts are in there: some request waited for a process that was not there yet.
    assert report["latency_us"]["max"] > 5000


@pytest.mark.parametrize("workload", [["health"], ["insert", "-d", "default"]])
def test_kills_cost_only_what_was_in_flight(manager, workload):  # noqa: F811
    daemon = manager()
    process = start(daemon, "bench", *workload, "-c", "8", "-t", "4", "--warmup", "0", "--json")
    kept(daemon, 9)
    for _ in range(3):
        time.sleep(0.5)
        daemon.restart(signal.SIGKILL)
    report = report_of(process)
    assert set(report["errors"]) <= {"outcome_unknown", "disconnected"}
    assert sum(report["errors"].values()) <= 3 * 8
    assert report["requests"] > 1000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_top_goes_on_with_the_next_process(manager, number):  # noqa: F811
    daemon = manager()
    process = start(daemon, "top", "--json", "-i", "1.5")
    kept(daemon, 1)
    time.sleep(0.5)
    daemon.restart(number)
    report = report_of(process)
    assert process.returncode == 0
    assert report["pid"] == daemon.pid
    # The new process counts from zero: there is nothing to compare with yet.
    assert report["per_second"] is None
