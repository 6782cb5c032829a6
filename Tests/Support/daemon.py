"""Starts `litebased` in a directory of its own, watches it, and checks that it leaves well."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import lane
from wire import PATIENCE, Client

ROOT = pathlib.Path(__file__).resolve().parents[2]
LITEBASED = os.environ.get("LITEBASED") or str(ROOT / ".build/release/litebased")
LITEBASE = os.environ.get("LITEBASE") or str(ROOT / ".build/release/litebase")
# Set by scripts/sanitize.sh: "address" or "thread".
SANITIZER = os.environ.get("LITEBASE_TEST_SANITIZER")
# "shared_memory": clients of the tests ask for a lane first, and everything that they do goes through it.
CLIENT = lane.LaneClient if os.environ.get("LITEBASE_TEST_TRANSPORT") == "shared_memory" else Client
SANITIZER_OPTIONS = ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")

# What a program that crashes, or one of its libraries, writes; in small letters.
CRASH = ("fatal error", "crash:", "crashed", "backtrace", "precondition", "addresssanitizer", "threadsanitizer", "leaksanitizer",
         "undefinedbehaviorsanitizer", "segmentation fault", "libc++abi", "stack smashing", "double free", "corrupted")

# The endless statement of the protocol's cancel test.
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"


def tells_of_crash(log):
    """Whether a log has words of CRASH. (Each is searched by itself: a regular expression for all takes 30 times as long.)"""
    text = log.lower()
    return any(words in text for words in CRASH)


def counting(limit, columns="x"):
    """SQL that yields `limit` rows, x counting from 1."""
    return f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT {limit}) SELECT {columns} FROM c"


def count(client, table, **options):
    """The number of a table's rows."""
    return client.query(f"SELECT count(*) FROM {table}", **options).value


def wait_until(condition, what, timeout=10.0, interval=0.005):
    """Polls `condition` until it holds, and returns its value. Asking takes half of the time at most: it may start a program."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        began = time.monotonic()
        if value := condition():
            return value
        now = time.monotonic()
        assert now < deadline, f"waited {timeout} s in vain: {what}"
        time.sleep(max(interval, now - began))


def short_directory(place="/tmp"):
    """A fresh directory whose path leaves room for a socket name within 107 bytes."""
    return pathlib.Path(tempfile.mkdtemp(prefix="lb-test-", dir=place))


def free_port():
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment_for(directory, **changes):
    """An environment in which the daemon finds nothing of this machine's own LiteBase."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("LISTEN_", "NOTIFY_", "XDG_", "LITEBASE", "JOURNAL_", "STATE_", "RUNTIME_"))}
    for name in ("state", "run", "xdg-state", "xdg-config", "home"):
        (directory / name).mkdir(exist_ok=True, mode=0o700)
    kept.update(HOME=str(directory / "home"), STATE_DIRECTORY=str(directory / "state"),
                XDG_RUNTIME_DIR=str(directory / "run"), XDG_STATE_HOME=str(directory / "xdg-state"),
                XDG_CONFIG_HOME=str(directory / "xdg-config"))
    for key, value in changes.items():
        kept.pop(key, None)
        if value is not None:
            kept[key] = str(value)
    return kept


# SIGKILL when the test run itself is killed, so that no daemon stays behind; prctl(2). A program that becomes the daemon does it
# without a copy of this process, which is large.
DIES_WITH_PARENT = (shutil.which("setpriv") or "/usr/bin/setpriv", "--pdeathsig", "KILL")


class Daemon:
    """One `litebased` process. Everything that it writes goes to `log_path`."""

    def __init__(self, *flags, databases=None, standalone=True, socket_flag=True, wait=True,
                 directory=None, environment=None, prefix=(), pass_fds=(), log_level="debug"):
        self.directory = directory or short_directory()
        self.owns_directory = directory is None
        self.socket_path = str(self.directory / "litebase.sock")
        self.log_path = self.directory / f"log-{time.monotonic_ns()}.txt"
        self.clients = []
        command = [*prefix, LITEBASED]
        if standalone:
            command += ["--listen", "standalone"]
        if socket_flag:
            command += ["--socket", self.socket_path]
        for name, url in (databases or {}).items():
            command += ["--database", f"{name}={url}"]
        command += ["--log-level", log_level] if log_level else []
        command += [str(flag) for flag in flags]
        self.command, self.environment, self.pass_fds = command, environment or {}, pass_fds
        self.launch()
        if wait:
            self.wait_ready()

    def launch(self):
        environment = environment_for(self.directory, **self.environment)
        # What a test preloads is for the daemon alone.
        preload = environment.pop("LD_PRELOAD", None)
        command = ["env", f"LD_PRELOAD={preload}", *self.command] if preload else self.command
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*DIES_WITH_PARENT, *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, pass_fds=self.pass_fds,
                env=environment, start_new_session=True)

    def restart(self):
        """The same again, on the same files: what the process has learnt is forgotten."""
        self.close_clients()
        assert self.terminate() == 0, self.log()[-3000:]
        self.launch()
        self.wait_ready()

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def accepts(self, path=None):
        return accepts(path or self.socket_path)

    def wait_ready(self, path=None):
        def is_ready():
            assert self.process.poll() is None, f"{self.command} ended with {self.process.returncode}:\n{self.log()}"
            return self.accepts(path)

        wait_until(is_ready, f"{path or self.socket_path} accepts connections", timeout=15)

    def wait_ready_or_ended(self):
        wait_until(lambda: self.process.poll() is not None or self.accepts(), "it serves or ends")

    def connect(self, mode="msgpack", **options):
        client = CLIENT(self.socket_path, mode, **options)
        self.clients.append(client)
        return client

    # Observation by /proc

    def memory_kib(self, field="VmRSS"):
        """0 with a sanitizer: how much memory there is, is its doing (shadow memory, and what was given back is kept)."""
        if SANITIZER:
            return 0
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise AssertionError(f"no {field} in /proc/{self.pid}/status")

    def reset_peak(self):
        """Sets VmHWM back to the present VmRSS; proc(5), clear_refs."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_idle(self, window=0.15):
        """True when the process used almost no processor time during `window` seconds."""
        before = self.cpu_seconds()
        time.sleep(window)
        return self.cpu_seconds() - before <= 0.2 * window

    def socket_count(self):
        """Open sockets. Files are not counted: links to a database are opened when first needed, and kept."""
        count = 0
        for entry in os.scandir(f"/proc/{self.pid}/fd"):
            try:
                count += os.readlink(entry.path).startswith("socket:")
            except FileNotFoundError:
                pass  # closed while we looked
        return count

    # The end

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()

    def terminate(self, signal_number=signal.SIGTERM, timeout=20):
        """Sends the signal and returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not end within {timeout} s of signal {signal_number}:\n"
                                 f"{self.log()[-3000:]}") from None

    def finish(self):
        """What every test's daemon owes at its end: exit 0, no crash in the log, no socket file."""
        self.close_clients()
        try:
            status = self.terminate()
            log = self.log()
            assert status == 0, f"exit status {status} after SIGTERM:\n{log[-3000:]}"
            assert not tells_of_crash(log), f"the log tells of a crash:\n{log[-3000:]}"
            assert not os.path.lexists(self.socket_path), "the socket file is still there"
        finally:
            self.discard()

    def discard(self):
        self.close_clients()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)


def accepts(path):
    """Whether a socket can be connected to. (Its file is there a little earlier.)"""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            return True
        except OSError:
            return False


def load(daemon, database, script):
    """Runs a script by the command line, which must have nothing to say."""
    done = subprocess.run([LITEBASE, "query", "-d", database, "--socket", daemon.socket_path, "-"], input=script, capture_output=True,
                          timeout=60 * PATIENCE, check=False)
    # A dump has warnings, as where it drops what is not there.
    said = re.sub(rb"litebase: [0-9]+ warnings? \(SHOW WARNINGS[^)]*\)\n", b"", done.stderr)
    assert (done.returncode, said) == (0, b""), done.stderr.decode()[-2000:]


def run_to_end(*flags, directory, environment=None, timeout=15):
    """Runs `litebased` with flags that should make it end by itself; returns status and output."""
    result = subprocess.run([LITEBASED, *map(str, flags)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, cwd=directory, timeout=timeout * PATIENCE,
                            env=environment_for(directory, **(environment or {})))
    return result.returncode, result.stdout.decode(errors="replace")
