"""A daemon that cannot start, with a service manager that starts it again at once: it slows down by itself, and says so once."""

import fcntl
import os
import pathlib
import re
import select
import signal
import struct
import subprocess
import time

import pytest

from daemon import ROOT, wait_until
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_mended_file_ends_the_pause_and_the_series(failing):
    manager = pausing(failing)
    mended = time.monotonic()
    manager.file.write_text("# good\n")
    manager.wait_end()
    assert time.monotonic() - mended < 1.5
    manager.start().wait_ready()
    manager.file.write_text(BAD)
    manager.end(signal.SIGTERM)
    assert manager.attempt() < 0.8


@pytest.mark.slow
def test_a_stop_does_not_wait_and_the_next_start_is_told_at_once(failing):
    manager = pausing(failing)
    began = time.monotonic()
    assert os.waitstatus_to_exitcode(manager.end(signal.SIGTERM)) == 0
    assert time.monotonic() - began < 1
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


@pytest.mark.parametrize("value", [2**63 - 1, -2**63, 2**62, -1])
def test_whatever_stands_in_the_memory_the_daemon_can_count(failing, value):
    manager = failing()
    memory = os.memfd_create("failures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    # Magic, count, hash of the message, when it was logged, when the first attempt failed.
    os.write(memory, struct.pack("<Qqqqq", 0x4C424641494C4544, value, 0, value, value).ljust(4096, b"\0"))
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    manager.store["failures"] = [memory]
    manager.start()
    if value > 0:
        wait_until(lambda: any("in 300 s" in state.get("STATUS", "") for state in manager.states), "it waits")
        manager.end(signal.SIGKILL)
    else:
        assert manager.wait_end() == 78
    assert "nonsense" in manager.log() and "Fatal" not in manager.log()


def test_without_a_store_nothing_is_counted(failing):
    """Nobody would know how long a pause is due: it is systemd's, RestartSec=."""
    manager = failing(keep=False)
    assert max(manager.attempt() for _ in range(3)) < 0.8


# A daemon that dies before it is ready cannot say why, nor wait: the next one does.

DEATHS = {"fault": signal.SIGSEGV, "overflow": signal.SIGSEGV, "abort": signal.SIGABRT, "kill": signal.SIGKILL}


@pytest.fixture(scope="module")
def crasher(tmp_path_factory):
    """What is loaded into the daemon, to end it just before READY=1."""
    library = tmp_path_factory.mktemp("crasher") / "start_crash.so"
    subprocess.run(["cc", "-O0", "-shared", "-fPIC", "-o", library, ROOT / "Tests/Support/start_crash.c", "-ldl"], check=True)
    return library


def dying(failing, crasher, how):
    """A manager whose daemon dies at its start."""
    manager = failing()
    manager.file.write_text("# good\n")
    manager.environment.update(LD_PRELOAD=str(crasher), START_CRASH=how)
    return manager


def has_news(client):
    """Whether something can be read from a client's socket, the end included."""
    return bool(select.select([client.socket], [], [], 0)[0])


@pytest.mark.parametrize("how", DEATHS)
def test_deaths_before_it_is_ready_are_backed_off_and_told(failing, crasher, how):
    manager = dying(failing, crasher, how)
    status = -DEATHS[how]
    assert manager.attempt(status) < 0.8 and manager.attempt(status) < 0.8
    assert 0.9 < manager.attempt(status) < 2
    told = "was killed (SIGKILL" if how == "kill" else f"crashed ({DEATHS[how].name})"
    assert manager.said(f"the daemon {told}") == 2, manager.log()
    texts = [state["STATUS"] for state in manager.states if "STATUS" in state]
    assert any(told in line and "attempt 2" in line and "the next in 1 s" in line for line in texts), texts
    assert any(int(state.get("EXTEND_TIMEOUT_USEC", 0)) >= 1_000_000 for state in manager.states)


def test_a_mended_file_ends_the_pause_before_a_start_and_what_serves_has_no_past(failing, crasher):
    manager = dying(failing, crasher, "fault")
    for _ in range(3):
        manager.attempt(-signal.SIGSEGV)
    environment, manager.environment = manager.environment, {}
    manager.start()
    wait_until(lambda: any("the next in 2 s" in state.get("STATUS", "") for state in list(manager.states)), "it waits")
    began = time.monotonic()
    manager.file.write_text("# better\n")
    manager.wait_ready()
    assert time.monotonic() - began < 1.5
    # The past is forgotten once the manager has been told that it serves.
    time.sleep(0.5)
    manager.end(signal.SIGKILL)
    manager.environment = environment
    assert manager.attempt(-signal.SIGSEGV) < 0.8 and manager.attempt(-signal.SIGSEGV) < 0.8


@pytest.mark.parametrize("how", ["fault", "kill"])
def test_who_connects_to_a_daemon_that_dies_before_it_is_ready_waits_for_the_next_one(failing, crasher, how):
    """Accepted by it, a client would be lost with it; in the listening socket it is nobody's."""
    manager = dying(failing, crasher, how)
    manager.environment["START_CRASH_PAUSE"] = "150"
    with manager.client() as client:
        id = client.send_query("SELECT 1")
        for _ in range(2):
            manager.attempt(-DEATHS[how])
            assert not has_news(client), "a daemon that was not ready has answered, or hung up"
        manager.environment.clear()
        manager.start().wait_ready()
        assert client.collect(id).rows == [[1]]


def test_who_was_connected_is_not_read_by_a_daemon_that_dies_before_it_is_ready(failing, crasher):
    """What is asked meanwhile has not begun when it dies, so that there is no doubt about it."""
    manager = dying(failing, crasher, "kill")
    environment, manager.environment = manager.environment, {"START_CRASH_PAUSE": "150"}
    manager.start().wait_ready()
    with manager.client() as client:
        client.query("CREATE TABLE t(x)")
        client.settle()
        wait_until(lambda: manager.names("client-"), "the connection is kept")
        assert manager.end(signal.SIGTERM) == 0
        manager.environment.update(environment)
        id = client.send_query("INSERT INTO t VALUES (1)")
        for _ in range(2):
            manager.attempt(-signal.SIGKILL)
            assert not has_news(client), "a daemon that was not ready has answered, or hung up"
        manager.environment.clear()
        manager.start().wait_ready()
        client.collect(id)
        assert client.query("SELECT count(*) FROM t").rows == [[1]]
        assert any("1 connection," in state.get("STATUS", "") for state in list(manager.states)), "who goes on is counted at once"


def test_deaths_and_errors_are_one_series(failing, crasher):
    manager = dying(failing, crasher, "abort")
    assert manager.attempt(-signal.SIGABRT) < 0.8 and manager.attempt(-signal.SIGABRT) < 0.8
    manager.file.write_text(BAD)
    # The second death's pause, and that of the third failure in a row.
    assert 2.9 < manager.attempt() < 4.5
    assert manager.said("3 attempts to start have failed") == 1


def test_a_stop_ends_the_pause_before_a_start(failing, crasher):
    manager = dying(failing, crasher, "fault")
    for _ in range(3):
        manager.attempt(-signal.SIGSEGV)
    manager.start()
    wait_until(lambda: any("the next in 2 s" in state.get("STATUS", "") for state in list(manager.states)), "it waits")
    began = time.monotonic()
    assert os.waitstatus_to_exitcode(manager.end(signal.SIGTERM)) == 0
    assert time.monotonic() - began < 1
    manager.environment.clear()
    began = time.monotonic()
    manager.start().wait_ready()
    assert time.monotonic() - began < 0.8


def test_a_restart_while_it_starts_is_no_failure(failing):
    """SIGTERM that comes before it serves is looked at when it does."""
    manager = failing()
    manager.file.write_text("# good\n")

    def has_begun():
        blocked = re.search(r"^SigBlk:\t(\w+)", pathlib.Path(f"/proc/{manager.pid}/status").read_text(), re.M)[1]
        return int(blocked, 16) >> (signal.SIGTERM - 1) & 1

    for _ in range(4):
        manager.start()
        wait_until(has_begun, "it has begun", interval=0.0005)
        assert os.waitstatus_to_exitcode(manager.end(signal.SIGTERM)) == 0
    began = time.monotonic()
    manager.start().wait_ready()
    assert time.monotonic() - began < 0.8 and "while it started" not in manager.log()
