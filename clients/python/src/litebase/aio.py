"""The same for asyncio: `async with await litebase.aio.connect() as db:`.

Names and meanings are those of the blocking connection and cursor. When a task is cancelled that waits for a statement, the
statement is stopped in the daemon, and the connection stays usable.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket as socket_module
import time
import types
import weakref
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union

from . import _arrow, _catalog, _errors
from ._address import open_socket
from ._async_pieces import AsyncPieces, is_asynchronous
from ._blocking import program_name
from ._changes import AsyncChanges, subscribe_data
from ._connection import ConnectionState
from ._cursor import CursorState, RowFactory, dict_row
from ._errors import ConnectionLost, InterfaceError
from ._frames import as_stream
from ._link import Link, Message, Steps, Until
from ._pipes import send_descriptor
from ._session import CANCEL_PATIENCE_SECONDS, Parameters, Row, Session
from ._sources import Readable, Source
from ._targets import Target, Writable
from ._transfers import (
    BackupResult,
    ExportOptions,
    ExportResult,
    ImportOptions,
    ImportProgress,
    ImportResult,
    Passing,
    Progress,
    RestoreResult,
    export_data,
    import_data,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")
_RECEIVE_BYTES = 256 << 10

__all__ = ["AsyncChanges", "AsyncConnection", "AsyncCursor", "connect"]


async def connect(
    database: Optional[str] = None,
    *,
    url: Optional[str] = None,
    socket: Optional[str] = None,
    read_only: bool = False,
    autocommit: bool = False,
    begin: str = "BEGIN",
    timeout: Optional[float] = None,
    connect_timeout: Optional[float] = 30.0,
    row_factory: Optional[RowFactory] = None,
    trust_users: Iterable[Union[str, int]] = (),
    on_notice: Optional[Callable[[Message], None]] = None,
) -> AsyncConnection:
    """Opens a session with a database; see `litebase.connect`, whose parameters and errors these are."""
    opener = functools.partial(open_socket, socket, tuple(trust_users), connect_timeout)
    began = time.monotonic()
    connection = await _opened(opener, on_notice, row_factory)
    connection._connect_timeout = connect_timeout
    session = connection._session
    session.autocommit, session.begin_statement, session.timeout = autocommit, begin, timeout
    try:
        opening = session.open(program_name(), database, url, read_only)
        await connection._run(session.link.within(connect_timeout, began, opening))
    except BaseException:
        await connection.close()
        raise
    return connection


async def _opened(
    opener: Callable[[], socket_module.socket],
    on_notice: Optional[Callable[[Message], None]] = None,
    row_factory: Optional[RowFactory] = None,
) -> AsyncConnection:
    # A thread, since connect(2) waits while the daemon's queue is full, and users are looked up.
    opened = await asyncio.to_thread(opener)
    try:
        reader, writer = await asyncio.open_unix_connection(sock=opened, limit=_RECEIVE_BYTES)
    except BaseException:
        opened.close()
        raise
    connection = AsyncConnection(reader, writer, on_notice, row_factory)
    connection._socket, connection._open_socket = opened, opener
    return connection


class AsyncConnection(ConnectionState):
    """A session with a database. Made by `litebase.aio.connect`.

    Tasks may share it: one statement runs at a time.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_notice: Optional[Callable[[Message], None]] = None,
        row_factory: Optional[RowFactory] = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        # The same, for what asyncio cannot do: send descriptors.
        self._socket: Optional[socket_module.socket] = None
        self._session = Session(Link(on_notice))
        self._turn = asyncio.Lock()
        self._process = os.getpid()
        self._is_closed = False
        # Since when somebody waits for what the daemon sends.
        self._reads_since: Optional[float] = None
        self._patience: Optional[asyncio.TimerHandle] = None
        # Opens another socket, as this one was opened.
        self._open_socket: Optional[Callable[[], socket_module.socket]] = None
        #: Seconds for that, and what is said until a session is open.
        self._connect_timeout: Optional[float] = None
        # What ends with this connection: subscriptions, each with a connection of its own.
        self._changes: weakref.WeakSet[AsyncChanges] = weakref.WeakSet()
        #: For the cursors that are made from now on.
        self.row_factory = row_factory

    # Input and output

    async def _run(self, steps: Steps[T]) -> T:
        """Does what steps ask for."""
        async with self._turn:
            self._check()
            try:
                wanted = next(steps)
                while True:
                    if wanted is None:
                        await self._receive()
                    elif isinstance(wanted, Until):
                        await self._receive_until(wanted)
                    elif isinstance(wanted, Passing):
                        await self._pass(wanted)
                    else:
                        await self._send(wanted)
                    wanted = next(steps)
            except StopIteration as stop:
                result: T = stop.value
                return result
            except _errors.Error:
                raise
            except BaseException:
                # The task was cancelled: the statement is not to go on without anybody who waits.
                self._give_up()
                raise

    async def _send(self, data: bytes) -> None:
        # All of it is sent at some time, also when the task is cancelled meanwhile: no frame stays half.
        self._writer.write(data)
        self._session.is_sent = True
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def _pass(self, passing: Passing) -> None:
        """Sends a frame with a descriptor: past asyncio, when it has sent what came before."""
        try:
            sent = await self._send_descriptor(passing)
        except BaseException:
            # Nothing of it was sent.
            self._session.in_flight = None
            self._session.is_sent = True
            raise
        if sent < len(passing.frame):
            await self._send(passing.frame[sent:])
        self._session.is_sent = True

    async def _send_descriptor(self, passing: Passing) -> int:
        opened = self._socket
        if opened is None:
            raise InterfaceError("Files cannot be passed on this connection.")
        while True:
            if not self._writer.transport.get_write_buffer_size():
                try:
                    return send_descriptor(opened, passing.frame, passing.descriptor)
                except (BlockingIOError, InterruptedError):
                    pass
                except (BrokenPipeError, ConnectionResetError):
                    # What the daemon said before it closed the connection may still be read.
                    return len(passing.frame)
                except OSError as error:
                    raise self._session.link.lost(ConnectionLost(f"Cannot write to the daemon: {error}.")) from error
            # One request at a time: the socket's buffer is as good as never full, so that this is not worth more.
            await asyncio.sleep(0.001)
            if self._is_closed:
                raise InterfaceError("The connection was closed.")

    async def _receive(self) -> None:
        received = self._session.link.received
        self._reads_since = time.monotonic()
        self._limit_patience()
        try:
            received.append(await self._reader.read(_RECEIVE_BYTES))
        except ConnectionResetError:
            received.append(b"")
        except OSError as error:
            raise self._session.link.lost(ConnectionLost(f"Cannot read from the daemon: {error}.")) from error
        finally:
            self._reads_since = None

    async def _receive_until(self, waiting: Until) -> None:
        try:
            # The loop has to look once, at least.
            await asyncio.wait_for(self._receive(), max(0.001, waiting.moment - time.monotonic()))
        except asyncio.TimeoutError:
            waiting.is_over = True

    def _give_up(self) -> None:
        self._stop(self._session.give_up())

    def _stop(self, cancellation: Optional[bytes]) -> None:
        """Sends a cancellation, where there is one. A daemon that does not answer it is given up."""
        if cancellation is None or self._is_closed:
            return
        self._session.note_stop(self._session.in_flight)
        self._writer.write(cancellation)
        self._limit_patience()

    def _limit_patience(self) -> None:
        """Gives the daemon up if nothing comes for too long when it was told to stop something."""
        # Where nobody reads, the answer may be there.
        stopped = self._session.stopped_at
        if self._reads_since is None or self._patience is not None or stopped is None:
            return
        left = max(self._reads_since, stopped) + CANCEL_PATIENCE_SECONDS - time.monotonic()
        with contextlib.suppress(RuntimeError):  # No loop runs any more.
            self._patience = asyncio.get_running_loop().call_later(max(0, left) + 0.01, self._end_of_patience)

    def _end_of_patience(self) -> None:
        self._patience = None
        if self._reads_since is None or self._is_closed:
            return
        is_silent = time.monotonic() - self._reads_since >= CANCEL_PATIENCE_SECONDS
        if is_silent and self._session.has_lost_patience():
            # Whoever reads learns of it by the end of the stream.
            self._writer.transport.abort()
        else:
            self._limit_patience()

    # As of the blocking connection

    def cursor(self) -> AsyncCursor:
        """A new cursor."""
        if self._is_closed:
            raise InterfaceError("The connection is closed.")
        return AsyncCursor(self, self.row_factory)

    async def execute(self, sql: str, parameters: Optional[Parameters] = None) -> AsyncCursor:
        """`execute` of a new cursor, which is returned."""
        return await self.cursor().execute(sql, parameters)

    async def executemany(self, sql: str, rows: Iterable[Parameters]) -> AsyncCursor:
        """`executemany` of a new cursor, which is returned."""
        return await self.cursor().executemany(sql, rows)

    async def commit(self) -> None:
        """Commits the transaction, if there is one."""
        await self._run(self._session.end("COMMIT"))

    async def rollback(self) -> None:
        """Rolls the transaction back, if there is one."""
        await self._run(self._session.end("ROLLBACK"))

    async def close(self) -> None:
        """Ends the session; an open transaction is rolled back. A statement that another task waits for is stopped."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._writer.transport.get_write_buffer_size():
            # It would wait until the daemon takes what it has not, a part of a request, of which it does nothing.
            self._writer.transport.abort()
        else:
            self._writer.close()
        for changes in list(self._changes):
            await changes.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _abort(self) -> None:
        """Closes without waiting for anything."""
        self._is_closed = True
        self._writer.transport.abort()
        for changes in list(self._changes):
            changes._abort()

    def cancel(self) -> None:
        """Stops the statement that runs, which then raises Cancelled."""
        self._cancel(None)

    def _cancel(self, id: Optional[int]) -> None:
        """Stops a request, if it still runs; without an id, the one that does."""
        self._stop(self._session.cancellation(id))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A block that is committed at its end, and rolled back when an exception leaves it. Within another one: a savepoint."""
        session = self._session
        nested = self.in_transaction
        name = f"litebase_{session.link.new_id()}"
        try:
            await self._run(session.query(f"SAVEPOINT {name}" if nested else session.begin_statement))
            yield self
            await self._run(session.query(f"RELEASE SAVEPOINT {name}") if nested else session.end("COMMIT"))
        except BaseException:
            # Also where its own statements were interrupted, or a COMMIT has failed and left it open.
            with contextlib.suppress(_errors.Error):
                await self._run(session.leave_transaction(name if nested else None))
            raise

    async def catalog(self, level: str = "relations", **options: Unpack[_catalog.CatalogOptions]) -> AsyncCursor:
        """Tells what is in the database: a cursor, as `catalog` of the blocking connection, whose parameters these are."""
        data = _catalog.catalog_data(level, options)
        cursor = self.cursor()
        cursor.row_factory = self.row_factory or dict_row
        await cursor._ask_catalog(data)
        return cursor

    async def complete(
        self, sql: str, cursor: Optional[int] = None, *, limit: Optional[int] = None, recent: Iterable[str] = ()
    ) -> _catalog.Completion:
        """Says what may come next in a statement; see `complete` of the blocking connection."""
        return await self._run(self._session.complete(sql, cursor, limit, recent))

    async def export(
        self,
        sql: str,
        file: Writable,
        parameters: Optional[Parameters] = None,
        *,
        overwrite: bool = False,
        progress: Optional[Progress] = None,
        **options: Unpack[ExportOptions],
    ) -> ExportResult:
        """Writes the rows of a statement into a file; see `export` of the blocking connection. The loop calls `progress`."""
        data = export_data(options)
        return await self._transfer(
            file, overwrite, lambda descriptor: self._session.export(sql, parameters, data, descriptor, progress)
        )

    async def backup(self, file: Writable, *, overwrite: bool = False, progress: Optional[Progress] = None) -> BackupResult:
        """Copies a SQLite database; see `backup` of the blocking connection. The loop calls `progress`."""
        return await self._transfer(file, overwrite, lambda descriptor: self._session.backup(descriptor, progress))

    async def import_rows(
        self,
        file: Readable,
        relation: str,
        *,
        progress: Optional[Callable[[ImportProgress], None]] = None,
        **options: Unpack[ImportOptions],
    ) -> ImportResult:
        """Writes the rows of a file into a table; see `import_rows` of the blocking connection.

        Parameters: `file` may be an asynchronous iterable, too, or an `asyncio.StreamReader`; the loop calls `progress`.
        """
        file, wanted = as_stream(file, options)
        data = import_data(relation, wanted)
        encoding = data.get("encoding", "utf-8")
        return await self._read(file, encoding, lambda source, stop: self._session.import_rows(data, source, stop, progress))

    async def _read(
        self, file: Readable, encoding: Optional[str], steps: Callable[[Source, Callable[[int], None]], Steps[T]]
    ) -> T:
        """Lets the daemon read a file. Parameters: `steps` are given the source, and what stops a request, for any thread."""
        self._check()
        loop = asyncio.get_running_loop()

        def stop(id: int) -> None:
            # By the thread that reads.
            loop.call_soon_threadsafe(self._cancel, id)

        pieces = AsyncPieces(file) if is_asynchronous(file) else None
        file = file if pieces is None else pieces
        source = await self._opened(functools.partial(Source, file, encoding, self), Source.end)
        try:
            return await self._run(steps(source, stop))
        finally:
            if pieces is not None:
                pieces.close()
            await asyncio.to_thread(source.end)

    async def restore(self, file: Readable, *, progress: Optional[Progress] = None) -> RestoreResult:
        """Gives a SQLite database the content of a file; see `restore` of the blocking connection.

        Parameters: as of `import_rows`.
        """
        return await self._read(file, None, lambda source, stop: self._session.restore(source, stop, progress))

    async def _transfer(self, file: Writable, overwrite: bool, steps: Callable[[int], Steps[T]]) -> T:
        self._check()
        target = await self._opened(functools.partial(Target, file, overwrite, self), Target.abandon)
        try:
            result = await self._run(steps(target.descriptor))
        except BaseException:
            await asyncio.to_thread(target.abandon)
            raise
        await asyncio.to_thread(target.finish)
        return result

    async def _opened(self, opening: Callable[[], T], close: Callable[[T], None]) -> T:
        """What is opened in a thread, as is all that may wait for files or for objects of the program."""
        task = asyncio.ensure_future(asyncio.to_thread(opening))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: None if done.exception() else close(done.result()))
            raise

    async def changes(
        self,
        relations: Union[str, Iterable[str]] = (),
        *,
        channels: Union[str, Iterable[str]] = (),
        patterns: Union[str, Iterable[str]] = (),
        database: Optional[str] = None,
        from_position: Optional[str] = None,
        delay: Optional[float] = None,
    ) -> AsyncChanges:
        """Tells what changes: an asynchronous iterator over `Change`s; see `changes` of the blocking connection."""
        self._check()
        if self._open_socket is None:
            raise InterfaceError("This connection has no address.", hint="Use litebase.aio.connect().")
        data = subscribe_data(self._session, relations, channels, patterns, database, from_position, delay)
        began = time.monotonic()
        connection = await _opened(self._open_socket)
        try:
            changes = AsyncChanges(connection)
            beginning = changes._subscription.begin(program_name(), data)
            await connection._run(connection._session.link.within(self._connect_timeout, began, beginning))
            self._changes.add(changes)
            # It may have been closed meanwhile.
            self._check()
        except BaseException:
            connection._abort()
            raise
        return changes

    async def request(self, kind: str, **data: Any) -> Mapping[str, Any]:
        """Sends any request of docs/protocol.md that has one reply, such as "list_databases" or "activity"; returns its data."""
        return await self._run(self._session.request(kind, data))

    async def __aenter__(self) -> AsyncConnection:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[types.TracebackType]
    ) -> None:
        """Commits, or rolls back when the block was left by an exception; closes."""
        try:
            if self.closed:
                return
            if kind is None:
                await self.commit()
            else:
                with contextlib.suppress(_errors.Error):
                    await self.rollback()
        finally:
            await self.close()


class AsyncCursor(CursorState[AsyncConnection]):
    """A statement and its rows. Made by `connection.cursor()`; `async for` takes the rows that were not fetched."""

    async def execute(self, sql: str, parameters: Optional[Parameters] = None) -> AsyncCursor:
        """Runs one statement, with the engine's placeholders. Returns the cursor itself."""
        self._begin()
        self._result = await self._connection._run(self._connection._session.execute(sql, parameters))
        return self

    async def _ask_catalog(self, data: Mapping[str, Any]) -> None:
        self._begin()
        self._result = await self._connection._run(self._connection._session.catalog(data))

    async def executemany(self, sql: str, rows: Iterable[Parameters]) -> AsyncCursor:
        """Runs a statement for each row of parameters, all of them or none; rows that it gives are dropped."""
        self._begin()
        self._affected, self._last_id = await self._connection._run(self._connection._session.execute_many(sql, rows))
        return self

    async def fetchone(self) -> Any:
        """The next row, None behind the last one."""
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: Optional[int] = None) -> list[Any]:
        """The next rows, at most `size` (`arraysize` without); an empty list behind the last one."""
        result = self._rows()
        count = self.arraysize if size is None else size
        if result.waiting < count and not result.is_complete:
            await self._connection._run(self._connection._session.receive_until(result, count))
        return self._made(result.take(count))

    async def fetchall(self) -> list[Any]:
        """All further rows."""
        result = self._rows()
        if not result.is_complete:
            await self._connection._run(self._connection._session.receive_until(result, None))
        return self._made(result.take(result.waiting))

    # Arrow, pandas, polars

    async def fetch_arrow_table(self, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None) -> Any:
        """All further rows as a `pyarrow.Table`. Needs the package pyarrow.

        Parameters:
            on_mismatch: what becomes of a value that does not fit the type of its column: "error" raises DataError, which names
                the row and the column; "text" makes text of the whole column.
            types: Arrow types by the names of columns, where they shall be others.
        """
        converter = _arrow.Converter(self._connection.engine, self._rows().columns, on_mismatch, types)
        while rows := await self._waiting():
            converter.add(rows, self._connection._session.link.bytes_read)
        return converter.table()

    async def fetch_arrow_batches(
        self, rows: int = _arrow.ROWS, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None
    ) -> AsyncIterator[Any]:
        """All further rows as `pyarrow.RecordBatch`es, which are read as they are asked for: results of any size.

        Parameters: `rows` of a batch, at most; less where they are long. The others are those of `fetch_arrow_table`; the first
            batch decides on the types.
        """
        converter = _arrow.Converter(self._connection.engine, self._rows().columns, on_mismatch, types)
        yield converter.batch(await self._some(rows))
        while more := await self._some(rows):
            yield converter.batch(more)

    async def fetch_df(
        self, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None, dtype_backend: Optional[str] = None
    ) -> Any:
        """All further rows as a `pandas.DataFrame`. Needs the packages pandas and pyarrow.

        Parameters: `dtype_backend` is "pyarrow" for columns with Arrow's types; the others are those of `fetch_arrow_table`.
        """
        _arrow.check_backend(dtype_backend)
        return _arrow.data_frame(await self.fetch_arrow_table(on_mismatch=on_mismatch, types=types), dtype_backend)

    async def fetch_polars(self, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None) -> Any:
        """All further rows as a `polars.DataFrame`. Needs the packages polars and pyarrow. Parameters as `fetch_arrow_table`."""
        _arrow.check_names(column[0] for column in self._rows().columns)
        return _arrow.polars_frame(await self.fetch_arrow_table(on_mismatch=on_mismatch, types=types))

    async def _some(self, count: int) -> list[Row]:
        """The next rows as they are, at most `count`, and not many more bytes than a batch may have; none behind the last one."""
        result = self._rows()
        if result.waiting < count and not result.is_complete:
            await self._connection._run(self._connection._session.receive_some(result, count, _arrow.BYTES))
        return result.take(count)

    async def _waiting(self) -> list[Row]:
        """The rows that are here, those of the next reply where there are none; none behind the last one."""
        result = self._rows()
        if not result.waiting and not result.is_complete:
            await self._connection._run(self._connection._session.receive_until(result, 1))
        return result.take(result.waiting)

    async def _receive_all(self) -> None:
        """Waits until all rows are here, so that `rowcount` is known."""
        if self._result is not None and not self._result.is_complete:
            await self._connection._run(self._connection._session.receive_until(self._result, None))

    def __aiter__(self) -> AsyncCursor:
        self._rows()
        return self

    async def __anext__(self) -> Any:
        result = self._rows()
        if not result.waiting and not result.is_complete:
            await self._connection._run(self._connection._session.receive_until(result, 1))
        rows = self._made(result.take(1))
        if not rows:
            raise StopAsyncIteration
        return rows[0]

    async def close(self) -> None:
        """Ends the cursor; a statement that still gives rows is stopped."""
        self._close_at_once()

    def _close_at_once(self) -> None:
        if self._close():
            self._connection._give_up()

    async def __aenter__(self) -> AsyncCursor:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[types.TracebackType]
    ) -> None:
        await self.close()
