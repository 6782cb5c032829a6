"""Somebody who reads the documents and tries what they say: an unprivileged user with a home of his own."""

import atexit
import functools
import pathlib
import shutil
import signal
import subprocess

import terminal
from daemon import DIES_WITH_PARENT, LITEBASE, LITEBASED, short_directory, wait_until
from server_process import as_user, unprivileged_user

HOME, RUNTIME = "/home/alice", "/run/user/1000"  # as the documents call them


@functools.cache
def programs():
    """Where both programs lie for every reader: 75 MB, so there is one copy. Where the tests are built, the user may not look."""
    place = short_directory()
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    place.chmod(0o755)
    for program in (LITEBASED, LITEBASE):
        shutil.copy(program, place)
    return place


class Reader:
    def __init__(self, socket="found"):
        """`socket`: "found" where the programs look for it, or "named" by LITEBASE_SOCKET and not to be found."""
        self.directory = short_directory()
        self.home, self.runtime = self.directory / "home", self.directory / "run"
        self.user = unprivileged_user(("nobody",))
        for directory in (self.home, self.runtime):
            directory.mkdir(mode=0o755)
        self.runtime.chmod(0o700)
        self.environment = {"PATH": f"{programs()}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(self.home), "USER": "alice",
                            "XDG_RUNTIME_DIR": str(self.runtime), "LANG": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1",
                            "PAGER": "cat", "PYTHONDONTWRITEBYTECODE": "1"}
        self.socket = self.runtime / "litebase/litebase.sock"
        if socket == "named":
            self.socket = self.directory / "elsewhere.sock"
            self.environment["LITEBASE_SOCKET"] = str(self.socket)
        self.daemon = None
        self.own(self.directory)

    def own(self, path):
        if self.user:
            subprocess.run(["chown", "-R", f"{self.user.pw_uid}:{self.user.pw_gid}", path], check=True)

    def identity(self):
        return as_user(self.user) if self.user else []

    def give(self, name, content):
        """A file or a directory of the repository, or text, in the reader's home."""
        if isinstance(content, pathlib.Path):
            (shutil.copytree if content.is_dir() else shutil.copy)(content, self.home / name)
        else:
            (self.home / name).write_text(content, encoding="utf-8")
        self.own(self.home / name)

    def start_daemon(self, command):
        """A command of a document that stays in the foreground, in a terminal of its own."""
        self.stop_daemon()
        self.log = open(self.directory / "log", "ab")
        # A process that changes its user forgets what it wanted at its parent's end; prctl(2).
        self.daemon = subprocess.Popen([*self.identity(), *DIES_WITH_PARENT, "sh", "-c", command], env=self.environment, cwd=self.home,
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until(lambda: self.daemon.poll() is not None or self.run("litebase ping").status == 0, f"`{command}` serves")
        assert self.daemon.poll() is None, (self.directory / "log").read_text()

    def stop_daemon(self):
        """Ctrl-C, as the reader does it."""
        if self.daemon:
            self.daemon.send_signal(signal.SIGINT)
            assert self.daemon.wait(20 * terminal.PATIENCE) == 0, (self.directory / "log").read_text()
            self.log.close()
        self.daemon = None

    def run_all(self, commands, **options):
        return terminal.run(commands, shell=(*self.identity(), "bash"), environment=self.environment, directory=self.home, **options)

    def run(self, command, **options):
        return self.run_all([command], **options)[0]

    def named(self, lines):
        """Lines with the reader's own places called as the documents call them."""
        return [line.replace(str(self.home), HOME).replace(str(self.runtime), RUNTIME) for line in lines]

    def discard(self):
        try:
            self.stop_daemon()
        finally:
            if self.daemon:
                self.daemon.kill()
                self.daemon.wait()
            shutil.rmtree(self.directory, ignore_errors=True)
