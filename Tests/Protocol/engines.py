"""What the conformance suite must know of each engine: its server, its words, and what it cannot do, with the reason."""

import math
import shutil
import sqlite3

from daemon import counting, short_directory
from mariadb import MariaDB
from postgresql import PostgreSQL
from redis_server import Redis

# Values that survive the way into a column and back, by the kind of the column.
EDGES = {
    "integer": [0, 1, -1, 2**31, 2**53 - 1, 2**53 + 1, 2**63 - 1, -2**63, None],
    "real": [0.0, -0.0, 0.1, 1.5, 1e15, 1e16, 123456789.125, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, None],
    "text": ["", "a", " both ends ", "ü", "日本語", "😀 e\u0301 \ufeff", "'\"\\%_", "line\r\nline\ttab", "?, $1, :a -- /* */", "0", "NULL",
             "nul \0 nul", "\0", "x" * 200_000, None],
    "blob": [b"", b"\0", bytes(range(256)), b"\xff\xfe\x80", b"'\\", b"\x00" * 200_000, None],
    "decimal": ["0.000000", "-0.000001", "1.500000", "12345678901234.567890", None],
    "boolean": [True, False, None],
    "date": ["2024-02-29", "1970-01-01", "9999-12-31", None],
    "timestamp": ["2026-02-28 12:34:56.123456", "2026-02-28 23:59:59.999999", "1999-12-31 00:00:00.000001", None],
}


class Engine:
    """One running engine. Subclasses fill in the words; `lacks` says which cases do not apply, and why."""

    name = None
    has_server = True
    column_types = {}
    type_names = {}
    lacks = {}
    errors = {}
    writes = []
    settings = None
    # Kinds of values that are told apart.
    kinds = tuple(EDGES)

    # Values

    def mark(self, number, kind="integer"):
        """The placeholder of parameter `number` (from 1) where nothing else tells its type."""
        return "?"

    def marks(self, count):
        return ", ".join(self.mark(number, None) for number in range(1, count + 1))

    def refuses(self, kind, value):
        """Why a value cannot be stored: an SQLSTATE, or None."""
        return None

    def reads(self, kind, value):
        """What comes back for a parameter."""
        return value

    def stores(self, kind, value):
        """What comes back for a value that was in a column."""
        return self.reads(kind, value)

    # Statements that every engine has, in its words

    begin, commit, savepoint = "BEGIN", "COMMIT", "SAVEPOINT a"
    # Rows that take seconds to read.
    many = 10_000_000

    def say(self, number):
        """What does nothing but answer with a number."""
        return f"SELECT {number}"

    def said(self, number):
        return number

    def row(self, number):
        """One of `rows`."""
        return [number, f"row number {number}", number * 0.5]

    def echo(self, kind):
        """What answers with its parameter."""
        return f"SELECT {self.mark(1, kind)}"

    def state(self):
        """What no reader may change."""
        return self.beside("SELECT id, name, n FROM item ORDER BY id"), self.beside("SELECT id FROM child")

    def creation(self, table, columns):
        return f"CREATE TABLE {table}({', '.join(f'{column} {self.column_types[kind]}' for column, kind in columns)})"

    def filling(self):
        """Statements and their parameters: the tables of Place.fill."""
        kinds = self.column_types
        yield f"CREATE TABLE item(id {kinds['key']}, name {kinds['name']} NOT NULL, n {kinds['integer']} CHECK (n >= 0))", None
        yield f"CREATE TABLE child(id {kinds['key']}, item {kinds['integer']}, FOREIGN KEY (item) REFERENCES item(id))", None
        for row in ([1, "one", 10], [2, "two", 20], [3, "three", None]):
            yield f"INSERT INTO item(id, name, n) VALUES ({self.marks(3)})", row

    def insert(self, table):
        """One row of `id` and `v`, by two parameters."""
        return f"INSERT INTO {table} VALUES ({self.marks(2)})"

    def look(self, table):
        return f"SELECT * FROM {table}"

    def emptying(self, table):
        return f"DELETE FROM {table}"

    def values(self, table):
        """All `v`, seen past the daemon."""
        return [int(row[0]) for row in self.beside(f"SELECT v FROM {table}")]

    def count(self, table, v):
        return self.values(table).count(v)

    def beside(self, sql):
        """Runs SQL past the daemon; returns its rows."""
        raise NotImplementedError

    # The server

    def url(self, **options):
        raise NotImplementedError

    def configuration(self):
        """Further databases for the daemon's configuration."""
        return ""

    def busy_backends(self):
        """Connections of the daemon that run something or have a transaction open, as the server sees them."""
        return []

    def backend_count(self):
        return 0

    def discard(self):
        pass


class SQLite(Engine):
    name = "sqlite"
    has_server = False
    lacks = {
        "server": "the engine is a part of the daemon: there is no server to kill, pause or restart",
        "pool": "there is no pool: readers open connections of their own, writers queue",
        "permission": "rights are the daemon's (access, the policy); the engine has none",
        "failed": "a failed statement leaves the transaction as it was",
        "division": "1/0 is NULL",
    }
    column_types = {"integer": "INTEGER", "real": "REAL", "text": "TEXT", "blob": "BLOB", "decimal": "TEXT", "boolean": "BOOLEAN",
                    "date": "TEXT", "timestamp": "TEXT", "key": "INTEGER PRIMARY KEY", "name": "TEXT"}
    # A value has a type in SQLite, a column has an affinity.
    type_names = {"integer": "integer", "real": "real", "text": "text", "blob": "blob"}
    sleep_brief = counting(20_000, "max(x)")
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
    slow_write = "INSERT INTO {table} WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT 1000 + x, 7 FROM c"
    temporary = "CREATE TEMP TABLE {table}(a INTEGER)"
    settings = ("PRAGMA cache_size = 77", "PRAGMA cache_size", 77)
    invalid_text = ("SELECT CAST(x'61ff62' AS TEXT)", b"a\xffb")
    zero_columns = None
    errors = {
        "syntax": ("SELECT 1 FROMM x WHERE", "syntax_error", "42601", None),
        "first word": ("SELEC 1", "syntax_error", "42601", 0),
        "column": ("SELECT 'ü', nix", "database_error", "42703", 13),
        "table": ("SELECT * FROM nowhere", "database_error", "42P01", None),
        "unique": ("INSERT INTO item(id, name) VALUES (1, 'twice')", "constraint_violation", "23505", None),
        "not null": ("INSERT INTO item(id, name) VALUES (100, NULL)", "constraint_violation", "23502", None),
        "check": ("INSERT INTO item(id, name, n) VALUES (100, 'x', -1)", "constraint_violation", "23514", None),
        "foreign key": ("INSERT INTO child(id, item) VALUES (1, 999)", "constraint_violation", "23503", None),
        "exists": ("CREATE TABLE item(a INTEGER)", "database_error", None, None),
        "two statements": ("SELECT 1; SELECT 2", "bad_request", None, None),
        "nothing": ("", "bad_request", "42601", None),
    }
    writes = ["INSERT INTO item(id, name) VALUES (50, 'x')", "UPDATE item SET n = 9", "DELETE FROM item", "CREATE TABLE written(a INTEGER)",
              "DROP TABLE item", "CREATE INDEX written ON item(n)", "REPLACE INTO item(id, name) VALUES (1, 'x')",
              "PRAGMA user_version = 7", "ALTER TABLE item RENAME TO written",
              "INSERT INTO item(id, name) VALUES (51, 'x') RETURNING id"]
    escapes = [["PRAGMA query_only = off"], ["PRAGMA writable_schema = on"], ["BEGIN IMMEDIATE"], ["BEGIN EXCLUSIVE"],
               ["PRAGMA journal_mode = DELETE"]]

    def __init__(self):
        self.directory = short_directory()
        self.path = self.directory / "conformance.db"

    def url(self, **options):
        return f"sqlite:{self.path}"

    def counting(self, count):
        return counting(count) if count else counting(1) + " WHERE x < 0"

    def rows(self, count):
        return counting(count, "x, 'row number ' || x, x * 0.5")

    def late_error(self, count):
        """Rows, and an error after them."""
        return counting(count, f"x, abs(CASE WHEN x = {count} THEN -9223372036854775808 ELSE 1 END)")

    def reads(self, kind, value):
        if isinstance(value, float) and math.isnan(value):
            return None
        return int(value) if isinstance(value, bool) else value

    def stores(self, kind, value):
        # Whole numbers in a REAL column are kept as integers on disk: https://www.sqlite.org/datatype3.html, note in 2.
        return 0.0 if value == 0 and kind == "real" else self.reads(kind, value)

    def beside(self, sql):
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            with connection:
                return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def discard(self):
        shutil.rmtree(self.directory, ignore_errors=True)


class ServerEngine(Engine):
    """What engines with a server have in common. `server` has start, stop, kill, pause, go_on and discard."""

    def stop(self):
        """Ends in good order; connections are told."""
        self.server.stop()

    def kill(self):
        self.server.kill()

    def restart(self):
        self.server.start()

    def pause(self):
        self.server.pause()

    def go_on(self):
        self.server.go_on()

    def discard(self):
        self.server.discard()


class PostgreSQLEngine(ServerEngine):
    name = "postgresql"
    column_types = {"integer": "bigint", "real": "double precision", "text": "text", "blob": "bytea", "decimal": "numeric(20,6)",
                    "boolean": "boolean", "date": "date", "timestamp": "timestamp", "key": "bigint PRIMARY KEY", "name": "text"}
    type_names = {"integer": "integer", "real": "real", "text": "text", "blob": "blob", "decimal": "decimal", "boolean": "boolean",
                  "date": "date", "timestamp": "timestamp"}
    sleep_brief = "SELECT pg_sleep(0.002)"
    slow = "SELECT pg_sleep(30)"
    slow_write = "INSERT INTO {table} SELECT 1000, length(pg_sleep(30)::text)"
    temporary = "CREATE TEMP TABLE {table}(a INTEGER)"
    settings = ("SET work_mem = '77MB'", "SHOW work_mem", "77MB")
    invalid_text = None
    zero_columns = "SELECT FROM generate_series(1, 3)"
    errors = {
        "syntax": ("SELECT 1 FROMM x WHERE", "syntax_error", "42601", 15),
        "first word": ("SELEC 1", "syntax_error", "42601", 0),
        "column": ("SELECT 'ü', nix", "syntax_error", "42703", 13),
        "table": ("SELECT * FROM nowhere", "syntax_error", "42P01", 14),
        "unique": ("INSERT INTO item(id, name) VALUES (1, 'twice')", "constraint_violation", "23505", None),
        "not null": ("INSERT INTO item(id, name) VALUES (100, NULL)", "constraint_violation", "23502", None),
        "check": ("INSERT INTO item(id, name, n) VALUES (100, 'x', -1)", "constraint_violation", "23514", None),
        "foreign key": ("INSERT INTO child(id, item) VALUES (1, 999)", "constraint_violation", "23503", None),
        "exists": ("CREATE TABLE item(a INTEGER)", "database_error", "42P07", None),
        "division": ("SELECT 1/0", "database_error", "22012", None),
        "two statements": ("SELECT 1; SELECT 2", "syntax_error", "42601", None),
        "nothing": ("", "bad_request", "42601", None),
    }
    denied = ("INSERT INTO item(id, name) VALUES (60, 'x')", "42501")
    writes = ["INSERT INTO item(id, name) VALUES (50, 'x')", "UPDATE item SET n = 9", "DELETE FROM item", "CREATE TABLE written(a INTEGER)",
              "DROP TABLE item", "CREATE INDEX written ON item(n)", "TRUNCATE item CASCADE", "ALTER TABLE item RENAME TO written",
              "SELECT n FROM item WHERE id = 1 FOR UPDATE", "SELECT lo_create(0)", "DO $$ BEGIN UPDATE item SET n = 9; END $$",
              "WITH gone AS (DELETE FROM child RETURNING id) SELECT * FROM gone",
              "INSERT INTO item(id, name) VALUES (51, 'x') RETURNING id", "MERGE INTO item USING (SELECT 1 AS i) s ON id = i "
              "WHEN MATCHED THEN UPDATE SET n = 9"]
    escapes = [["BEGIN READ WRITE"], ["SET default_transaction_read_only = off"], ["RESET ALL"], ["BEGIN", "COMMIT AND CHAIN"],
               ["SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"]]

    def __init__(self):
        self.server = PostgreSQL()
        self.server.psql("CREATE ROLE limited LOGIN; GRANT pg_read_all_data TO limited")

    def url(self, **options):
        return self.server.url(**options)

    def configuration(self):
        return f'[databases.limited]\nurl = "{self.url(user="limited")}"\n'

    def mark(self, number, kind="integer"):
        return f"${number}::{self.column_types[kind]}" if kind else f"${number}"

    def counting(self, count):
        return f"SELECT x FROM generate_series(1, {count}) x"

    def rows(self, count):
        return f"SELECT x, 'row number ' || x, x * 0.5::float8 FROM generate_series(1, {count}) x"

    def late_error(self, count):
        return f"SELECT x, 1 / ({count} - x) FROM generate_series(1, {count}) x"

    def refuses(self, kind, value):
        return "22021" if kind == "text" and value and "\0" in value else None

    def beside(self, sql):
        text = self.server.psql(sql)
        return [tuple(line.split("|")) for line in text.split("\n")] if text else []

    def busy_backends(self):
        return [state for state in self.server.backends() if state != "idle"]

    def backend_count(self):
        return len(self.server.backends())


class MariaDBEngine(ServerEngine):
    name = "mysql"
    lacks = {
        "failed": "a failed statement leaves the transaction as it was",
        "division": "1/0 is NULL",
        "first word": "the server has one code for all mistakes of syntax: see \"syntax\"",
    }
    column_types = {"integer": "BIGINT", "real": "DOUBLE", "text": "LONGTEXT", "blob": "LONGBLOB", "decimal": "DECIMAL(20,6)",
                    "boolean": "BOOLEAN", "date": "DATE", "timestamp": "DATETIME(6)", "key": "BIGINT PRIMARY KEY", "name": "VARCHAR(100)"}
    type_names = {"integer": "integer", "real": "real", "text": "text", "blob": "blob", "decimal": "decimal", "boolean": "integer",
                  "date": "date", "timestamp": "datetime"}
    sleep_brief = "SELECT SLEEP(0.002)"
    slow = "SELECT SLEEP(30)"
    slow_write = "INSERT INTO {table} SELECT 1000, 7 + SLEEP(30)"
    temporary = "CREATE TEMPORARY TABLE {table}(a INTEGER)"
    settings = ("SET SESSION max_sort_length = 77", "SELECT @@max_sort_length", 77)
    invalid_text = None
    zero_columns = None
    errors = {
        "syntax": ("SELECT 1 FROMM x WHERE", "syntax_error", "42000", 15),
        "column": ("SELECT 'ü', nix", "syntax_error", "42S22", None),
        "table": ("SELECT * FROM nowhere", "syntax_error", "42S02", None),
        "unique": ("INSERT INTO item(id, name) VALUES (1, 'twice')", "constraint_violation", "23000", None),
        "not null": ("INSERT INTO item(id, name) VALUES (100, NULL)", "constraint_violation", "23000", None),
        "check": ("INSERT INTO item(id, name, n) VALUES (100, 'x', -1)", "constraint_violation", "23000", None),
        "foreign key": ("INSERT INTO child(id, item) VALUES (1, 999)", "constraint_violation", "23000", None),
        "exists": ("CREATE TABLE item(a INTEGER)", "database_error", "42S01", None),
        "two statements": ("SELECT 1; SELECT 2", "syntax_error", "42000", None),
        "nothing": ("", "bad_request", "42601", None),
    }
    denied = ("INSERT INTO item(id, name) VALUES (60, 'x')", "42501")
    writes = ["INSERT INTO item(id, name) VALUES (50, 'x')", "UPDATE item SET n = 9", "DELETE FROM item", "CREATE TABLE written(a INTEGER)",
              "DROP TABLE item", "CREATE INDEX written ON item(n)", "TRUNCATE child", "ALTER TABLE item RENAME TO written",
              "REPLACE INTO item(id, name) VALUES (1, 'x')", "INSERT INTO item(id, name) VALUES (51, 'x') RETURNING id",
              "/*!50000 DELETE FROM child */", "CREATE OR REPLACE VIEW written AS SELECT 1", "ANALYZE TABLE item",
              "CREATE SEQUENCE written", "GRANT SELECT ON lb.* TO reader@localhost", "DELETE item FROM item JOIN child ON item.id = child.id"]
    escapes = [["SET SESSION TRANSACTION READ WRITE"], ["SET SESSION tx_read_only = 0"], ["START TRANSACTION READ WRITE"],
               ["BEGIN", "COMMIT AND CHAIN"], ["SET autocommit = 0"], ["/*!50000 START TRANSACTION READ WRITE */"], ["BEGIN", "COMMIT"],
               ["XA START 'x'"], ["BEGIN", "/*M!100000 COMMIT */"], ["BEGIN NOT ATOMIC COMMIT; UPDATE item SET n = 9; END"],
               ["SET @@session.transaction_read_only = off"], ["SET STATEMENT tx_read_only = 0 FOR UPDATE item SET n = 9"],
               ["PREPARE p FROM 'COMMIT'", "EXECUTE p"], ["EXECUTE IMMEDIATE 'COMMIT'"]]

    def __init__(self):
        # A killed server must not lose what it has acknowledged.
        self.server = MariaDB(innodb_flush_log_at_trx_commit="2")

    def url(self, **options):
        return self.server.url(**options)

    def configuration(self):
        return f'[databases.limited]\nurl = "{self.url(user="reader")}"\n'

    def counting(self, count):
        return f"SELECT seq AS x FROM seq_1_to_{max(count, 1)}" + ("" if count else " WHERE seq < 0")

    def rows(self, count):
        return f"SELECT seq, CONCAT('row number ', seq), seq * 0.5e0 FROM seq_1_to_{count}"

    def late_error(self, count):
        return f"SELECT seq, (SELECT 1 UNION ALL SELECT 2 FROM DUAL WHERE s.seq = {count}) FROM seq_1_to_{count} s"

    def refuses(self, kind, value):
        return "22003" if kind == "real" and value is not None and not math.isfinite(value) else None

    def reads(self, kind, value):
        if kind == "real" and value == 0:
            return 0.0  # the server drops the sign
        return int(value) if isinstance(value, bool) else value

    def beside(self, sql):
        text = self.server.sql(sql, "lb")
        return [tuple(line.split("\t")) for line in text.split("\n")] if text else []

    def busy_backends(self):
        open_transactions = self.server.sql("SELECT trx_id FROM information_schema.innodb_trx")
        return self.server.busy() + open_transactions.split()

    def backend_count(self):
        return len(self.server.connections())


class RedisEngine(ServerEngine):
    name = "redis"
    lacks = {
        "sql": "statements are commands; there are no tables, types, savepoints or rollback of what was executed",
        "kinds": "every value is a string, so that there are no decimals, dates or booleans to be kept apart",
        "nested": "MULTI cannot be nested: an atomic batch is a transaction of its own",
    }
    kinds = ("integer", "text", "blob")
    begin, commit, savepoint = "MULTI", "EXEC", "PING"
    many = 1_000_000
    sleep_brief = "EVAL 'for i = 1, 200000 do end' 0"
    slow = "BLPOP nothing 0"
    slow_write = "BLPOP nothing 0"
    errors = {
        "first word": ("NOPE 1", "syntax_error", "42601", None),
        "syntax": ("SET item", "syntax_error", "42601", None),
        "nothing": ("", "bad_request", "42601", None),
        "type": ("LPUSH item 1", "database_error", "42804", None),
        "quotes": ("SET \"a", "syntax_error", "42601", 4),
    }
    denied = ("SET written 1", "42501")
    writes = ["HSET item 1 x", "SET written 1", "DEL item", "FLUSHDB", "FLUSHALL", "RENAME item written", "EXPIRE item 100", "LPUSH written 1",
              "INCR written", "COPY item written", "LPOP numbers", "SORT numbers BY nosort LIMIT 0 1 STORE written", "SETRANGE written 0 x",
              "EVAL \"redis.call('SET', 'written', '1')\" 0", "XADD written * a b", "PFADD written a", "BLPOP numbers 1", "GETSET written 1",
              "CONFIG SET maxmemory 1000000000", "SWAPDB 0 1", "FUNCTION FLUSH", "SCRIPT FLUSH", "RESTORE written 0 x", "MOVE item 1"]
    escapes = [["MULTI"], ["SELECT 1"], ["READWRITE"], ["MULTI", "EXEC"], ["WATCH item", "MULTI"], ["CLIENT NO-EVICT ON"]]

    def __init__(self):
        # A killed server must not lose what it has acknowledged.
        self.server = Redis(appendfsync="always")

        self.server.ask("ACL", "SETUSER", "reader", "on", "nopass", "allkeys", "+@read", "+@connection", "+info", "+command")

    def url(self, **options):
        return self.server.url(**options)

    def configuration(self):
        return f'[databases.limited]\nurl = "{self.url(user="reader", password="any")}"\n'

    def say(self, number):
        return f"ECHO {number}"

    def said(self, number):
        return str(number)

    def row(self, number):
        return [f"row number {number}"]

    def rows(self, count):
        return f"LRANGE rows 0 {count - 1}"

    def counting(self, count):
        return f"LRANGE numbers 0 {count - 1}" if count else "LRANGE nothing 0 1"

    def creation(self, table, columns):
        return None

    def filling(self):
        yield "HSET item 1 one 2 two 3 three", None
        fill = "for i = 1, tonumber(ARGV[2]) do redis.call('RPUSH', KEYS[1], ARGV[1] .. i) end"
        yield f"EVAL \"{fill}\" 1 rows 'row number ' 1000000", None
        yield f"EVAL \"{fill}\" 1 numbers '' 100000", None

    def insert(self, table):
        return f"HSET {table}"

    def look(self, table):
        return f"HGETALL {table}"

    def emptying(self, table):
        return f"DEL {table}"

    def echo(self, kind):
        return "ECHO"

    def refuses(self, kind, value):
        return "22004" if value is None else None

    def reads(self, kind, value):
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value
        return str(value)

    def values(self, table):
        return [int(value) for value in self.server.ask("HVALS", table)]

    def state(self):
        return [self.server.ask(*command) for command in (("DBSIZE",), ("HGETALL", "item"), ("LLEN", "numbers"), ("TTL", "item"),
                                                          ("CONFIG", "GET", "maxmemory"))]

    def clients(self):
        """Connections of the daemon's, as the server sees them."""
        fields = [dict(pair.split("=", 1) for pair in line.split()) for line in self.server.ask("CLIENT", "LIST").splitlines()]
        return [entry for entry in fields if entry.get("name") == "litebase"]

    def busy_backends(self):
        return [each for each in self.clients() if "b" in each["flags"] or each["multi"] != "-1"]

    def backend_count(self):
        return len(self.clients())


ENGINES = {engine.name: engine for engine in (SQLite, PostgreSQLEngine, MariaDBEngine, RedisEngine)}
