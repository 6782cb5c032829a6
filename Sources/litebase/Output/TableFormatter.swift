// Aligned columns for people.

internal import ByteBuffers
import LiteBaseClient

/// Draws a table; the first rows are sampled for the widths of the columns.
///
/// A later cell that is wider than its column is written in full and shifts the rest of its line. Cells are cut at
/// `cellWidthMax` columns, blobs at `blobByteCountMax` bytes; every cut is marked by `…`.
struct TableFormatter: ResultFormatter {
    static let sampleRowCountMax = 1000
    static let cellWidthMax = 100
    static let blobByteCountMax = 16

    struct Cell {
        var text: String
        var width: Int
        var isRightAligned = false
        var isDim = false
    }

    let style: OutputStyle
    private var columns = Columns([])
    private var header: [Cell] = []
    /// Which columns hold numbers that come as text, so that no digit is lost.
    private var areDecimal: [Bool] = []
    private var sample: [[Cell]] = []
    private var widths: [Int]?
    /// The statement changes rows, if perhaps none.
    private var changesRows = false

    init(style: OutputStyle) {
        self.style = style
    }

    mutating func statementBegins(_ sql: String) { changesRows = RowStatement.changesRows(sql) }

    mutating func begin(_ columns: Columns, into output: inout ByteBuffer) {
        self.columns = columns
        header = columns.names.map { cell(text: $0) }
        areDecimal = columns.all.map { ["decimal", "numeric"].contains($0.type) }
        sample = []
        widths = nil
    }

    mutating func row(_ row: Row, into output: inout ByteBuffer) {
        var cells = row.map(cell)
        for index in cells.indices where areDecimal[index] { cells[index].isRightAligned = true }
        guard let widths else {
            sample.append(cells)
            if sample.count == Self.sampleRowCountMax { flush(into: &output) }
            return
        }
        write(cells, widths, into: &output)
    }

    mutating func flush(into output: inout ByteBuffer) {
        guard widths == nil, columns.count > 0 else { return }
        let widths = measure()
        self.widths = widths
        if style.hasHeader {
            write(header, widths, into: &output)
            writeRule(widths, into: &output)
        }
        for cells in sample { write(cells, widths, into: &output) }
        sample = []
    }

    mutating func end(_ summary: StatementSummary?, into output: inout ByteBuffer) {
        flush(into: &output)
        guard let summary else { return }
        output.append(Self.footer(summary, hasColumns: columns.count > 0, changesRows: changesRows))
    }

    static func footer(_ summary: StatementSummary, hasColumns: Bool, changesRows: Bool = false) -> String {
        if hasColumns {
            let cut = summary.isTruncated ? ", more were cut off" : ""
            return "(\(counted(summary.rowCount, "row"))\(cut))\n"
        }
        if summary.rowsAffected == 0, !changesRows { return "OK\n" }
        return "\(counted(summary.rowsAffected, "row")) affected\n"
    }
}

extension TableFormatter {
    private func measure() -> [Int] {
        var widths = style.hasHeader ? header.map(\.width) : [Int](repeating: 0, count: header.count)
        for cells in sample {
            for (index, cell) in cells.enumerated() { widths[index] = max(widths[index], cell.width) }
        }
        return widths
    }

    private func cell(_ value: Value) -> Cell {
        switch value {
        case .null:
            return Cell(text: "NULL", width: 4, isDim: true)
        case .text(let text):
            // A text that reads NULL must not look like the absence of a value.
            return cell(text: text == "NULL" ? "\"NULL\"" : text)
        case .blob(let bytes):
            return cell(text: Self.abbreviated(bytes))
        case .bool, .integer, .unsigned, .real:
            let text = ValueText.plain(value)
            return Cell(text: text, width: text.utf8.count, isRightAligned: true)
        }
    }

    private func cell(text: String) -> Cell {
        // No cell shows more than this; megabytes need not be escaped for it.
        let start = text.utf8.count > 8 * Self.cellWidthMax ? String(text.prefix(2 * Self.cellWidthMax)) : text
        let shown = TerminalEscaping.visible(start)
        let width = DisplayWidth.of(shown)
        if width <= Self.cellWidthMax { return Cell(text: shown, width: width) }
        let cut = DisplayWidth.prefix(shown, width: Self.cellWidthMax - 1) + "…"
        return Cell(text: String(cut), width: DisplayWidth.of(String(cut)))
    }

    private static func abbreviated(_ bytes: [UInt8]) -> String {
        if bytes.count <= blobByteCountMax { return ValueText.hex(bytes) }
        return "x'\(ValueText.hexDigits(bytes.prefix(blobByteCountMax)))…' (\(bytes.count) bytes)"
    }

    private func write(_ cells: [Cell], _ widths: [Int], into output: inout ByteBuffer) {
        for (index, cell) in cells.enumerated() {
            if index > 0 { output.append(style.hasUnicode ? " │" : " |") }
            output.append(UInt8(ascii: " "))
            let padding = max(0, widths[index] - cell.width)
            if cell.isRightAligned { writeSpaces(padding, into: &output) }
            let isDim = cell.isDim && style.hasColor
            if isDim { output.append("\u{1B}[2m") }
            output.append(cell.text)
            if isDim { output.append("\u{1B}[0m") }
            // No white space at the ends of lines.
            if !cell.isRightAligned, index + 1 < cells.count { writeSpaces(padding, into: &output) }
        }
        output.append(UInt8(ascii: "\n"))
    }

    private func writeRule(_ widths: [Int], into output: inout ByteBuffer) {
        for (index, width) in widths.enumerated() {
            if index > 0 { output.append(style.hasUnicode ? "┼" : "+") }
            output.append(String(repeating: style.hasUnicode ? "─" : "-", count: width + 2))
        }
        output.append(UInt8(ascii: "\n"))
    }

    private func writeSpaces(_ count: Int, into output: inout ByteBuffer) {
        for _ in 0..<count { output.append(UInt8(ascii: " ")) }
    }
}
