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
import stat
from typing import Any, Callable

#: How much goes through a pipe at a time.
PIPE_BYTES = 256 << 10
#: What a pipe may hold where the system allows it: each end then waits less often for the other.
_WIDE_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # In Python's fcntl since 3.10.


def pipe() -> tuple[io.FileIO, io.FileIO]:
    """A pipe: its end to read from, and the one to write into."""
    made = itertools.chain.from_iterable(itertools.starmap(os.pipe, ((),)))
    output, input = map(io.FileIO, made, ("rb", "wb"))
    return output, input


def wide_pipe() -> tuple[io.FileIO, io.FileIO]:
    """The reading and the writing end of a pipe for much data."""
    output, input = pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(output, _F_SETPIPE_SZ, _WIDE_PIPE_BYTES)
    return output, input


def is_file_or_pipe(descriptor: int) -> bool:
    """Whether the daemon takes it: not a terminal, a socket or a device."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


def start_thread(work: Callable[..., None], *arguments: Any) -> None:
    """Starts a thread that the end of the program does not wait for. It must let no exception out.

    `threading.Thread` would keep what it is given for ever if it were interrupted while it starts.
    """
    _thread.start_new_thread(work, arguments)
