"""`catalog` of PostgreSQL and MariaDB: every level comes, what changes is seen, and sessions get what everybody sees."""

import pytest

from daemon import wait_until
from mariadb import MariaDB
from postgresql import PostgreSQL
from test_catalog_sqlite import collect, rows_of

SCHEMAS = {
    "postgresql": """
        CREATE SCHEMA shop; COMMENT ON SCHEMA shop IS 'sells';
        CREATE TYPE shop.state AS ENUM ('new', 'paid');
        CREATE TABLE shop.author(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, s shop.state);
        CREATE TABLE shop.book(series int, number int, author bigint REFERENCES shop.author ON DELETE CASCADE, PRIMARY KEY(series, number));
        CREATE INDEX by_lower ON shop.author (lower(name), id DESC) WHERE name <> '';
        CREATE VIEW shop.names AS SELECT name FROM shop.author;
        CREATE FUNCTION shop.twice(x int) RETURNS int LANGUAGE sql AS 'SELECT 2 * x';
    """,
    "mysql": """
        CREATE TABLE author(id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL UNIQUE COMMENT 'its') ENGINE=InnoDB;
        CREATE TABLE book(series int, number int, author bigint, PRIMARY KEY(series, number),
            FOREIGN KEY(author) REFERENCES author(id) ON DELETE CASCADE) ENGINE=InnoDB;
        CREATE VIEW names AS SELECT name FROM author;
        CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC RETURN 2 * x;
    """,
}


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def server(request):
    instance = PostgreSQL() if request.param == "postgresql" else MariaDB()
    try:
        if request.param == "postgresql":
            instance.psql(SCHEMAS["postgresql"])
        else:
            instance.sql(SCHEMAS["mysql"], "lb")
        instance.kind, instance.space = request.param, "shop" if request.param == "postgresql" else "lb"
        yield instance
    finally:
        instance.discard()


@pytest.fixture
def client(server, start_daemon, mode):
    return start_daemon(databases={"far": server.url()}).connect(mode)


def ask(client, level, **options):
    return rows_of(client, level, **{"database": "far", **options})


def test_every_level(client, server):
    space = server.space
    assert space in {row["name"] for row in ask(client, "namespaces")}
    kinds = {row["name"]: row["kind"] for row in ask(client, "relations", namespace=space) if row["kind"] != "sequence"}
    assert kinds == {"author": "table", "book": "table", "names": "view"}
    columns = ask(client, "columns", namespace=space, relation="book")
    assert [(row["name"], row["position"], row["nullable"], row["key_position"]) for row in columns] == [
        ("series", 1, False, 1), ("number", 2, False, 2), ("author", 3, True, None)]
    assert ask(client, "columns", relation="author", match="id")[0]["identity"] in ("always", "auto_increment")
    keys = {(row["relation"], row["kind"], tuple(row["columns"])) for row in ask(client, "keys", namespace=space)}
    assert keys == {("author", "primary", ("id",)), ("author", "unique", ("name",)), ("book", "primary", ("series", "number"))}
    key, = ask(client, "foreign_keys")
    assert (key["relation"], key["columns"], key["target_namespace"], key["target_relation"], key["target_columns"], key["on_delete"]) == (
        "book", ["author"], space, "author", ["id"], "CASCADE")
    assert {row["relation"] for row in ask(client, "indexes", namespace=space)} >= {"author", "book"}
    assert [row["name"] for row in ask(client, "routines", namespace=space)] == ["twice"]
    if server.kind == "postgresql":
        assert [(row["name"], row["kind"], row["labels"]) for row in ask(client, "types", namespace=space)] == [("state", "enum", ["new", "paid"])]
        index, = (row for row in ask(client, "indexes") if row["name"] == "by_lower")
        assert index["columns"] == [None, "id"] and "lower" in index["extra"]["expressions"][0] and index["predicate"]
    assert "name" in {row["name"]: row for row in ask(client, "relations", definitions=True)}["names"]["definition"]
    client.settle()


def test_own_ddl_is_seen_at_once_and_foreign_ddl_soon(client, server):
    etag = collect(client, "relations", database="far")[-1].data["etag"]
    assert collect(client, "relations", database="far", etag=etag)[0].data["unchanged"] is True
    name = f"{server.space}.fresh_{client.mode}"
    client.query(f"CREATE TABLE {name}(a int)", database="far")
    assert [row["name"] for row in ask(client, "columns", relation=name.split(".")[1])] == ["a"]
    client.query(f"DROP TABLE {name}", database="far")
    assert ask(client, "relations", relation=name.split(".")[1]) == []
    (server.psql if server.kind == "postgresql" else server.sql)(f"CREATE TABLE {name}(a int)")
    wait_until(lambda: ask(client, "relations", relation=name.split(".")[1]), "what another program has made is seen", 25)
    client.query(f"DROP TABLE {name}", database="far")


def test_a_session_in_a_failed_transaction_is_answered_and_stays_as_it_is(client, server):
    session = client.session(database="far")
    client.query("BEGIN", session=session)
    client.query_fails("SELECT nothing FROM nowhere", session=session)
    assert rows_of(client, "relations", session=session, namespace=server.space)
    client.query("ROLLBACK", session=session)
    assert client.query("SELECT 1", session=session).value == 1
