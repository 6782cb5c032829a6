// Replies on their way into the sink, element by element: only the present row is kept in memory.

internal import ByteBuffers
internal import CHiredis
internal import DatabaseContract
internal import RemoteDatabases

/// Makes rows of one reply.
struct RedisRows: ~Copyable {
    enum Outcome {
        case open
        /// The sink has a complete frame.
        case full
        /// The row is larger than any reply may be.
        case overflow
    }

    private enum Cell {
        case null
        case integer(Int64)
        /// Within `scratch`.
        case text(Range<Int>)
    }

    private enum Value {
        case null
        case integer(Int64)
        case text(UnsafeRawBufferPointer)
    }

    private var shape = RedisShape.values
    private var columnCount = 1
    /// Cells of the present row, except its last one, which goes into the sink at once.
    private var cells: [Cell] = []
    private var scratch = ByteBuffer()
    /// An array within a cell, as JSON.
    private var json = RedisJSON()
    /// The depth of the present row's cells: the arrays around them are rows, or the reply.
    private var cellDepth = 0
    private var hasRow = false
    private var rowsLeft = Int64.max
    /// Rows that went into the sink.
    private(set) var rowCount: Int64 = 0
    /// There were more rows than requested.
    private(set) var isTruncated = false
    /// The reply has begun.
    private(set) var hasBegun = false

    private static let keptByteCountMax = 64 << 10

    /// Size of the present row, outside of the sink.
    var heldByteCount: Int { scratch.count + (json.isOpen ? json.text.count : 0) }

    // MARK: Start and end

    /// Prepares for a reply of that shape, of which at most `rowCountMax` rows are wanted.
    mutating func prepare(_ shape: RedisShape, rowCountMax: Int64) {
        self.shape = shape
        rowsLeft = rowCountMax
        rowCount = 0
        isTruncated = false
        hasBegun = false
    }

    /// Takes the first element, and announces the columns.
    mutating func begin(_ element: chiredis_element, into sink: RowSink) {
        hasBegun = true
        if !Self.hasForm(element, shape) { shape = .values }
        cells.removeAll(keepingCapacity: true)
        scratch.removeAll()
        json.removeAll()
        hasRow = false
        cellDepth = element.type == CHIREDIS_ARRAY ? 1 : 0
        let columns = Self.columns(shape)
        columnCount = columns.columns.count
        sink.begin(columns)
    }

    private static func hasForm(_ element: chiredis_element, _ shape: RedisShape) -> Bool {
        if element.type == CHIREDIS_NIL { return shape != .values }
        guard element.type == CHIREDIS_ARRAY else { return false }
        switch shape {
        case .values, .records, .results: return true
        case .pairs: return element.count % 2 == 0
        case .row(let names): return element.count == names.count
        case .scan: return element.count == 2
        }
    }

    static func columns(_ shape: RedisShape) -> ColumnSet {
        ColumnSet(
            shape.columns.map { name in
                let type =
                    switch name {
                    case "value", "subscribers": "any"
                    case "fields", "messages": "json"
                    default: "text"
                    }
                return ColumnDescription(name: Array(name.utf8), type: type, declaredType: nil)
            })
    }

    /// The reply is complete: the rest becomes a row.
    mutating func finish(into sink: RowSink) -> Outcome {
        defer {
            if scratch.capacity > Self.keptByteCountMax { scratch.releaseStorage() }
            json.trim()
        }
        let isEmptyScan = if case .scan = shape, cells.count == 1, !hasRow { true } else { false }
        guard isEmptyScan || cells.count > keptCellCount else { return .open }
        return endRow(.null, into: sink)
    }

    // MARK: Elements

    /// Takes an element of the reply.
    mutating func take(_ element: chiredis_element, into sink: RowSink) -> Outcome {
        if json.isOpen {
            guard json.append(element, byteCountMax: sink.rowByteCountMax) else { return .overflow }
            return json.isOpen ? .open : takeJSON(into: sink)
        }
        if element.type == CHIREDIS_ARRAY {
            if isAroundCells(element) { return .open }
            guard json.append(element, byteCountMax: sink.rowByteCountMax) else { return .overflow }
            return json.isOpen ? .open : takeJSON(into: sink)
        }
        if case .records = shape, Int(element.depth) == 1 { cellDepth = 1 }
        return cell(value(element), isError: element.type == CHIREDIS_ERROR, into: sink)
    }

    /// Whether an array is a row, or contains the rows.
    private mutating func isAroundCells(_ element: chiredis_element) -> Bool {
        if element.depth == 0 { return true }
        switch shape {
        case .records where element.depth == 1:
            cellDepth = element.count == 2 ? 2 : 1
            return cellDepth == 2
        case .scan where element.depth == 1 && element.index == 1:
            cellDepth = 2
            return true
        default: return false
        }
    }

    private func value(_ element: chiredis_element) -> Value {
        switch element.type {
        case CHIREDIS_NIL: .null
        case CHIREDIS_INTEGER: .integer(element.integer)
        default: .text(UnsafeRawBufferPointer(start: element.bytes, count: element.length))
        }
    }

    private mutating func takeJSON(into sink: RowSink) -> Outcome {
        defer { json.removeAll() }
        return cell(.text(json.text), isError: false, into: sink)
    }

    // MARK: Cells

    /// Leading cells that all rows share.
    private var keptCellCount: Int { if case .scan = shape { 1 } else { 0 } }

    private mutating func cell(_ value: Value, isError: Bool, into sink: RowSink) -> Outcome {
        switch shape {
        // nil instead of rows: there are none.
        case .pairs, .row, .records, .scan, .results: if cellDepth == 0 { return .open }
        case .values: break
        }
        if shape == .results {
            store(isError ? .null : value)
            return endRow(isError ? value : .null, into: sink)
        }
        // A record of another form is one cell.
        if case .records = shape, cellDepth == 1 {
            store(value)
            return endRow(.null, into: sink)
        }
        if cells.count == columnCount - 1 { return endRow(value, into: sink) }
        store(value)
        return scratch.count <= sink.rowByteCountMax ? .open : .overflow
    }

    private mutating func store(_ value: Value) {
        switch value {
        case .null: cells.append(.null)
        case .integer(let value): cells.append(.integer(value))
        case .text(let bytes):
            let start = scratch.count
            scratch.append(bytes)
            cells.append(.text(start..<scratch.count))
        }
    }

    private mutating func endRow(_ last: Value, into sink: RowSink) -> Outcome {
        hasRow = true
        guard rowsLeft > 0 else {
            isTruncated = true
            forgetRow()
            return .open
        }
        rowsLeft -= 1
        rowCount += 1
        sink.beginRow()
        for cell in cells { push(cell, into: sink) }
        for _ in cells.count..<max(cells.count, columnCount - 1) { sink.null() }
        switch last {
        case .null: sink.null()
        case .integer(let value): sink.integer(value)
        case .text(let bytes): sink.text(bytes)
        }
        forgetRow()
        return switch sink.endRow() {
        case .open: .open
        case .full: .full
        case .overflow: .overflow
        }
    }

    private func push(_ cell: Cell, into sink: RowSink) {
        switch cell {
        case .null: sink.null()
        case .integer(let value): sink.integer(value)
        case .text(let range): sink.text(UnsafeRawBufferPointer(rebasing: scratch.readable[range]))
        }
    }

    private mutating func forgetRow() {
        let count = keptCellCount
        if count == 0 {
            cells.removeAll(keepingCapacity: true)
            return scratch.removeAll()
        }
        cells.removeLast(cells.count - count)
        let end = if case .text(let range) = cells[0] { range.upperBound } else { 0 }
        scratch.truncate(to: end)
    }
}
