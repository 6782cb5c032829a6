"""A real PostgreSQL of the tests' own, on a Unix socket in a temporary directory."""

import glob
import os
import signal
import subprocess

from daemon import wait_until
from native import Beside, NativePostgreSQL, can_connect
from server_process import ServerProcess, find_programs


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


class PostgreSQL(ServerProcess):
    """One server; `start`, `stop` and `kill` as often as a test wants."""

    name = "PostgreSQL"
    users = ("postgres", "nobody")
    stop_signal = signal.SIGINT  # pg_ctl -m fast
    discard_signal = signal.SIGQUIT  # gives back shared memory

    def __init__(self, primary=None, locale="C", encoding="UTF8", **settings):
        """With a `primary`, its standby."""
        # Debian keeps the server's programs out of PATH.
        places = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
        self.programs = find_programs("postgres", "initdb", "psql", "pg_basebackup", places=places)
        self.primary, self.locale, self.encoding, self.own_settings = primary, locale, encoding, settings
        self.beside = Beside(lambda: NativePostgreSQL(self.url(application_name="beside")))
        super().__init__()

    def set_up(self):
        self.data = self.directory / "data"
        self.settings = {"listen_addresses": "", "unix_socket_directories": str(self.directory), "fsync": "off",
                         "max_connections": "60", "shared_buffers": "16MB", "log_min_messages": "warning", **self.own_settings}
        if self.primary:
            self.run(self.programs["pg_basebackup"], "-D", self.data, "-h", self.primary.directory, "-U", "lb", "-R", "--no-sync",
                     "--checkpoint=fast")
        else:
            self.prepare(self.data, (self.name, self.encoding, self.locale), lambda directory: self.run(
                self.programs["initdb"], "-D", directory, "-U", "lb", "--auth=trust", "--no-sync", "-E", self.encoding,
                f"--locale={self.locale}"))

    def url(self, database="postgres", user="lb", password=None, **options):
        secret = f":{password}" if password else ""
        more = "".join(f"&{key}={value}" for key, value in options.items())
        return f"postgresql://{user}{secret}@/{database}?host={self.directory}{more}"

    def command(self):
        return [self.programs["postgres"], "-D", self.data,
                *(word for name, value in self.settings.items() for word in ("-c", f"{name}={value}"))]

    def start(self):
        # Of a server that was killed.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        super().start()

    def answers(self):
        return can_connect(lambda: NativePostgreSQL(self.url()))

    def psql(self, sql, database="postgres"):
        """Runs SQL beside the daemon; returns the output without the last line end."""
        return subprocess.run([self.programs["psql"], self.url(database), "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", sql],
                              stdout=subprocess.PIPE, check=True, timeout=60, text=True).stdout.rstrip("\n")

    def backends(self):
        """States of the daemon's connections, as the server sees them."""
        return [state for [state] in self.beside.rows("SELECT state FROM pg_stat_activity WHERE application_name LIKE 'litebase%'")]

    def kill(self):
        children = self.children()
        self.process.kill()
        for pid in children:
            send(pid, signal.SIGKILL)
        self.process.wait(20)
        # The kernel closes their connections when they are gone, which is a little after kill(2).
        wait_until(lambda: not any(runs(pid) for pid in children), "the backends are gone")

    def children(self):
        text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], stdout=subprocess.PIPE, text=True,
                              check=False).stdout
        return [int(pid) for pid in text.split()]

    def pause(self):
        for pid in [self.process.pid, *self.children()]:
            send(pid, signal.SIGSTOP)

    def go_on(self):
        for pid in [*self.children(), self.process.pid]:
            send(pid, signal.SIGCONT)


class PgBouncer(ServerProcess):
    """A pooler in front of a server."""

    name = "PgBouncer"
    users = PostgreSQL.users

    def __init__(self, server, **settings):
        self.programs = find_programs("pgbouncer")
        self.server, self.own_settings = server, settings
        super().__init__()

    def set_up(self):
        users, ini = self.directory / "users", self.directory / "ini"
        users.write_text('"lb" ""\n')
        options = {"unix_socket_dir": self.directory, "listen_port": 6432, "auth_type": "trust", "auth_file": users,
                   "pidfile": self.directory / "pid", "max_client_conn": 1000, **self.own_settings}
        ini.write_text(f"[databases]\npostgres = host={self.server.directory} port=5432 user=lb\n[pgbouncer]\n"
                       + "".join(f"{name} = {value}\n" for name, value in options.items()))
        if self.user:
            for path in (users, ini):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def command(self):
        return [self.programs["pgbouncer"], "-q", self.directory / "ini"]

    def answers(self):
        return (self.directory / ".s.PGSQL.6432").exists()

    def url(self):
        return f"postgresql://lb@/postgres?host={self.directory}&port=6432"
