// Rows of a file into tables of PostgreSQL: COPY FROM STDIN in its text format, one for each block.

internal import ByteBuffers
internal import CNumbers
internal import DatabaseContract
internal import Tabular

struct PostgreSQLLoading: RowLoading {
    var needsSavepoint: Bool { true }
    var copiesBytes: Bool { true }
    var keepsBlobsFromTexts: Bool { true }
    var beginText: String { "BEGIN" }

    var literals: SQLLiterals { SQLLiterals(blobStart: "'\\x") }

    func quoted(_ name: String) -> String { quoted(name, in: UInt8(ascii: "\"")) }

    func name(of type: ColumnType) -> String {
        switch type {
        case .boolean: "boolean"
        case .integer: "bigint"
        case .real: "double precision"
        case .text: "text"
        case .blob: "bytea"
        case .unsigned: "numeric(20)"
        case .decimal(let precision, let scale):
            (0...precision).contains(scale) ? "numeric(\(precision),\(scale))" : "numeric"
        case .date: "date"
        case .time: "time"
        case .timestamp(let hasZone): hasZone ? "timestamptz" : "timestamp"
        case .duration: "interval"
        }
    }

    func encoded(_ block: RowBlock) -> (any EncodedRows)? {
        block.rowCount > 0 ? CopyRows(block) : nil
    }

    func text(table: String, columns: [String], rowCount: Int) -> String {
        "COPY \(table)(\(columns.joined(separator: ","))) FROM STDIN"
    }
}

/// All rows of a block in the text format of COPY.
final class CopyRows: EncodedRows, @unchecked Sendable {
    private var text = CopyText()

    init(_ block: RowBlock) { text.append(block.view, 0..<block.rowCount) }

    var byteCount: Int { text.bytes.count }

    /// Gives the text away; once. Afterwards there is none.
    func take(_ taken: inout CopyText) -> Bool {
        guard text.bytes.count > 0 else { return false }
        swap(&text, &taken)
        return true
    }
}

/// Writes rows in the text format of COPY.
/// - Source: https://www.postgresql.org/docs/15/sql-copy.html, File Formats
struct CopyText: ~Copyable {
    var bytes = ByteBuffer()

    mutating func append(_ rows: RowView, _ numbers: Range<Int>) {
        for row in numbers {
            for column in 0..<rows.columnCount {
                if column > 0 { bytes.append(UInt8(ascii: "\t")) }
                append(rows.cell(row, column), rows)
            }
            bytes.append(UInt8(ascii: "\n"))
        }
    }

    private mutating func append(_ cell: Cell, _ rows: RowView) {
        switch cell.kind {
        case .null: bytes.append("\\N")
        case .bool: bytes.append(cell.bool ? "t" : "f" as StaticString)
        case .integer: bytes.append(String(cell.integer))
        case .unsigned: bytes.append(String(cell.unsigned))
        case .real: append(cell.real)
        case .text: append(text: rows.bytes(of: cell))
        case .blob: append(blob: rows.bytes(of: cell))
        }
    }

    private mutating func append(_ value: Double) {
        guard value.isFinite else {
            return bytes.append(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity" as StaticString)
        }
        let room = bytes.writable(Int(CNUMBERS_DOUBLE_BYTE_COUNT_MAX))
        guard let start = room.baseAddress?.assumingMemoryBound(to: CChar.self) else { return }
        bytes.commit(cnumbers_format_double(value, start))
    }

    private mutating func append(text: UnsafeRawBufferPointer) {
        // Nearly no text has one of them.
        let marks = ByteMarks(text, of: 9, 10, 13, UInt8(ascii: "\\"))
        guard marks.hasMarked else { return bytes.append(text) }
        var start = 0
        for (index, byte) in text.enumerated() {
            let escaped: StaticString
            switch byte {
            case 9: escaped = "\\t"
            case 10: escaped = "\\n"
            case 13: escaped = "\\r"
            case UInt8(ascii: "\\"): escaped = "\\\\"
            default: continue
            }
            bytes.append(UnsafeRawBufferPointer(rebasing: text[start..<index]))
            bytes.append(escaped)
            start = index + 1
        }
        bytes.append(UnsafeRawBufferPointer(rebasing: text[start...]))
    }

    private mutating func append(blob: UnsafeRawBufferPointer) {
        bytes.append("\\\\x")
        bytes.appendHex(blob)
    }
}
