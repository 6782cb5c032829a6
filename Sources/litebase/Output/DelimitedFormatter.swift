// CSV, TSV and Markdown: a row is a line of fields.

internal import ByteBuffers
import LiteBaseClient
internal import WireProtocol

/// CSV as RFC 4180 has it, and tab-separated text as databases load it.
///
/// - CSV: lines end in CR LF; NULL is an empty field, the empty text is `""`.
/// - TSV: tab, line ends and backslash are `\t`, `\n`, `\r`, `\\`; NULL is `\N`.
/// - Both: blobs are `x'00ff'`. A statement without columns writes nothing.
/// - Source: RFC 4180; PostgreSQL COPY, "Text Format"
struct DelimitedFormatter: ResultFormatter {
    enum Dialect { case csv, tsv }

    let dialect: Dialect
    let style: OutputStyle
    private var hasColumns = false

    init(dialect: Dialect, style: OutputStyle) {
        self.dialect = dialect
        self.style = style
    }

    mutating func begin(_ columns: Columns, into output: inout ByteBuffer) {
        hasColumns = columns.count > 0
        guard hasColumns, style.hasHeader else { return }
        let fields = FieldWriter(dialect: dialect, isTerminal: style.isTerminal)
        var isFirst = true
        for var name in columns.names {
            name.withUTF8 { fields.write(.text(UnsafeRawBufferPointer($0)), &isFirst, into: &output) }
        }
        fields.endLine(into: &output)
    }

    mutating func row(_ row: Row, into output: inout ByteBuffer) {
        guard hasColumns else { return }
        let fields = FieldWriter(dialect: dialect, isTerminal: style.isTerminal)
        var isFirst = true
        row.forEachBorrowed { fields.write($0, &isFirst, into: &output) }
        fields.endLine(into: &output)
    }

    mutating func end(_ summary: StatementSummary?, into output: inout ByteBuffer) {}
}

/// Writes the fields of lines. It is apart from the formatter since a copy of it costs nothing, and each row makes one.
private struct FieldWriter {
    let dialect: DelimitedFormatter.Dialect
    let isTerminal: Bool

    func write(_ value: BorrowedValue, _ isFirst: inout Bool, into output: inout ByteBuffer) {
        if !isFirst { output.append(dialect == .csv ? UInt8(ascii: ",") : UInt8(ascii: "\t")) }
        isFirst = false
        switch dialect {
        case .csv: writeCSV(value, into: &output)
        case .tsv: writeTSV(value, into: &output)
        }
    }

    func endLine(into output: inout ByteBuffer) { output.append(dialect == .csv ? "\r\n" : "\n") }

    private func writeCSV(_ value: BorrowedValue, into output: inout ByteBuffer) {
        switch value {
        case .text(let text) where isTerminal:
            var shown = shown(String(decoding: text, as: UTF8.self), keeping: "\n\r\t")
            shown.withUTF8 { writeCSV(UnsafeRawBufferPointer($0), into: &output) }
        case .text(let text): writeCSV(text, into: &output)
        case .integer(let number): output.appendJSONInteger(number, style: .number)
        // Within these bounds both ways of writing a real give the same digits, and this one makes no string.
        case .real(let number) where (1e-3..<1e9).contains(number.magnitude): output.appendJSONReal(number)
        case .null, .bool, .unsigned, .real, .blob: output.append(ValueText.plain(Value(value)))
        }
    }

    private func writeCSV(_ text: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        let quote = UInt8(ascii: "\"")
        let marks = ByteMarks(text, of: UInt8(ascii: ","), quote, UInt8(ascii: "\n"), UInt8(ascii: "\r"))
        guard text.isEmpty || marks.hasMarked else { return output.append(text) }
        output.append(quote)
        for byte in text {
            if byte == quote { output.append(byte) }
            output.append(byte)
        }
        output.append(quote)
    }

    private func writeTSV(_ value: BorrowedValue, into output: inout ByteBuffer) {
        switch value {
        case .null:
            output.append("\\N")
        case .text(let text):
            let isPlain = text.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\\") }
            if isPlain { return output.append(text) }
            var escaped = ByteBuffer()
            for byte in text {
                switch byte {
                case UInt8(ascii: "\t"): escaped.append("\\t")
                case UInt8(ascii: "\n"): escaped.append("\\n")
                case UInt8(ascii: "\r"): escaped.append("\\r")
                case UInt8(ascii: "\\"): escaped.append("\\\\")
                default: escaped.append(byte)
                }
            }
            output.append(shown(String(decoding: escaped.readable, as: UTF8.self), keeping: ""))
        case .bool, .integer, .unsigned, .real, .blob:
            output.append(ValueText.plain(Value(value)))
        }
    }

    /// Control characters are spelled out on a terminal, and only there: files get the data as it is.
    private func shown(_ text: String, keeping kept: String) -> String {
        guard isTerminal else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if TerminalEscaping.isHarmful(scalar), !kept.unicodeScalars.contains(scalar) {
                result += TerminalEscaping.escape(scalar)
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// A table in Markdown; numbers are aligned to the right by the type of their column.
/// - Source: GitHub Flavored Markdown, "Tables (extension)"
struct MarkdownFormatter: ResultFormatter {
    let style: OutputStyle
    private var hasColumns = false

    init(style: OutputStyle) {
        self.style = style
    }

    mutating func begin(_ columns: Columns, into output: inout ByteBuffer) {
        hasColumns = columns.count > 0
        guard hasColumns else { return }
        writeLine(columns.names.map(Self.escape), into: &output)
        let numeric: Set<String> = ["integer", "real", "decimal", "float", "numeric"]
        let rules = columns.all.map { column in
            numeric.contains((column.type ?? "").lowercased()) ? "---:" : "---"
        }
        writeLine(rules, into: &output)
    }

    mutating func row(_ row: Row, into output: inout ByteBuffer) {
        guard hasColumns else { return }
        writeLine(
            row.map { value in
                switch value {
                case .null: "NULL"
                case .text(let text): Self.escape(text == "NULL" ? "\"NULL\"" : text)
                case .blob: "`\(ValueText.plain(value))`"
                case .bool, .integer, .unsigned, .real: ValueText.plain(value)
                }
            }, into: &output)
    }

    mutating func end(_ summary: StatementSummary?, into output: inout ByteBuffer) {}

    private func writeLine(_ cells: [String], into output: inout ByteBuffer) {
        for cell in cells {
            output.append("| ")
            output.append(cell)
            output.append(UInt8(ascii: " "))
        }
        output.append("|\n")
    }

    /// Signs that would end the cell or mean markup; line ends become `<br>`.
    static func escape(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy {
            $0 == UInt8(ascii: " ") || (0x30...0x39).contains($0) || (0x41...0x5a).contains($0)
                || (0x61...0x7a).contains($0)
        }
        if isPlain { return text }
        var result = ""
        var isBehindReturn = false
        for scalar in text.unicodeScalars {
            defer { isBehindReturn = scalar == "\r" }
            switch scalar {
            case "|", "\\", "`", "*", "_", "<", "[":
                result += "\\"
                result.unicodeScalars.append(scalar)
            case "\n" where isBehindReturn: break
            case "\n", "\r": result += "<br>"
            default:
                if TerminalEscaping.isHarmful(scalar) {
                    result += TerminalEscaping.escape(scalar)
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result
    }
}
