"""Which loops serve lanes: who looks at memory keeps a core busy, and the clients need the other half of them."""

import contextlib
import os
import pathlib
import time

import pytest

from daemon import wait_until
from lane import LaneClient
from wire import PATIENCE, Client


def processor_times(daemon):
    """Nanoseconds that each loop's thread has run, by its number."""
    times = {}
    for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith("litebase-loop-"):
            times[int(name.removeprefix("litebase-loop-"))] = int((task / "schedstat").read_text().split()[0])
    return times


def loops_used_by(daemon, clients):
    """The loops that answer them: for each client, the one that has worked most meanwhile."""
    used = set()
    for client in clients:
        before = processor_times(daemon)
        for _ in range(300):
            client.call("health_check")
        after = processor_times(daemon)
        used.add(max(after, key=lambda loop: after[loop] - before[loop]))
    return used


def lanes_on(daemon, number):
    clients = [LaneClient(daemon.socket_path) for _ in range(number)]
    daemon.clients += clients
    assert all(client.lane for client in clients)
    return clients


@pytest.mark.parametrize("loops", [2, 5])
def test_lanes_leave_cores_to_the_clients(start_daemon, loops):
    daemon = start_daemon(f"--loops={loops}")
    most = min(loops, max(1, len(os.sched_getaffinity(0)) // 2))
    assert loops_used_by(daemon, lanes_on(daemon, 2 * loops)) == set(range(most))


def test_loops_that_do_not_look_all_serve_lanes(start_daemon, directory):
    config = directory / "sleeping.toml"
    config.write_text("spin_us_max = 0\n")
    daemon = start_daemon("--loops=2", f"--config={config}", directory=directory)
    assert loops_used_by(daemon, lanes_on(daemon, 6)) == {0, 1}


def test_who_gets_no_lane_stays(limited):
    """Connections that ask for lanes beyond the limit are spread over all loops, as others are."""
    daemon = limited(lanes_per_user_max=0)
    clients = [LaneClient(daemon.socket_path) for _ in range(4)]
    daemon.clients += clients
    assert not any(client.lane for client in clients)
    assert len(loops_used_by(daemon, clients)) == min(4, len(os.sched_getaffinity(0)))


def test_loops_are_as_many_as_the_cores_that_may_be_used(start_daemon):
    daemon = start_daemon(prefix=("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))))
    wait_until(lambda: list(processor_times(daemon)) == [0], "one loop has begun, and has its name")


def test_what_a_moved_connection_held_is_given_back(start_daemon):
    """The first part of its request was charged where it came."""
    daemon = start_daemon("--loops=2")
    text = b'{"id":1,"type":"hello","data":{"transport":"shared_memory"}}'
    for _ in range(20):
        with Client(daemon.socket_path, "lines") as client:
            client.tracks = False
            client.socket.sendall(text.ljust(32_768))
            time.sleep(0.02)
            client.socket.sendall(b"\n")
            assert b"shared_memory" in client.socket.recv(65536)
    with daemon.connect() as client:
        def held():
            user, = client.call("stats").data["users"]
            return user["buffered_bytes"]
        wait_until(lambda: held() == 0, "nothing is charged any more")


def test_a_connection_that_moves_is_the_same_one(start_daemon):
    """It has one number, is counted once, and is shown once."""
    daemon = start_daemon("--loops=4")
    with daemon.connect() as watcher:
        wait_until(lambda: watcher.call("stats").data["connections"]["open"] == 1, "who looked whether it is ready is gone")
        before = watcher.call("stats").data
        clients = lanes_on(daemon, 8)
        for number, client in enumerate(clients):
            assert client.query(f"SELECT {number}").value == number
        after = watcher.call("stats").data
        assert after["connections"]["open"] - before["connections"]["open"] == 8
        assert after["connections"]["opened"] - before["connections"]["opened"] == 8
        assert after["requests"]["hello"] - before["requests"].get("hello", 0) == 8
    for client in clients:
        client.close()


@pytest.mark.parametrize("mode", ["msgpack", "json", "lines"])
def test_a_connection_that_has_done_something_stays(start_daemon, mode):
    """What it has done belongs to its loop; it gets a lane there."""
    daemon = start_daemon("--loops=2")
    clients = []
    for _ in range(4):
        before = daemon.connect(mode)
        session = before.session()
        before.query("CREATE TEMPORARY TABLE own(x)", session=session)
        client = LaneClient(before.socket, mode)
        assert client.lane and client.query("SELECT count(*) FROM own", session=session).value == 0
        clients.append(client)
    assert loops_used_by(daemon, clients) == {0, 1}


def test_those_between_two_loops_when_the_daemon_stops(start_daemon):
    """They are answered or closed (reset, who was not accepted yet), never forgotten."""
    daemon = start_daemon("--loops=4")
    clients = [daemon.connect() for _ in range(32)]
    for client in clients:
        client.socket.sendall(client.bytes_of("hello", {"transport": "shared_memory"})[1])
    assert daemon.terminate() == 0
    for client in clients:
        client.socket.settimeout(10 * PATIENCE)
        with contextlib.suppress(ConnectionResetError):
            while client.socket.recv(4096):
                pass
