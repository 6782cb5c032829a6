"""Where the daemon listens, and whether the one who listens there is to be believed."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Iterable
from typing import Optional, Union

from ._errors import ConnectionLost, InterfaceError, PermissionDenied, Untrusted

#: The user of the system's daemon.
DAEMON_USER = "litebase"
_SYSTEM_SOCKET = "/run/litebase/litebase.sock"
_NAME = "litebase/litebase.sock"


def candidates() -> list[str]:
    """The paths at which a client without a name for it looks for the socket (docs/protocol.md), the first one first.

    None is in a directory where everybody may put one, such as /tmp.
    """
    named = os.environ.get("LITEBASE_SOCKET")
    if named:
        return [named]
    paths = []
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        paths.append(os.path.join(runtime, _NAME))
    state = os.environ.get("XDG_STATE_HOME", "")
    if not state.startswith("/"):
        state = os.path.join(os.path.expanduser("~"), ".local/state")
    paths.append(os.path.join(state, _NAME))
    paths.append(_SYSTEM_SOCKET)
    return paths


def find_socket() -> str:
    """The path of the first socket that is there.

    Raises: ConnectionLost, which names all the paths, when there is none.
    """
    paths = candidates()
    for path in paths:
        if os.path.exists(path):
            return path
    if os.environ.get("LITEBASE_SOCKET"):
        # Named: connect(2) says what is wrong with it.
        return paths[0]
    raise ConnectionLost(
        f"There is no socket of litebased at {', '.join(paths)}.",
        hint="Start it (systemctl start litebase.socket), or name its socket in LITEBASE_SOCKET.",
    )


def _uid(user: Union[str, int]) -> Optional[int]:
    """The number of a user, None for a name that this machine does not know."""
    if isinstance(user, int):
        return user
    try:
        return int(user) if user.isdecimal() else pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _trusted_uids(more: Iterable[Union[str, int]]) -> set[int]:
    named = os.environ.get("LITEBASE_TRUSTED_USERS", "").replace(",", " ").split()
    uids = {0, os.geteuid()}
    for user in (DAEMON_USER, *named, *more):
        uid = _uid(user)
        if uid is not None:
            uids.add(uid)
    return uids


def _check_peer(connection: socket.socket, path: str, trusted: Iterable[Union[str, int]]) -> None:
    """A path does not say who listens there; the kernel does (SO_PEERCRED, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    if uid in _trusted_uids(trusted):
        return
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "nobody of this machine"
    raise Untrusted(
        f"The user {name} (uid {uid}) listens at {path}, who is neither root, nor {DAEMON_USER}, nor you. Nothing was sent.",
        hint="If that is right, name the user: connect(trust_users=[…]) or LITEBASE_TRUSTED_USERS.",
    )


def open_socket(path: Optional[str], trusted: Iterable[Union[str, int]], timeout: Optional[float]) -> socket.socket:
    """Connects, and checks who listens.

    Parameters: `timeout` in seconds, for connect(2), which waits while the daemon's queue is full.
    Raises: ConnectionLost, PermissionDenied, Untrusted.
    """
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise InterfaceError("The socket is named by a path.")
    place = os.fspath(path) if path is not None else find_socket()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(place)
        _check_peer(connection, place, trusted)
        connection.settimeout(None)
    except socket.timeout:
        connection.close()
        raise ConnectionLost(f"{place} did not take the connection within {timeout} s.") from None
    except PermissionError as error:
        connection.close()
        raise PermissionDenied(
            f"The socket {place} is not open to you.",
            hint="Ask the administrator to add you to the socket's group; it counts from your next login.",
        ) from error
    except OSError as error:
        connection.close()
        raise ConnectionLost(
            f"Cannot connect to {place}: {error.strerror or error}.", hint="Is litebased running? Try: litebase ping"
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection
