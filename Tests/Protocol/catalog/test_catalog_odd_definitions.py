"""Definitions of SQLite's tables of which a catalog has to say the same as `PRAGMA table_xinfo`, and such as are long."""

import sqlite3

import pytest

# SQLite takes "always" out of a type of 16 bytes or more, whatever stands in front of it (sqlite3AddColumn in src/build.c).
DEFINITIONS = [
    "CREATE TABLE t(a some_long_type_x always, b INT)",
    "CREATE TABLE t(a verylongtypenamealways)",
    "CREATE TABLE t(a notgenerated always)",
    "CREATE TABLE t(a INTEGER         always PRIMARY KEY)",
    # This is no row number: SQLite keeps it so.
    "CREATE TABLE t(a INTEGER PRIMARY KEY DESC, b)",
]


def made(path, definition):
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute(definition)
    file.close()
    return sqlite3.connect(path)


def columns(client, database):
    request = client.send("catalog", {"database": database, "level": "columns"})
    rows = []
    while True:
        reply = client.receive_for(request)
        assert reply.type == "catalog_response", reply
        rows += reply.data["rows"]
        if reply.terminal:
            return rows


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_catalog_says_what_the_pragma_says(start_daemon, tmp_path, definition):
    file = made(tmp_path / "odd.db", definition)
    daemon = start_daemon(databases={"odd": f"sqlite:{tmp_path}/odd.db"})
    with daemon.connect() as client:
        found = columns(client, "odd")
    assert [(row[2], row[4]) for row in found] == file.execute("SELECT name, nullif(type, '') FROM pragma_table_xinfo('t')").fetchall()
    # A key that is the row number has no index.
    keys = file.execute("SELECT count(*) FROM pragma_table_xinfo('t') WHERE pk").fetchone()[0]
    indexes = file.execute("SELECT count(*) FROM pragma_index_list('t') WHERE origin = 'pk'").fetchone()[0]
    assert bool([row for row in found if row[8]]) == (keys == 1 and indexes == 0)
    file.close()
    daemon.close_clients()


@pytest.mark.parametrize("count", [1, 60])
def test_a_long_definition_of_another_program_is_no_damage(start_daemon, tmp_path, count):
    """Either it is read, or the error says what is too long, and how long it may be."""
    file = made(tmp_path / "long.db", "CREATE TABLE t(a)")
    for number in range(count):
        file.execute(f"CREATE VIEW v{number} AS SELECT '{'x' * 900_000}' AS a")
    file.commit()
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    file.close()
    daemon = start_daemon(databases={"long": f"sqlite:{tmp_path}/long.db"})
    with daemon.connect() as client:
        request = client.send("query", {"sql": "SELECT count(*) FROM t", "database": "long"})
        reply = client.receive_for(request)
        said = str(reply.data)
        assert reply.type != "error" or ("262144" in said and "damaged" not in said and "row_bytes_max" not in said), said
    daemon.close_clients()
