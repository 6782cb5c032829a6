"""The conversation with the daemon, without any input or output.

What it says and waits for are generators ("steps"): they yield bytes to be sent (or bytes with a descriptor, `Passing`), or None
to be resumed when the next bytes were received and added to `Link.received`, b"" at the end of the stream; `Until` is a None with
a time limit. So the same code serves a program that waits and one with asyncio.

A signal handler may raise between any two instructions (Ctrl-C does), and the connection is to be of use all the same. So what
belongs together is stored at once, and what may be done twice does no harm.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Generator, Mapping
from typing import Any, Callable, Optional, TypeVar, Union

from . import _msgpack
from ._errors import ConnectionLost, DataError, Error, InterfaceError, InternalError, OutcomeUnknown, ProgrammingError, from_reply
from ._transfers import Passing

T = TypeVar("T")


class Until:
    """A step: bytes are to be received, but not beyond a moment of `time.monotonic`.

    Attributes: `is_over`: whether it is resumed without any, since the moment has come.
    """

    def __init__(self, moment: float) -> None:
        self.moment = moment
        self.is_over = False


Steps = Generator[Union[bytes, Passing, Until, None], None, T]
Message = Mapping[str, Any]

logger = logging.getLogger("litebase")

#: What is before a frame.
_LENGTH = struct.Struct(">I")
#: A frame that is longer than any daemon sends: whoever says so is none.
_FRAME_BYTES_MAX = 1 << 30
#: A copy of so few bytes costs less than a view of them.
_COPIED_BYTES_MAX = 4 << 10
#: Requests that change nothing, so that their fate is known when the connection is lost.
_WITHOUT_EFFECT = frozenset(
    {
        "hello", "health_check", "list_databases", "db_connect", "describe", "catalog", "complete", "backup", "activity", "stats",
        "cancel", "subscribe",
    }
)  # fmt: skip


class Link:
    """Frames, ids and replies of one connection. Not for two threads at a time."""

    def __init__(self, on_notice: Optional[Callable[[Message], None]] = None) -> None:
        self.frame_bytes_max = 16 << 20
        #: Why the connection is of no use any more.
        self.failure: Optional[Error] = None
        #: What the session's transaction is, by the last reply: "none", "active" or "failed".
        self.transaction = "none"
        #: The request whose final reply came last.
        self.finished: object = None
        self._pack, self._unpack = _msgpack.choose()
        # Pieces of the stream as they came, and how many bytes of them have been read.
        self._input: tuple[list[bytes], int] = ([], 0)
        self._last_id = 0
        self._on_notice = on_notice
        #: The bytes of all messages so far.
        self.bytes_read = 0

    # Writing

    def new_id(self) -> int:
        """An id that no request in flight has."""
        self._last_id += 1
        return self._last_id

    def pack(self, value: Any) -> bytes:
        """A value as it is sent. Raises: ProgrammingError, DataError, for what cannot be."""
        try:
            return self._pack(value)
        except TypeError as error:
            raise ProgrammingError(
                f"{error}.", hint="Parameters: None, bool, int, float, str, bytes, dates, Decimal, UUID."
            ) from None
        except OverflowError:
            raise DataError("An integer has more than 64 bits.", hint="Send it as text, or as Decimal.") from None
        except UnicodeEncodeError as error:
            raise DataError(f"A text has a lone surrogate: {error}.", hint="Send it as bytes.") from None
        except ValueError as error:
            raise ProgrammingError(f"A parameter cannot be sent: {error}.") from None

    def frame(self, id: object, kind: str, data: Mapping[str, Any]) -> bytes:
        """A request, ready to be sent. Raises: ProgrammingError, DataError."""
        return self.framed(self.pack({"id": id, "type": kind, "data": data}))

    def framed(self, body: bytes) -> bytes:
        """A body with its length before it. Raises: DataError for one that the daemon would not take."""
        if len(body) > self.frame_bytes_max:
            raise DataError(
                f"The request has {len(body):,} bytes; the daemon takes {self.frame_bytes_max:,} (frame_bytes_max).",
                hint="Send less at a time, or raise the limit in litebase.toml.",
            )
        return _LENGTH.pack(len(body)) + body

    # Reading

    def _next(self) -> Optional[Message]:
        """The next message of the input; None when it is not there as a whole."""
        pieces, place = self._input
        if not pieces:
            return None
        available = (len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))) - place
        if available < 4:
            return None
        if len(pieces) > 1 and len(pieces[0]) < place + 4:
            pieces, place = self._joined()
        (count,) = _LENGTH.unpack_from(pieces[0], place)
        if count > _FRAME_BYTES_MAX:
            raise self.lost(InternalError("The daemon sent no frame of its protocol."))
        if available < 4 + count:
            return None
        if len(pieces) > 1:
            pieces, place = self._joined()
        begin, end = place + 4, place + 4 + count
        try:
            body = pieces[0][begin:end] if count < _COPIED_BYTES_MAX else memoryview(pieces[0])[begin:end]
            message = self._unpack(body)
        except (ValueError, TypeError) as error:
            raise self.lost(InternalError(f"The daemon sent a message that cannot be read: {error}.")) from error
        data = (message.get("data") or {}) if isinstance(message, dict) else None
        if not isinstance(data, dict):
            raise self.lost(InternalError("The daemon sent a message that is no map."))
        # Before it counts as read.
        if "transaction" in data:
            self.transaction = data["transaction"]
        if not data.get("more") or message.get("type") == "error":
            self.finished = message.get("id")
        self.bytes_read += 4 + count
        self._input = ([], 0) if available == 4 + count else (pieces, end)
        found: Message = message
        return found

    def _joined(self) -> tuple[list[bytes], int]:
        """The input as one piece, without what has been read."""
        pieces, place = self._input
        self._input = ([b"".join((memoryview(pieces[0])[place:], *pieces[1:]))], 0)
        return self._input

    @property
    def received(self) -> list[bytes]:
        """To what is received is added, at the end."""
        return self._input[0]

    def lost(self, error: Error) -> Error:
        """Notes why the connection is of no use any more."""
        if self.failure is None:
            self.failure = error
        return error

    def reply(self, id: int) -> Steps[Message]:
        """Waits for the next reply to request `id`, and takes notice of what else comes.

        Returns: the reply's data.
        Raises: what an `error` says; ConnectionLost; InternalError.
        """
        while (data := self.reply_here(id)) is None:
            yield None
        return data

    def reply_here(self, id: int) -> Optional[Message]:
        """`reply` without waiting: None where it is not there as a whole, so that more has to be received."""
        while (message := self._next()) is not None:
            data = message.get("data") or {}
            told = message.get("id")
            if told == id:
                if message.get("type") == "error":
                    error = from_reply(data)
                    # A connection of this driver is its session.
                    raise self.lost(error) if error.code == "session_not_found" else error
                found: Message = data
                return found
            if told is None:
                self._take_note(message.get("type"), data)
            # Anything else answers what nobody waits for any more: a `cancel`, or what was given up.
        pieces = self._input[0]
        if pieces and not pieces[-1]:
            raise self.lost(ConnectionLost("The daemon closed the connection."))
        return None

    def _take_note(self, kind: object, data: Message) -> None:
        if kind == "error":
            # Of a request whose id could not be read, or of the connection.
            raise self.lost(from_reply(data))
        if self._on_notice is not None:
            self._on_notice(data)
        else:
            level = logging.WARNING if str(data.get("code", "")).startswith("idle_") else logging.INFO
            logger.log(level, "%s", data.get("message", data.get("code")))

    # Requests with one reply

    def ask(self, kind: str, data: Mapping[str, Any]) -> Steps[Message]:
        """Sends a request, and waits for its reply. Raises: as `reply`; OutcomeUnknown when the connection is lost."""
        id = self.new_id()
        yield self.frame(id, kind, data)
        try:
            return (yield from self.reply(id))
        except Error as error:
            judged = self.judged(error, kind)
            if judged is error:
                raise
            raise judged from error

    def judged(self, error: Error, kind: str) -> Error:
        """An error that a request ended with; of a connection that was lost beneath it, that nobody knows what it did."""
        is_lost = isinstance(error, ConnectionLost) and error.code is None
        return self.unknown() if is_lost and kind not in _WITHOUT_EFFECT else error

    def within(self, seconds: Optional[float], began: float, steps: Steps[T]) -> Steps[T]:
        """Steps whose replies all have to come within so many seconds of a moment of `time.monotonic`; without, however long.

        Raises: ConnectionLost, and the connection is of no use any more.
        """
        if seconds is None:
            return (yield from steps)
        try:
            while True:
                wanted = next(steps)
                if wanted is None:
                    wanted = Until(began + seconds)
                yield wanted
                if isinstance(wanted, Until) and wanted.is_over:
                    raise self.lost(ConnectionLost(f"The daemon did not open the connection within {seconds} s."))
        except StopIteration as stop:
            result: T = stop.value
            return result
        finally:
            steps.close()

    def unknown(self) -> OutcomeUnknown:
        """What is said of a request that was sent, and whose reply nobody will see."""
        return OutcomeUnknown(
            "The connection was lost before the reply came: it is not known whether the request took effect.",
            hint="Look before you do it again.",
        )

    def check(self) -> None:
        """Raises InterfaceError when the connection is of no use any more, with the cause."""
        if self.failure is not None:
            raise InterfaceError(
                f"The connection cannot be used any more: {self.failure.message}", hint="Connect again."
            ) from self.failure
