"""Fixtures: a daemon for each test file, daemons on demand, and clients in each encoding."""

import itertools
import os
import shutil
import sqlite3
import subprocess

import pytest

import daemon as daemon_module
from daemon import Daemon, environment_for, short_directory
from directories import directory  # noqa: F401
from manager import Manager

TABLES = itertools.count(1)


def pytest_configure(config):
    if not os.access(daemon_module.LITEBASED, os.X_OK):
        pytest.exit(f"no daemon at {daemon_module.LITEBASED}: run `swift build -c release --static-swift-stdlib "
                    "--product litebased`, or set LITEBASED", returncode=2)


@pytest.fixture(scope="module")
def daemon():
    """A standalone daemon that the tests of one file share.

    Its databases: `default`; `second`, a file; `sealed`, a file opened with mode=ro that holds `fixed(x)`.
    """
    directory = short_directory()
    with sqlite3.connect(directory / "sealed.db") as sealed:
        sealed.execute("PRAGMA journal_mode=WAL")
        sealed.execute("CREATE TABLE fixed(x INTEGER)")
        sealed.executemany("INSERT INTO fixed VALUES (?)", [(1,), (2,), (3,)])
    sealed.close()
    # Spelling of file URLs: `sqlite:` and an absolute path.
    instance = Daemon(directory=directory, databases={
        "second": f"sqlite:{directory}/second.db",
        "sealed": f"sqlite:{directory}/sealed.db?mode=ro",
    })
    try:
        yield instance
        instance.finish()
    finally:
        instance.discard()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def close_clients_after_test(request):
    """Closes what a test opened on the shared daemon, so that no test sees another's load."""
    instance = request.getfixturevalue("daemon") if "daemon" in request.fixturenames else None
    yield
    if instance:
        instance.close_clients()
        assert instance.process.poll() is None, f"the daemon died during this test:\n{instance.log()[-3000:]}"


@pytest.fixture
def start_daemon(directory):  # asked for here so that the directory outlives the daemons in it
    """Starts daemons with flags of the test's choice; each is checked at the end unless it has ended."""
    started = []

    def start(*flags, **options):
        started.append(Daemon(*flags, **options))
        return started[-1]

    try:
        yield start
        for instance in started:
            if instance.process.poll() is None:
                instance.finish()
    finally:
        for instance in started:
            instance.discard()


@pytest.fixture
def as_user(directory):
    """A command prefix under which the daemon runs as an ordinary user who owns `directory`; root's defaults are system paths."""
    if os.getuid() != 0:
        return ()
    environment_for(directory)  # makes the directories, so that they change hands, too
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if subprocess.run([*prefix, "test", "-x", daemon_module.LITEBASED]).returncode != 0:
        pytest.skip("an ordinary user cannot run the daemon where it lies")
    for path in [directory, *directory.iterdir()]:
        os.chown(path, 65534, 65534)
    return prefix


@pytest.fixture
def limited(directory, start_daemon):
    """Starts daemons with limits of the test's choice, which every user may connect to."""
    def start(**limits):
        config = directory / "limits.toml"
        config.write_text("[limits]\n" + "".join(f"{key} = {value}\n" for key, value in limits.items()))
        return start_daemon(f"--config={config}", "--socket-mode=666", directory=directory)

    return start


@pytest.fixture
def manager(directory):
    """Starts daemons under a service manager that keeps what they store; none of them may crash."""
    made = []

    def make(*flags, settings="", **options):
        config = directory / "litebase.toml"
        config.write_text(settings)
        made.append(Manager(directory, f"--config={config}", *flags, **options))
        return made[-1].start().wait_ready()

    yield make
    for instance in made:
        log = instance.log()
        instance.discard()
        assert "Fatal error" not in log and "Crash" not in log, log[-4000:]


@pytest.fixture(params=["msgpack", "lines"])
def mode(request):
    return request.param


@pytest.fixture
def client(daemon, mode):
    """A connection in each of the two encodings."""
    with daemon.connect(mode) as connection:
        yield connection


@pytest.fixture
def packed(daemon):
    """A MessagePack connection, for what does not depend on the encoding."""
    with daemon.connect("msgpack") as connection:
        yield connection


@pytest.fixture
def table():
    """A table name that no other test uses."""
    return f"t{next(TABLES)}"


@pytest.fixture
def filled(packed, table):
    """A table with two rows."""
    packed.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY, y)")
    packed.query(f"INSERT INTO {table}(x, y) VALUES (1, 'a'), (2, 'b')")
    return table


@pytest.fixture
def session(client):
    return client.session()
