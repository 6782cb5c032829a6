"""A session with one database: statements, their results, transactions. Steps, as in `_link.py`: no input or output."""

from __future__ import annotations

import copy
import itertools
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable, Optional, Union

from ._arrays import array_text
from ._catalog import Completion, completion, completion_data
from ._errors import Cancelled, ConnectionLost, Error, NotSupportedError, OperationalError, ProgrammingError, from_reply
from ._link import Link, Message, Steps
from ._sources import Source
from ._transfers import (
    PROGRESS_MS,
    BackupResult,
    ExportResult,
    ImportProgress,
    ImportResult,
    Passing,
    Progress,
    RestoreResult,
    byte_progress,
    import_result,
    row_progress,
)
from ._values import adapt, row_converter

Row = tuple[Any, ...]
Parameters = Union[Sequence[Any], Mapping[str, Any]]

#: How long a stopped request is waited for before the connection is given up.
CANCEL_PATIENCE_SECONDS = 5

#: A batch is sent when its rows have as many bytes, or as many rows.
_BATCH_BYTES = 1 << 20
_BATCH_ROWS = 32_768

#: Statements before which no transaction is begun: they begin or end one themselves, or cannot be in one.
_ALONE = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(?:BEGIN|START|COMMIT|END|ROLLBACK|ABORT|RELEASE|VACUUM|ATTACH|DETACH|PRAGMA|XA)\b",
    re.IGNORECASE | re.DOTALL,
)


#: Statements of SQLite that only read: to run one once more changes nothing.
_READS = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:SELECT|VALUES|(WITH))\b", re.IGNORECASE | re.DOTALL)
_MAY_WRITE = re.compile(r"\b(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
#: What the first rows may have taken, in seconds, for the statement to be run once more.
_REPEATED_SECONDS = 0.02


def _only_reads(sql: str) -> bool:
    found = _READS.match(sql)
    return found is not None and (found[1] is None or _MAY_WRITE.search(sql) is None)


def _with_pair(packed: bytes, key: bytes, value: bytes) -> bytes:
    """A packed map of at most 14 pairs with one more behind them, so that its value is not packed again."""
    return b"".join((bytes([packed[0] + 1]), packed[1:], key, value))


def _in_order(parameters: Any) -> tuple[Any, ...]:
    """Parameters by position of any other sequence. Raises: ProgrammingError."""
    try:
        if not isinstance(parameters, (str, bytes, bytearray, set, frozenset)):
            # Without an iterator, a sequence ends where it says, and not at an IndexError.
            found = parameters if hasattr(parameters, "__iter__") else map(parameters.__getitem__, range(len(parameters)))
            return tuple(found)
    except (TypeError, AttributeError):
        pass
    raise ProgrammingError(
        f"Parameters are a sequence or a mapping, not {type(parameters).__name__}.", hint="For a single one, write (value,)."
    )


def _array_head_size(count: int) -> int:
    """The bytes of an array before its first element, as it is packed."""
    return 1 if count < 16 else 3 if count < 1 << 16 else 5


class Result:
    """What a statement or a catalog gives: rows as they come, and what its last reply says."""

    def __init__(self, id: int, kind: str = "query") -> None:
        self.id = id
        #: The type of its request.
        self.kind = kind
        #: (name, type, declared type or None) of each column.
        self.columns: tuple[tuple[str, str, Optional[str]], ...] = ()
        #: Rows that were received and not taken yet; those before `taken` were.
        self.rows: list[Row] = []
        self.taken = 0
        self.is_complete = False
        #: Whether nobody wants what still comes.
        self.is_left = False
        #: Rows that were inserted, changed or deleted; None until the result is complete.
        self.rows_affected: Optional[int] = None
        self.row_count: Optional[int] = None
        self.last_insert_id: Optional[int] = None
        #: Of a catalog: its mark, and whether that of the request still held, so that there are no rows.
        self.etag: Optional[str] = None
        self.is_unchanged = False
        #: Why no more rows come, although the result is not complete.
        self.error: Optional[Error] = None
        #: The data of its request, where the daemon may as well make it once more: nothing would change, nobody has seen a row.
        self.repeatable: Optional[dict[str, Any]] = None
        self._convert: Optional[Callable[[Sequence[Row]], list[Row]]] = None

    def add(self, data: Message, engine: str) -> None:
        """Takes what a reply has."""
        columns = data.get("columns")
        if columns is not None:
            self.columns = tuple([(column["name"], column["type"], column.get("declared_type")) for column in columns])
            self._convert = row_converter(engine, tuple([column[1] for column in self.columns]))
        rows = data.get("rows") or ()
        if self.taken:
            del self.rows[: self.taken]
            self.taken = 0
            self.repeatable = None
        if not self.is_left:
            self.rows.extend(rows if self._convert is None else self._convert(rows))
        if not data.get("more"):
            self.is_complete = True
            self.rows_affected = data.get("rows_affected")
            self.row_count = data.get("row_count")
            self.last_insert_id = data.get("last_insert_id")
            self.etag = data.get("etag")
            self.is_unchanged = bool(data.get("unchanged"))

    @property
    def waiting(self) -> int:
        """How many rows are here and not taken."""
        return len(self.rows) - self.taken

    def take(self, count: int) -> list[Row]:
        """At most `count` rows of those that are here."""
        self.repeatable = None
        if self.taken == 0 and count >= len(self.rows):
            rows, self.rows = self.rows, []
            return rows
        rows = self.rows[self.taken : self.taken + count]
        self.taken += len(rows)
        return rows


class Session:
    """One session of the daemon, which is a link to one database.

    One statement at a time: before the next one is sent, what the former still has is read, so that its rows are there when they
    are asked for.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.name: Optional[str] = None
        self.engine = ""
        self.server_version = ""
        self.daemon_version = ""
        self.read_only = False
        #: What was asked for: a name, None for the default database; or a URL.
        self.database: Optional[str] = None
        self.has_url = False
        #: Whether the daemon takes descriptors.
        self.takes_descriptors = False
        #: Whether statements are committed by themselves.
        self.autocommit = False
        #: What begins a transaction when `autocommit` is off.
        self.begin_statement = "BEGIN"
        #: Seconds for a statement; None without a limit.
        self.timeout: Optional[float] = None
        #: The request whose final reply has not come, if there is one.
        self.in_flight: Optional[int] = None
        #: Whether all of that request has been handed to the system.
        self.is_sent = True
        self._unread: Optional[Result] = None
        # What the daemon was last told to stop, and when.
        self._stopped: tuple[Optional[int], float] = (None, 0.0)
        # A transaction that nobody but `execute_many` knows of.
        self._is_in_own_transaction = False
        self._must_roll_back = False

    # Opening

    def open(self, client: str, database: Optional[str], url: Optional[str], read_only: bool) -> Steps[None]:
        """Opens the session. Raises: what the daemon says of it."""
        yield from self.greet(client, notices=True, descriptors=True)
        self.database, self.has_url = database, url is not None
        named = {key: value for key, value in (("database", database), ("url", url)) if value is not None}
        opened = yield from self.link.ask("db_connect", {**named, **({"read_only": True} if read_only else {})})
        self.name = opened["session"]
        self.engine, self.server_version = opened["engine"], opened["server_version"]
        self.read_only = opened["read_only"]
        if self.engine == "redis":
            # It has no transactions that could be rolled back.
            self.autocommit = True

    def greet(self, client: str, notices: bool, descriptors: bool) -> Steps[None]:
        """Says who this is, and what it takes."""
        wanted = {"client": client, "protocol": [1], "notices": notices, "descriptors": descriptors}
        hello = yield from self.link.ask("hello", wanted)
        self.daemon_version = hello["version"]
        self.takes_descriptors = bool(hello.get("descriptors"))
        self.link.frame_bytes_max = hello["limits"]["frame_bytes_max"]

    def set_autocommit(self, value: bool) -> None:
        """Raises: ProgrammingError within a transaction."""
        if self.link.transaction != "none":
            raise ProgrammingError("A transaction is open.", hint="Commit it or roll it back first.")
        self.autocommit = value or self.engine == "redis"

    # One statement at a time

    def settle(self) -> Steps[None]:
        """Reads what the statement before this one still has."""
        self.link.check()
        result = self._unread
        if result is not None:
            while not result.is_complete and result.error is None:
                try:
                    yield from self.receive(result)
                except Error as error:
                    # It belongs to that statement: whoever asks for its rows gets it.
                    result.error = error
                    self.link.check()
        elif self.in_flight is not None:
            yield from self._discard(self.in_flight)
        if self._must_roll_back:
            self._must_roll_back = False
            # Who interrupts this, leaves it to the next one.
            self._is_in_own_transaction = True
            yield from self._undo("ROLLBACK")
            self._is_in_own_transaction = False

    @property
    def _is_settled(self) -> bool:
        """Whether there is nothing to `settle`: the usual case, for which no steps are made."""
        return self._unread is None and self.in_flight is None and not self._must_roll_back and self.link.failure is None

    def _discard(self, id: int) -> Steps[None]:
        """Reads the rest of what nobody wants any more."""
        while self.link.finished != id:
            try:
                yield from self.link.reply(id)
            except Error:
                self.link.check()
        self.in_flight = None

    def give_up(self) -> Optional[bytes]:
        """Nobody waits for the statement in flight any more.

        Returns: what has to be sent, for the daemon to stop it; None when there is none.
        """
        if self._unread is not None:
            self._unread.error = Cancelled("The statement was given up before all of its rows had come.")
            self._unread = None
        self._must_roll_back = self._must_roll_back or self._is_in_own_transaction
        self._is_in_own_transaction = False
        if self.in_flight is not None and not self.is_sent:
            # All of it, half or nothing may be there, and nobody would know which reply is whose.
            self.link.lost(ConnectionLost("The program was interrupted while it sent a request."))
        return self.cancellation()

    def leave(self, result: Result) -> bool:
        """Nobody wants further rows of a result.

        Returns: whether its statement is to be stopped. PostgreSQL would end the transaction with it; there, rows are dropped.
        """
        if self.in_flight != result.id:
            return False
        if self.engine == "postgresql" and self.link.transaction == "active" and result.kind == "query":
            result.is_left, result.rows = True, []
            return False
        return True

    def cancellation(self, wanted: Optional[int] = None) -> Optional[bytes]:
        """What has to be sent to stop the statement in flight; None when there is none. For every thread.

        Parameters: `wanted` is the id that the statement must have.
        """
        id = self.in_flight
        if id is None or self.link.failure is not None or wanted not in (None, id):
            return None
        # Its reply is of no interest: the statement says how it ended. It needs an id that no request has.
        return self.link.frame(f"cancel {id}", "cancel", {"request": id})

    def note_stop(self, id: Optional[int]) -> None:
        """Notes that the daemon is told to stop a request: the first time counts. For every thread."""
        if self._stopped[0] != id:
            self._stopped = (id, time.monotonic())

    @property
    def stopped_at(self) -> Optional[float]:
        """When (time.monotonic) the daemon was told to stop the request in flight; None if it was not."""
        id, moment = self._stopped
        return moment if id is not None and id == self.in_flight else None

    def has_lost_patience(self) -> bool:
        """Whether the daemon has not answered for too long that it has stopped the request in flight.

        The connection is of no use any more then.
        """
        moment = self.stopped_at
        if moment is None or time.monotonic() - moment < CANCEL_PATIENCE_SECONDS:
            return False
        self.link.lost(ConnectionLost(f"The daemon did not answer a cancellation within {CANCEL_PATIENCE_SECONDS} s."))
        return True

    def _limits(self) -> dict[str, Any]:
        return {} if self.timeout is None else {"timeout_ms": max(1, round(self.timeout * 1000))}

    def _begin(self, id: int) -> None:
        """Notes that a request is about to be sent."""
        self.is_sent = False
        self.in_flight = id

    def _begin_request(self, id: int, frame: Union[bytes, Passing]) -> Steps[None]:
        self._begin(id)
        yield frame
        self.is_sent = True

    # Queries

    def _sent(self, parameters: Parameters) -> Parameters:
        """Parameters as they are sent: lists are arrays, which PostgreSQL has, and which it reads as text.

        Raises: ProgrammingError for what has no order, and for a text, whose letters are hardly meant.
        """
        if not isinstance(parameters, (list, tuple)):
            # Behind the usual ones: to ask whether something is a Mapping takes long.
            if isinstance(parameters, Mapping):
                return parameters if isinstance(parameters, dict) else dict(parameters)
            parameters = _in_order(parameters)
        if self.engine != "postgresql":
            return parameters
        for value in parameters:
            if isinstance(value, list):
                break
        else:
            return parameters
        try:
            return [array_text(value, adapt) if isinstance(value, list) else value for value in parameters]
        except TypeError as error:
            raise ProgrammingError(f"{error}.", hint="It is within a list, which is sent as an array.") from None

    def execute(self, sql: str, parameters: Optional[Parameters]) -> Steps[Result]:
        """Runs a statement, and returns when the first of its rows are there, or all that it says."""
        if not self._is_settled:
            yield from self.settle()
        if not self.autocommit and self.link.transaction == "none":
            yield from self._begin_if_needed(sql)
        return (yield from self.query(sql, parameters))

    def query(self, sql: str, parameters: Optional[Parameters] = None) -> Steps[Result]:
        """`execute` without a look at transactions."""
        if not self._is_settled:
            yield from self.settle()
        data: dict[str, Any] = {"sql": sql, "session": self.name}
        if self.timeout is not None:
            data.update(self._limits())
        if parameters is not None and (sent := self._sent(parameters)):
            data["params"] = sent
        began = time.monotonic()
        result = Result(self.link.new_id())
        # What `_open_result` does, in one piece: steps within steps cost as much as what they do.
        frame = self.link.frame(result.id, "query", data)
        self._begin(result.id)
        yield frame
        self.is_sent = True
        yield None
        while not self._takes_reply(result):
            yield None
        if result.is_complete or self.engine != "sqlite":
            return result
        if time.monotonic() - began < _REPEATED_SECONDS and _only_reads(sql):
            # The program may change its own list.
            result.repeatable = {**data, "params": copy.copy(data["params"])} if "params" in data else data
        return result

    def catalog(self, data: Mapping[str, Any]) -> Steps[Result]:
        """Asks what is in the database, and returns when the first rows are there. Parameters: those of the request."""
        yield from self.settle()
        return (yield from self._open_result("catalog", {**data, "session": self.name, **self._limits()}))

    def _open_result(self, kind: str, data: Mapping[str, Any]) -> Steps[Result]:
        result = Result(self.link.new_id(), kind)
        yield from self._begin_request(result.id, self.link.frame(result.id, kind, data))
        yield from self.receive(result)
        return result

    def receive(self, result: Result) -> Steps[None]:
        """Waits for the next rows of a result that is not complete. Raises: what an error says; OutcomeUnknown."""
        if result.error is not None:
            raise result.error
        while not self._takes_reply(result):
            yield None

    def _takes_reply(self, result: Result) -> bool:
        """Takes the next rows of a result where they are here. Raises: as `receive`."""
        try:
            data = self.link.reply_here(result.id)
        except Error as error:
            self._has_ended(result)
            result.error = self.link.judged(error, result.kind)
            raise result.error from (None if result.error is error else error)
        if data is None:
            return False
        result.add(data, self.engine)
        if result.is_complete:
            self._has_ended(result)
        else:
            self._unread = result
        return True

    def _has_ended(self, result: Result) -> None:
        if self._unread is result:
            self._unread = None
        if self.in_flight == result.id:
            self.in_flight = None

    def receive_until(self, result: Result, count: Optional[int]) -> Steps[None]:
        """Waits until `count` rows wait to be taken, or all of them."""
        while not result.is_complete and (count is None or result.waiting < count):
            yield from self.receive(result)

    def receive_some(self, result: Result, count: int, byte_count: int) -> Steps[None]:
        """Waits until `count` rows wait to be taken, or all of them, or as many as came in about as many bytes."""
        end = self.link.bytes_read + byte_count
        while not result.is_complete and result.waiting < count and (not result.waiting or self.link.bytes_read < end):
            yield from self.receive(result)

    # Files

    def export(
        self,
        sql: str,
        parameters: Optional[Parameters],
        options: Mapping[str, Any],
        descriptor: int,
        progress: Optional[Progress],
    ) -> Steps[ExportResult]:
        """Runs a statement whose rows the daemon writes into a file. Parameters: `options` of the request."""
        yield from self.settle()
        yield from self._begin_if_needed(sql)
        data: dict[str, Any] = {"sql": sql, "session": self.name, **options}
        if parameters is not None and (sent := self._sent(parameters)):
            data["params"] = sent
        reply = yield from self._transfer("export", data, descriptor, byte_progress(progress))
        return ExportResult(reply["bytes"], reply["row_count"], bool(reply.get("truncated")))

    def backup(self, descriptor: int, progress: Optional[Progress]) -> Steps[BackupResult]:
        """Copies the database into a file."""
        yield from self.settle()
        if self.has_url:
            raise NotSupportedError(
                "Only databases of the daemon's configuration can be copied.", hint="Connect to it by its name."
            )
        data = {} if self.database is None else {"database": self.database}
        reply = yield from self._transfer("backup", data, descriptor, byte_progress(progress))
        return BackupResult(reply["bytes"])

    def import_rows(
        self,
        data: Mapping[str, Any],
        source: Source,
        stop: Callable[[int], None],
        progress: Optional[Callable[[ImportProgress], None]],
    ) -> Steps[ImportResult]:
        """Writes the rows of a file into a table.

        Parameters: `data` of the request; `stop` cancels a request, for any thread.
        """
        yield from self.settle()
        if not data.get("dry_run"):
            yield from self._begin_if_needed("")
        id = yield from self._begin_transfer("import", {**data, "session": self.name}, source.descriptor, progress is not None)
        source.begin(lambda: stop(id))
        # When the connection is lost, a dry run has changed as little as a description.
        kind = "describe" if data.get("dry_run") else "import"
        return import_result((yield from self._end_transfer(kind, id, row_progress(progress))))

    def restore(self, source: Source, stop: Callable[[int], None], progress: Optional[Progress]) -> Steps[RestoreResult]:
        """Gives the database the content of a file. Parameters: as of `import_rows`."""
        yield from self.settle()
        if self.has_url:
            raise NotSupportedError(
                "Only databases of the daemon's configuration can be restored.", hint="Connect to it by its name."
            )
        if self.read_only:
            # The request is none of the session, so that the daemon would not refuse it.
            raise from_reply({"code": "read_only", "message": "This connection can change nothing."})
        if self.link.transaction != "none":
            # It would wait for its own end, or go on reading what there was.
            raise ProgrammingError("A transaction is open.", hint="Commit it or roll it back first.")
        data = {} if self.database is None else {"database": self.database}
        id = yield from self._begin_transfer("restore", data, source.descriptor, progress is not None)
        source.begin(lambda: stop(id))
        return RestoreResult((yield from self._end_transfer("restore", id, byte_progress(progress)))["bytes"])

    def export_again(self, result: Result, descriptor: int) -> Steps[int]:
        """Has the daemon write the rows of a repeatable result as an Arrow stream, and stops the former run.

        Returns: the id, for `finish_export`.
        """
        assert result.repeatable is not None
        cancellation = self.cancellation()
        if cancellation is not None:
            yield cancellation
        yield from self._discard(result.id)
        self._unread = None
        result.error = Cancelled("The statement was given up before all of its rows had come.")
        return (yield from self._begin_transfer("export", {**result.repeatable, "format": "arrow"}, descriptor, False))

    def finish_export(self, id: int, result: Result) -> Steps[None]:
        """Waits for the last reply. Raises: what an error says."""
        reply = yield from self._end_transfer("export", id, None)
        result.error, result.rows, result.taken = None, [], 0
        result.is_complete, result.rows_affected, result.row_count = True, reply["rows_affected"], reply["row_count"]

    def query_again(self, result: Result) -> Steps[Result]:
        """Runs the statement of a repeatable result once more, for its rows."""
        assert result.repeatable is not None
        yield from self.settle()
        return (yield from self._open_result("query", result.repeatable))

    def _transfer(
        self, kind: str, data: Mapping[str, Any], descriptor: int, on_progress: Optional[Callable[[Message], None]]
    ) -> Steps[Message]:
        """A request that takes a descriptor. Returns its last reply. Parameters: `on_progress` is called with those before."""
        id = yield from self._begin_transfer(kind, data, descriptor, on_progress is not None)
        return (yield from self._end_transfer(kind, id, on_progress))

    def _begin_transfer(self, kind: str, data: Mapping[str, Any], descriptor: int, is_told: bool) -> Steps[int]:
        """Sends a request that takes a descriptor. Returns its id."""
        if not self.takes_descriptors:
            raise NotSupportedError(
                "This daemon takes no files.", hint="It is older than 0.2.0, or the connection may only watch."
            )
        told = {"progress_ms": PROGRESS_MS} if is_told else {}
        id = self.link.new_id()
        frame = self.link.frame(id, kind, {**data, **self._limits(), **told, "descriptors": 1})
        yield from self._begin_request(id, Passing(frame, descriptor))
        return id

    def _end_transfer(self, kind: str, id: int, on_progress: Optional[Callable[[Message], None]]) -> Steps[Message]:
        """Waits for the end of a request that takes a descriptor. Returns its last reply."""
        while True:
            try:
                reply = yield from self.link.reply(id)
            except Error as error:
                self.in_flight = None
                judged = self.link.judged(error, kind)
                raise judged from (None if judged is error else error)
            if not reply["more"]:
                self.in_flight = None
                return reply
            if on_progress is not None:
                try:
                    on_progress(reply)
                except Exception:
                    cancellation = self.cancellation()
                    if cancellation is not None:
                        yield cancellation
                    yield from self._discard(id)
                    raise

    # Batches

    def execute_many(self, sql: str, rows: Iterable[Parameters]) -> Steps[tuple[int, Optional[int]]]:
        """Runs a statement for each row of parameters, all of them or none.

        Returns: the rows that were affected in all, and the last id that was given.
        """
        pieces = self._pieces(sql, rows)
        first = next(pieces, None)
        if first is None:
            return 0, None
        yield from self.settle()
        yield from self._begin_if_needed(sql)
        second = next(pieces, None)
        if second is None or self.link.transaction != "none" or self.engine == "redis":
            return (yield from self._send_pieces(first, second, pieces))
        # Several batches are one only in a transaction.
        self._is_in_own_transaction = True
        try:
            yield from self.query(self.begin_statement)
            done = yield from self._send_pieces(first, second, pieces)
            yield from self.query("COMMIT")
        except Exception:
            self._is_in_own_transaction = False
            yield from self._undo("ROLLBACK")
            raise
        self._is_in_own_transaction = False
        return done

    def _undo(self, sql: str) -> Steps[None]:
        """Rolls back behind an error, which is the one that matters."""
        if self.link.failure is None and self.link.transaction != "none":
            try:
                yield from self.query(sql)
            except Error:
                self.link.check()

    def leave_transaction(self, savepoint: Optional[str]) -> Steps[None]:
        """Takes back what was done since a savepoint, or since the beginning. What was interrupted is waited for first."""
        if savepoint is None:
            # At once: where these steps are not done, whoever comes next does it.
            self._must_roll_back = True
            return self.settle()
        return self._undo_to(savepoint)

    def _undo_to(self, savepoint: str) -> Steps[None]:
        yield from self.settle()
        yield from self._undo(f"ROLLBACK TO SAVEPOINT {savepoint}")

    def _send_pieces(self, *pieces: Union[bytes, Iterator[bytes], None]) -> Steps[tuple[int, Optional[int]]]:
        affected, last_id = 0, None
        for piece in pieces:
            for statements in (piece,) if isinstance(piece, bytes) else piece or ():
                results = yield from self._batch(statements)
                affected += sum(result.get("rows_affected") or 0 for result in results)
                last_id = next((result["last_insert_id"] for result in reversed(results) if "last_insert_id" in result), last_id)
        return affected, last_id

    def _batch(self, statements: bytes) -> Steps[Sequence[Message]]:
        """One atomic batch. Parameters: `statements`, packed."""
        id = self.link.new_id()
        data = _with_pair(self.link.pack({"session": self.name, **self._limits()}), self.link.pack("statements"), statements)
        body = _with_pair(self.link.pack({"id": id, "type": "batch"}), self.link.pack("data"), data)
        yield from self._begin_request(id, self.link.framed(body))
        try:
            reply = yield from self.link.reply(id)
        except Error as error:
            self.in_flight = None
            judged = self.link.judged(error, "batch")
            raise judged from (None if judged is error else error)
        self.in_flight = None
        results: Sequence[Message] = reply["results"]
        return results

    def _pieces(self, sql: str, rows: Iterable[Parameters]) -> Iterator[bytes]:
        """The `statements` of one batch after the other, packed."""
        source = iter(rows)
        packed: list[bytes] = []
        count = size = 0
        named: Optional[bool] = None
        # Some at a time, since packing has a cost of its own: as many as make a quarter of a batch.
        portion = 16
        while True:
            some = list(itertools.islice(source, portion))
            kinds = {isinstance(row, Mapping) for row in some} | ({named} if named is not None else set())
            if len(kinds) > 1:
                raise ProgrammingError("Parameters are by position in some rows, and by name in others.")
            if some:
                named = kinds.pop()
                items: list[Any] = (
                    [{"sql": sql, "params": dict(row)} for row in some] if named else [self._sent(row) for row in some]
                )
                packed.append(self.link.pack(items)[_array_head_size(len(items)) :])
                count, size = count + len(items), size + len(packed[-1])
                portion = portion * 2 if len(packed[-1]) < _BATCH_BYTES // 8 else max(1, portion // 2)
                portion = min(portion, _BATCH_ROWS // 4)
            if count and (not some or size >= _BATCH_BYTES or count >= _BATCH_ROWS):
                yield self._statements(sql, count, b"".join(packed), bool(named))
                packed, count, size = [], 0, 0
            if not some:
                return

    def _statements(self, sql: str, count: int, rows: bytes, named: bool) -> bytes:
        array = struct.pack(">BI", 0xDD, count) + rows
        if named:
            return array
        return b"\x91" + _with_pair(self.link.pack({"sql": sql}), self.link.pack("param_rows"), array)

    # Transactions

    def _begin_if_needed(self, sql: str) -> Steps[None]:
        if self.autocommit or self.link.transaction != "none" or _ALONE.match(sql):
            return
        # Not sent together with the statement, which would be committed by itself if this one failed.
        yield from self.query(self.begin_statement)

    def end(self, sql: str) -> Steps[None]:
        """COMMIT or ROLLBACK, where there is a transaction.

        Raises: OperationalError for the COMMIT of one that has failed, which servers roll back without a word.
        """
        yield from self.settle()
        has_failed = self.link.transaction == "failed"
        if self.link.transaction != "none":
            yield from self.query("ROLLBACK" if has_failed else sql)
        if has_failed and sql == "COMMIT":
            raise OperationalError("A statement of the transaction has failed: it was rolled back, nothing was committed.")

    def complete(self, sql: str, cursor: Optional[int], limit: Optional[int], recent: Iterable[str]) -> Steps[Completion]:
        """Asks what may stand at a place of a text."""
        data = completion_data(sql, cursor, limit, recent)
        return completion(sql, (yield from self.request("complete", {**data, "session": self.name})))

    def request(self, kind: str, data: Mapping[str, Any]) -> Steps[Message]:
        """Any request of the protocol that has one reply."""
        yield from self.settle()
        return (yield from self.link.ask(kind, data))
