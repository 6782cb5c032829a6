"""SQLAlchemy's dialects of MySQL and MariaDB over LiteBase."""

from __future__ import annotations

from typing import Any, Optional

from sqlalchemy import sql
from sqlalchemy.dialects.mysql import BIT, DECIMAL, NUMERIC, mariadb
from sqlalchemy.dialects.mysql.base import MySQLCompiler, MySQLDialect, MySQLExecutionContext
from sqlalchemy.dialects.mysql.types import _NumericType
from sqlalchemy.sql import sqltypes

from ._asyncio import AsyncDialect
from ._common import Dialect, StreamingContext, run, without_transaction


class _Bit(BIT):
    """BIT, of which the driver gives an integer already."""

    def result_processor(self, dialect: Any, coltype: Any) -> None:
        return None


class _Numeric(NUMERIC):
    """Decimals, which are sent as text: with text the server computes, and compares, in doubles."""

    def bind_expression(self, bindvalue: Any) -> Any:
        # The most digits after the point that both servers have; the type's own scale would round another operand.
        return sql.cast(bindvalue, DECIMAL(65, 30))


class MySQLExecutionContext_litebase(StreamingContext, MySQLExecutionContext):  # noqa: N801 - SQLAlchemy names them like this
    """Statements of MySQL."""


class MySQLCompiler_litebase(MySQLCompiler):  # noqa: N801
    """Placeholders are where the server takes them, and decimals where it reads text as such."""

    def visit_bindparam(self, bindparam: Any, *args: Any, **kw: Any) -> Any:
        """A parameter."""
        is_plain = kw.get("literal_binds") or bindparam.literal_execute or bindparam._is_crud
        if is_plain and isinstance(bindparam.type.dialect_impl(self.dialect), _Numeric):
            # A column makes of text what it is itself, exactly, and a literal is a decimal.
            kw["skip_bind_expression"] = True
        return super().visit_bindparam(bindparam, *args, **kw)

    # The server's grammar has no placeholders for the frame of a window.

    def visit_frame_clause(self, frameclause: Any, **kw: Any) -> Any:
        """As SQLAlchemy 2.1 asks for it."""
        return super().visit_frame_clause(frameclause, **{**kw, "literal_execute": True})

    def _format_frame_clause(self, range_: Any, **kw: Any) -> Any:
        parent: Any = super()
        return parent._format_frame_clause(range_, **{**kw, "literal_execute": True})


class MySQLDialect_litebase(Dialect, MySQLDialect):  # noqa: N801
    """MySQL or MariaDB by the daemon."""

    litebase_engine = "mysql"
    execution_ctx_cls = MySQLExecutionContext_litebase
    statement_compiler = MySQLCompiler_litebase
    supports_statement_cache = True
    supports_native_decimal = True
    colspecs = {**MySQLDialect.colspecs, BIT: _Bit, sqltypes.Numeric: _Numeric, _NumericType: _Numeric}

    @classmethod
    def get_async_dialect_cls(cls, url: Any) -> type[Any]:
        """For `create_async_engine`."""
        return MariaDBDialect_litebase_async if cls.name == "mariadb" else MySQLDialect_litebase_async

    def _detect_charset(self, connection: Any) -> str:
        return "utf8mb4"

    def _extract_error_code(self, exception: Any) -> Optional[int]:
        return getattr(exception, "vendor_code", None)

    def get_isolation_level_values(self, dbapi_conn: Any) -> Any:
        """What `isolation_level` may be."""
        return "SERIALIZABLE", "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "AUTOCOMMIT"

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """AUTOCOMMIT, or a level of the server's."""
        if not self._set_autocommit(dbapi_connection, level):
            with without_transaction(dbapi_connection):
                run(dbapi_connection, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        """The level that is in force, without a transaction that would be left behind."""
        with without_transaction(dbapi_connection):
            return super().get_isolation_level(dbapi_connection)

    # Two phases: the server takes no parameters there.

    def _xa(self, connection: Any, words: str, xid: Any) -> None:
        connection.execute(sql.text(f"XA {words} :xid").bindparams(sql.bindparam("xid", xid, literal_execute=True)))

    def do_begin_twophase(self, connection: Any, xid: Any) -> None:
        """Begins a transaction that has a name."""
        self._xa(connection, "BEGIN", xid)

    def do_prepare_twophase(self, connection: Any, xid: Any) -> None:
        """The first phase."""
        self._xa(connection, "END", xid)
        self._xa(connection, "PREPARE", xid)

    def do_rollback_twophase(self, connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False) -> None:
        """Rolls it back, in either phase."""
        if not is_prepared:
            self._xa(connection, "END", xid)
        self._xa(connection, "ROLLBACK", xid)

    def do_commit_twophase(self, connection: Any, xid: Any, is_prepared: bool = True, recover: bool = False) -> None:
        """The second phase."""
        if not is_prepared:
            self.do_prepare_twophase(connection, xid)
        self._xa(connection, "COMMIT", xid)

    def do_recover_twophase(self, connection: Any) -> list[str]:
        """The names of what is prepared: text, as `begin_twophase` has them."""
        rows = connection.exec_driver_sql("XA RECOVER").mappings()
        return [bytes(row["data"][: row["gtrid_length"]]).decode() for row in rows]


class MariaDBDialect_litebase(mariadb.MariaDBDialect, MySQLDialect_litebase):  # noqa: N801
    """MariaDB by the daemon."""

    supports_statement_cache = True


class MySQLDialect_litebase_async(AsyncDialect, MySQLDialect_litebase):  # noqa: N801
    """MySQL or MariaDB by the daemon, for asyncio."""

    supports_statement_cache = True


class MariaDBDialect_litebase_async(AsyncDialect, MariaDBDialect_litebase):  # noqa: N801
    """MariaDB by the daemon, for asyncio."""

    supports_statement_cache = True


dialect = MySQLDialect_litebase
