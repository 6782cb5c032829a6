import ByteBuffers
import LiteBaseClient
import LiteBaseTesting
import Testing

@testable import litebase

/// One result in some format.
func formatted(
    _ format: OutputFormat, _ names: [String], _ rows: [[Value]], style: OutputStyle = OutputStyle(),
    summary: StatementSummary? = nil, isComplete: Bool = true
) -> String {
    var output = ByteBuffer()
    var formatter = format.formatter(style)
    let columns = Columns(names.map { Column(name: $0, type: $0 == "int" ? "integer" : nil) })
    formatter.begin(columns, into: &output)
    for row in RowBatch(columns: columns, rows: rows) { formatter.row(row, into: &output) }
    formatter.end(isComplete ? summary ?? StatementSummary(rowCount: rows.count) : nil, into: &output)
    return String(decoding: output.readable, as: UTF8.self)
}

@Suite struct FormatterTests {
    static let names = ["int", "text"]
    /// Every kind of value, and what formats like to trip over.
    static let rows: [[Value]] = [
        [.null, "plain"], [true, ""], [.integer(.min), "a,b \"c\"\r\nd"], [.integer(.max), "NULL"],
        [.unsigned(.max), "tab\t|back\\slash"], [.real(-0.0), "Zürich 東京"], [.real(.nan), "\u{1b}[31m"],
        [.real(-.infinity), "\u{0}"], [.real(1e300), .blob([0, 0xff])], [.integer(-7), .blob([])],
    ]

    @Test func jsonLines() {
        let expected = #"""
            {"int":null,"text":"plain"}
            {"int":true,"text":""}
            {"int":{"$int":"-9223372036854775808"},"text":"a,b \"c\"\r\nd"}
            {"int":{"$int":"9223372036854775807"},"text":"NULL"}
            {"int":{"$int":"18446744073709551615"},"text":"tab\t|back\\slash"}
            {"int":-0.0,"text":"Zürich 東京"}
            {"int":{"$real":"NaN"},"text":"\u001b[31m"}
            {"int":{"$real":"-Infinity"},"text":"\u0000"}
            {"int":1e+300,"text":{"$blob":"AP8="}}
            {"int":-7,"text":{"$blob":""}}

            """#
        #expect(formatted(.jsonl, Self.names, Self.rows) == expected)
    }

    @Test func jsonIsOneArray() {
        #expect(formatted(.json, ["a"], [[1], ["x"]]) == "[\n{\"a\":1},\n{\"a\":\"x\"}\n]\n")
        #expect(formatted(.json, ["a"], []) == "[]\n")
        #expect(formatted(.json, [], []) == "")
        // What broke off must not be taken for the whole.
        #expect(formatted(.json, ["a"], [[1]], isComplete: false) == "[\n{\"a\":1}")
    }

    @Test func jsonNamesAreUnique() {
        #expect(JSONFormatter.uniqueNames(["a", "a", "b", "a", "a_2"]) == ["a", "a_3", "b", "a_4", "a_2"])
        #expect(formatted(.jsonl, ["a", "a"], [[1, 2]]) == "{\"a\":1,\"a_2\":2}\n")
    }

    @Test func jsonOnATerminalHidesNoControls() {
        let style = OutputStyle(isTerminal: true)
        #expect(formatted(.jsonl, ["a"], [["\u{9b}1m\u{202e}ä"]], style: style) == "{\"a\":\"\\u009b1m\\u202eä\"}\n")
        #expect(formatted(.jsonl, ["a"], [["\u{9b}ä"]]) == "{\"a\":\"\u{9b}ä\"}\n")
    }

    @Test func csv() {
        let lines = [
            "int,text", ",plain", "true,\"\"", "-9223372036854775808,\"a,b \"\"c\"\"\r\nd\"",
            "9223372036854775807,NULL", "18446744073709551615,tab\t|back\\slash", "-0.0,Zürich 東京",
            "NaN,\u{1b}[31m", "-Infinity,\u{0}", "1e+300,x'00ff'", "-7,x''",
        ]
        #expect(formatted(.csv, Self.names, Self.rows) == lines.map { $0 + "\r\n" }.joined())
    }

    /// They are written in another way where that is the same.
    @Test func csvHasTheShortestDigitsOfReals() {
        let bounds: [Double] = [1e-3, 1e9, 1e16, 1e-5, 1, 0.1, 0.1 + 0.2, 1.0 / 3, 123_456.789, 999_999_999.5]
        var generator = SeededGenerator(seed: 15)
        let random = (0..<4_000).map { Double.random(in: 0...2, using: &generator) * [1e-4, 1, 1e5, 1e9][$0 % 4] }
        let values = (bounds + bounds.map(\.nextDown) + bounds.map(\.nextUp) + random).flatMap { [$0, -$0] }
        let expected = values.map { $0.description + "\r\n" }.joined()
        #expect(formatted(.csv, ["a"], values.map { [.real($0)] }, style: OutputStyle(hasHeader: false)) == expected)
    }

    /// A field as the formats are described, by the simplest way: what is written without strings must be the same.
    private static func field(_ value: Value, _ format: OutputFormat) -> String {
        guard case .text(let text) = value else {
            return value.isNull && format == .tsv ? "\\N" : ValueText.plain(value)
        }
        let scalars = text.unicodeScalars
        if format == .csv {
            guard text.isEmpty || scalars.contains(where: { ",\"\r\n".unicodeScalars.contains($0) }) else {
                return text
            }
            return "\"" + scalars.map { $0 == "\"" ? "\"\"" : String($0) }.joined() + "\""
        }
        let escapes: [Unicode.Scalar: String] = ["\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\"]
        return scalars.map { escapes[$0] ?? String($0) }.joined()
    }

    @Test(arguments: [OutputFormat.csv, .tsv])
    func anyValueIsWrittenAsTheFormatIsDescribed(_ format: OutputFormat) {
        var generator = SeededGenerator.fresh
        let signs: [Unicode.Scalar] = [
            ",", "\"", "\r", "\n", "\t", "\\", "x", "N", " ", "\u{0}", "\u{b}", "\u{1b}", "\u{7f}", "\u{9b}", "é",
            "\u{301}", "東", "😀",
        ]
        func text() -> Value {
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                text.unicodeScalars.append(signs.randomElement(using: &generator) ?? "x")
            }
            return .text(text)
        }
        let others: [Value] = [
            .null, true, false, .integer(.min), .integer(.max), 0, -1, .integer(1 << 53), .unsigned(.max), 0.0, -0.0,
            1e-4,
            1e9, 1e16, 1e22, .real(.leastNonzeroMagnitude), 0.1, -123.25, .real(.nan), .real(.infinity),
            .real(-.infinity), .blob([]),
            .blob([0, 0xff]),
        ]
        let rows = (0..<2_000).map { _ in [text(), others.randomElement(using: &generator) ?? .null, text()] }
        let (separator, end) = format == .csv ? (",", "\r\n") : ("\t", "\n")
        let expected = rows.map { $0.map { Self.field($0, format) }.joined(separator: separator) + end }
        let written = formatted(format, ["a", "b", "c"], rows, style: OutputStyle(hasHeader: false))
        #expect(Array(written.utf8) == Array(expected.joined().utf8), "seed \(generator.seed)")
    }

    @Test(arguments: 0...20)
    func csvQuotesWhatNeedsItAtEachPlace(_ count: Int) {
        for place in 0..<count {
            for (byte, written) in [(",", ","), ("\"", "\"\""), ("\n", "\n"), ("\r", "\r")] {
                let head = String(repeating: "é", count: place)
                let tail = String(repeating: "x", count: count - place - 1)
                let style = OutputStyle(hasHeader: false)
                let output = formatted(.csv, ["a"], [[.text(head + byte + tail)]], style: style)
                #expect(output == "\"\(head)\(written)\(tail)\"\r\n")
            }
        }
    }

    @Test func tsv() {
        let lines = [
            "int\ttext", "\\N\tplain", "true\t", "-9223372036854775808\ta,b \"c\"\\r\\nd",
            "9223372036854775807\tNULL", "18446744073709551615\ttab\\t|back\\\\slash", "-0.0\tZürich 東京",
            "NaN\t\u{1b}[31m", "-Infinity\t\u{0}", "1e+300\tx'00ff'", "-7\tx''",
        ]
        #expect(formatted(.tsv, Self.names, Self.rows) == lines.map { $0 + "\n" }.joined())
    }

    @Test(arguments: [OutputFormat.csv, .tsv])
    func headersCanBeLeftOut(format: OutputFormat) {
        let output = formatted(format, ["a"], [[1]], style: OutputStyle(hasHeader: false))
        #expect(output == (format == .csv ? "1\r\n" : "1\n"))
    }

    @Test(arguments: [OutputFormat.csv, .tsv])
    func delimitedTextOnATerminalShowsControls(format: OutputFormat) {
        let output = formatted(format, ["a"], [["\u{1b}]0;x\u{7}"]], style: OutputStyle(isTerminal: true))
        #expect(!output.unicodeScalars.contains("\u{1b}"))
        #expect(output.contains("\\x1b]0;x\\x07"))
    }

    @Test func markdown() {
        let expected = #"""
            | int | text |
            | ---: | --- |
            | NULL | plain |
            | true |  |
            | -9223372036854775808 | a,b "c"<br>d |
            | 9223372036854775807 | "NULL" |
            | 18446744073709551615 | tab\t\|back\\slash |
            | -0.0 | Zürich 東京 |
            | NaN | \x1b\[31m |
            | -Infinity | \x00 |
            | 1e+300 | `x'00ff'` |
            | -7 | `x''` |

            """#
        #expect(formatted(.markdown, Self.names, Self.rows) == expected)
    }

    @Test func table() {
        let expected = #"""
             int                  │ text
            ──────────────────────┼──────────────────
             NULL                 │ plain
                             true │
             -9223372036854775808 │ a,b "c"\r\nd
              9223372036854775807 │ "NULL"
             18446744073709551615 │ tab\t|back\slash
                             -0.0 │ Zürich 東京
                              NaN │ \x1b[31m
                        -Infinity │ \x00
                           1e+300 │ x'00ff'
                               -7 │ x''
            (10 rows)

            """#
        // An empty last cell leaves the space behind the line.
        let shown = formatted(.table, Self.names, Self.rows).replacing("│ \n", with: "│\n")
        #expect(shown == expected)
    }

    @Test func tableInASCII() {
        let style = OutputStyle(hasUnicode: false)
        #expect(formatted(.table, ["a", "b"], [[1, "x"]], style: style) == " a | b\n---+---\n 1 | x\n(1 row)\n")
    }

    @Test func nullIsDimOnlyWithColor() {
        let colored = formatted(.table, ["a"], [[nil]], style: OutputStyle(hasColor: true))
        #expect(colored.contains("\u{1b}[2mNULL\u{1b}[0m"))
        #expect(!formatted(.table, ["a"], [[nil]]).contains("\u{1b}"))
    }

    @Test func tableCutsLongCells() {
        let blob = formatted(.table, ["a"], [[.blob(Array(0..<40))]])
        #expect(blob.contains("x'000102030405060708090a0b0c0d0e0f…' (40 bytes)"))
        let lines = formatted(.table, ["a"], [[.text(String(repeating: "東", count: 5000))]]).split(separator: "\n")
        #expect(DisplayWidth.of(String(lines[2])) <= TableFormatter.cellWidthMax + 1)
        #expect(lines[2].hasSuffix("…"))
    }

    /// Rows beyond the sample are written at once, with the sample's widths.
    @Test func tableSamplesItsFirstRows() {
        var output = ByteBuffer()
        var formatter = TableFormatter(style: OutputStyle())
        let columns = Columns([Column(name: "a"), Column(name: "b")])
        formatter.begin(columns, into: &output)
        let narrow = RowBatch(columns: columns, rows: [["x", 1]])
        for _ in 0..<TableFormatter.sampleRowCountMax - 1 { formatter.row(narrow[0], into: &output) }
        #expect(output.count == 0)
        formatter.row(narrow[0], into: &output)
        #expect(output.count > 0)
        output.removeAll()
        formatter.row(RowBatch(columns: columns, rows: [["longer", 2]])[0], into: &output)
        #expect(String(decoding: output.readable, as: UTF8.self) == " longer │ 2\n")
    }

    @Test(arguments: [
        (StatementSummary(rowCount: 0), true, "(0 rows)\n"), (StatementSummary(rowCount: 1), true, "(1 row)\n"),
        (StatementSummary(rowCount: 0), false, "OK\n"),
    ])
    func footers(summary: StatementSummary, hasColumns: Bool, text: String) {
        #expect(TableFormatter.footer(summary, hasColumns: hasColumns) == text)
        #expect(
            TableFormatter.footer(summary, hasColumns: hasColumns, changesRows: true)
                == (hasColumns ? text : "0 rows affected\n"))
    }

    @Test(arguments: [
        ("UPDATE t SET x = 1", true), ("/* INSERT */ -- x\n delete from t", true),
        ("WITH a AS (SELECT 1) DELETE FROM t", true),
        ("REPLACE INTO t VALUES (1)", true), ("CREATE TABLE t(x)", false), ("SELECT 1", false), ("", false),
        ("BEGIN", false), ("INSERTED", false),
    ])
    func statementsThatChangeRows(sql: String, changesRows: Bool) {
        #expect(RowStatement.changesRows(sql) == changesRows)
    }

    @Test(arguments: OutputFormat.allCases.filter { $0 != .table && $0 != .record })
    func statementsWithoutColumnsWriteNothing(format: OutputFormat) {
        #expect(formatted(format, [], [[], []]) == "")
    }
}

@Suite struct DisplayWidthTests {
    @Test(arguments: [
        ("", 0), ("abc", 3), ("ä", 1), ("a\u{308}", 1), ("東京", 4), ("한국", 4), ("ｶﾅ", 2), ("Ａ", 2), ("💚", 2),
        ("👩‍👩‍👧", 2), ("🇳🇴", 2), ("❤️", 2), ("é…", 2), ("שלום", 4), ("\u{200b}", 0), ("ไทย", 3), ("│", 1),
    ])
    func widths(text: String, width: Int) {
        #expect(DisplayWidth.of(text) == width)
    }

    @Test func prefixesFit() {
        #expect(DisplayWidth.prefix("a東京b", width: 4) == "a東")
        #expect(DisplayWidth.prefix("abc", width: 9) == "abc")
        #expect(DisplayWidth.prefix("abc", width: 0) == "")
    }

    @Test(arguments: [
        ("plain ä", "plain ä"), ("a\nb\tc\r", "a\\nb\\tc\\r"), ("\u{1b}[0m", "\\x1b[0m"),
        ("\u{7f}\u{9b}", "\\x7f\\x9b"),
        ("\u{202e}x", "\\u{202e}x"), ("👩‍👩‍👧", "👩‍👩‍👧"),
    ])
    func controlsAreVisible(text: String, shown: String) {
        #expect(TerminalEscaping.visible(text) == shown)
    }
}
