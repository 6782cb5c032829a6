"""What the cursors of both kinds of connections have in common: the state that PEP 249 describes."""

from __future__ import annotations

from typing import Any, Callable, Generic, Optional, Protocol, TypeVar

from ._errors import InterfaceError, ProgrammingError
from ._session import Result, Row, Session

RowFactory = Callable[[Any, Row], Any]


class _Connection(Protocol):
    _session: Session

    @property
    def closed(self) -> bool: ...


C = TypeVar("C", bound=_Connection)


class CursorState(Generic[C]):
    """Description, counts and rows of a cursor's last statement."""

    def __init__(self, connection: C, row_factory: Optional[RowFactory]) -> None:
        self._connection = connection
        self._result: Optional[Result] = None
        self._affected: Optional[int] = None
        self._last_id: Optional[int] = None
        self._is_closed = False
        #: Rows that `fetchmany` returns without a number.
        self.arraysize = 1
        #: What makes of a row (a tuple) what is returned: `factory(cursor, row)`; None for the tuple.
        self.row_factory = row_factory

    @property
    def connection(self) -> C:
        """The connection that the cursor belongs to."""
        return self._connection

    @property
    def description(self) -> Optional[tuple[tuple[str, str, None, None, None, None, None], ...]]:
        """For each column its name and its type, and five times None; None when the statement gives no rows.

        The type is the protocol's ("integer", "text", "timestamptz", …), and equal to one of litebase.STRING, BINARY, NUMBER and
        DATETIME; "any" where none is known, as of SQLite's expressions.
        """
        if self._result is None or not self._result.columns:
            return None
        return tuple((name, kind, None, None, None, None, None) for name, kind, _ in self._result.columns)

    @property
    def rowcount(self) -> int:
        """Rows that were inserted, changed or deleted, or that were selected; −1 as long as not all of them have come."""
        if self._affected is not None:
            return self._affected
        result = self._result
        if result is None or not result.is_complete:
            return -1
        if result.columns and not result.rows_affected:
            return result.row_count if result.row_count is not None else -1
        return result.rows_affected if result.rows_affected is not None else -1

    @property
    def lastrowid(self) -> Optional[int]:
        """The id of the row that was inserted last, where the engine gives one; else None."""
        return self._result.last_insert_id if self._result is not None else self._last_id

    @property
    def etag(self) -> Optional[str]:
        """Of `catalog`: the mark of what was told, for a later request; None as long as not all rows have come."""
        return self._result.etag if self._result is not None else None

    @property
    def unchanged(self) -> bool:
        """Of `catalog` with an `etag`: whether it still holds, so that there are no rows."""
        return self._result is not None and self._result.is_unchanged

    def setinputsizes(self, sizes: Any) -> None:
        """Of PEP 249; needed for nothing here."""

    def setoutputsize(self, size: Any, column: Any = None) -> None:
        """Of PEP 249; needed for nothing here."""

    # For the cursors

    def _check(self) -> None:
        if self._is_closed:
            raise InterfaceError("The cursor is closed.")

    def _begin(self) -> None:
        """A new statement: what the former gave is gone."""
        self._check()
        self._result, self._affected, self._last_id = None, None, None

    def _rows(self) -> Result:
        self._check()
        result = self._result
        if result is None or not (result.columns or result.is_unchanged):
            raise ProgrammingError("There are no rows to fetch: the last statement gives none, or there was none.")
        return result

    def _close(self) -> bool:
        """Ends the cursor. Returns whether a statement of it is to be stopped, since it still gives rows."""
        # What was counted stays to be asked.
        self._affected, self._last_id = self.rowcount, self.lastrowid
        result, self._result = self._result, None
        if self._is_closed or result is None or self._connection.closed:
            self._is_closed = True
            return False
        self._is_closed = True
        return self._connection._session.leave(result)

    def _made(self, rows: list[Row]) -> list[Any]:
        factory = self.row_factory
        return rows if factory is None else [factory(self, row) for row in rows]


def dict_row(cursor: CursorState[Any], row: Row) -> dict[str, Any]:
    """A row factory: the values by the names of their columns, of two with one name the last."""
    return {column[0]: value for column, value in zip(cursor.description or (), row)}
