"""A daemon of this machine's build for the tests, in a directory of its own.

The tests of the daemon know how to start one, and what a machine's databases are (Tests/Protocol); they are found there.
"""

import pathlib
import sys

import pytest

import litebase

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Tests/Protocol"))

from daemon import Daemon  # noqa: E402


@pytest.fixture(scope="session")
def daemon():
    """A daemon that the tests share; what they change, they change in databases in memory."""
    started = Daemon()
    try:
        yield started
        started.finish()
    finally:
        started.discard()


@pytest.fixture
def own_daemon():
    """A daemon for this test alone, which may kill it."""
    started = Daemon()
    yield started
    started.discard()


@pytest.fixture
def connect(daemon):
    """`litebase.connect` to the daemon; the connections are closed at the end."""
    opened = []

    def open_connection(database=None, **options):
        if database is None and "url" not in options:
            options["url"] = "sqlite::memory:"
        connection = litebase.connect(database, socket=daemon.socket_path, **options)
        opened.append(connection)
        return connection

    yield open_connection
    for connection in opened:
        connection.close()
