"""After a crash: the log says whose requests were cut off, and who was there each time waits longer, alone."""

import os
import re
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

    def __init__(self, directory, *flags, **options):
        os.chmod(directory, 0o755)
        super().__init__(directory, *flags, **options)
        os.chmod(self.path, 0o666)

    def crash(self, sig=signal.SIGABRT):
        self.end(sig)
        self.log_path.unlink()
        return self.start().wait_ready()

    def cut_off(self):
        return [line for line in self.log().splitlines() if "was cut off" in line]


@pytest.fixture
def crashing(directory):
    made = []

    def make(*flags, **options):
        made.append(Crashing(directory, *flags, **options).start().wait_ready())
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


def crashes_in_a_row(manager, sig):
    """Ends the daemon while alice has something running; returns at how many crashes in a row that was, as the next one says."""
    with connect_as(manager.path, ALICE) as alice:
        running(alice)
        manager.crash(sig)
        assert wait_until(manager.cut_off, "the log names it")
    said = re.search(rf"uid {ALICE} had requests running at (\d+) crashes in a row: its connections wait", manager.log())
    return int(said[1]) if said else None


# What a process brings upon itself, and SIGABRT of a watchdog.
DEADLY = [signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGFPE, signal.SIGSYS]


def test_every_signal_of_a_crash_counts(crashing):
    manager = crashing()
    for sig in DEADLY:
        # One without her ends the series, and the first one may be anybody's.
        manager.crash(signal.SIGABRT)
        assert crashes_in_a_row(manager, signal.SIGABRT) is None
        manager.restart().wait_ready()
        assert crashes_in_a_row(manager, sig) == 2, sig


def test_what_somebody_kills_is_nobodys_crash(crashing):
    manager = crashing()
    assert [crashes_in_a_row(manager, signal.SIGKILL) for _ in range(4)] == [None] * 4
    # Nor does it end a series.
    assert crashes_in_a_row(manager, signal.SIGSEGV) is None
    assert crashes_in_a_row(manager, signal.SIGKILL) is None
    assert crashes_in_a_row(manager, signal.SIGSEGV) == 2


def test_what_the_kernel_kills_for_want_of_memory_counts(crashing, directory):
    """As its count says, of the control group above the service's own, which goes with the service."""
    groups, membership = directory / "groups", directory / "membership"
    (groups / "system.slice" / "litebase.service").mkdir(parents=True)
    membership.write_text("1:name=systemd:/\n0::/system.slice/litebase.service\n")

    def write(count):
        (groups / "system.slice" / "memory.events").write_text(f"low 0\nhigh 0\nmax 9\noom 3\noom_kill {count}\noom_group_kill 0\n")

    script = f'mount --bind {groups} /sys/fs/cgroup && mount --bind {membership} /proc/$$/cgroup && exec "$@"'
    write(7)
    manager = crashing(prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    rows = []
    for count in (7, 8, 8, 9):
        write(count)
        rows.append(crashes_in_a_row(manager, signal.SIGKILL))
    assert rows == [None, None, None, 2]


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSEGV])
def test_without_a_service_manager_nobody_waits(start_daemon, directory, sig):
    """Nobody starts the daemon again but a person, or a program that makes its own pauses; connections are gone."""
    os.chmod(directory, 0o755)
    for _ in range(3):
        daemon = start_daemon("--socket-mode", "0666", directory=directory)
        with connect_as(daemon.socket_path, ALICE) as alice:
            began = time.monotonic()
            alice.call("health_check")
            assert time.monotonic() - began < 0.9
            running(alice)
            daemon.process.send_signal(sig)
            assert daemon.process.wait(timeout=10) == -sig


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
