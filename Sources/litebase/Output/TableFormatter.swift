// Aligned columns for people.

internal import ByteBuffers
import LiteBaseClient

/// Draws a table; the first rows are sampled for the widths of the columns.
///
/// A later cell that is wider than its column is written in full and shifts the rest of its line. Cells are cut at
/// `cellWidthMax` columns, blobs at `blobByteCountMax` bytes; every cut is marked by `…`. Where the screen has a width, the
/// widest columns are cut to fit it, and where that leaves too little of them, rows become records (`Expansion.auto`).
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
    private var sample: [(row: Row, cells: [Cell])] = []
    private var widths: [Int]?
    /// Whether columns were made to fit the screen: what is wider than its column is cut.
    private var isFitted = false
    private var hasCut = false
    /// Writes the rows instead, where a table would not fit.
    private var records: RecordFormatter?
    /// The statement changes rows, if perhaps none.
    private var changesRows = false
    /// The statement may ask for a plan.
    private var explains = false
    /// Writes the rows instead, where they are a plan.
    private var plan: PlanFormatter?

    init(style: OutputStyle) {
        self.style = style
    }

    mutating func statementBegins(_ sql: String) {
        changesRows = RowStatement.changesRows(sql)
        explains = style.isTerminal && PlanFormatter.isExpected(of: sql)
    }

    mutating func begin(_ columns: Columns, into output: inout ByteBuffer) {
        self.columns = columns
        header = columns.names.map { cell(text: $0) }
        areDecimal = columns.all.map { ["decimal", "numeric"].contains($0.type) }
        sample = []
        widths = nil
        (isFitted, hasCut, records) = (false, false, nil)
        plan = explains ? PlanFormatter(columns, style) : nil
    }

    mutating func row(_ row: Row, into output: inout ByteBuffer) {
        if plan != nil {
            plan?.row(row, into: &output)
            return
        }
        if records != nil {
            records?.row(row, into: &output)
            return
        }
        var cells = row.map(cell)
        for index in cells.indices where areDecimal[index] { cells[index].isRightAligned = true }
        guard let widths else {
            sample.append((row, cells))
            if sample.count == Self.sampleRowCountMax { flush(into: &output) }
            return
        }
        write(cells, widths, into: &output)
    }

    mutating func flush(into output: inout ByteBuffer) {
        guard widths == nil, columns.count > 0, plan == nil else { return }
        let widths = fitted(measure())
        self.widths = widths
        if records != nil {
            for (row, _) in sample { records?.row(row, into: &output) }
            sample = []
            return
        }
        if style.hasHeader {
            write(header, widths, isHeader: true, into: &output)
            writeRule(widths, into: &output)
        }
        for (_, cells) in sample { write(cells, widths, into: &output) }
        sample = []
    }

    mutating func end(_ summary: StatementSummary?, into output: inout ByteBuffer) {
        flush(into: &output)
        plan?.flush(into: &output)
        guard let summary else { return }
        // Its rows are lines of one thing, which nobody counts.
        if plan != nil, !summary.isTruncated { return }
        let advice = hasCut ? "; \(style.cutAdvice) shows what … cuts" : ""
        output.append(
            Self.footer(summary, hasColumns: columns.count > 0, changesRows: changesRows, advice: advice))
    }

    static func footer(_ summary: StatementSummary, hasColumns: Bool, changesRows: Bool = false, advice: String = "")
        -> String
    {
        if hasColumns {
            let cut = summary.isTruncated ? ", more were cut off" : ""
            return "(\(counted(summary.rowCount, "row"))\(cut)\(advice))\n"
        }
        if summary.rowsAffected == 0, !changesRows { return "OK\n" }
        return "\(counted(summary.rowsAffected, "row")) affected\n"
    }
}

extension TableFormatter {
    private func measure() -> [Int] {
        var widths = style.hasHeader ? header.map(\.width) : [Int](repeating: 0, count: header.count)
        for (_, cells) in sample {
            for (index, cell) in cells.enumerated() { widths[index] = max(widths[index], cell.width) }
        }
        return widths
    }

    /// Widths for the screen, and what that means for the cells.
    private mutating func fitted(_ natural: [Int]) -> [Int] {
        guard style.expansion == .auto, let screenWidth = style.width else { return natural }
        if sample.count == 1, sample[0].row.contains(where: Self.hasLines) { return asRecords(natural) }
        let isNumeric = natural.indices.map { index in
            !sample.isEmpty && sample.allSatisfy { $0.cells[index].isRightAligned || $0.cells[index].isDim }
        }
        guard let widths = TableFit.widths(natural, mayBeCut: isNumeric.map { !$0 }, screenWidth: screenWidth) else {
            // Without rows there is nothing to show but the names, however wide.
            return sample.isEmpty ? natural : asRecords(natural)
        }
        isFitted = widths != natural
        return widths
    }

    private mutating func asRecords(_ natural: [Int]) -> [Int] {
        var records = RecordFormatter(style: style)
        var nothing = ByteBuffer()
        records.begin(columns, into: &nothing)
        self.records = records
        return natural
    }

    /// A text of several lines, as of Redis's INFO or MySQL's SHOW CREATE TABLE, is not read in one.
    private static func hasLines(_ value: Value) -> Bool { value.text?.utf8.contains(UInt8(ascii: "\n")) ?? false }

    private func cell(_ value: Value) -> Cell {
        switch value {
        case .null:
            return Cell(text: style.nullText, width: DisplayWidth.of(style.nullText), isDim: true)
        case .text(let text):
            // A text that reads NULL must not look like the absence of a value.
            return cell(text: text == style.nullText ? "\"\(text)\"" : text)
        case .blob(let bytes):
            return cell(text: Self.abbreviated(bytes, byteCountMax: Self.blobByteCountMax))
        case .bool, .integer, .unsigned, .real:
            let text = ValueText.plain(value)
            return Cell(text: text, width: text.utf8.count, isRightAligned: true)
        }
    }

    private func cell(text: String) -> Cell {
        // No cell shows more than this; megabytes need not be escaped for it.
        let start = text.utf8.count > 8 * Self.cellWidthMax ? String(text.prefix(2 * Self.cellWidthMax)) : text
        return Self.cut(TerminalEscaping.visible(start), width: Self.cellWidthMax)
    }

    /// A cell of at most that width; a character that does not fit is left out as a whole.
    static func cut(_ shown: String, width: Int) -> Cell {
        let wanted = DisplayWidth.of(shown)
        if wanted <= width { return Cell(text: shown, width: wanted) }
        let cut = DisplayWidth.prefix(shown, width: width - 1) + "…"
        return Cell(text: String(cut), width: DisplayWidth.of(String(cut)))
    }

    static func abbreviated(_ bytes: [UInt8], byteCountMax: Int) -> String {
        if bytes.count <= byteCountMax { return ValueText.hex(bytes) }
        return "x'\(ValueText.hexDigits(bytes.prefix(byteCountMax)))…' (\(bytes.count) bytes)"
    }

    private mutating func write(
        _ cells: [Cell], _ widths: [Int], isHeader: Bool = false, into output: inout ByteBuffer
    ) {
        for (index, full) in cells.enumerated() {
            var cell = full
            if isFitted, full.width > widths[index], !full.isRightAligned {
                cell = Self.cut(full.text, width: widths[index])
                hasCut = true
            }
            if index > 0 { output.append(style.hasUnicode ? " │" : " |") }
            output.append(UInt8(ascii: " "))
            let padding = max(0, widths[index] - cell.width)
            if cell.isRightAligned { writeSpaces(padding, into: &output) }
            let isMarked = (full.isDim || isHeader) && style.hasColor
            if isMarked { output.append(isHeader ? "\u{1B}[1m" : "\u{1B}[2m") }
            output.append(cell.text)
            if isMarked { output.append("\u{1B}[0m") }
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
