import Testing

@testable import DatabaseDrivers

@Suite struct SQLTextTests {
    /// A comment that begins with `/*/` goes on.
    @Test(arguments: [
        ("", true), (" \n;", true), ("-- a", true), ("-- a\nSELECT", false), ("/* a */", true), ("/**/", true),
        ("/* open", true), ("/*", true), ("/*/", true), ("/*/ SELECT 1", true), ("/*/ SELECT */", true),
        ("/*/ a */ SELECT 1", false), ("/**/ SELECT 1", false), ("/", false), ("-", false), ("SELECT", false),
    ])
    func blanks(text: String, expected: Bool) {
        #expect(Array(text.utf8).withUnsafeBytes { SQLText.isBlank($0) } == expected)
    }

    @Test(arguments: [
        ("SELECT 1", true), ("/*/ x */ SELECT 1", true), ("/*/ SELECT */ DELETE FROM a", false), ("", true),
        ("/**/values(1)", true), (";; explain delete", true), ("selected", false), ("-- SELECT\nDROP TABLE a", false),
    ])
    func readers(text: String, expected: Bool) {
        #expect(Array(text.utf8).withUnsafeBytes { SQLText.onlyReads($0) } == expected)
    }

    @Test func wordsInCommentsAreNotCounted() {
        #expect(Array("a /*/ b */ c".utf8).withUnsafeBytes { SQLText.wordCount($0) } == 2)
    }
}
