"""Servers for MySQL that mean ill, or stop in the middle: no client waits for them, and nothing is given away."""

import itertools
import socket
import threading
import time

import pytest

from daemon import wait_until
from fake_mysql import GREETING, FakeMySQL, column, packet, row, rows
from test_mysql_server import configured, fails, on
from wire import RequestFailed


def ill(directory, start_daemon, reply):
    def answer(body, connection):
        if b"max_allowed_packet" in body:
            return row(b"16777216", b"u@localhost", b"")
        # COM_CHANGE_USER, and what follows it.
        if body[:1] == b"\x11" or body[1:].startswith(b"SET ROLE"):
            return packet(1, b"\0\0\0\2\0\0\0")
        return reply(body, connection)

    fake = FakeMySQL(directory / "ill", answer)
    client = start_daemon(databases={"my": f"mysql://u@/d?socket={directory}/ill"}).connect()
    return fake, client


def test_a_server_that_asks_for_the_password_in_clear(directory, start_daemon):
    """Over the network, whoever takes the server's place must not get it by asking."""
    seen = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    connection.sendall(packet(0, GREETING))
                    seen.append(connection.recv(4096))
                    connection.sendall(packet(2, b"\xfemysql_clear_password\0"))
                    seen.append(connection.recv(4096))
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    client = start_daemon(databases={"my": f"mysql://u:Xq7hidden@127.0.0.1:{listener.getsockname()[1]}/d"}).connect()
    assert fails(client, "SELECT 1")["code"] == "connect_failed"
    wait_until(lambda: len(seen) >= 2, "the server has what there was")
    assert not any(b"Xq7hidden" in data for data in seen)
    listener.close()


def test_a_server_that_asks_for_files(directory, start_daemon):
    (directory / "secret").write_text("do not send")
    fake, client = ill(directory, start_daemon, lambda body, _: packet(1, b"\xfb" + f"{directory}/secret".encode()))
    error = fails(client, "SELECT 1")
    assert error["code"] in ("database_error", "connect_failed"), error
    time.sleep(0.1)
    assert not any(b"do not send" in body for body in fake.seen)
    fake.close()


REPLIES = [b"\1", b"\xff", b"\xff\x28\x04", b"\xff\xff\xff", b"\0", b"\xfe", b"\xfc\xff", b"\xfd\xff\xff\xff", b"\xff" * 40, b"\0" * 40,
           b"\x05" + b"\xfe" * 9, b"\xfb", b"\xfa" * 20]


def test_a_server_that_talks_nonsense(directory, start_daemon):
    replies = itertools.cycle(REPLIES)
    fake, client = ill(directory, start_daemon, lambda body, _: packet(1, next(replies)))
    for _ in REPLIES:
        for parameters in (None, [1]):
            try:
                on(client, "SELECT ?" if parameters else "SELECT 1", parameters, timeout_ms=200)
            except RequestFailed as failure:
                assert failure.code not in ("internal",)
                time.sleep(failure.data.get("retry_after_ms", 0) / 1000)
    assert client.call("health_check").data["status"] == "healthy"
    assert len(fake.seen) > len(REPLIES)
    fake.close()


@pytest.mark.parametrize("step", range(1, 6))
def test_a_server_that_stops_in_the_middle(directory, start_daemon, step):
    """Silent, then gone, after so many parts of an answer: no client waits for it, nothing is blocked."""
    whole = rows(b"1", b"2", b"3")

    def reply(body, connection):
        if body[:1] == b"\x1f":
            return packet(1, b"\0\0\0\2\0\0\0")
        connection.sendall(whole[:len(whole) * step // 6])
        time.sleep(0.3)
        return None

    fake, client = ill(directory, start_daemon, reply)
    started = time.monotonic()
    error = fails(client, "SELECT 1", timeout_ms=100)
    assert error["code"] == "timeout", error
    assert time.monotonic() - started < 0.3
    assert fails(client, "SELECT 1")["code"] == "connect_failed"
    fake.close()


def test_a_server_that_never_greets(directory, start_daemon):
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(directory / "silent"))
    silent.listen()
    client = configured(start_daemon, directory, f"mysql://u@/d?socket={directory}/silent", "connect_ms_max = 300").connect()
    started = time.monotonic()
    error = fails(client, "SELECT 1")
    assert error["code"] == "connect_failed" and time.monotonic() - started < 2
    silent.close()


def test_a_server_that_counts_absurdly_many_rows(directory, start_daemon):
    """Numbers of the rows of a batch are added up."""
    def reply(body, connection):
        if body[0] == 0x16:
            return packet(1, b"\0\1\0\0\0\0\0\1\0\0\0\0") + packet(2, column(b"?")) + packet(3, b"\xfe\0\0\2\0")
        if body[0] == 0x17:
            return packet(1, b"\0\xfe" + b"\xff" * 7 + b"\x7f" + b"\0\2\0\0\0")
        if body[0] == 0x19:
            # Closing a statement is not answered.
            return b""
        return packet(1, b"\0\0\0\2\0\0\0")

    fake, client = ill(directory, start_daemon, reply)
    statement = {"sql": "INSERT INTO t VALUES (?)", "param_rows": [[1], [2], [3]]}
    client.call("batch", {"statements": [statement], "atomic": False, "database": "my"})
    assert client.call("health_check").data["status"] == "healthy"
    fake.close()
