"""Every statement means what it means when it is sent by itself at that moment: random sequences of statements, settings and
DDL, each statement several times, with and without parameters, compared with the native client on a database of its own.

LITEBASE_MEANING_ROUNDS makes more sequences than the usual ones, LITEBASE_MEANING_SEED others.
"""

import os
import random

import pytest

from mariadb import MariaDB
from native import NativeError, NativeMariaDB, NativePostgreSQL, Rows
from postgresql import PostgreSQL
from wire import RequestFailed

ROUNDS = int(os.environ.get("LITEBASE_MEANING_ROUNDS") or 12)
SEED = int(os.environ.get("LITEBASE_MEANING_SEED") or 20261128)
STEPS = 60


def plain(value):
    """A value of the protocol as the server's text has it."""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return None if value is None else str(value)


class Sequence:
    """One sequence of steps on both sides; `shared`: without a session, on the one connection of the pool."""

    def __init__(self, engine, client, native, seed, shared):
        self.engine, self.client, self.native, self.shared = engine, client, native, shared
        self.chance = random.Random(seed)
        self.target = {"database": "db"} if shared else {"session": client.session(database="db")}
        self.course = []
        self.has_failed = False
        # As in use, a few texts come again and again.
        self.texts = self.chance.sample(engine.texts, min(6, len(engine.texts)))

    def run(self):
        for sql in self.engine.beginning:
            self.both(sql)
        for _ in range(STEPS):
            kind = self.chance.choices(["text", "setting", "definition", "rows", "transaction"], [12, 3, 4, 1, 1])[0]
            if kind == "text":
                sql, params = self.chance.choice(self.texts)
                for _ in range(self.chance.choice([1, 1, 2, 3])):
                    self.both(sql, params and [self.chance.choice(values) for values in params])
            elif kind == "definition":
                self.both(self.chance.choice(self.engine.definitions))
            elif kind == "rows":
                self.rows()
            elif not self.shared:
                self.both(self.chance.choice(self.engine.settings if kind == "setting" else self.engine.transactions))

    def outcome(self, run):
        try:
            result = run()
        except RequestFailed as failure:
            data = failure.data
            return "error", data["vendor_code"] if self.engine.by_number else data["sqlstate"]
        except NativeError as error:
            return "error", error.state
        if isinstance(result, Rows):
            return result.names, result.types, sorted(map(repr, result.rows))
        types = [column["type"] for column in result.columns]
        return result.names, types, sorted(repr([plain(value) for value in row]) for row in result.rows)

    def both(self, sql, params=None):
        self.course.append((sql, params))
        here = self.outcome(lambda: self.client.query(sql, params, **self.target))
        there = self.outcome(lambda: self.engine.on_native(self.native, sql, params))
        if sql == "COMMIT" and self.has_failed and here == ("error", "40000"):
            # The native client is told so by nothing but the command's tag, which is ROLLBACK.
            here = ([], [], [])
        self.has_failed = there[0] == "error" or (self.has_failed and sql not in self.engine.transactions)
        if len(there) == 3 and len(here) == 3:
            # Of a type that the table of the test does not have, the native side says nothing.
            here, there = list(here), list(there)
            here[1] = [mine for mine, other in zip(here[1], there[1]) if other]
            there[1] = [other for other in there[1] if other]
        assert list(here) == list(there), self.told()

    def told(self):
        return f"{'shared' if self.shared else 'session'}, in the end:\n" + "\n".join(f"  {sql}   {params or ''}" for sql, params in self.course)

    def rows(self):
        """A statement with rows of parameters, all of them or none."""
        sql, params = self.chance.choice([text for text in self.engine.texts if text[1] and text[0].startswith(("INSERT", "UPDATE"))])
        rows = [[self.chance.choice(values) for values in params] for _ in range(self.chance.randrange(1, 5))]
        self.course.append((sql, rows))

        def all_of_them():
            self.client.batch([{"sql": sql, "param_rows": rows}], **self.target)
            return Rows()

        def one_by_one():
            begin, end, undo = self.engine.around(self.native)
            self.native.run(begin)
            try:
                for row in rows:
                    self.engine.on_native(self.native, sql, row)
            except NativeError:
                for word in undo:
                    self.native.run(word)
                raise
            self.native.run(end)
            return Rows()

        assert self.outcome(all_of_them) == self.outcome(one_by_one), self.told()


class Side:
    """MariaDB's databases have other names on the two sides: in statements and in what DATABASE() says."""

    def __init__(self, inner, names):
        self.inner, self.names = inner, names

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def translate(self, sql):
        for word, name in self.names.items():
            sql = sql.replace(f"USE {word}", f"USE {name}")
        return sql


class MariaDBClient(Side):
    def query(self, sql, params=None, **options):
        return self.inner.query(self.translate(sql), params, **options)


class MariaDBNative(Side):
    def run(self, sql):
        result = self.inner.run(self.translate(sql))
        for row in result.rows:
            row[:] = [value and value.replace("there", "here") if value and value.startswith("there") else value for value in row]
        return result


class PostgreSQLMeaning:
    by_number = False
    beginning = ["CREATE SCHEMA s1", "CREATE TABLE t(a int, b text)", "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL)",
                 "CREATE TABLE log(n int, t timestamptz, d date)", "CREATE TABLE s1.t(a text, c int)", "INSERT INTO s1.t VALUES ('1', 7)"]
    number, word = [1, 2, 3, 4], ["x", "one", "1", None]
    texts = [("SELECT 'now'::timestamptz = now(), 'now'::timestamptz = $1::timestamptz", [["2020-01-01"]]),
             ("SELECT 'now'::timestamptz = now()", None), ("INSERT INTO log VALUES (1, 'now', 'today') RETURNING t = now(), d = current_date", None),
             ("INSERT INTO log VALUES ($1, 'now', '01/02/2024') RETURNING n, t = now(), d - date '2024-01-01'", [number]),
             ("INSERT INTO log VALUES ($1, now(), current_date)", [number]),
             ("SELECT '2024-06-01 12:00'::timestamptz, '2024-06-01 12:00'::timestamptz AT TIME ZONE 'UTC'", None),
             ("SELECT timestamptz '2024-06-01 12:00+00', $1::int", [number]), ("SELECT date '01/02/2024', $1::text", [word]),
             ("SELECT '01/02/2024'::date - date '2024-01-01'", None), ("SELECT '1 day 02:00'::interval", None),
             ("SELECT * FROM t", None), ("SELECT * FROM t WHERE b = $1", [word]), ("SELECT count(*) FROM t", None),
             ("SELECT a FROM t WHERE a = $1", [number]), ("SELECT t FROM t", None), ("SELECT b, a AS a FROM t ORDER BY 1 LIMIT 2", None),
             ("DELETE FROM t WHERE a = $1", [number]), ("DELETE FROM t WHERE a = 4 RETURNING *", None),
             ("INSERT INTO t(a) VALUES ($1)", [number]), ("INSERT INTO t(a) VALUES ($1) RETURNING *", [number]),
             ("UPDATE t SET b = $1 WHERE a = $2", [word, number]), ("INSERT INTO t VALUES (4)", None), ("SELECT f(1)", None),
             ("SELECT f('1')", None), ("SELECT f($1)", [["1", "2"]]), ("SELECT f($1::int), f(1.5)", [number]), ("SELECT 'a\\nb'", None),
             ("SELECT 'a\\nb' || $1", [["x"]]), ("SELECT count(*) FROM t WHERE b = NULL", None), ("SELECT current_schema(), $1::int", [number]),
             ("WITH x AS (INSERT INTO t(a) VALUES ($1) RETURNING *) SELECT count(*) FROM x", [number]), ("VALUES ('today'::date - current_date)", None),
             ("TABLE t", None), ("SELECT 1/($1 - 1)", [number]), ("SELECT f(NULL)", None), ("SELECT v FROM v", None)]
    settings = ["SET TIME ZONE 'America/New_York'", "SET TIME ZONE 'Asia/Tokyo'", "SET TIME ZONE 'UTC'", "SET DateStyle = 'German, DMY'",
                "SET DateStyle = 'ISO, MDY'", "SET DateStyle = 'SQL, DMY'", "SET IntervalStyle = 'sql_standard'", "SET search_path = s1, public",
                "SET search_path = public, s1", "SET search_path = public", "RESET ALL", "SET standard_conforming_strings = off",
                "SET standard_conforming_strings = on", "SET transform_null_equals = on", "SET transform_null_equals = off", "DISCARD ALL",
                "DEALLOCATE ALL", "SET LOCAL TIME ZONE 'Asia/Kolkata'", "SELECT set_config('search_path', 's1', false)",
                "SELECT set_config('DateStyle', 'ISO, DMY', false)", "CREATE TEMP TABLE t(z int, a int)", "DROP TABLE IF EXISTS pg_temp.t",
                "CREATE TEMP VIEW v AS SELECT 1 AS v", "DISCARD TEMP", "CREATE FUNCTION pg_temp.g() RETURNS int LANGUAGE sql AS 'SELECT 1'"]
    definitions = ["ALTER TABLE t ADD COLUMN c int DEFAULT 5", "ALTER TABLE t DROP COLUMN IF EXISTS c", "ALTER TABLE t RENAME COLUMN b TO bb",
                   "ALTER TABLE t RENAME COLUMN bb TO b", "ALTER TABLE t ALTER COLUMN a TYPE text USING a::text",
                   "ALTER TABLE t ALTER COLUMN a TYPE int USING a::int", "ALTER TABLE t ALTER COLUMN a TYPE numeric USING a::numeric",
                   "DROP TABLE t", "CREATE TABLE t(a int, b text)", "CREATE TABLE IF NOT EXISTS s1.t(a text, c int)",
                   "CREATE OR REPLACE FUNCTION f(int) RETURNS text LANGUAGE sql AS $$SELECT 'int'$$",
                   "CREATE OR REPLACE FUNCTION f(text) RETURNS text LANGUAGE sql AS $$SELECT 'text'$$",
                   "CREATE OR REPLACE FUNCTION f(numeric) RETURNS int LANGUAGE sql AS $$SELECT 17$$",
                   "CREATE OR REPLACE FUNCTION s1.f(int) RETURNS text LANGUAGE sql AS $$SELECT 's1'$$", "DROP FUNCTION f(int)", "DROP FUNCTION f(text)",
                   "DROP FUNCTION s1.f(int)", "CREATE OR REPLACE VIEW v AS SELECT 2 AS v", "CREATE OR REPLACE VIEW v AS SELECT 3 AS v, 4 AS w",
                   "DROP VIEW v", "CREATE VIEW v AS SELECT 'x'::text AS v", "TRUNCATE log"]
    transactions = ["BEGIN", "COMMIT", "ROLLBACK"]

    def __init__(self):
        self.server = PostgreSQL()

    def fresh(self, number):
        for side in ("here", "there"):
            self.server.psql(f"CREATE DATABASE {side}{number}")
        return self.server.url(f"here{number}"), NativePostgreSQL(self.server.url(f"there{number}"))

    def sides(self, number, client, native):
        return client, native

    def on_native(self, native, sql, params):
        return native.run(sql, params)

    def around(self, native):
        open_transaction = native.library.PQtransactionStatus(native.handle) != 0
        if open_transaction:
            return "SAVEPOINT x", "RELEASE x", ["ROLLBACK TO x", "RELEASE x"]
        return "BEGIN", "COMMIT", ["ROLLBACK"]


class MariaDBMeaning:
    by_number = True
    beginning = ["CREATE TABLE t(a int, b varchar(20))", "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, NULL)",
                 "CREATE TABLE log(n int, d date, s timestamp NULL)", "INSERT INTO log VALUES (0, '2024-01-01', '2024-06-01 12:00:00')"]
    number, word = [1, 2, 3, 4], ["x", "one", "", None]
    texts = [("SELECT * FROM t", None), ("SELECT * FROM t WHERE a = ?", [number]), ("SELECT b AS b, a FROM t WHERE a >= ?", [number]),
             ("SELECT t.* FROM t WHERE b = ?", [word]), ("SELECT count(*) FROM t WHERE a <> ?", [number]), ("DELETE FROM t WHERE a = ?", [number]),
             ("DELETE FROM t WHERE a = ? RETURNING *", [number]), ("INSERT INTO t(a) VALUES (?)", [number]),
             ("INSERT INTO t(a) VALUES (?) RETURNING *", [number]), ("UPDATE t SET b = ? WHERE a = ?", [word, number]),
             ("SELECT \"a\" FROM t WHERE a = ?", [number]), ("SELECT 'a' || 'b', a FROM t WHERE a = ?", [number]), ("SELECT 'a\\nb', a FROM t WHERE a = ?", [number]),
             ("INSERT INTO log(n, d) VALUES (?, '2024-02-30')", [number]), ("INSERT INTO log(n, d) VALUES (?, CURRENT_DATE)", [number]),
             ("SELECT s, n FROM log WHERE n < ?", [number]), ("SELECT f(a) FROM t WHERE a = ?", [number]), ("SELECT f (a) FROM t WHERE a = ?", [number]),
             ("SELECT DATABASE(), a FROM t WHERE a = ?", [number]), ("SELECT a FROM other WHERE a = ?", [number]), ("SELECT -1 - 5 - a FROM t WHERE a >= ?", [number]),
             ("SELECT DATE_FORMAT(d, '%M') FROM log WHERE n < ?", [number]), ("SELECT a, count(b) FROM t WHERE a > ?", [number]),
             ("INSERT INTO t(a, b) VALUES (?, 1/0)", [number]), ("SELECT NOT 1 BETWEEN -5 AND ? AS x", [number]), ("SELECT v FROM v WHERE v < ?", [number]),
             ("SELECT a FROM t WHERE b IS NULL AND a < ?", [number]), ("SELECT 'x' = 'X', a FROM t WHERE a = ?", [number])]
    settings = ["SET sql_mode = ''", "SET sql_mode = 'ANSI_QUOTES'", "SET sql_mode = 'PIPES_AS_CONCAT'", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
                "SET sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO'", "SET sql_mode = 'IGNORE_SPACE'", "SET sql_mode = DEFAULT",
                "SET sql_mode = 'ONLY_FULL_GROUP_BY'", "SET sql_mode = 'HIGH_NOT_PRECEDENCE'", "SET time_zone = '+09:00'", "SET time_zone = '-05:00'",
                "SET lc_time_names = 'de_DE'", "SET lc_time_names = 'en_US'", "USE OTHER", "USE MAIN", "SET sql_select_limit = 2", "SET sql_select_limit = DEFAULT",
                "SET collation_connection = utf8mb4_bin", "SET collation_connection = utf8mb4_general_ci",
                "CREATE TEMPORARY TABLE t(z int, a int, b varchar(5))", "DROP TEMPORARY TABLE IF EXISTS t",
                "CREATE TEMPORARY TABLE other(a int)", "DROP TEMPORARY TABLE IF EXISTS other"]
    definitions = ["ALTER TABLE t ADD COLUMN c int DEFAULT 5", "ALTER TABLE t DROP COLUMN IF EXISTS c", "ALTER TABLE t RENAME COLUMN b TO bb",
                   "ALTER TABLE t RENAME COLUMN bb TO b", "ALTER TABLE t MODIFY a varchar(10)", "ALTER TABLE t MODIFY a int", "ALTER TABLE t MODIFY a bigint FIRST",
                   "ALTER TABLE t MODIFY a decimal(9,2) AFTER b", "DROP TABLE t", "CREATE TABLE t(a int, b varchar(20))",
                   "CREATE OR REPLACE FUNCTION f(x int) RETURNS varchar(10) DETERMINISTIC RETURN 'one'",
                   "CREATE OR REPLACE FUNCTION f(x int) RETURNS int DETERMINISTIC RETURN 17", "DROP FUNCTION f", "CREATE OR REPLACE VIEW v AS SELECT 2 AS v",
                   "CREATE OR REPLACE VIEW v AS SELECT 'x' AS v, 3 AS w", "DROP VIEW v", "TRUNCATE log"]
    transactions = ["BEGIN", "COMMIT", "ROLLBACK"]

    def __init__(self):
        self.server = MariaDB()

    def fresh(self, number):
        # Names of one length on both sides, and the same name for the other database's part of USE.
        for side in ("here", "there"):
            for part in ("main", "other"):
                self.server.sql(f"CREATE DATABASE {side}{number}_{part}")
            self.server.sql(f"CREATE TABLE {side}{number}_other.t(a int, other_b text); INSERT INTO {side}{number}_other.t VALUES (1, 'x'), (2, 'y')")
        return self.server.url(f"here{number}_main", user="admin"), NativeMariaDB(self.server.socket, "admin", f"there{number}_main")

    def sides(self, number, client, native):
        return (MariaDBClient(client, {"OTHER": f"here{number}_other", "MAIN": f"here{number}_main"}),
                MariaDBNative(native, {"OTHER": f"there{number}_other", "MAIN": f"there{number}_main"}))

    def on_native(self, native, sql, params):
        for value in params or []:
            sql = sql.replace("?", "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value), 1)
        return native.run(sql)

    def around(self, native):
        if native.run("SELECT @@in_transaction").rows == [["1"]]:
            return "SAVEPOINT x", "RELEASE SAVEPOINT x", ["ROLLBACK TO SAVEPOINT x", "RELEASE SAVEPOINT x"]
        return "START TRANSACTION", "COMMIT", ["ROLLBACK"]


@pytest.fixture(scope="module", params=[PostgreSQLMeaning, MariaDBMeaning], ids=["postgresql", "mariadb"])
def engine(request):
    made = request.param()
    yield made
    made.server.discard()


@pytest.mark.parametrize("shared", [False, True], ids=["session", "shared"])
def test_as_the_native_client(engine, start_daemon, directory, shared):
    config = directory / "one.toml"
    for number in range(max(1, ROUNDS // 3) if shared else ROUNDS):
        print(f"LITEBASE_MEANING_SEED={SEED}, sequence {number}")
        name = f"{number}_{'shared' if shared else 'session'}"
        url, native = engine.fresh(name)
        config.write_text(f'[limits]\npool_connections_max = 1\n[databases.db]\nurl = "{url}"\n')
        daemon = start_daemon("--config", config)
        try:
            Sequence(engine, *engine.sides(name, daemon.connect(), native), SEED * 1000 + number, shared).run()
        finally:
            native.close()
        daemon.finish()
