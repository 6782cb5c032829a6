"""What is in a database, and what may come next in a statement."""

import asyncio
import time

import pytest

import litebase
import litebase.aio

SCHEMA = """
CREATE TABLE city (name TEXT PRIMARY KEY, people INTEGER);
CREATE TABLE street (id INTEGER PRIMARY KEY, city TEXT REFERENCES city(name), "straße" TEXT);
CREATE INDEX street_city ON street(city, id);
CREATE VIEW large AS SELECT * FROM city WHERE people > 100000;
"""


@pytest.fixture
def db(connect):
    connection = connect(autocommit=True)
    for statement in SCHEMA.strip().split(";\n"):
        connection.execute(statement)
    return connection


def names(cursor):
    return [row["name"] for row in cursor]


def test_each_level_has_rows_with_the_names_of_the_protocol(db):
    assert names(db.catalog("namespaces")) == ["main"]
    assert names(db.catalog("relations")) == ["city", "large", "street"]
    assert names(db.catalog("columns", relation="street")) == ["id", "city", "straße"]
    (key,) = db.catalog("foreign_keys")
    assert (key["columns"], key["target_relation"], key["target_columns"]) == (("city",), "city", ("name",))
    assert {row["columns"] for row in db.catalog("indexes", relation="street")} == {("city", "id")}
    assert [row["kind"] for row in db.catalog("keys", namespace="main", relation="street")] == ["primary"]
    assert db.catalog("triggers").fetchall() == []
    with pytest.raises(litebase.ProgrammingError, match="no level 'tables'"):
        db.catalog("tables")
    with pytest.raises(TypeError, match=r"catalog\(\).*'relaton'"):
        db.catalog("columns", relaton="street")


def test_it_is_narrowed_and_searched(db):
    assert names(db.catalog("relations", kinds=["view"])) == names(db.catalog("relations", kinds="view")) == ["large"]
    assert names(db.catalog("columns", match="str")) == ["straße"]
    assert names(db.catalog("relations", max_rows=1)) == ["city"]
    assert "definition" not in db.catalog("relations").fetchone()
    assert db.catalog("relations", definitions=True).fetchone()["definition"].startswith("CREATE TABLE city")


def test_an_etag_says_whether_anything_has_changed(db):
    first = db.catalog("relations")
    assert first.fetchall()
    assert first.etag
    assert not first.unchanged
    again = db.catalog("relations", etag=first.etag)
    assert again.unchanged
    assert again.etag == first.etag
    assert again.fetchall() == list(again) == []
    assert again.fetchone() is None
    db.execute("CREATE TABLE more (a)")
    changed = db.catalog("relations", etag=first.etag)
    assert not changed.unchanged
    assert "more" in names(changed)
    assert changed.etag != first.etag
    assert db.catalog("relations", refresh=True).fetchall()


def test_it_sees_what_the_session_sees(db):
    db.execute("CREATE TEMPORARY TABLE mine (a)")
    with db.transaction():
        db.execute("CREATE TABLE young (a)")
        assert {"mine", "young"} <= set(names(db.catalog("relations")))


def test_rows_are_made_as_the_connection_makes_them(connect):
    connection = connect(row_factory=lambda cursor, row: row[0], autocommit=True)
    assert connection.catalog("namespaces").fetchall() == ["main"]


def test_it_comes_in_pieces_and_beside_other_statements(connect):
    connection = connect(autocommit=True)
    for number in range(300):
        connection.execute(f"CREATE TABLE t{number:03} ({', '.join(f'column_{place}' for place in range(20))})")
    rows = connection.catalog("columns")
    assert next(rows)["name"] == "column_0"
    assert not rows._result.is_complete
    assert connection.execute("SELECT 1").fetchone() == (1,)
    assert len(rows.fetchall()) == 300 * 20 - 1
    # Left, it is stopped.
    left = connection.catalog("columns")
    left.close()
    assert connection.execute("SELECT 2").fetchone() == (2,)


def test_a_catalog_is_a_frame(db):
    pyarrow = pytest.importorskip("pyarrow")
    table = db.catalog("keys").fetch_arrow_table()
    assert table.schema.field("columns").type == pyarrow.list_(pyarrow.string())
    assert table.column("columns").to_pylist() == [["name"], ["id"]]
    db.execute("CREATE TABLE strict (a INTEGER) STRICT")
    assert db.catalog("relations", match="strict").fetch_arrow_table().column("extra").to_pylist() == ['{"strict": true}']
    for level in litebase._catalog.LEVELS:
        db.catalog(level, definitions=True).fetch_arrow_table()


def test_prefixes_of_keys(redis):
    with litebase.connect("server", socket=redis) as connection:
        connection.execute("SET told:1 x")
        assert [row["kind"] for row in connection.catalog("relations", match="told", refresh=True)] == ["key_prefix"]
        connection.execute("DEL told:1")


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_servers(engine, request):
    with litebase.connect("server", socket=request.getfixturevalue(engine), autocommit=True) as connection:
        connection.execute("CREATE TABLE told (a INTEGER PRIMARY KEY, b DECIMAL(6, 2))")
        try:
            columns = [(row["name"], row["key_position"]) for row in connection.catalog("columns", relation="told")]
            assert columns == [("a", 1), ("b", None)]
            # In a transaction, one that was left does no harm to it.
            connection.autocommit = False
            connection.execute("INSERT INTO told VALUES (1, 2)")
            connection.catalog("columns").close()
            connection.commit()
            assert connection.execute("SELECT count(*) FROM told").fetchone() == (1,)
            connection.commit()
            assert connection.complete("SELECT  FROM told", 7).items
        finally:
            connection.execute("DROP TABLE told")
            connection.commit()


def completed(db, sql, cursor=None, **options):
    """A completion with all names. Those of a database in memory are known when the session has asked for its catalog."""
    db.catalog("relations").fetchall()
    for _ in range(100):
        found = db.complete(sql, cursor, **options)
        if not found.incomplete:
            return found
        time.sleep(0.05)
    raise AssertionError("the names of the database are never all known")


def test_completion_counts_characters(db):
    sql = "SELECT '😀é', str FROM street"
    found = completed(db, sql, sql.index(" FROM"))
    assert sql[found.start : found.end] == "str"
    (item,) = (item for item in found.items if item.kind == "column")
    assert (item.text, item.label, item.relation) == ("straße", "straße", "street")
    assert sql[: found.start] + item.text + sql[found.end :] == "SELECT '😀é', straße FROM street"


def test_completion_has_joins_limits_and_what_was_used_lately(db):
    assert any(item.kind == "join" for item in completed(db, "SELECT * FROM street JOIN ").items)
    assert len(completed(db, "SELECT ", limit=3).items) == 3
    first = completed(db, "SELECT * FROM ", recent=["street"]).items[0]
    assert (first.text, first.kind) == ("street", "relation")
    assert completed(db, "").items
    for cursor in (-1, 2):
        with pytest.raises(litebase.ProgrammingError):
            db.complete("S", cursor)
    with pytest.raises(litebase.DataError):
        db.complete("SELECT '\ud800'")


def test_asyncio(daemon):
    async def body():
        async with await litebase.aio.connect(url="sqlite::memory:", socket=daemon.socket_path, autocommit=True) as db:
            for statement in SCHEMA.strip().split(";\n"):
                await db.execute(statement)
            cursor = await db.catalog("relations")
            assert [row["name"] async for row in cursor] == ["city", "large", "street"]
            assert (await db.catalog("relations", etag=cursor.etag)).unchanged
            found = await db.complete("SELECT pe FROM city", 9)
            assert found.items[0].text == "people"

    asyncio.run(body())
