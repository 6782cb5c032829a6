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


def with_tables(path, count):
    """A file of many tables with a foreign key each, with one empty page for all of them."""
    file = sqlite3.connect(path)
    with file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("CREATE TABLE t0(id INTEGER PRIMARY KEY, parent INTEGER)")
        file.execute("PRAGMA writable_schema = ON")
        file.executemany("INSERT INTO sqlite_schema VALUES ('table', ?, ?, 2, ?)", (
            (f"t{number}", f"t{number}", f"CREATE TABLE t{number}(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES t{number // 2}(id))")
            for number in range(1, count)))
    file.close()
    return path


@pytest.mark.parametrize("ask", ["query", "catalog"])
def test_reading_a_schema_takes_time_by_its_length(start_daemon, directory, ask):
    """SQLite's own hash tables have 64 places, whatever is in them: four times as many tables took sixteen times as long."""
    counts = (12_000, 48_000)
    files = {count: with_tables(short_directory() / f"{count}.db", count) for count in counts}
    config = directory / "many.toml"
    config.write_text("".join(f'[databases.t{count}]\nurl = "sqlite:{file}"\n' for count, file in files.items()))
    daemon = start_daemon("--config", config, directory=directory)
    taken = {}
    with daemon.connect("msgpack") as client:
        client.socket.settimeout(120)
        for count in counts:
            before = daemon.cpu_seconds()
            if ask == "query":
                assert client.query("SELECT count(*) FROM t0", database=f"t{count}").value == 0
            else:
                found = client.call("catalog", {"level": "columns", "database": f"t{count}", "relation": f"t{count - 1}"})
                assert [row[2] for row in found.data["rows"]] == ["id", "parent"]
            taken[count] = daemon.cpu_seconds() - before
    assert taken[counts[1]] < 8 * taken[counts[0]], taken
