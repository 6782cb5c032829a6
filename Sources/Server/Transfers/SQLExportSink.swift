// Rows as INSERT statements in a file.

internal import ByteBuffers
internal import DatabaseContract
internal import WireProtocol

/// A statement for each row, with literals of the engine's dialect.
///
/// - Source: docs/protocol.md, SQL.
final class SQLExportSink: ExportSink {
    /// The table, within quotes.
    private let table: String
    private let namesColumns: Bool
    private let loading: any RowLoading
    private let literals: SQLLiterals
    /// What every statement begins with.
    private var start: [UInt8] = []

    init(table: String, namesColumns: Bool, _ loading: any RowLoading, rowByteCountMax: Int) {
        self.table = table
        self.namesColumns = namesColumns
        self.loading = loading
        literals = loading.literals
        super.init(rowByteCountMax: rowByteCountMax)
    }

    private init(partOf whole: SQLExportSink, _ charge: AccountCharge) {
        (table, namesColumns, loading) = (whole.table, whole.namesColumns, whole.loading)
        (literals, start) = (whole.literals, whole.start)
        super.init(partOf: whole, charge)
    }

    override func makePart(_ charge: AccountCharge) -> TransferSink? { SQLExportSink(partOf: self, charge) }

    override func begin(_ columns: ColumnSet) {
        let names = columns.columns.map { loading.quoted(String(decoding: $0.name, as: UTF8.self)) }
        let list = namesColumns ? "(\(names.joined(separator: ",")))" : ""
        start = Array("INSERT INTO \(table)\(list) VALUES(".utf8)
    }

    override func openRow() { buffer.append(start) }
    override func closeRow() { buffer.append(");\n") }

    @inline(__always)
    private func separate() {
        if isFirst { isFirst = false } else { buffer.append(UInt8(ascii: ",")) }
    }

    // MARK: Values

    override func null() {
        separate()
        buffer.append("NULL")
    }
    override func bool(_ value: Bool) {
        separate()
        buffer.appendJSONBool(value)
    }
    override func integer(_ value: Int64) {
        separate()
        buffer.appendJSONInteger(value, style: .number)
    }
    override func unsigned(_ value: UInt64) {
        separate()
        buffer.appendJSONUnsigned(value, style: .number)
    }
    override func real(_ value: Double) {
        separate()
        if value.isFinite { return buffer.appendJSONReal(value) }
        buffer.append(value.isNaN ? literals.nan : value > 0 ? literals.infinity : literals.negativeInfinity)
    }

    override func text(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: bytes.count) else { return }
        guard !literals.castsUnusualText || (isValidUTF8(bytes) && !bytes.contains { $0 == 0 || $0 == 13 }) else {
            separate()
            buffer.append("CAST(")
            append(blob: bytes)
            return buffer.append(" AS TEXT)")
        }
        separate()
        buffer.append(Self.quote)
        var start = 0
        for (index, byte) in bytes.enumerated() {
            let escape: StaticString
            switch byte {
            case Self.quote: escape = "''"
            case Self.backslash where literals.escapesByBackslash: escape = "\\\\"
            case 0 where literals.escapesByBackslash: escape = "\\0"
            case 10 where literals.escapesByBackslash: escape = "\\n"
            case 13 where literals.escapesByBackslash: escape = "\\r"
            default: continue
            }
            buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
            buffer.append(escape)
            start = index + 1
        }
        buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        buffer.append(Self.quote)
    }

    override func blob(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: 2 * bytes.count) else { return }
        separate()
        append(blob: bytes)
    }

    private func append(blob bytes: UnsafeRawBufferPointer) {
        buffer.append(literals.blobStart)
        buffer.appendHex(bytes)
        buffer.append(Self.quote)
    }

    private static let quote = UInt8(ascii: "'")
    private static let backslash = UInt8(ascii: "\\")
}
