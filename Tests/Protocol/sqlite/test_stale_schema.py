"""A schema that somebody else has changed: SQLite looks anew for some names that it does not find, and for others it does not."""

import os
import random
import sqlite3

import pytest

from wire import RequestFailed

SCHEMA = """CREATE TABLE t(a, d); CREATE TABLE u(x); CREATE INDEX i ON t(a); CREATE VIEW v AS SELECT 1 AS x;
CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END"""

# What one does, and what somebody can do then whose connection has read the schema before.
PAIRS = {
    "rename column": ("ALTER TABLE t ADD COLUMN b", "ALTER TABLE t RENAME COLUMN b TO c"),
    "drop column": ("ALTER TABLE t ADD COLUMN b", "ALTER TABLE t DROP COLUMN b"),
    "add column": ("ALTER TABLE t DROP COLUMN d", "ALTER TABLE t ADD COLUMN d"),
    "create table": ("DROP TABLE u", "CREATE TABLE u(x)"),
    "create index": ("DROP INDEX i", "CREATE INDEX i ON t(a)"),
    "create view": ("DROP VIEW v", "CREATE VIEW v AS SELECT 2 AS x"),
    "create trigger": ("DROP TRIGGER g", "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 2; END"),
    "rename table": ("DROP TABLE u", "ALTER TABLE t RENAME TO u"),
    "values": ("ALTER TABLE t ADD COLUMN b", "INSERT INTO t VALUES (1, 2, 3)"),
    "a column's name": ("ALTER TABLE t ADD COLUMN b", "INSERT INTO t(b) VALUES (1)"),
    "conflict": ("CREATE UNIQUE INDEX k ON t(a)", "INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO NOTHING"),
    "reindex": ("CREATE INDEX k ON t(a)", "REINDEX k"),
    "union": ("ALTER TABLE t ADD COLUMN b", "SELECT * FROM t UNION SELECT 1, 2, 3"),
    "parameters": ("ALTER TABLE t ADD COLUMN b", "SELECT b FROM t WHERE b = ?1"),
}
MISTAKES = ["ALTER TABLE t RENAME COLUMN nix TO c", "CREATE INDEX i ON t(a)", "INSERT INTO t VALUES (1)", "SELECT nix FROM t", "SELEC 1"]


@pytest.fixture
def path(directory):
    with sqlite3.connect(directory / "app.db", isolation_level=None) as file:
        file.executescript("PRAGMA journal_mode = WAL;" + SCHEMA)
    return directory / "app.db"


class Someone:
    """One of those who may change a schema: an autocommit statement, a session, another process."""

    def __init__(self, daemon, path, kind):
        self.kind, self.path = kind, path
        self.client = daemon.connect()
        self.session = self.client.session(database="app") if kind != "request" else None
        self.other = sqlite3.connect(path, isolation_level=None, timeout=10)
        # The schema is read.
        self.run("SELECT * FROM t")
        if kind != "process":
            self.run("INSERT INTO u VALUES (1)")

    def run(self, sql):
        if self.kind == "process":
            # SQLite's own connections have what is mended here.
            self.other.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return self.other.execute(sql).fetchall()
        params = [1] if "?1" in sql else None
        if self.kind == "request":
            return self.client.query(sql, params, database="app").rows
        if self.kind == "transaction":
            self.client.query("BEGIN", session=self.session)
        try:
            return self.client.query(sql, params, session=self.session).rows
        finally:
            if self.kind == "transaction":
                self.client.query("COMMIT", session=self.session)


@pytest.mark.parametrize("then", ["request", "session", "transaction"])
@pytest.mark.parametrize("first", ["request", "session", "process"])
@pytest.mark.parametrize("what", PAIRS)
def test_what_another_has_changed_is_seen(start_daemon, path, what, first, then):
    daemon = start_daemon(databases={"app": f"sqlite:{path}"})
    one, two = Someone(daemon, path, first), Someone(daemon, path, then)
    change, follows = PAIRS[what]
    one.run(change)
    two.run(follows)
    # What is wrong stays wrong.
    for mistake in MISTAKES:
        if mistake == PAIRS[what][1]:
            continue
        with pytest.raises(RequestFailed) as failure:
            two.run(mistake)
        assert failure.value.code in ("syntax_error", "database_error"), failure.value


@pytest.mark.slow
def test_many_quick_changes(start_daemon, path):
    seed = int(os.environ.get("LITEBASE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LITEBASE_TEST_SEED={seed}")
    chance = random.Random(seed)
    daemon = start_daemon(databases={"app": f"sqlite:{path}"})
    all = [Someone(daemon, path, kind) for kind in ("request", "request", "session", "session", "transaction", "process")]
    columns, count = ["a", "d"], 0
    for _ in range(int(os.environ.get("LITEBASE_TEST_ROUNDS") or 150)):
        count += 1
        someone, kind = chance.choice(all), chance.randrange(6)
        if kind == 0 or len(columns) < 3:
            someone.run(f"ALTER TABLE t ADD COLUMN c{count}")
            columns.append(f"c{count}")
        elif kind == 1:
            gone = columns.pop(chance.randrange(2, len(columns)))
            someone.run(f"ALTER TABLE t DROP COLUMN {gone}")
        elif kind == 2:
            place = chance.randrange(2, len(columns))
            someone.run(f"ALTER TABLE t RENAME COLUMN {columns[place]} TO c{count}")
            columns[place] = f"c{count}"
        elif kind == 3:
            someone.run("DROP INDEX i")
            chance.choice(all).run(f"CREATE INDEX i ON t({columns[-1]})")
            chance.choice(all).run("DROP INDEX i")
            chance.choice(all).run("CREATE INDEX i ON t(a)")
        elif kind == 4:
            someone.run(f"INSERT INTO t VALUES ({', '.join('1' * len(columns))})")
        else:
            result = chance.choice(all[:4])
            data = result.client.call("describe", {"sql": "SELECT * FROM t", **({"session": result.session} if result.session else {"database": "app"})}).data
            assert [column["name"] for column in data["columns"]] == columns
        assert len(chance.choice(all).run(f"SELECT * FROM t UNION SELECT {', '.join('9' * len(columns))}")[0]) == len(columns)


@pytest.mark.parametrize("where", ["session", "pool"])
def test_a_program_that_is_shown_again_names_no_table_that_is_gone(start_daemon, where):
    """EXPLAIN steps through a program without running it, so SQLite does not see by the program that the schema is another one."""
    daemon = start_daemon()
    with daemon.connect() as client, daemon.connect() as other:
        other.query("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        options = {"session": client.session()} if where == "session" else {}
        for _ in range(20):
            for _ in range(2):
                shown = client.query("EXPLAIN DELETE FROM t WHERE b > 1", **options).rows
                assert {row[5] for row in shown if row[1] == "Delete"} == {"t"}
            other.query("DROP TABLE t")
            other.query("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
            # It reads the new schema, and gives back the old one.
            client.query("SELECT count(*) FROM t", **options)


@pytest.mark.parametrize("where", ["session", "pool"])
@pytest.mark.parametrize("statement", ["INSERT INTO t VALUES (1, 2)", "SELECT * FROM t JOIN kept ON a = c", "DELETE FROM kept"])
def test_a_program_is_shown_as_it_is_while_others_change_the_schema(start_daemon, directory, where, statement):
    """SQLite reads the schema anew, and gives back the names of the old one, as soon as it runs anything: here between two pages of the
    listing, and between preparing the statement and its first row."""
    path = directory / "named.db"
    daemon = start_daemon(directory=directory, databases={"named": f"sqlite:{path}"})
    with sqlite3.connect(path, isolation_level=None) as stranger, daemon.connect() as client, daemon.connect() as other:
        stranger.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        stranger.execute("CREATE TABLE kept(c)")
        stranger.execute("CREATE TRIGGER tr AFTER DELETE ON kept BEGIN INSERT INTO t VALUES (old.c, 1); UPDATE t SET b = 2; END")
        options = {"session": client.session(database="named")} if where == "session" else {"database": "named"}
        listed = None
        for round in range(40):
            id = client.send_query("EXPLAIN " + statement, page_rows=1, **options)
            if round % 2:
                # Whoever has its connection meanwhile sees that the schema has changed.
                stranger.execute(f"CREATE TABLE other{round}(x)")
                for _ in range(3):
                    other.query("SELECT count(*) FROM kept", database="named")
                    other.query("INSERT INTO kept SELECT 1 WHERE 0", database="named")
            rows = []
            while not (frame := client.receive_for(id)).terminal:
                rows += frame.data["rows"]
                client.send("fetch", {"request": id})
            assert frame.type != "error", frame
            rows += frame.data["rows"]
            shown = [tuple(row[1:]) for row in rows]
            listed = listed or shown
            # But for the number of the schema's version.
            assert [row for row in shown if row[0] != "Transaction"] == [row for row in listed if row[0] != "Transaction"]
            assert {"t", "kept"} & {row[4] for row in shown} or "SELECT" in statement
            stranger.execute(f"CREATE TABLE more{round}(x)")
