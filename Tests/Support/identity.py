"""Connections of other Unix users: the kernel notes who connects, so a child connects and hands the socket over."""

import contextlib
import os
import socket
import subprocess

import pytest

from wire import Client

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as other users, which only root can")


NOBODY = 65534


def as_user(uid, gid=None, groups=()):
    """In a child: becomes that user, with these supplementary groups and no others."""
    os.setgroups(list(groups))
    os.setresgid(*[uid if gid is None else gid] * 3)
    os.setresuid(uid, uid, uid)


def connect_as(path, uid, gid=None, groups=(), mode="msgpack"):
    """A connection whose peer is `uid`; the process that has connected is gone when this returns."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            as_user(uid, gid, groups)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(str(path))
            socket.send_fds(theirs, [b"x"], [connection.fileno()])
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        ours.settimeout(20)
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(child, 0)
    assert descriptors, f"uid {uid} could not connect to {path}"
    return Client(socket.socket(fileno=descriptors[0]), mode)


@contextlib.contextmanager
def process_as(path, uid, request):
    """A process of that user that sends one JSON line, and stays until the block ends; yields it and the reply."""
    program = ("import socket, sys\ns = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
               "s.sendall(sys.argv[2].encode() + b'\\n'); print(s.makefile().readline(), flush=True); sys.stdin.read()")
    process = subprocess.Popen(["/usr/bin/python3", "-c", program, str(path), request], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, cwd="/", user=uid, group=uid, extra_groups=[])
    try:
        yield process, process.stdout.readline()
    finally:
        process.stdin.close()
        process.wait(20)


def as_nobody(action):
    """Runs `action` in a process of the user nobody; its text is the result."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            text = str(action())
        except BaseException as problem:
            text = f"problem: {problem!r}"
        os.write(writer, text.encode()[:60000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    return text
