// Rows as an Arrow stream in a file.

internal import ArrowStream
internal import ByteBuffers
internal import DatabaseContract
internal import WireProtocol

/// Makes record batches of rows.
///
/// - Source: docs/protocol.md, Arrow.
final class ArrowExportSink: TransferSink {
    @exclusivity(unchecked) private var writer = ArrowWriter([], byteCountMax: 1)
    @exclusivity(unchecked) private var rowStart = 0
    @exclusivity(unchecked) private var isRowTooLarge = false
    private let rowLimit: Int
    /// Columns that are wanted as text.
    private let textColumns: Set<String>

    /// A batch ends at the first row that reaches this: then two buffers and the columns take what a transfer is charged for.
    private static let batchByteCountMax = byteCountMax

    init(textColumns: [String], rowByteCountMax: Int) {
        self.textColumns = Set(textColumns)
        rowLimit = rowByteCountMax
        super.init(isDivisible: true)
    }

    private init(partOf whole: ArrowExportSink, _ plans: [ArrowColumnPlan], _ charge: AccountCharge) {
        (textColumns, rowLimit) = (whole.textColumns, whole.rowLimit)
        super.init(partPaidBy: charge)
        writer = ArrowWriter(behindSchema: plans, byteCountMax: Self.partByteCountMax)
    }

    override var rowByteCountMax: Int { rowLimit }
    override var heldByteCount: Int { writer.capacity }

    override func hasRoom(for byteCount: Int) -> Bool {
        guard byteCount <= rowLimit &- (writer.byteCount &- rowStart) else {
            isRowTooLarge = true
            return false
        }
        return true
    }

    override func begin(_ columns: ColumnSet) {
        let plans = columns.columns.map { column in
            let name = String(decoding: column.name, as: UTF8.self)
            return ArrowColumnPlan(name: name, type: textColumns.contains(name) ? .text : column.arrowType)
        }
        writer = ArrowWriter(plans, byteCountMax: Self.batchByteCountMax)
    }

    override func restart() {
        super.restart()
        isRowTooLarge = false
        writer = ArrowWriter([], byteCountMax: 1)
    }

    override func beginRow() {
        rowStart = writer.byteCount
        writer.beginRow()
    }

    override func rowDidEnd() -> State {
        guard !isRowTooLarge, writer.byteCount &- rowStart <= rowLimit, writer.mismatch == nil else { return .overflow }
        writer.endRow()
        // On the thread that has made the row: a long one is not copied on a loop.
        if writer.isBatchFull { writer.writeBatch(into: &buffer) }
        return super.rowDidEnd()
    }

    // MARK: Parts

    override var partCost: Int { 2 * Self.partByteCountMax }

    override func makePart(_ charge: AccountCharge) -> TransferSink? {
        writer.plans.map { ArrowExportSink(partOf: self, $0, charge) }
    }

    override func endPart() {
        // A whole batch decides on the types.
        if writer.plans != nil { writer.writeBatch(into: &buffer) }
        super.endPart()
    }

    override func append(_ part: RowSink) {
        guard let part = part as? ArrowExportSink else { preconditionFailure("a part of another kind") }
        writer.goOn(behind: &part.writer)
        super.append(part)
    }

    override func finish() { writer.finish(into: &buffer) }

    override var refusal: DriverError? {
        guard let mismatch = writer.mismatch else { return nil }
        let name = writer.name(of: mismatch.column)
        let shown = name.withUTF8Prefix(Self.nameByteCountMax)
        let remedy =
            mismatch.found == .invalidText
            ? "CAST the column to a blob" : "Give the values one type in the statement"
        return DriverError(
            .databaseError,
            "Row \(mismatch.row) has \(mismatch.found.rawValue) in the column \"\(shown)\", which is of Arrow's type "
                + "\(mismatch.wanted.name) and cannot have it.",
            hint:
                "\(remedy), or name the column in \"text_columns\" (litebase: --text-column): then all of it is text.",
            sqlState: "22000")
    }

    private static let nameByteCountMax = 100

    // MARK: Values

    override func null() { writer.null() }
    override func bool(_ value: Bool) { writer.bool(value) }
    override func integer(_ value: Int64) { writer.integer(value) }
    override func unsigned(_ value: UInt64) { writer.unsigned(value) }
    override func real(_ value: Double) { writer.real(value) }
    override func text(_ bytes: UnsafeRawBufferPointer) { if hasRoom(for: bytes.count) { writer.text(bytes) } }
    override func blob(_ bytes: UnsafeRawBufferPointer) { if hasRoom(for: bytes.count) { writer.blob(bytes) } }
}

extension String {
    /// So many bytes of it at the most, with an ellipsis where it is longer.
    fileprivate func withUTF8Prefix(_ byteCountMax: Int) -> String {
        guard utf8.count > byteCountMax else { return self }
        var text = self
        return text.withUTF8 { DriverError.cut(UnsafeRawBufferPointer($0), byteCountMax: byteCountMax) }
    }
}

extension ColumnDescription {
    /// Arrow's type for what the engine knows of the column.
    ///
    /// SQLite knows no type of a column of any numeric affinity (DATE, BOOLEAN, DECIMAL): such a one has the type of its values.
    fileprivate var arrowType: ArrowColumnPlan.ColumnTyping {
        switch type {
        case "integer": .fixed(detail == .unsigned ? .uint64 : .int64)
        case "real": .fixed(.float64)
        case "boolean": .fixed(.bool)
        case "blob": .fixed(.binary)
        case "any": .byValues
        case "date": .fixed(.date32)
        case "timestamp", "datetime": .fixed(.timestamp(isUTC: false))
        case "timestamptz": .fixed(.timestamp(isUTC: true))
        case "time": .fixed(detail == .span ? .duration : .time64)
        case "decimal":
            if case .decimal(let precision, let scale) = detail, (1...ArrowType.digitCountMax).contains(precision),
                (0...precision).contains(scale)
            {
                .fixed(.decimal128(precision: precision, scale: scale))
            } else {
                .fixed(.utf8)
            }
        default: .fixed(.utf8)
        }
    }
}
