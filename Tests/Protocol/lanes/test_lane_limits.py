"""A user's lanes are counted and their memory is charged; who has none left goes on over the socket."""

import pytest

from daemon import wait_until
from identity import connect_as, needs_root
from lane import LaneClient


def test_one_user_has_so_many(limited):
    daemon = limited(lanes_per_user_max=3)
    clients = [LaneClient(daemon.socket_path) for _ in range(5)]
    assert [client.lane is not None for client in clients] == [True, True, True, False, False]
    for client in clients:
        client.settle()
    limit = clients[0].call("stats").data["limits"]["lanes_per_user_max"]
    assert (limit["value"], limit["used"], limit["peak"], limit["hits"]) == (3, 3, 3, 2)
    clients[0].close()
    wait_until(lambda: clients[1].call("stats").data["limits"]["lanes_per_user_max"]["used"] == 2, "its place is free")
    clients[4].ask_for_lane()
    assert clients[4].lane
    for client in clients[1:]:
        client.settle()
        client.close()


@needs_root
def test_another_user_has_as_many(limited, directory):
    directory.chmod(0o755)
    daemon = limited(lanes_per_user_max=1)
    with LaneClient(daemon.socket_path) as own, connect_as(daemon.socket_path, 60001) as other:
        assert own.lane
        lane = LaneClient(other.socket)
        assert lane.lane
        lane.settle()


def test_its_memory_is_charged(limited):
    """As bytes that are buffered for the user: who has used up his share gets no lane, and keeps the socket."""
    daemon = limited(buffered_bytes_per_user_max=64 << 20, lanes_per_user_max=128)
    clients = []
    for _ in range(60):
        clients.append(LaneClient(daemon.socket_path, sizes=(1 << 20, 1 << 20)))
    lanes = sum(client.lane is not None for client in clients)
    assert 10 < lanes < 32, f"{lanes} lanes of 2 MiB"
    user, = clients[0].call("stats").data["users"]
    assert user["buffered_bytes"] >= lanes * (2 << 20)
    for client in clients:
        client.close()
    with LaneClient(daemon.socket_path) as client:
        assert client.lane
        wait_until(lambda: client.call("stats").data["users"][0]["buffered_bytes"] < 4 << 20, "it is given back")


def test_the_limit_can_be_changed(directory, limited):
    daemon = limited(lanes_per_user_max=0)
    with LaneClient(daemon.socket_path) as client:
        assert not client.lane
        (directory / "limits.toml").write_text("[limits]\nlanes_per_user_max = 2\n")
        client.call("reload")
        client.ask_for_lane()
        assert client.lane
        client.settle()


@pytest.mark.parametrize("value", [-1, 2_000_000_000, '"many"'])
def test_a_limit_out_of_range(directory, value):
    from daemon import run_to_end
    (directory / "bad.toml").write_text(f"[limits]\nlanes_per_user_max = {value}\n")
    status, said = run_to_end("--config", directory / "bad.toml", "--check-config", directory=directory)
    assert status != 0 and "lanes_per_user_max" in said
