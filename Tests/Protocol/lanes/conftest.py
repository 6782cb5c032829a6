"""Clients of lanes for the tests of this folder."""

import pathlib
import subprocess

import pytest

from lane import LaneClient

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def lane_of(daemon):
    """Opens lanes to the daemon that the file shares."""
    def open_lane(mode="msgpack", **options):
        client = LaneClient(daemon.socket_path, mode, **options)
        daemon.clients.append(client)
        assert client.lane, client.answer_to_hello
        return client

    return open_lane


@pytest.fixture(params=["msgpack", "lines", "json"])
def through(request, lane_of):
    """A lane in each framing."""
    return lane_of(request.param)


@pytest.fixture(scope="session")
def sleeper(tmp_path_factory):
    """A client in C that falls asleep at random moments."""
    program = tmp_path_factory.mktemp("sleeper") / "sleeper"
    subprocess.run(["cc", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "sleeper.c"], check=True)
    return program
