"""What a loop that has to share its processor does about it."""

import os
import subprocess
import sys

import pytest

# It measures time, or takes much of it: nothing else runs beside it.
pytestmark = pytest.mark.alone

BUSY = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nprint(flush=True)\nwhile True: pass"
ROWS = 100_000


def bytes_read(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(file.read().split()[1])


def test_a_loop_without_a_processor_keeps_its_pages(start_daemon):
    """Its statements look slow then, but are not: they stay on it, with the pages that it has in memory."""
    core = min(os.sched_getaffinity(0))
    daemon = start_daemon("--loops", "1", prefix=("taskset", "-c", str(core)))
    with daemon.connect() as client:
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)")
        client.query(f"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i+1 FROM n WHERE i < {ROWS}) "
                     "INSERT INTO t SELECT i, printf('%.*c', 40, 'x') FROM n")
        keys = [i * 7919 % ROWS + 1 for i in range(4_000)]
        for key in keys:
            client.query("SELECT x FROM t WHERE id = ?", [key])
        before = bytes_read(daemon.pid)
        with subprocess.Popen([sys.executable, "-c", BUSY, str(core)], stdout=subprocess.PIPE) as busy:
            try:
                busy.stdout.readline()
                for _ in range(10):
                    for start in range(0, len(keys), 50):
                        sent = [client.send_query("SELECT x FROM t WHERE id = ?", params=[key]) for key in keys[start:start + 50]]
                        for identifier in sent:
                            client.collect(identifier)
            finally:
                busy.kill()
        assert bytes_read(daemon.pid) - before < 4 << 20
