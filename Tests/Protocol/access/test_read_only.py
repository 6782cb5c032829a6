"""Reading only, and the ways around it."""

import os
import sqlite3

import pytest

from daemon import count
from wire import RequestFailed


# Read-only

WRITES = [
    "INSERT INTO {t} VALUES (9, 'z')", "UPDATE {t} SET y = 'z'", "DELETE FROM {t}", "REPLACE INTO {t} VALUES (1, 'z')",
    "INSERT INTO {t} VALUES (9, 'z') RETURNING x", "CREATE TABLE {t}_new(x)", "DROP TABLE {t}", "ALTER TABLE {t} ADD COLUMN z",
    "ALTER TABLE {t} RENAME TO {t}_gone", "CREATE INDEX {t}_i ON {t}(y)", "CREATE VIEW {t}_v AS SELECT 1",
    "CREATE TRIGGER {t}_tr AFTER INSERT ON {t} BEGIN DELETE FROM {t}; END", "CREATE VIRTUAL TABLE {t}_f USING fts5(x)",
    "WITH w AS (SELECT 9 AS x) INSERT INTO {t} SELECT x, 'z' FROM w", "WITH w AS (SELECT 1 AS x) DELETE FROM {t} WHERE x IN w",
    "WITH w AS (SELECT 1 AS x) UPDATE {t} SET y = 'z' WHERE x IN w", "/* SELECT */ DELETE FROM {t}", "explain_me: DELETE FROM {t}",
]

# Ways around, each followed by a write that must still fail.
AROUND = [
    ["PRAGMA query_only = 0"], ["PRAGMA query_only(0)"], ["PRAGMA main.query_only = OFF"], ["BEGIN IMMEDIATE"], ["BEGIN EXCLUSIVE"],
    ["PRAGMA writable_schema = 1", "UPDATE sqlite_master SET sql = NULL"], ["PRAGMA writable_schema = RESET"],
    ["CREATE TEMP TRIGGER around AFTER INSERT ON {t} BEGIN DELETE FROM {t}; END"],
    ["CREATE TEMP TABLE mine(x)", "CREATE TEMP TRIGGER around AFTER INSERT ON mine BEGIN DELETE FROM main.{t}; END",
     "INSERT INTO mine VALUES (1)"],
    ["CREATE TEMP VIEW v AS SELECT * FROM {t}", "CREATE TEMP TRIGGER around INSTEAD OF DELETE ON v BEGIN DELETE FROM main.{t}; END",
     "DELETE FROM v"],
    ["PRAGMA user_version = 7"], ["PRAGMA application_id = 7"], ["PRAGMA journal_mode = DELETE"], ["PRAGMA journal_mode = OFF"],
    ["PRAGMA wal_checkpoint(TRUNCATE)"], ["PRAGMA incremental_vacuum"], ["PRAGMA auto_vacuum = 1", "VACUUM"], ["PRAGMA page_size = 512"],
    ["PRAGMA encoding = 'UTF-16'"], ["PRAGMA optimize"], ["PRAGMA schema_version = 99"], ["PRAGMA locking_mode = EXCLUSIVE"],
    ["ANALYZE"], ["REINDEX"], ["VACUUM"],
    ["ATTACH 'file:{path}?mode=rw' AS again", "DELETE FROM again.{t}"], ["ATTACH '{path}' AS again", "DELETE FROM again.{t}"],
    ["SAVEPOINT s", "PRAGMA query_only = 0", "DELETE FROM {t}", "RELEASE s"],
    ["EXPLAIN DELETE FROM {t}"], ["EXPLAIN QUERY PLAN DELETE FROM {t}"],
    ["SELECT writefile('{directory}/written', 'x')"], ["SELECT edit('x')"], ["SELECT fts3_tokenizer('simple', x'00')"],
]

NEW_FILES = ["ATTACH '{directory}/new.db' AS new", "ATTACH 'file:{directory}/new.db?mode=rwc' AS new", "VACUUM INTO '{directory}/copy.db'",
             "VACUUM main INTO 'file:{directory}/copy.db?mode=rwc'"]


@pytest.fixture(params=["asked for", "by its URL"])
def sealed(request, client, directory):
    """A read-only session on a file with two rows: (session, what stands for {t}, {path} and {directory})."""
    path = directory / "sealed.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t(x INTEGER PRIMARY KEY, y)")
        database.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        database.execute("PRAGMA user_version = 3")
    database.close()
    if request.param == "asked for":
        data = client.call("db_connect", {"url": f"sqlite:{path}", "read_only": True}).data
    else:
        data = client.call("db_connect", {"url": f"sqlite:{path}?mode=ro"}).data
    assert data["read_only"] is True
    return data["session"], {"t": "t", "path": path, "directory": directory}


def content(path):
    """What a database file holds, by another process's eyes."""
    with sqlite3.connect(path, isolation_level=None) as database:
        schema = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        rows = database.execute("SELECT * FROM t ORDER BY x").fetchall()
        settings = [database.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("user_version", "application_id", "journal_mode", "schema_version", "page_size")]
    database.close()
    return schema, rows, settings


def test_read_only_session_reads(client, sealed):
    session, _ = sealed
    assert client.query("SELECT * FROM t ORDER BY x", session=session).rows == [[1, "a"], [2, "b"]]
    client.query("BEGIN", session=session)
    assert client.query("SELECT count(*) FROM t", session=session).transaction == "active"
    client.query("COMMIT", session=session)


def test_read_only_session_writes_nothing(client, sealed):
    session, names = sealed
    before = content(names["path"])
    for sql in WRITES:
        error = client.query_fails(sql.format(**names), session=session)
        expected = "syntax_error" if sql.startswith("explain_me") else "read_only"
        assert error["code"] == expected, sql
        assert expected != "read_only" or error["sqlstate"] == "25006", sql
    assert content(names["path"]) == before


@pytest.mark.parametrize("attempt", AROUND, ids=lambda value: "; ".join(value)[:60])
def test_nothing_gets_around_read_only(client, sealed, attempt):
    session, names = sealed
    before = content(names["path"])
    for sql in attempt:
        try:
            client.query(sql.format(**names), session=session)
        except RequestFailed:
            pass
    assert client.query_fails("INSERT INTO t VALUES (9, 'z')", session=session)["code"] == "read_only"
    try:
        client.query("COMMIT", session=session)
    except RequestFailed:
        pass
    assert client.query("SELECT count(*) FROM t", session=session).value == 2
    client.call("db_disconnect", {"session": session})
    assert content(names["path"]) == before
    assert not (names["directory"] / "written").exists()


@pytest.mark.parametrize("sql", NEW_FILES)
def test_read_only_session_makes_no_file(client, sealed, sql):
    session, names = sealed
    before = set(os.listdir(names["directory"]))
    try:
        client.query(sql.format(**names), session=session)
        client.query("CREATE TABLE new.t(x)", session=session)
    except RequestFailed:
        pass
    new = set(os.listdir(names["directory"])) - before
    assert not {name for name in new if name.startswith(("new", "copy"))}


def test_read_only_batch(client, sealed):
    session, names = sealed
    error = client.fails("batch", {"session": session, "statements": [{"sql": "SELECT 1"}, {"sql": "DELETE FROM t"}]})
    assert (error["code"], error["statement_index"]) == ("read_only", 1)
    assert len(content(names["path"])[1]) == 2


def test_read_only_database_without_a_session(client):
    for sql in ("INSERT INTO fixed VALUES (4)", "DROP TABLE fixed", "CREATE TABLE more(x)", "WITH w AS (SELECT 1) DELETE FROM fixed"):
        assert client.query_fails(sql, database="sealed")["code"] == "read_only"
    assert client.query("SELECT count(*) FROM fixed", database="sealed").value == 3
    session = client.call("db_connect", {"database": "sealed"})
    assert session.data["read_only"] is True
    assert client.query_fails("DELETE FROM fixed", session=session.data["session"])["code"] == "read_only"


def test_a_database_sealed_by_its_url_cannot_be_opened_for_writing(client):
    reply = client.send("db_connect", {"database": "sealed", "read_only": False})
    try:
        data = client.answer(reply).data
        assert data["read_only"] is True  # guess: either so, or an error
    except RequestFailed as failure:
        assert failure.code in ("read_only", "permission_denied")


def test_read_only_session_beside_a_writer(client, filled):
    session = client.session(database="default", read_only=True)
    assert count(client, filled, session=session) == 2
    client.query(f"INSERT INTO {filled} VALUES (3, 'c')")
    assert count(client, filled, session=session) == 3
    assert client.query_fails(f"DELETE FROM {filled}", session=session)["code"] == "read_only"
    client.call("db_disconnect", {"session": session})
    writer = client.session(database="default")
    assert client.query(f"DELETE FROM {filled}", session=writer).last["rows_affected"] == 3, "read-only does not stick to a pooled link"


def test_attach_of_another_users_file_or_none(client, session, directory):
    """ATTACH only where the caller may open; a caller may open files of its own. Never a crash, never a leak to others."""
    other = directory / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE foreign_table(x)")
    database.close()
    try:
        client.query(f"ATTACH '{other}' AS other", session=session)
        assert client.query("SELECT count(*) FROM other.foreign_table", session=session).value == 0
    except RequestFailed as failure:
        assert failure.code in ("permission_denied", "database_error")
    assert client.query_fails("SELECT * FROM other.foreign_table")["code"] == "syntax_error"
    assert client.query_fails("SELECT * FROM foreign_table", session=client.session())["code"] == "syntax_error"
