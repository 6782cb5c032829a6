// Columns, rows and the batches that rows arrive in.

/// A column of a result.
public struct Column: Hashable, Sendable {
    /// As the engine names it; names may repeat within a result.
    public let name: String
    /// The engine's type of the column, such as "integer", "decimal" or "json"; `nil` where it has none.
    public let type: String?
    /// The type as the table's definition spells it; `nil` for an expression.
    public let declaredType: String?

    public init(name: String, type: String? = nil, declaredType: String? = nil) {
        self.name = name
        self.type = type
        self.declaredType = declaredType
    }
}

/// The columns of one result, shared by all of its rows.
public final class Columns: Sendable {
    public let all: [Column]
    /// First position of each name; `nil` for the few columns that a scan finds as fast.
    private let positions: [String: Int]?

    public init(_ columns: [Column]) {
        all = columns
        positions =
            columns.count <= 8
            ? nil : Dictionary(columns.enumerated().map { ($1.name, $0) }) { first, _ in first }
    }

    public var count: Int { all.count }
    public var names: [String] { all.map(\.name) }

    /// Position of the first column of that name; `nil` when there is none.
    public func firstIndex(of name: String) -> Int? {
        if let positions { return positions[name] }
        return all.firstIndex { $0.name == name }
    }
}

/// One row.
///
/// It shares storage with the batch that it arrived in (about 64 KiB), and makes a value when it is asked for one; `Array(row)`
/// makes a copy of its own.
public struct Row: RandomAccessCollection, Sendable {
    @usableFromInline let cells: BatchCells
    /// Its place in the batch.
    @usableFromInline let index: Int

    init(_ cells: BatchCells, _ index: Int) {
        self.cells = cells
        self.index = index
    }

    public var columns: Columns { cells.columns }
    public var startIndex: Int { 0 }
    @inlinable public var endIndex: Int { cells.width }

    /// Value of a column by position, from 0.
    public subscript(column: Int) -> Value {
        precondition(column >= 0 && column < endIndex, "no such column")
        return cells.withValues { cells, bytes in Value(cells[index * endIndex + column].value(bytes)) }
    }

    /// Value of the first column of that name; `nil` when the result has no such column (not when it is NULL).
    public subscript(name: String) -> Value? {
        columns.firstIndex(of: name).map { self[$0] }
    }

    /// Calls `body` with each value, in the order of the columns, without a copy of its bytes: for programs that write many
    /// values, and keep none.
    @inlinable
    public func forEachBorrowed(_ body: (BorrowedValue) -> Void) {
        let range = index * endIndex..<(index + 1) * endIndex
        cells.withValues { cells, bytes in
            for cell in cells[range] { body(cell.value(bytes)) }
        }
    }
}

/// A value whose bytes are those of its batch: there are none after the call that it was given to.
public enum BorrowedValue {
    case null
    case bool(Bool)
    case integer(Int64)
    /// An integer above `Int64.max`; smaller ones are always `integer`.
    case unsigned(UInt64)
    case real(Double)
    /// UTF-8.
    case text(UnsafeRawBufferPointer)
    case blob(UnsafeRawBufferPointer)
}

extension Value {
    /// A copy.
    public init(_ value: BorrowedValue) {
        switch value {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .integer(let number): self = .integer(number)
        case .unsigned(let number): self = .unsigned(number)
        case .real(let number): self = .real(number)
        case .text(let bytes): self = .text(String(decoding: bytes, as: UTF8.self))
        case .blob(let bytes): self = .blob(Array(bytes))
        }
    }
}

/// The rows of one frame of a reply.
public struct RowBatch: RandomAccessCollection, Sendable {
    private let cells: BatchCells
    /// Number of rows; counted, since a result may have no columns.
    public let count: Int

    init(columns: Columns, _ values: FlatValues, count: Int) {
        precondition(values.count == columns.count * count, "ragged batch")
        cells = BatchCells(columns, values)
        self.count = count
    }

    public var columns: Columns { cells.columns }
    public var startIndex: Int { 0 }
    public var endIndex: Int { count }

    public subscript(index: Int) -> Row {
        precondition(index >= 0 && index < count, "no such row")
        return Row(cells, index)
    }
}

extension RowBatch {
    /// Rows made by the caller, for code that shows results of several origins alike.
    /// - Parameters:
    ///   - columns: of all rows.
    ///   - rows: each as long as there are columns.
    public init(columns: Columns, rows: [[Value]]) {
        var values = FlatValues()
        for row in rows { for value in row { values.append(value) } }
        self.init(columns: columns, values, count: rows.count)
    }
}

/// The values of a batch, which all of its rows share.
@usableFromInline
final class BatchCells: Sendable {
    let columns: Columns
    /// Values of a row.
    @usableFromInline let width: Int
    @usableFromInline let values: FlatValues

    init(_ columns: Columns, _ values: FlatValues) {
        self.columns = columns
        self.values = values
        width = columns.count
    }

    /// Calls `body` with all cells, and with the bytes that they lead to.
    @inlinable
    func withValues<Result>(_ body: (UnsafeBufferPointer<FlatValues.Cell>, UnsafeRawBufferPointer) -> Result) -> Result
    {
        values.cells.withUnsafeBufferPointer { cells in values.bytes.withUnsafeBytes { body(cells, $0) } }
    }
}

/// Values of many rows, one row after the other, as they are kept: nothing is made of a value before somebody asks for it.
@usableFromInline
struct FlatValues: Sendable {
    /// A value; of a text or a blob where its bytes are.
    @usableFromInline
    struct Cell: Sendable {
        @usableFromInline
        enum Kind: UInt8, Sendable { case null, bool, integer, unsigned, real, text, blob }

        @usableFromInline let kind: Kind
        @usableFromInline let byteCount: UInt32
        @usableFromInline let bits: UInt64

        init(_ kind: Kind, _ bits: UInt64, byteCount: Int = 0) {
            self.kind = kind
            self.byteCount = UInt32(byteCount)
            self.bits = bits
        }

        @inlinable
        func value(_ bytes: UnsafeRawBufferPointer) -> BorrowedValue {
            switch kind {
            case .null: .null
            case .bool: .bool(bits != 0)
            case .integer: .integer(Int64(bitPattern: bits))
            case .unsigned: .unsigned(bits)
            case .real: .real(Double(bitPattern: bits))
            case .text: .text(run(bytes))
            case .blob: .blob(run(bytes))
            }
        }

        @inlinable
        func run(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: bytes[Int(bits)..<Int(bits) + Int(byteCount)])
        }
    }

    @usableFromInline var cells: [Cell] = []
    /// What the cells of texts and blobs lead to.
    @usableFromInline var bytes: [UInt8] = []

    var count: Int { cells.count }

    mutating func append(_ value: Value) {
        switch value {
        case .null: cells.append(Cell(.null, 0))
        case .bool(let flag): cells.append(Cell(.bool, flag ? 1 : 0))
        case .integer(let number): cells.append(Cell(.integer, UInt64(bitPattern: number)))
        case .unsigned(let number): cells.append(Cell(.unsigned, number))
        case .real(let number): cells.append(Cell(.real, number.bitPattern))
        case .text(let text): append(.text, text.utf8)
        case .blob(let blob): append(.blob, blob)
        }
    }

    private mutating func append(_ kind: Cell.Kind, _ content: some Collection<UInt8>) {
        cells.append(Cell(kind, UInt64(bytes.count), byteCount: content.count))
        bytes.append(contentsOf: content)
    }
}
