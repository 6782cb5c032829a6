"""Where the daemon writes to.

The daemon writes by a descriptor that is sent to it (SCM_RIGHTS), and takes files and pipes. What is neither, such as io.BytesIO,
a file of gzip or a terminal, gets a pipe, and a thread here that writes what comes out of it.
"""

from __future__ import annotations

import errno
import io
import os
import queue
import select
import stat
import tempfile
from typing import Any, Callable, Optional, Union

from ._errors import InterfaceError
from ._partial import PartialFile
from ._pipes import PIPE_BYTES, is_writable_by_daemon, pipe, start_thread

#: What is written to: a path, a descriptor, or an object with `write` for bytes.
Writable = Union[str, "os.PathLike[str]", int, Any]


class Target:
    """Where a transfer writes, from opening it to its end: `finish` or `abandon`.

    Of a file that is named, nothing is seen before it is whole.

    Parameters: `owner` is what the transfer belongs to.
    """

    def __init__(self, file: Writable, overwrite: bool, owner: object) -> None:
        self._owner = owner
        self._partial: Optional[PartialFile] = None
        self._pump: Optional[_Pump] = None
        # What was opened here.
        self._own: Optional[io.FileIO] = None
        if isinstance(file, (str, os.PathLike)):
            self._open_path(os.fspath(file), overwrite)
            return
        self._write_into(*_plain(file))

    def _write_into(self, file: Any, plain: Optional[int]) -> None:
        """Has the daemon write into a descriptor where it can, or else a thread into the object."""
        if plain is not None and is_writable_by_daemon(plain):
            self.descriptor = plain
        else:
            self._pump = _Pump(file, self._owner)
            self.descriptor = self._pump.descriptor

    def _open_path(self, path: str, overwrite: bool) -> None:
        path = os.path.realpath(path)
        try:
            former = os.stat(path).st_mode
        except FileNotFoundError:
            mode = None
        else:
            if not stat.S_ISREG(former):
                # A named pipe, a device: there is nothing to be put in its place.
                self._own = io.FileIO(path, "wb")
                self._write_into(self._own, self._own.fileno())
                return
            if not overwrite:
                raise FileExistsError(errno.EEXIST, "The file exists; overwrite=True replaces it", path)
            # Who may read the former one may read this one.
            mode = stat.S_IMODE(former)
        self._partial = PartialFile(path, mode, overwrite)
        self._write_into(self._partial.descriptor, self._partial.descriptor)

    def finish(self) -> None:
        """All is written. Raises: what writing into the program's own object raised; FileExistsError, as at the beginning."""
        if self._pump is not None:
            self._pump.finish()
        if self._own is not None:
            self._own.close()
        if self._partial is not None:
            self._partial.finish()

    def abandon(self) -> None:
        """The transfer failed, or nobody wants it any more. Raises: what writing into the program's own object raised."""
        try:
            if self._pump is not None:
                self._pump.abandon()
        finally:
            if self._partial is not None:
                self._partial.abandon()
            if self._own is not None:
                self._own.close()


def _plain(file: Any) -> tuple[Any, Optional[int]]:
    """What takes bytes, and its descriptor where writing to that is the same as writing to the object.

    Objects of gzip and others have a `fileno` too, which is not: what is written there would not be compressed.
    """
    if isinstance(file, int):
        return file, file
    if isinstance(file, tempfile._TemporaryFileWrapper):
        file = file.file
    if isinstance(file, io.TextIOBase):
        buffer = getattr(file, "buffer", None)
        if buffer is None:
            raise InterfaceError("The file takes text, and an export is bytes.", hint="Take io.BytesIO, or mode 'wb'.")
        file.flush()
        file = buffer
    if not callable(getattr(file, "write", None)):
        raise InterfaceError(f"Nothing can be written into {type(file).__name__}.", hint="A path, a file, or a descriptor.")
    if isinstance(file, (io.BufferedWriter, io.BufferedRandom)):
        file.flush()
    raw = getattr(file, "raw", file) if isinstance(file, (io.BufferedWriter, io.BufferedRandom)) else file
    return file, raw.fileno() if isinstance(raw, io.FileIO) else None


class _Pump:
    """A thread that writes into an object of the program what comes out of a pipe.

    The thread has its ends of the pipes, and this object the others: whatever becomes of it, the thread ends.
    """

    def __init__(self, file: Any, owner: object) -> None:
        output, self._input = pipe()
        # Its end says that nobody wants the rest.
        stop, self._stopping = pipe()
        self.descriptor = self._input.fileno()
        #: At the end None, or why it ended early.
        self._replies: queue.SimpleQueue[Optional[BaseException]] = queue.SimpleQueue()
        write = (lambda data: os.write(file, data)) if isinstance(file, int) else file.write
        flush = getattr(file, "flush", lambda: None)
        start_thread(owner, _copy, output, stop, write, flush, self._replies)

    def finish(self) -> None:
        self._input.close()
        self._wait()

    def abandon(self) -> None:
        self._stopping.close()
        self._input.close()
        self._wait()

    def _wait(self) -> None:
        error = self._replies.get()
        self._stopping.close()
        if error is not None:
            raise error


def _copy(
    output: io.FileIO,
    stop: io.FileIO,
    write: Callable[[Any], Any],
    flush: Callable[[], Any],
    replies: queue.SimpleQueue[Optional[BaseException]],
) -> None:
    result: Optional[BaseException] = None
    # A daemon that still writes when the pipe is closed gets EPIPE.
    with output, stop:
        try:
            waiting = select.poll()
            waiting.register(output, select.POLLIN)
            waiting.register(stop, 0)
            while stop.fileno() not in dict(waiting.poll()):
                data = output.read(PIPE_BYTES)
                if not data:
                    flush()
                    break
                _write_all(write, data)
        except BaseException as error:
            result = error
    replies.put(result)


def _write_all(write: Callable[[Any], Any], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = write(rest)
        # Objects without a buffer may take a part; others return None or all.
        rest = rest[written if isinstance(written, int) else len(rest) :]
