"""Short reads share a snapshot while nobody commits; nobody may notice, except by the time that they take."""

import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from daemon import wait_until

# More reads than begin a shared snapshot, in one go.
BURST = 200


@pytest.fixture
def counter(daemon):
    """A table with one number, and another process's way to its file."""
    with daemon.connect() as client:
        client.query("DROP TABLE IF EXISTS counter")
        client.query("CREATE TABLE counter(n INTEGER)")
        client.query("INSERT INTO counter VALUES (0)")
    other = sqlite3.connect(daemon.directory / "state" / "default.db", isolation_level=None, timeout=5)
    yield other
    other.close()


def burst(client, count=BURST):
    """Values that many pipelined reads have seen, in the order of the requests."""
    ids = [client.send_query("SELECT n FROM counter") for _ in range(count)]
    return [client.collect(id).rows[0][0] for id in ids]


@pytest.mark.slow
def test_commits_of_others_are_seen_at_once(daemon, counter):
    """Another connection of another library commits between two reads, hundreds of times."""
    with daemon.connect() as client:
        for round in range(1, 300):
            assert set(burst(client, 64)) == {round - 1}
            counter.execute("UPDATE counter SET n = ?", (round,))
            assert client.query("SELECT n FROM counter").rows == [[round]]


def test_commits_by_another_process_are_seen_at_once(daemon, counter):
    script = ("import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
              "for line in sys.stdin:\n    c.execute('UPDATE counter SET n = ?', (int(line),))\n    print(flush=True)")
    with subprocess.Popen([sys.executable, "-c", script, daemon.directory / "state" / "default.db"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as writer, daemon.connect() as client:
        for round in range(1, 100):
            burst(client, 64)
            writer.stdin.write(f"{round}\n")
            writer.stdin.flush()
            assert writer.stdout.readline()
            assert client.query("SELECT n FROM counter").rows == [[round]]
        writer.stdin.close()


def test_acknowledged_writes_are_seen_by_all(daemon, counter):
    """While one client writes, many read: none sees less than what was acknowledged when it asked."""
    acknowledged, is_over, problems = [0], threading.Event(), []

    def read():
        try:
            with daemon.connect() as client:
                while not is_over.is_set():
                    least = acknowledged[0]
                    assert min(burst(client, 40)) >= least
        except BaseException as problem:
            problems.append(problem)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    with daemon.connect() as client:
        end = time.monotonic() + 3
        # (On a busy machine it takes longer until there were enough.)
        while (time.monotonic() < end or acknowledged[0] <= 50 and time.monotonic() < end + 60) and not problems:
            client.query("UPDATE counter SET n = n + 1")
            acknowledged[0] += 1
            time.sleep(0.001 * (acknowledged[0] % 4))
    is_over.set()
    for reader in readers:
        reader.join(20)
    assert not problems and acknowledged[0] > 50


def test_checkpoints_get_through(daemon, counter):
    """Reads without a pause do not keep another process from emptying the log."""
    is_over, problems = threading.Event(), []

    def read():
        try:
            with daemon.connect() as client:
                while not is_over.is_set():
                    burst(client, 100)
        except BaseException as problem:
            problems.append(problem)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        for round in range(20):
            counter.execute("UPDATE counter SET n = n + 1")
            busy, _, _ = counter.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert busy == 0 and (daemon.directory / "state" / "default.db-wal").stat().st_size == 0
    finally:
        is_over.set()
        for reader in readers:
            reader.join(20)
    assert not problems


def test_files_without_a_log_are_not_locked(daemon):
    """A reader of a rollback journal keeps writers out: there, every read ends its transaction."""
    path = daemon.directory / "plain.db"
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE counter(n INTEGER)")
        plain.execute("INSERT INTO counter VALUES (1)")
    plain.close()
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    with daemon.connect() as client:
        session = client.session(url=f"sqlite:{path}")
        for _ in range(20):
            ids = [client.send_query("SELECT n FROM counter", session=session) for _ in range(BURST)]
            for id in ids:
                client.collect(id)
            # Without waiting: "database is locked" would be raised.
            other.execute("UPDATE counter SET n = n + 1")
    other.close()


def test_schema_changes_of_others_are_seen(daemon, counter):
    with daemon.connect() as client:
        for round in range(20):
            burst(client)
            counter.execute(f"ALTER TABLE counter ADD COLUMN c{round} INTEGER DEFAULT {round}")
            assert client.query("SELECT * FROM counter").rows == [[0, *range(round + 1)]]


def read_all_pages(instance):
    """Makes a file of 40 MB and reads all of it row by row; the memory before and after, in KiB."""
    with instance.connect() as client:
        client.query("CREATE TABLE big(id INTEGER PRIMARY KEY, filler BLOB)")
        client.query("INSERT INTO big WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 12000) "
                     "SELECT x, randomblob(3000) FROM c")
        before = instance.memory_kib("RssAnon")
        for first in range(1, 12001, 500):
            ids = [client.send_query("SELECT id FROM big WHERE id = ? AND length(filler) = 3000", [id]) for id in range(first, first + 500)]
            assert [client.collect(id).rows[0][0] for id in ids] == list(range(first, first + 500))
        return before, instance.memory_kib("RssAnon")


@pytest.mark.slow
def test_pages_are_kept_while_they_are_used(start_daemon):
    """Point reads fill the memory with pages, up to the limit; after ten idle seconds it is given back."""
    instance = start_daemon()
    before, after = read_all_pages(instance)
    assert after - before > 20 << 10
    wait_until(lambda: instance.memory_kib("RssAnon") - before < 8 << 10, "the pages are given back", timeout=30, interval=0.2)


@pytest.mark.slow
def test_pages_have_a_limit(start_daemon, directory):
    path = directory / "litebase.toml"
    path.write_text("[limits]\npage_cache_bytes_per_database_max = 0\n")
    before, after = read_all_pages(start_daemon("--config", path))
    assert after - before < 10 << 10
