"""What can go wrong: the exceptions of PEP 249, with what the daemon says of an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional


class Warning(Exception):
    """Of PEP 249; this driver raises none."""


class Error(Exception):
    """The base of all errors of this package.

    What is not known is `None`. `str()` of an error is the message, with the hint in a second line.
    """

    message: str
    #: One of the codes of docs/errors.md, such as "busy"; None for an error that this driver found itself.
    code: Optional[str] = None
    #: The SQLSTATE of an error of a database.
    sqlstate: Optional[str] = None
    #: SQLite's extended result code, MySQL's errno.
    vendor_code: Optional[int] = None
    hint: Optional[str] = None
    detail: Optional[str] = None
    #: {"offset", "line", "column"} in the statement.
    position: Optional[Mapping[str, int]] = None
    #: Which statement of an `executemany` or a batch failed, and which row of its parameters, both from 0.
    statement_index: Optional[int] = None
    row_index: Optional[int] = None
    #: Whether the same request may succeed later, and after how many seconds.
    retryable: bool = False
    retry_after: Optional[float] = None
    #: {"uid", "pid", "since_ms"}: who has what was waited for.
    holder: Optional[Mapping[str, Any]] = None
    #: {"name", "value", "used", "uid"}: the limit that was reached.
    limit: Optional[Mapping[str, Any]] = None

    def __init__(self, message: str = "", *, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message


class InterfaceError(Error):
    """The driver is used in a way in which it cannot be, such as a cursor of a closed connection."""


class DatabaseError(Error):
    """The database or the daemon says no. Its subclasses say more."""


class DataError(DatabaseError):
    """A value does not fit (SQLSTATE 22)."""


class OperationalError(DatabaseError):
    """Nothing that the program did: no connection, no memory, a lock, a limit, a stop."""


class IntegrityError(DatabaseError):
    """A constraint does not hold (SQLSTATE 23)."""


class InternalError(DatabaseError):
    """A fault of the daemon or of the database."""


class ProgrammingError(DatabaseError):
    """The statement is wrong: its syntax, a name, its parameters."""


class NotSupportedError(DatabaseError):
    """The engine cannot do that."""


class ConnectionLost(OperationalError):
    """The connection ended, or there was none. Nothing of the request took effect."""


class OutcomeUnknown(OperationalError):
    """It is not known whether the request took effect: look before doing it again."""


class Busy(OperationalError):
    """Somebody else has a lock or a place, and did not give it up in time; `holder` says who. Nothing took effect."""


class Cancelled(OperationalError):
    """The statement was cancelled and changed nothing."""


class TimedOut(OperationalError):
    """The statement took longer than it may, and changed nothing."""


class PermissionDenied(OperationalError):
    """The caller's Unix user may not do this."""


class Untrusted(OperationalError):
    """Who listens at the socket is not trusted; nothing was sent to him."""


_BY_CODE: Mapping[str, type[DatabaseError]] = {
    "bad_frame": InternalError,
    "frame_too_large": DataError,
    "unknown_type": NotSupportedError,
    "bad_request": ProgrammingError,
    "needs_session": ProgrammingError,
    "session_not_found": ConnectionLost,
    "permission_denied": PermissionDenied,
    "database_not_found": OperationalError,
    "limit_exceeded": OperationalError,
    "shutting_down": ConnectionLost,
    "configuration_invalid": OperationalError,
    "connect_failed": ConnectionLost,
    "driver_missing": NotSupportedError,
    "outcome_unknown": OutcomeUnknown,
    "syntax_error": ProgrammingError,
    "constraint_violation": IntegrityError,
    "read_only": OperationalError,
    "busy": Busy,
    "timeout": TimedOut,
    "cancelled": Cancelled,
    "transaction_rolled_back": OperationalError,
    "internal": InternalError,
}

# "database_error" is what has no code of its own: the class of its SQLSTATE says more (SQL:2016, 24.1).
_BY_SQLSTATE: Mapping[str, type[DatabaseError]] = {
    "08": ConnectionLost,
    "0A": NotSupportedError,
    "21": ProgrammingError,
    "22": DataError,
    "23": IntegrityError,
    "25": InternalError,
    "26": ProgrammingError,
    "2B": InternalError,
    "2D": InternalError,
    "34": ProgrammingError,
    "3D": ProgrammingError,
    "3F": ProgrammingError,
    "42": ProgrammingError,
    "44": IntegrityError,
}


#: Words of the protocol that hints have, and what does the same here.
_WORDS = {"timeout_ms": "timeout", "db_connect": "litebase.connect()", "db_disconnect": "connection.close()"}
_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")


def _hint(told: object) -> Optional[str]:
    """The hint for a program that knows this driver and not the protocol."""
    return _WORD.sub(lambda word: _WORDS[word[0]], told) if isinstance(told, str) else None


def from_reply(data: Mapping[str, Any]) -> DatabaseError:
    """The exception for the data of an `error` reply. A code that is not known is taken for `database_error`."""
    code = data.get("code")
    sqlstate = data.get("sqlstate")
    kind = _BY_CODE.get(code) if isinstance(code, str) else None
    if isinstance(sqlstate, str) and (kind is None or (code == "bad_request" and sqlstate[:2] == "22")):
        kind = _BY_SQLSTATE.get(sqlstate[:2], OperationalError)
    error = (kind or DatabaseError)(str(data.get("message", "")), hint=_hint(data.get("hint")))
    error.code, error.sqlstate = code, sqlstate
    for name in ("vendor_code", "detail", "position", "statement_index", "row_index", "holder", "limit"):
        setattr(error, name, data.get(name))
    error.retryable = bool(data.get("retryable", False))
    pause = data.get("retry_after_ms")
    error.retry_after = None if pause is None else pause / 1000
    return error
