"""A daemon that cannot start, with a service manager that starts it again at once: it slows down by itself, and says so once."""

import os
import signal
import time

import pytest

from daemon import wait_until
from manager import Manager

BAD = "nonsense = 1\n"


class Failing(Manager):
    """A manager whose daemon cannot start, with the times of its attempts."""

    def __init__(self, directory, *flags, keep=True):
        self.file = directory / "litebase.toml"
        self.file.write_text(BAD)
        super().__init__(directory, "--config", str(self.file), *flags, keep=keep)

    def wait_end(self, timeout=20):
        """The exit status of a process that ends by itself."""
        deadline = time.monotonic() + timeout
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            assert time.monotonic() < deadline, f"it has not ended:\n{self.log()[-1000:]}"
            time.sleep(0.005)
        self.pid = None
        time.sleep(0.05)
        return os.waitstatus_to_exitcode(ended[1])

    def attempt(self, status=78):
        """Starts it once; returns for how long it stayed."""
        began = time.monotonic()
        self.start()
        assert self.wait_end() == status
        return time.monotonic() - began

    def said(self, text):
        return self.log().count(text)


@pytest.fixture
def failing(directory):
    made = []

    def make(*flags, **options):
        made.append(Failing(directory, *flags, **options))
        return made[-1]

    yield make
    for manager in made:
        manager.discard()


@pytest.mark.parametrize("flags, status, text", [((), 78, "nonsense"), (("--listen=standalone",), 78, "but systemd passed"),
                                                 (("--port=x",), 64, "--port")])
def test_the_pauses_grow_and_the_log_does_not(failing, flags, status, text):
    manager = failing(*flags)
    if flags:
        manager.file.write_text("# good\n")
    # Whoever asks for a start is told at once that it fails.
    assert manager.attempt(status) < 0.8
    times = [manager.attempt(status) for _ in range(2)]
    assert 0.9 < times[0] < 1.8 and 1.9 < times[1] < 3, times
    assert manager.said(text) == 2, manager.log()
    texts = [state["STATUS"] for state in manager.states if "STATUS" in state]
    assert any(text in line and "attempt 3" in line and "the next in 2 s" in line for line in texts), texts
    assert manager.states[-1]["EXIT_STATUS"] == str(status)
    # Longer than TimeoutStartSec= in the end.
    assert any(int(state.get("EXTEND_TIMEOUT_USEC", 0)) >= 2_000_000 for state in manager.states)
    # Another reason is news.
    if not flags:
        manager.file.write_text("other = 1\n")
        manager.start()
        wait_until(lambda: manager.said("other"), "the new reason is in the log", timeout=2)
        assert manager.said("4 attempts to start have failed") == 1


def pausing(failing):
    """A daemon that waits at the end of its fourth attempt to start."""
    manager = failing()
    for _ in range(3):
        manager.attempt()
    manager.start()
    wait_until(lambda: any("attempt 4" in state.get("STATUS", "") for state in manager.states), "it waits")
    return manager


def test_a_mended_file_ends_the_pause_and_the_series(failing):
    manager = pausing(failing)
    mended = time.monotonic()
    manager.file.write_text("# good\n")
    manager.wait_end()
    assert time.monotonic() - mended < 1.5
    assert manager.names("failures")
    manager.start().wait_ready()
    wait_until(lambda: not manager.names("failures"), "nothing is left of it")
    manager.file.write_text(BAD)
    manager.end(signal.SIGTERM)
    assert manager.attempt() < 0.8


def test_a_stop_does_not_wait_and_the_next_start_is_told_at_once(failing):
    manager = pausing(failing)
    began = time.monotonic()
    assert os.waitstatus_to_exitcode(manager.end(signal.SIGTERM)) == 0
    assert time.monotonic() - began < 1
    assert not manager.names("failures")
    assert manager.attempt() < 0.8


def test_connections_wait_for_the_end_of_a_series(failing):
    manager = failing()
    manager.file.write_text("# good\n")
    manager.start().wait_ready()
    with manager.client() as client:
        client.call("hello")
        wait_until(lambda: manager.names("client-"), "the connection is kept")
        manager.file.write_text(BAD)
        # Killed while it moves bytes of the connection, it could not be kept: the loop is to be at rest.
        time.sleep(0.2)
        manager.end(signal.SIGKILL)
        for _ in range(2):
            manager.attempt()
        manager.file.write_text("# good\n")
        manager.start().wait_ready()
        assert client.query("SELECT 1").rows == [[1]]


def test_without_a_store_nothing_is_counted(failing):
    """Nobody would know how long a pause is due: it is systemd's, RestartSec=."""
    manager = failing(keep=False)
    assert max(manager.attempt() for _ in range(3)) < 0.8
