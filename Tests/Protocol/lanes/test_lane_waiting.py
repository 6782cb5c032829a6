"""No wake-up is lost, and a lane that is idle costs nothing."""

import json
import subprocess
import time

import pytest

from daemon import ROOT, count, wait_until
from lane import CLIENT_SLEEPS, DAEMON_SLEEPS, LaneClient
from wire import PATIENCE


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 8])
def test_no_wake_up_is_lost(start_daemon, sleeper, lanes):
    """100,000 times each side falls asleep while the other is about to ring; one that were lost would wait for ten seconds."""
    daemon = start_daemon(log_level="info")
    done = subprocess.run([sleeper, daemon.socket_path, str(lanes), "100000"], capture_output=True, text=True,
                          timeout=300 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["replies"] > 10_000 and said["sleeps"] >= 100_000, said


def test_both_sides_sleep_and_wake(lane_of):
    client = lane_of()
    for _ in range(30):
        time.sleep(0.01)
        client.call("health_check")
    assert client.lane.bells_sent >= 20, "the daemon slept in between"
    wait_until(lambda: client.lane.memory[DAEMON_SLEEPS] == 1 and client.lane.memory[CLIENT_SLEEPS] == 0, "the daemon sleeps")


def test_a_sleeping_side_is_rung_once(lane_of):
    """For many requests in one go, and many replies."""
    client = lane_of()
    time.sleep(0.05)
    wait_until(lambda: client.lane.memory[DAEMON_SLEEPS] == 1, "the daemon sleeps")
    before = client.lane.bells_sent
    # One write: on a busy machine the daemon may fall asleep again between two.
    requests = [client.bytes_of("query", {"sql": "SELECT 1"}, None) for _ in range(20)]
    client.socket.sendall(b"".join(payload for _, payload in requests))
    for id, _ in requests:
        client.collect(id)
    assert client.lane.bells_sent - before <= 5
    assert client.lane.bells_received <= client.lane.sleeps + 5


@pytest.mark.alone
def test_idle_lanes_cost_nothing(limited):
    """A thousand of them: no processor time of their own, and none for each request of somebody else."""
    daemon = limited(lanes_per_user_max=2000, connections_per_user_max=2000, connections_max=4000,
                     buffered_bytes_per_user_max=1 << 30)
    clients = [LaneClient(daemon.socket_path, sizes=(4096, 4096)) for _ in range(1000)]
    assert all(client.lane for client in clients)
    for client in clients:
        client.call("health_check")
    wait_until(lambda: daemon.is_idle(0.5), "a thousand idle lanes")
    before = daemon.cpu_seconds()
    time.sleep(2)
    assert daemon.cpu_seconds() - before <= 0.02
    for client in clients[::50]:
        client.settle()
    for client in clients:
        client.close()
    wait_until(lambda: not any("litebase-lane" in line for line in open(f"/proc/{daemon.pid}/maps")), "all are gone")


def test_the_example(daemon, tmp_path):
    """docs/examples/client_lane.c: as it stands, by either transport."""
    program = tmp_path / "client_lane"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, ROOT / "docs/examples/client_lane.c"], check=True)
    with daemon.connect() as client:
        client.query("CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER, tag TEXT)")
        client.batch([{"sql": "INSERT OR REPLACE INTO item VALUES (?, 'a', 0.5, 1, 'b')", "param_rows": [[x] for x in range(1, 101)]}])
        assert count(client, "item") == 100
    for transport in ("shared_memory", "socket"):
        for what in ("health", "select", "SELECT a.id, b.name FROM item a, item b"):
            done = subprocess.run([program, daemon.socket_path, transport, what, "3" if "SELECT" not in what else "1", "0.2", "100"],
                                  capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
            assert done.returncode == 0, done.stderr
            said = json.loads(done.stdout)
            assert said["transport"] == transport
            assert said["bytes"] > 30_000 if "SELECT" in what else said["requests"] > 20 and said["p50_us"] > 0
    assert len((ROOT / "docs/examples/lane.h").read_text().splitlines()) < 300, "the client is short enough to be read"
