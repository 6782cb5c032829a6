"""What the dialects of all engines have in common: URLs, connecting, and how a connection's end is noticed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Callable, ClassVar, Optional

import sqlalchemy
from sqlalchemy import exc, pool

import litebase


def _truth(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


#: Parameters of `litebase.connect` that a URL may have, and how their text is read.
PARAMETERS: Mapping[str, Callable[[str], Any]] = {
    "socket": str,
    "url": str,
    "begin": str,
    "timeout": float,
    "connect_timeout": float,
    "read_only": _truth,
}


def connect_arguments(url: Any) -> dict[str, Any]:
    """The parameters of `litebase.connect` for a URL of SQLAlchemy's. Raises: ArgumentError."""
    if url.username or url.password or url.host or url.port:
        raise exc.ArgumentError(
            f"{url!r}: the daemon knows servers and passwords; write {url.drivername}:///NAME, with its name for the database."
        )
    arguments: dict[str, Any] = {}
    for name, text in url.query.items():
        if name not in PARAMETERS or not isinstance(text, str):
            raise exc.ArgumentError(f"{name} is no parameter of a LiteBase URL, or there twice; it has {', '.join(PARAMETERS)}.")

        try:
            arguments[name] = PARAMETERS[name](text)
        except ValueError as error:
            raise exc.ArgumentError(f"{name} of the URL: {error}.") from None
    if url.database and "url" in arguments:
        raise exc.ArgumentError("The URL names a database twice: by its path and by url=.")
    if url.database:
        arguments["database"] = url.database
    return arguments


class Driver:
    """This package as a dialect wants to see it: with the placeholders of the engine, and what else it asks a driver for."""

    def __init__(self, paramstyle: str, **more: Any) -> None:
        self.paramstyle = paramstyle
        vars(self).update(more)

    def __getattr__(self, name: str) -> Any:
        return getattr(litebase, name)


def unwrapped(connection: Any) -> Any:
    """The driver's connection, of that or of the pool's proxy for it, which takes no attributes."""
    return getattr(connection, "dbapi_connection", connection)


@contextlib.contextmanager
def without_transaction(proxied: Any) -> Iterator[None]:
    """A block whose statements begin no transaction, unless there is one already."""
    connection = unwrapped(proxied)
    if connection.autocommit or connection.in_transaction:
        yield
        return
    connection.autocommit = True
    try:
        yield
    finally:
        # A connection that was lost keeps what it had.
        with contextlib.suppress(litebase.Error):
            connection.autocommit = False


def run(connection: Any, sql: str) -> Any:
    """Runs a statement outside of SQLAlchemy. Returns: the first value of its first row, None without."""
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
        row = cursor.fetchone() if cursor.description else None
        return None if row is None else row[0]
    finally:
        cursor.close()


class Dialect:
    """The part of a dialect that is LiteBase's. It stands before SQLAlchemy's dialect of the engine."""

    #: What the daemon calls the engine.
    litebase_engine: ClassVar[str]

    driver = "litebase"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    # Every cursor reads as the program does.
    supports_server_side_cursors = True
    supports_sane_rowcount = True
    supports_sane_multi_rowcount = True
    returns_native_bytes = True
    # Of SQLAlchemy 1.4: names of columns and texts are str.
    description_encoding = None
    supports_unicode_statements = True
    supports_unicode_binds = True

    # Typed by SQLAlchemy's own class, which comes behind this one.
    dbapi: Any
    _dialect_specific_select_one: Any

    @classmethod
    def import_dbapi(cls) -> Any:
        """The driver."""
        return Driver(cls.default_paramstyle)

    def retrieve_dbapi_version(self, dbapi: Any) -> Any:
        """As SQLAlchemy 2.1 asks for it."""
        from sqlalchemy import util

        return util.parse_version_string(litebase.__version__)

    @classmethod
    def get_pool_class(cls, url: Any) -> type[pool.Pool]:
        """Connections are kept, and opened when they are needed."""
        return pool.QueuePool

    # Connecting

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        """The parameters of `connect`."""
        return [], connect_arguments(url)

    def connect(self, *args: Any, **arguments: Any) -> Any:
        """A connection of the driver. Raises: ArgumentError when the database is another engine's."""
        connection = self._open(*args, **arguments)
        if connection.engine != self.litebase_engine:
            connection.close()
            name = arguments.get("database") or "the default database"
            raise exc.ArgumentError(f"{name} is a database of {connection.engine}: write {connection.engine}+{self.driver}://…")
        return connection

    def _open(self, *args: Any, **arguments: Any) -> Any:
        return litebase.connect(*args, **arguments)

    def do_ping(self, dbapi_connection: Any) -> bool:
        """Whether the connection can be used. Raises: what the driver says when it can, and the database does not answer."""
        try:
            with without_transaction(dbapi_connection):
                run(dbapi_connection, "SELECT 1")
        except litebase.Error as error:
            if self.is_disconnect(error, dbapi_connection, None):
                return False
            raise
        return True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Whether an error means that the connection, and others of the pool, are to be made anew."""
        if isinstance(e, (litebase.ConnectionLost, litebase.OutcomeUnknown)):
            return True
        inner = unwrapped(connection)
        return inner is not None and bool(getattr(inner, "closed", False))

    # Statements

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Runs a statement."""
        cursor.execute(statement, parameters)
        if context is not None and (context.isinsert or context.isupdate or context.isdelete):
            # SQLAlchemy wants the number of rows at once, also where there are many of RETURNING.
            cursor._receive_all()

    # Transactions

    def detect_autocommit_setting(self, dbapi_conn: Any) -> bool:
        """Whether each statement is committed by itself."""
        return bool(dbapi_conn.autocommit)

    get_isolation_level_values: Callable[[Any], Any]

    def _set_autocommit(self, dbapi_connection: Any, level: Optional[str]) -> bool:
        """Takes over the level AUTOCOMMIT. Returns: whether it is that. Raises: ArgumentError for what is no level."""
        levels = self.get_isolation_level_values(dbapi_connection)
        if level not in levels:
            raise exc.ArgumentError(f"{level!r} is no isolation level: there are {', '.join(levels)}.")
        unwrapped(dbapi_connection).autocommit = level == "AUTOCOMMIT"
        return bool(level == "AUTOCOMMIT")


if sqlalchemy.__version__ < "2":
    # Its name there; since version 2, `dbapi` is only the attribute.
    setattr(Dialect, "dbapi", classmethod(lambda cls: cls.import_dbapi()))  # noqa: B010


class StreamingContext:
    """The part of an execution context that is LiteBase's: all cursors can stream."""

    dialect: Any
    _dbapi_connection: Any

    def create_server_side_cursor(self) -> Any:
        """A cursor whose rows are read as the program reads them; without asyncio, every one is."""
        return self._dbapi_connection.cursor(**({"streams": True} if self.dialect.is_async else {}))
