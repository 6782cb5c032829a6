"""Tables that several threads read: what is written is what one thread would write."""

import csv
import io
import json
import os
import random
import sqlite3
import threading

import pyarrow.ipc
import pytest

from daemon import wait_until
from transfers import hello, opened, outcome, send_with, transfer, transfer_fails
from wire import RequestFailed, untagged

MANY = 45_000
PADDING = "x" * 100

# Where the numbers of rows lie.
NUMBERS = {
    "dense": lambda random: range(1, MANY),
    "far apart": lambda random: {random.randrange(-2**63, 2**63) for _ in range(MANY)},
    "with gaps": lambda random: [number for number in range(3 * MANY) if number // 5_000 % 3],
    "at both ends": lambda random: [*range(-2**63, -2**63 + MANY // 2), *range(2**63 - MANY // 2, 2**63)],
    "many and one far away": lambda random: [*range(MANY), 2**63 - 1],
}


def make(directory, name, definition, rows, wal=True):
    """A database of SQLite's own, of more than 4 MiB; with few cores one thread reads it, and the tests hold all the same."""
    path = directory / name
    database = sqlite3.connect(path, isolation_level=None)
    if wal:
        database.execute("PRAGMA journal_mode = wal")
    database.execute("BEGIN")
    database.execute(definition)
    database.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(rows[0]))})", rows)
    database.execute("COMMIT")
    return path, database


def rows_of(numbers):
    return [(number, f"name {number}", number / 3 if number % 7 else None, PADDING) for number in numbers]


def served(start_daemon, path, **limits):
    config = path.parent / "limits.toml"
    config.write_text("[limits]\n" + "".join(f"{name} = {value}\n" for name, value in limits.items()))
    return start_daemon(f"--config={config}", directory=path.parent, databases={"d": f"sqlite://{path}"})


def export(client, directory, **data):
    path = directory / "exported"
    with opened(path) as descriptor:
        reply = transfer(client, "export", descriptor, database="d", **data)
    return path.read_bytes(), reply


def peak(client):
    """The most long reads at a time, of which each thread's is one."""
    return readers(client)["peak"]


def readers(client):
    return client.call("stats").data["limits"]["readers_per_database_max"]


@pytest.mark.parametrize("lie", NUMBERS)
def test_all_rows_in_their_order(start_daemon, directory, lie):
    seed = random.randrange(1 << 30)
    numbers = sorted(set(NUMBERS[lie](random.Random(seed))))
    path, database = make(directory, "d.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT, r REAL, p TEXT)", rows_of(numbers))
    expected = database.execute("SELECT * FROM t ORDER BY id").fetchall()
    with served(start_daemon, path).connect() as client:
        hello(client)
        content, reply = export(client, directory, relation="t")
        read = list(csv.reader(io.StringIO(content.decode(), newline="")))
        assert read[0] == ["id", "s", "r", "p"] and reply["row_count"] == len(numbers), f"seed {seed}"
        assert [int(row[0]) for row in read[1:]] == numbers, f"seed {seed}"
        assert [(int(a), b, float(c) if c else None, d) for a, b, c, d in read[1:]] == expected, f"seed {seed}"
        content, _ = export(client, directory, sql="SELECT s, id FROM t", format="json")
        assert [(row["id"], row["s"]) for row in json.loads(content, object_pairs_hook=untagged)] == [(row[0], row[1]) for row in expected], f"seed {seed}"
        content, _ = export(client, directory, sql="select * from main.t -- all", format="arrow")
        table = pyarrow.ipc.open_stream(content).read_all()
        assert list(zip(*(column.to_pylist() for column in table.columns))) == expected, f"seed {seed}"
        content, _ = export(client, directory, relation="t", format="sql")
        again = sqlite3.connect(":memory:")
        again.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT, r REAL, p TEXT)")
        again.executescript("BEGIN;" + content.decode() + "COMMIT;")
        assert again.execute("SELECT * FROM t").fetchall() == expected, f"seed {seed}"
        for format in ("tsv", "jsonl"):
            assert export(client, directory, relation="t", format=format)[0].count(b"\n") == len(numbers) + (format == "tsv")
        if os.cpu_count() > 1:
            assert peak(client) > 1, "one thread has read everything"
        client.settle()


@pytest.mark.parametrize("definition", [
    "CREATE TABLE t(rowid, oid TEXT, x, p)", "CREATE TABLE t(rowid, oid, _rowid_, p)", "CREATE TABLE t(id INTEGER PRIMARY KEY DESC, s, r, p)",
    "CREATE TABLE t(id PRIMARY KEY, s, r, p) WITHOUT ROWID", "CREATE TABLE t(id INTEGER PRIMARY KEY, s, r, p, g AS (s || p))",
])
def test_odd_tables(start_daemon, directory, definition):
    """Whoever reads them, the rows are those that SQLite gives."""
    path, database = make(directory, "d.db", definition, rows_of(range(MANY)))
    database.execute("CREATE VIEW v AS SELECT * FROM t")
    columns = [column[0] for column in database.execute("SELECT * FROM t").description]
    database.execute(f'CREATE INDEX i ON t("{columns[1]}")')
    with served(start_daemon, path).connect() as client:
        hello(client)
        for sql in ("SELECT * FROM t", "SELECT * FROM v", f'SELECT "{columns[1]}" FROM t', f'SELECT "{columns[1]}", p FROM t',
                    "SELECT *, 1 FROM t", "SELECT DISTINCT p FROM t", "SELECT count(*) FROM t"):
            content, reply = export(client, directory, sql=sql, format="jsonl")
            rows = [list(json.loads(line).values()) for line in content.splitlines()]
            assert rows == list(map(list, database.execute(sql))), sql
            assert reply["row_count"] == len(rows)


def test_one_snapshot(start_daemon, directory):
    """Everybody moves money from row to row; whoever exports finds all of it."""
    path, _ = make(directory, "d.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, p TEXT)",
                   [(number, 100, PADDING) for number in range(MANY)])
    daemon = served(start_daemon, path)
    stop = threading.Event()

    def write(seed):
        chosen = random.Random(seed)
        with daemon.connect() as client:
            while not stop.is_set():
                source, target = chosen.randrange(MANY), chosen.randrange(MANY)
                sql = "UPDATE t SET n = n + CASE id WHEN ? THEN -1 ELSE 1 END WHERE id IN (?, ?) AND ? <> ?"
                client.query(sql, [source, source, target, source, target], database="d")

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for writer in writers:
        writer.start()
    try:
        with daemon.connect() as client:
            hello(client)
            for _ in range(8):
                content, _ = export(client, directory, relation="t", header=False)
                rows = [line.split(b",") for line in content.splitlines()]
                assert len(rows) == MANY and sum(int(row[1]) for row in rows) == 100 * MANY
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def test_a_row_that_is_refused(start_daemon, directory):
    """The rows before it are in the file, none behind it."""
    rows = [(number, number, PADDING) for number in range(MANY)]
    rows[MANY // 2] = (MANY // 2, "a text", PADDING)
    path, database = make(directory, "d.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, n, p TEXT)", rows)
    with served(start_daemon, path, row_bytes_max=65536).connect() as client:
        hello(client)
        with opened(directory / "exported") as descriptor:
            failed = transfer_fails(client, "export", descriptor, database="d", relation="t", format="arrow")
            assert f"Row {MANY // 2 + 1} has a text in the column \"n\"" in failed["message"], failed
        database.execute("UPDATE t SET p = hex(zeroblob(40000)) WHERE id = ?", [MANY - 5_000])
        with opened(directory / "exported") as descriptor:
            assert transfer_fails(client, "export", descriptor, database="d", relation="t")["code"] == "limit_exceeded"
        written = (directory / "exported").read_bytes().splitlines()[1:]
        assert [int(line.split(b",")[0]) for line in written] == list(range(len(written))) and len(written) <= MANY - 5_000
        client.settle()


def test_types_that_the_first_values_decide(start_daemon, directory):
    """A column without a type is NULL for long."""
    rows = [(number, None if number < 8_000 else float(number), PADDING) for number in range(MANY)]
    path, _ = make(directory, "d.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, n, p TEXT)", rows)
    with served(start_daemon, path).connect() as client:
        hello(client)
        content, _ = export(client, directory, relation="t", format="arrow")
    table = pyarrow.ipc.open_stream(content).read_all()
    assert list(zip(*(column.to_pylist() for column in table.columns))) == rows


def test_stopped_at_any_time(start_daemon, directory):
    """Cancelled, timed out, hung up: all readers are there again, and nothing stays charged."""
    path, _ = make(directory, "d.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT, r REAL, p TEXT)", rows_of(range(3 * MANY)))
    daemon = served(start_daemon, path)
    seed = random.randrange(1 << 30)
    chosen = random.Random(seed)
    with daemon.connect() as watcher:
        for turn in range(60):
            with daemon.connect() as client:
                hello(client)
                reader, writer = os.pipe()
                data = {"descriptors": 1, "database": "d", "relation": "t", "format": chosen.choice(["csv", "arrow", "json"])}
                if turn % 3 == 0:
                    data["timeout_ms"] = chosen.randrange(1, 60)
                id = send_with(client, [writer], "export", data)
                os.close(writer)
                wanted = chosen.choice([0, 1_000, 1 << 20, 9 << 20])
                while wanted > 0 and (taken := os.read(reader, 1 << 16)):
                    wanted -= len(taken)
                if turn % 3 == 1:
                    client.call("cancel", {"request": id})
                if turn % 3 != 2:
                    os.close(reader)
                    with pytest.raises(RequestFailed):
                        outcome(client, id)
            if turn % 3 == 2:
                os.close(reader)

        wait_until(lambda: readers(watcher)["used"] == 0, f"all places are free, seed {seed}")
        wait_until(lambda: max(user["buffered_bytes"] for user in watcher.call("stats").data["users"]) < 1 << 20, f"credited, seed {seed}")
        assert watcher.query("SELECT count(*) FROM t", database="d").value == 3 * MANY


def test_places_of_others(start_daemon, directory):
    """With one place for long reads, an export takes one; with two, a helper leaves for whoever waits."""
    path, _ = make(directory, "d.db", "CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT, r REAL, p TEXT)", rows_of(range(MANY)))
    for places in (1, 2, 3):
        daemon = served(start_daemon, path, readers_per_database_max=places)
        with daemon.connect() as client:
            hello(client)
            assert export(client, directory, relation="t")[1]["row_count"] == MANY
            assert peak(client) <= max(1, places - 1)
            reader, writer = os.pipe()
            id = send_with(client, [writer], "export", {"descriptors": 1, "database": "d", "relation": "t"})
            os.close(writer)
            with daemon.connect() as other:
                if places > 1:
                    assert other.query("SELECT count(*) FROM t, (SELECT 1 UNION SELECT 2)", database="d").value == 2 * MANY
            os.close(reader)
            with pytest.raises(RequestFailed):
                outcome(client, id)
        daemon.finish()
