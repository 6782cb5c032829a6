import SQLText
import Testing

@Suite struct SQLiteWholeTableTests {
    private func range(_ text: String) -> (table: String, sql: String)? {
        Array(text.utf8).withUnsafeBytes { bytes in
            SQLiteWholeTable(bytes).map { ($0.table, $0.range(rowID: "rowid")) }
        }
    }

    @Test(arguments: [
        ("SELECT * FROM t", "t", "*", "t"), ("select a, \"b c\",`d` from \"T \"", "T ", "a, \"b c\",`d` ", "\"T \""),
        ("SELECT * FROM main.t", "t", "*", "main.t"),
        ("SELECT * FROM \"main\" . [a b]", "a b", "*", "\"main\" . [a b]"),
        ("SELECT a FROM MAIN.\"t\" ", "t", "a", "MAIN.\"t\""), ("SELECT * FROM t -- all of it", "t", "*", "t"),
        ("SELECT a -- one\n, b /* two */ FROM t/* x */", "t", "a -- one\n, b /* two */", "t"),
        ("SELECT * FROM t\n-- b\n;", "t", "*", "t"), ("SELECT é FROM ü", "ü", "é", "ü"),
    ])
    func wholeTables(text: String, table: String, columns: String, source: String) throws {
        let found = try #require(range(text))
        #expect(found.table == table)
        let columns = columns.hasSuffix(" ") || columns.hasSuffix("/") ? columns : columns + " "
        let wanted = "SELECT \(columns)"
        #expect(found.sql.hasPrefix(wanted), "\(found.sql)")
        let tail = ", rowid FROM \(source) NOT INDEXED WHERE rowid BETWEEN ?1 AND ?2 ORDER BY rowid"
        #expect(found.sql.hasSuffix(tail), "\(found.sql)")
    }

    /// Whatever is not certain to give all rows of one table, each for itself and at any time alike.
    @Test(arguments: [
        "", "SELECT", "SELECT *", "SELECT * FROM", "SELECT * FROM t u", "SELECT * FROM t AS u", "SELECT * FROM t, u",
        "SELECT * FROM t WHERE a", "SELECT * FROM t ORDER BY a", "SELECT * FROM t LIMIT 1", "SELECT * FROM (t)",
        "SELECT * FROM t()", "SELECT * FROM temp.t", "SELECT * FROM x.y.z", "SELECT * FROM main.1t",
        "SELECT * FROM main.t.u",
        "SELECT DISTINCT a FROM t", "SELECT ALL * FROM t", "SELECT a b FROM t", "SELECT a AS b FROM t",
        "SELECT t.* FROM t",
        "SELECT count(*) FROM t", "SELECT a + 1 FROM t", "SELECT 'a' FROM t", "SELECT 1 FROM t", "SELECT ?1 FROM t",
        "SELECT a, FROM t", "SELECT *, a FROM t", "SELECT current_time FROM t", "SELECT a, CURRENT_TIMESTAMP FROM t",
        "SELECT current_Date FROM t", "VALUES (1)", "WITH t AS (SELECT 1) SELECT * FROM t", "EXPLAIN SELECT * FROM t",
        "SELECT * FROM t UNION SELECT 1", "SELECT * FROM t\0 WHERE a", "SELECT * FROM 't'",
        "SELECT * FROM t INDEXED BY i",
        "SELECT * FROM 'main'.t", "SELECT * FROM \"main.t", "DELETE FROM t",
    ])
    func others(text: String) { #expect(range(text) == nil) }
}
