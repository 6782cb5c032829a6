"""A file that gets its name when it is whole, and of which nobody sees anything before.

A thread makes it, names it and removes it. A signal handler, which may raise between any two instructions, runs in the main
thread only, so that nothing comes between these steps; and whatever becomes of the program's own object, the thread hears of
it by the end of a pipe. Where the file system can, the file has no name until then, and goes with a program that is killed.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import queue
from collections.abc import Iterator
from typing import Optional, Union

from ._pipes import pipe, start_thread

_NAME, _REMOVE = b"!", b"-"
#: What the thread tells: the file, None when all is done, or why not.
_Reply = Union[io.FileIO, None, BaseException]


class PartialFile:
    """A file on its way to a path, open for writing.

    Parameters:
        path: without symbolic links.
        mode: the permissions that the file gets.
        overwrite: whether it may take the place of another one.
    """

    def __init__(self, path: str, mode: Optional[int], overwrite: bool) -> None:
        self._replies: queue.SimpleQueue[_Reply] = queue.SimpleQueue()
        control, self._control = pipe()
        start_thread(None, _keep, path, mode, overwrite, control, self._replies)
        file = self._next_reply()
        assert file is not None
        #: Open until `finish` or `abandon`.
        self.descriptor = file.fileno()

    def finish(self) -> None:
        """Gives the file its name. Raises: FileExistsError, OSError."""
        self._end(_NAME)

    def abandon(self) -> None:
        """Removes the file, if that has not been done."""
        if not self._control.closed:
            self._end(_REMOVE)

    def _end(self, how: bytes) -> None:
        # Said, and not only closed: a process that was forked meanwhile has the pipe, too.
        with self._control:
            self._control.write(how)
        self._next_reply()

    def _next_reply(self) -> Optional[io.FileIO]:
        reply = self._replies.get()
        if isinstance(reply, BaseException):
            self._control.close()
            raise reply
        return reply


def _keep(path: str, mode: Optional[int], overwrite: bool, control: io.FileIO, replies: queue.SimpleQueue[_Reply]) -> None:
    """The thread: from making the file until it has its name, or is gone."""
    result: Optional[BaseException] = None
    with control:
        try:
            made = _File(path)
        except BaseException as error:
            replies.put(error)
            return
        try:
            with made.file:
                if mode is not None:
                    os.fchmod(made.file.fileno(), mode)
                replies.put(made.file)
                # Nothing comes when nobody has the other end any more.
                if control.read(1) == _NAME:
                    made.move_to(path, overwrite)
        except BaseException as error:
            result = error
        finally:
            made.remove()
        replies.put(result)


class _File:
    """The file, with a name beside the path's where it must have one. For the thread alone."""

    def __init__(self, path: str) -> None:
        self._name: Optional[str] = None
        folder = os.path.dirname(path)
        # Neither every file system nor every kernel has files without a name; without /proc they could not get one.
        with contextlib.suppress(OSError):
            # What is in a database is not everybody's.
            self.file = io.FileIO(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb")
            if os.path.exists(self._in_proc):
                return
            self.file.close()
        for name in _names_beside(path):
            with contextlib.suppress(FileExistsError):
                try:
                    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
                except OSError as error:
                    error.filename = path if error.filename == name else error.filename
                    raise
                self._name = name
                self.file = io.FileIO(descriptor, "wb")
                return

    @property
    def _in_proc(self) -> str:
        return f"/proc/self/fd/{self.file.fileno()}"

    def move_to(self, path: str, overwrite: bool) -> None:
        """Gives the file its name. Raises: FileExistsError, OSError."""
        if not overwrite:
            self._link(path)
            return
        if self._name is None:
            # No call puts a file without a name in the place of another one.
            for name in _names_beside(path):
                with contextlib.suppress(FileExistsError):
                    self._link(name)
                    self._name = name
                    break
        assert self._name is not None
        os.replace(self._name, path)
        self._name = None

    def _link(self, name: str) -> None:
        if self._name is None:
            # As open(2) says of O_TMPFILE. `link` follows what /proc has only where it is given a folder.
            folder = os.open(os.path.dirname(name), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.link(self._in_proc, os.path.basename(name), dst_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(folder)
            return
        try:
            os.link(self._name, name)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links.
            if os.path.lexists(name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
            os.rename(self._name, name)
            self._name = None

    def remove(self) -> None:
        """Removes the name that the file had until now."""
        if self._name is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._name)


def _names_beside(path: str) -> Iterator[str]:
    folder, name = os.path.split(path)
    for number in itertools.count():
        yield os.path.join(folder, f".{name[:60]}.{os.getpid()}.{number}.part")
