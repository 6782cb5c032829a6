"""Strings in double quotes: files whose schema has them work as for sqlite3, and clients may be forbidden to write them."""

import sqlite3

import pytest

SCHEMA = """
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT DEFAULT "none", state TEXT CHECK (state IN ("new", "old")), made TEXT,
    label TEXT GENERATED ALWAYS AS (name || "!") STORED);
CREATE INDEX item_new ON item(name) WHERE state = "new";
CREATE INDEX item_upper ON item(coalesce(name, "nobody"));
CREATE VIEW seen AS SELECT id, name || " is " || state AS said, strftime("%Y", made) AS year FROM item;
CREATE TRIGGER made AFTER INSERT ON item BEGIN UPDATE item SET made = datetime("now") WHERE id = new.id; END;
CREATE TRIGGER aged BEFORE UPDATE OF state ON item WHEN new.state = "lost" BEGIN SELECT RAISE(ABORT, "never lost"); END;
INSERT INTO item(id, name, state) VALUES (1, 'one', 'new');
"""
QUERIES = ["SELECT id, name, state, label, made IS NOT NULL FROM item ORDER BY id", "SELECT id, said, length(year) FROM seen ORDER BY id"]


def answers(path):
    with sqlite3.connect(path) as connection:
        return [[list(row) for row in connection.execute(sql)] for sql in QUERIES]


@pytest.fixture
def daemon_of(directory, start_daemon):
    def start(setting=""):
        path = directory / "old.db"
        with sqlite3.connect(path) as connection:
            connection.executescript(SCHEMA)
        config = directory / "old.toml"
        config.write_text(f'[databases.default]\nurl = "sqlite:{path}"\n{setting}\n')
        return start_daemon("--config", config), path
    return start


@pytest.mark.parametrize("setting", ["", "double_quoted_strings = true", "double_quoted_strings = false"])
@pytest.mark.parametrize("in_session", [False, True])
def test_a_schema_works_as_for_sqlite3(daemon_of, setting, in_session):
    daemon, path = daemon_of(setting)
    client = daemon.connect()
    options = {"session": client.session()} if in_session else {}
    client.query("INSERT INTO item(id, name, state) VALUES (2, 'two', 'old')", **options)
    client.query("UPDATE item SET state = 'old' WHERE id = 1", **options)
    assert client.query_fails("UPDATE item SET state = 'lost'", **options)["code"] == "constraint_violation"
    assert client.query_fails("INSERT INTO item(state) VALUES ('none')", **options)["sqlstate"] == "23514"
    assert [client.query(sql, **options).rows for sql in QUERIES] == answers(path)
    assert client.query("SELECT name FROM item WHERE state = 'new' AND name = 'one'", **options).rows == []
    client.query("VACUUM", **options)
    client.query("REINDEX", **options)
    session = client.session()
    client.query("ALTER TABLE item RENAME COLUMN name TO title", session=session)
    client.query("ALTER TABLE item RENAME COLUMN title TO name", session=session)
    assert client.query("PRAGMA integrity_check", **options).value == "ok"
    assert [client.query(sql, **options).rows for sql in QUERIES] == answers(path)


def test_clients_may_write_them(daemon_of):
    client = daemon_of()[0].connect()
    assert client.query('SELECT "no column"').value == "no column"
    client.query('INSERT INTO item(id, name, state) VALUES (7, "seven", "new")')
    client.query('CREATE INDEX third ON item(name) WHERE state = "old"')
    assert client.query("SELECT name FROM item WHERE id = 7").value == "seven"


NEW = ['SELECT "nope"', 'SELECT name FROM item WHERE state = "new"', 'INSERT INTO item(name, state) VALUES ("x", \'new\')',
       'UPDATE item SET name = "x"', 'DELETE FROM item WHERE name = "x"', 'SELECT datetime("now")', 'CREATE TABLE u(a CHECK (a <> "x"))',
       'CREATE INDEX u ON item("nope")', 'CREATE INDEX u ON item(name) WHERE state = "new"', "SELECT '\"', \"nope\"",
       '/* "id" */ SELECT "nope" -- "id"', 'SELECT "a""b"', "SELECT \"a`b\"", 'WITH c AS (SELECT "nope") SELECT * FROM c']


@pytest.mark.parametrize("sql", NEW)
def test_they_can_be_forbidden(daemon_of, sql):
    daemon, path = daemon_of("double_quoted_strings = false")
    client = daemon.connect()
    before = answers(path)
    for options in ({}, {"session": client.session()}):
        for _ in range(2):
            error = client.query_fails(sql, **options)
            assert (error["code"], error["sqlstate"]) == ("syntax_error", "42703"), error
            assert "double_quoted_strings" in error["hint"], error
    assert answers(path) == before


def test_names_in_double_quotes_stay_names(daemon_of):
    client = daemon_of("double_quoted_strings = false")[0].connect()
    for options in ({}, {"session": client.session()}):
        client.query('DROP TABLE IF EXISTS "a ""table"""', **options)
        client.query('CREATE TABLE "a ""table"""("a`b" INTEGER PRIMARY KEY, "it\'s" TEXT)', **options)
        client.query('INSERT INTO "a ""table"""("a`b", "it\'s") VALUES (?, \'"text"\')', [1], **options)
        reply = client.query('SELECT "a`b", "it\'s" AS "x" FROM "a ""table""" WHERE [it\'s] = \'"text"\' /* "y" */', **options)
        assert reply.rows == [[1, '"text"']] and [column["name"] for column in reply.columns] == ["a`b", "x"]
        sql = client.query("SELECT sql FROM sqlite_schema WHERE name = 'a \"table\"'", **options).value
        assert sql == 'CREATE TABLE "a ""table"""("a`b" INTEGER PRIMARY KEY, "it\'s" TEXT)'


# PRAGMAs that change nothing

IN_FORCE = [("PRAGMA journal_mode=WAL", "wal"), ("PRAGMA journal_mode = 'wal'", "wal"), ("PRAGMA synchronous=FULL", 2),
            ("PRAGMA synchronous = 2", 2), ("PRAGMA main.synchronous = full", 2), ("PRAGMA writable_schema=OFF", 0),
            ("PRAGMA trusted_schema = no", 0), ("PRAGMA locking_mode=NORMAL", "normal"), ("PRAGMA page_size=4096", 4096)]
REFUSED = ["PRAGMA journal_mode=DELETE", "PRAGMA synchronous=OFF", "PRAGMA synchronous = NORMAL", "PRAGMA writable_schema=ON",
           "PRAGMA trusted_schema=1", "PRAGMA locking_mode=EXCLUSIVE", "PRAGMA page_size=512", "PRAGMA temp.journal_mode=DELETE",
           "PRAGMA mmap_size=1000000", "PRAGMA hexkey='00'"]


@pytest.mark.parametrize("sql, value", IN_FORCE)
def test_a_pragma_that_changes_nothing_answers(daemon_of, sql, value):
    client = daemon_of()[0].connect()
    for options in ({}, {"session": client.session()}):
        for _ in range(2):
            assert client.query(sql, **options).rows == [[value]]
        error = client.query_fails(sql + "; SELECT 1", **options)
        assert error["code"] == "bad_request", error


@pytest.mark.parametrize("sql", REFUSED)
def test_one_that_would_change_something_is_refused(daemon_of, sql):
    client = daemon_of()[0].connect()
    for options in ({}, {"session": client.session()}):
        for _ in range(2):
            assert client.query_fails(sql, **options)["code"] == "permission_denied"
        assert client.query("PRAGMA journal_mode", **options).value == "wal"
        assert client.query("PRAGMA writable_schema", **options).value == 0
