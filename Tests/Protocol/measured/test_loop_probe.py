"""The probe of the tests that measure: it sees a daemon that holds its loops, and is not misled by a machine that is busy once."""

import os
import signal
import time

import pytest

from loop_probe import serves_meanwhile

# It measures time: nothing else runs beside it.
pytestmark = pytest.mark.alone


def hold(daemon, count=8, seconds=0.06):
    """The whole process stands still now and then, as it would with loops that wait for a lock."""
    for _ in range(count):
        os.kill(daemon.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(daemon.pid, signal.SIGCONT)
        time.sleep(0.005)


@pytest.mark.parametrize("wrong", [lambda probe: probe.slow(), lambda probe: probe.slow_but_for(3, 5)], ids=["99 of 100", "but for three"])
def test_loops_that_are_held_are_seen(start_daemon, wrong):
    daemon = start_daemon()
    with pytest.raises(AssertionError, match="the name of it"):
        serves_meanwhile(daemon, lambda: hold(daemon), "the name of it", wrong=wrong)


def test_what_does_not_come_again_is_the_machine(start_daemon):
    daemon = start_daemon()
    pids = []

    def once():
        if not pids:
            hold(daemon)
        time.sleep(0.2)
        pids.append(daemon.pid)

    serves_meanwhile(daemon, once)
    # It was another process that passed: one that has not learnt what to keep off its loops.
    assert len(pids) > 1 and len(set(pids)) == len(pids)
