"""Input of `litebase import -` and `litebase restore` that cannot be read to its end: what came until then is not taken for the whole."""

import socket
import sqlite3
import struct
import subprocess
import time

import pytest

from daemon import LITEBASE, Daemon, wait_until
from directories import directory  # noqa: F401

ROWS = 200_000


@pytest.fixture
def served(directory):  # noqa: F811
    daemon = Daemon(directory=directory, databases={"lite": f"sqlite:{directory}/lite.db"})
    with daemon.connect() as client:
        client.query("CREATE TABLE made(a, b)", database="lite")
    yield daemon
    daemon.finish()


def rows(daemon):
    with daemon.connect() as client:
        return client.query("SELECT count(*) FROM made", database="lite").value


def start(daemon, *words, stdin):
    return subprocess.Popen([LITEBASE, words[0], "--socket", daemon.socket_path, *words[1:]], stdin=stdin, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


@pytest.fixture
def connection():
    """Both ends of a TCP connection, as a program has it that was started by inetd."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    yield sender, receiver
    sender.close()
    receiver.close()


def break_off(sender):
    """Its reader gets ECONNRESET, behind what it has read."""
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.close()


def content(count=ROWS):
    return "".join(f"{row},value\n" for row in range(count)).encode()


@pytest.mark.parametrize("atomic", [False, True])
def test_an_import(served, connection, atomic):
    sender, receiver = connection
    importing = start(served, "import", "-", "made", "-d", "lite", "--no-header", *(["--atomic"] if atomic else []), stdin=receiver)
    receiver.close()
    sender.sendall(content() + b"200000,val")
    # Bytes that were not read when it breaks are lost.
    if atomic:
        time.sleep(1)
    else:
        wait_until(lambda: rows(served) > 0, "rows are written")
    break_off(sender)
    _, said = importing.communicate(timeout=30)
    assert importing.returncode == 66 and "the input cannot be read: Connection reset by peer" in said, (importing.returncode, said)
    found = rows(served)
    if atomic:
        assert found == 0, (found, said)
    else:
        assert 0 < found <= ROWS and f"The {found} rows before it are in the table." in said, (found, said)


def test_an_import_to_the_end(served, connection):
    sender, receiver = connection
    importing = start(served, "import", "-", "made", "-d", "lite", "--no-header", "--atomic", stdin=receiver)
    receiver.close()
    sender.sendall(content())
    sender.close()
    assert importing.communicate(timeout=30) == (f"{ROWS} rows imported\n", "")
    assert rows(served) == ROWS


def test_a_restore(served, connection, directory):  # noqa: F811
    with sqlite3.connect(directory / "other.db") as made:
        made.execute("CREATE TABLE t AS SELECT zeroblob(400000)")
    made.close()
    sender, receiver = connection
    restoring = start(served, "restore", "lite", "-", "--yes", stdin=receiver)
    receiver.close()
    sender.sendall((directory / "other.db").read_bytes()[:200_000])
    time.sleep(0.5)
    break_off(sender)
    _, said = restoring.communicate(timeout=30)
    assert restoring.returncode == 66 and "the input cannot be read: Connection reset by peer" in said, (restoring.returncode, said)
    assert rows(served) == 0


def test_a_directory(served, directory):  # noqa: F811
    for words in (["import", directory, "made", "-d", "lite"], ["restore", "lite", directory, "--yes"]):
        process = start(served, *words, stdin=subprocess.DEVNULL)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 66 and "the input cannot be read: Is a directory" in said, (words, process.returncode, said)


def test_standard_input_that_is_closed(served):
    for words in ("import - made -d lite", "restore lite - --yes"):
        process = subprocess.run(["sh", "-c", f'exec "$0" {words} --socket "$1" <&-', LITEBASE, served.socket_path], capture_output=True,
                                 text=True, timeout=30, check=False)
        assert process.returncode == 66 and "the input cannot be read: Bad file descriptor" in process.stderr, process
