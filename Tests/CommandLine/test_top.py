"""`litebase top` against a real daemon."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import termios
import time

import pytest

from test_cli import ENDLESS, LITEBASE, Daemon, daemon, run  # noqa: F401


@pytest.fixture
def busy(daemon):  # noqa: F811
    """A connection with a session that runs an endless statement in a transaction."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(daemon.socket)
        stream = client.makefile("rwb")

        def ask(request, waits=True):
            stream.write(json.dumps(request).encode() + b"\n")
            stream.flush()
            return json.loads(stream.readline()) if waits else None

        session = ask({"id": 1, "type": "db_connect", "data": {"database": "default"}})["data"]["session"]
        ask({"id": 2, "type": "query", "data": {"sql": "BEGIN", "session": session}})
        ask({"id": 3, "type": "query", "data": {"sql": ENDLESS + " -- \x1b[31m", "session": session}}, waits=False)
        time.sleep(0.2)
        yield session


class Screen:
    """`litebase top` on a terminal of that size."""

    def __init__(self, path, *arguments, size=(20, 100)):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", LC_ALL="C.UTF-8", LITEBASE_SOCKET=path)
            os.execv(LITEBASE, ["litebase", "top", "-i", "0.3", *arguments])
        self.output = b""
        self.resize(*size)

    def resize(self, height, width):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def wait(self, condition, timeout=10):
        """Reads until the newest page satisfies the condition; returns its lines."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if select.select([self.terminal], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.output += os.read(self.terminal, 65536)
            pages = [page for page in self.output.split(b"\x1b[H") if page.endswith(b"\x1b[J")]
            if pages and condition(pages[-1].decode()):
                return pages[-1].decode().split("\r\n")
        raise AssertionError(f"never shown; the end was {self.output[-2000:]!r}")

    def press(self, key):
        os.write(self.terminal, key)

    def end(self):
        """The exit status, and what was written at the end."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if select.select([self.terminal], [], [], 0.05)[0]:
                    self.output += os.read(self.terminal, 65536)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                # What it wrote between the last look and its end.
                with contextlib.suppress(OSError):
                    while select.select([self.terminal], [], [], 0)[0] and (rest := os.read(self.terminal, 65536)):
                        self.output += rest
                os.close(self.terminal)
                return status, self.output
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError("it did not end")


def test_json_shows_work_and_rates(run, busy):  # noqa: F811
    report = json.loads(run("top", "--json", "-i", "0.3", check=0).stdout)
    (entry,) = [entry for entry in report["entries"] if entry["session"] == busy]
    assert entry["sql"].startswith(ENDLESS) and "\x1b" not in entry["sql"]
    assert (entry["state"], entry["transaction"], entry["database"], entry["pid"]) == ("running", "active", "default", os.getpid())
    assert entry["age_ms"] >= 200
    assert report["per_second"]["requests"]["stats"] > 0


def test_elsewhere_than_on_a_terminal_it_prints_once(run, busy):  # noqa: F811
    for arguments in ([], ["--once"]):
        text = run("top", "-i", "0.2", *arguments, check=0).stdout.decode()
        assert text.startswith("litebased ") and "CONN" in text and busy in text and ENDLESS in text
        assert "\x1b" not in text


def test_screen(daemon, busy):  # noqa: F811
    screen = Screen(daemon.socket)
    lines = screen.wait(lambda page: busy in page and "stats" in page)
    assert len(lines) <= 20
    title = next(line for line in lines if "CONN" in line)
    assert title.startswith("\x1b[7m")
    screen.press(b"u")
    screen.wait(lambda page: "sorted by user" in page)
    screen.resize(5, 40)
    lines = screen.wait(lambda page: page.count("\r\n") == 4)
    assert [line for line in lines if len(re.sub("\x1b\\[[0-9]*[A-Za-z]", "", line)) > 40] == []
    screen.press(b"q")
    status, output = screen.end()
    assert status == 0
    assert b"\x1b[?1049h" in output and output.endswith(b"\x1b[?25h\x1b[?1049l")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_the_terminal_as_it_was(daemon, number):  # noqa: F811
    screen = Screen(daemon.socket)
    screen.wait(lambda page: "CONN" in page)
    os.kill(screen.pid, number)
    status, output = screen.end()
    assert os.WIFEXITED(status) and output.endswith(b"\x1b[?25h\x1b[?1049l")


def test_a_daemon_that_is_started_again(tmp_path):
    own = Daemon(tmp_path)
    screen = Screen(own.socket)
    first = own.process.pid
    screen.wait(lambda page: f"pid {first}," in page)
    own.process.kill()
    own.process.wait()
    screen.wait(lambda page: page.startswith("no LiteBase daemon answers"))
    own.start()
    screen.wait(lambda page: f"pid {own.process.pid}," in page and "requests -" not in page)
    screen.press(b"q")
    assert screen.end()[0] == 0
    own.stop()


def test_no_daemon(tmp_path):
    pid = os.spawnv(os.P_NOWAIT, LITEBASE, ["litebase", "top", "--json", "--socket", str(tmp_path / "s")])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 69


def targets_of(run):  # noqa: F811
    report = json.loads(run("top", "--json", "-i", "0.2", check=0).stdout)
    return {f"{entry['connection']}.{entry['number']}": entry for entry in report["entries"] if entry["number"]}


def test_cancel_ends_a_request_a_session_and_a_connection(run, daemon, busy):  # noqa: F811
    [request] = [target for target, entry in targets_of(run).items() if entry["session"] == busy]
    ended = run("cancel", request, check=0).stdout.decode()
    connection, number = request.split(".")
    assert ended.startswith(f"Ended: request {number} of connection {connection} (user ") and f"pid {os.getpid()}" in ended
    assert request not in targets_of(run)
    failed = run("cancel", request, busy, check=1)
    # The one that is gone is no reason to leave the other.
    assert f"no request {number} of connection {connection}" in failed.stderr.decode() and "hint: " in failed.stderr.decode()
    assert failed.stdout.decode().startswith(f"Ended: session {busy} (user ")
    assert b", 0 requests, 0 sessions" in run("cancel", connection, check=0).stdout
    for wrong in ("0", "x", "1.0", "1.", "s1", "s1-", "1.2.3", "-1", "18446744073709551616"):
        assert b"no target" in run("cancel", "--", wrong, check=64).stderr, wrong
    assert run("cancel", check=64)


def test_top_ends_what_is_chosen_after_a_question(run, daemon, busy):  # noqa: F811
    [request] = [target for target, entry in targets_of(run).items() if entry["session"] == busy]
    screen = Screen(daemon.socket, size=(20, 160))
    screen.wait(lambda page: busy in page)
    screen.press(b"k")
    screen.wait(lambda page: f"End what [{request}]?" in page)
    # Nothing but a y will do.
    screen.press(b"\n")
    screen.wait(lambda page: "? y/n" in page and f"pid {os.getpid()}" in page)
    screen.press(b"\n")
    screen.wait(lambda page: "q quit" in page)
    assert request in targets_of(run)
    screen.press(b"k9x\x7f\x7f99999.4\n")
    screen.wait(lambda page: "connection 99999 (not listed)? y/n" in page)
    screen.press(b"y")
    screen.wait(lambda page: "There is no request 4 of connection 99999" in page)
    screen.press(b"k..\n")
    screen.wait(lambda page: "Not a target" in page)
    screen.press(b"\x7f\x7f\n")
    screen.wait(lambda page: f"End request {request.split('.')[1]} of connection" in page)
    screen.press(b"y")
    screen.wait(lambda page: "Ended: request " in page)
    screen.press(b"q")
    assert screen.end()[0] == 0
    assert request not in targets_of(run)
