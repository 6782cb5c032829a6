"""The driver's asyncio twin as SQLAlchemy's asyncio extension uses it: by greenlets, so that it seems to wait."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any, Optional

from sqlalchemy import pool
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util import await_only

import litebase.aio


class AsyncAdaptedCursor:
    """A cursor. One that does not stream takes all rows at once, since who reads them may be no greenlet any more."""

    def __init__(self, connection: litebase.aio.AsyncConnection, streams: bool) -> None:
        self._cursor = connection.cursor()
        self._connection = connection
        self._rows: collections.deque[Any] = collections.deque()
        self._description: Any = None
        #: SQLAlchemy's name for it.
        self.server_side = streams
        self.arraysize = 1

    @property
    def description(self) -> Any:
        """Of PEP 249; it stays when the cursor is closed."""
        return self._description

    @property
    def rowcount(self) -> int:
        """Of PEP 249."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> Optional[int]:
        """Of PEP 249."""
        return self._cursor.lastrowid

    def execute(self, sql: str, parameters: Any = None) -> AsyncAdaptedCursor:
        """Of PEP 249."""
        await_only(self._execute(sql, parameters))
        return self

    async def _execute(self, sql: str, parameters: Any) -> None:
        await self._cursor.execute(sql, parameters)
        self._description = self._cursor.description
        if self._description is not None and not self.server_side:
            self._rows = collections.deque(await self._cursor.fetchall())

    def executemany(self, sql: str, rows: Any) -> AsyncAdaptedCursor:
        """Of PEP 249."""
        await_only(self._cursor.executemany(sql, rows))
        self._description = None
        return self

    def _receive_all(self) -> None:
        """As of the blocking cursor."""
        await_only(self._cursor._receive_all())

    def setinputsizes(self, *sizes: Any) -> None:
        """Of PEP 249; needed for nothing here."""

    def fetchone(self) -> Any:
        """Of PEP 249."""
        if self.server_side:
            return await_only(self._cursor.fetchone())
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: Optional[int] = None) -> list[Any]:
        """Of PEP 249."""
        count = self.arraysize if size is None else size
        if self.server_side:
            return await_only(self._cursor.fetchmany(count))
        return [self._rows.popleft() for _ in range(min(count, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        """Of PEP 249."""
        if self.server_side:
            return await_only(self._cursor.fetchall())
        rows, self._rows = list(self._rows), collections.deque()
        return rows

    def __iter__(self) -> Iterator[Any]:
        while True:
            row = self.fetchone()
            if row is None:
                return
            yield row

    def close(self) -> None:
        """Of PEP 249. It waits for nothing: who closes may be a garbage collector."""
        self._rows.clear()
        self._cursor._close_at_once()

    async def _async_soft_close(self) -> None:
        """SQLAlchemy leaves the greenlet, with the rows."""
        self._cursor._close_at_once()


class AsyncAdaptedConnection(AdaptedConnection):
    """A connection."""

    def __init__(self, connection: litebase.aio.AsyncConnection) -> None:
        self._connection: Any = connection

    def cursor(self, streams: bool = False) -> AsyncAdaptedCursor:
        """A new cursor."""
        return AsyncAdaptedCursor(self._connection, streams)

    def execute(self, sql: str, parameters: Any = None) -> AsyncAdaptedCursor:
        """`execute` of a new cursor, which is returned."""
        return self.cursor().execute(sql, parameters)

    def commit(self) -> None:
        """Of PEP 249."""
        await_only(self._connection.commit())

    def rollback(self) -> None:
        """Of PEP 249."""
        await_only(self._connection.rollback())

    def close(self) -> None:
        """Of PEP 249."""
        await_only(self._connection.close())

    def terminate(self) -> None:
        """Closes without waiting."""
        self._connection._abort()

    @property
    def autocommit(self) -> bool:
        """As of the driver's connection."""
        return bool(self._connection.autocommit)

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._connection.autocommit = value

    @property
    def in_transaction(self) -> bool:
        """As of the driver's connection."""
        return bool(self._connection.in_transaction)

    @property
    def closed(self) -> bool:
        """As of the driver's connection."""
        return bool(self._connection.closed)

    @property
    def engine(self) -> str:
        """As of the driver's connection."""
        return str(self._connection.engine)

    @property
    def server_version(self) -> str:
        """As of the driver's connection."""
        return str(self._connection.server_version)


class AsyncDialect:
    """The part of a dialect that is asyncio's. It stands before the dialect that waits."""

    driver = "litebase_async"
    is_async = True
    has_terminate = True

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """A pool whose waiting is asyncio's."""
        return pool.AsyncAdaptedQueuePool

    def _open(self, *args: Any, **arguments: Any) -> AsyncAdaptedConnection:
        return AsyncAdaptedConnection(await_only(litebase.aio.connect(*args, **arguments)))

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Closes without waiting."""
        dbapi_connection.terminate()

    def get_driver_connection(self, connection: Any) -> Any:
        """The `litebase.aio.AsyncConnection`."""
        return connection._connection
