"""What both kinds of connections know of their session."""

from __future__ import annotations

import os
from typing import Optional

from ._errors import InterfaceError
from ._session import Session


class ConnectionState:
    """The state of a connection's session, for the program."""

    _session: Session
    _is_closed: bool
    _process: int

    def _check(self) -> None:
        """Raises InterfaceError for what cannot be used: one that was closed, or that belongs to the process before a fork."""
        if self._is_closed:
            raise InterfaceError("The connection is closed.")
        if self._process != os.getpid():
            raise InterfaceError("The connection belongs to the process that was forked.", hint="Connect in the new process.")

    @property
    def autocommit(self) -> bool:
        """Whether each statement is committed by itself. It cannot be changed within a transaction."""
        return self._session.autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._session.set_autocommit(value)

    @property
    def timeout(self) -> Optional[float]:
        """Seconds for each statement; None without a limit."""
        return self._session.timeout

    @timeout.setter
    def timeout(self, value: Optional[float]) -> None:
        self._session.timeout = value

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, one that has failed included."""
        return self._session.link.transaction != "none"

    @property
    def engine(self) -> str:
        """The database's engine: "sqlite", "postgresql", "mysql" or "redis"."""
        return self._session.engine

    @property
    def server_version(self) -> str:
        """The version of the engine."""
        return self._session.server_version

    @property
    def closed(self) -> bool:
        """Whether it can be used no more: it was closed, or lost."""
        return self._is_closed or self._session.link.failure is not None
