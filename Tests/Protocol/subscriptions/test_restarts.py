"""What becomes of those who listen when a service manager keeps their connections over the end of the daemon."""

import signal
import subprocess
import time

import pytest

from daemon import LITEBASE, wait_until
from subscription import Subscription


def is_listening(client):
    return any(entry["type"] == "subscribe" for entry in client.call("activity").data["entries"])


@pytest.mark.parametrize("sig, code", [(signal.SIGTERM, "shutting_down"), (signal.SIGKILL, "outcome_unknown")])
def test_a_kept_connection_is_told_and_goes_on(manager, sig, code):
    daemon = manager("--database=default=sqlite::memory:")
    client = daemon.client()
    subscription = Subscription(client)
    # A kill before the daemon has noted what is unanswered closes the connection.
    time.sleep(0.1)
    daemon.restart(sig).wait_ready()
    reply = client.receive_for(subscription.id)
    assert reply.type == "error" and reply.data["code"] == code, reply
    again = Subscription(client, **{"from": subscription.position})
    assert again.first["reason"] == "position_unknown"
    client.query("CREATE TABLE fresh(x)")
    assert again.event()["relations"] == ["fresh"]
    client.close()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_watch_goes_on(manager, tmp_path, sig):
    daemon = manager("--database=default=sqlite::memory:")
    output = tmp_path / "output"
    with open(output, "wb") as file:
        process = subprocess.Popen([LITEBASE, "watch", "--socket", daemon.path, "default"], stdout=file, stderr=file)
    try:
        with daemon.client() as client:
            wait_until(lambda: is_listening(client), "it listens")
        time.sleep(0.2)
        daemon.restart(sig).wait_ready()
        wait_until(lambda: "resync (position_unknown)" in output.read_text(), "it goes on", 20)
        with daemon.client() as client:
            client.query("CREATE TABLE fresh(x)")
        wait_until(lambda: "schema, fresh" in output.read_text(), "the change")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
