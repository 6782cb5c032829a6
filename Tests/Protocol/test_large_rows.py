"""A row of many megabytes keeps no loop from serving others: it is neither copied nor freed there."""

import pytest

from daemon import wait_until
from loop_probe import LoopProbe
from wire import PATIENCE

MIB = 1 << 20
TURN_MS_MAX = 5


def resident(daemon):
    with open(f"/proc/{daemon.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_a_large_row_keeps_no_loop(start_daemon, mode):
    daemon = start_daemon()
    # A row's text is as long as its JSON.
    sql = "SELECT zeroblob(60000000)" if mode == "msgpack" else "SELECT printf('%.*c', 50000000, 'x')"
    client = daemon.connect(mode)
    client.query(sql)
    before = resident(daemon)
    with LoopProbe(daemon) as probe:
        for _ in range(4):
            (row,) = client.query(sql).rows
            assert len(row[0]) >= 50_000_000
    times = sorted(probe.times["health"])
    # Each of four rows would be seen by one client or more; two are left out for what the machine does.
    assert times[-3] * 1000 < TURN_MS_MAX * PATIENCE, f"{[round(time * 1000, 1) for time in times[-8:]]} ms"
    # What is freed elsewhere is freed all the same, soon.
    wait_until(lambda: resident(daemon) < before + 64 * MIB, "memory of rows is given back")
