"""Whole tables, and rows by their number, where the table's shape is rare, or the name is that of something else."""

import pathlib
import sqlite3
import time

import pytest

from daemon import counting

MANY = 30_000


@pytest.fixture(scope="module")
def served(daemon):
    """A table of the shared daemon, and another way to its file."""
    with daemon.connect() as client:
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, p TEXT)")
        client.query(f"INSERT INTO t SELECT x, x % 7, printf('%0100d', x) FROM ({counting(MANY)})")
    other = sqlite3.connect(daemon.directory / "state" / "default.db", isolation_level=None)
    yield daemon, other
    other.close()


VIEWS = ["id, p", "p, id", "*", "rowid, id, p", "id AS rowid, p AS n", "n AS rowid, id", "p AS rowid, id"]


@pytest.mark.parametrize("columns", VIEWS)
def test_views(served, columns):
    """A view of plain columns has the program of its table; its row number is NULL, or a column."""
    daemon, other = served
    other.execute("DROP VIEW IF EXISTS v")
    other.execute(f"CREATE VIEW v AS SELECT {columns} FROM t")
    wanted = [list(row) for row in other.execute("SELECT * FROM v")]
    with daemon.connect() as client:
        session = client.session()
        assert client.query("SELECT * FROM v").rows == wanted
        assert client.query("SELECT * FROM v", session=session).rows == wanted


@pytest.mark.parametrize("name", ["t", "own"])
@pytest.mark.parametrize("columns", VIEWS)
def test_temporary_views(served, name, columns):
    """The name is that of a table to everybody else, or to nobody."""
    daemon, other = served
    wanted = [list(row) for row in other.execute(f"SELECT {columns} FROM t")]
    with daemon.connect() as client:
        session = client.session()
        client.query(f"CREATE TEMP VIEW {name} AS SELECT {columns} FROM main.t", session=session)
        assert client.query(f"SELECT * FROM {name}", session=session).rows == wanted


def test_rows_on_both_sides_of_zero(start_daemon):
    """A page that ends with row -1 has a range of numbers that is as wide as the greatest number of 64 bits."""
    daemon = start_daemon("--loops", 1)
    with daemon.connect() as client:
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
        client.query(f"INSERT INTO t SELECT x - 5, printf('%0900d', x) FROM ({counting(100)})")
        for _ in range(4):
            ids = [client.send_query("SELECT id FROM t WHERE id = ?", [key]) for key in range(-20, 40)]
            assert [len(client.collect(id).rows) for id in ids] == [int(key >= -4) for key in range(-20, 40)]


@pytest.mark.parametrize("change", ["ADD COLUMN b", "RENAME COLUMN a TO b"])
def test_columns_of_a_statement_that_is_older_than_its_reader(start_daemon, change):
    """It was prepared before the schema changed, and looked at for the first time after another statement has noticed that."""
    daemon = start_daemon("--loops", 1)
    other = sqlite3.connect(daemon.directory / "state" / "default.db", isolation_level=None)
    with daemon.connect() as client:
        client.query("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
        client.query("INSERT INTO t VALUES (1, 1)")
        for _ in range(40):
            client.query("SELECT * FROM t WHERE id = ?", [1])
            time.sleep(0.001)  # So seldom that no snapshot is held.
        other.execute(f"ALTER TABLE t {change}")
        client.query("SELECT count(*) FROM sqlite_schema")
        ids = [client.send_query("SELECT id + 1 FROM t") for _ in range(400)]
        ids.append(client.send_query("SELECT * FROM t WHERE id = ?", [1]))
        result = [client.collect(id) for id in ids][-1]
        assert result.names == [column[0] for column in other.execute("SELECT * FROM t").description]
        assert result.rows == [list(row) for row in other.execute("SELECT * FROM t")]
    other.close()


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_a_damaged_file_has_an_end(start_daemon, directory, part):
    """A page above the leaves has a number that is out of order: to seek the row behind one leads back to a row before it."""
    path = directory / "damaged.db"
    with sqlite3.connect(path, isolation_level=None) as database:
        database.executescript("PRAGMA page_size = 1024; PRAGMA journal_mode = wal; CREATE TABLE t(id INTEGER PRIMARY KEY, p TEXT)")
        database.execute(f"INSERT INTO t WITH RECURSIVE c(x) AS (VALUES(200) UNION ALL SELECT x + 1 FROM c LIMIT {MANY // 3}) "
                         "SELECT x, printf('%030d', x) FROM c")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = database.execute("SELECT rootpage FROM sqlite_schema").fetchone()[0]
    database.close()
    bytes_of_file = bytearray(path.read_bytes())
    above = next(page for page in range(len(bytes_of_file) // 1024) if bytes_of_file[page * 1024] == 5 and page != root - 1) * 1024
    count = int.from_bytes(bytes_of_file[above + 3:above + 5], "big")
    pointer = above + 12 + 2 * int(part * count)
    cell = above + int.from_bytes(bytes_of_file[pointer:pointer + 2], "big")
    bytes_of_file[cell + 4:cell + 6] = b"\xff\x7f"  # 16383, which is as long as the number that was there
    path.write_bytes(bytes_of_file)
    daemon = start_daemon(directory=directory, databases={"d": f"sqlite://{path}"})
    for sql in ("SELECT * FROM t", "SELECT p FROM t"):
        with daemon.connect() as client:
            id, count = client.send_query(sql, database="d"), 0
            while True:
                reply = client.receive_for(id)
                count += len(reply.data.get("rows", []))
                assert count <= MANY, "there are more rows than the file has"
                if reply.terminal or reply.type == "error":
                    break


def loop_milliseconds(daemon):
    """The processor time of the daemon's loops so far."""
    total = 0
    for task in pathlib.Path(f"/proc/{daemon.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("litebase-loop"):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e6


def test_a_look_at_a_program_leaves_a_loop_its_limits(served):
    """What reads a row by its number is looked for when a statement has been quick often enough; the next value may be a large one."""
    daemon, _ = served
    with daemon.connect() as client:
        client.query("CREATE TABLE IF NOT EXISTS one(a)")
        client.query("INSERT INTO one VALUES (1)")
        for quick_count in range(15, 20):
            sql = f"SELECT length(hex(zeroblob(?1))) + {quick_count} FROM one"
            # Reads that are frequent share a snapshot, without which nobody looks.
            requests = [client.send_query("SELECT a FROM one") for _ in range(300)]
            requests += [client.send_query(sql, [2]) for _ in range(quick_count)]
            for request in requests:
                client.collect(request)
            before = loop_milliseconds(daemon)
            requests = [client.send_query("SELECT a FROM one") for _ in range(100)]
            requests.append(client.send_query(sql, [30_000_000]))
            for request in requests:
                client.collect(request)
            # On the loop, this value takes 140 ms.
            assert loop_milliseconds(daemon) - before < 80, quick_count
        client.query("DROP TABLE one")
