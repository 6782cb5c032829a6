"""Clients of lanes for the tests of this folder."""

import pytest

from lane import LaneClient


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
