"""Databases by name, and what a statement must not leave in them for another."""

import shutil
import sqlite3

import pytest

from daemon import wait_until
from wire import RequestFailed


# Databases


def test_list_databases(client):
    databases = {entry["name"]: entry for entry in client.call("list_databases").data["databases"]}
    assert {"default", "second", "sealed"} <= set(databases)
    for entry in databases.values():
        assert {"name", "engine", "access", "default"} <= set(entry)
        assert entry["engine"] == "sqlite"
    assert [name for name, entry in databases.items() if entry["default"]] == ["default"]
    assert databases["second"]["access"] == "read_write"
    assert databases["sealed"]["access"] == "read_only"


def test_database_by_name(client, table):
    client.query(f"CREATE TABLE {table}(x)", database="second")
    assert client.query(f"SELECT count(*) FROM {table}", database="second").value == 0
    assert client.query_fails(f"SELECT count(*) FROM {table}")["code"] == "syntax_error"
    assert client.query_fails(f"SELECT count(*) FROM {table}", database="default")["code"] == "syntax_error"
    assert client.query("SELECT sum(x) FROM fixed", database="sealed").value == 6


def test_unknown_database(client):
    error = client.query_fails("SELECT 1", database="nowhere")
    assert error["code"] == "database_not_found"
    assert "nowhere" in error["message"]
    assert client.fails("describe", {"sql": "SELECT 1", "database": "nowhere"})["code"] == "database_not_found"
    assert client.fails("batch", {"statements": [{"sql": "SELECT 1"}], "database": "nowhere"})["code"] == "database_not_found"
    client.settle()


def test_session_and_database_together(client):
    session = client.session()
    assert client.query_fails("SELECT 1", session=session, database="default")["code"] == "bad_request"  # guess
    client.settle()


def test_default_database_is_a_durable_file(daemon, client, table):
    client.query(f"CREATE TABLE {table}(x)")
    path = daemon.directory / "state" / "default.db"
    assert path.is_file()
    assert path.stat().st_mode & 0o077 == 0, "a database is nobody else's to read"
    settings = {name: client.query(f"PRAGMA {name}").value for name in ("journal_mode", "synchronous", "foreign_keys")}
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    other = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert other.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", [table]).fetchone() == (1,)
    other.close()


def test_foreign_keys_are_enforced(client, table):
    client.query(f"CREATE TABLE {table}(x INTEGER PRIMARY KEY)")
    client.query(f"CREATE TABLE {table}_child(x REFERENCES {table})")
    error = client.query_fails(f"INSERT INTO {table}_child VALUES (1)")
    assert (error["code"], error["sqlstate"]) == ("constraint_violation", "23503")


@pytest.mark.parametrize("sql", ["SELECT load_extension('x')", "PRAGMA writable_schema=ON"])
def test_what_no_client_may_do(client, sql):
    """Extensions are never loaded, and the schema table is never writable."""
    try:
        client.query(sql)
    except RequestFailed:
        pass
    with pytest.raises(RequestFailed):
        client.query("SELECT load_extension('/usr/lib/x86_64-linux-gnu/libsqlite3.so.0')")
    with pytest.raises(RequestFailed):
        client.query("UPDATE sqlite_master SET sql = 'x'")
    client.settle()


# A setting made outside a session must not leak into anybody else's statement.


@pytest.mark.parametrize("pragma, value", [("foreign_keys", 0), ("synchronous", 0), ("case_sensitive_like", 1), ("query_only", 1),
                                           ("recursive_triggers", 1), ("journal_mode", "delete"), ("cache_size", 7)])
def test_settings_do_not_leak(daemon, client, pragma, value):
    """Refused or harmless: every later statement, here and elsewhere, runs with the daemon's own settings."""
    others = [client, *(daemon.connect() for _ in range(8))]
    read = {"case_sensitive_like": "SELECT 'a' LIKE 'A'"}.get(pragma, f"PRAGMA {pragma}")
    before = client.query(read).rows
    try:
        client.query(f"PRAGMA {pragma} = {value}")
    except RequestFailed:
        pass
    for other in others:
        for _ in range(3):
            assert other.query(read).rows == before
    client.query("CREATE TABLE IF NOT EXISTS still_writable(x)")


def test_temporary_tables_do_not_leak(daemon, client, table):
    try:
        client.query(f"CREATE TEMP TABLE {table}(x)")
    except RequestFailed:
        pass
    for other in (client, *(daemon.connect() for _ in range(8))):
        assert other.query_fails(f"SELECT * FROM {table}")["code"] == "syntax_error"


def test_a_file_that_cannot_be_opened_is_told_with_its_reason_and_told_once(start_daemon, directory):
    """Each request tries it anew; the log has it once, and again when it has been opened meanwhile or the reason is another one."""
    place = directory / "place"
    daemon = start_daemon("--database", f"gone=sqlite:{place}/a.db")

    def fails(reason):
        with daemon.connect() as client:
            for _ in range(3):
                error = client.query_fails("SELECT 1", database="gone")
                assert (error["code"], error["detail"]) == ("connect_failed", f"{reason}."), error
        return daemon.log().count(f"Database gone: {place}/a.db: The database file cannot be opened")

    assert fails("No such file or directory") == 1
    place.write_text("")
    assert fails("Not a directory") == 2
    place.unlink()
    place.mkdir()
    with daemon.connect() as client:
        client.query("CREATE TABLE t(x)", database="gone")
    shutil.rmtree(place)

    def is_noticed():
        with daemon.connect() as client:
            try:
                client.query("SELECT 1", database="gone")
            except RequestFailed as error:
                return error.code == "connect_failed"

    wait_until(is_noticed, "it is noticed that the file is gone")
    assert fails("No such file or directory") == 3


def test_a_file_that_cannot_be_made_is_told_with_that_reason(start_daemon, directory, as_user):
    """SQLite's own reason is that there is no such file, since it tries again, to read it."""
    place = directory / "another-users"
    place.mkdir(mode=0o755 if as_user else 0o555)
    daemon = start_daemon("--database", f"denied=sqlite:{place}/a.db", "--database", f"gone=sqlite:{directory}/gone/a.db",
                          directory=directory, prefix=as_user)
    with daemon.connect() as client:
        for sql in ("SELECT 1", "CREATE TABLE t(x)"):
            error = client.query_fails(sql, database="denied")
            assert (error["code"], error["detail"]) == ("connect_failed", "Permission denied."), error
            assert "daemon's user" in error["hint"], error
            error = client.query_fails(sql, database="gone")
            assert error["detail"] == "No such file or directory." and "directory is there" in error["hint"], error
