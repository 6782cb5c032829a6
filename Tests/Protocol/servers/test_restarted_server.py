"""Cancelling goes by the number that the server gave to a connection; a server that was started anew gives it to somebody else."""

import contextlib
import socket
import threading
import time

import pytest

from daemon import short_directory, wait_until
from fake_server import FakeServer
from mariadb import MariaDB
from native import NativeMariaDB
from redis_server import Redis, read_reply, request_of
from wire import RequestFailed


class Relay(FakeServer):
    """Between the daemon and a server, whose end it keeps to itself."""

    def __init__(self, server):
        self.server = server
        self.path = short_directory() / "relay"
        super().__init__(self.path)
        self.path.chmod(0o777)

    def serve(self, connection):
        beyond = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError), connection, beyond:
            beyond.connect(str(self.server.socket))
            threading.Thread(target=self.pass_on, args=(beyond, connection), daemon=True).start()
            self.pass_on(connection, beyond)

    @staticmethod
    def pass_on(source, target):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)

    def url(self):
        return self.server.url().replace(str(self.server.socket), str(self.path))


class MariaDBVictim:
    """Somebody else's connection with a number."""

    def __init__(self, server, number):
        while True:
            # Of the same login, which may end only its own.
            self.native = NativeMariaDB(server.socket, "lb", "lb")
            [[found]] = self.native.run("SELECT CONNECTION_ID()").rows
            if int(found) == number:
                return
            assert int(found) < number, "the server has counted on"
            self.close()

    def close(self):
        self.native.close()

    def wait_undisturbed(self):
        [[interrupted]] = self.native.run("SELECT SLEEP(2)").rows
        return int(interrupted) == 0


class RedisVictim:
    def __init__(self, server, number):
        while True:
            self.connection = server.connect()
            self.stream = self.connection.makefile("rb")
            found = self.ask("CLIENT", "ID")
            if found == number:
                return
            assert found < number, "the server has counted on"
            self.close()

    def close(self):
        self.connection.close()

    def ask(self, *words):
        self.connection.sendall(request_of(*words))
        return read_reply(self.stream)

    def wait_undisturbed(self):
        return self.ask("BLPOP", "nothing", "2") is None


ENGINES = {"mysql": (MariaDB, MariaDBVictim, "SELECT CONNECTION_ID()", "SELECT SLEEP(60)"),
           "redis": (Redis, RedisVictim, "CLIENT ID", "BLPOP nothing 60")}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cancel_for_a_server_that_is_gone_hits_nobody(start_daemon, engine):
    kind, victim, who, wait = ENGINES[engine]
    server = kind()
    try:
        # Not one of the first numbers, which the restart takes for itself.
        victim(server, 100).close()
        daemon = start_daemon(databases={"db": Relay(server).url()})
        with daemon.connect() as client:
            session = client.session(database="db")
            number = client.query(who, session=session).value
            id = client.send_query(wait, session=session)
            # Ages of servers are told in whole seconds, the ends of which are cut off.
            time.sleep(2.2)
            server.kill()
            server.start()
            other = victim(server, number)
            told = []
            waiting = threading.Thread(target=lambda: told.append(other.wait_undisturbed()))
            waiting.start()
            client.call("cancel", {"request": id})
            with pytest.raises(RequestFailed):
                client.collect(id)
            # What the daemon asks the server comes on a connection of its own.
            wait_until(lambda: not waiting.is_alive(), "the other one has waited", timeout=20)
            assert told == [True]
    finally:
        server.discard()
