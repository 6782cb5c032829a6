"""A real MariaDB of the tests' own, on a Unix socket in a temporary directory."""

import re
import subprocess

import pytest

from daemon import wait_until
from native import Beside, NativeMariaDB, can_connect
from server_process import ServerProcess, find_programs


def without_warnings(said):
    """What a command has said beside how many warnings there were, which a dump has, as where it drops what is not there."""
    return re.sub(rb"litebase: [0-9]+ warnings? \(SHOW WARNINGS[^)]*\)\n", b"", said)


class MariaDB(ServerProcess):
    """One server; `start`, `stop` and `kill` as often as a test wants."""

    name = "MariaDB"
    users = ("mysql", "nobody")
    seconds_max = 40

    def __init__(self, **settings):
        self.programs = find_programs("mariadbd", "mariadb-install-db", "mariadb")
        self.own_settings = settings
        self.beside = Beside(lambda: NativeMariaDB(self.socket, "root", "lb"))
        super().__init__()

    def furnish(self):
        # `lb` may do everything but read and write files; `reader` what the documentation grants for reading.
        self.sql("CREATE DATABASE lb; CREATE USER lb@localhost, lb@'127.0.0.1', admin@localhost, reader@localhost;"
                 "GRANT ALL ON *.* TO admin@localhost;"
                 "GRANT ALL ON lb.* TO lb@localhost, lb@'127.0.0.1'; GRANT SELECT, SHOW VIEW ON lb.* TO reader@localhost")

    def set_up(self):
        self.data = self.directory / "data"
        self.socket = self.directory / "s"
        # A server that starts deletes the temporary tables of all others in its directory.
        self.temporary = self.directory / "tmp"
        self.temporary.mkdir(mode=0o777)
        self.temporary.chmod(0o777)
        self.settings = {"socket": self.socket, "datadir": self.data, "tmpdir": self.temporary, "skip_networking": "1", "max_connections": "60",
                         "innodb_buffer_pool_size": "24M", "innodb_flush_log_at_trx_commit": "2", "innodb_log_file_size": "8M",
                         "innodb_fast_shutdown": "2", "character_set_server": "utf8mb4", "pid_file": self.directory / "pid",
                         "performance_schema": "0", "secure_file_priv": self.directory, "log_warnings": "1", **self.own_settings}
        self.prepare(self.data, self.name, lambda directory: self.run(
            self.programs["mariadb-install-db"], "--no-defaults", f"--datadir={directory}", f"--tmpdir={self.temporary}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"))

    def url(self, database="lb", user="lb", password=None, **options):
        secret = f":{password}" if password else ""
        more = "".join(f"&{key.replace('_', '-')}={value}" for key, value in options.items())
        return f"mysql://{user}{secret}@/{database}?socket={self.socket}{more}"

    def command(self):
        return [self.programs["mariadbd"], "--no-defaults",
                *(f"--{name.replace('_', '-')}={value}" for name, value in self.settings.items())]

    def client(self, database=""):
        return [self.programs["mariadb"], "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch",
                "--skip-column-names", "--raw", "--default-character-set=utf8mb4", database]

    def answers(self):
        return can_connect(lambda: NativeMariaDB(self.socket, "root"))

    def sql(self, sql, database=""):
        """Runs SQL beside the daemon; returns the output without the last line end."""
        return subprocess.run([*self.client(database), "-e", sql], stdout=subprocess.PIPE, check=True, timeout=60,
                              text=True).stdout.rstrip("\n")

    def connections(self):
        """What the daemon's connections do, as the server sees them: the statement, or "" for an idle one."""
        return [statement for [statement] in self.beside.rows(
            "SELECT info FROM information_schema.processlist WHERE user IN ('lb', 'admin', 'reader') ORDER BY id")]

    def transactions(self):
        """Those that are open. (information_schema.innodb_trx is made anew only when nobody has read it for 0.1 s.)"""
        [[_, _, status]] = self.beside.rows("SHOW ENGINE INNODB STATUS")
        return re.findall(r"^---TRANSACTION \S+, ACTIVE.*", status, re.M)

    def busy(self):
        """Statements of the daemon's that run."""
        return [text for text in self.connections() if text]


def fixtures(schema, between=None):
    """The fixtures `server`, one for a test file, and `my`, a daemon whose database `my` is there.

    `schema` is run at its start, `between` before each test.
    """
    @pytest.fixture(scope="module")
    def server():
        instance = MariaDB()
        try:
            instance.sql(schema, "lb")
            yield instance
        finally:
            instance.discard()

    @pytest.fixture
    def my(server, start_daemon):
        if between:
            server.sql(between, "lb")
        daemon = start_daemon(databases={"my": server.url()})
        yield daemon
        daemon.close_clients()
        wait_until(lambda: not server.busy(), "nothing runs for clients that are gone")

    return server, my
