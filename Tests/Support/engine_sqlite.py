"""SQLite for the conformance suite."""

import math
import shutil
import sqlite3

from daemon import counting, short_directory
from engine import Engine


class SQLite(Engine):
    name = "sqlite"
    has_server = False
    lacks = {
        "server": "the engine is a part of the daemon: there is no server to kill, pause or restart",
        "pool": "there is no pool: readers open connections of their own, writers queue",
        "permission": "rights are the daemon's (access, the policy); the engine has none",
        "failed": "a failed statement leaves the transaction as it was",
        "division": "1/0 is NULL",
        "reading batch": "a batch is for writing, and refused where only reading is allowed",
    }
    column_types = {"integer": "INTEGER", "real": "REAL", "text": "TEXT", "blob": "BLOB", "decimal": "TEXT", "boolean": "BOOLEAN",
                    "date": "TEXT", "timestamp": "TEXT", "key": "INTEGER PRIMARY KEY", "name": "TEXT"}
    # A value has a type in SQLite, a column has an affinity.
    type_names = {"integer": "integer", "real": "real", "text": "text", "blob": "blob"}
    sleep_brief = counting(20_000, "max(x)")
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"
    slow_write = "INSERT INTO {table} WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT 1000 + x, 7 FROM c"
    in_batch = "needs_session"
    late_state = "22003"
    reads_only = ["SELECT 1", "EXPLAIN SELECT 1", "VALUES (1)", "WITH a AS (SELECT 1) SELECT * FROM a", "PRAGMA table_info(item)"]
    temporary = "CREATE TEMP TABLE {table}(a INTEGER)"
    settings = ("PRAGMA cache_size = 77", "PRAGMA cache_size", 77)
    invalid_text = ("SELECT CAST(x'61ff62' AS TEXT)", b"a\xffb")
    zero_columns = None
    errors = {
        "syntax": ("SELECT 1 FROMM x WHERE", "syntax_error", "42601", None),
        "first word": ("SELEC 1", "syntax_error", "42601", 0),
        "column": ("SELECT 'ü', nix", "syntax_error", "42703", 13),
        "table": ("SELECT * FROM nowhere", "syntax_error", "42P01", None),
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
    disguised = ["SELECT 1; UPDATE item SET n = 9", "COMMIT; UPDATE item SET n = 9", "/* SELECT */ UPDATE item SET n = 9",
                 "-- SELECT\nUPDATE item SET n = 9", "WITH a AS (SELECT 1) UPDATE item SET n = 9", "EXPLAIN; UPDATE item SET n = 9"]
    escapes = [["PRAGMA query_only = off"], ["PRAGMA writable_schema = on"], ["BEGIN IMMEDIATE"], ["BEGIN EXCLUSIVE"],
               ["PRAGMA journal_mode = DELETE"], ["BEGIN"], ["BEGIN", "COMMIT"], ["BEGIN", "PRAGMA query_only = 0"],
               ["SAVEPOINT a", "PRAGMA query_only(0)"], ["PRAGMA query_only = off; SELECT 1"]]

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
