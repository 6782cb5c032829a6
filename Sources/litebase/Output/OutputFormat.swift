// The output formats and what they have in common.

import ArgumentParser
internal import ByteBuffers
import LiteBaseClient

/// How results are written.
enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
    case table, record, json, jsonl, csv, tsv, markdown

    /// What people want on a terminal, and programs in a pipe.
    static func standard(isTerminal: Bool) -> OutputFormat { isTerminal ? .table : .jsonl }
}

/// How a format adapts to where it is shown.
struct OutputStyle {
    /// Whether the text goes to a terminal, whose control sequences must not come from data.
    var isTerminal = false
    /// Whether NULL may be dimmed, and names be bold.
    var hasColor = false
    /// Whether the table may be drawn with box characters.
    var hasUnicode = true
    /// Whether names of columns are written (table, CSV, TSV).
    var hasHeader = true
    /// Columns of the screen that tables and records have to fit; `nil` for no limit.
    var width: Int?
    /// When a table becomes records.
    var expansion = Expansion.off
    /// What stands for NULL in tables and records.
    var nullText = "NULL"
    /// How the whole of a cell that was cut is seen.
    var cutAdvice = "record"
}

/// Writes one result after the other in some format; each goes through `begin`, `row`…, `end`.
///
/// Formatters keep at most a sample of rows, so that memory is bounded whatever the result.
protocol ResultFormatter {
    /// Says of which statement the results are that follow.
    mutating func statementBegins(_ sql: String)
    /// Starts a result.
    mutating func begin(_ columns: Columns, into output: inout ByteBuffer)
    mutating func row(_ row: Row, into output: inout ByteBuffer)
    /// Writes the rows that were held back for a sample; no more are available at present.
    mutating func flush(into output: inout ByteBuffer)
    /// Ends the result; `nil` when it broke off.
    mutating func end(_ summary: StatementSummary?, into output: inout ByteBuffer)
}

extension ResultFormatter {
    mutating func statementBegins(_ sql: String) {}
    mutating func flush(into output: inout ByteBuffer) {}
}

extension OutputFormat {
    func formatter(_ style: OutputStyle) -> any ResultFormatter {
        switch self {
        case .table where style.expansion == .on: RecordFormatter(style: style)
        case .table: TableFormatter(style: style)
        case .record: RecordFormatter(style: style)
        case .json: JSONFormatter(layout: .array, style: style)
        case .jsonl: JSONFormatter(layout: .lines, style: style)
        case .csv: DelimitedFormatter(dialect: .csv, style: style)
        case .tsv: DelimitedFormatter(dialect: .tsv, style: style)
        case .markdown: MarkdownFormatter(style: style)
        }
    }
}

/// Spellings of values that several formats share.
enum ValueText {
    static func real(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
        return number.description
    }

    /// `x'00ff'`, the spelling of SQL, which `litebase query` also takes as a parameter.
    static func hex(_ bytes: some Collection<UInt8>) -> String {
        "x'" + hexDigits(bytes) + "'"
    }

    static func hexDigits(_ bytes: some Collection<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: bytes.count * 2) { buffer in
            var index = 0
            for byte in bytes {
                buffer[index] = digits[Int(byte >> 4)]
                buffer[index + 1] = digits[Int(byte & 15)]
                index += 2
            }
            return index
        }
    }

    /// Everything but text and null, in full.
    static func plain(_ value: Value) -> String {
        switch value {
        case .null: ""
        case .bool(let flag): flag ? "true" : "false"
        case .integer(let number): String(number)
        case .unsigned(let number): String(number)
        case .real(let number): real(number)
        case .text(let text): text
        case .blob(let bytes): hex(bytes)
        }
    }
}
