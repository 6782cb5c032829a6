"""The daemon under systemd's protocol: sockets that it is given, what it tells of itself, leaving when it is idle.

"Guess" in a comment marks what the protocol page does not say.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from daemon import ENDLESS, LITEBASED, SANITIZER_OPTIONS, environment_for, free_port, run_to_end, tells_of_crash, wait_until
from manager import reading
from test_process import healthy  # noqa: F401 - fixtures among them
from wire import Client, RequestFailed


# Activation by systemd


class Activated:
    """`systemd-socket-activate` with sockets of its own making; it execs the daemon at the first connection."""

    def __init__(self, directory, paths, *flags, names=None, environment=None, ports=()):
        self.directory = directory
        self.log_path = directory / "activated.txt"
        command = ["systemd-socket-activate"]
        for path in paths:
            command += ["-l", str(path)]
        for port in ports:
            command += ["-l", f"127.0.0.1:{port}"]
        if names:
            command.append(f"--fdname={names}")
        env = environment_for(directory, **(environment or {}))
        for key in ("STATE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME", "NOTIFY_SOCKET",
                    *SANITIZER_OPTIONS):
            if key in env:
                command.append(f"--setenv={key}={env[key]}")
        command += [LITEBASED, "--log-level", "debug", *map(str, flags)]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                            cwd=directory, start_new_session=True)
        for path in paths:
            wait_until(lambda: os.path.exists(path), f"{path} exists")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def connect(self, address, mode="msgpack"):
        def attempt():
            try:
                return Client(address, mode)
            except OSError:
                return None
        return wait_until(attempt, f"{address} accepts")

    def terminate(self):
        self.process.terminate()
        return self.process.wait(15)

    def discard(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def activate(directory):
    started = []

    def start(paths, *flags, **options):
        started.append(Activated(directory, paths, *flags, **options))
        return started[-1]

    yield start
    for activated in started:
        activated.discard()


needs_activation = pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="systemd-socket-activate is missing")


@needs_activation
@pytest.mark.parametrize("listen", ["auto", "systemd", None])
def test_activation(activate, directory, listen):
    path = directory / "activated.sock"
    activated = activate([path], *(["--listen", listen] if listen else []))
    with activated.connect(str(path)) as client:
        data = client.call("health_check").data
        assert (data["activation"], data["pid"]) == ("socket", activated.process.pid)
        client.query("CREATE TABLE t(x)")
    assert activated.terminate() == 0
    assert path.exists(), "a socket of systemd's is never removed"
    assert not tells_of_crash(activated.log())
    assert "IPC server started" in activated.log()


@needs_activation
@pytest.mark.parametrize("names", [None, "litebase:litebase"])
def test_activation_with_several_sockets(activate, directory, names):
    paths = [directory / "one.sock", directory / "two.sock"]
    activated = activate(paths, names=names)
    with activated.connect(str(paths[1])) as second, activated.connect(str(paths[0])) as first:
        assert first.call("health_check").data["pid"] == second.call("health_check").data["pid"]
    assert activated.terminate() == 0
    assert all(path.exists() for path in paths)


@needs_activation
@pytest.mark.parametrize("setting", ["path = \"/tmp/s.sock\"", "mode = \"0666\"", "mode = \"0600\"", "group = \"root\"", "port = 0"])
def test_settings_of_a_socket_that_is_the_service_managers_are_named(activate, directory, setting):
    """One who sets the mode there would wait for its effect for ever."""
    config = directory / "litebase.toml"
    config.write_text(f"[socket]\n{setting}\n")
    path = directory / "a.sock"
    activated = activate([path], "--config", config)
    with activated.connect(str(path)) as client:
        client.settle()
    assert f"socket.{setting.split()[0]} not used: the sockets come from systemd" in activated.log()


@needs_activation
def test_activation_with_an_unknown_name(activate, directory):
    """A socket whose purpose is not known is refused in so many words, not left for clients to hang on."""
    path = directory / "a.sock"
    activated = activate([path], names="mystery")
    with activated.connect(str(path)):
        assert activated.process.wait(10) in range(64, 79)
    assert "mystery" in activated.log()
    assert path.exists()


@needs_activation
def test_activation_with_a_unix_and_a_tcp_socket(activate, directory):
    path, port = directory / "u.sock", free_port()
    activated = activate([path], ports=[port])
    with activated.connect(str(path)) as unix, activated.connect(("127.0.0.1", port), "lines") as tcp:
        assert unix.call("health_check").data["pid"] == tcp.call("health_check").data["pid"]
    assert activated.terminate() == 0
    assert path.exists()


@needs_activation
def test_passed_descriptors_do_not_leak_into_the_environment(activate, directory):
    """LISTEN_* are taken out of the environment, and the sockets are close-on-exec."""
    path = directory / "a.sock"
    activated = activate([path])
    with activated.connect(str(path)) as client:
        client.settle()
        flags = {}
        for entry in os.listdir(f"/proc/{activated.process.pid}/fdinfo"):
            text = pathlib.Path(f"/proc/{activated.process.pid}/fdinfo/{entry}").read_text()
            flags[int(entry)] = int(re.search(r"flags:\s*([0-7]+)", text).group(1), 8)
        leaking = [number for number, value in flags.items() if number > 2 and not value & 0o2000000]
        assert not leaking, f"descriptors without close-on-exec: {leaking}"
    assert activated.terminate() == 0


def test_every_descriptor_is_close_on_exec(start_daemon):
    daemon = start_daemon()
    client = daemon.connect()
    client.query("CREATE TABLE t(x)")
    client.session()
    for entry in os.listdir(f"/proc/{daemon.pid}/fdinfo"):
        text = pathlib.Path(f"/proc/{daemon.pid}/fdinfo/{entry}").read_text()
        if int(entry) > 2:
            assert int(re.search(r"flags:\s*([0-7]+)", text).group(1), 8) & 0o2000000, (
                f"{entry} -> {os.readlink(f'/proc/{daemon.pid}/fd/{entry}')}")


def test_listen_pid_of_another_process_is_ignored(start_daemon):
    daemon = start_daemon("--listen", "auto", standalone=False, environment={"LISTEN_PID": 1, "LISTEN_FDS": 1})
    assert healthy(daemon.socket_path)["activation"] == "standalone"


def test_listen_fds_without_a_pid_is_no_activation(start_daemon):
    daemon = start_daemon("--listen", "auto", standalone=False, environment={"LISTEN_FDS": "1"})
    assert healthy(daemon.socket_path)["activation"] == "standalone"


@pytest.mark.parametrize("environment", [{"LISTEN_PID": "x", "LISTEN_FDS": "1"}, {"LISTEN_PID": "", "LISTEN_FDS": ""},
                                         {"LISTEN_PID": "99999999999999999999", "LISTEN_FDS": "1"}], ids=str)
def test_odd_listen_variables(start_daemon, environment):
    """Guess: ignored, or refused in so many words."""
    daemon = start_daemon("--listen", "auto", standalone=False, environment=environment, wait=False)
    daemon.wait_ready_or_ended()
    if daemon.process.poll() is None:
        daemon.wait_ready()
        assert healthy(daemon.socket_path)["activation"] == "standalone"
    else:
        assert daemon.process.returncode in range(64, 79)
        assert "LISTEN" in daemon.log()


def test_listen_systemd_without_descriptors_is_an_error(directory):
    status, output = run_to_end("--listen", "systemd", "--socket", directory / "s.sock", directory=directory)
    assert status != 0
    assert "systemd" in output or "LISTEN_FDS" in output
    assert not (directory / "s.sock").exists()


# Readiness


@pytest.fixture(params=["path", "abstract"])
def notify(request, directory):
    """A datagram socket in the place of systemd's; yields (NOTIFY_SOCKET, the socket)."""
    name = str(directory / "notify") if request.param == "path" else f"\0litebase-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name)
        receiver.settimeout(10)
        yield name.replace("\0", "@"), receiver


def states_until(receiver, key):
    """Reads notifications until one has `key`; returns all assignments seen."""
    seen = []
    while not any(line.startswith(key) for line in seen):
        seen += receiver.recv(65536).decode().splitlines()
    return seen


def test_readiness(start_daemon, notify):
    """READY=1 comes when requests are served, STOPPING=1 when it leaves."""
    address, receiver = notify
    daemon = start_daemon(environment={"NOTIFY_SOCKET": address}, wait=False)
    states_until(receiver, "READY=1")
    assert healthy(daemon.socket_path)["pid"] == daemon.pid, "ready means ready"
    daemon.process.send_signal(signal.SIGTERM)
    assert "STOPPING=1" in states_until(receiver, "STOPPING=1")
    with reading(receiver):
        assert daemon.process.wait(15) == 0


def test_reload_is_announced(start_daemon, notify):
    address, receiver = notify
    daemon = start_daemon(environment={"NOTIFY_SOCKET": address}, wait=False)
    states_until(receiver, "READY=1")
    daemon.process.send_signal(signal.SIGHUP)
    seen = states_until(receiver, "RELOADING=1")
    if not any(line.startswith("READY=1") for line in seen):
        seen += states_until(receiver, "READY=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in seen)
    with reading(receiver):
        assert daemon.terminate() == 0


@needs_activation
def test_readiness_when_activated(activate, directory):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(directory / "notify"))
        receiver.settimeout(10)
        path = directory / "a.sock"
        activated = activate([path], environment={"NOTIFY_SOCKET": str(directory / "notify")})
        with activated.connect(str(path)) as client:
            states_until(receiver, "READY=1")
            client.settle()
        with reading(receiver):
            assert activated.terminate() == 0


def test_notify_socket_that_nobody_reads_is_no_trouble(start_daemon, directory):
    daemon = start_daemon(directory=directory, environment={"NOTIFY_SOCKET": str(directory / "nobody")})
    assert healthy(daemon.socket_path)["pid"] == daemon.pid


def fill(address):
    """Sends to a datagram socket until its queue is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with pytest.raises(BlockingIOError):
            for _ in range(100_000):
                sender.sendto(b"", address.replace("@", "\0"))


@pytest.mark.slow
def test_a_manager_that_does_not_read_keeps_neither_start_nor_end_waiting(start_daemon, notify):
    address, receiver = notify
    fill(address)
    daemon = start_daemon(environment={"NOTIFY_SOCKET": address})
    assert healthy(daemon.socket_path)["pid"] == daemon.pid
    daemon.process.send_signal(signal.SIGHUP)
    assert healthy(daemon.socket_path)["pid"] == daemon.pid
    if address.startswith("@"):
        # Its patience at the end, for what it said to be read, is 5 s.
        assert daemon.terminate(timeout=10) == 0
    else:
        assert "READY=1" in states_until(receiver, "READY=1")
        with reading(receiver):
            assert daemon.terminate() == 0


def test_a_start_that_fails_is_told_before_the_end(directory, notify):
    address, receiver = notify
    status, _ = run_to_end("--listen", "systemd", directory=directory, environment={"NOTIFY_SOCKET": address})
    state = receiver.recv(65536).decode().splitlines()
    assert f"EXIT_STATUS={status}" in state and "systemd passed no sockets" in state[0]


# Leaving when idle


@pytest.mark.slow
@needs_activation
def test_idle_exit(activate, directory):
    """A connection in use keeps it; when the last one is gone it leaves, and systemd's socket stays."""
    path = directory / "a.sock"
    activated = activate([path], "--idle-exit", 1)
    with activated.connect(str(path)) as client:
        start = time.monotonic()
        while time.monotonic() - start < 1.6:
            client.call("health_check")
            time.sleep(0.05)
        assert activated.process.poll() is None
    left = time.monotonic()
    assert activated.process.wait(10) == 0
    assert 0.7 <= time.monotonic() - left < 5
    assert path.exists()
    assert not tells_of_crash(activated.log())


@pytest.mark.slow
@needs_activation
def test_idle_exit_waits_for_a_running_statement(activate, directory):
    path = directory / "a.sock"
    activated = activate([path], "--idle-exit", 1)
    with activated.connect(str(path)) as client:
        id = client.send_query(ENDLESS, timeout_ms=2200)
        with pytest.raises(RequestFailed) as caught:
            client.collect(id)
        assert caught.value.code == "timeout"
    assert activated.process.wait(10) == 0


@pytest.mark.slow
def test_standalone_does_not_leave_when_idle(start_daemon):
    """Nobody would start it again: `--idle-exit` is for an activated daemon, as --help says."""
    daemon = start_daemon("--idle-exit", 1)
    healthy(daemon.socket_path)
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(1.8)
