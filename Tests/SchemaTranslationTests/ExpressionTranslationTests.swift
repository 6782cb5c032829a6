import Testing

@testable import SchemaTranslation

@Suite struct ExpressionTranslationTests {
    private func translate(_ text: String, known: Set<String>? = ["a", "b", "order"]) throws(Untranslatable) -> String {
        try ExpressionTranslation(names: Names(keepsCase: false), known: known).translate(SQLToken.all(of: text))
    }

    @Test(arguments: [
        ("a > 0 AND B <> 'it''s'", "\"a\" > 0 AND \"b\" <> 'it''s'"),
        ("[a]==`b` and \"order\" != 1", "\"a\" = \"b\" AND \"order\" <> 1"),
        ("a IS b", "\"a\" IS NOT DISTINCT FROM \"b\""), ("a IS NOT b", "\"a\" IS DISTINCT FROM \"b\""),
        ("a IS NOT NULL", "\"a\" IS NOT NULL"), ("a NOT NULL or b ISNULL", "\"a\" IS NOT NULL OR \"b\" IS NULL"),
        ("a LIKE 'x\\%'", "\"a\" ILIKE E'x\\\\%' ESCAPE ''"),
        ("a LIKE 'x!%' ESCAPE '!'", "\"a\" ILIKE 'x!%' ESCAPE '!'"),
        ("x'00fF'", "'\\x00fF'::bytea"), ("0x10 + -1.5e-3", "16 + - 1.5e-3"), ("0xffffffffffffffff", "-1"),
        ("ifnull(a, instr(b, 'x'))", "coalesce(\"a\" , strpos(\"b\" , 'x'))"),
        ("a % 3", "\"a\" % 3"),
        ("iif(a, 1, 2)", "CASE WHEN \"a\" THEN 1 ELSE 2 END"),
        ("datetime('now')", "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"),
        ("a /* c */ || b -- d", "\"a\" COLLATE \"C\" || \"b\" COLLATE \"C\""),
        ("a||'-'||lower(b)", "\"a\" COLLATE \"C\" || '-' COLLATE \"C\" || lower(\"b\") COLLATE \"C\""),
        ("a COLLATE BINARY = b", "\"a\" COLLATE \"C\" = \"b\""),
    ])
    func means(_ text: String, _ expected: String) throws {
        #expect(try translate(text) == expected)
    }

    @Test(arguments: [
        "a GLOB 'x*'", "a REGEXP 'x'", "strftime('%s', a)", "typeof(a) = 'text'", "a / b", "a % 0", "rowid", "nothing",
        "a ->> 'x'",
        "max(a, b)", "substr(a, -2)", "round(a)", "a = \"text\"", "a COLLATE NOCASE", "a LIKE b", "datetime(a)",
        "json_valid(a)", "?1",
        "CAST(a AS VARCHAR(3))", "CAST(a AS INTEGER)", "CAST(a AS TEXT)", "a || 1.5", "a || CASE WHEN a THEN b END",
        "a ||",
        "random()",
    ])
    func hasNoTranslation(_ text: String) {
        #expect(throws: Untranslatable.self) { try translate(text) }
    }

    @Test func aViewHasNamesOfItsOwn() throws {
        let view =
            "SELECT s.Title AS t, count(*) FROM main.song s LEFT JOIN x USING (id) WHERE s.\"n\" IN (1, 2) GROUP BY 1 LIMIT 3;"
        #expect(
            try translate(view, known: nil)
                == "SELECT \"s\" . \"title\" AS \"t\" , count(*) FROM \"song\" \"s\" LEFT JOIN \"x\" USING "
                + "( \"id\" ) WHERE \"s\" . \"n\" IN ( 1 , 2 ) GROUP BY 1 LIMIT 3 ")
    }

    /// Nulls come first in SQLite, and last where PostgreSQL is not told.
    @Test(arguments: [
        (
            "SELECT x FROM t ORDER BY x, coalesce(y, 1) DESC, z NULLS LAST LIMIT 1",
            "SELECT \"x\" FROM \"t\" ORDER BY \"x\" NULLS FIRST, coalesce(\"y\" , 1) DESC NULLS LAST, \"z\" NULLS LAST LIMIT 1"
        ),
        (
            "SELECT rank() OVER (PARTITION BY x ORDER BY y ROWS UNBOUNDED PRECEDING) FROM t",
            "SELECT rank() OVER ( PARTITION BY \"x\" ORDER BY \"y\" NULLS FIRST ROWS UNBOUNDED PRECEDING ) FROM \"t\""
        ),
    ])
    func nullsKeepTheirPlace(_ view: String, _ expected: String) throws {
        #expect(try translate(view, known: nil) == expected)
    }

    /// A comparison is 0 or 1 there, and a boolean here.
    @Test(arguments: [
        "SELECT x > 1 FROM t", "SELECT y, (x = 1) AS same FROM t", "SELECT x IS NULL FROM t", "SELECT NOT x FROM t",
        "SELECT TRUE",
        "SELECT coalesce(x, y < 2) FROM t", "SELECT y FROM (SELECT x IN (1, 2) AS y FROM t)",
        "SELECT EXISTS (SELECT 1)",
        "SELECT CASE WHEN x > 1 THEN y > 2 END FROM t",
    ])
    func aViewHasNoTruthAmongItsValues(_ view: String) {
        #expect(throws: Untranslatable.self) { try translate(view, known: nil) }
    }

    @Test(arguments: [
        "SELECT CASE WHEN x > 1 AND y THEN 2 ELSE 3 END FROM t", "SELECT count(*) FILTER (WHERE x > 1) FROM t",
        "SELECT (SELECT count(*) FROM s WHERE s.x = t.x) FROM t WHERE x > 1",
        "SELECT x FROM t WHERE x IN (SELECT y FROM s)",
    ])
    func conditionsAreNoValues(_ view: String) throws {
        _ = try translate(view, known: nil)
    }

    /// Anything may stand in a schema that was written by hand.
    @Test(arguments: [
        "", "(", ")", "'", "\"", "[", "x'", "/*", "--", "CAST(", "CAST(AS", "a IS", "NOT", "LIKE", "0x", "1e+", ".",
        "a ||", "||",
        "ORDER BY", "ORDER BY )", "SELECT", "SELECT (", "SELECT WHEN",
        "é", "\u{0}",
    ])
    func anythingHasAnEnd(_ text: String) {
        _ = try? translate(text)
        _ = try? translate(text, known: nil)
        _ = TableDefinition("CREATE TABLE t(a \(text)")
        _ = IndexDefinition("CREATE INDEX t(\(text)")
    }
}
