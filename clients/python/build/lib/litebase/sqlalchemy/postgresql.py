"""SQLAlchemy's dialect of PostgreSQL over LiteBase."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy.dialects.postgresql.base import PGDialect, PGExecutionContext

from ._asyncio import AsyncDialect
from ._common import Dialect, Driver, StreamingContext, run, without_transaction
from ._postgresql_types import COLSPECS

if sqlalchemy.__version__ >= "2":

    class Placeholders:
        """SQLAlchemy knows them."""

        default_paramstyle = "numeric_dollar"
else:
    from ._postgresql_1_4 import Placeholders  # type: ignore[assignment]


class PGExecutionContext_litebase(StreamingContext, PGExecutionContext):  # noqa: N801 - SQLAlchemy names them like this
    """Statements of PostgreSQL."""


class PGDialect_litebase(Placeholders, Dialect, PGDialect):  # noqa: N801
    """PostgreSQL by the daemon."""

    litebase_engine = "postgresql"
    execution_ctx_cls = PGExecutionContext_litebase
    supports_statement_cache = True
    colspecs = {**PGDialect.colspecs, **COLSPECS}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if getattr(self, "_native_inet_types", None):
            raise NotImplementedError("The driver gives network addresses as text: leave native_inet_types out.")

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver."""
        return Driver(cls.default_paramstyle)

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> type[PGDialect_litebase_async]:
        """For `create_async_engine`."""
        return PGDialect_litebase_async

    def get_isolation_level_values(self, dbapi_conn: Any) -> Any:
        """What `isolation_level` may be."""
        return "SERIALIZABLE", "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "AUTOCOMMIT"

    def _set_characteristic(self, dbapi_connection: Any, words: str) -> None:
        with without_transaction(dbapi_connection):
            run(dbapi_connection, f"SET SESSION CHARACTERISTICS AS TRANSACTION {words}")

    def _is_on(self, dbapi_connection: Any, setting: str) -> bool:
        with without_transaction(dbapi_connection):
            return bool(run(dbapi_connection, f"SHOW {setting}") == "on")

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """AUTOCOMMIT, or a level of the server's."""
        if not self._set_autocommit(dbapi_connection, level):
            self._set_characteristic(dbapi_connection, f"ISOLATION LEVEL {level}")

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """The level that is in force, without a transaction that would be left behind."""
        with without_transaction(dbapi_connection):
            return super().get_isolation_level(dbapi_connection)

    def set_readonly(self, connection: Any, value: Any) -> None:
        """For `postgresql_readonly`."""
        self._set_characteristic(connection, "READ ONLY" if value else "READ WRITE")

    def get_readonly(self, connection: Any) -> bool:
        """Whether transactions are read-only."""
        return self._is_on(connection, "transaction_read_only")

    def set_deferrable(self, connection: Any, value: Any) -> None:
        """For `postgresql_deferrable`."""
        self._set_characteristic(connection, "DEFERRABLE" if value else "NOT DEFERRABLE")

    def get_deferrable(self, connection: Any) -> bool:
        """Whether transactions are deferrable."""
        return self._is_on(connection, "transaction_deferrable")


class PGDialect_litebase_async(AsyncDialect, PGDialect_litebase):  # noqa: N801
    """PostgreSQL by the daemon, for asyncio."""

    supports_statement_cache = True


dialect = PGDialect_litebase
