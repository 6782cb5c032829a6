"""A service manager in 150 lines: hands over sockets, listens to NOTIFY_SOCKET, keeps descriptors as sd_notify(3) says.

The real one is in Tests/System; this one restarts and kills the daemon a hundred times a second, on any machine.
"""

import array
import contextlib
import os
import select
import signal
import socket
import threading
import time

from daemon import LITEBASED, environment_for, wait_until
from wire import Client


# Where descriptors wait until they get the numbers that sd_listen_fds(3) expects.
AWAY = 4096
# The shell becomes the command, whose process id is told to it.
BECOME = 'preload=$1; shift; export LISTEN_PID=$$; [ -z "$preload" ] || export LD_PRELOAD="$preload"; exec "$@"'


@contextlib.contextmanager
def reading(receiver):
    """Reads the notify socket until the block ends, as a manager does: what a daemon told last is confirmed by that."""
    is_over = threading.Event()

    def read():
        while not is_over.is_set():
            if select.select([receiver], [], [], 0.02)[0]:
                # Descriptors that came along, such as that of sd_notify_barrier(3), are closed by not being taken.
                receiver.recv(65536)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class Manager:
    def __init__(self, directory, *flags, keep=True, prefix=()):
        """`prefix`: a command that becomes the daemon, as the same process (exec)."""
        self.directory, self.flags, self.keep, self.prefix = directory, flags, keep, prefix
        self.environment = {}
        self.path = str(directory / "litebase.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4096)
        # What is passed, by name.
        self.sockets = [("litebase", self.listener)]
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(directory / "notify"))
        self.store = {}
        self.states = []
        self.pid = None
        self.log_path = directory / "log"
        self.lock = threading.Lock()
        self.is_over = False
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    # The notify socket and the hang-ups of what is kept.

    def listen(self):
        while not self.is_over:
            with self.lock:
                poll = select.poll()
                poll.register(self.notify.fileno(), select.POLLIN)
                for fd in {fd for fds in self.store.values() for fd in fds}:
                    poll.register(fd, 0)
            for fd, _ in poll.poll(10):
                if fd == self.notify.fileno():
                    self.receive()
                else:
                    self.drop(fd)

    def receive(self):
        data, ancillary, _, _ = self.notify.recvmsg(4096, socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload)
        fields = dict(line.split("=", 1) for line in data.decode().splitlines())
        with self.lock:
            self.states.append(fields)
            if fields.get("FDSTORE") == "1" and self.keep:
                self.store.setdefault(fields["FDNAME"], []).extend(fds)
                return
            if fields.get("FDSTOREREMOVE") == "1":
                for fd in self.store.pop(fields["FDNAME"], []):
                    os.close(fd)
        for fd in fds:
            os.close(fd)

    def drop(self, fd):
        with self.lock:
            for name, fds in list(self.store.items()):
                if fd in fds:
                    fds.remove(fd)
                    if not fds:
                        del self.store[name]
                    os.close(fd)

    def names(self, prefix=""):
        with self.lock:
            return sorted(name for name in self.store if name.startswith(prefix))

    # The process.

    def start(self):
        with self.lock:
            passed = [(name, listener.fileno()) for name, listener in self.sockets]
            passed += [(name, fd) for name, fds in self.store.items() for fd in fds]
            self.states.clear()
        environment = environment_for(self.directory, NOTIFY_SOCKET=str(self.directory / "notify"),
                                      LISTEN_FDS=str(len(passed)), LISTEN_FDNAMES=":".join(name for name, _ in passed))
        environment.update(self.environment)
        command = [*self.prefix, LITEBASED, "--listen=systemd", "--log-level=debug", *self.flags]
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # First out of the way, then to their places.
        places = [(fd, AWAY + index) for index, (_, fd) in enumerate(passed)]
        places += [(AWAY + index, 3 + index) for index in range(len(passed))]
        actions = [(os.POSIX_SPAWN_DUP2, log, 2), *((os.POSIX_SPAWN_DUP2, *pair) for pair in places),
                   *((os.POSIX_SPAWN_CLOSE, AWAY + index) for index in range(len(passed)))]
        # What a test preloads is for the daemon alone. (A copy of this process, which is large, would cost more than the daemon's start.)
        preload = environment.pop("LD_PRELOAD", "")
        self.pid = os.posix_spawn("/bin/sh", ["sh", "-c", BECOME, "sh", preload, *map(str, command)], environment, file_actions=actions)
        os.close(log)
        return self

    def wait_ready(self):
        wait_until(lambda: any(state.get("READY") == "1" for state in list(self.states)), "READY=1")
        return self

    def end(self, sig):
        """Sends a signal and waits for the end; returns the status of wait(2)."""
        os.kill(self.pid, sig)
        deadline = time.monotonic() + 20
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            assert time.monotonic() < deadline, "the daemon does not end"
            time.sleep(0.001)
        self.pid = None
        # What it sent last is in the queue still.
        while select.select([self.notify], [], [], 0.02)[0]:
            time.sleep(0.005)
        return status

    def restart(self, sig=signal.SIGTERM):
        status = self.end(sig)
        assert sig == signal.SIGKILL or status == 0, f"exit status {status}: {self.log()[-2000:]}"
        return self.start()

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def client(self, mode="msgpack"):
        return Client(self.path, mode=mode)

    def discard(self):
        if self.pid:
            self.end(signal.SIGKILL)
        self.is_over = True
        self.thread.join()
        for name in list(self.store):
            for fd in self.store.pop(name):
                os.close(fd)
        self.listener.close()
        self.notify.close()
