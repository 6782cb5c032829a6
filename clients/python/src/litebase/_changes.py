"""What changes in a database, as those are told who listen: the request `subscribe`.

A subscription has a connection of its own: whoever waits for a change holds up no statement, and closing it ends the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import types
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from ._errors import Error, InterfaceError, InternalError, NotSupportedError
from ._link import Steps, Until
from ._session import Session

if TYPE_CHECKING:
    from ._blocking import Connection
    from .aio import AsyncConnection

#: With more names than the daemon itself tells, a change says only that something has changed.
_RELATIONS_MAX = 1000


@dataclasses.dataclass(frozen=True)
class ChannelMessage:
    """What was sent to a channel of the server. Texts are bytes where they are no UTF-8.

    Attributes:
        channel: where it was sent to.
        payload: what was sent.
        pattern: by what it was heard, where that is one of `patterns`.
        pid: the sender's process on the server, where it tells that (PostgreSQL).
    """

    channel: Union[str, bytes]
    payload: Union[str, bytes]
    pattern: Union[str, bytes, None] = None
    pid: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class Change:
    """Commits that are durable: one, or some together. Whoever reads the database after it was told sees them. Or a message.

    Attributes:
        position: what was told up to here, for `from_position` of another subscription.
        relations: the tables that were changed, each once.
        schema: whether tables, columns, indexes, views or triggers were made, altered or dropped.
        resync: why it is not known what has changed, such as "other_program" (docs/protocol.md, Subscriptions): whatever was read
            before has to be read again. None where `relations` are all.
        message: of a subscription to channels; None where some were missed, which `resync` says.
    """

    position: str
    relations: tuple[str, ...] = ()
    schema: bool = False
    resync: Optional[str] = None
    message: Optional[ChannelMessage] = None

    def followed_by(self, later: Change) -> Change:
        """This change and one that came behind it, as one. For what are no messages."""
        relations = tuple(dict.fromkeys(self.relations + later.relations))
        resync = self.resync if self.resync is not None else later.resync
        if len(relations) > _RELATIONS_MAX:
            relations, resync = (), resync or "too_many"
        return Change(later.position, relations, self.schema or later.schema, resync)


def change(reply: Mapping[str, Any]) -> Change:
    """What a `subscribe_response` says."""
    # A reason that is not told is still one: programs ask whether there is one.
    resync = str(reply.get("reason") or "unknown") if reply.get("resync") else None
    return Change(str(reply["position"]), tuple(reply.get("relations") or ()), bool(reply.get("schema")), resync, _message(reply))


def _message(reply: Mapping[str, Any]) -> Optional[ChannelMessage]:
    channel = reply.get("channel")
    return None if channel is None else ChannelMessage(channel, reply.get("payload", ""), reply.get("pattern"), reply.get("pid"))


def _names(names: Union[str, Iterable[str]]) -> Optional[list[str]]:
    return ([names] if isinstance(names, str) else list(names)) or None


def subscribe_data(
    session: Session,
    relations: Union[str, Iterable[str]],
    channels: Union[str, Iterable[str]],
    patterns: Union[str, Iterable[str]],
    database: Optional[str],
    from_position: Optional[str],
    delay: Optional[float],
) -> dict[str, Any]:
    """The data of a `subscribe` request of who has this session. Raises: NotSupportedError for a database without a name."""
    if database is None:
        if session.has_url:
            raise NotSupportedError(
                "Only databases of the daemon's configuration tell what changes.", hint="Name one: changes(database=…)."
            )
        database = session.database
    fields: dict[str, Any] = {
        "database": database, "relations": _names(relations), "channels": _names(channels), "patterns": _names(patterns),
        "from": from_position, "delay_ms": None if delay is None else round(delay * 1000),
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


class Subscription:
    """A subscription on a connection of its own. Steps, as in `_link.py`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._id = 0
        self.position = ""
        self.covers = ""
        # What came and was not told yet: the first reply, where it says more than its position; a message behind a change.
        self._first: Optional[Change] = None
        # Why no more comes.
        self._failure: Optional[Error] = None

    def begin(self, client: str, data: Mapping[str, Any]) -> Steps[None]:
        """Returns when the daemon listens: it tells every commit from now on."""
        session = self._session
        yield from session.greet(client, notices=False, descriptors=False)
        self._id = session.link.new_id()
        yield from session._begin_request(self._id, session.link.frame(self._id, "subscribe", data))
        reply = yield from self._reply()
        # It has no end that would be waited for: it ends with its connection.
        session.in_flight = None
        first = change(reply)
        self.position, self.covers = first.position, str(reply.get("covers", ""))
        self._first = first if first.resync is not None else None

    def next(self) -> Steps[Change]:
        """Waits for the next change; what is here behind it is told together with it, but for messages, which come one by one."""
        if self._failure is not None:
            raise self._failure
        found, self._first = self._first, None
        if found is None:
            try:
                found = change((yield from self._reply()))
            except Error as error:
                self._failure = error
                raise
        while found.message is None and (later := self._at_hand()) is not None:
            if later.message is not None:
                self._first = later
                break
            found = found.followed_by(later)
        self.position = found.position
        return found

    def next_until(self, moment: float) -> Steps[Optional[Change]]:
        """Waits for the next change, no longer than until that moment of `time.monotonic`. Returns: None when it has come."""
        # What has been received stays with the link: nothing is lost when these steps are left.
        steps = self.next()
        try:
            while True:
                next(steps)
                waiting = Until(moment)
                yield waiting
                if waiting.is_over:
                    return None
        except StopIteration as stop:
            found: Change = stop.value
            return found
        finally:
            steps.close()

    def _at_hand(self) -> Optional[Change]:
        """A change that was received already. The error behind it is left to who asks next."""
        steps = self._reply()
        try:
            next(steps)
        except StopIteration as stop:
            return change(stop.value)
        except Error as error:
            self._failure = error
        finally:
            steps.close()
        return None

    def _reply(self) -> Steps[Mapping[str, Any]]:
        link = self._session.link
        reply = yield from link.reply(self._id)
        if not reply.get("more") or "position" not in reply:
            raise link.lost(InternalError("The daemon ended a subscription without an error."))
        return reply


class Changes:
    """What changes in a database: an iterator that ends when it is closed. Made by `connection.changes()`.

    Leaving a `with` block of it, `close`, and dropping it end the subscription, and so does an exception within `next`, such as
    KeyboardInterrupt: go on with the position of the last change that you have seen. Closing it ends a loop in another thread.

    While the program is busy nothing is kept for it: what has happened is told together. Of messages the daemon keeps some.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subscription = Subscription(connection._session)

    @property
    def position(self) -> str:
        """What was told so far, for `from_position` of another subscription."""
        return self._subscription.position

    @property
    def covers(self) -> str:
        """What is told: "all_writers", every commit, also of other programs; "daemon_writers", those that the daemon makes;
        "channels", every message that is sent to them.
        """
        return self._subscription.covers

    @property
    def closed(self) -> bool:
        """Whether nothing is told any more."""
        return self._connection.closed

    def __iter__(self) -> Changes:
        return self

    def __next__(self) -> Change:
        try:
            return self._connection._run(self._subscription.next())
        except BaseException as error:
            was_closed = self._connection._is_closed
            self.close()
            if was_closed and isinstance(error, Error):
                raise StopIteration from None
            raise

    def wait(self, timeout: float) -> Optional[Change]:
        """Waits for the next change, for so many seconds at most. Returns: None where none has come.

        Raises: what ends the loop, and InterfaceError where it was closed.
        """
        try:
            return self._connection._run(self._subscription.next_until(time.monotonic() + timeout))
        except BaseException as error:
            # Whatever the socket said of its end, where it was closed.
            was_closed = self._connection._is_closed
            self.close()
            if was_closed and isinstance(error, Error):
                raise InterfaceError("The changes were closed.") from None
            raise

    def close(self) -> None:
        """Ends the subscription, and a loop over it. For every thread."""
        self._connection.close()

    def __enter__(self) -> Changes:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[types.TracebackType]
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class AsyncChanges:
    """What changes in a database: an asynchronous iterator. Made by `connection.changes()` of `litebase.aio`.

    Leaving an `async with` block of it, `close`, and dropping it end the subscription. A task that is cancelled while it waits
    misses no change: the next one that asks gets it.

    While the program is busy nothing is kept for it: what has happened is told together. Of messages the daemon keeps some.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._subscription = Subscription(connection._session)

    @property
    def position(self) -> str:
        """What was told so far, for `from_position` of another subscription."""
        return self._subscription.position

    @property
    def covers(self) -> str:
        """What is told: "all_writers", every commit, also of other programs; "daemon_writers", those that the daemon makes;
        "channels", every message that is sent to them.
        """
        return self._subscription.covers

    @property
    def closed(self) -> bool:
        """Whether nothing is told any more."""
        return self._connection.closed

    def __aiter__(self) -> AsyncChanges:
        return self

    async def __anext__(self) -> Change:
        try:
            return await self._connection._run(self._subscription.next())
        except Error as error:
            # One that was closed meanwhile is at its end, whatever the socket said of that.
            was_closed = self._connection._is_closed
            self._abort()
            if was_closed:
                raise StopAsyncIteration from None
            raise error

    async def wait(self, timeout: float) -> Optional[Change]:
        """Waits for the next change, for so many seconds at most. Returns: None where none has come; see `Changes.wait`."""
        try:
            return await self._connection._run(self._subscription.next_until(time.monotonic() + timeout))
        except Error:
            was_closed = self._connection._is_closed
            self._abort()
            if was_closed:
                raise InterfaceError("The changes were closed.") from None
            raise

    async def close(self) -> None:
        """Ends the subscription, and a loop over it."""
        await self._connection.close()

    def _abort(self) -> None:
        # The loop may have been closed before.
        with contextlib.suppress(RuntimeError):
            self._connection._abort()

    async def __aenter__(self) -> AsyncChanges:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[types.TracebackType]
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        self._abort()
