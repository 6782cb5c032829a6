"""Connections and cursors for programs that wait: PEP 249."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import struct
import sys
import threading
import time
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union

from . import _arrow, _catalog, _errors
from ._address import open_socket
from ._changes import Changes, subscribe_data
from ._connection import ConnectionState
from ._cursor import CursorState, RowFactory, dict_row
from ._errors import ConnectionLost, InterfaceError
from ._frames import as_stream
from ._link import Link, Message, Steps, Until
from ._pipes import helps, send_descriptor, wide_pipe
from ._session import Parameters, Result, Row, Session
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
#: How often whoever waits for a reply looks whether he still should.
_TICK_SECONDS = 1
#: The SQLSTATE of a value that has no place in a column of Arrow's.
_MISMATCH = "22000"


def program_name() -> str:
    """What the daemon's `activity` and journal call this program."""
    return os.path.basename(sys.argv[0] or "") or "python"


def connect(
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
) -> Connection:
    """Opens a session with a database.

    Parameters:
        database: a name of the daemon's configuration; the caller's default database without one.
        url: a database that is not configured, instead of a name: "sqlite:///srv/x.db", "sqlite::memory:", "postgresql://…".
        socket: the path of the daemon's socket; where `litebase` looks for it, without one.
        read_only: whether the daemon shall refuse what would write.
        autocommit: whether each statement is committed by itself; else a transaction begins with the first one, and ends with
            `commit()` or `rollback()`.
        begin: what begins it; with SQLite "BEGIN IMMEDIATE" waits for other writers at once, and not at the first write.
        timeout: seconds for each statement; the daemon stops what takes longer, and TimedOut is raised.
        connect_timeout: seconds until the session is open, and a subscription; None for however long it takes.
        row_factory: what makes of a row what is returned, such as `litebase.dict_row`; tuples without one.
        trust_users: who may listen at the socket beside root, litebase and this program's user.
        on_notice: is called with what the daemon or the database says beside results; it goes to the logger "litebase" without.
    Raises: ConnectionLost, Untrusted, and what the daemon says of the database.
    """
    opener = functools.partial(open_socket, socket, tuple(trust_users), connect_timeout)
    began = time.monotonic()
    connection = Connection(opener(), on_notice, row_factory)
    connection._open_socket, connection._connect_timeout = opener, connect_timeout
    session = connection._session
    session.autocommit, session.begin_statement, session.timeout = autocommit, begin, timeout
    try:
        opening = session.open(program_name(), database, url, read_only)
        connection._run(session.link.within(connect_timeout, began, opening))
    except BaseException:
        connection.close()
        raise
    return connection


def _limit_waits(opened: socket.socket, seconds: int) -> None:
    """Lets no recv(2) of a socket wait for longer."""
    # `struct timeval` has two numbers of 32 or of 64 bits; on systems of 32 bits, a `long` does not say of how many.
    size = len(opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.calcsize("=qq")))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("=qq" if size == 16 else "=ii", seconds, 0))


def _busy(message: str) -> InterfaceError:
    return InterfaceError(message, hint="Take another connection.")


class Connection(ConnectionState):
    """A session with a database. Made by `litebase.connect`.

    Threads may share it: one statement runs at a time. `cancel` and `close` are for every thread, whatever runs. A process that
    was forked needs a connection of its own.
    """

    # PEP 249, optional extensions: the exceptions as attributes.
    Warning = _errors.Warning
    Error = _errors.Error
    InterfaceError = _errors.InterfaceError
    DatabaseError = _errors.DatabaseError
    DataError = _errors.DataError
    OperationalError = _errors.OperationalError
    IntegrityError = _errors.IntegrityError
    InternalError = _errors.InternalError
    ProgrammingError = _errors.ProgrammingError
    NotSupportedError = _errors.NotSupportedError

    def __init__(
        self,
        opened: socket.socket,
        on_notice: Optional[Callable[[Message], None]] = None,
        row_factory: Optional[RowFactory] = None,
    ) -> None:
        self._socket = opened
        # Of the system's calls, which it costs nothing (SO_RCVTIMEO in socket(7)): to Python, the socket has none.
        _limit_waits(opened, _TICK_SECONDS)
        self._session = Session(Link(on_notice))
        self._turn = threading.RLock()
        # Held while steps are done.
        self._at_work = threading.Lock()
        self._sending = threading.Lock()
        #: The request that is to be stopped, when nobody is within a frame.
        self._to_cancel: Optional[int] = None
        self._process = os.getpid()
        self._is_closed = False
        # Opens another socket, as this one was opened.
        self._open_socket: Optional[Callable[[], socket.socket]] = None
        #: Seconds for that, and what is said until a session is open.
        self._connect_timeout: Optional[float] = None
        # What ends with this connection: subscriptions, each with a connection of its own.
        self._changes: weakref.WeakSet[Changes] = weakref.WeakSet()
        #: For the cursors that are made from now on.
        self.row_factory = row_factory

    # Input and output

    def _run(self, steps: Steps[T]) -> T:
        """Does what steps ask for."""
        if helps(self):
            raise _busy("What an import reads from, or an export writes into, cannot use its connection meanwhile.")
        with self._turn:
            self._check()
            # Who has the turn is within steps already: a function that they call, or a signal handler, would tear them apart.
            if self._at_work.locked():
                raise _busy("What a connection calls, and what interrupts it, cannot use it meanwhile.")
            with self._at_work:
                return self._work(steps)

    def _work(self, steps: Steps[T]) -> T:
        try:
            wanted = next(steps)
            while True:
                if wanted is None:
                    self._receive()
                elif isinstance(wanted, bytes):
                    self._send(wanted)
                elif isinstance(wanted, Until):
                    self._receive_until(wanted)
                else:
                    self._pass(wanted)
                wanted = next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        except _errors.Error:
            raise
        except BaseException:
            # Ctrl-C, or whatever a signal handler raises: the statement is not to go on without anybody who waits.
            self._give_up()
            raise

    def _send(self, data: bytes) -> None:
        with self._sending:
            self._write(data)
        if self._to_cancel is not None:
            self._send_cancellation()

    def _pass(self, passing: Passing) -> None:
        with self._sending:
            self._write(passing.frame, passing.descriptor)
        self._send_cancellation()

    def _write(self, data: bytes, descriptor: Optional[int] = None) -> None:
        try:
            # A descriptor goes with the first bytes, and only once. Never SIGPIPE, which some programs let end them.
            sent = 0 if descriptor is None else send_descriptor(self._socket, data, descriptor)
            if sent < len(data):
                self._socket.sendall(data[sent:] if sent else data, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            pass  # What the daemon said before it closed the connection, such as "shutting_down", may still be read.
        except OSError as error:
            if self._is_closed:
                raise InterfaceError("The connection was closed.") from error
            raise self._session.link.lost(ConnectionLost(f"Cannot write to the daemon: {error}.")) from error

    def _send_cancellation(self) -> None:
        """Sends a cancellation that is wanted, unless somebody is within a frame: he does it behind that."""
        while (id := self._to_cancel) is not None and self._sending.acquire(blocking=False):
            try:
                self._to_cancel = None
                cancellation = self._session.cancellation(id)
                if cancellation is not None:
                    self._session.note_stop(id)
                    self._write(cancellation)
            finally:
                self._sending.release()

    def _receive(self) -> None:
        received = self._session.link.received
        before = len(received)
        while len(received) == before:
            try:
                # One call: between two, a signal handler could raise, and what was received were lost.
                received.extend(map(self._socket.recv, (_RECEIVE_BYTES,)))
            except BlockingIOError:
                # Nothing has come for a while.
                if self._session.has_lost_patience():
                    with contextlib.suppress(OSError):
                        self._socket.shutdown(socket.SHUT_RDWR)
                    received.append(b"")
            except ConnectionResetError:
                received.append(b"")
            except OSError as error:
                raise self._unreadable(error) from error

    def _receive_until(self, waiting: Until) -> None:
        received = self._session.link.received
        try:
            # Not poll(2), which knows numbers only, and another thread may close the socket.
            self._socket.settimeout(max(0.0, waiting.moment - time.monotonic()))
            try:
                received.extend(map(self._socket.recv, (_RECEIVE_BYTES,)))
            finally:
                self._socket.settimeout(None)
        except (BlockingIOError, socket.timeout):
            waiting.is_over = True
        except ConnectionResetError:
            received.append(b"")
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> _errors.Error:
        if self._is_closed:
            return InterfaceError("The connection was closed.")
        return self._session.link.lost(ConnectionLost(f"Cannot read from the daemon: {error}."))

    def _give_up(self) -> None:
        cancellation = self._session.give_up()
        if cancellation is not None:
            self._session.note_stop(self._session.in_flight)
            with contextlib.suppress(_errors.Error):
                self._send(cancellation)
        elif self._session.link.failure is not None:
            # The daemon has a half of a request, or all of one that nobody can stop by its id.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    # PEP 249

    def cursor(self) -> Cursor:
        """A new cursor."""
        if self._is_closed:
            raise InterfaceError("The connection is closed.")
        return Cursor(self, self.row_factory)

    def commit(self) -> None:
        """Commits the transaction, if there is one."""
        self._run(self._session.end("COMMIT"))

    def rollback(self) -> None:
        """Rolls the transaction back, if there is one."""
        self._run(self._session.end("ROLLBACK"))

    def close(self) -> None:
        """Ends the session; an open transaction is rolled back. A statement that runs in another thread is stopped."""
        if self._is_closed:
            return
        self._is_closed = True
        # Wakes whoever waits for a reply.
        with contextlib.suppress(OSError):
            if self._process == os.getpid():
                self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for changes in list(self._changes):
            changes.close()

    # Beyond PEP 249

    def execute(self, sql: str, parameters: Optional[Parameters] = None) -> Cursor:
        """`execute` of a new cursor, which is returned."""
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Cursor:
        """`executemany` of a new cursor, which is returned."""
        return self.cursor().executemany(sql, rows)

    def cancel(self) -> None:
        """Stops the statement that runs, which then raises Cancelled. For every thread, and for signal handlers."""
        id = self._session.in_flight
        if id is not None:
            self._cancel(id)

    def _cancel(self, id: int) -> None:
        """Stops a request, if it still runs. For every thread."""
        if not self._is_closed:
            self._to_cancel = id
            self._send_cancellation()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A block that is committed at its end, and rolled back when an exception leaves it. Within another one: a savepoint."""
        session = self._session
        nested = self.in_transaction
        name = f"litebase_{session.link.new_id()}"
        try:
            self._run(session.query(f"SAVEPOINT {name}" if nested else session.begin_statement))
            yield self
            self._run(session.query(f"RELEASE SAVEPOINT {name}") if nested else session.end("COMMIT"))
        except BaseException:
            # Also where its own statements were interrupted, or a COMMIT has failed and left it open.
            with contextlib.suppress(_errors.Error):
                self._run(session.leave_transaction(name if nested else None))
            raise

    def catalog(self, level: str = "relations", **options: Unpack[_catalog.CatalogOptions]) -> Cursor:
        """Tells what is in the database: a cursor whose rows are dictionaries, or what the connection's `row_factory` makes.

        Parameters:
            level: "namespaces", "relations", "columns", "keys", "foreign_keys", "indexes", "triggers", "routines" or "types". The
                columns of each are the same for every engine: docs/protocol.md, Catalog.
            options: `namespace`, `relation`, `match`, `kinds`, `definitions`, `refresh`, `etag` and `max_rows`, as
                `litebase.CatalogOptions` has them.
        """
        data = _catalog.catalog_data(level, options)
        cursor = self.cursor()
        cursor.row_factory = self.row_factory or dict_row
        cursor._ask_catalog(data)
        return cursor

    def complete(
        self, sql: str, cursor: Optional[int] = None, *, limit: Optional[int] = None, recent: Iterable[str] = ()
    ) -> _catalog.Completion:
        """Says what may come next in a statement, at a place of it (an index of the text; its end if there is none).

        Parameters: `limit` of items, 50 if it is not said; `recent`: names that were used lately, the latest first, which come
            before others.
        """
        return self._run(self._session.complete(sql, cursor, limit, recent))

    def export(
        self,
        sql: str,
        file: Writable,
        parameters: Optional[Parameters] = None,
        *,
        overwrite: bool = False,
        progress: Optional[Progress] = None,
        **options: Unpack[ExportOptions],
    ) -> ExportResult:
        """Writes the rows of a statement into a file. The daemon writes it: the rows do not go through this program.

        Parameters:
            file: a path, at which nothing is seen before the file is whole; a file that is open for writing, or a descriptor,
                which is written to from where it stands; or any object with `write` for bytes, which is called in a thread.
            overwrite: whether a path may be that of a file that exists; else FileExistsError is raised.
            progress: is called about ten times a second with the bytes that are written, and None.
            options: `format`, `header`, `delimiter`, `null`, `max_rows` and `text_columns`, as `litebase.ExportOptions` has them.
        Raises: what the statement raises; after an error, an open file may have a part of the rows.
        """
        data = export_data(options)
        return self._transfer(
            file, overwrite, lambda descriptor: self._session.export(sql, parameters, data, descriptor, progress)
        )

    def backup(self, file: Writable, *, overwrite: bool = False, progress: Optional[Progress] = None) -> BackupResult:
        """Copies a SQLite database of the daemon's configuration as it is at one moment, while others may write.

        Parameters: as of `export`; `progress` is called with the bytes that are copied, and how many there are in all.
        """
        return self._transfer(file, overwrite, lambda descriptor: self._session.backup(descriptor, progress))

    def import_rows(
        self,
        file: Readable,
        relation: str,
        *,
        progress: Optional[Callable[[ImportProgress], None]] = None,
        **options: Unpack[ImportOptions],
    ) -> ImportResult:
        """Writes the rows of a file into a table. The daemon reads a file or a pipe itself: rows do not go through this program.

        The rows are part of the transaction, which begins here where none is open. With `autocommit` they are committed as they
        go, so that others write in between.

        Parameters:
            file: a path; a file that is open for reading, or a descriptor, which is read from where it stands; any object with
                `read`, bytes, or an iterable of them, which are read in a thread. In place of bytes there may be text. A table or
                a reader of pyarrow's, a data frame of pandas or polars, whatever has `__arrow_c_stream__`, is written by pyarrow
                as a stream of Arrow's, a batch at a time.
            relation: the table.
            progress: is called about ten times a second.
            options: `namespace`, `columns`, `format`, `header`, `delimiter`, `null`, `encoding`, `create`, `dry_run`, `atomic`
                and `max_rejected`, as `litebase.ImportOptions` has them.
        Raises: what the daemon says, with the line or row of the file in the message; `detail` says which rows are in the table;
            what reading from an object raises, which ends the import as a cancellation does.
        """
        file, wanted = as_stream(file, options)
        data = import_data(relation, wanted)
        self._check()
        source = Source(file, data.get("encoding", "utf-8"), self)
        try:
            return self._run(self._session.import_rows(data, source, self._cancel, progress))
        finally:
            source.end()

    def restore(self, file: Readable, *, progress: Optional[Progress] = None) -> RestoreResult:
        """Gives the SQLite database of this connection the content of a file: a copy that `backup` has made, or any other one.

        Programs that have the database open see the former content until this returns, and then the new one. Nothing is changed
        before the daemon has found the copy to be whole.

        Parameters:
            file: as of `import_rows`, but no text.
            progress: is called about ten times a second while the file is read, with the bytes so far, and how many there are in
                all where that is known.
        Raises: what the daemon says of the file, and ProgrammingError within a transaction: the database is as it was;
            OutcomeUnknown, where it is as it was or as the file is.
        """
        self._check()
        source = Source(file, None, self)
        try:
            return self._run(self._session.restore(source, self._cancel, progress))
        finally:
            source.end()

    def _transfer(self, file: Writable, overwrite: bool, steps: Callable[[int], Steps[T]]) -> T:
        self._check()
        target = Target(file, overwrite, self)
        try:
            result = self._run(steps(target.descriptor))
        except BaseException:
            target.abandon()
            raise
        target.finish()
        return result

    def changes(
        self,
        relations: Union[str, Iterable[str]] = (),
        *,
        channels: Union[str, Iterable[str]] = (),
        patterns: Union[str, Iterable[str]] = (),
        database: Optional[str] = None,
        from_position: Optional[str] = None,
        delay: Optional[float] = None,
    ) -> Changes:
        """Tells what changes: an iterator over `Change`s. Whoever reads after this has returned is told of every later commit.

        It has a connection of its own, so that this one goes on meanwhile; closing this one ends it.

        Parameters:
            relations: names of tables, whatever their case; all without.
            channels: of PostgreSQL and Redis, whose tables do not tell: each change is a message that is sent to one of them.
            patterns: of names of channels (Redis).
            database: a name of the daemon's configuration; this connection's without.
            from_position: where another subscription has come to (`position`), to go on there.
            delay: for how many seconds changes are gathered; each commit is told by itself without, as long as the loop keeps up.
        Raises: what the daemon says of a database that does not tell; ConnectionLost.
        """
        self._check()
        if self._open_socket is None:
            raise InterfaceError("This connection has no address.", hint="Use litebase.connect().")
        data = subscribe_data(self._session, relations, channels, patterns, database, from_position, delay)
        began = time.monotonic()
        connection = Connection(self._open_socket())
        try:
            changes = Changes(connection)
            beginning = changes._subscription.begin(program_name(), data)
            connection._run(connection._session.link.within(self._connect_timeout, began, beginning))
            self._changes.add(changes)
            # It may have been closed meanwhile.
            self._check()
        except BaseException:
            connection.close()
            raise
        return changes

    def request(self, kind: str, **data: Any) -> Mapping[str, Any]:
        """Sends any request of docs/protocol.md that has one reply, such as "list_databases" or "activity"; returns its data."""
        return self._run(self._session.request(kind, data))

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[types.TracebackType]
    ) -> None:
        """Commits, or rolls back when the block was left by an exception; closes."""
        try:
            if self.closed:
                return
            if kind is None:
                self.commit()
            else:
                with contextlib.suppress(_errors.Error):
                    self.rollback()
        finally:
            self.close()


class Cursor(CursorState[Connection]):
    """A statement and its rows. Made by `connection.cursor()`; an iterator over the rows that were not fetched."""

    def execute(self, sql: str, parameters: Optional[Parameters] = None) -> Cursor:
        """Runs one statement, with the engine's placeholders. Returns the cursor itself."""
        self._begin()
        self._result = self._connection._run(self._connection._session.execute(sql, parameters))
        return self

    def _ask_catalog(self, data: Mapping[str, Any]) -> None:
        self._begin()
        self._result = self._connection._run(self._connection._session.catalog(data))

    def executemany(self, sql: str, rows: Iterable[Parameters]) -> Cursor:
        """Runs a statement for each row of parameters, all of them or none; rows that it gives are dropped."""
        self._begin()
        self._affected, self._last_id = self._connection._run(self._connection._session.execute_many(sql, rows))
        return self

    def fetchone(self) -> Any:
        """The next row, None behind the last one."""
        return next(self, None)

    def fetchmany(self, size: Optional[int] = None) -> list[Any]:
        """The next rows, at most `size` (`arraysize` without); an empty list behind the last one."""
        result = self._rows()
        count = self.arraysize if size is None else size
        if result.waiting < count and not result.is_complete:
            self._connection._run(self._connection._session.receive_until(result, count))
        return self._made(result.take(count))

    def fetchall(self) -> list[Any]:
        """All further rows."""
        result = self._rows()
        if not result.is_complete:
            self._connection._run(self._connection._session.receive_until(result, None))
        return self._made(result.take(result.waiting))

    # Arrow, pandas, polars

    def fetch_arrow_table(self, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None) -> Any:
        """All further rows as a `pyarrow.Table`. Needs the package pyarrow.

        Parameters:
            on_mismatch: what becomes of a value that does not fit the type of its column: "error" raises DataError, which names
                the row and the column; "text" makes text of the whole column.
            types: Arrow types by the names of columns, where they shall be others.
        """
        converter = _arrow.Converter(self._connection.engine, self._rows().columns, on_mismatch, types)
        if not types and (table := self._exported(self._rows())) is not None:
            return table
        while rows := self._waiting():
            converter.add(rows, self._connection._session.link.bytes_read)
        return converter.table()

    def _exported(self, result: Result) -> Any:
        """All rows as the table that the daemon makes of them.

        Returns: None where it cannot, since there are few rows, some were taken, or one does not fit: then they are fetched.
        """
        connection, session = self._connection, self._connection._session
        if result.repeatable is None or result.taken or session.in_flight != result.id or not session.takes_descriptors:
            return None
        with connection._turn:
            output, input = wide_pipe()
            with output:
                with input:
                    id = connection._run(session.export_again(result, input.fileno()))
                # Only the daemon has the writing end now: it ends with the transfer, whatever becomes of that.
                table, trouble = None, None
                try:
                    table = _arrow.read_stream(output, [column[0] for column in result.columns])
                except Exception as error:
                    trouble = error
                except BaseException:
                    connection._give_up()
                    raise
            try:
                connection._run(session.finish_export(id, result))
            except _errors.DatabaseError as error:
                if error.sqlstate != _MISMATCH:
                    raise
                self._result = connection._run(session.query_again(result))
                return None
            if trouble is not None:
                raise trouble
            return table

    def fetch_arrow_batches(
        self, rows: int = _arrow.ROWS, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None
    ) -> Any:
        """All further rows as a `pyarrow.RecordBatchReader`, which reads them as they are asked for: results of any size.

        Parameters: `rows` of a batch, at most; less where they are long. The others are those of `fetch_arrow_table`; the first
            batch decides on the types.
        """
        converter = _arrow.Converter(self._connection.engine, self._rows().columns, on_mismatch, types)
        first = converter.batch(self._some(rows))

        def batches() -> Iterator[Any]:
            yield first
            while more := self._some(rows):
                yield converter.batch(more)

        return converter.types.pa.RecordBatchReader.from_batches(first.schema, batches())

    def fetch_df(
        self, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None, dtype_backend: Optional[str] = None
    ) -> Any:
        """All further rows as a `pandas.DataFrame`. Needs the packages pandas and pyarrow.

        Parameters: `dtype_backend` is "pyarrow" for columns with Arrow's types; the others are those of `fetch_arrow_table`.
        """
        _arrow.check_backend(dtype_backend)
        return _arrow.data_frame(self.fetch_arrow_table(on_mismatch=on_mismatch, types=types), dtype_backend)

    def fetch_polars(self, *, on_mismatch: str = "error", types: Optional[Mapping[str, Any]] = None) -> Any:
        """All further rows as a `polars.DataFrame`. Needs the packages polars and pyarrow. Parameters as `fetch_arrow_table`."""
        _arrow.check_names(column[0] for column in self._rows().columns)
        return _arrow.polars_frame(self.fetch_arrow_table(on_mismatch=on_mismatch, types=types))

    def _some(self, count: int) -> list[Row]:
        """The next rows as they are, at most `count`, and not many more bytes than a batch may have; none behind the last one."""
        result = self._rows()
        if result.waiting < count and not result.is_complete:
            self._connection._run(self._connection._session.receive_some(result, count, _arrow.BYTES))
        return result.take(count)

    def _waiting(self) -> list[Row]:
        """The rows that are here, those of the next reply where there are none; none behind the last one."""
        result = self._rows()
        if not result.waiting and not result.is_complete:
            self._connection._run(self._connection._session.receive_until(result, 1))
        return result.take(result.waiting)

    def _receive_all(self) -> None:
        """Waits until all rows are here, so that `rowcount` is known."""
        if self._result is not None and not self._result.is_complete:
            self._connection._run(self._connection._session.receive_until(self._result, None))

    def __iter__(self) -> Cursor:
        self._rows()
        return self

    def __next__(self) -> Any:
        result = self._rows()
        if result.taken >= len(result.rows):
            if result.is_complete:
                raise StopIteration
            self._connection._run(self._connection._session.receive_until(result, 1))
            if not result.waiting:
                raise StopIteration
        row = result.rows[result.taken]
        result.taken += 1
        return row if self.row_factory is None else self.row_factory(self, row)

    def close(self) -> None:
        """Ends the cursor; a statement that still gives rows is stopped."""
        with self._connection._turn:
            if self._close():
                self._connection._give_up()

    def __enter__(self) -> Cursor:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[types.TracebackType]
    ) -> None:
        self.close()
