"""A schema that takes long to read, and to forget, holds no loop: a worker does both."""

import sqlite3

import pytest

from daemon import short_directory
from loop_probe import serves_meanwhile

# It measures time: nothing else runs beside it.
pytestmark = pytest.mark.alone

VIEW_COUNT = 8_000
CHANGE_COUNT = 6
# So that each loop has some of them.
CONNECTION_COUNT = 4


@pytest.fixture(scope="module")
def large():
    """A file with a large schema. CREATE VIEW would go through all of it each time."""
    path = short_directory() / "large.db"
    file = sqlite3.connect(path)
    with file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("CREATE TABLE seen(a)")
        file.execute("PRAGMA writable_schema = ON")
        file.executemany("INSERT INTO sqlite_schema VALUES ('view', ?, ?, 0, ?)", (
            (f"v{number}", f"v{number}", f"CREATE VIEW v{number} AS SELECT a, a + 1 AS b, a + 2 AS c FROM seen WHERE a > {number}")
            for number in range(VIEW_COUNT)))
    file.close()
    return path


def read(client):
    assert client.query("SELECT count(*) FROM seen", database="large").value == 0


def describe(client):
    assert client.call("describe", {"sql": "SELECT a FROM seen", "database": "large"}).data["columns"]


def in_sessions(client):
    if not hasattr(client, "kept"):
        client.kept = client.session(database="large")
    assert client.query("SELECT count(*) FROM seen", session=client.kept).value == 0


@pytest.mark.parametrize("use", [read, describe, in_sessions])
def test_changes_by_others_hold_no_loop(start_daemon, directory, large, use):
    config = directory / "large.toml"
    config.write_text(f'[databases.large]\nurl = "sqlite:{large}"\n')
    daemon = start_daemon("--config", config, directory=directory)

    def work():
        clients = [daemon.connect() for _ in range(CONNECTION_COUNT)]
        for number in range(CHANGE_COUNT):
            file = sqlite3.connect(large, timeout=30, isolation_level=None)
            file.execute("CREATE TABLE change(a)" if number % 2 == 0 else "DROP TABLE change")
            file.close()
            for client in clients:
                use(client)
        for client in clients:
            client.close()

    serves_meanwhile(daemon, work, use.__name__, wrong=lambda probe: probe.slow_but_for(1, 5))
