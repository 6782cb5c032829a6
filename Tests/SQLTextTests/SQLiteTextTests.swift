import SQLText
import Testing

@Suite struct SQLiteTextTests {
    /// A comment that begins with `/*/` goes on.
    @Test(arguments: [
        ("", true), (" \n;", true), ("-- a", true), ("-- a\nSELECT", false), ("/* a */", true), ("/**/", true),
        ("/* open", true), ("/*", true), ("/*/", true), ("/*/ SELECT 1", true), ("/*/ SELECT */", true),
        ("/*/ a */ SELECT 1", false), ("/**/ SELECT 1", false), ("/", false), ("-", false), ("SELECT", false),
    ])
    func blanks(text: String, expected: Bool) {
        #expect(Array(text.utf8).withUnsafeBytes { SQLiteText.isBlank($0) } == expected)
    }

    @Test(arguments: [
        ("SELECT 1", true), ("/*/ x */ SELECT 1", true), ("/*/ SELECT */ DELETE FROM a", false), ("", true),
        ("/**/values(1)", true), (";; explain delete", true), ("selected", false), ("-- SELECT\nDROP TABLE a", false),
    ])
    func readers(text: String, expected: Bool) {
        #expect(Array(text.utf8).withUnsafeBytes { SQLiteText.onlyReads($0) } == expected)
    }

    @Test func wordsInCommentsAreNotCounted() {
        #expect(Array("a /*/ b */ c".utf8).withUnsafeBytes { SQLiteText.wordCount($0) } == 2)
    }

    private func names(_ text: String) -> String? {
        Array(text.utf8).withUnsafeBytes { SQLiteQuotes.asNames($0) }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Only what is a name in double quotes changes.
    @Test func doubleQuotesBecomeBackticks() {
        let sql = #"""
            SELECT "a""b`c", '"', `"`, ["] -- "
            /* " */ "d"
            """#
        let expected = #"""
            SELECT `a"b``c`, '"', `"`, ["] -- "
            /* " */ `d`
            """#
        #expect(names(sql) == expected)
        #expect(names("SELECT 'a' -- no") == nil)
        // What is not closed ends with the text, as for SQLite.
        #expect(names("SELECT \"a") == "SELECT `a`")
    }
}
