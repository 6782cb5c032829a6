"""Pipes, and threads at their ends.

A signal handler may raise between any two instructions of Python. So a descriptor goes from the system call to its owner, which
closes it, within one call of a function that is not written in Python, and so does what a thread is given.
"""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import io
import itertools
import os
import socket
import stat
import struct
import threading
import weakref
from typing import Any, Callable

#: How much goes through a pipe at a time.
PIPE_BYTES = 256 << 10
#: What a pipe may hold where the system allows it: each end then waits less often for the other.
_WIDE_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # In Python's fcntl since 3.10.


#: Pipes of this process, without callbacks, in which the exception of a signal handler would be lost.
_open: list[weakref.ref[io.FileIO]] = []
_opening = threading.Lock()


def pipe() -> tuple[io.FileIO, io.FileIO]:
    """A pipe: its end to read from, and the one to write into."""
    made = itertools.chain.from_iterable(itertools.starmap(os.pipe, ((),)))
    output, input = map(io.FileIO, made, ("rb", "wb"))
    with _opening:
        _open[:] = [*(end for end in _open if end() is not None), weakref.ref(output), weakref.ref(input)]
    return output, input


def _close_in_child() -> None:
    # Who reads a pipe waits until nobody has the other end any more.
    for known in _open:
        end = known()
        if end is not None:
            with contextlib.suppress(OSError):
                end.close()


os.register_at_fork(after_in_child=_close_in_child)


def send_descriptor(opened: socket.socket, data: bytes, descriptor: int) -> int:
    """Sends bytes, of which the first ones carry a descriptor. Returns how many were taken.

    Python's own `send_fds` takes flags and does nothing with them.
    """
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))]
    return opened.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def wide_pipe() -> tuple[io.FileIO, io.FileIO]:
    """The reading and the writing end of a pipe for much data."""
    output, input = pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(output, _F_SETPIPE_SZ, _WIDE_PIPE_BYTES)
    return output, input


def is_file_or_pipe(descriptor: int) -> bool:
    """Whether the daemon reads it: not a terminal, a socket or a device."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def is_writable_by_daemon(descriptor: int) -> bool:
    """Whether the daemon writes into it: as `is_file_or_pipe`, but no file in memory, which would be the daemon's memory."""
    if not is_file_or_pipe(descriptor):
        return False
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode) or _file_system(descriptor) not in ("", "tmpfs", "ramfs", "hugetlbfs")


def _file_system(descriptor: int) -> str:
    """The type of the file system of an open file (proc(5)); "" of one that is not mounted, such as memfd_create(2)'s."""
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as info:
            mount = next(line.split()[1] for line in info if line.startswith("mnt_id:"))
        with open("/proc/self/mountinfo", errors="surrogateescape") as mounts:
            return next((line.partition(" - ")[2].split()[0] for line in mounts if line.split(maxsplit=1)[0] == mount), "")
    except (OSError, StopIteration):
        # Without /proc it is not known: the daemon says what it does not take.
        return "unknown"


class _Helper(threading.local):
    """What a thread works for."""

    owner: object = None


_helper = _Helper()


def helps(owner: object) -> bool:
    """Whether the calling thread was started for it."""
    return _helper.owner is owner


def start_thread(owner: object, work: Callable[..., None], *arguments: Any) -> None:
    """Starts a thread that the end of the program does not wait for. It must let no exception out.

    `threading.Thread` would keep what it is given for ever if it were interrupted while it starts.

    Parameters: `owner` is for `helps`.
    """
    _thread.start_new_thread(_work_for, (owner, work, arguments))


def _work_for(owner: object, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    _helper.owner = owner
    work(*arguments)
