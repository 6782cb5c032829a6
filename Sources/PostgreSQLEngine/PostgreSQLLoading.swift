// Rows of a file into tables of PostgreSQL: COPY FROM STDIN, one for each block, in its binary format where that can be had
// (PostgreSQLBinaryCopy.swift), else in that of text.

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

    func encoded(_ block: RowBlock, for target: LoadTarget) -> (any EncodedRows)? {
        block.rowCount > 0 ? CopyRows(block, PostgreSQLBinaryCopy(target)) : nil
    }

    func text(table: String, columns: [String], rowCount: Int) -> String {
        "COPY \(table)(\(columns.joined(separator: ","))) FROM STDIN"
    }
}

/// All rows of a block in a format of COPY.
final class CopyRows: EncodedRows, @unchecked Sendable {
    private var data = CopyText()
    /// `nil` where it is that of text.
    private let binary: PostgreSQLBinaryCopy?

    /// - Parameters:
    ///   - block: has rows.
    ///   - binary: `nil` where a column has a type for which there is none.
    init(_ block: RowBlock, _ binary: PostgreSQLBinaryCopy?) {
        let isBinary = binary?.append(block.view, 0..<block.rowCount, to: &data.bytes) == true
        self.binary = isBinary ? binary : nil
        if !isBinary { data.append(block.view, 0..<block.rowCount) }
    }

    var byteCount: Int { data.bytes.count }
    /// That of the binary format, which looks behind the rows whether they were written as what they are.
    var statement: String? { binary?.statement }

    /// Gives the data away. It is made anew for a second attempt.
    func take(_ taken: inout CopyText, _ block: RowBlock) {
        if data.bytes.isEmpty, binary?.append(block.view, 0..<block.rowCount, to: &data.bytes) != true {
            data.append(block.view, 0..<block.rowCount)
        }
        swap(&data, &taken)
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
        case .text: append(text: rows.bytes(of: cell))
        case .blob:
            bytes.append("\\\\x")
            bytes.appendHex(rows.bytes(of: cell))
        default: bytes.append(copied: cell)
        }
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
}

extension ByteBuffer {
    /// The text of a number or boolean in a file of COPY.
    mutating func append(copied cell: Cell) {
        switch cell.kind {
        case .bool: append(cell.bool ? "t" : "f" as StaticString)
        case .integer: append(String(cell.integer))
        case .unsigned: append(String(cell.unsigned))
        case .real: append(copied: cell.real)
        case .null, .text, .blob: break
        }
    }

    private mutating func append(copied value: Double) {
        guard value.isFinite else {
            return append(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity" as StaticString)
        }
        let room = writable(Int(CNUMBERS_DOUBLE_BYTE_COUNT_MAX))
        guard let start = room.baseAddress?.assumingMemoryBound(to: CChar.self) else { return }
        commit(cnumbers_format_double(value, start))
    }
}
