"""Files that the daemon writes into: `export` and `backup`.

The daemon writes by a descriptor that is sent to it (SCM_RIGHTS), and takes files and pipes. What is neither, such as io.BytesIO,
a file of gzip or a terminal, gets a pipe, and a thread here that writes what comes out of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import io
import itertools
import os
import select
import stat
import tempfile
import threading
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

from ._errors import InterfaceError, ProgrammingError

#: What is written to: a path, a descriptor, or an object with `write` for bytes.
Writable = Union[str, "os.PathLike[str]", int, Any]
#: Is told how many bytes are written, and how many it will be where that is known.
Progress = Callable[[int, Optional[int]], None]

FORMATS = ("csv", "tsv", "json", "jsonl", "arrow")
_PIPE_BYTES = 256 << 10
#: What a pipe may hold where the system allows it: each end then waits less often for the other.
_WIDE_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # In Python's fcntl since 3.10.
#: How often `progress` is called at most.
PROGRESS_MS = 100


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """What `export` has written.

    Attributes:
        bytes: into the file.
        rows: how many there were.
        truncated: whether `max_rows` cut the result.
    """

    bytes: int
    rows: int
    truncated: bool


@dataclasses.dataclass(frozen=True)
class BackupResult:
    """What `backup` has copied: `bytes`, all of the database."""

    bytes: int


def export_options(format: str, header: bool, max_rows: Optional[int], text_columns: Sequence[str] = ()) -> dict[str, Any]:
    """Fields of an `export` request, those that say something. Raises: ProgrammingError for a format that there is not."""
    if format not in FORMATS:
        raise ProgrammingError(f"There is no format {format!r}.", hint=f"Formats: {', '.join(FORMATS)}.")
    options: dict[str, Any] = {"format": format}
    if not header:
        options["header"] = False
    if text_columns:
        options["text_columns"] = list(text_columns)
    return options if max_rows is None else {**options, "max_rows": max_rows}


class Passing:
    """A step: a frame is to be sent together with a descriptor."""

    def __init__(self, frame: bytes, descriptor: int) -> None:
        self.frame = frame
        self.descriptor = descriptor


class Target:
    """Where a transfer writes, from opening it to its end: `finish` or `abandon`.

    Of a file that is named, nothing is seen before it is whole.
    """

    def __init__(self, file: Writable, overwrite: bool = False) -> None:
        self._path: Optional[str] = None
        self._partial: Optional[str] = None
        self._pump: Optional[_Pump] = None
        # What was opened here.
        self._own: Optional[io.FileIO] = None
        if isinstance(file, (str, os.PathLike)):
            self._open_path(os.fspath(file), overwrite)
            return
        file, plain = _plain(file)
        if plain is not None and _is_file_or_pipe(plain):
            self.descriptor = plain
        else:
            self._pump = _Pump(file)
            self.descriptor = self._pump.descriptor

    def _open_path(self, path: str, overwrite: bool) -> None:
        path = os.path.realpath(path)
        mode = None
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(path).st_mode
            if not stat.S_ISREG(mode):
                # A named pipe, a device: there is nothing to be put in its place.
                self._own = io.FileIO(path, "wb")
                self._pump = None if stat.S_ISFIFO(mode) else _Pump(self._own)
                self.descriptor = self._own.fileno() if self._pump is None else self._pump.descriptor
                return
            if not overwrite:
                raise FileExistsError(errno.EEXIST, "The file exists; overwrite=True replaces it", path)
        folder, name = os.path.split(path)
        for number in itertools.count():
            partial = os.path.join(folder, f".{name[:60]}.{os.getpid()}.{number}.part")
            with contextlib.suppress(FileExistsError):
                self._own = own = io.FileIO(partial, "xb", opener=_for_the_owner)
                break
        if mode is not None:
            # Who may read the former one may read this one.
            os.fchmod(own.fileno(), stat.S_IMODE(mode))
        self._path, self._partial, self._may_replace = path, partial, overwrite
        self.descriptor = own.fileno()

    def __del__(self) -> None:
        # Where a signal handler raised between two instructions of the program.
        self._unlink()

    def _unlink(self) -> None:
        if self._partial is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._partial)
            self._partial = None

    def finish(self) -> None:
        """All is written. Raises: what writing into the program's own object raised; FileExistsError, as at the beginning."""
        if self._pump is not None:
            self._pump.finish()
        if self._own is not None:
            self._own.close()
        if self._path is not None and self._partial is not None:
            try:
                if self._may_replace:
                    os.replace(self._partial, self._path)
                else:
                    self._name_new(self._partial, self._path)
            finally:
                self._unlink()

    @staticmethod
    def _name_new(partial: str, path: str) -> None:
        try:
            os.link(partial, path)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links.
            if os.path.lexists(path):
                raise FileExistsError(errno.EEXIST, "The file exists", path) from None
            os.rename(partial, path)

    def abandon(self) -> None:
        """The transfer failed, or nobody wants it any more. Raises: what writing into the program's own object raised."""
        self._unlink()
        if self._pump is not None:
            self._pump.abandon()
        if self._own is not None:
            self._own.close()


def _for_the_owner(path: str, flags: int) -> int:
    """What is in a database is not everybody's."""
    return os.open(path, flags, 0o600)


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


def _is_file_or_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)


class _Pump:
    """A thread that writes into an object of the program what comes out of a pipe.

    The thread has its ends of the pipes, and this object the others: whatever becomes of it, the thread ends.
    """

    def __init__(self, file: Any) -> None:
        output, self._input = _pipe()
        # Its end says that nobody wants the rest.
        stop, self._stopping = _pipe()
        self.descriptor = self._input.fileno()
        self._errors: list[BaseException] = []
        write = (lambda data: os.write(file, data)) if isinstance(file, int) else file.write
        flush = getattr(file, "flush", lambda: None)
        arguments = (output, stop, write, flush, self._errors)
        self._thread = threading.Thread(target=_copy, args=arguments, name="litebase export", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        self._input.close()
        self._wait()

    def abandon(self) -> None:
        self._stopping.close()
        self._input.close()
        self._wait()

    def _wait(self) -> None:
        self._thread.join()
        self._stopping.close()
        if self._errors:
            raise self._errors[0]


def _pipe() -> tuple[io.FileIO, io.FileIO]:
    output, input = os.pipe()
    return io.FileIO(output, "rb"), io.FileIO(input, "wb")


def wide_pipe() -> tuple[io.FileIO, io.FileIO]:
    """The reading and the writing end of a pipe for much data."""
    output, input = _pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(output, _F_SETPIPE_SZ, _WIDE_PIPE_BYTES)
    return output, input


def _copy(
    output: io.FileIO, stop: io.FileIO, write: Callable[[Any], Any], flush: Callable[[], Any], errors: list[BaseException]
) -> None:
    # A daemon that still writes when the pipe is closed gets EPIPE.
    with output, stop:
        try:
            waiting = select.poll()
            waiting.register(output, select.POLLIN)
            waiting.register(stop, 0)
            while stop.fileno() not in dict(waiting.poll()):
                data = output.read(_PIPE_BYTES)
                if not data:
                    flush()
                    return
                _write_all(write, data)
        except BaseException as error:
            errors.append(error)


def _write_all(write: Callable[[Any], Any], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = write(rest)
        # Objects without a buffer may take a part; others return None or all.
        rest = rest[written if isinstance(written, int) else len(rest) :]
