"""The machine under test, seen from outside: commands, units, journal, processes, the socket.

scripts/system-test.sh boots it and says where it is: LITEBASE_MACHINE_LEADER is the process id of its process 1,
LITEBASE_MACHINE_ROOT its root directory.
"""

import json
import os
import pathlib
import shutil
import subprocess
import time

SOCKET = "/run/litebase/litebase.sock"
SERVICE = "litebase.service"
LIBRARY = "/usr/local/lib/litebase-test"
ENVIRONMENT = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]

SCALE = float(os.environ.get("LITEBASE_TEST_SCALE", "1"))


def rounds(count):
    """So many rounds, or fewer for a quick run by hand."""
    return max(2, round(count * SCALE))


def wait_until(condition, what, timeout=20.0, interval=0.02):
    """Polls until the condition holds; returns its value.

    Asking takes half of the time at most: a command costs as much processor time as some of what is waited for.
    """
    deadline = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        if value := condition():
            return value
        now = time.monotonic()
        assert now < deadline, f"waited {timeout} s in vain: {what}"
        time.sleep(max(interval, now - began))


class Machine:
    def __init__(self, leader, root):
        self.leader, self.root = leader, pathlib.Path(root)

    # Commands

    def command(self, *arguments, user=None, environment=()):
        """The argument list that runs a command inside, as root or as a user with all of the user's groups."""
        enter = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root",
                 "--wd", "--", *ENVIRONMENT]
        home = f"HOME=/home/{user}" if user else "HOME=/root"
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"] if user else []
        return [*enter, home, *environment, *become, *map(str, arguments)]

    def run(self, *arguments, user=None, environment=(), check=True, timeout=60, input=None):
        """Runs a command inside to its end; its `stdout` and `stderr` are text."""
        done = subprocess.run(self.command(*arguments, user=user, environment=environment), text=True, timeout=timeout,
                              input=input or "", capture_output=True)
        assert not check or done.returncode == 0, (
            f"{' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def output(self, *arguments, **options):
        return self.run(*arguments, **options).stdout.strip()

    def shell(self, script, **options):
        return self.run("sh", "-c", script, **options)

    def start(self, *arguments, user=None):
        """Starts a command inside, with pipes for its input and output. It must end when its input ends, or by itself:
        a signal would reach nsenter, not the command."""
        return subprocess.Popen(self.command(*arguments, user=user), text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    # Files

    def path(self, inside):
        """A file of the machine as a path outside, through all that is mounted inside."""
        return pathlib.Path(f"/proc/{self.leader}/root{inside}")

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def remove(self, *paths):
        for inside in paths:
            path = self.path(inside)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)

    def copy_in(self, source, inside):
        self.path(inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, self.path(inside))

    # Units

    def systemctl(self, *arguments, **options):
        return self.run("systemctl", *arguments, **options)

    def property(self, name, unit=SERVICE):
        return self.output("systemctl", "show", "--property", name, "--value", unit)

    def state(self, unit=SERVICE):
        return self.property("ActiveState", unit)

    def main_pid(self, unit=SERVICE):
        return int(self.property("MainPID", unit))

    def drop_in(self, name, text, unit=SERVICE):
        """Adds a drop-in that `clean` of the fixture removes again."""
        self.write(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.systemctl("daemon-reload")

    def wait_state(self, state, unit=SERVICE, timeout=20.0):
        wait_until(lambda: self.state(unit) == state, f"{unit} is {state}", timeout)

    def wait_restarted(self, old_pid, unit=SERVICE, timeout=20.0):
        """The new main process, once the unit is active again."""
        def fresh():
            pid = self.main_pid(unit)
            return pid if pid not in (0, old_pid) and self.state(unit) == "active" else None
        return wait_until(fresh, f"{unit} has a new main process instead of {old_pid}", timeout)

    # Journal

    def cursor(self):
        """The journal's present end."""
        return self.output("journalctl", "--show-cursor", "-n", "0", "-q").rpartition("-- cursor: ")[2].strip()

    def journal(self, cursor, *filters):
        """All entries since the cursor, as dictionaries with all of their fields."""
        self.run("journalctl", "--sync")
        text = self.output("journalctl", "-q", "-o", "json", "--all", f"--after-cursor={cursor}", *filters)
        return [json.loads(line) for line in text.splitlines()]

    def messages(self, cursor, *filters):
        return [str(entry.get("MESSAGE")) for entry in self.journal(cursor, *filters)]

    # Processes, by /proc of the machine

    def process_status(self, pid):
        text = self.path(f"/proc/{pid}/status").read_text()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}

    def cpu_seconds(self, pid):
        fields = self.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def threads(self, pid):
        """Thread ids by thread name; names may repeat."""
        found = {}
        for task in self.path(f"/proc/{pid}/task").iterdir():
            found.setdefault((task / "comm").read_text().strip(), []).append(int(task.name))
        return found

    # The socket, from outside: the peer's user is root, its process id is not visible to the daemon

    def socket_path(self, inside=SOCKET):
        return str(self.path(inside))

    def ping(self, path=SOCKET, user=None, timeout=60):
        """One health check by the command line tool inside."""
        return self.run("litebase", "ping", "-c", "1", "--socket", path, user=user, timeout=timeout)
