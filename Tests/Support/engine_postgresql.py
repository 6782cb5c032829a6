"""PostgreSQL for the conformance suite."""

from engine import ServerEngine
from postgresql import PostgreSQL


class PostgreSQLEngine(ServerEngine):
    name = "postgresql"
    reader = "limited"
    library, package = "libpq.so.5", "libpq5"
    link, who = "SELECT pg_backend_pid()", "SELECT current_user::text"
    column_types = {"integer": "bigint", "real": "double precision", "text": "text", "blob": "bytea", "decimal": "numeric(20,6)",
                    "boolean": "boolean", "date": "date", "timestamp": "timestamp", "key": "bigint PRIMARY KEY", "name": "text"}
    type_names = {"integer": "integer", "real": "real", "text": "text", "blob": "blob", "decimal": "decimal", "boolean": "boolean",
                  "date": "date", "timestamp": "timestamp"}
    sleep_brief = "SELECT pg_sleep(0.002)"
    slow = "SELECT pg_sleep(30)"
    slow_write = "INSERT INTO {table} SELECT 1000, length(pg_sleep(30)::text)"
    late_state, deadlock = "22012", ("40P01", None)
    reads_only = ["SELECT 1", "(SELECT 1)", "EXPLAIN SELECT 1", "VALUES (1)", "TABLE item", "SHOW work_mem", "WITH a AS (SELECT 1) SELECT * FROM a"]
    for_sessions = ["/* x */ commit", "SET search_path = x", "UNLISTEN a", "PREPARE p AS SELECT 1", "DISCARD ALL", "DECLARE c CURSOR FOR SELECT 1",
                    "LOCK TABLE item"]
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
              "WHEN MATCHED THEN UPDATE SET n = 9", "SELECT nextval('seq')", "SELECT setval('seq', 5)", "SELECT writes()",
              "/* SELECT */ UPDATE item SET n = 9", "-- SELECT\nUPDATE item SET n = 9", "COMMENT ON TABLE item IS 'x'"]
    disguised = ["SELECT 1; UPDATE item SET n = 9", "COMMIT; UPDATE item SET n = 9", "CALL escapes()",
                 "DO $$ BEGIN COMMIT; UPDATE item SET n = 9; END $$", "SELECT set_config('transaction_read_only', 'off', false)",
                 "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); UPDATE item SET n = 9; END $$",
                 "DO $$ BEGIN RESET transaction_read_only; UPDATE item SET n = 9; END $$",
                 "DO $$ BEGIN PERFORM set_config('transaction_read_only', NULL, true); UPDATE item SET n = 9; END $$",
                 "SELECT set_config('transaction_read_only', 'off', true), writes()"]
    escapes = [["BEGIN READ WRITE"], ["SET default_transaction_read_only = off"], ["RESET ALL"], ["BEGIN", "COMMIT AND CHAIN"],
               ["SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"], ["BEGIN", "SET TRANSACTION READ WRITE"],
               ["BEGIN", "SAVEPOINT a", "SET TRANSACTION READ WRITE"], ["BEGIN", "COMMIT AND CHAIN", "SET TRANSACTION READ WRITE"],
               ["BEGIN", "ROLLBACK AND CHAIN", "SET transaction_read_only = off"], ["BEGIN", "SET transaction_read_only TO DEFAULT"],
               ["BEGIN", "SET LOCAL transaction_read_only = DEFAULT"], ["BEGIN", "RESET ALL"], ["BEGIN", "RESET transaction_read_only"],
               ["BEGIN", "SELECT set_config('transaction_read_only', NULL, false)"], ["BEGIN", "DISCARD ALL"],
               ["SELECT set_config('default_transaction_read_only', 'off', false)", "BEGIN"], ["ROLLBACK PREPARED 'x'"],
               ["START TRANSACTION READ WRITE", "SAVEPOINT b", "ROLLBACK TO b"], ["BEGIN", "COMMIT"],
               ["PREPARE w AS UPDATE item SET n = 9", "EXECUTE w"], ["/* x */ BEGIN READ /* y */ WRITE"], ["SET ROLE lb"],
               ["SET SESSION AUTHORIZATION lb"], ["BEGIN", "COMMIT; UPDATE item SET n = 9"]]

    def __init__(self):
        self.server = PostgreSQL()
        self.server.psql("CREATE ROLE limited LOGIN; GRANT pg_read_all_data TO limited; CREATE SEQUENCE seq;"
                         "CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS $$BEGIN UPDATE item SET n = 98; RETURN 1; END$$;"
                         "CREATE PROCEDURE escapes() LANGUAGE plpgsql AS $$BEGIN COMMIT; UPDATE item SET n = 99; END$$")

    def url(self, **options):
        return self.server.url(**options)

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

    def state(self):
        return super().state(), self.beside("SELECT last_value, is_called FROM seq"), self.beside("SELECT count(*) FROM pg_largeobject_metadata")

    def beside(self, sql):
        return self.server.beside.rows(sql)

    def busy_backends(self):
        return [state for state in self.server.backends() if state != "idle"]

    def backend_count(self):
        return len(self.server.backends())
