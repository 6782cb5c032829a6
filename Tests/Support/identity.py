"""Connections of other Unix users: the kernel notes who connects, so another process connects and hands the socket over."""

import contextlib
import functools
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading

import pytest

from wire import Client

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as other users, which only root can")


NOBODY = 65534


def as_user(uid, gid=None, groups=()):
    """In a child: becomes that user, with these supplementary groups and no others."""
    os.setgroups(list(groups))
    os.setresgid(*[uid if gid is None else gid] * 3)
    os.setresuid(uid, uid, uid)


@functools.cache
def connector():
    """The process that connects for this one (connector.py), until this one ends; and a lock, since it does one thing at a time."""
    ours, theirs = socket.socketpair()
    with theirs:
        # -I -S: nothing of the tests', and nothing of the packages, is read.
        subprocess.Popen([sys.executable, "-I", "-S", pathlib.Path(__file__).with_name("connector.py")], stdin=theirs)
    ours.settimeout(20)
    return ours, threading.Lock()


def connect_as(path, uid, gid=None, groups=(), mode="msgpack"):
    """A connection whose peer is `uid`; the process that has connected is gone when this returns."""
    link, lock = connector()
    asked = {"path": str(path), "uid": uid, "gid": uid if gid is None else gid, "groups": list(groups)}
    with lock:
        link.sendall(json.dumps(asked).encode() + b"\n")
        answer, descriptors, _, _ = socket.recv_fds(link, 1, 1)
        ended = answer if answer == b"-" else link.recv(1)
    assert descriptors and ended == b".", f"uid {uid} could not connect to {path}"
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
