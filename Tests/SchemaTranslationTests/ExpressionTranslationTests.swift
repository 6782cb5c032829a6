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
        ("CAST(a AS INTEGER) % 3", "CAST(\"a\" AS bigint) % 3"),
        ("iif(a, 1, 2)", "CASE WHEN \"a\" THEN 1 ELSE 2 END"),
        ("datetime('now')", "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"),
        ("a /* c */ || b -- d", "\"a\" || \"b\""), ("a COLLATE BINARY = b", "\"a\" COLLATE \"C\" = \"b\""),
    ])
    func means(_ text: String, _ expected: String) throws {
        #expect(try translate(text) == expected)
    }

    @Test(arguments: [
        "a GLOB 'x*'", "a REGEXP 'x'", "strftime('%s', a)", "typeof(a) = 'text'", "a / b", "a % 0", "rowid", "nothing",
        "a ->> 'x'",
        "max(a, b)", "substr(a, -2)", "round(a)", "a = \"text\"", "a COLLATE NOCASE", "a LIKE b", "datetime(a)",
        "json_valid(a)", "?1",
        "CAST(a AS VARCHAR(3))", "random()",
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

    /// Anything may stand in a schema that was written by hand.
    @Test(arguments: [
        "", "(", ")", "'", "\"", "[", "x'", "/*", "--", "CAST(", "CAST(AS", "a IS", "NOT", "LIKE", "0x", "1e+", ".",
        "é", "\u{0}",
    ])
    func anythingHasAnEnd(_ text: String) {
        _ = try? translate(text)
        _ = try? translate(text, known: nil)
        _ = TableDefinition("CREATE TABLE t(a \(text)")
        _ = IndexDefinition("CREATE INDEX t(\(text)")
    }
}
