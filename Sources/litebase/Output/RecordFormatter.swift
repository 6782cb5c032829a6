// A line for each column of a row, for rows that are wider than the screen.

internal import ByteBuffers
import LiteBaseClient

/// Writes each row as a record: a rule with its number, then names and values, in full and over several lines if need be.
struct RecordFormatter: ResultFormatter {
    static let nameWidthMax = 40
    static let ruleWidth = 40
    static let blobByteCountMax = 1024

    let style: OutputStyle
    private var names: [String] = []
    private var nameWidth = 0
    private var rowCount = 0
    private var changesRows = false

    init(style: OutputStyle) {
        self.style = style
    }

    mutating func statementBegins(_ sql: String) { changesRows = RowStatement.changesRows(sql) }

    mutating func begin(_ columns: Columns, into output: inout ByteBuffer) {
        let cells = columns.names.map { TableFormatter.cut(TerminalEscaping.visible($0), width: Self.nameWidthMax) }
        nameWidth = cells.map(\.width).max() ?? 0
        names = cells.map { $0.text + String(repeating: " ", count: nameWidth - $0.width) }
        rowCount = 0
    }

    mutating func row(_ row: Row, into output: inout ByteBuffer) {
        rowCount += 1
        let dash = style.hasUnicode ? "─" : "-"
        let title = "\(dash)[ RECORD \(rowCount) ]"
        let rule = title + String(repeating: dash, count: max(1, Self.ruleWidth - title.count))
        output.append(style.hasColor ? "\u{1B}[2m\(rule)\u{1B}[0m\n" : rule + "\n")
        for (name, value) in zip(names, row) { write(name, value, into: &output) }
    }

    mutating func end(_ summary: StatementSummary?, into output: inout ByteBuffer) {
        guard let summary else { return }
        output.append(TableFormatter.footer(summary, hasColumns: !names.isEmpty, changesRows: changesRows))
    }

    private func write(_ name: String, _ value: Value, into output: inout ByteBuffer) {
        let bar = style.hasUnicode ? " │ " : " | "
        output.append(style.hasColor ? "\u{1B}[1m\(name)\u{1B}[0m\(bar)" : name + bar)
        if case .null = value {
            output.append(style.hasColor ? "\u{1B}[2m\(style.nullText)\u{1B}[0m\n" : style.nullText + "\n")
            return
        }
        let indent = String(repeating: " ", count: nameWidth) + bar
        for (index, line) in lines(of: value).enumerated() {
            if index > 0 { output.append(indent) }
            output.append(line + "\n")
        }
    }

    /// A value as lines that fit the screen.
    private func lines(of value: Value) -> [String] {
        let text =
            switch value {
            case .text(let text): text == style.nullText ? "\"\(text)\"" : text
            case .blob(let bytes): TableFormatter.abbreviated(bytes, byteCountMax: Self.blobByteCountMax)
            default: ValueText.plain(value)
            }
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        return lines.flatMap { wrapped(TerminalEscaping.visible(String($0))) }
    }

    private func wrapped(_ line: String) -> [String] {
        guard let width = style.width.map({ $0 - nameWidth - 3 }), width >= TableFit.cellWidthMin,
            line.utf8.count > width
        else { return [line] }
        var parts: [String] = []
        var rest = line[...]
        while !rest.isEmpty {
            let part = DisplayWidth.prefix(String(rest), width: width)
            parts.append(String(part))
            rest = rest.dropFirst(part.count)
        }
        return parts
    }
}
