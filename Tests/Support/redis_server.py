"""A real Redis of the tests' own, on a Unix socket in a temporary directory."""

import shutil
import socket

from daemon import free_port, short_directory
from fake_server import FakeServer
from server_process import ServerProcess, find_programs


class Redis(ServerProcess):
    """One server; `start`, `stop` and `kill` as often as a test wants."""

    name = "Redis"
    users = ("redis", "nobody")

    def __init__(self, **settings):
        self.programs = find_programs("redis-server")
        self.own_settings = settings
        super().__init__()

    def set_up(self):
        self.socket = self.directory / "redis.sock"
        self.settings = {"port": 0, "unixsocket": self.socket, "unixsocketperm": "777", "dir": self.directory,
                         "save": "", "appendonly": "yes", "appendfsync": "no", "daemonize": "no", **self.own_settings}

    def url(self, user=None, password=None, db=0):
        secret = f":{password}" if password else ""
        return f"redis+unix://{user or ''}{secret}{'@' if user or secret else ''}{self.socket}?db={db}"

    def command(self):
        return [self.programs["redis-server"],
                *(word for name, value in self.settings.items() for word in (f"--{name.replace('_', '-')}", value))]

    def answers(self):
        try:
            return self.ask("PING") == "PONG"
        except (OSError, ValueError):
            return False

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self.socket))
        return connection

    def ask(self, *words):
        """Runs one command beside the daemon, without a library; returns the reply, errors as ValueError."""
        with self.connect() as connection:
            with connection.makefile("rb") as stream:
                if "requirepass" in self.settings:
                    connection.sendall(request_of("AUTH", self.settings["requirepass"]))
                    read_reply(stream)
                connection.sendall(request_of(*words))
                return read_reply(stream)

    def clients(self):
        """The daemon's connections, as the server sees them: command by id."""
        fields = [dict(item.split("=", 1) for item in line.split()) for line in self.ask("CLIENT", "LIST").splitlines()]
        return {entry["id"]: entry["cmd"] for entry in fields if entry.get("name") == "litebase"}

    def blocked(self):
        return int(dict(line.split(":", 1) for line in self.ask("INFO", "clients").splitlines() if ":" in line)["blocked_clients"])


class Networked(Redis):
    """One that is reached over TCP, and takes a replica at once."""

    def __init__(self, **settings):
        self.port = free_port()
        super().__init__(port=self.port, bind="127.0.0.1", repl_diskless_sync_delay=0, **settings)

    @property
    def place(self):
        return f"127.0.0.1:{self.port}"


def request_of(*words):
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def read_reply(stream):
    line = stream.readline()
    kind, rest = line[:1], line[1:-2].decode()
    if kind == b"-":
        raise ValueError(rest)
    if kind == b":":
        return int(rest)
    if kind == b"$":
        if int(rest) < 0:
            return None
        return stream.read(int(rest) + 2)[:-2].decode(errors="surrogateescape")
    if kind == b"*":
        return [read_reply(stream) for _ in range(int(rest))] if int(rest) >= 0 else None
    if kind == b"+":
        return rest
    raise OSError(f"no reply: {line!r}")


class FakeRedis(FakeServer):
    """Greets as Redis does, and answers every other command with the bytes that the test has chosen."""

    greetings = {"HELLO": b"*4\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$2\r\nid\r\n:1\r\n", "COMMAND": b"*0\r\n", "INFO": b"$0\r\n\r\n"}

    def __init__(self, reply):
        self.directory = short_directory()
        self.socket = self.directory / "fake.sock"
        self.reply = reply
        super().__init__(self.socket)

    def url(self):
        return f"redis+unix://{self.socket}"

    def talk(self, connection, stream):
        while words := read_reply(stream):
            connection.sendall(self.greetings.get(words[0]) or self.reply)

    def discard(self):
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)
