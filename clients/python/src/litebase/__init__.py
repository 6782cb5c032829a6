"""LiteBase from Python: a driver for the databases that a local `litebased` serves, after PEP 249.

    import litebase

    with litebase.connect() as db:
        db.execute("CREATE TABLE IF NOT EXISTS city (name TEXT, people INTEGER)")
        db.execute("INSERT INTO city VALUES (?, ?)", ("Oslo", 717_710))
        for name, people in db.execute("SELECT name, people FROM city"):
            print(name, people)

`litebase.aio` has the same for asyncio.
"""

from ._blocking import Connection, Cursor, connect
from ._catalog import CatalogOptions, Completion, CompletionItem
from ._changes import Change, Changes, ChannelMessage
from ._cursor import dict_row
from ._errors import (
    Busy,
    Cancelled,
    ConnectionLost,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    OutcomeUnknown,
    PermissionDenied,
    ProgrammingError,
    TimedOut,
    Untrusted,
    Warning,
)
from ._transfers import (
    BackupResult,
    ExportOptions,
    ExportResult,
    ImportedColumn,
    ImportOptions,
    ImportProgress,
    ImportResult,
    RejectedLine,
    RestoreResult,
)
from ._values import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
)

__version__ = "0.2.0"

#: PEP 249.
apilevel = "2.0"
#: Threads may share the module and connections.
threadsafety = 2
#: Of SQLite and MySQL; PostgreSQL's is `$1`. Placeholders are the engine's.
paramstyle = "qmark"

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "BackupResult",
    "Binary",
    "Busy",
    "Cancelled",
    "CatalogOptions",
    "Change",
    "Changes",
    "ChannelMessage",
    "Completion",
    "CompletionItem",
    "Connection",
    "ConnectionLost",
    "Cursor",
    "DataError",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "ExportOptions",
    "ExportResult",
    "ImportOptions",
    "ImportProgress",
    "ImportResult",
    "ImportedColumn",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "OutcomeUnknown",
    "PermissionDenied",
    "ProgrammingError",
    "RejectedLine",
    "RestoreResult",
    "Time",
    "TimeFromTicks",
    "TimedOut",
    "Timestamp",
    "TimestampFromTicks",
    "Untrusted",
    "Warning",
    "apilevel",
    "connect",
    "dict_row",
    "paramstyle",
    "threadsafety",
]
