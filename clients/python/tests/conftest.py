"""A daemon of this machine's build for the tests, in a directory of its own.

The tests of the daemon know how to start one, and what a machine's databases are (Tests/Support); they are found there.
"""

import pathlib
import sys

import pytest

import litebase

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Tests/Support"))

import dialects  # noqa: E402
from daemon import Daemon  # noqa: E402
from mariadb import MariaDB  # noqa: E402
from postgresql import PostgreSQL  # noqa: E402
from redis_server import Redis  # noqa: E402

# It has a configuration of its own: test_sqlalchemy_suite.py starts it.
collect_ignore = ["sqlalchemy_suite"]
dialects.register()


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


def served(server):
    """A daemon with this server's database, for all tests."""
    try:
        daemon = Daemon(databases={"server": server.url()})
    except BaseException:
        server.discard()
        raise
    try:
        yield daemon.socket_path
        daemon.finish()
    finally:
        daemon.discard()
        server.discard()


@pytest.fixture(scope="session")
def postgresql():
    yield from served(PostgreSQL(max_prepared_transactions="10"))


@pytest.fixture(scope="session")
def mariadb():
    yield from served(MariaDB())


@pytest.fixture(scope="session")
def redis():
    yield from served(Redis())
