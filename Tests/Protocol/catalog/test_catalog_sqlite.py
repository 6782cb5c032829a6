"""`catalog` of SQLite: every level equals what sqlite3 itself says, whatever is in the schema, and holds until the schema changes."""

import shutil
import sqlite3
import time

import pytest

from daemon import Daemon, short_directory
from wire import RequestFailed

SCHEMA = '''
CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, born DATE DEFAULT '1900-01-01');
CREATE TABLE book(series INT, number INT, title TEXT COLLATE NOCASE, author INTEGER NOT NULL REFERENCES Author ON DELETE CASCADE,
    upper_title TEXT AS (upper(title)) VIRTUAL, kept TEXT AS (title) STORED, PRIMARY KEY(series, number)) STRICT, WITHOUT ROWID;
CREATE TABLE page(id INTEGER PRIMARY KEY AUTOINCREMENT, s INT, n INT,
    FOREIGN KEY(s, n) REFERENCES book(series, number) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED, UNIQUE(s, n));
CREATE INDEX by_title ON book(title DESC, lower(kept)) WHERE title IS NOT NULL /* ) */;
CREATE UNIQUE INDEX once ON page(s);
CREATE TRIGGER "before" AFTER UPDATE OF name ON AUTHOR BEGIN SELECT 1; END;
CREATE TRIGGER plain DELETE ON page BEGIN SELECT 1; END;
CREATE VIEW titles AS SELECT title, author FROM book;
CREATE TRIGGER instead INSTEAD OF INSERT ON titles BEGIN SELECT 1; END;
CREATE VIEW broken AS SELECT * FROM nowhere;
CREATE VIEW endless AS SELECT * FROM titles JOIN broken;
CREATE VIRTUAL TABLE words USING fts5(word, tokenize = 'porter');
CREATE TABLE "odd ""name"" ' ;"("a ""b""" TEXT, "select");
CREATE TABLE /* STRICT ) */ "plain"(x CHECK (x <> ')') -- WITHOUT ROWID
);
'''


@pytest.fixture(scope="module")
def library():
    """A daemon with the schema above, and a connection of sqlite3's own to the file."""
    directory = short_directory()
    path = directory / "library.db"
    with sqlite3.connect(path) as own:
        own.executescript(SCHEMA)
    instance = Daemon(directory=directory, databases={"library": f"sqlite:{path}"})
    try:
        yield instance, own
        instance.finish()
    finally:
        own.close()
        instance.discard()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def ask(library, mode):
    """Asks for a level; the rows are dicts."""
    with library[0].connect(mode) as client:
        yield lambda level, **options: rows_of(client, level, **{"database": "library", **options})
        client.settle()


def collect(client, level, **options):
    id, frames = client.send("catalog", {"level": level, **options}), []
    while not frames or not frames[-1].terminal:
        frames.append(client.receive_for(id))
        if frames[-1].type == "error":
            raise RequestFailed(frames[-1].data)
        assert frames[-1].type == "catalog_response"
    return frames


def rows_of(client, level, **options):
    frames = collect(client, level, **options)
    names = [column["name"] for column in frames[0].data["columns"]]
    return [dict(zip(names, row, strict=True)) for frame in frames for row in frame.data["rows"]]


def pragma(own, name, *arguments):
    """The rows of a PRAGMA, as dicts."""
    cursor = own.execute(f"SELECT * FROM pragma_{name}({', '.join('?' * len(arguments))})", arguments)
    return [dict(zip([column[0] for column in cursor.description], row, strict=True)) for row in cursor]


def tables_of(own, *types):
    marks = ", ".join("?" * len(types))
    names = [name for name, in own.execute(f"SELECT name FROM sqlite_schema WHERE type IN ({marks}) AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'", types)]
    return sorted((name for name in names), key=lambda name: (name.lower(), name))


def test_namespaces(ask):
    assert ask("namespaces") == [{"name": "main", "default": True, "owner": None, "comment": None, "extra": None}]


def test_relations_are_all_there_in_order_and_broken_ones_say_why(ask, library):
    found = ask("relations")
    assert [row["name"] for row in found] == tables_of(library[1], "table", "view")
    kinds = {row["name"]: row["kind"] for row in found}
    assert (kinds["book"], kinds["titles"], kinds["words"], kinds["words_data"]) == ("table", "view", "virtual_table", "table")
    extra = {row["name"]: row["extra"] for row in found}
    assert extra["book"] == {"strict": True, "without_rowid": True}
    assert extra["author"] is None and extra["plain"] is None
    assert extra["broken"] == {"broken": True, "reason": "no such table: main.nowhere"}
    assert extra["endless"]["broken"] is True
    listed = {row["name"]: row for row in pragma(library[1], "table_list") if row["schema"] == "main"}
    for row in found:
        assert bool((row["extra"] or {}).get("strict")) == bool(listed[row["name"]]["strict"]), row
        if row["kind"] == "table":
            assert bool((row["extra"] or {}).get("without_rowid")) == bool(listed[row["name"]]["wr"]), row


def test_columns_equal_those_of_table_xinfo(ask, library):
    found = {}
    for row in ask("columns"):
        found.setdefault(row["relation"], []).append(row)
    for name in tables_of(library[1], "table", "view"):
        if name in ("broken", "endless"):
            assert name not in found
            continue
        expected = pragma(library[1], "table_xinfo", name)
        assert [(row["name"], row["position"], row["type"] or "", row["nullable"], row["default"], row["key_position"] or 0, row["hidden"],
                 {"virtual": 2, "stored": 3}.get(row["generated"], 0)) for row in found[name]] == \
            [(row["name"], row["cid"] + 1, row["type"], not row["notnull"], row["dflt_value"], row["pk"], row["hidden"] == 1,
              row["hidden"] if row["hidden"] > 1 else 0) for row in expected], name
    identities = {(row["relation"], row["name"]): row["identity"] for rows in found.values() for row in rows if row["identity"]}
    assert identities[("author", "id")] == "rowid" and identities[("page", "id")] == "auto_increment"
    assert not any(relation == "book" for relation, _ in identities)


def test_keys_foreign_keys_and_indexes_equal_those_of_pragmas(ask, library):
    own = library[1]
    keys = {(row["relation"], row["kind"], tuple(row["columns"])) for row in ask("keys")}
    references = [(row["relation"], tuple(row["columns"]), row["target_relation"].lower(), tuple(row["target_columns"]), row["on_update"],
                   row["on_delete"]) for row in ask("foreign_keys")]
    indexes = {(row["relation"], row["name"]): (row["unique"], row["columns"]) for row in ask("indexes")}
    for name in tables_of(own, "table"):
        if own.execute("SELECT rootpage = 0 FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]:
            continue
        primary = sorted((row["pk"], row["name"]) for row in pragma(own, "table_xinfo", name) if row["pk"])
        assert {columns for relation, kind, columns in keys if (relation, kind) == (name, "primary")} == \
            ({tuple(column for _, column in primary)} if primary else set())
        unique = set()
        for index in pragma(own, "index_list", name):
            columns = [row["name"] for row in pragma(own, "index_info", index["name"])]
            if index["origin"] == "u":
                unique.add(tuple(columns))
            if own.execute("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?", (index["name"],)).fetchone():
                assert indexes[(name, index["name"])] == (bool(index["unique"]), columns)
        assert {columns for relation, kind, columns in keys if (relation, kind) == (name, "unique")} == unique
    assert sorted(references) == [("book", ("author",), "author", ("id",), "NO ACTION", "CASCADE"),
                                  ("page", ("s", "n"), "book", ("series", "number"), "SET NULL", "NO ACTION")]
    by_title, = (row for row in ask("indexes", relation="book") if row["name"] == "by_title")
    assert by_title["predicate"] == "title IS NOT NULL /* ) */" and by_title["columns"] == ["title", None]
    assert by_title["extra"] == {"descending": True}


def test_triggers(ask):
    assert {(row["relation"], row["name"]): (row["timing"], row["events"]) for row in ask("triggers")} == {
        ("author", "before"): ("AFTER", ["UPDATE"]), ("page", "plain"): ("BEFORE", ["DELETE"]), ("titles", "instead"): ("INSTEAD OF", ["INSERT"])}


def test_what_sqlite_has_not_is_empty(ask):
    assert ask("routines") == [] and ask("types") == []


def test_definitions_come_only_when_they_are_wanted(ask, library):
    assert "definition" not in ask("relations")[0]
    for level, types in (("relations", ("table", "view")), ("triggers", ("trigger",)), ("indexes", ("index",))):
        own = dict(library[1].execute(f"SELECT name, sql FROM sqlite_schema WHERE type IN ({', '.join('?' * len(types))})", types))
        found = {row["name"]: row["definition"] for row in ask(level, definitions=True)}
        assert found and found == {name: own[name] for name in found}


def test_exact_names_narrow(ask):
    assert [row["name"] for row in ask("columns", relation="author")] == ["id", "name", "born"]
    assert [row["name"] for row in ask("columns", namespace="MAIN", relation="AUTHOR")] == ["id", "name", "born"]
    assert ask("columns", relation="nothing") == [] and ask("relations", namespace="elsewhere") == []


def test_the_best_matches_come_first(ask):
    found = [row["name"] for row in ask("relations", match="W")]
    assert found[0] == "words" and set(found) >= {"words_data", "words_idx"}
    assert [row["name"] for row in ask("relations", match="wd", max_rows=1)] == ["words_data"]  # its words begin so
    assert [row["name"] for row in ask("relations", match="t", kinds=["view"])][0] == "titles"
    assert {row["relation"] for row in ask("columns", kinds=["view"])} == {"titles"}
    assert {row["kind"] for row in ask("keys", kinds=["unique"])} == {"unique"}


def test_pages_and_a_cancel(library, mode):
    with library[0].connect(mode) as client:
        whole = [row["name"] for row in rows_of(client, "columns", database="library")]
        id, seen = client.send("catalog", {"level": "columns", "database": "library", "page_rows": 4}), []
        while True:
            reply = client.receive_for(id)
            seen += [row[2] for row in reply.data["rows"]]
            if reply.terminal:
                break
            assert len(reply.data["rows"]) == 4
            client.send("fetch", {"request": id})
        assert seen == whole and reply.data["row_count"] == len(whole)
        id = client.send("catalog", {"level": "columns", "database": "library", "page_rows": 4})
        client.receive_for(id)
        assert client.call("cancel", {"request": id}).data["cancelled"] is True
        assert client.receive_for(id).data["code"] == "cancelled"
        last = collect(client, "columns", database="library", max_rows=3)[-1].data
        assert last["row_count"] == 3 and last["truncated"] is True
        client.settle()


# Whether it holds


def test_an_etag_holds_until_the_schema_changes(daemon, mode, table):
    with daemon.connect(mode) as client:
        client.query(f"CREATE TABLE {table}(a)")
        etag = collect(client, "relations")[-1].data["etag"]
        same = collect(client, "columns", etag=etag)
        assert same[0].data["unchanged"] is True and "rows" not in same[0].data and same[0].data["etag"] == etag
        client.query(f"INSERT INTO {table} VALUES (1)")
        assert collect(client, "columns", etag=etag)[0].data["unchanged"] is True
        assert collect(client, "columns", etag=etag, refresh=True)[0].data["unchanged"] is True  # read again, and the same
        client.query(f"ALTER TABLE {table} ADD COLUMN b")
        changed = collect(client, "columns", etag=etag, relation=table)
        assert [row[2] for row in changed[0].data["rows"]] == ["a", "b"] and changed[0].data["etag"] != etag
        client.settle()


def test_own_ddl_is_seen_by_whoever_asks_after_its_reply(daemon, table):
    with daemon.connect() as first, daemon.connect() as second:
        for number in range(20):
            first.query(f"CREATE TABLE {table}_{number}(a)")
            assert len(rows_of(second, "relations", match=f"{table}_")) == number + 1


def test_another_programs_ddl_is_seen_at_the_next_request(start_daemon, directory):
    path = directory / "shared.db"
    daemon = start_daemon(databases={"shared": f"sqlite:{path}"}, directory=directory)
    with daemon.connect() as client, sqlite3.connect(path) as other:
        client.query("CREATE TABLE here(a)", database="shared")
        assert [row["name"] for row in rows_of(client, "relations", database="shared")] == ["here"]
        other.execute("CREATE TABLE there(b)")
        other.commit()
        assert [row["name"] for row in rows_of(client, "relations", database="shared")] == ["here", "there"]
    other.close()


def test_a_file_that_was_replaced_is_another_catalog(start_daemon, directory):
    """With the same number of its schema."""
    path, new = directory / "one.db", directory / "new.db"
    for file, name in ((path, "former"), (new, "latter")):
        with sqlite3.connect(file) as own:
            own.execute(f"CREATE TABLE {name}(a)")
        own.close()
    daemon = start_daemon(databases={"one": f"sqlite:{path}"}, directory=directory)
    with daemon.connect() as client:
        assert [row["name"] for row in rows_of(client, "relations", database="one")] == ["former"]
        new.rename(path)
        deadline = time.monotonic() + 10
        while (seen := [row["name"] for row in rows_of(client, "relations", database="one")]) == ["former"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert seen == ["latter"]


# Sessions


def test_a_session_sees_its_temporary_and_attached_tables(daemon, client, table):
    client.query(f"CREATE TABLE {table}(a)")
    session = client.session()
    client.query(f"CREATE TEMP TABLE tmp_{table}(x)", session=session)
    client.query(f"CREATE TEMP TRIGGER tr_{table} AFTER INSERT ON main.{table} BEGIN SELECT 1; END", session=session)
    client.query("ATTACH ':memory:' AS \"o'\"\"x\"", session=session)
    client.query("CREATE TABLE \"o'\"\"x\".far(y)", session=session)
    names = [row["name"] for row in rows_of(client, "namespaces", session=session)]
    assert sorted(names) == ["main", "o'\"x", "temp"]
    found = {(row["namespace"], row["name"]) for row in rows_of(client, "relations", session=session)}
    assert {("main", table), ("temp", f"tmp_{table}"), ("o'\"x", "far")} <= found
    assert [row["name"] for row in rows_of(client, "columns", session=session, namespace="o'\"x")] == ["y"]
    assert (table, f"tr_{table}") in {(row["relation"], row["name"]) for row in rows_of(client, "triggers", session=session)}
    assert f"tmp_{table}" not in {row["name"] for row in rows_of(client, "relations")}
    client.query(f"DROP TABLE tmp_{table}", session=session)
    assert f"tmp_{table}" not in {row["name"] for row in rows_of(client, "relations", session=session)}
    client.call("db_disconnect", {"session": session})


@pytest.mark.parametrize("sensitive", [False, True])
def test_words_of_definitions_are_found_whatever_their_case(client, table, sensitive):
    """LIKE heeds case where the session says so; `_` of a name is no wildcard."""
    session = client.session()
    if sensitive:
        client.query("PRAGMA case_sensitive_like = ON", session=session)
    client.query(f"create table {table}(id integer primary key aUtoincrement)", session=session)
    client.query(f"create table {table}_less(id integer primary key) without rowid", session=session)
    client.query(f"create table {table}_child(id integer primary key, other int references {table}(id))", session=session)
    client.query(f"create table sqliteX{table}(a)", session=session)
    columns = {row["relation"]: row["identity"] for row in rows_of(client, "columns", session=session) if row["name"] == "id"}
    assert [columns[name] for name in (table, f"{table}_less", f"{table}_child")] == ["auto_increment", None, "rowid"]
    [key] = rows_of(client, "foreign_keys", session=session, relation=f"{table}_child")
    assert (key["columns"], key["target_relation"], key["target_columns"]) == (["other"], table, ["id"])
    names = {row["name"] for row in rows_of(client, "relations", session=session)}
    assert f"sqliteX{table}" in names and "sqlite_sequence" not in names
    for name in (f"{table}_child", f"{table}_less", table, f"sqliteX{table}"):
        client.query(f"DROP TABLE {name}", session=session)
    client.call("db_disconnect", {"session": session})


def test_a_transaction_sees_what_it_has_done_and_nobody_else_does(client, table):
    session = client.session()
    client.query("BEGIN", session=session)
    client.query(f"CREATE TABLE {table}(a)", session=session)
    last = collect(client, "relations", session=session, relation=table)[-1].data
    assert last["transaction"] == "active" and [row[1] for row in last["rows"]] == [table]
    assert rows_of(client, "relations", relation=table) == []
    client.query("ROLLBACK", session=session)
    assert rows_of(client, "relations", session=session, relation=table) == []
    client.query(f"CREATE TABLE {table}_other(a)")  # the schema's number is that of the transaction which was undone
    assert [row["name"] for row in rows_of(client, "relations", session=session, relation=f"{table}_other")] == [f"{table}_other"]


# What is refused


@pytest.mark.parametrize("data, part", [
    ({}, "level"), ({"level": "chairs"}, "level"), ({"level": "relations", "kinds": ["chair"]}, "kinds"),
    ({"level": "relations", "kinds": "table"}, "kinds"), ({"level": "relations", "max_rows": 0}, "max_rows"),
    ({"level": "relations", "match": "x" * 2000}, "match"), ({"level": 1}, "level"),
])
def test_what_makes_no_sense_is_refused(client, data, part):
    error = client.fails("catalog", data)
    assert error["code"] == "bad_request" and part in error["message"]
    client.settle()


def test_unknown_databases_and_sessions(client):
    assert client.fails("catalog", {"level": "relations", "database": "nowhere"})["code"] == "database_not_found"
    assert client.fails("catalog", {"level": "relations", "session": "nowhere"})["code"] == "session_not_found"
    assert client.fails("catalog", {"level": "relations", "session": "x", "database": "y"})["code"] == "bad_request"


def test_a_catalog_beyond_the_limit_is_an_error(limited):
    daemon = limited(catalog_bytes_max=1_048_576)
    with daemon.connect() as client:
        client.batch([{"sql": f"CREATE TABLE some_rather_long_name_of_a_table_{n}({', '.join(f'column_{n}_{c} INT' for c in range(30))})"}
                      for n in range(1_500)])
        error = client.fails("catalog", {"level": "relations"})
        assert error["code"] == "limit_exceeded" and error["limit"]["name"] == "catalog_bytes_max"
        assert client.call("stats").data["limits"]["catalog_bytes_max"]["used"] == 0
        client.settle()


def test_what_is_used_least_lately_is_given_up(start_daemon, directory):
    names = [f"d{number}" for number in range(6)]
    config = directory / "small.toml"
    config.write_text("[limits]\ncatalog_bytes_max = 1_048_576\n" + "".join(
        f'[databases.{name}]\nurl = "sqlite:{directory}/{name}.db"\n' for name in names))
    daemon = start_daemon(f"--config={config}", directory=directory)
    with daemon.connect() as client:
        for name in names:
            client.batch([{"sql": f"CREATE TABLE {name}_{n}({', '.join(f'c{name}_{n}_{c}' for c in range(20))})"} for n in range(250)],
                         database=name)
            assert len(rows_of(client, "relations", database=name)) == 250
        limit = client.call("stats").data["limits"]["catalog_bytes_max"]
        assert 0 < limit["used"] <= limit["value"] == 1_048_576
        assert len(rows_of(client, "columns", database="d0")) == 5_000


# Others go on


def test_many_who_ask_at_once_get_the_same(daemon, table):
    with daemon.connect() as maker:
        maker.batch([{"sql": f"CREATE TABLE {table}_{n}(a, b, c)"} for n in range(300)])
        clients = [daemon.connect() for _ in range(20)]
        ids = [client.send("catalog", {"level": "columns", "match": "b", "refresh": True}) for client in clients]
        for client, id in zip(clients, ids, strict=True):
            frames = []
            while not frames or not frames[-1].terminal:
                frames.append(client.receive_for(id))
            assert frames[-1].data["row_count"] >= 300


def test_hanging_up_while_it_is_read_lets_the_next_one_read_it(daemon, table):
    with daemon.connect() as maker:
        maker.batch([{"sql": f"CREATE TABLE {table}_{n}(a, b, c)"} for n in range(2_000)])
        for _ in range(5):
            with daemon.connect() as gone:
                gone.send("catalog", {"level": "columns", "refresh": True})
            assert len(rows_of(maker, "relations", match=f"{table}_")) >= 2_000
        maker.settle()


def test_a_timeout_ends_it(daemon, table):
    with daemon.connect() as client:
        client.batch([{"sql": f"CREATE TABLE {table}_{n}(a, b, c)"} for n in range(3_000)])
        error = client.fails("catalog", {"level": "columns", "refresh": True, "timeout_ms": 1})
        assert error["code"] == "timeout"
        assert len(rows_of(client, "columns", relation=f"{table}_1")) == 3
