// Rows as text in a file: CSV, tab-separated text, JSON.

internal import ByteBuffers
internal import DatabaseContract
internal import WireProtocol

/// A sink that makes a line, or an object, of each row.
class ExportSink: TransferSink {
    private let rowLimit: Int
    @exclusivity(unchecked) private var rowStart = 0
    @exclusivity(unchecked) private var isRowTooLarge = false
    /// The next value is the first one of its row.
    @exclusivity(unchecked) final var isFirst = true

    init(rowByteCountMax: Int) {
        rowLimit = rowByteCountMax
        super.init(isDivisible: true)
    }

    init(partOf whole: ExportSink, _ charge: AccountCharge) {
        rowLimit = whole.rowLimit
        super.init(partPaidBy: charge)
    }

    final override var rowByteCountMax: Int { rowLimit }

    final override func hasRoom(for byteCount: Int) -> Bool {
        guard byteCount <= rowLimit &- (buffer.count &- rowStart) else {
            isRowTooLarge = true
            return false
        }
        return true
    }

    final override func beginRow() {
        rowStart = buffer.count
        isFirst = true
        openRow()
    }

    final override func rowDidEnd() -> State {
        closeRow()
        // Quotes and escapes may have made it longer than its values.
        guard !isRowTooLarge, buffer.count &- rowStart <= rowLimit else { return .overflow }
        return super.rowDidEnd()
    }

    override func restart() {
        super.restart()
        isRowTooLarge = false
    }

    // MARK: What the formats do

    func openRow() {}
    func closeRow() {}
}

/// CSV of RFC 4180, and the tab-separated text of PostgreSQL's COPY. A field without quotes is never text where it could be
/// taken for something else, so what is read back is what was written:
///
/// - CSV: NULL is an empty field, the empty text `""`; a blob is `\x` and hexadecimal digits, and text that begins so is quoted.
/// - TSV: NULL is `\N`; a blob is `\\x` and digits, as COPY writes it.
/// - Both: text that is not UTF-8 is written as a blob.
/// - Source: RFC 4180; PostgreSQL COPY, "Text Format".
final class DelimitedSink: ExportSink {
    private let isTSV: Bool
    private let hasHeader: Bool
    private let delimiter: UInt8

    private static let quote = UInt8(ascii: "\"")
    private static let backslash = UInt8(ascii: "\\")

    /// What stands for null instead of what the format has for it.
    private let nullText: [UInt8]?

    init(isTSV: Bool, _ options: ExportOptions, rowByteCountMax: Int) {
        self.isTSV = isTSV
        hasHeader = options.hasHeader
        nullText = options.null
        delimiter = options.delimiter ?? UInt8(ascii: isTSV ? "\t" : ",")
        super.init(rowByteCountMax: rowByteCountMax)
    }

    private init(partOf whole: DelimitedSink, _ charge: AccountCharge) {
        (isTSV, hasHeader, nullText, delimiter) = (whole.isTSV, false, whole.nullText, whole.delimiter)
        super.init(partOf: whole, charge)
    }

    override func makePart(_ charge: AccountCharge) -> TransferSink? { DelimitedSink(partOf: self, charge) }

    override func begin(_ columns: ColumnSet) {
        guard hasHeader, !columns.columns.isEmpty else { return }
        isFirst = true
        for column in columns.columns { column.name.withUnsafeBytes { text($0) } }
        closeRow()
    }

    override func closeRow() { if isTSV { buffer.append(UInt8(ascii: "\n")) } else { buffer.append("\r\n") } }

    @inline(__always)
    private func separate() {
        if isFirst { isFirst = false } else { buffer.append(delimiter) }
    }

    override func null() {
        separate()
        if let nullText { buffer.append(nullText) } else if isTSV { buffer.append("\\N") }
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
        buffer.append(value.isNaN ? "NaN" : value > 0 ? "Infinity" : "-Infinity" as StaticString)
    }

    override func text(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: bytes.count) else { return }
        let marks = ByteMarks(bytes, of: delimiter, Self.quote, UInt8(ascii: "\n"), UInt8(ascii: "\r"))
        guard marks.isASCII || isValidUTF8(bytes) else { return blob(bytes) }
        separate()
        if isTSV { escape(bytes) } else { appendCSV(bytes, needsQuotes: marks.hasMarked) }
    }

    override func blob(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: 2 * bytes.count) else { return }
        separate()
        buffer.append(isTSV ? "\\\\x" : "\\x" as StaticString)
        buffer.appendHex(bytes)
    }

    private func appendCSV(_ bytes: UnsafeRawBufferPointer, needsQuotes: Bool) {
        let looksLikeBlob = bytes.count > 1 && bytes[0] == Self.backslash && bytes[1] == UInt8(ascii: "x")
        let looksLikeNull = nullText.map { bytes.elementsEqual($0) } ?? false
        guard bytes.isEmpty || looksLikeBlob || looksLikeNull || needsQuotes else { return buffer.append(bytes) }
        buffer.append(Self.quote)
        var start = 0
        for (index, byte) in bytes.enumerated() where byte == Self.quote {
            // The quote is in this part, and begins the next one.
            buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start...index]))
            start = index
        }
        buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        buffer.append(Self.quote)
    }

    private func escape(_ bytes: UnsafeRawBufferPointer) {
        var start = 0
        for (index, byte) in bytes.enumerated() {
            let escaped: StaticString
            switch byte {
            case 8: escaped = "\\b"
            case 9: escaped = "\\t"
            case 10: escaped = "\\n"
            case 11: escaped = "\\v"
            case 12: escaped = "\\f"
            case 13: escaped = "\\r"
            case Self.backslash: escaped = "\\\\"
            // Its own character stands behind the backslash, with what follows.
            case delimiter: escaped = "\\"
            default: continue
            }
            buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start..<index]))
            buffer.append(escaped)
            start = byte == delimiter && byte != 9 ? index : index + 1
        }
        buffer.append(UnsafeRawBufferPointer(rebasing: bytes[start...]))
    }
}

/// An object for each row, with values as the protocol's JSON has them: in one array, or each on a line of its own.
///
/// Of columns with the same name the second is called `name_2`, and so on.
/// - Source: docs/protocol.md, Values; https://jsonlines.org.
final class JSONExportSink: ExportSink {
    private let isLines: Bool
    private let int64Style: Int64Style
    /// `"name":` of each column, and the place of the next.
    private var keys: [[UInt8]] = []
    private var keyIndex = 0
    private var isFirstRow = true
    private var hasColumns = false

    init(isLines: Bool, int64Style: Int64Style, rowByteCountMax: Int) {
        self.isLines = isLines
        self.int64Style = int64Style
        super.init(rowByteCountMax: rowByteCountMax)
    }

    private init(partOf whole: JSONExportSink, _ charge: AccountCharge) {
        (isLines, int64Style, keys, hasColumns) = (whole.isLines, whole.int64Style, whole.keys, whole.hasColumns)
        super.init(partOf: whole, charge)
    }

    override func makePart(_ charge: AccountCharge) -> TransferSink? { JSONExportSink(partOf: self, charge) }

    override func append(_ part: RowSink) {
        guard let part = part as? JSONExportSink else { preconditionFailure("a part of another kind") }
        // The part begins as the first row of all does.
        if !part.isFirstRow {
            if !isLines, !isFirstRow { buffer.append(UInt8(ascii: ",")) }
            isFirstRow = false
            part.isFirstRow = true
        }
        super.append(part)
    }

    override func begin(_ columns: ColumnSet) {
        hasColumns = !columns.columns.isEmpty
        keys = Self.uniqueNames(columns.columns).map { name in
            var key = ByteBuffer()
            key.appendJSONText(name)
            key.append(UInt8(ascii: ":"))
            return Array(key.readable)
        }
        isFirstRow = true
        if !isLines, hasColumns { buffer.append(UInt8(ascii: "[")) }
    }

    private static func uniqueNames(_ columns: [ColumnDescription]) -> [String] {
        let names = columns.map { String(decoding: $0.name, as: UTF8.self) }
        var taken = Set(names)
        var seen: Set<String> = []
        var numbers: [String: Int] = [:]
        return names.map { name in
            if seen.insert(name).inserted { return name }
            var number = numbers[name] ?? 2
            while !taken.insert("\(name)_\(number)").inserted { number += 1 }
            numbers[name] = number + 1
            return "\(name)_\(number)"
        }
    }

    override func finish() {
        if !isLines, hasColumns { buffer.append(isFirstRow ? "]\n" : "\n]\n" as StaticString) }
    }

    override func openRow() {
        if !isLines { buffer.append(isFirstRow ? "\n" : ",\n" as StaticString) }
        isFirstRow = false
        keyIndex = 0
        buffer.append(UInt8(ascii: "{"))
    }
    override func closeRow() { buffer.append(isLines ? "}\n" : "}" as StaticString) }

    @inline(__always)
    private func separate() {
        if isFirst { isFirst = false } else { buffer.append(UInt8(ascii: ",")) }
        guard keyIndex < keys.count else { return }
        buffer.append(keys[keyIndex])
        keyIndex &+= 1
    }

    override func null() {
        separate()
        buffer.appendJSONNull()
    }
    override func bool(_ value: Bool) {
        separate()
        buffer.appendJSONBool(value)
    }
    override func integer(_ value: Int64) {
        separate()
        buffer.appendJSONInteger(value, style: int64Style)
    }
    override func unsigned(_ value: UInt64) {
        separate()
        buffer.appendJSONUnsigned(value, style: int64Style)
    }
    override func real(_ value: Double) {
        separate()
        buffer.appendJSONReal(value)
    }
    override func text(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: bytes.count) else { return }
        separate()
        if isValidUTF8(bytes) { buffer.appendJSONText(bytes) } else { buffer.appendJSONBlob(bytes) }
    }
    override func blob(_ bytes: UnsafeRawBufferPointer) {
        // Base64 makes four bytes of three.
        guard hasRoom(for: bytes.count / 3 * 4) else { return }
        separate()
        buffer.appendJSONBlob(bytes)
    }
}

/// What the client chooses of a format.
struct ExportOptions {
    /// Of CSV and TSV.
    var hasHeader = true
    var delimiter: UInt8?
    var null: [UInt8]?
    /// Of Arrow: columns that are to be text.
    var textColumns: [String] = []
    /// Of SQL: the table within quotes, and how the engine writes values.
    var table = ""
    var loading: (any RowLoading)?
}

extension ExportFormat {
    /// What makes a file of rows.
    func makeSink(_ options: ExportOptions, int64Style: Int64Style, rowByteCountMax: Int) -> TransferSink {
        switch self {
        case .csv, .tsv: DelimitedSink(isTSV: self == .tsv, options, rowByteCountMax: rowByteCountMax)
        case .json, .jsonl:
            JSONExportSink(isLines: self == .jsonl, int64Style: int64Style, rowByteCountMax: rowByteCountMax)
        case .sql:
            if let loading = options.loading {
                SQLExportSink(
                    table: options.table, namesColumns: options.hasHeader, loading, rowByteCountMax: rowByteCountMax)
            } else {
                preconditionFailure("statements for an engine without tables")
            }
        case .arrow: ArrowExportSink(textColumns: options.textColumns, rowByteCountMax: rowByteCountMax)
        }
    }
}
