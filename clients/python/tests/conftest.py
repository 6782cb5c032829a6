"""A daemon of this machine's build for the tests, in a directory of its own.

The tests of the daemon know how to start one, and what a machine's databases are (Tests/Support); they are found there.
"""

import gc
import os
import pathlib
import signal
import sys
import time

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


def pytest_collection_finish():
    """The tests and what they import stay to the end: whoever collects garbage need not look through them each time."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def db(connect):
    """A connection to a database in memory."""
    return connect(autocommit=True)


@pytest.fixture
def nothing_stays():
    """No pipe, no file on its way and no thread is left behind, whatever happens."""

    def open_now():
        return {name: target for name in os.listdir("/proc/self/fd") if (target := target_of(name)) is not None}

    def target_of(name):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            return None
        return target if target.startswith("pipe:") or ".part" in target or "(deleted)" in target else None

    def threads_now():
        """Without those of jemalloc, which polars and pyarrow bring along: it starts one more at a fork, and keeps it."""
        return sum(name_of(thread) not in (None, "jemalloc_bg_thd") for thread in os.listdir("/proc/self/task"))

    def name_of(thread):
        try:
            return pathlib.Path(f"/proc/self/task/{thread}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            return None

    before, threads = open_now(), threads_now()
    yield
    deadline = time.monotonic() + 5
    gc.collect()
    while (open_now() != before or threads_now() > threads) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_now() == before
    assert threads_now() <= threads


@pytest.fixture
def interrupted():
    """Runs something that the exception of a signal handler leaves after so many seconds, wherever it is by then."""

    class Interrupted(BaseException):
        pass

    def interrupt(number, frame):
        raise Interrupted

    def run(seconds, action):
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            action()
        except Interrupted:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    former = signal.signal(signal.SIGALRM, interrupt)
    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture
def wait_for():
    """Waits until something is true; fails after ten seconds."""

    def wait(condition, what):
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.002)

    return wait


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
