"""`litebase bench` against a real daemon."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import time

import pytest

from test_cli import LITEBASE, Daemon, daemon, run  # noqa: F401
from wire import Client

QUICK = ("-t", "0.3", "--warmup", "0.1", "--json")
TABLE = "litebase_bench"


@pytest.fixture
def bench(run):  # noqa: F811
    """A run whose JSON is returned."""
    def call(*arguments, check=0):
        return json.loads(run("bench", *arguments, check=check).stdout)
    return call


def rows(run, sql):  # noqa: F811
    return [json.loads(line) for line in run("query", sql, check=0).stdout.splitlines()]


def tables(run):  # noqa: F811
    return {row["name"] for row in rows(run, "SELECT name FROM sqlite_schema WHERE type = 'table'")}


def lanes_opened(daemon):  # noqa: F811
    with Client(daemon.socket) as client:
        return client.call("stats").data["lanes"]["opened"]


@pytest.mark.parametrize("arguments", [
    ["health"], ["health", "-p", "32", "-c", "3", "-j", "2"], ["health", "-p4", "-c3"], ["point-select", "-d", "default", "--rows", "500"],
    ["insert", "-d", "default"], ["scan", "-d", "default", "--rows", "5000", "-c", "2"]])
def test_workloads(run, bench, arguments):  # noqa: F811
    report = bench(*arguments, *QUICK)
    assert report["requests"] > 0 and report["errors"] == {}
    assert report["requests_per_second"] == pytest.approx(report["requests"] / report["seconds"], rel=0.01)
    assert 0.3 <= report["seconds"] < 2
    latency = report["latency_us"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]
    assert report["bytes_sent"] > 0 and report["bytes_received"] > report["requests"] * 20
    if arguments[0] == "point-select":
        assert report["rows"] == report["requests"]
    if arguments[0] == "scan":
        assert report["rows"] == 5000 * report["requests"]
    assert TABLE not in tables(run)


@pytest.mark.parametrize("arguments", [["health"], ["health", "-p", "32", "-c", "3"], ["scan", "-d", "default", "--rows", "5000", "-c", "2"]])
def test_through_shared_memory(daemon, run, bench, arguments):  # noqa: F811
    before = lanes_opened(daemon)
    report = bench(*arguments, *QUICK, "--transport", "shared-memory")
    assert report["requests"] > 0 and report["errors"] == {} and report["transport"] == "shared_memory"
    if arguments[0] == "scan":
        assert report["rows"] == 5000 * report["requests"]
    assert lanes_opened(daemon) - before == int(arguments[arguments.index("-c") + 1] if "-c" in arguments else 16)
    assert bench("health", *QUICK)["transport"] == "socket"


def test_shared_memory_that_is_not_granted(run):  # noqa: F811
    """More connections than one user may have lanes: nothing else is measured instead."""
    refused = run("bench", *QUICK, "-c", "200", "--transport", "shared-memory")
    assert refused.returncode != 0 and b"lanes_per_user_max" in refused.stderr and refused.stdout == b""
    assert b"Unix socket" in run("bench", "--port", "1", "--transport", "shared-memory").stderr


def test_a_script_of_many_statements_goes_over_to_shared_memory(daemon, run):  # noqa: F811
    before = lanes_opened(daemon)
    script = "".join(f"SELECT {number} AS n;\n" for number in range(2000))
    done = run("query", "-", stdin=script.encode(), check=0)
    assert [json.loads(line)["n"] for line in done.stdout.splitlines()] == list(range(2000))
    assert lanes_opened(daemon) == before + 1
    run("query", "SELECT 1", check=0)
    assert lanes_opened(daemon) == before + 1, "one statement is not worth it"


def test_count_is_exact_and_serials_are_unique(run, bench):  # noqa: F811
    run("query", "CREATE TABLE counted(number INTEGER, name TEXT, data BLOB, share REAL, size INTEGER)", check=0)
    report = bench("--sql", "INSERT INTO counted VALUES(?, ?, ?, ?, ?)", "--param", "serial:100", "--param", "text:7", "--param",
                   "blob:3", "--param", "real:-1..1", "--param", "int:-3..-1", "-n", "500", "-c", "7", "-j", "3", "-p", "2", "--warmup", "0",
                   "--json")
    assert report["requests"] == 500
    (found,) = rows(run, """SELECT count(*) AS n, count(DISTINCT number) AS serials, min(number) AS low,
        sum(length(name) = 7 AND name NOT GLOB '*[^a-z2-7]*') AS texts, sum(length(data) = 3 AND typeof(data) = 'blob') AS blobs,
        sum(share BETWEEN -1 AND 1) AS reals, sum(size BETWEEN -3 AND -1) AS integers, count(DISTINCT size) AS sizes FROM counted""")
    low = found.pop("low")
    assert low == 100
    assert found == {"n": 500, "serials": 500, "texts": 500, "blobs": 500, "reals": 500, "integers": 500, "sizes": 3}


def test_a_seed_gives_the_same_values_again(run, bench):  # noqa: F811
    def values(seed):
        run("query", "CREATE TABLE seeded(a, b)", check=0)
        bench("--sql", "INSERT INTO seeded VALUES(?, ?)", "--param", "int:1..1000000", "--param", "text:12", "-n", "20", "-c", "1",
              "--warmup", "0", "--seed", str(seed), "--json")
        found = rows(run, "SELECT a, b FROM seeded ORDER BY rowid")
        run("query", "DROP TABLE seeded", check=0)
        return found
    first = values(7)
    assert len(first) == 20
    assert values(7) == first
    assert values(8) != first


def test_a_foreign_table_is_left_alone(run):  # noqa: F811
    run("query", f"CREATE TABLE {TABLE}(mine)", check=0)
    run("query", f"INSERT INTO {TABLE} VALUES('precious')", check=0)
    result = run("bench", "insert", "-d", "default", *QUICK, check=64)
    assert b"did not make" in result.stderr
    assert rows(run, f"SELECT * FROM {TABLE}") == [{"mine": "precious"}]
    run("query", f"DROP TABLE {TABLE}", check=0)


def test_what_a_killed_run_left_is_replaced(run, daemon, bench):  # noqa: F811
    process = subprocess.Popen([LITEBASE, "bench", "insert", "-d", "default", "--socket", daemon.socket], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while TABLE not in tables(run):
        assert time.monotonic() < deadline
    process.kill()
    process.wait()
    assert TABLE in tables(run)
    assert bench("point-select", "-d", "default", "--rows", "10", *QUICK)["requests"] > 0
    assert TABLE not in tables(run)


def test_interrupt_ends_with_the_results_so_far(run, daemon):  # noqa: F811
    process = subprocess.Popen([LITEBASE, "bench", "insert", "-d", "default", "-t", "60", "--warmup", "0", "--json", "--socket",
                                daemon.socket], stdout=subprocess.PIPE)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=10)
    report = json.loads(output)
    assert process.returncode == 0
    assert report["interrupted"] is True and report["requests"] > 0 and report["seconds"] < 10
    assert TABLE not in tables(run)


def test_errors_are_counted_by_code(run, bench):  # noqa: F811
    run("query", "CREATE TABLE single(a INTEGER PRIMARY KEY)", check=0)
    report = bench("--sql", "INSERT INTO single VALUES(1)", "-n", "50", "--warmup", "0", "--json", check=1)
    assert report["errors"] == {"constraint_violation": 49}
    assert report["requests"] == 1
    text = run("bench", "--sql", "INSERT INTO single VALUES(1)", "-n", "5", "--warmup", "0", check=1).stdout.decode()
    assert "5 × constraint_violation: " in text


@pytest.mark.parametrize("arguments, status", [
    (["insert"], 64), (["--sql", "SELECT ?"], 64), (["--sql", "SELECT ?", "--param", "int:5..1"], 64),
    (["--sql", "SELECT ?", "--param", "text:-1"], 64), (["--sql", "SELECT * FROM nowhere"], 1), (["health", "--rows", "5"], 64),
    (["health", "-n", "5", "-t", "5"], 64), (["health", "-c", "0"], 64), (["point-select", "-d", "nowhere"], 1)])
def test_mistakes(run, arguments, status):  # noqa: F811
    result = run("bench", *arguments)
    assert result.returncode == status and result.stderr, result


@pytest.mark.slow
def test_a_daemon_that_is_killed_and_started_again(tmp_path):
    own = Daemon(tmp_path)
    process = subprocess.Popen([LITEBASE, "bench", "-t", "4", "--warmup", "0", "-c", "4", "--json", "--socket", own.socket],
                               stdout=subprocess.PIPE)
    time.sleep(1)
    own.process.kill()
    own.process.wait()
    own.start()
    output, _ = process.communicate(timeout=20)
    own.stop()
    report = json.loads(output)
    assert report["errors"] == {"disconnected": 4}
    assert process.returncode == 69
    # A health check takes far less than a millisecond; half of the time was left after the restart.
    assert report["seconds"] == pytest.approx(4, abs=0.5) and report["requests"] > 1000


def test_no_daemon(tmp_path):
    assert subprocess.run([LITEBASE, "bench", "--socket", str(tmp_path / "s")], capture_output=True).returncode == 69


def test_progress_is_for_terminals(daemon):  # noqa: F811
    command = [LITEBASE, "bench", "-t", "0.6", "--warmup", "0", "--socket", daemon.socket]
    assert subprocess.run(command, capture_output=True).stderr == b""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    output, _ = process.communicate(timeout=10)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the other side open any more
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    shown = shown.decode()
    assert " of 0.6 s" in shown and "/s" in shown and shown.endswith("\r\x1b[K")
    assert output.startswith(b"health: 16 connections")
