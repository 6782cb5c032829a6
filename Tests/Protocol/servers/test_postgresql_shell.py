"""`litebase shell` on PostgreSQL: .tables, and .schema, whose statements make the same tables again."""

import subprocess

import pytest

from daemon import LITEBASE, load
from postgresql import PostgreSQL
from server_process import find_programs

SCHEMA = r"""
CREATE TYPE mood AS ENUM ('sad', 'so so', 'it''s "fine"');
CREATE SCHEMA other;
CREATE TABLE other.city(id int PRIMARY KEY, name text);
CREATE TABLE "odd ""name"(id bigint GENERATED ALWAYS AS IDENTITY, "Größe" numeric(10,2) DEFAULT 1.50,
    moods mood[] NOT NULL DEFAULT '{}', city int REFERENCES other.city ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    twice numeric GENERATED ALWAYS AS ("Größe" * 2) STORED, at timestamptz(3), said varchar(20) COLLATE "C",
    PRIMARY KEY (id), CONSTRAINT positive CHECK ("Größe" > 0), EXCLUDE USING btree (said WITH =));
CREATE TABLE later(id serial PRIMARY KEY, next int UNIQUE) WITH (fillfactor=70);
ALTER TABLE other.city ADD next int REFERENCES later(next);
CREATE UNLOGGED TABLE quick(a int, b int);
CREATE TABLE base(a int NOT NULL);
CREATE TABLE derived(b int) INHERITS (base);
CREATE TABLE event(at date NOT NULL, kind text, PRIMARY KEY (at, kind)) PARTITION BY RANGE (at);
CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE event_new PARTITION OF event FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY LIST (kind);
CREATE TABLE event_new_a PARTITION OF event_new FOR VALUES IN ('a', 'b');
CREATE TABLE event_rest PARTITION OF event_new DEFAULT;
CREATE INDEX by_said ON "odd ""name" (lower(said) DESC) WHERE city IS NOT NULL;
CREATE INDEX ON event (kind);
CREATE VIEW seen(one, two) WITH (security_barrier=true) AS SELECT id, 'a;b' FROM later;
CREATE VIEW above AS SELECT one FROM seen;
CREATE MATERIALIZED VIEW kept AS SELECT count(*) FROM quick;
CREATE UNIQUE INDEX ON kept (count);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER watch BEFORE UPDATE OF next ON later FOR EACH ROW WHEN (NEW.next > 1) EXECUTE FUNCTION nothing();
CREATE TRIGGER whole AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE nothing_in_it();
CREATE DOMAIN other.amount AS numeric(8,2) DEFAULT 0.5 NOT NULL CONSTRAINT not_less CHECK (VALUE >= 0);
CREATE TYPE pair AS (one mood, "the other" other.amount);
CREATE TYPE span AS RANGE (SUBTYPE = float8);
CREATE DOMAIN short AS text COLLATE "C" CHECK (length(VALUE) < 9);
CREATE TABLE typed(a other.amount, b pair[], c span, d short);
CREATE TABLE "esc[31m"(a text DEFAULT E'\x1b[31m');
"""


@pytest.fixture(scope="module")
def server():
    instance = PostgreSQL()
    for name in ("first", "second", "empty"):
        instance.psql(f"CREATE DATABASE {name}")
    instance.psql(SCHEMA, "first")
    # What .schema does not show, and a statement of it needs.
    instance.psql("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", "second")
    yield instance
    instance.discard()


@pytest.fixture
def shell(server, start_daemon):
    daemon = start_daemon(databases={name: server.url(name) for name in ("first", "second", "empty")})

    def shell(database, script):
        return subprocess.run([LITEBASE, "shell", "-d", database, "--format", "csv", "--socket", daemon.socket_path], input=script,
                              capture_output=True, text=True, timeout=30, check=False)

    return shell


def test_tables(shell):
    assert shell("first", ".tables\n").stdout.splitlines() == [
        "name,type", '"""esc[31m""",table', '"""odd """"name""",table', "above,view", "base,table", "derived,table", "event,table",
        "event_new,table", "event_new_a,table", "event_old,table", "event_rest,table", "kept,materialized view", "later,table",
        "nothing_in_it,table", "other.city,table", "quick,table", "seen,view", "typed,table"]
    assert shell("empty", ".tables\n.schema\n").stdout.splitlines() in ([], ["name,type"])


def test_a_schema_makes_the_same_tables_again(shell, server):
    schema = shell("first", ".schema\n")
    assert schema.stderr == "" and schema.stdout.count(";\n") == 31 and "\x1b" not in schema.stdout
    made = shell("second", schema.stdout)
    assert (made.stderr, made.returncode) == ("", 0), made
    again = shell("second", ".schema\n").stdout
    assert sorted(again.split(";\n")) == sorted(schema.stdout.split(";\n"))
    columns = ("SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, "
               "attislocal, attcollation FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND relkind IN ('r', 'p', 'v', 'm') "
               "AND relnamespace IN ('public'::regnamespace, 'other'::regnamespace) AND relname NOT LIKE 'esc%' ORDER BY 1, attnum")
    assert server.psql(columns, "first") == server.psql(columns, "second")


@pytest.mark.parametrize("name, count", [("later", 3), ("other.city", 3), ("city", 3), ('odd "name', 4), ('"odd ""name"', 4),
                                         ("seen", 1), ("event_old", 1), ("kept", 2), ("later_id_seq", 1), ("typed", 7)])
def test_the_schema_of_one(shell, name, count):
    output = shell("first", f".schema {name}\n")
    assert output.stderr == "" and output.stdout.count(";\n") == count, output


def test_a_table_that_is_not_there(shell):
    for name in ("nix", "'; DROP TABLE base; --", "pg_class"):
        assert shell("first", f".schema {name}\n").stderr == f"litebase: stdin, line 1: there is no table {name}\n"


def test_a_dump_of_the_servers_own_tool_is_loaded(server, start_daemon):
    """Functions of all kinds, rules, strings that are hard to cut, and psql's commands that pg_dump writes."""
    for name in ("third", "fourth"):
        server.psql(f"CREATE DATABASE {name}")
    server.psql(r"""
        CREATE TABLE t(id int PRIMARY KEY, said text, many text[]);
        INSERT INTO t VALUES (1, E'it\'s; "$$" \\', ARRAY['a;]', '{b']), (2, NULL, NULL);
        CREATE FUNCTION twice(a int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN a ELSE 0 END; SELECT a * 2; END;
        CREATE FUNCTION quoted() RETURNS text LANGUAGE plpgsql AS $body$ BEGIN RETURN 'a;' || $$b;$$; END $body$;
        CREATE RULE twofold AS ON DELETE TO t DO ALSO (UPDATE t SET said = 'x;' WHERE id = OLD.id; SELECT 1);
        COMMENT ON TABLE t IS '/* ; -- ''';
        """, "third")
    dump = subprocess.run([find_programs("pg_dump")["pg_dump"], server.url("third"), "--inserts"], capture_output=True, check=True,
                          timeout=30).stdout
    load(start_daemon(databases={"fourth": server.url("fourth")}), "fourth", dump)
    for query in ("SELECT * FROM t ORDER BY 1", "SELECT twice(4), quoted()", "SELECT definition FROM pg_rules WHERE tablename = 't'",
                  "SELECT obj_description('t'::regclass)"):
        assert server.psql(query, "third") == server.psql(query, "fourth") != ""
