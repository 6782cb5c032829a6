// Lines that somebody types who knows other clients.

import SQLText
import Testing

@testable import litebase

@Suite struct TypedLineTests {
    /// What becomes of `line` behind `before`; `nil` where it is refused.
    private static func text(_ line: String, behind before: String, _ language: StatementSplitter.Language) -> String? {
        var splitter = StatementSplitter(language)
        _ = splitter.append(before.utf8)
        return TypedLine.text(Array(line.utf8), splitter).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: StatementSplitter.Language.sql)
    func whatOthersEndStatementsWith(language: StatementSplitter.Language) {
        #expect(Self.text("SELECT 1\\g", behind: "", language) == "SELECT 1;")
        #expect(Self.text("SELECT 1 \\G  ", behind: "", language) == "SELECT 1 ;")
        #expect(Self.text("\\g", behind: "SELECT 1\n", language) == ";")
        #expect(Self.text("SELECT 2\\g", behind: "SELECT 1; ", language) == "SELECT 2;")
        #expect(Self.text("SELECT '\\g", behind: "", language) == "SELECT '\\g")
        #expect(Self.text("-- \\g", behind: "SELECT 1\n", language) == "-- \\g")
        #expect(Self.text("\\g", behind: "SELECT 'a\n", language) == "\\g")
        // Nothing is there that it could end: it is refused like the others.
        #expect(Self.text("\\g", behind: "", language) == "\\g")
    }

    @Test(arguments: StatementSplitter.Language.sql)
    func commandsInTheMiddleOfAStatement(language: StatementSplitter.Language) {
        #expect(Self.text(" \\x", behind: "SELECT 1\n", language) == nil)
        #expect(Self.text("\\d t", behind: "SELECT 1\n", language) == nil)
        #expect(Self.text("\\d t", behind: "SELECT 'a\n", language) == "\\d t")
        #expect(Self.text("\\d t", behind: "SELECT 1 /* a\n", language) == "\\d t")
        #expect(Self.text("\\d t", behind: "SELECT 1;\n", language) == "\\d t")
        #expect(Self.text("\\N, 1", behind: "SELECT\n", language) == "\\N, 1")
        #expect(Self.text("FROM t", behind: "SELECT 1\n", language) == "FROM t")
    }

    @Test func theDelimiterOfTheMoment() {
        #expect(Self.text("SELECT 1\\G", behind: "DELIMITER //\n", .mysql) == "SELECT 1//")
        #expect(Self.text("\\\\", behind: "DELIMITER \\\\\nSELECT 1\n", .mysql) == "\\\\")
        #expect(Self.text("GET a\\g", behind: "", .commandLines) == "GET a\\g")
    }
}
