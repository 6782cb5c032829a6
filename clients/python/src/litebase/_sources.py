"""Where the daemon reads from: the files of `import_rows` and `restore`.

The daemon reads by a descriptor that is sent to it, and takes files and pipes. Of what is neither, such as an iterator or a file
of gzip, a thread here writes into a pipe what there is.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import select
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, Optional, Union

from ._errors import InterfaceError, ProgrammingError
from ._pipes import PIPE_BYTES, is_file_or_pipe, pipe, start_thread

#: What is read: a path, a descriptor, an object with `read`, bytes, or an iterable of them; in place of bytes there may be text.
Readable = Union[str, "os.PathLike[str]", int, bytes, bytearray, memoryview, Iterable[Any], Any]

#: What small pieces are gathered to.
_TOGETHER_BYTES = 64 << 10


class Source:
    """Where a request reads from: `begin` when the daemon has the descriptor, `end` when it needs it no more.

    Parameters: `encoding` is what text becomes, None where there may be none; `owner` is what the request belongs to.
    """

    def __init__(self, file: Readable, encoding: Optional[str], owner: object) -> None:
        self._feed: Optional[_Feed] = None
        # What was opened here.
        self._own: Optional[io.FileIO] = None
        if isinstance(file, (str, os.PathLike)):
            file = self._own = io.FileIO(os.fspath(file), "rb")
        plain = _plain(file)
        if plain is None:
            self._feed = _Feed(_encoded(_pieces(file), encoding), owner)
        self._plain = plain

    @property
    def descriptor(self) -> int:
        """What is passed to the daemon."""
        return self._feed.descriptor if self._feed is not None else self._plain or 0

    def begin(self, stop: Callable[[], None]) -> None:
        """The daemon has the descriptor. Parameters: `stop` is called, by another thread, where reading fails."""
        if self._feed is not None:
            self._feed.begin(stop)

    def end(self) -> None:
        """The request has ended, well or not. Raises: what reading from the program's own object raised."""
        if self._own is not None:
            self._own.close()
        if self._feed is not None:
            self._feed.end()


def _plain(file: Any) -> Optional[int]:
    """The descriptor from which the daemon reads what the program would read from the object, if there is one.

    Of gzip's files and others it would not be the same: they have a `fileno` all the same.
    """
    if isinstance(file, int):
        return file if is_file_or_pipe(file) else None
    if isinstance(file, tempfile._TemporaryFileWrapper):
        file = file.file
    if isinstance(file, io.FileIO):
        return file.fileno() if is_file_or_pipe(file.fileno()) else None
    if isinstance(file, (io.BufferedReader, io.BufferedRandom)) and isinstance(file.raw, io.FileIO):
        descriptor = file.raw.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            # What was read ahead is read again: it may be that the program has not taken it.
            place = file.tell()
            file.seek(0, os.SEEK_END)
            os.lseek(descriptor, place, os.SEEK_SET)
            return descriptor
    return None


def _pieces(file: Any) -> Iterator[Any]:
    """What there is to read, piece by piece."""
    if isinstance(file, int):
        return iter(lambda: os.read(file, PIPE_BYTES), b"")
    if isinstance(file, (bytes, bytearray, memoryview)):
        return iter((file,))
    if isinstance(file, io.IOBase) and not file.readable():
        raise InterfaceError("The file is not open for reading.", hint="Take mode 'rb'.")
    # What is there, where a file can say that; else it would wait for so much.
    read = getattr(file, "read1", None) or getattr(file, "read", None)
    if callable(read):
        return _read_all(read)
    if isinstance(file, Mapping) or not isinstance(file, Iterable):
        raise InterfaceError(
            f"Nothing can be read from {type(file).__name__}.",
            hint="A path, a file, a descriptor, bytes, or an iterable of bytes.",
        )
    return iter(file)


def _read_all(read: Callable[[int], Any]) -> Iterator[Any]:
    while piece := read(PIPE_BYTES):
        yield piece
    if piece is None:
        raise InterfaceError("The file has nothing to read at the moment, and does not wait.", hint="Make it one that blocks.")


def _encoded(pieces: Iterator[Any], encoding: Optional[str]) -> Iterator[memoryview]:
    """The pieces as bytes, small ones together: the daemon, too, takes a MiB before it looks at it."""
    parts: list[memoryview] = []
    size = 0
    for piece in pieces:
        try:
            part = memoryview(piece.encode(encoding) if encoding is not None and isinstance(piece, str) else piece).cast("B")
        except TypeError:
            if encoding is None:
                raise ProgrammingError(
                    f"A database is bytes, not {type(piece).__name__}.", hint="Open it in mode 'rb'."
                ) from None
            raise ProgrammingError(
                f"An import takes bytes or text, not {type(piece).__name__}.", hint="For rows of values there is executemany."
            ) from None
        # What can be changed may be by the time that it is written, such as a buffer that is filled again.
        parts.append(part if part.readonly else memoryview(bytes(part)))
        size += len(part)
        if size >= _TOGETHER_BYTES:
            yield _joined(parts)
            parts, size = [], 0
    if size:
        yield _joined(parts)


def _joined(parts: list[memoryview]) -> memoryview:
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


class _Feed:
    """A pipe, and a thread that writes into it what there is.

    The thread has its ends of the pipes, and this object the others: whatever becomes of it, the thread ends.
    """

    def __init__(self, pieces: Iterator[memoryview], owner: object) -> None:
        self._owner = owner
        self._output, input = pipe()
        # Its end says that nobody wants the rest.
        over, self._over = pipe()
        self._writer = _Writer(input, over, pieces)
        self._has_begun = False
        self.descriptor = self._output.fileno()

    def begin(self, stop: Callable[[], None]) -> None:
        # From now on the daemon alone reads, so that its end is noticed.
        self._output.close()
        start_thread(self._owner, self._writer.run, stop)
        self._has_begun = True

    def end(self) -> None:
        self._output.close()
        self._over.close()
        while self._has_begun:
            try:
                error = self._writer.result.get(timeout=0.02)
            except queue.Empty:
                if self._writer.is_reading:
                    # Nobody can interrupt that. The thread ends with it.
                    return
            else:
                self._has_begun = False
                if error is not None:
                    raise error


class _Writer:
    """What the thread of a feed does."""

    def __init__(self, input: io.FileIO, over: io.FileIO, pieces: Iterator[memoryview]) -> None:
        self._input = input
        self._over = over
        self._pieces = pieces
        #: Whether it waits for the program's own object.
        self.is_reading = False
        #: At the end None, or why reading failed.
        self.result: queue.SimpleQueue[Optional[BaseException]] = queue.SimpleQueue()

    def run(self, stop: Callable[[], None]) -> None:
        """The thread. Parameters: `stop` ends the import."""
        error: Optional[BaseException] = None
        with self._input, self._over:
            try:
                os.set_blocking(self._input.fileno(), False)
                while (piece := self._next()) is not None and self._write(piece):
                    pass
            except BaseException as failure:
                error = failure
                # Not the end of the file, which would be an import of a half: the pipe stays until the daemon has stopped.
                with contextlib.suppress(BaseException):
                    stop()
                self._over.read(1)
        self.result.put(error)

    def _next(self) -> Optional[memoryview]:
        self.is_reading = True
        try:
            return next(self._pieces, None)
        finally:
            self.is_reading = False

    def _write(self, piece: memoryview) -> bool:
        """Returns whether somebody still reads."""
        waiting = select.poll()
        waiting.register(self._input, select.POLLOUT)
        waiting.register(self._over, 0)
        while piece:
            ready = dict(waiting.poll())
            if self._over.fileno() in ready or ready.get(self._input.fileno(), 0) & select.POLLERR:
                return False
            try:
                piece = piece[os.write(self._input.fileno(), piece[:PIPE_BYTES]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                return False
        return True
