"""What Ctrl-C leaves of an import or a copy that commits as it goes, and what is said of it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from daemon import LITEBASE, Daemon, counting, wait_until
from directories import directory  # noqa: F401

pytestmark = pytest.mark.slow

ROWS = 600_000


@pytest.fixture
def served(directory):  # noqa: F811
    daemon = Daemon(directory=directory, databases={name: f"sqlite:{directory}/{name}.db" for name in ("first", "second")})
    with daemon.connect() as client:
        client.query("CREATE TABLE t(a, b)", database="first")
        client.query(f"INSERT INTO t {counting(ROWS, columns='x, hex(zeroblob(25))')}", database="first")
        client.query("CREATE TABLE t(a, b)", database="second")
    yield daemon
    daemon.finish()


@pytest.mark.parametrize("way", ["import", "copy"])
def test_rows_that_are_there_are_not_called_nothing(served, tmp_path, way):
    (tmp_path / "t.csv").write_text("".join(f"{row},{'x' * 50}\n" for row in range(ROWS)))
    words = ["import", tmp_path / "t.csv", "t", "-d", "second", "--no-header"] if way == "import" else ["copy", "first/t", "second/t"]
    running = subprocess.Popen([LITEBASE, *words, "--socket", served.socket_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with served.connect() as client:
        while client.query("SELECT count(*) FROM t", database="second").value == 0:
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=30)[1]
        kept = client.query("SELECT count(*) FROM t", database="second").value
    assert running.returncode == -signal.SIGINT and 0 < kept < ROWS, (kept, said)
    assert "changed nothing" not in said and "It is not JSON" not in said, (kept, said)
    assert str(kept) in said, (kept, said)


def test_an_export_says_nothing_of_changes(served, tmp_path):
    """A dump only reads."""
    output = tmp_path / "out"
    os.mkfifo(output)
    running = subprocess.Popen([LITEBASE, "export", "-d", "first", "-o", output, "--format", "sql", "--socket", served.socket_path],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with open(output, "rb", buffering=0) as reader:
        assert reader.read(1000)
        running.send_signal(signal.SIGINT)
        while reader.read(1 << 20):
            pass
    said = running.communicate(timeout=30)[1]
    assert running.returncode == -signal.SIGINT and said and "changed nothing" not in said and "hint" not in said, said


def threads_of(pid):
    """States of all threads of a process: proc(5), stat."""
    return {stat.read_text().rpartition(") ")[2][0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")}


@pytest.mark.parametrize("way", ["export", "backup", "import", "copy"])
def test_a_daemon_that_stands_still_does_not_keep_litebase(served, way):
    """The second Ctrl-C ends it, as it ends a query."""
    words = {"export": ["export", "-d", "first", "--table", "t"], "backup": ["backup", "-d", "first", "-"],
             "import": ["import", "-", "t", "-d", "second", "--no-header"],
             "copy": ["copy", "first", "second/t", "--query", f"SELECT x AS a, x AS b FROM ({counting(500_000_000, 'x')})"]}[way]
    # Nobody reads what it writes, nor writes what it reads.
    running = subprocess.Popen([LITEBASE, words[0], "--socket", served.socket_path, *words[1:]], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with served.connect() as client:
        wanted = "import" if way == "copy" else way
        wait_until(lambda: wanted in [entry["type"] for entry in client.call("activity").data["entries"]], f"the {way} is under way")
    served.process.send_signal(signal.SIGSTOP)
    try:
        # Until then, threads of it may still answer.
        wait_until(lambda: threads_of(served.process.pid) == {"T"}, "the daemon stands still")
        for _ in range(2):
            running.send_signal(signal.SIGINT)
            time.sleep(0.7)
        assert running.wait(5) == -signal.SIGINT
        assert b"did not answer in time" in running.stderr.read()
    finally:
        served.process.send_signal(signal.SIGCONT)
        running.kill()
        running.communicate(timeout=30)
