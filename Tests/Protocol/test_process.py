"""The process: its socket file, signals, flags, configuration, activation by systemd, and its leaving.

"Guess" in a comment marks what the protocol page and the issue do not say.
"""

import grp
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from daemon import CRASH, ENDLESS, LITEBASED, SANITIZER_OPTIONS, Daemon, environment_for, run_to_end, wait_until
from wire import Client, ConnectionEnded, RequestFailed

UNAVAILABLE, CANNOT_CREATE, CONFIG, USAGE, OS_ERROR, NO_PERMISSION, TEMPORARY = 69, 73, 78, 64, 71, 77, 75
SOCKET_TROUBLE = (UNAVAILABLE, CANNOT_CREATE, CONFIG, USAGE, OS_ERROR, NO_PERMISSION, TEMPORARY)


def healthy(path, mode="msgpack"):
    with Client(path, mode) as client:
        return client.call("health_check").data


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def standalone_fails(directory, path, *flags):
    """Starts a second daemon on `path` and expects it to give up; returns its output."""
    status, output = run_to_end("--listen", "standalone", "--socket", path, *flags, directory=directory)
    assert status in SOCKET_TROUBLE, output
    assert not CRASH.search(output)
    assert len(output.strip().splitlines()) <= 6, output
    return output


# The socket file


def test_socket_appears_and_goes(start_daemon):
    daemon = start_daemon()
    mode = os.stat(daemon.socket_path).st_mode
    assert stat.S_ISSOCK(mode) and mode & 0o777 == 0o600
    assert daemon.terminate() == 0
    assert not os.path.lexists(daemon.socket_path)


@pytest.mark.parametrize("mode", ["0600", "0660", "0666", "660"])
def test_socket_mode(start_daemon, mode):
    daemon = start_daemon("--socket-mode", mode)
    assert os.stat(daemon.socket_path).st_mode & 0o7777 == int(mode, 8)


def test_socket_mode_does_not_hang_on_umask(start_daemon):
    daemon = start_daemon("--socket-mode", "0666", prefix=("sh", "-c", 'umask 077; exec "$0" "$@"'))
    assert os.stat(daemon.socket_path).st_mode & 0o777 == 0o666


def test_socket_group(start_daemon):
    group = grp.getgrgid(os.getgid()).gr_name
    daemon = start_daemon("--socket-group", group, "--socket-mode", "0660")
    assert os.stat(daemon.socket_path).st_gid == os.getgid()


@pytest.fixture
def as_user(directory):
    """A command prefix under which the daemon runs as an ordinary user who owns `directory`; root's defaults are system paths."""
    if os.getuid() != 0:
        return ()
    environment_for(directory)  # makes the directories, so that they change hands, too
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if subprocess.run([*prefix, "test", "-x", LITEBASED]).returncode != 0:
        pytest.skip("an ordinary user cannot run the daemon where it lies")
    for path in [directory, *directory.iterdir()]:
        os.chown(path, 65534, 65534)
    return prefix


def test_default_socket_of_a_user(start_daemon, directory, as_user):
    """$XDG_RUNTIME_DIR/litebase/litebase.sock; root has /run/litebase, which a test leaves alone."""
    daemon = start_daemon(directory=directory, socket_flag=False, wait=False, prefix=as_user)
    path = daemon.directory / "run" / "litebase" / "litebase.sock"
    daemon.wait_ready(str(path))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert daemon.terminate() == 0
    assert not path.exists()


def test_stale_socket_is_replaced(start_daemon, directory):
    """A daemon that was killed leaves its file; the next one takes the path over."""
    first = start_daemon(directory=directory)
    first.process.kill()
    first.process.wait()
    assert os.path.exists(first.socket_path), "SIGKILL leaves the file, or this test shows nothing"
    second = start_daemon(directory=directory)
    assert healthy(second.socket_path)["pid"] == second.pid
    assert second.terminate() == 0
    assert not os.path.lexists(second.socket_path)


def test_stale_socket_of_another_program_is_replaced(start_daemon, directory):
    """A socket file that nobody listens on and nobody locks."""
    path = directory / "litebase.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    daemon = start_daemon(directory=directory)
    assert healthy(str(path))["pid"] == daemon.pid


def test_live_socket_is_refused(start_daemon, directory):
    first = start_daemon(directory=directory)
    output = standalone_fails(directory, first.socket_path)
    assert str(first.pid) in output, f"the owner's pid is named: {output}"
    assert healthy(first.socket_path)["pid"] == first.pid


def test_live_socket_of_another_program_is_respected(directory):
    path = str(directory / "litebase.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        output = standalone_fails(directory, path)
        assert str(os.getpid()) in output
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)  # still the other program's


def test_two_daemons_started_together(start_daemon, directory):
    """Of many that start at once on one path exactly one serves."""
    daemons = [start_daemon(directory=directory, wait=False) for _ in range(6)]
    wait_until(lambda: sum(daemon.process.poll() is None for daemon in daemons) == 1, "all but one give up", timeout=20)
    (winner,) = [daemon for daemon in daemons if daemon.process.poll() is None]
    winner.wait_ready()
    assert healthy(winner.socket_path)["pid"] == winner.pid
    assert all(daemon.process.returncode in SOCKET_TROUBLE for daemon in daemons if daemon is not winner)


@pytest.mark.parametrize("length", [108, 109, 200])
def test_path_over_107_bytes(directory, length):
    path = str(directory / ("x" * (length - len(str(directory)) - 1)))
    assert len(path) == length
    output = standalone_fails(directory, path)
    assert "107" in output


def test_path_of_107_bytes(start_daemon, directory):
    path = str(directory / ("x" * (107 - len(str(directory)) - 1)))
    daemon = start_daemon("--socket", path, directory=directory, socket_flag=False, wait=False)
    daemon.wait_ready(path)
    assert healthy(path)["pid"] == daemon.pid
    assert daemon.terminate() == 0
    assert not os.path.lexists(path)


@pytest.mark.parametrize("kind", ["directory", "file", "fifo", "link to a file", "dangling link"])
def test_something_else_in_the_way(directory, kind):
    path = directory / "litebase.sock"
    other = directory / "precious"
    if kind == "directory":
        path.mkdir()
    elif kind == "file":
        path.write_text("precious")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link to a file":
        other.write_text("precious")
        path.symlink_to(other)
    else:
        path.symlink_to(directory / "nothing")
    before = path.lstat()
    output = standalone_fails(directory, str(path))
    assert str(path) in output
    assert path.lstat().st_ino == before.st_ino, "it is still there"
    if kind in ("file", "link to a file"):
        assert path.read_text() == "precious"


@pytest.mark.parametrize("path", ["/dev/null/litebase.sock", "/proc/litebase.sock"])
def test_directory_that_cannot_hold_a_socket(directory, path):
    assert path in standalone_fails(directory, path)


def test_socket_file_of_a_successor_is_left_alone(start_daemon, directory):
    """A daemon whose path was taken by another file does not remove what is not its own."""
    daemon = start_daemon(directory=directory)
    os.unlink(daemon.socket_path)
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(daemon.socket_path)
        assert daemon.terminate() == 0
        assert os.path.exists(daemon.socket_path)
    os.unlink(daemon.socket_path)


# Flags


def test_go_style_flags(directory):
    """What people of the page that inspired this type: one dash, an equals sign."""
    port = free_port()
    path = str(directory / "go.sock")
    daemon = Daemon(f"-socket={path}", f"-port={port}", "-log-level=debug", "-listen=standalone", directory=directory,
                    standalone=False, socket_flag=False, log_level=None, wait=False)
    try:
        daemon.wait_ready(path)
        assert healthy(path)["pid"] == daemon.pid
        assert healthy(("127.0.0.1", port))["pid"] == daemon.pid
        daemon.finish()
    finally:
        daemon.discard()
    assert not os.path.lexists(path)


def test_started_line_names_every_listener(start_daemon):
    port = free_port()
    daemon = start_daemon("--port", port, log_level="info")
    wait_until(lambda: daemon.log().count("IPC server started") >= 2, "both listeners are logged")
    lines = [line for line in daemon.log().splitlines() if "IPC server started" in line]
    assert any(daemon.socket_path in line for line in lines)
    assert any(str(port) in line for line in lines)


@pytest.mark.parametrize("level, more", [("debug", True), ("error", False)])
def test_log_level(start_daemon, level, more):
    daemon = start_daemon(log_level=level)
    healthy(daemon.socket_path)
    assert daemon.terminate() == 0
    assert bool(daemon.log().strip()) is more, daemon.log()


def test_port_is_loopback_alone(start_daemon):
    port = free_port()
    daemon = start_daemon("--port", port)
    for mode in ("msgpack", "lines"):
        assert healthy(("127.0.0.1", port), mode)["pid"] == daemon.pid
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True).stdout
    if listening:
        addresses = [line.split()[3].rpartition(":")[0].strip("[]") for line in listening.splitlines()]
        assert set(addresses) <= {"127.0.0.1", "::1"}
    for address in other_addresses():
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, port)) != 0


def other_addresses():
    text = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout
    return [address for address in text.split() if ":" not in address and not address.startswith("127.")]


def test_port_in_use(start_daemon, directory):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        output = standalone_fails(directory, str(directory / "s.sock"), "--port", port)
        assert str(port) in output
    assert not (directory / "s.sock").exists(), "what was bound before is taken back"


def test_databases_by_flag(start_daemon, directory):
    daemon = start_daemon(directory=directory, databases={"a": f"sqlite:{directory}/a.db", "m": "sqlite::memory:",
                                                          "a-b_c.2": f"sqlite:{directory}/b.db"})
    client = daemon.connect()
    names = {entry["name"] for entry in client.call("list_databases").data["databases"]}
    assert {"default", "a", "m", "a-b_c.2"} <= names
    client.query("CREATE TABLE t(x)", database="a")
    assert (directory / "a.db").is_file()
    assert client.query("SELECT 1", database="m").rows == [[1]]


def test_named_memory_database_is_one_for_all(start_daemon):
    """Guess: a memory database with a name holds its tables as long as the daemon runs, for every connection."""
    daemon = start_daemon(databases={"m": "sqlite::memory:"})
    daemon.connect().query("CREATE TABLE t(x)", database="m")
    daemon.connect().query("INSERT INTO t VALUES (1)", database="m")
    daemon.close_clients()
    assert daemon.connect().query("SELECT count(*) FROM t", database="m").value == 1


@pytest.mark.parametrize("environment, place", [({}, "state/default.db"),
                                                ({"STATE_DIRECTORY": None}, "xdg-state/litebase/default.db")])
def test_place_of_the_default_database(start_daemon, directory, as_user, environment, place):
    daemon = start_daemon(directory=directory, environment=environment, prefix=as_user)
    daemon.connect().query("CREATE TABLE t(x)")
    assert (directory / place).is_file()


def test_data_outlives_the_daemon(start_daemon, directory):
    first = start_daemon(directory=directory)
    first.connect().query("CREATE TABLE t AS SELECT 42 AS x")
    assert first.terminate() == 0
    wal = directory / "state" / "default.db-wal"
    assert not wal.exists() or wal.stat().st_size == 0, "a clean exit leaves a checkpoint behind"
    second = start_daemon(directory=directory)
    assert second.connect().query("SELECT x FROM t").value == 42


def test_acknowledged_writes_survive_kill(start_daemon, directory):
    for round in range(3):
        daemon = start_daemon(directory=directory)
        client = daemon.connect()
        client.query("CREATE TABLE IF NOT EXISTS t(round, n)")
        ids = [client.send_query("INSERT INTO t VALUES (?, ?)", [round, n]) for n in range(500)]
        acknowledged = 0
        for id in ids[:50 + 100 * round]:
            client.collect(id)
            acknowledged += 1
        daemon.process.kill()
        daemon.process.wait()
        daemon.close_clients()
        check = start_daemon(directory=directory)
        client = check.connect()
        assert client.query("SELECT count(*) FROM t WHERE round = ? AND n < ?", [round, acknowledged]).value == acknowledged
        assert client.query("PRAGMA integrity_check").value == "ok"
        assert check.terminate() == 0


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drain(start_daemon, directory, number):
    """A running statement ends with a terminal frame that says why, its work is rolled back, exit 0, file gone."""
    daemon = start_daemon(directory=directory)
    client = daemon.connect()
    session = client.session()
    client.query("CREATE TABLE t(x)", session=session)
    client.query("BEGIN", session=session)
    client.query("INSERT INTO t VALUES (1)", session=session)
    since = daemon.cpu_seconds()
    id = client.send_query(ENDLESS, session=session)
    wait_until(lambda: daemon.cpu_seconds() - since > 0.03, "the statement runs")
    daemon.process.send_signal(number)
    with pytest.raises(RequestFailed) as caught:
        client.collect(id)
    assert caught.value.code in ("shutting_down", "cancelled")
    with pytest.raises((ConnectionEnded, ConnectionResetError)):
        while True:
            client.receive()
    assert daemon.terminate() == 0
    assert not os.path.lexists(daemon.socket_path)
    after = start_daemon(directory=directory)
    assert after.connect().query("SELECT count(*) FROM t").value == 0


def test_drain_finishes_what_is_nearly_done(start_daemon):
    """Requests that were sent before the signal are answered: with their result, or that it shuts down."""
    daemon = start_daemon()
    client = daemon.connect()
    ids = [client.send_query("SELECT 1") for _ in range(100)]
    client.send_delivered(b"")
    daemon.process.send_signal(signal.SIGTERM)
    answered = 0
    for id in ids:
        try:
            assert client.collect(id).rows == [[1]]
        except RequestFailed as failure:
            assert failure.code == "shutting_down"
        answered += 1
    assert answered == 100
    assert daemon.terminate() == 0


def test_drain_answers_a_long_pipeline(start_daemon, mode):
    """A connection that is not kept was closed at the end of a turn, though requests waited in its input, or unread."""
    daemon = start_daemon("--loops", 1)
    clients = [daemon.connect(mode) for _ in range(4)]
    payloads = [b"".join(client.bytes_of("describe", {"sql": f"SELECT {number}, 'abcdefgh'"}, id=number)[1] for number in range(1500))
                for client in clients]
    for client in clients:
        client.call("health_check", id="accepted")
    daemon.process.send_signal(signal.SIGSTOP)
    for client, payload in zip(clients, payloads):
        client.socket.sendall(payload)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGCONT)
    for client in clients:
        for id in range(1500):
            reply = client.receive_for(id)
            assert reply.type == "describe_response" or reply.data["code"] == "shutting_down"
    assert daemon.terminate() == 0


def test_drain_is_quick_when_idle(start_daemon):
    daemon = start_daemon()
    clients = [daemon.connect() for _ in range(20)]
    for client in clients:
        client.session()
    start = time.monotonic()
    assert daemon.terminate() == 0
    assert time.monotonic() - start < 2, "idle connections are no reason to wait"


def test_drain_does_not_wait_for_a_stalled_reader(start_daemon):
    daemon = start_daemon()
    client = daemon.connect()
    client.send_query("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x, zeroblob(1000) FROM c")
    wait_until(daemon.is_idle, "the stream waits for its reader")
    assert daemon.terminate() == 0


def test_no_new_connections_while_draining(start_daemon):
    daemon = start_daemon()
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(15) == 0
    with pytest.raises(OSError):
        Client(daemon.socket_path)


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGHUP, signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG])
def test_signals_that_do_not_end_it(start_daemon, number):
    daemon = start_daemon()
    client = daemon.connect()
    for _ in range(3):
        daemon.process.send_signal(number)
        assert client.call("health_check").data["pid"] == daemon.pid
    assert healthy(daemon.socket_path)["pid"] == daemon.pid


def test_reload_keeps_connections_and_sessions(start_daemon, directory):
    config = directory / "litebase.toml"
    config.write_text("# empty\n")
    daemon = start_daemon("--config", config, directory=directory)
    client = daemon.connect()
    session = client.session()
    client.query("CREATE TEMP TABLE mine(x)", session=session)
    daemon.process.send_signal(signal.SIGHUP)
    assert client.query("SELECT count(*) FROM mine", session=session).value == 0
    assert client.call("health_check").data["pid"] == daemon.pid


def test_reload_of_a_broken_file_keeps_the_old_settings(start_daemon, directory):
    config = directory / "litebase.toml"
    config.write_text("# empty\n")
    daemon = start_daemon("--config", config, directory=directory)
    config.write_text("\nbroken_key = 1\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "broken_key" in daemon.log(), "the log names what is wrong with the file")
    assert healthy(daemon.socket_path)["pid"] == daemon.pid


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
    assert not CRASH.search(activated.log())
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
    wait_until(lambda: daemon.process.poll() is not None or os.path.exists(daemon.socket_path), "it serves or ends")
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
        assert activated.terminate() == 0


def test_notify_socket_that_nobody_reads_is_no_trouble(start_daemon, directory):
    daemon = start_daemon(directory=directory, environment={"NOTIFY_SOCKET": str(directory / "nobody")})
    assert healthy(daemon.socket_path)["pid"] == daemon.pid


# Leaving when idle


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
    assert not CRASH.search(activated.log())


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


def test_standalone_does_not_leave_when_idle(start_daemon):
    """Nobody would start it again: `--idle-exit` is for an activated daemon, as --help says."""
    daemon = start_daemon("--idle-exit", 1)
    healthy(daemon.socket_path)
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(1.8)


# Hardship


def test_descriptor_limit(start_daemon):
    """More connections than descriptors: the first ones are served, nothing spins, and it recovers."""
    daemon = start_daemon(prefix=("sh", "-c", 'ulimit -n 64; exec "$0" "$@"'))
    first = daemon.connect()
    first.settle()
    crowd = []
    for _ in range(120):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(1)
        try:
            connection.connect(daemon.socket_path)
        except OSError:
            connection.close()
            continue
        crowd.append(connection)
    first.settle()
    wait_until(daemon.is_idle, "a full table of descriptors is no reason to spin")
    for connection in crowd:
        connection.close()
    wait_until(lambda: answers(daemon), "new connections are served again")


def answers(daemon):
    try:
        return healthy(daemon.socket_path)
    except (OSError, ConnectionEnded):
        return None


def test_state_directory_that_cannot_be_written(directory):
    """A default database that cannot be had: a clear end, or a clear error on use; never a crash."""
    (directory / "state").mkdir()
    (directory / "state" / "default.db").mkdir()
    daemon = Daemon(directory=directory, wait=False)
    try:
        wait_until(lambda: daemon.process.poll() is not None or os.path.exists(daemon.socket_path), "it serves or ends")
        if daemon.process.poll() is None:
            error = daemon.connect().query_fails("SELECT 1")
            assert error["code"] in ("connect_failed", "database_error")
            assert daemon.terminate() == 0
        else:
            assert daemon.process.returncode in range(64, 79)
            assert "default.db" in daemon.log()
        assert not CRASH.search(daemon.log())
    finally:
        daemon.discard()


def test_many_starts_and_stops(start_daemon, directory):
    """Twenty lives on one path and one database: nothing is left over."""
    for number in range(20):
        daemon = start_daemon(directory=directory)
        with Client(daemon.socket_path) as client:
            client.query("CREATE TABLE IF NOT EXISTS t(x)")
            client.query("INSERT INTO t VALUES (?)", [number])
            assert client.query("SELECT count(*) FROM t").value == number + 1
        assert daemon.terminate() == 0
    left = [name for name in os.listdir(directory) if "sock" in name and not name.endswith(".lock")]
    assert not left, f"left over: {left}"


def test_closed_standard_streams_are_taken(start_daemon):
    """Log lines must not go into whatever would get the number 2."""
    daemon = start_daemon(prefix=("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'))
    assert [os.readlink(f"/proc/{daemon.pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
    with daemon.connect() as client:
        assert client.query("SELECT 1").value == 1
