// Colours of a line while it is typed.

import SQLText
import Testing

@testable import litebase

@Suite struct LineColoursTests {
    private static let letters: [TypedStyle: Character] = [
        .plain: ".", .keyword: "K", .string: "S", .number: "N", .parameter: "P", .comment: "C", .error: "E",
    ]

    /// A letter for each character of `line` behind `before`.
    private static func colours(
        _ line: String, behind before: String = "", _ language: StatementSplitter.Language = .sqlite,
        entered: Bool = false,
        cursor: Int? = nil
    ) -> String {
        var splitter = StatementSplitter(language)
        _ = splitter.append(before.utf8)
        let colours = LineColours(splitter: splitter, commands: Shell.dotCommandNames)
        let text = Array(line.unicodeScalars)
        let styles = colours.styles(text, cursor: cursor ?? text.count, isEntered: entered)
        return String(styles.map { letters[$0] ?? "?" })
    }

    @Test(arguments: [
        ("SELECT 'é' AS x", "KKKKKK.SSS.KK.."), ("ø 1", "..N"), (" \n-- c", "..CCCC"),
    ]) func charactersOutsideOfASCII(line: String, expected: String) {
        #expect(Self.colours(line) == expected)
    }

    @Test func commands() {
        #expect(Self.colours(".tables") == "KKKKKKK")
        #expect(Self.colours("  .tables x") == "..KKKKKKK..")
        // While it may become one, it is no error; one that is entered, or that something follows, is.
        #expect(Self.colours(".tab") == "KKKK")
        #expect(Self.colours(".tab", entered: true) == "EEEE")
        #expect(Self.colours(".tab x") == "EEEE..")
        #expect(Self.colours(".tabz") == "EEEEE")
        #expect(Self.colours(".tables", cursor: 2) == "KKKKKKK")
        #expect(Self.colours("\\d x") == "KK..")
        #expect(Self.colours("\\l;", entered: true) == "KKK")
        #expect(Self.colours("\\zzz") == "EEEE")
        #expect(Self.colours("\\zzz", .commandLines) == "EEEE")
    }

    @Test(arguments: StatementSplitter.Language.sql)
    func inTheMiddleOfAStatement(language: StatementSplitter.Language) {
        #expect(Self.colours("\\x", behind: "SELECT 1\n", language, entered: true) == "EE")
        #expect(Self.colours("\\e", behind: "SELECT 1\n", language) == "KK")
        #expect(Self.colours(".5", behind: "SELECT 1 +\n", language) == "NN")
        #expect(Self.colours("it' FROM", behind: "SELECT 'a\n", language) == "SSS.KKKK")
        // A quote that is not closed is no error.
        #expect(Self.colours("SELECT 'a", language, entered: true) == "KKKKKK.SS")
    }

    @Test func whatIsSearchedForHasNone() {
        #expect(Self.colours("SELECT 1\nbck:sel") == "KKKKKK.N")
        #expect(Self.colours("SELECT 1\nFROM") == "KKKKKK.N.KKKK")
    }

    @Test func aMegabyteHasNone() {
        #expect(Self.colours(String(repeating: "'", count: LineColours.characterCountMax + 1)).isEmpty)
    }
}
