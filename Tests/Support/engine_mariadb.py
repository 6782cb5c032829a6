"""MariaDB for the conformance suite."""

import math

from engine import ServerEngine
from mariadb import MariaDB


class MariaDBEngine(ServerEngine):
    name = "mysql"
    library, package = "libmariadb.so.3", "libmariadb3"
    link, who = "SELECT CONNECTION_ID()", "SELECT CURRENT_USER()"
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
    late_state, deadlock = "21000", ("40001", 1213)
    reads_only = ["SELECT 1", "(SELECT 1)", "EXPLAIN SELECT 1", "SHOW TABLES", "VALUES (1)", "DESCRIBE item", "WITH a AS (SELECT 1) SELECT * FROM a"]
    for_sessions = ["/* x */ commit", "SET autocommit = 0", "# x\nset @a = 1", "USE lb", "-- x\nPREPARE p FROM 'SELECT 1'", "LOCK TABLES item READ",
                    "START TRANSACTION", "/*! BEGIN */", "/*M!100100 SET */ @a = 1", "XA START 'x'", "HANDLER item OPEN"]
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
              "CREATE SEQUENCE written", "GRANT SELECT ON lb.* TO reader@localhost", "DELETE item FROM item JOIN child ON item.id = child.id",
              "SELECT NEXTVAL(seq)", "SELECT SETVAL(seq, 5)", "SELECT writes()", "WITH a AS (SELECT 1) SELECT writes()", "TRUNCATE item",
              "OPTIMIZE TABLE item", "FLUSH TABLES", "RENAME TABLE item TO written", "CREATE TEMPORARY TABLE written(a int)",
              "SELECT n FROM item FOR UPDATE", "CALL shows()", "LOAD DATA INFILE '/x' INTO TABLE item",
              "/* SELECT */ UPDATE item SET n = 9", "-- SELECT\nUPDATE item SET n = 9", "# SELECT\nUPDATE item SET n = 9"]
    # The server may end a transaction of a statement's that says so; what is known to do that is not even sent.
    disguised = ["SELECT 1; UPDATE item SET n = 9", "UPDATE item SET n = 9; COMMIT", "COMMIT; UPDATE item SET n = 9", "CALL escapes()",
                 "BEGIN NOT ATOMIC COMMIT; UPDATE item SET n = 9; END", "EXECUTE IMMEDIATE 'UPDATE item SET n = 9'", "DO NEXTVAL(seq)",
                 "/*!99999 SELECT */ TRUNCATE child", "/*! TRUNCATE */ child", "LOCK TABLES item WRITE", "XA START 'x'",
                 "SET STATEMENT tx_read_only = 0 FOR UPDATE item SET n = 9", "SELECT unseals(), writes()",
                 "lbl: BEGIN NOT ATOMIC COMMIT; END", "IF true THEN COMMIT; END IF", "SELECT 1 INTO OUTFILE '/tmp/lb-outfile'"]
    escapes = [["SET SESSION TRANSACTION READ WRITE"], ["SET SESSION tx_read_only = 0"], ["START TRANSACTION READ WRITE"],
               ["BEGIN", "COMMIT AND CHAIN"], ["SET autocommit = 0"], ["/*!50000 START TRANSACTION READ WRITE */"], ["BEGIN", "COMMIT"],
               ["XA START 'x'"], ["BEGIN", "/*M!100000 COMMIT */"], ["BEGIN NOT ATOMIC COMMIT; UPDATE item SET n = 9; END"],
               ["SET @@session.transaction_read_only = off"], ["SET STATEMENT tx_read_only = 0 FOR UPDATE item SET n = 9"],
               ["PREPARE p FROM 'COMMIT'", "EXECUTE p"], ["EXECUTE IMMEDIATE 'COMMIT'"], ["SET tx_read_only = 0"],
               ["BEGIN", "SET TRANSACTION READ WRITE"], ["BEGIN", "ROLLBACK AND CHAIN"], ["COMMIT AND CHAIN"],
               ["SET @@autocommit = 0", "SELECT 1"], ["BEGIN", "SET `autocommit` = 1"], ["SET completion_type = 1"], ["SELECT unseals()"],
               ["SELECT unseals()", "BEGIN"], ["SELECT unseals()", "COMMIT AND CHAIN"], ["BEGIN", "SELECT unseals()", "COMMIT AND CHAIN"],
               ["BEGIN", "BEGIN"], ["START TRANSACTION WITH CONSISTENT SNAPSHOT"], ["START /*!50000 TRANSACTION READ */ WRITE"],
               ["BEGIN", "SAVEPOINT a", "ROLLBACK TO a"], ["PREPARE w FROM 'UPDATE item SET n = 9'", "EXECUTE w"],
               ["BEGIN", "COMMIT RELEASE"], ["SET /*!50000 SESSION */ /**/ tx_read_only = 0"], ["BEGIN /* x */", "LOCK TABLES item WRITE"],
               ["HANDLER item OPEN"], ["BEGIN", "CREATE TABLE written(a int)"], ["BEGIN", "SET PASSWORD = PASSWORD('x')"],
               ["SET SESSION TRANSACTION READ WRITE; SELECT 1"], ["BEGIN", "COMMIT; UPDATE item SET n = 9"], ["CALL escapes()"]]

    def __init__(self):
        # A killed server must not lose what it has acknowledged.
        self.server = MariaDB(innodb_flush_log_at_trx_commit="2")
        self.server.sql("CREATE SEQUENCE seq;\nDELIMITER //\n"
                        "CREATE PROCEDURE escapes() BEGIN COMMIT; SET SESSION TRANSACTION READ WRITE; UPDATE item SET n = 99; END//\n"
                        "CREATE PROCEDURE shows() BEGIN SELECT 1; SELECT 2; END//\n"
                        "CREATE FUNCTION writes() RETURNS int BEGIN UPDATE item SET n = 98; RETURN 1; END//\n"
                        "CREATE FUNCTION unseals() RETURNS int BEGIN SET SESSION tx_read_only = 0; RETURN 1; END//\n", "lb")

    def url(self, **options):
        return self.server.url(**options)

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

    def state(self):
        return super().state(), self.beside("SELECT next_not_cached_value FROM seq"), self.beside("SHOW TABLES")

    def beside(self, sql):
        return self.server.beside.rows(sql)

    def busy_backends(self):
        return self.server.busy() or self.server.transactions()

    def backend_count(self):
        return len(self.server.connections())
