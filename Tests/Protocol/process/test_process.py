"""The process: its socket file, signals, and what it does in hardship."""

import fcntl
import grp
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from daemon import ENDLESS, LITEBASE, Daemon, environment_for, run_to_end, tells_of_crash, wait_until
from wire import PATIENCE, Client, ConnectionEnded, RequestFailed

UNAVAILABLE, CANNOT_CREATE, CONFIG, USAGE, OS_ERROR, NO_PERMISSION, TEMPORARY = 69, 73, 78, 64, 71, 77, 75
SOCKET_TROUBLE = (UNAVAILABLE, CANNOT_CREATE, CONFIG, USAGE, OS_ERROR, NO_PERMISSION, TEMPORARY)


def healthy(path, mode="msgpack"):
    with Client(path, mode) as client:
        return client.call("health_check").data


def standalone_fails(directory, path, *flags):
    """Starts a second daemon on `path` and expects it to give up; returns its output."""
    status, output = run_to_end("--listen", "standalone", "--socket", path, *flags, directory=directory)
    assert status in SOCKET_TROUBLE, output
    assert not tells_of_crash(output)
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


def test_default_socket_of_a_user(start_daemon, directory, as_user):
    """$XDG_RUNTIME_DIR/litebase/litebase.sock; root has /run/litebase, which a test leaves alone."""
    daemon = start_daemon(directory=directory, socket_flag=False, wait=False, prefix=as_user)
    path = daemon.directory / "run" / "litebase" / "litebase.sock"
    daemon.wait_ready(str(path))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert daemon.terminate() == 0
    assert not path.exists()


def test_default_socket_without_a_directory_for_sockets(start_daemon, directory, as_user):
    """In the user's directory for state, never in /tmp, where anybody may put one; `litebase` looks there, too."""
    if os.path.exists("/run/litebase/litebase.sock"):
        pytest.skip("this machine has a daemon")
    daemon = start_daemon(directory=directory, socket_flag=False, wait=False, prefix=as_user,
                          environment={"XDG_RUNTIME_DIR": None})
    path = daemon.directory / "xdg-state" / "litebase" / "litebase.sock"
    daemon.wait_ready(str(path))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    found = subprocess.run([*as_user, LITEBASE, "ping", "-c", "1"], capture_output=True, text=True,
                           env=environment_for(directory, XDG_RUNTIME_DIR=None))
    assert found.returncode == 0 and str(path) in found.stdout, found
    assert daemon.terminate() == 0
    assert not path.exists()


def test_a_lock_that_somebody_else_made_keeps_nobody_from_starting(start_daemon, directory):
    """In a directory of everybody's, such as /tmp."""
    shared = directory / "shared"
    shared.mkdir()
    os.chmod(shared, 0o1777)
    path = str(shared / "litebase.sock")
    with open(path + ".lock", "w") as squatted:
        fcntl.flock(squatted, fcntl.LOCK_EX)
        daemon = start_daemon("--socket", path, directory=directory, socket_flag=False, wait=False,
                              environment={"XDG_STATE_HOME": directory / "locks"})
        daemon.wait_ready(path)
        assert daemon.terminate() == 0
    assert os.listdir(shared) == ["litebase.sock.lock"]


@pytest.mark.parametrize("mode", ["600", "660"])
def test_directories_on_the_way_to_the_socket_are_no_secrets(start_daemon, directory, mode):
    path = directory / "srv" / "app" / "s"
    daemon = start_daemon("--socket", path, "--socket-mode", mode, directory=directory, socket_flag=False, wait=False,
                          prefix=("sh", "-c", 'umask 022; exec "$0" "$@"'))
    daemon.wait_ready(str(path))
    assert (directory / "srv").stat().st_mode & 0o777 == 0o755
    assert (directory / "srv" / "app").stat().st_mode & 0o777 == (0o700 if mode == "600" else 0o755)
    assert daemon.terminate() == 0


def test_the_socket_is_born_with_its_mode(start_daemon, directory):
    """No moment in which a link could be put in its place and get the mode instead: chmod(2) by path is never called."""
    if not shutil.which("strace"):
        pytest.skip("no strace")
    trace = directory / "trace"
    # -D: the daemon is the child, and gets the signals.
    daemon = start_daemon("--socket-mode=666", "--socket-group", os.getgid(), directory=directory, prefix=(
        "strace", "-D", "-f", "-o", str(trace), "-e",
        "trace=chmod,fchmodat,chown,lchown,fchown,fchownat,fchmod,bind,listen"))
    assert os.stat(daemon.socket_path).st_mode & 0o777 == 0o666
    assert daemon.terminate() == 0
    calls = [line.split(maxsplit=1)[1].split("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    assert calls.index("fchmod") < calls.index("bind") < calls.index("listen"), calls
    assert not {"chmod", "fchmodat", "chown", "lchown", "fchown"} & set(calls), calls


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


# Signals


@pytest.mark.slow
@pytest.mark.parametrize("number, seconds", [(signal.SIGTERM, 5), (signal.SIGINT, 0.6)])
def test_drain(start_daemon, directory, number, seconds):
    """A running statement has the time that there is, and ends with a terminal frame that says why; its work is rolled back, exit 0, file gone."""
    config = directory / "drain.toml"
    # Five seconds are what it has by itself.
    config.write_text("" if seconds == 5 else f"[limits]\ndrain_time_ms_max = {seconds * 1000:.0f}\n")
    daemon = start_daemon("--config", config, directory=directory)
    client = daemon.connect()
    session = client.session()
    client.query("CREATE TABLE t(x)", session=session)
    client.query("BEGIN", session=session)
    client.query("INSERT INTO t VALUES (1)", session=session)
    since = daemon.cpu_seconds()
    id = client.send_query(ENDLESS, session=session)
    wait_until(lambda: daemon.cpu_seconds() - since > 0.03, "the statement runs")
    began = time.monotonic()
    daemon.process.send_signal(number)
    with pytest.raises(RequestFailed) as caught:
        client.collect(id)
    assert caught.value.code in ("shutting_down", "cancelled")
    assert seconds * 0.9 < time.monotonic() - began < seconds + 3 * PATIENCE
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


@pytest.mark.slow
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
    except RequestFailed as refusal:
        # The daemon has not noticed yet that all of the crowd have gone.
        assert refusal.data["limit"]["name"] == "connections_max", refusal
        return None


def test_state_directory_that_cannot_be_written(directory):
    """A default database that cannot be had: a clear end, or a clear error on use; never a crash."""
    (directory / "state").mkdir()
    (directory / "state" / "default.db").mkdir()
    daemon = Daemon(directory=directory, wait=False)
    try:
        daemon.wait_ready_or_ended()
        if daemon.process.poll() is None:
            error = daemon.connect().query_fails("SELECT 1")
            assert error["code"] in ("connect_failed", "database_error")
            assert daemon.terminate() == 0
        else:
            assert daemon.process.returncode in range(64, 79)
            assert "default.db" in daemon.log()
        assert not tells_of_crash(daemon.log())
    finally:
        daemon.discard()


@pytest.mark.slow
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


ABORT = """
#include <stdlib.h>
__attribute__((constructor)) static void begin(void) { atexit(abort); }
"""


def test_libraries_do_not_clean_up_at_the_end(start_daemon, directory):
    """Threads may still use them: OpenSSL frees locks that a connection takes when it is closed."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (directory / "abort.c").write_text(ABORT)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", directory / "abort.so", directory / "abort.c"], check=True)
    daemon = start_daemon(environment={"LD_PRELOAD": directory / "abort.so"})
    assert healthy(daemon.socket_path)["status"] == "healthy"
    assert daemon.terminate() == 0


def test_closed_standard_streams_are_taken(start_daemon):
    """Log lines must not go into whatever would get the number 2."""
    daemon = start_daemon(prefix=("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-'))
    assert [os.readlink(f"/proc/{daemon.pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
    with daemon.connect() as client:
        assert client.query("SELECT 1").value == 1
