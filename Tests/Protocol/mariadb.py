"""A real MariaDB of the tests' own, on a Unix socket in a temporary directory."""

import os
import pwd
import shutil
import signal
import subprocess

from daemon import short_directory, wait_until


def unprivileged_user():
    """MariaDB refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("mysql", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise AssertionError("no user for MariaDB: neither mysql nor nobody")


class MariaDB:
    """One server; `start`, `stop` and `kill` as often as a test wants."""

    def __init__(self, **settings):
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
        self.programs = {name: shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db", "mariadb")}
        missing = [name for name, path in self.programs.items() if not path]
        assert not missing, f"{missing} not found: scripts/install-dependencies.sh test"
        self.user = unprivileged_user()
        self.directory = short_directory()
        self.data = self.directory / "data"
        self.socket = self.directory / "s"
        self.settings = {"socket": self.socket, "datadir": self.data, "skip_networking": "1", "max_connections": "60",
                         "innodb_buffer_pool_size": "24M", "innodb_flush_log_at_trx_commit": "2", "innodb_log_file_size": "8M",
                         "innodb_fast_shutdown": "2", "character_set_server": "utf8mb4", "pid_file": self.directory / "pid",
                         "performance_schema": "0", "secure_file_priv": self.directory, "log_warnings": "1", **settings}
        os.chmod(self.directory, 0o755)
        if self.user:
            os.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        self.run(self.programs["mariadb-install-db"], "--no-defaults", f"--datadir={self.data}",
                 "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
        self.process = None
        self.start()
        # `lb` may do everything but read and write files; `reader` what the documentation grants for reading.
        self.sql("CREATE DATABASE lb; CREATE USER lb@localhost, lb@'127.0.0.1', admin@localhost, reader@localhost;"
                 "GRANT ALL ON *.* TO admin@localhost;"
                 "GRANT ALL ON lb.* TO lb@localhost, lb@'127.0.0.1'; GRANT SELECT, SHOW VIEW ON lb.* TO reader@localhost")

    def identity(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}

    def run(self, *command, **options):
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, cwd="/",
                              text=True, **self.identity(), **options).stdout

    def url(self, database="lb", user="lb", password=None, **options):
        secret = f":{password}" if password else ""
        more = "".join(f"&{key.replace('_', '-')}={value}" for key, value in options.items())
        return f"mysql://{user}{secret}@/{database}?socket={self.socket}{more}"

    def start(self):
        command = [self.programs["mariadbd"], "--no-defaults"]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in self.settings.items()]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, **self.identity())
        wait_until(self.answers, "MariaDB takes statements", timeout=40, interval=0.05)

    def client(self, database=""):
        return [self.programs["mariadb"], "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch",
                "--skip-column-names", "--raw", "--default-character-set=utf8mb4", database]

    def answers(self):
        assert self.process.poll() is None, (self.directory / "log").read_text()[-4000:]
        return subprocess.run([*self.client(), "-e", "SELECT 1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=20, check=False).returncode == 0

    def sql(self, sql, database=""):
        """Runs SQL beside the daemon; returns the output without the last line end."""
        return subprocess.run([*self.client(database), "-e", sql], stdout=subprocess.PIPE, check=True, timeout=60,
                              text=True).stdout.rstrip("\n")

    def connections(self):
        """What the daemon's connections do, as the server sees them: the statement, or "" for an idle one."""
        text = self.sql("SELECT CONCAT('=', IFNULL(info, '')) FROM information_schema.processlist "
                        "WHERE user IN ('lb', 'admin', 'reader') ORDER BY id")
        return [line[1:].replace("NULL", "") for line in text.split("\n") if line.startswith("=")]

    def busy(self):
        """Statements of the daemon's that run."""
        return [text for text in self.connections() if text]

    def stop(self):
        """Ends every session at once, in good order."""
        self.end(signal.SIGTERM)

    def kill(self):
        """As a crash of the machine would: no connection gets a last word."""
        self.process.kill()
        self.process.wait(20)

    def pause(self):
        """The server reacts to nothing until `go_on`: neither to statements nor to cancelling."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def end(self, signal_number):
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
            self.process.wait(40)

    def discard(self):
        if self.process and self.process.poll() is None:
            self.go_on()
            self.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)
