"""Whose daemon the clients believe: a path says nothing about who listens there."""

import os
import pathlib
import shutil
import socket
import subprocess
import threading

import pytest

from daemon import LITEBASE, Daemon, environment_for, short_directory

STRANGER = 54321
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs a socket of another user")


@pytest.fixture
def directory():
    path = short_directory()
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Listener:
    """A socket on which a user listens, and what is sent there."""

    def __init__(self, path, uid):
        self.received = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        os.chmod(path, 0o666)

        def listen():
            # The user of the thread that calls listen(2) is what the other side sees.
            import ctypes
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.syscall(117, uid, uid, uid) == 0 or uid == os.getuid()  # setresuid, of this thread alone
            self.socket.listen()

        thread = threading.Thread(target=listen)
        thread.start()
        thread.join()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        try:
            while True:
                connection, _ = self.socket.accept()
                connection.settimeout(2)
                try:
                    while piece := connection.recv(65536):
                        self.received += piece
                        connection.sendall(b'{"id":null,"type":"error","data":{"code":"bad_frame","message":"x"}}\n')
                        break
                except OSError:
                    pass
                connection.close()
        except OSError:
            pass

    def close(self):
        self.socket.close()


@pytest.fixture
def stranger(directory):
    os.chmod(directory, 0o755)
    listener = Listener(directory / "s", STRANGER)
    yield listener
    listener.close()


def run(directory, *words, **environment):
    return subprocess.run([LITEBASE, *words], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                          env=environment_for(directory, **environment))


COMMANDS = [["ping", "-c", "1"], ["query", "SELECT 'secret'"], ["shell"], ["databases"], ["status"], ["reload"],
            ["top"], ["bench", "health", "-n", "1"]]


@needs_root
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("by", ["flag", "environment"])
def test_a_stranger_gets_nothing(directory, stranger, words, by):
    if by == "flag":
        done = run(directory, *words, "--socket", f"{directory}/s")
    else:
        done = run(directory, *words, LITEBASE_SOCKET=f"{directory}/s")
    assert done.returncode == 77, done
    assert f"uid {STRANGER}" in done.stderr and "--trust-user" in done.stderr
    assert stranger.received == b""


@needs_root
@pytest.mark.parametrize("how", ["flag", "environment"])
def test_a_user_who_is_named_is_trusted(directory, stranger, how):
    if how == "flag":
        done = run(directory, "query", "SELECT 1", "--socket", f"{directory}/s", "--trust-user", str(STRANGER))
    else:
        done = run(directory, "query", "SELECT 1", "--socket", f"{directory}/s", LITEBASE_TRUSTED_USERS=f"daemon,{STRANGER}")
    assert b"SELECT 1" in stranger.received and "served by" not in done.stderr, done


def test_a_user_that_there_is_not_is_an_error(directory):
    done = run(directory, "ping", "--trust-user", "nobody-of-that-name")
    assert done.returncode == 64 and "nobody-of-that-name" in done.stderr


@needs_root
def test_roots_daemon_is_trusted_by_others(directory):
    os.chmod(directory, 0o755)
    daemon = Daemon("--socket-mode=666", directory=directory)
    try:
        done = subprocess.run(["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", LITEBASE, "ping", "-c", "1",
                               "--socket", daemon.socket_path], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done
    finally:
        daemon.discard()


def test_nothing_in_tmp_is_believed_unasked(directory):
    """A socket that somebody has put where daemons used to be looked for."""
    path = pathlib.Path("/tmp/litebase.sock")
    if path.exists() or pathlib.Path("/run/litebase/litebase.sock").exists():
        pytest.skip("this machine has a daemon")
    listener = Listener(path, os.getuid())
    try:
        done = run(directory, "ping", "-c", "1")
        assert done.returncode == 69 and "/tmp/litebase.sock, has to be named" in done.stderr, done
        assert listener.received == b""
    finally:
        listener.close()
        path.unlink()
