"""A real PostgreSQL of the tests' own, on a Unix socket in a temporary directory."""

import glob
import os
import pwd
import shutil
import signal
import subprocess

from daemon import short_directory, wait_until


def find_program(name):
    """Debian keeps the server's programs out of PATH."""
    places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))


def unprivileged_user():
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise AssertionError("no user for PostgreSQL: neither postgres nor nobody")


def runs(pid):
    """Whether a process is there, and not only its entry for the parent; proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def send(pid, signal_number):
    """Backends come and go by themselves."""
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        pass


class PostgreSQL:
    """One server; `start`, `stop` and `kill` as often as a test wants."""

    def __init__(self, primary=None, locale="C", encoding="UTF8", **settings):
        """With a `primary`, its standby."""
        self.programs = {name: find_program(name) for name in ("postgres", "initdb", "psql", "pg_basebackup")}
        missing = [name for name, path in self.programs.items() if not path]
        assert not missing, f"{missing} not found: scripts/install-dependencies.sh test"
        self.user = unprivileged_user()
        self.directory = short_directory()
        self.data = self.directory / "data"
        self.settings = {"listen_addresses": "", "unix_socket_directories": str(self.directory), "fsync": "off",
                         "max_connections": "60", "shared_buffers": "16MB", "log_min_messages": "warning", **settings}
        os.chmod(self.directory, 0o755)
        if self.user:
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        if primary:
            self.run(self.programs["pg_basebackup"], "-D", str(self.data), "-h", str(primary.directory), "-U", "lb", "-R", "--no-sync",
                     "--checkpoint=fast")
        else:
            self.run(self.programs["initdb"], "-D", str(self.data), "-U", "lb", "--auth=trust", "--no-sync", "-E", encoding,
                     f"--locale={locale}")
        self.process = None
        self.start()

    def identity(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def run(self, *command, **options):
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120, cwd="/", text=True,
                              **self.identity(), **options).stdout

    def url(self, database="postgres", user="lb", password=None, **options):
        secret = f":{password}" if password else ""
        more = "".join(f"&{key}={value}" for key, value in options.items())
        return f"postgresql://{user}{secret}@/{database}?host={self.directory}{more}"

    def start(self):
        command = [self.programs["postgres"], "-D", str(self.data)]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, **self.identity())
        wait_until(self.answers, "PostgreSQL takes statements", timeout=30, interval=0.05)

    def answers(self):
        assert self.process.poll() is None, (self.directory / "log").read_text()
        return subprocess.run([self.programs["psql"], self.url(), "-Atc", "SELECT 1"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=20, check=False).returncode == 0

    def psql(self, sql, database="postgres"):
        """Runs SQL beside the daemon; returns the output without the last line end."""
        return subprocess.run([self.programs["psql"], self.url(database), "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", sql],
                              stdout=subprocess.PIPE, check=True, timeout=60, text=True).stdout.rstrip("\n")

    def backends(self):
        """States of the daemon's connections, as the server sees them."""
        text = self.psql("SELECT state FROM pg_stat_activity WHERE application_name LIKE 'litebase%'")
        return text.split("\n") if text else []

    def stop(self):
        """Ends every session at once, in good order (pg_ctl -m fast)."""
        self.end(signal.SIGINT)

    def kill(self):
        """As a crash of the machine would: no connection gets a last word."""
        children = self.children()
        self.process.kill()
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(20)
        # The kernel closes their connections when they are gone, which is a little after kill(2).
        wait_until(lambda: not any(runs(pid) for pid in children), "the backends are gone")

    def children(self):
        text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], stdout=subprocess.PIPE, text=True,
                              check=False).stdout
        return [int(pid) for pid in text.split()]

    def pause(self):
        """The server reacts to nothing until `go_on`: neither to statements nor to cancelling."""
        for pid in [self.process.pid, *self.children()]:
            send(pid, signal.SIGSTOP)

    def go_on(self):
        for pid in [*self.children(), self.process.pid]:
            send(pid, signal.SIGCONT)

    def end(self, signal_number):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            self.process.wait(30)

    def discard(self):
        if self.process and self.process.poll() is None:
            self.go_on()
            self.end(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)


class PgBouncer:
    """A pooler in front of a server, on a Unix socket beside it."""

    def __init__(self, server, **settings):
        program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        assert program, "pgbouncer not found: scripts/install-dependencies.sh test"
        self.server = server
        self.directory = short_directory()
        os.chmod(self.directory, 0o755)
        (self.directory / "users").write_text('"lb" ""\n')
        options = {"unix_socket_dir": self.directory, "listen_port": 6432, "auth_type": "trust",
                   "auth_file": self.directory / "users", "logfile": self.directory / "log",
                   "pidfile": self.directory / "pid", "max_client_conn": 1000, **settings}
        (self.directory / "ini").write_text(
            f"[databases]\npostgres = host={server.directory} port=5432 user=lb\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in options.items()))
        if server.user:
            for path in [self.directory, *self.directory.iterdir()]:
                os.chown(path, server.user.pw_uid, server.user.pw_gid)
        self.process = subprocess.Popen([program, "-q", str(self.directory / "ini")], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
                                        **server.identity())
        wait_until(lambda: (self.directory / ".s.PGSQL.6432").exists(), "PgBouncer listens", timeout=20)

    def url(self):
        return f"postgresql://lb@/postgres?host={self.directory}&port=6432"

    def discard(self):
        self.process.kill()
        self.process.wait(20)
        shutil.rmtree(self.directory, ignore_errors=True)
