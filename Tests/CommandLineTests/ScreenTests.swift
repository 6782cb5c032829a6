// What fits a screen, and what stands for placeholders and mistyped names.

import LiteBaseClient
import SQLText
import Testing

@testable import litebase

@Suite struct TableFitTests {
    @Test func whatFitsStaysAsItIs() {
        #expect(TableFit.widths([10, 20], mayBeCut: [true, true], screenWidth: 35) == [10, 20])
        #expect(TableFit.widths([], mayBeCut: [], screenWidth: 10) == [])
    }

    @Test func theWidestAreCut() {
        #expect(TableFit.widths([10, 20], mayBeCut: [true, true], screenWidth: 34) == [10, 19])
        #expect(TableFit.widths([50, 50, 5], mayBeCut: [true, true, true], screenWidth: 60) == [23, 23, 5])
        // Numbers are not.
        #expect(TableFit.widths([30, 30], mayBeCut: [false, true], screenWidth: 50) == [30, 15])
        #expect(TableFit.widths([40, 30], mayBeCut: [false, true], screenWidth: 50) == nil)
    }

    @Test(arguments: [1, 2, 5, 20])
    func whateverIsCutFits(count: Int) {
        for _ in 0..<500 {
            let widths = (0..<count).map { _ in Int.random(in: 0...120) }
            let mayBeCut = (0..<count).map { _ in Bool.random() }
            let screenWidth = Int.random(in: 0...250)
            guard let fitting = TableFit.widths(widths, mayBeCut: mayBeCut, screenWidth: screenWidth) else { continue }
            #expect(fitting.reduce(0, +) + 3 * (count - 1) + 2 <= screenWidth)
            for (index, width) in fitting.enumerated() {
                #expect(width == widths[index] || mayBeCut[index] && width >= TableFit.cellWidthMin)
            }
        }
    }

    @Test func rowsThatDoNotFitBecomeRecords() {
        let style = OutputStyle(hasUnicode: false, width: 40, expansion: .auto)
        let long = String(repeating: "w", count: 50)
        #expect(formatted(.table, ["a", "b"], [[1, "x"]], style: style) == " a | b\n---+---\n 1 | x\n(1 row)\n")
        let cut = formatted(.table, ["a", "b"], [[1, .text(long)]], style: style)
        #expect(cut.contains("w…\n") && cut.split(separator: "\n").allSatisfy { $0.count <= 40 || $0.hasPrefix("(") })
        let names = ["a", "b", "c", "d"]
        let records = formatted(.table, names, [[.text(long), .text(long), .text(long), 7]], style: style)
        #expect(records.contains("[ RECORD 1 ]") && records.contains("d | 7\n"))
        let lines = formatted(.table, ["a"], [["x\ny"]], style: style)
        #expect(lines.contains("a | x\n  | y\n"))
    }
}

@Suite struct PlaceholderTests {
    private static func found(_ sql: String, _ language: StatementSplitter.Language) -> [String] {
        Placeholders(sql, language, .init())?.names ?? []
    }

    @Test(arguments: StatementSplitter.Language.sql)
    func namesAreFoundOutsideOfQuotes(language: StatementSplitter.Language) {
        #expect(Self.found("SELECT :a, ':b', \":c\" -- :d\n, :e /* :f */", language) == [":a", ":e"])
        #expect(Self.found("SELECT 1", language) == [])
        #expect(Self.found("SELECT x::int, y[1:n], z[:n], a:=1", language) == [])
    }

    @Test func eachEngineHasItsOwn() {
        #expect(Self.found("SELECT ?, ?, ?7, @x, $y", .sqlite) == ["?1", "?2", "?7", "@x", "$y"])
        #expect(Self.found("SELECT ?, @x, @@y", .mysql) == ["?1"])
        #expect(Self.found("SELECT $1, $2, a ? 'b', $$:x$$, $t$:y$t$", .postgresql) == ["$1", "$2"])
        #expect(Self.found("SET :a ?", .commandLines) == [])
    }

    @Test func namesGetTheEnginesNotation() throws {
        let values: [String: Value] = [":a": 1, ":b": 2, "$1": 3, "?1": 4]
        func check(
            _ sql: String, _ language: StatementSplitter.Language, _ sent: String, _ parameters: Parameters
        ) throws {
            let found = try #require(Placeholders(sql, language, .init()))
            let bound = try found.bound { values[$0] ?? .null }
            #expect(bound.sql == sent)
            #expect(bound.parameters == parameters)
        }
        try check("SELECT :a, :b, :a", .postgresql, "SELECT $1, $2, $1", [1, 2])
        try check("SELECT $1, :b", .postgresql, "SELECT $1, $2", [3, 2])
        try check("SELECT :a, ?, :a", .mysql, "SELECT ?, ?, ?", [1, 4, 1])
        try check("SELECT :a, :b", .sqlite, "SELECT :a, :b", ["a": 1, "b": 2])
        try check("SELECT ?", .sqlite, "SELECT ?", [4])
    }
}

@Suite struct NearNameTests {
    private static let names = [".tables", ".timing", ".schema", ".quit", "table"]

    static let mistyped: [(given: String, near: String?)] = [
        (".tabels", ".tables"), (".table", ".tables"), (".shema", ".schema"), (".tming", ".timing"), ("tabel", "table"),
        (".zzz", nil), ("", nil), (".", nil),
    ]

    @Test(arguments: mistyped)
    func theNearestIsFound(given: String, near: String?) {
        #expect(NearName.of(given, among: Self.names) == near)
    }
}
