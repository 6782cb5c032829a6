import SQLText
import Testing

@Suite struct PlainStatementTests {
    private func isPlain(_ sql: String, _ dialect: ServerDialect) -> Bool {
        var sql = sql
        return sql.withUTF8 { PlainStatement.isPlain(UnsafeRawBufferPointer($0), dialect) }
    }

    @Test(arguments: [
        "SELECT 1", "SELECT * FROM t WHERE id = $1", "SELECT count(*), max(x) FROM t GROUP BY y HAVING count(*) > 2",
        "INSERT INTO t (a, b) VALUES ($1, $2)",
        "INSERT INTO s.t(a) VALUES (1), (2) ON CONFLICT (a) DO NOTHING RETURNING a",
        "UPDATE t SET a = coalesce(b, 0) + 1 WHERE a IN (1, 2)", "DELETE FROM t WHERE a = 'it''s (fine)'",
        "SELECT \"a\".\"b\" FROM \"a\"", "SELECT x::numeric(10, 2), -- why\n y FROM t", "SELECT /* a (b) ' */ 1",
        "SELECT lower(x), row_number() OVER (PARTITION BY y ORDER BY z) FROM t",
        "SELECT (1), ((2)), (SELECT max(x) FROM t)",
        "WITH w AS (SELECT 1) SELECT * FROM w JOIN t USING (id)", "WITH w AS (INSERT INTO t (a) VALUES (1)) SELECT 1",
    ]) func plain(sql: String) {
        #expect(isPlain(sql, .postgresql))
    }

    @Test(arguments: [
        "SELECT @@version", "INSERT IGNORE INTO `t` (`a`) VALUES (?)",
        "REPLACE INTO t (a) VALUES (replace(?, 'a', 'b'))",
        "SELECT `a` FROM `t` # (f(x)) '\n WHERE id = ?",
        "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)",
        "SELECT GROUP_CONCAT(x), IF(a, b, c), DATE_FORMAT(NOW(), '%Y') FROM t",
    ]) func plainOfMySQL(sql: String) {
        #expect(isPlain(sql, .mysql))
    }

    @Test(arguments: [
        "SELECT f()", "SELECT f ()", "SELECT f/**/()", "SELECT f--\n()", "SELECT s.lower(1)", "SELECT \"lower\"(1)",
        "SELECT 1 INTO t", "SELECT 1 AS insert INTO TEMP t", "SELECT (1) insert INTO TEMP t",
        "SELECT insert, 1 INTO TEMP t",
        "SELECT E'\\'', f() -- '", "SELECT $a$'$a$, f() -- '", "SELECT /* /* ' */ */ 1 -- '", "SELECT 1 --\r, f()",
        "SELECT 'never closed", "SELECT U&\"f\"()", "SELECT set_config('a', 'b', false)", "SELECT nextval('s')",
        "SELECT lower(f(1))", "INSERT INTO t VALUES (f())", "INSERT INTO t (a) SELECT f(1)", "SELECT a.b(1)",
    ]) func notPlain(sql: String) {
        #expect(!isPlain(sql, .postgresql))
        #expect(!isPlain(sql, .mysql))
    }

    @Test(arguments: [
        "SELECT @a := 1", "SELECT 1 INTO @a", "SELECT `f`()", "SELECT 1 /*! , f() */", "SELECT 1 /*M! , f() */",
        "SELECT 1--'\n + f() -- '", "SELECT $f()", "SELECT 1f()", "SELECT NEXT VALUE FOR s", "SELECT '\\', f() -- '",
        "SELECT * FROM t PROCEDURE ANALYSE()", "SELECT LAST_INSERT_ID(5)", "SELECT GET_LOCK('a', 1)",
        "SELECT 1 # '\n, f() # '",
    ]) func notPlainOfMySQL(sql: String) {
        #expect(!isPlain(sql, .mysql))
    }
}
