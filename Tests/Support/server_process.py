"""What the servers of the tests have in common: programs, a user who is not root, a directory, a process that comes and goes."""

import atexit
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess

from daemon import short_directory, wait_until


def unprivileged_user(names):
    """The first of the users that the machine knows; None where the tests do not run as root."""
    if os.geteuid() != 0:
        return None
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise AssertionError(f"no user for a server: none of {', '.join(names)}")


def as_user(user):
    """Words in front of a command, which becomes the command: subprocess' own `user` would copy this process first, which is large."""
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]


def find_programs(*names, places=()):
    """Paths by name; `places` are looked at before PATH."""
    path = os.pathsep.join([*places, os.environ.get("PATH", ""), "/usr/sbin"])
    programs = {name: shutil.which(name, path=path) for name in names}
    missing = [name for name, found in programs.items() if not found]
    assert not missing, f"{missing} not found: scripts/install-dependencies.sh test"
    return programs


def place_for_files():
    """Memory if there is plenty: a server makes some 40 MB of files before its first statement, and nobody's promise is that they last."""
    try:
        state = os.statvfs("/dev/shm")
        [available] = re.findall(r"^MemAvailable: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)
    except (OSError, ValueError):
        return "/tmp"
    # The size of the file system says nothing about the memory that is there.
    return "/dev/shm" if state.f_bavail * state.f_frsize > 4 << 30 and int(available) > 8 << 20 else "/tmp"


PLACE = place_for_files()

# Data directories as they are before the first start, by what they depend on: made once for each process that runs tests.
PREPARED = {}


def remove_prepared():
    for directory in PREPARED.values():
        shutil.rmtree(directory, ignore_errors=True)


atexit.register(remove_prepared)


class ServerProcess:
    """One server; `start`, `stop` and `kill` as often as a test wants. Subclasses have `command` and `answers`."""

    name = None
    # Servers refuse to run as root, and what runs as root may do more than the tests should rely on.
    users = ("nobody",)
    # Ends every session at once, in good order.
    stop_signal = signal.SIGTERM
    discard_signal = signal.SIGKILL
    seconds_max = 30
    # A `native.Beside`, of servers that have one.
    beside = None

    def __init__(self):
        self.user = unprivileged_user(self.users)
        self.directory = short_directory(PLACE)
        self.process = None
        os.chmod(self.directory, 0o755)
        if self.user:
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        try:
            self.set_up()
            self.start()
            self.furnish()
        except BaseException:
            self.discard()
            raise

    def set_up(self):
        """What comes before the first start."""

    def furnish(self):
        """What comes behind the first start: users, databases. If it fails, the server ends."""

    def command(self):
        """The words that start the server, which stays in the foreground."""
        raise NotImplementedError

    def answers(self):
        """Whether the server takes statements."""
        raise NotImplementedError

    def identity(self):
        """Words in front of a command that is to run as the server's user."""
        return as_user(self.user) if self.user else []

    def run(self, *command):
        """Runs a program of the server's to its end, as its user."""
        return subprocess.run([*self.identity(), *map(str, command)], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=120, cwd="/", text=True).stdout

    def prepare(self, data, key, make):
        """Fills the data directory as `make(directory)` does, which takes a server's program a second or two."""
        if key not in PREPARED:
            holder = short_directory(PLACE)
            if self.user:
                os.chown(holder, self.user.pw_uid, self.user.pw_gid)
            make(holder / "data")
            PREPARED[key] = holder
        subprocess.run(["cp", "-a", "--reflink=auto", PREPARED[key] / "data", data], check=True, timeout=120)

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen([*self.identity(), *map(str, self.command())], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd="/", start_new_session=True)

        def answers():
            assert self.process.poll() is None, (self.directory / "log").read_text()[-4000:]
            return self.answers()

        wait_until(answers, f"{self.name} takes statements", timeout=self.seconds_max, interval=0.02)

    def stop(self):
        self.end(self.stop_signal)

    def kill(self):
        """As a crash of the machine would: no connection gets a last word."""
        self.end(signal.SIGKILL)

    def pause(self):
        """The server reacts to nothing until `go_on`: neither to statements nor to cancelling."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self, signal_number):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            self.process.wait(self.seconds_max)

    def discard(self):
        if self.beside:
            self.beside.close()
        if self.process and self.process.poll() is None:
            self.go_on()
            self.end(self.discard_signal)
        shutil.rmtree(self.directory, ignore_errors=True)
