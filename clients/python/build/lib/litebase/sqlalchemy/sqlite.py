"""SQLAlchemy's dialect of SQLite over LiteBase."""

from __future__ import annotations

from typing import Any

from sqlalchemy import pool
from sqlalchemy.dialects.sqlite.base import SQLiteDialect, SQLiteExecutionContext

from ._asyncio import AsyncDialect
from ._common import Dialect, Driver, StreamingContext, connect_arguments, without_transaction

#: The oldest library that a daemon is built with (Debian 12). SQLAlchemy asks before there is a connection.
_VERSION = (3, 40, 1)


def _is_in_memory(url: Any) -> bool:
    return bool(url.database == ":memory:")


class SQLiteExecutionContext_litebase(StreamingContext, SQLiteExecutionContext):  # noqa: N801 - SQLAlchemy names them like this
    """Statements of SQLite."""


class SQLiteDialect_litebase(Dialect, SQLiteDialect):  # noqa: N801
    """SQLite by the daemon."""

    litebase_engine = "sqlite"
    execution_ctx_cls = SQLiteExecutionContext_litebase
    supports_statement_cache = True
    _isolation_lookup = SQLiteDialect._isolation_lookup.union({"AUTOCOMMIT": None})

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver, with the version of SQLite that it has at least."""
        return Driver(cls.default_paramstyle, sqlite_version_info=_VERSION)

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """A database in memory is its connection's: one for each thread, as with SQLAlchemy's own dialect."""
        return pool.SingletonThreadPool if _is_in_memory(url) else pool.QueuePool

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> type[SQLiteDialect_litebase_async]:
        """For `create_async_engine`."""
        return SQLiteDialect_litebase_async

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """A path that begins with a slash is a file, ":memory:" a database in memory, anything else the daemon's name."""
        arguments = connect_arguments(url)
        database = arguments.get("database", "")
        if database == ":memory:" or database.startswith("/"):
            del arguments["database"]
            arguments["url"] = "sqlite::memory:" if database == ":memory:" else f"sqlite:{database}"
        return [], arguments

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        return tuple(int(part) for part in connection.connection.server_version.split("."))

    def get_isolation_level_values(self, dbapi_connection: Any) -> Any:
        """What `isolation_level` may be."""
        return list(self._isolation_lookup)

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """AUTOCOMMIT, or a level of SQLite's."""
        if not self._set_autocommit(dbapi_connection, level):
            super().set_isolation_level(dbapi_connection, level)

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """The level that is in force, without a transaction that would be left behind."""
        with without_transaction(dbapi_connection):
            return super().get_isolation_level(dbapi_connection)


class SQLiteDialect_litebase_async(AsyncDialect, SQLiteDialect_litebase):  # noqa: N801
    """SQLite by the daemon, for asyncio."""

    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """A database in memory is its connection's: there is one."""
        return pool.StaticPool if _is_in_memory(url) else pool.AsyncAdaptedQueuePool


dialect = SQLiteDialect_litebase
