// Rows, value by value, into an Arrow stream.

public import ByteBuffers

/// Makes record batches of rows.
///
/// After `beginRow` come as many values as there are columns. The batch is written when `isBatchFull`, by `writeBatch`; the first
/// one has the schema before it, and decides on the types that are not known.
/// - Thread: one at a time.
public struct ArrowWriter: ~Copyable {
    private let columns: UnsafeMutableBufferPointer<ArrowColumn>
    /// Where the next value goes.
    private var column = 0
    private var rowsBefore: Int64 = 0
    private var rowsInBatch = 0
    private var hasSchema = false
    /// Bytes of the values in the batch, about.
    public private(set) var byteCount = 0
    /// The first value that its column cannot hold.
    public private(set) var mismatch: ArrowMismatch?

    private let byteCountMax: Int
    /// Of all columns together, memory that is kept for the next batch is not more than this times `byteCountMax`.
    private static let keptFactor = 4
    /// Rows of one batch.
    public static let rowCountMax = 65_536

    /// - Parameters:
    ///   - plans: the columns.
    ///   - byteCountMax: a batch ends at the first row that reaches this, in bytes.
    public init(_ plans: [ArrowColumnPlan], byteCountMax: Int) {
        self.byteCountMax = byteCountMax
        columns = .allocate(capacity: plans.count)
        for (index, plan) in plans.enumerated() { columns.initializeElement(at: index, to: ArrowColumn(plan)) }
    }

    /// Makes batches for a stream of which another writer has written the schema.
    /// - Parameters:
    ///   - plans: that writer's `plans`.
    ///   - byteCountMax: a batch ends at the first row that reaches this, in bytes.
    public init(behindSchema plans: [ArrowColumnPlan], byteCountMax: Int) {
        self.init(plans, byteCountMax: byteCountMax)
        hasSchema = true
    }

    /// The columns with the types that they have in the stream; `nil` while values may still decide on one.
    public var plans: [ArrowColumnPlan]? {
        let plans = columns.indices.map { columns[$0].plan }
        return plans.contains { $0.type == .byValues } ? nil : plans
    }

    /// Counts the rows whose batches another writer has written, and that come next in the stream, and takes over what its
    /// mismatch was. The other one begins anew.
    public mutating func goOn(behind other: inout ArrowWriter) {
        if mismatch == nil, let found = other.mismatch {
            mismatch = ArrowMismatch(
                row: rowsBefore + found.row, column: found.column, found: found.found, wanted: found.wanted)
        }
        rowsBefore += other.rowsBefore
        other.rowsBefore = 0
    }

    deinit {
        columns.deinitialize()
        columns.deallocate()
    }

    public mutating func beginRow() { column = 0 }

    /// Takes over what came since `beginRow`.
    public mutating func endRow() { rowsInBatch &+= 1 }

    /// Whether the batch has as much as it may have.
    public var isBatchFull: Bool { rowsInBatch >= Self.rowCountMax || byteCount >= byteCountMax }

    /// Bytes of memory that the batch takes.
    public var capacity: Int { columns.indices.reduce(0) { $0 + columns[$1].capacity } }

    /// The name of a column.
    public func name(of column: Int) -> String { columns[column].name }

    // MARK: Values

    public mutating func null() {
        guard let index = nextColumn(8) else { return }
        at(index).pointee.null()
    }

    public mutating func bool(_ value: Bool) {
        guard let index = nextColumn(1) else { return }
        note(at(index).pointee.bool(value), .bool, index)
    }

    public mutating func integer(_ value: Int64) {
        guard let index = nextColumn(8) else { return }
        note(at(index).pointee.integer(value), .integer, index)
    }

    /// An integer above `Int64.max`.
    public mutating func unsigned(_ value: UInt64) {
        guard let index = nextColumn(8) else { return }
        note(at(index).pointee.unsigned(value), .integer, index)
    }

    public mutating func real(_ value: Double) {
        guard let index = nextColumn(8) else { return }
        note(at(index).pointee.real(value), .real, index)
    }

    public mutating func text(_ bytes: UnsafeRawBufferPointer) {
        guard let index = nextColumn(bytes.count &+ 4) else { return }
        let fits = at(index).pointee.text(bytes)
        note(fits ?? false, fits == nil ? .invalidText : .text, index)
    }

    public mutating func blob(_ bytes: UnsafeRawBufferPointer) {
        guard let index = nextColumn(bytes.count &+ 4) else { return }
        note(at(index).pointee.blob(bytes), .blob, index)
    }

    /// A column that is there, to be changed. Swift 6.3.1 compiles no change by the buffer's subscript for thread sanitizer.
    @inline(__always)
    private func at(_ index: Int) -> UnsafeMutablePointer<ArrowColumn> { columns.baseAddress.unsafelyUnwrapped + index }

    /// The column of the next value; `nil` for a value too many.
    @inline(__always)
    private mutating func nextColumn(_ byteCount: Int) -> Int? {
        let index = column
        guard index < columns.count else { return nil }
        column = index &+ 1
        self.byteCount &+= byteCount
        return index
    }

    @inline(__always)
    private mutating func note(_ fits: Bool, _ found: ArrowMismatch.Found, _ index: Int) {
        if !fits { noteMismatch(found, index) }
    }

    private mutating func noteMismatch(_ found: ArrowMismatch.Found, _ index: Int) {
        if mismatch != nil { return }
        mismatch = ArrowMismatch(
            row: rowsBefore + Int64(rowsInBatch) + 1, column: index, found: found, wanted: columns[index].type)
    }

    // MARK: Writing

    /// Writes the rows of the batch, and begins the next one.
    public mutating func writeBatch(into output: inout ByteBuffer) {
        writeSchema(into: &output)
        guard rowsInBatch > 0 else { return }
        var (nodes, buffers, end) = ([(Int64, Int64)](), [(Int64, Int64)](), 0)
        nodes.reserveCapacity(columns.count)
        buffers.reserveCapacity(3 * columns.count)
        func place(_ byteCount: Int) {
            buffers.append((Int64(end), Int64(byteCount)))
            end += (byteCount + 7) & ~7
        }
        for index in columns.indices {
            nodes.append((Int64(columns[index].count), Int64(columns[index].nullCount)))
            if columns[index].type == .null { continue }
            place(columns[index].validity.count)
            if columns[index].hasOffsets { place(columns[index].offsets.count) }
            place(columns[index].values.count)
        }
        ArrowMessages.writeBatchHead(
            rowCount: rowsInBatch, nodes: nodes, buffers: buffers, bodyByteCount: end, into: &output)
        output.reserve(end)
        let keptByteCount = Self.keptFactor * byteCountMax / max(1, columns.count)
        for index in columns.indices {
            if columns[index].type != .null {
                Self.append(columns[index].validity, to: &output)
                if columns[index].hasOffsets { Self.append(columns[index].offsets, to: &output) }
                Self.append(columns[index].values, to: &output)
            }
            at(index).pointee.removeAll(keepingByteCountMax: keptByteCount)
        }
        rowsBefore += Int64(rowsInBatch)
        rowsInBatch = 0
        byteCount = 0
    }

    /// Writes what is left, and the end of the stream.
    public mutating func finish(into output: inout ByteBuffer) {
        writeBatch(into: &output)
        ArrowMessages.writeEnd(into: &output)
    }

    private mutating func writeSchema(into output: inout ByteBuffer) {
        guard !hasSchema else { return }
        hasSchema = true
        ArrowMessages.writeSchema(columns.indices.map { (columns[$0].name, columns[$0].type) }, into: &output)
    }

    private static func append(_ buffer: borrowing ByteBuffer, to output: inout ByteBuffer) {
        output.append(buffer.readable)
        output.appendZeros(-buffer.count & 7)
    }
}
