// What is in a table, told by a number that does not depend on the order of its rows.

import LiteBaseClient
internal import SchemaTranslation

/// Rows of one side, added up: equal ones are in tables with the same rows, each as often.
///
/// Of each row 128 bits are added. They are those of this process alone (`Hasher` has a seed), and both sides are read by it.
struct TableContent: Equatable {
    private(set) var rowCount: Int64 = 0
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    /// - Parameters:
    ///   - row: as it came, from either engine.
    ///   - columns: what its columns are in PostgreSQL.
    mutating func add(_ row: Row, _ columns: [TargetColumn]) {
        var (first, second) = (Hasher(), Hasher())
        second.combine(1)
        for (value, column) in zip(row, columns) {
            let value = Self.plain(value, column.type)
            first.combine(value)
            second.combine(value)
        }
        rowCount += 1
        low &+= UInt64(bitPattern: Int64(first.finalize()))
        high &+= UInt64(bitPattern: Int64(second.finalize()))
    }

    /// The same value for both sides: a double has no integers, a decimal comes as text.
    static func plain(_ value: Value, _ type: ColumnType) -> Value {
        switch type {
        case .bigint, .text, .bytea: return value
        case .double: return value.real.map { .real($0) } ?? value
        case .numeric:
            if let number = value.integer { return .integer(number) }
            guard let text = value.text else { return value.real.map(whole) ?? value }
            let integer = text.split(separator: ".", omittingEmptySubsequences: false)
            if integer.count == 1 || integer[1].allSatisfy({ $0 == "0" }), let number = Int64(integer[0]) {
                return .integer(number)
            }
            return Double(text).map { .real($0) } ?? value
        }
    }

    /// A real without a fraction as the integer that its decimal is.
    private static func whole(_ number: Double) -> Value {
        Int64(exactly: number).map { .integer($0) } ?? .real(number)
    }
}
