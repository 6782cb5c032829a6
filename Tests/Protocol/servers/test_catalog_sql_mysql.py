"""The queries that read the catalog of MariaDB say of a schema with everything in it what its DDL says."""

import pytest

from mariadb import MariaDB
from native import NativeMariaDB
from swift_sql import SwiftSQL, records, table

SQL = SwiftSQL("MySQLEngine/MySQLCatalogQueries.swift")
LEVELS = {
    "namespaces": "name default owner comment extra",
    "relations": "namespace name kind comment row_estimate size_bytes definition extra",
    "relationDetails": "namespace name kind row_estimate size_bytes extra",
    "relationDefinitions": "namespace name definition",
    "columns": "namespace relation name position type nullable default generated identity hidden collation key_position comment extra",
    "keys": "namespace relation name kind ordinal column extra",
    "foreignKeys": "namespace relation name ordinal column target_namespace target_relation target_column on_update on_delete extra",
    "indexes": "namespace relation name unique ordinal column expression method predicate definition extra",
    "indexesInDetail": "namespace relation name unique ordinal column expression method predicate definition extra",
    "triggers": "namespace relation name timing event definition extra",
    "routines": "namespace name kind arguments returns language comment definition extra",
    "types": "namespace name kind base ordinal label comment extra",
}

SCHEMA = """
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT 'What is sold'; CREATE DATABASE `an ``odd`; CREATE DATABASE closed;
CREATE TABLE closed.inside(x int); CREATE TABLE closed.half(x int, y int, z int);
USE shop
CREATE TABLE customer(id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'no''body' COMMENT 'The "name"',
  feels enum('sad','ok') DEFAULT 'ok', price decimal(10,2) DEFAULT 1.50, CONSTRAINT is_positive CHECK (price > 0),
  full_name varchar(50) AS (CONCAT(name, '!')) STORED, short varchar(5) AS (LEFT(name, 5)) VIRTUAL, born date,
  word varchar(9) DEFAULT 'NULL', part varchar(9) DEFAULT (CONCAT('a', 'b')),
  changed timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, secret int INVISIBLE DEFAULT 7,
  UNIQUE KEY name_born (name, born), KEY born (born DESC, name(3)) COMMENT 'Quick "one"', FULLTEXT KEY words (name),
  KEY idle (price) IGNORED) ENGINE=InnoDB COMMENT 'Who buys';
CREATE TABLE orders(a int, b varchar(9), customer bigint unsigned, PRIMARY KEY (b, a),
  CONSTRAINT who FOREIGN KEY (customer) REFERENCES customer(id) ON DELETE SET NULL ON UPDATE CASCADE) ENGINE=InnoDB;
CREATE TABLE `an ``odd`.line(x int, y varchar(9) COLLATE utf8mb4_bin, CONSTRAINT far FOREIGN KEY (y, x) REFERENCES shop.orders(b, a))
  ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE parts(at date NOT NULL) ENGINE=InnoDB PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2024),
  PARTITION p1 VALUES LESS THAN MAXVALUE);
CREATE TABLE kept(x int) ENGINE=InnoDB WITH SYSTEM VERSIONING;
CREATE TABLE plain(x int CHECK (x > 1)) ENGINE=Aria;
CREATE TABLE twin(a int, b int, UNIQUE KEY u (a, b)) ENGINE=Aria; CREATE TABLE TWIN(c int CHECK (c > 2), d int, UNIQUE KEY u (c, d)) ENGINE=Aria;
CREATE VIEW named AS SELECT 1 AS one;
CREATE SEQUENCE alone START WITH 5;
CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC COMMENT 'Two ''times''' RETURN 2 * x;
CREATE PROCEDURE work(IN x int, OUT `y ``z` varchar(9)) SQL SECURITY INVOKER MODIFIES SQL DATA SET `y ``z` = x;
CREATE PROCEDURE twice() SELECT 1;
CREATE TRIGGER watch BEFORE INSERT ON customer FOR EACH ROW SET NEW.born = '2024-01-01';
CREATE TRIGGER after_all AFTER DELETE ON customer FOR EACH ROW SET @x = 1;
SET sql_mode = ORACLE;
DELIMITER //
CREATE PACKAGE pack AS FUNCTION f RETURN int; END//
DELIMITER ;
SET sql_mode = DEFAULT;
GRANT SELECT ON shop.orders TO reader@localhost; GRANT SELECT (x, z) ON closed.half TO reader@localhost;
CREATE USER stranger@localhost;
"""


@pytest.fixture(scope="module")
def server():
    instance = MariaDB(performance_schema="1")
    instance.sql(SCHEMA)
    yield instance
    instance.discard()


class Reader:
    def __init__(self, server, user="root", database="shop"):
        self.connection = NativeMariaDB(server.socket, user, database)
        self.connection.run("START TRANSACTION READ ONLY")
        self.connection.run(SQL["prepare"])

    def level(self, name):
        result = self.connection.run(SQL[name])
        if name in LEVELS:
            assert result.names == LEVELS[name].split()
        return records(result)

    def of(self, name, relation, key="relation"):
        return [record for record in self.level(name) if record[key] == relation]


@pytest.fixture
def reader(server):
    instance = Reader(server)
    yield instance
    instance.connection.close()


@pytest.fixture
def login(server):
    """Other logins, closed at the end."""
    opened = []

    def open_as(user, database=""):
        opened.append(Reader(server, user, database))
        return opened[-1]

    yield open_as
    for instance in opened:
        instance.connection.close()


def test_namespaces(reader):
    system, plain = {"system": True}, {"character_set": "utf8mb4", "collation": "utf8mb4_general_ci"}
    assert table(reader.level("namespaces"), "name", "default", "comment", "extra") == [
        ("an `odd", "0", None, plain), ("closed", "0", None, plain), ("information_schema", "0", None, system), ("lb", "0", None, plain),
        ("mysql", "0", None, system), ("performance_schema", "0", None, system),
        ("shop", "1", "What is sold", {"character_set": "utf8mb4", "collation": "utf8mb4_bin"}), ("sys", "0", None, system)]


def test_without_a_database_no_namespace_is_the_default(login):
    assert {record["default"] for record in login("root").level("namespaces")} == {"0"}


def test_relations(reader):
    inno, aria = {"engine": "InnoDB"}, {"engine": "Aria"}
    assert table(reader.level("relations"), "namespace", "name", "kind", "comment", "extra") == [
        ("an `odd", "line", "table", None, inno), ("closed", "half", "table", None, inno), ("closed", "inside", "table", None, inno),
        ("shop", "TWIN", "table", None, aria), ("shop", "alone", "sequence", None, inno), ("shop", "customer", "table", "Who buys", inno),
        ("shop", "kept", "table", None, {**inno, "system_versioned": True}), ("shop", "named", "view", None, None),
        ("shop", "orders", "table", None, inno), ("shop", "parts", "table", None, inno), ("shop", "plain", "table", None, aria),
        ("shop", "twin", "table", None, aria)]


def test_relations_in_detail(server, reader):
    server.sql("INSERT INTO plain SELECT seq + 1 FROM seq_1_to_1000", "shop")
    try:
        rows = {record["name"]: record for record in reader.level("relationDetails") if record["namespace"] == "shop"}
    finally:
        server.sql("DELETE FROM plain", "shop")
    assert list(rows) == ["TWIN", "customer", "kept", "orders", "parts", "plain", "twin"]
    assert [name for name, record in rows.items() if record["kind"] != "table"] == ["parts"]
    assert rows["parts"]["kind"] == "partitioned_table"
    assert rows["plain"]["row_estimate"] == "1000" and int(rows["plain"]["size_bytes"]) > 5000
    assert rows["customer"]["extra"] == {"engine": "InnoDB", "checks": [{"name": "is_positive", "expression": "`price` > 0"}]}
    assert rows["plain"]["extra"] == {"engine": "Aria", "checks": [{"name": "x", "expression": "`x` > 1"}]}
    assert rows["kept"]["extra"] == {"engine": "InnoDB", "system_versioned": True}
    # Names that differ only in case are two.
    assert rows["TWIN"]["extra"]["checks"] == [{"name": "c", "expression": "`c` > 2"}] and rows["twin"]["extra"] == {"engine": "Aria"}


def test_definitions_of_views(reader):
    assert table(reader.level("relationDefinitions"), "namespace", "name", "definition") == [
        ("shop", "named", "CREATE VIEW `shop`.`named` AS select 1 AS `one`")]


def test_columns(reader):
    assert table(reader.of("columns", "customer"), "position", "name", "type", "nullable", "default") == [
        ("1", "id", "bigint(20) unsigned", "0", None), ("2", "name", "varchar(40)", "0", "'no''body'"),
        ("3", "feels", "enum('sad','ok')", "1", "'ok'"), ("4", "price", "decimal(10,2)", "1", "1.50"),
        ("5", "full_name", "varchar(50)", "1", "concat(`name`,'!')"), ("6", "short", "varchar(5)", "1", "left(`name`,5)"),
        ("7", "born", "date", "1", None), ("8", "word", "varchar(9)", "1", "'NULL'"), ("9", "part", "varchar(9)", "1", "concat('a','b')"),
        ("10", "changed", "timestamp", "0", "current_timestamp()"), ("11", "secret", "int(11)", "1", "7")]


def test_what_columns_have_beyond(reader):
    columns = {record["name"]: record for record in reader.of("columns", "customer")}
    assert {name: record["generated"] for name, record in columns.items() if "generated" in record} == {
        "full_name": "stored", "short": "virtual"}
    assert [name for name, record in columns.items() if record.get("identity") == "auto_increment"] == ["id"]
    assert [name for name, record in columns.items() if record["hidden"] == "1"] == ["secret"]
    assert columns["name"]["comment"] == 'The "name"' and "comment" not in columns["id"]
    assert columns["name"]["collation"] == "utf8mb4_bin" and "collation" not in columns["id"]
    assert {name: record["extra"] for name, record in columns.items() if "extra" in record} == {
        "id": {"primary": True}, "changed": {"on_update": "current_timestamp()"}}


def test_columns_of_tables_whose_names_differ_in_case_are_not_mixed(reader):
    rows = [record for record in reader.level("columns") if record["relation"].lower() == "twin"]
    assert table(rows, "relation", "name") == [("TWIN", "c"), ("TWIN", "d"), ("twin", "a"), ("twin", "b")]


def test_keys(reader):
    assert table(reader.level("keys"), "relation", "name", "kind", "ordinal", "column") == [
        ("TWIN", "u", "unique", "1", "c"), ("TWIN", "u", "unique", "2", "d"),
        ("customer", "PRIMARY", "primary", "1", "id"), ("customer", "name_born", "unique", "1", "name"),
        ("customer", "name_born", "unique", "2", "born"), ("orders", "PRIMARY", "primary", "1", "b"),
        ("orders", "PRIMARY", "primary", "2", "a"), ("twin", "u", "unique", "1", "a"), ("twin", "u", "unique", "2", "b")]


def test_foreign_keys(reader):
    assert table(reader.level("foreignKeys"), *LEVELS["foreignKeys"].split()) == [
        ("an `odd", "line", "far", "1", "y", "shop", "orders", "b", "RESTRICT", "RESTRICT", None),
        ("an `odd", "line", "far", "2", "x", "shop", "orders", "a", "RESTRICT", "RESTRICT", None),
        ("shop", "orders", "who", "1", "customer", "shop", "customer", "id", "CASCADE", "SET NULL", None)]


def test_indexes(reader):
    primary = {"constraint": "primary"}
    rows = [record for record in reader.level("indexes") if record["relation"] in ("customer", "orders")]
    assert table(rows, "relation", "name", "unique", "ordinal", "column", "method", "extra") == [
        ("customer", "PRIMARY", "1", "1", "id", None, primary),
        ("customer", "born", "0", "1", "born", None, {"comment": 'Quick "one"'}),
        ("customer", "born", "0", "2", "name", None, {"prefix": 3}), ("customer", "idle", "0", "1", "price", None, {"ignored": True}),
        ("customer", "name_born", "1", "1", "name", None, {"constraint": "unique"}),
        ("customer", "name_born", "1", "2", "born", None, None), ("customer", "words", "0", "1", "name", None, None),
        ("orders", "PRIMARY", "1", "1", "b", None, primary), ("orders", "PRIMARY", "1", "2", "a", None, None),
        ("orders", "who", "0", "1", "customer", None, None)]


def test_indexes_in_detail(reader):
    light, detailed = reader.level("indexes"), reader.level("indexesInDetail")
    assert {record["name"]: record["method"] for record in detailed if record["relation"] == "customer"} == {
        "PRIMARY": "btree", "born": "btree", "idle": "btree", "name_born": "btree", "words": "fulltext"}
    descending = [(record["name"], record["column"]) for record in detailed if record.get("extra", {}).pop("descending", False)]
    assert descending == [("born", "born")]
    for record in detailed:
        del record["method"]
    assert detailed == light


def test_triggers(reader):
    row = {"level": "row", "order": 1}
    assert table(reader.level("triggers"), "relation", "name", "timing", "event", "extra") == [
        ("customer", "after_all", "AFTER", "DELETE", row), ("customer", "watch", "BEFORE", "INSERT", row)]


def test_routines(reader):
    rows = [record for record in reader.level("routines") if record["namespace"] == "shop"]
    assert table(rows, "name", "kind", "arguments", "returns", "language", "comment") == [
        ("twice", "function", "`x` int(11)", "int(11)", "SQL", "Two 'times'"), ("twice", "procedure", "", None, "SQL", None),
        ("work", "procedure", "IN `x` int(11), OUT `y ``z` varchar(9)", None, "SQL", None)]
    assert rows[0]["extra"] == {"definer": "root@localhost", "security_definer": True, "deterministic": True, "data_access": "contains sql"}
    assert rows[2]["extra"] == {"definer": "root@localhost", "security_definer": False, "deterministic": False,
                                "data_access": "modifies sql data"}


def test_definitions_make_the_same_again(server, reader):
    before = {name: reader.level(name) for name in ("triggers", "routines", "relationDefinitions")}
    texts = [record["definition"] for rows in before.values() for record in rows if record["namespace"] == "shop"]
    assert len(texts) == 6
    server.sql("USE shop; DROP TRIGGER watch; DROP TRIGGER after_all; DROP VIEW named; DROP FUNCTION twice; DROP PROCEDURE twice;"
               "DROP PROCEDURE work")
    for text in texts:
        server.beside.connect().run(text)
    reader.connection.run("ROLLBACK")
    assert {name: reader.level(name) for name in before} == before


def test_a_login_sees_what_it_has_a_right_to(login):
    """`reader` may read one table of `shop` and two columns of one in `closed`."""
    reader = login("reader")
    assert {"shop", "closed", "lb"} <= {name for name, in table(reader.level("namespaces"), "name")}
    assert "an `odd" not in {name for name, in table(reader.level("namespaces"), "name")}
    assert table(reader.level("relations"), "namespace", "name") == [("closed", "half"), ("shop", "orders")]
    assert table(reader.of("columns", "half"), "name") == [("x",), ("z",)]
    assert {record["relation"] for name in ("columns", "keys", "indexes", "foreignKeys", "triggers")
            for record in reader.level(name)} == {"half", "orders"}
    assert not reader.level("routines")
    stranger = login("stranger")
    assert not [record for name in LEVELS if name not in ("namespaces", "types") for record in stranger.level(name)]


def test_no_types(reader):
    assert reader.level("types") == []


CHANGES = [
    "CREATE DATABASE fresh", "CREATE TABLE fresh.t(x int)", "ALTER TABLE fresh.t ADD y int", "CREATE INDEX i ON fresh.t(x)",
    "DROP INDEX i ON fresh.t", "RENAME TABLE fresh.t TO fresh.u", "CREATE VIEW fresh.v AS SELECT 1", "ALTER VIEW fresh.v AS SELECT 2",
    "DROP VIEW fresh.v", "CREATE SEQUENCE fresh.s", "ALTER SEQUENCE fresh.s INCREMENT 3", "DROP SEQUENCE fresh.s",
    "CREATE TRIGGER fresh.g BEFORE INSERT ON fresh.u FOR EACH ROW SET @x = 1", "DROP TRIGGER fresh.g",
    "CREATE PROCEDURE fresh.p() SELECT 1", "ALTER PROCEDURE fresh.p COMMENT 'x'", "DROP PROCEDURE fresh.p",
    "CREATE FUNCTION fresh.f() RETURNS int RETURN 1", "DROP FUNCTION fresh.f", "GRANT SELECT ON fresh.u TO reader@localhost",
    "REVOKE SELECT ON fresh.u FROM reader@localhost", "CREATE PROCEDURE fresh.inner_ddl() CREATE TABLE fresh.made(x int)",
    "CALL fresh.inner_ddl()", "EXECUTE IMMEDIATE 'CREATE TABLE fresh.too(x int)'", "ALTER DATABASE fresh COMMENT 'x'",
    "DROP TABLE fresh.u", "DROP DATABASE fresh",
]


def test_the_fingerprint_changes_with_each_ddl_and_with_nothing_else(server, login):
    reader = login("reader")
    before = reader.connection.run(SQL["fingerprint"]).rows
    assert before
    server.sql("INSERT INTO orders VALUES (1, 'x', NULL); DELETE FROM orders; ANALYZE TABLE orders; FLUSH TABLES;"
               "CREATE TEMPORARY TABLE mine(x int); DROP TEMPORARY TABLE mine; SELECT 1; SET @x = 2", "shop")
    reader.level("columns")
    assert reader.connection.run(SQL["fingerprint"]).rows == before
    for change in CHANGES:
        server.beside.connect().run(change)
        after = reader.connection.run(SQL["fingerprint"]).rows
        assert after != before, change
        before = after
