"""Descriptors and transfers when the daemon is restarted or killed: none is inherited, none is lost in silence."""

import os
import signal

import pytest

from daemon import counting, wait_until
from test_handover import kept, settle
from transfers import hello, open_paths, opened, outcome, pass_bytes, send_with, transfer
from wire import RequestFailed

TERM, KILL = signal.SIGTERM, signal.SIGKILL


@pytest.mark.parametrize("sig", [TERM, KILL])
@pytest.mark.parametrize("mode", ["msgpack", "lines"])
def test_a_connection_goes_on_to_take_them(manager, directory, mode, sig):  # noqa: F811
    daemon = manager()
    with daemon.client(mode) as client, daemon.client(mode) as other:
        hello(client)
        client.query("CREATE TABLE t(x)")
        other.settle()
        kept(daemon, 2)
        settle()
        daemon.restart(sig)
        with opened(directory / "copy") as descriptor:
            assert transfer(client, "backup", descriptor)["bytes"] > 0
        # Who had not asked has not now.
        assert other.fails("backup", {"descriptors": 1})["code"] == "bad_request"
        wait_until(lambda: open_paths(daemon.pid, directory / "copy") == 0, "it is closed")


def test_one_that_waits_is_not_inherited(manager, directory):  # noqa: F811
    """It came with a part of a request, the rest of which comes after the restart."""
    daemon = manager()
    path = directory / "waiting"
    with daemon.client() as client, opened(path) as descriptor:
        hello(client)
        kept(daemon, 1)
        settle()
        id, payload = client.bytes_of("backup", {"descriptors": 1})
        pass_bytes(client, payload[:5], [descriptor])
        wait_until(lambda: open_paths(daemon.pid, path) == 1, "it has come")
        daemon.restart(TERM)
        pass_bytes(client, payload[5:], [])
        with pytest.raises(RequestFailed) as missing:
            outcome(client, id)
        assert missing.value.code == "bad_request", missing.value
        client.receive_end()
        assert open_paths(daemon.pid, path) == 0
    assert path.stat().st_size == 0


@pytest.mark.parametrize("sig, code", [(TERM, "shutting_down"), (KILL, "outcome_unknown")])
def test_a_transfer_that_runs(manager, directory, sig, code):  # noqa: F811
    daemon = manager(settings="[limits]\ndrain_time_ms_max = 300\n")
    with daemon.client() as client:
        hello(client)
        client.query(f"CREATE TABLE t AS {counting(3_000, 'x, zeroblob(4000)')}")
        kept(daemon, 1)
        settle()
        reader, writer = os.pipe()
        id = send_with(client, [writer], "backup", {"descriptors": 1})
        os.close(writer)
        wait_until(lambda: "waiting_for_client" in states(daemon), "it runs")
        daemon.restart(sig)
        with pytest.raises(RequestFailed) as ended:
            outcome(client, id)
        assert ended.value.code == code, ended.value
        # Nobody has the pipe any more.
        total = 0
        while piece := os.read(reader, 1 << 20):
            total += len(piece)
        os.close(reader)
        assert total < 3_000 * 4_000
        with opened(directory / "copy") as descriptor:
            assert transfer(client, "backup", descriptor)["bytes"] > 3_000 * 4_000


def states(daemon):
    with daemon.client() as asking:
        return [entry["state"] for entry in asking.call("activity").data["entries"]]
