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
/// It shares storage with the batch that it arrived in (about 64 KiB); `Array(row)` makes a copy of its own.
public struct Row: RandomAccessCollection, Sendable {
    public let columns: Columns
    private let values: ArraySlice<Value>

    init(columns: Columns, values: ArraySlice<Value>) {
        self.columns = columns
        self.values = values
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { values.count }

    /// Value of a column by position, from 0.
    public subscript(index: Int) -> Value {
        values[values.startIndex + index]
    }

    /// Value of the first column of that name; `nil` when the result has no such column (not when it is NULL).
    public subscript(name: String) -> Value? {
        columns.firstIndex(of: name).map { self[$0] }
    }
}

/// The rows of one frame of a reply.
public struct RowBatch: RandomAccessCollection, Sendable {
    public let columns: Columns
    /// All values, row by row.
    let values: [Value]
    /// Number of rows; counted, since a result may have no columns.
    public let count: Int

    init(columns: Columns, values: [Value], count: Int) {
        precondition(values.count == columns.count * count, "ragged batch")
        self.columns = columns
        self.values = values
        self.count = count
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { count }

    public subscript(index: Int) -> Row {
        let width = columns.count
        return Row(columns: columns, values: values[index * width..<(index + 1) * width])
    }
}

extension RowBatch {
    /// Rows made by the caller, for code that shows results of several origins alike.
    /// - Parameters:
    ///   - columns: of all rows.
    ///   - rows: each as long as there are columns.
    public init(columns: Columns, rows: [[Value]]) {
        self.init(columns: columns, values: rows.flatMap { $0 }, count: rows.count)
    }
}
