"""`complete` over the catalogs of PostgreSQL and MariaDB: names as the server has them, in the quotes that they need."""

import pytest

from daemon import wait_until
from mariadb import MariaDB
from postgresql import PostgreSQL

POSTGRESQL = """
    CREATE SCHEMA shop; CREATE SCHEMA "Side Door";
    CREATE TYPE shop.state AS ENUM ('new', 'paid'); CREATE DOMAIN money_amount AS numeric(12, 2);
    CREATE TABLE customers(id int PRIMARY KEY, name text, "First Name" text, "order" int);
    CREATE TABLE shop.orders(id int PRIMARY KEY, customer_id int REFERENCES public.customers, st shop.state, total numeric GENERATED ALWAYS AS (1.5) STORED);
    CREATE TABLE "Side Door"."Odd ""Table"(a int);
    CREATE VIEW big AS SELECT id AS number, name AS called FROM customers;
    CREATE MATERIALIZED VIEW kept AS SELECT id AS kept_id FROM customers;
    CREATE TABLE parts(id int, at date) PARTITION BY RANGE (at);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE FOREIGN DATA WRAPPER none; CREATE SERVER away FOREIGN DATA WRAPPER none;
    CREATE FOREIGN TABLE distant(remote_id int, note text) SERVER away;
    CREATE SEQUENCE counter;
    CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS 'SELECT 2 * x';
    CREATE FUNCTION shop.hidden_away(x int) RETURNS int LANGUAGE sql AS 'SELECT 2 * x';
    CREATE PROCEDURE close_month(month date) LANGUAGE sql AS 'SELECT 1';
    CREATE ROLE seller LOGIN; GRANT USAGE ON SCHEMA shop TO seller; GRANT SELECT ON shop.orders TO seller;
    ALTER ROLE seller SET search_path = shop, public;
"""

MARIADB = """
    CREATE TABLE customers(id int PRIMARY KEY, name varchar(20), `First Name` varchar(20), `order` int) ENGINE=InnoDB;
    CREATE TABLE orders(id int PRIMARY KEY, customer_id int, total int AS (id + 1) STORED, secret int INVISIBLE,
        FOREIGN KEY (customer_id) REFERENCES customers(id)) ENGINE=InnoDB;
    CREATE TABLE `Odd ``Table`(a int); CREATE VIEW big AS SELECT id AS number, name AS called FROM customers;
    CREATE FUNCTION twice(x int) RETURNS int DETERMINISTIC RETURN 2 * x;
    CREATE PROCEDURE close_month(month date) SELECT 1;
    CREATE DATABASE other; CREATE TABLE other.elsewhere(far_away int);
    GRANT SELECT ON other.* TO lb@localhost; CREATE DATABASE closed; CREATE TABLE closed.invisible_one(a int);
"""


@pytest.fixture(scope="module")
def postgresql():
    server = PostgreSQL()
    try:
        server.psql(POSTGRESQL)
        yield server
    finally:
        server.discard()


@pytest.fixture(scope="module")
def mariadb():
    server = MariaDB()
    try:
        server.sql(MARIADB, "lb")
        yield server
    finally:
        server.discard()


def completer(daemon, database="far"):
    """Completes texts whose bar is the cursor, once all names are known."""
    client = daemon.connect()

    def items(marked):
        cursor, reply = len(marked[:marked.index("|")].encode()), {}

        def known():
            reply.update(client.call("complete", {"sql": marked.replace("|", "", 1), "cursor": cursor, "database": database}).data)
            return not reply.pop("incomplete", False)

        wait_until(known, "all names are known", 25)
        return reply["items"]

    return lambda marked: [item["text"] for item in items(marked)]


@pytest.fixture
def in_postgresql(postgresql, start_daemon):
    return completer(start_daemon(databases={"far": postgresql.url()}))


@pytest.fixture
def in_mariadb(mariadb, start_daemon):
    return completer(start_daemon(databases={"far": mariadb.url()}))


def test_columns_of_every_kind_of_relation_in_postgresql(in_postgresql):
    assert in_postgresql("SELECT c.| FROM customers c") == ["id", "name", '"First Name"', '"order"']
    assert in_postgresql("SELECT x.| FROM big x") == ["number", "called"]
    assert in_postgresql("SELECT x.| FROM kept x") == ["kept_id"]
    assert in_postgresql("SELECT x.| FROM distant x") == ["remote_id", "note"]
    assert in_postgresql("SELECT x.| FROM parts x") == in_postgresql("SELECT x.| FROM parts_1 x") == ["id", "at"]
    assert in_postgresql('SELECT x.| FROM "Side Door"."Odd ""Table" x') == ["a"]
    assert in_postgresql("INSERT INTO shop.orders (|")[0] == "id, customer_id, st"


def test_names_in_schemas_of_postgresql(in_postgresql):
    assert in_postgresql("SELECT * FROM cust|")[0] == "customers"
    assert "orders" not in in_postgresql("SELECT * FROM ord|") and "shop.orders" in in_postgresql("SELECT * FROM ord|")
    assert in_postgresql("SELECT * FROM shop.|") == ["orders"]
    assert in_postgresql('SELECT * FROM "Side Door".|') == ['"Odd ""Table"']
    assert '"Side Door"' in in_postgresql("SELECT * FROM si|")
    assert in_postgresql("SELECT * FROM customers c JOIN |")[0] == "shop.orders o ON o.customer_id = c.id"
    assert in_postgresql("SELECT * FROM shop.orders o JOIN customers c ON |")[0] == "c.id = o.customer_id"


def test_routines_and_types_of_postgresql(in_postgresql):
    assert in_postgresql("SELECT twi|")[0] == "twice("
    assert "shop.hidden_away(" in in_postgresql("SELECT hidden|") and in_postgresql("SELECT shop.hid|") == ["hidden_away("]
    assert in_postgresql("CALL clo|")[0] == "close_month("
    assert "state" in in_postgresql("SELECT 'x'::sta|") and "money_amount" in in_postgresql("CREATE TABLE t (a mon|")


def test_a_search_path_decides_what_needs_no_schema(postgresql, start_daemon):
    complete = completer(start_daemon(databases={"far": postgresql.url(user="seller")}))
    assert complete("SELECT * FROM ord|")[0] == "orders"
    assert complete("SELECT o.| FROM orders o") == ["id", "customer_id", "st", "total"]
    # Without a right to anything in it, it is not looked up there.
    assert complete("SELECT c.| FROM customers c") == []


def test_names_of_mariadb(in_mariadb):
    assert in_mariadb("SELECT c.| FROM customers c") == ["id", "name", "`First Name`", "`order`"]
    assert in_mariadb("SELECT x.| FROM big x") == ["number", "called"]
    assert in_mariadb("SELECT x.| FROM `Odd ``Table` x") == ["a"]
    assert "`Odd ``Table`" in in_mariadb("SELECT * FROM od|")
    assert in_mariadb("INSERT INTO orders (|")[0] == "id, customer_id"
    assert in_mariadb("SELECT *| FROM orders") == ["id, customer_id, total"]
    assert in_mariadb("SELECT * FROM orders o JOIN |")[0] == "customers c ON c.id = o.customer_id"
    assert in_mariadb("SELECT * FROM other.|") == ["elsewhere"] and "other.elsewhere" in in_mariadb("SELECT * FROM elsew|")
    assert in_mariadb("SELECT x.| FROM other.elsewhere x") == ["far_away"]
    assert {"lb", "other"} <= set(in_mariadb("USE |"))
    # What the login may not see is not named.
    assert "closed" not in in_mariadb("USE |") and "closed.invisible_one" not in in_mariadb("SELECT * FROM invis|")


def test_routines_of_mariadb(in_mariadb):
    assert in_mariadb("SELECT twi|")[0] == "twice(" and in_mariadb("CALL clo|")[0] == "close_month("
