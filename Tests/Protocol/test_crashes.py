"""After a crash: the log says whose requests were cut off, and who was there each time waits longer, alone."""

import os
import signal
import time

import pytest

from daemon import ENDLESS, wait_until
from identity import connect_as, needs_root
from manager import Manager
from wire import Client

pytestmark = needs_root

ALICE, BOB = 60001, 60002
SECRET = "the-secret-of-the-statement"


class Crashing(Manager):
    """A manager whose daemon dies with what clients have running."""

    def __init__(self, directory, *flags):
        os.chmod(directory, 0o755)
        super().__init__(directory, *flags)
        os.chmod(self.path, 0o666)

    def crash(self, sig=signal.SIGKILL):
        self.end(sig)
        self.log_path.unlink()
        return self.start().wait_ready()

    def cut_off(self):
        return [line for line in self.log().splitlines() if "was cut off" in line]


@pytest.fixture
def crashing(directory):
    made = []

    def make(*flags):
        made.append(Crashing(directory, *flags).start().wait_ready())
        return made[-1]

    yield make
    for manager in made:
        manager.discard()


def running(client, sql=f"{ENDLESS} -- {SECRET}", **data):
    """Begins a statement that does not end, and waits until it runs."""
    client.send_query(sql, **data)
    wait_until(lambda: any(entry.get("state") == "running" and entry["type"] == "query"
                           for entry in client.call("activity").data["entries"]), "it runs")
    # A kill between a reply and the end of its turn closes the connection: nobody knows how far it came.
    time.sleep(0.05)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSEGV])
def test_the_log_says_whose_requests_were_cut_off(crashing, directory, sig):
    manager = crashing(f"--database=shop=sqlite:{directory}/shop.db")
    with connect_as(manager.path, ALICE) as alice, connect_as(manager.path, BOB) as bob:
        bob.query("SELECT 1", database="shop")
        running(alice, database="shop")
        pid = alice.call("hello").data["peer"]["pid"]
        manager.crash(sig)
        cut = wait_until(manager.cut_off, "the log names it")
        assert len(cut) == 1 and f"(uid {ALICE}, pid {pid}): query on shop was cut off" in cut[0], cut
        assert SECRET not in manager.log() and "WITH RECURSIVE" not in cut[0]
        # Nobody waits for what may have been anybody's.
        began = time.monotonic()
        bob.query("SELECT 1", database="shop")
        assert time.monotonic() - began < 0.9 and "crashes in a row" not in manager.log()


def test_short_requests_that_are_done_are_not_named(crashing):
    manager = crashing()
    with connect_as(manager.path, ALICE) as alice:
        for request in (("query", {"sql": "SELECT 1"}), ("describe", {"sql": "SELECT 1"}),
                        ("batch", {"statements": [{"sql": "CREATE TABLE t(x)"}, {"sql": "INSERT INTO t VALUES (1)"}]})):
            alice.call(*request)
        alice.query_fails("nonsense")
        alice.fails("query", {"sql": "SELECT 1", "database": "none"})
        alice.call("db_connect")
        running(alice)
        manager.crash()
        assert len(wait_until(manager.cut_off, "the log names it")) == 1
        manager.crash()
    # It was answered after the crash, and nothing ran at the second one.
    assert manager.cut_off() == []


def test_a_restart_cuts_nothing_off(crashing):
    manager = crashing("--log-level=info")
    with connect_as(manager.path, ALICE) as alice:
        alice.query("SELECT 1")
        manager.restart().wait_ready()
        alice.query("SELECT 1")
    assert manager.cut_off() == []


def test_who_was_there_each_time_waits_alone(crashing):
    manager = crashing()
    waits = []
    for round in range(3):
        with connect_as(manager.path, ALICE) as alice, connect_as(manager.path, BOB) as bob:
            running(alice)
            if round == 1:
                running(bob)
            manager.crash()
            began = time.monotonic()
            bob.query("SELECT 1") if round != 1 else bob.call("health_check")
            assert time.monotonic() - began < 0.9, f"bob waits in round {round}"
            alice.call("health_check")
            waits.append(time.monotonic() - began)
            # New connections, too; and root's never.
            with Client(manager.path) as root:
                root.query("SELECT 1")
    assert waits[0] < 0.9 and 1.5 < waits[1] < 3.5 and 3.5 < waits[2] < 6, waits
    assert f"uid {ALICE} had requests running at 3 crashes in a row: its connections wait 4 s" in manager.log()
    # A crash without her ends the series.
    with connect_as(manager.path, BOB) as bob, connect_as(manager.path, ALICE) as alice:
        running(bob)
        manager.crash()
        began = time.monotonic()
        alice.query("SELECT 1")
        assert time.monotonic() - began < 0.9


def test_a_stop_does_not_wait_for_those_who_wait(crashing):
    manager = crashing()
    for _ in range(2):
        with connect_as(manager.path, ALICE) as alice:
            running(alice)
            manager.crash()
    late = connect_as(manager.path, ALICE)
    late.send("health_check")
    time.sleep(0.1)
    began = time.monotonic()
    manager.restart().wait_ready()
    assert time.monotonic() - began < 1
    # The connection was kept, and is served by the next process.
    assert late.receive().type == "health_response"
    late.close()
