"""`litebase export --format sql`: what it writes is loaded by sqlite3 and by LiteBase, and then both have what was there."""

import shutil
import sqlite3
import subprocess

import pytest

from test_dumps import HARD, contents, fill, loaded
from test_transfers import run

from daemon import LITEBASE, Daemon, short_directory
from mariadb import MariaDB
from postgresql import PostgreSQL


@pytest.fixture
def served():
    directory = short_directory()
    with sqlite3.connect(directory / "first.db") as connection:
        fill(connection)
    with sqlite3.connect(directory / "odd.db") as connection:
        connection.execute("CREATE TABLE reals(r REAL, x)")
        for value in (0.1, 1e300, -5e-324, float("inf"), float("-inf"), 2.0**53, 123456789.123456789, -0.0):
            connection.execute("INSERT INTO reals VALUES (?, ?)", (value, value))
        connection.execute("INSERT INTO reals VALUES (NULL, CAST(x'6100ff' AS TEXT)), (1, 'a' || char(0) || 'b'), (1, 'a' || char(13, 10) || 'b'), (2, -9223372036854775808)")
    daemon = Daemon(directory=directory, databases={"first": f"sqlite:{directory}/first.db", "second": f"sqlite:{directory}/second.db",
                                                     "odd": f"sqlite:{directory}/odd.db"})
    yield daemon, directory
    daemon.finish()
    daemon.discard()
    shutil.rmtree(directory, ignore_errors=True)


def reals(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.text_factory = bytes
        return [repr(row) for row in connection.execute("SELECT r, x, typeof(x), hex(x) FROM reals")]


def native(path, script):
    return subprocess.run(["sqlite3", path], input=script, capture_output=True, timeout=60, check=True)


def dumped(daemon, *arguments):
    return run(daemon, "export", *arguments, "--format", "sql", text=False).stdout


def test_a_whole_database(served, tmp_path):
    daemon, directory = served
    script = dumped(daemon, "-d", "first")
    assert native(directory / "native.db", script).stderr == b""
    done = loaded(daemon.socket_path, tmp_path, "query", "second", script)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b""), done
    wanted = contents(directory / "first.db")
    by_sqlite3 = subprocess.run(["sqlite3", directory / "first.db", ".dump"], capture_output=True, timeout=60, check=True).stdout
    native(directory / "dot.db", by_sqlite3)
    for name in ("native", "second"):
        objects, sums, found, checks = contents(directory / f"{name}.db")
        assert checks == [[("ok",)], [("ok", "ok")]]
        assert (sums, found) == (wanted[1], wanted[2])
        assert objects == contents(directory / "dot.db")[0]
    with sqlite3.connect(directory / "second.db") as connection:
        assert connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'plain'").fetchone() == (len(HARD),)


def test_values_that_no_literal_has(served, tmp_path):
    daemon, directory = served
    script = dumped(daemon, "-d", "odd")
    native(directory / "native.db", script)
    assert loaded(daemon.socket_path, tmp_path, "query", "second", script).stderr == b""
    assert reals(directory / "native.db") == reals(directory / "second.db") == reals(directory / "odd.db")
    assert len(reals(directory / "odd.db")) == 12


def test_long_values_are_loaded_again(tmp_path):
    """Beyond 256 KiB a statement is longer than what SQLite parses otherwise."""
    directory = short_directory()
    values = ["'x" * 200_000, "y" * 3_000_000, b"\0z" * 150_000, "é" * 262_144]
    with sqlite3.connect(directory / "first.db") as connection:
        connection.execute("CREATE TABLE t(a)")
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    by_sqlite3 = subprocess.run(["sqlite3", directory / "first.db", ".dump"], capture_output=True, timeout=60, check=True).stdout
    daemon = Daemon(directory=directory, databases={name: f"sqlite:{directory}/{name}.db" for name in ("first", "second", "third")})
    try:
        for name, script in (("second", dumped(daemon, "-d", "first")), ("third", by_sqlite3)):
            done = loaded(daemon.socket_path, tmp_path, "query", name, script)
            assert (done.returncode, done.stderr) == (0, b""), done
            with sqlite3.connect(directory / f"{name}.db") as connection:
                assert [row[0] for row in connection.execute("SELECT a FROM t ORDER BY rowid")] == values
        daemon.finish()
    finally:
        daemon.discard()
        shutil.rmtree(directory, ignore_errors=True)


COMMENTED = (
    "CREATE TABLE t(a INT, -- it's; one\n b TEXT /* and; another */) STRICT -- of t", "CREATE INDEX i ON t(a) WHERE a > 1 -- of i",
    "CREATE VIEW v AS SELECT 1 AS a -- of v", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; -- END; of g\n SELECT 2; END",
    "CREATE VIEW w AS SELECT '--' AS a /* of w")


@pytest.mark.parametrize("way", ["export", ".dump", ".schema"])
def test_definitions_that_end_with_a_comment(tmp_path, way):
    """SQLite keeps it, and a semicolon behind it would be a part of it."""
    directory = short_directory()
    with sqlite3.connect(directory / "first.db") as connection:
        for sql in COMMENTED:
            connection.execute(sql)
        assert [row[0] for row in connection.execute("SELECT sql FROM sqlite_schema ORDER BY rowid")] == list(COMMENTED)
    daemon = Daemon(directory=directory, databases={name: f"sqlite:{directory}/{name}.db" for name in ("first", "second")})
    try:
        script = dumped(daemon, "-d", "first") if way == "export" else run(daemon, "shell", "-d", "first", "-c", way, text=False).stdout
        assert native(directory / "native.db", script).stderr == b""
        done = loaded(daemon.socket_path, tmp_path, "query", "second", script)
        assert (done.returncode, done.stderr) == (0, b""), done
        for name in ("native", "second"):
            with sqlite3.connect(directory / f"{name}.db") as connection:
                found = {row[0].removesuffix("\n") for row in connection.execute("SELECT sql FROM sqlite_schema")}
            # A comment that was left open has an end now; of an index and a table the line end is kept, too.
            assert found == {*COMMENTED[:-1], COMMENTED[-1] + "*/"}
        daemon.finish()
    finally:
        daemon.discard()
        shutil.rmtree(directory, ignore_errors=True)


def test_dumps_are_the_same_again(served):
    daemon, directory = served
    script = dumped(daemon, "-d", "first")
    native(directory / "second.db", script)
    assert dumped(daemon, "-d", "second") == script


def test_one_moment(served):
    """What others write meanwhile is not in it."""
    daemon, directory = served
    with daemon.connect() as client:
        client.query("CREATE TABLE zzz(n)", database="first")
        client.query("INSERT INTO zzz VALUES (0)", database="first")
    running = subprocess.Popen(
        [LITEBASE, "export", "--socket", daemon.socket_path, "-d", "first", "--format", "sql"], stdout=subprocess.PIPE)
    start = running.stdout.read(1 << 16)
    with daemon.connect() as client:
        client.query("UPDATE zzz SET n = 1", database="first")
        client.query("DELETE FROM plain", database="first")
    script = start + running.stdout.read()
    assert running.wait(60) == 0
    native(directory / "native.db", script)
    with sqlite3.connect(directory / "native.db") as connection:
        assert connection.execute("SELECT n, (SELECT count(*) FROM plain) FROM zzz").fetchone() == (0, 8)


def test_one_table(served):
    daemon, directory = served
    native(directory / "native.db", dumped(daemon, "-d", "first", "--table", "MADE"))
    native(directory / "native.db", dumped(daemon, "-d", "first", "--table", "docs"))
    native(directory / "native.db", dumped(daemon, "-d", "first", "--table", "plain"))
    with sqlite3.connect(directory / "native.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY 1").fetchall() == [("watch",)]
        assert connection.execute("SELECT count(*), sum(twice) FROM made").fetchone() == (len(HARD), sum(range(len(HARD))) * 2)
        assert connection.execute("SELECT count(*) FROM docs WHERE docs MATCH 'test'").fetchone()[0] > 0
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'said_some'").fetchone() == (1,)
    assert "no table or view nothing" in run(daemon, "export", "-d", "first", "--table", "nothing", "--format", "sql", status=1).stderr


def test_rows_of_a_statement(served):
    daemon, directory = served
    out = dumped(daemon, "-d", "first", "SELECT 1 AS a, 'it''s' AS \"b \"\"c\", x'00ff' AS d, NULL AS e", "--into", "t")
    assert out == b"""INSERT INTO "t"("a","b ""c","d","e") VALUES(1,'it''s',x'00ff',NULL);\n"""
    assert dumped(daemon, "-d", "first", "SELECT 1 AS a WHERE 0", "--into", "t") == b""
    assert "--into" in run(daemon, "export", "-d", "first", "SELECT 1", "--format", "sql", status=64).stderr
    path = directory / "out.sql"
    run(daemon, "export", "-d", "first", "--table", "keyed", "-o", path)
    assert path.read_text().startswith("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE keyed")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PostgreSQL, MariaDB])
def test_servers(kind, tmp_path):
    """Rows as INSERT statements, which the server's own client reads."""
    server = kind()
    daemon = Daemon(databases={"db": server.url()})
    try:
        is_postgresql = kind is PostgreSQL
        blob, real = ("bytea", "float8") if is_postgresql else ("varbinary(300)", "double")
        columns = f"(id int PRIMARY KEY, t varchar(200), b {blob}, r {real}, d decimal(20,5), m timestamp, g int GENERATED ALWAYS AS (id * 2) STORED)"
        with daemon.connect() as client:
            client.query(f"CREATE TABLE hard{columns}", database="db")
            for number, text in enumerate(HARD):
                place = ["$1", "$2", "$3"] if is_postgresql else ["?"] * 3
                client.query(f"INSERT INTO hard(id, t, b, r, d, m) VALUES ({number}, {place[0]}, {place[1]}, {place[2]}, -1.5, '2020-01-01')",
                             params=[text, bytes(range(256)), number / 3], database="db")
            if is_postgresql:
                client.query("INSERT INTO hard(id, r) VALUES (100, 'NaN'), (101, '-Infinity')", database="db")
            client.query("INSERT INTO hard(id) VALUES (102)", database="db")
            script = dumped(daemon, "-d", "db", "--table", "hard")
            assert b"g" not in script.split(b"VALUES")[0].split(b"(")[1].replace(b'"', b"").split(b",")
            wanted = client.query("SELECT * FROM hard ORDER BY id", database="db").rows
            client.query("DELETE FROM hard", database="db")
            done = loaded(daemon.socket_path, tmp_path, "query", "db", script)
            assert (done.returncode, done.stderr) == (0, b""), done
            assert repr(client.query("SELECT * FROM hard ORDER BY id", database="db").rows) == repr(wanted)
            # The whole database: test_server_dumps.py.
            assert "CREATE TABLE" in run(daemon, "export", "-d", "db", "--format", "sql").stdout
    finally:
        daemon.discard()
        server.discard()
