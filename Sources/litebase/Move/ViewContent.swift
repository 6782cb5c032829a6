// What a view shows, told so that both engines can be compared.

import LiteBaseClient

/// Rows of a view, added up: equal ones are in views that show the same, in whatever order.
///
/// Integers, texts and blobs are told by 128 bits of each row, as in `TableContent`. What PostgreSQL has computed with reals or
/// decimals differs from SQLite's in the last digits (an average of integers is a decimal there, and a real here): of these columns
/// the nulls count exactly, and the sums nearly.
struct ViewContent {
    private(set) var rowCount: Int64 = 0
    private var low: UInt64 = 0
    private var high: UInt64 = 0
    /// Sum of each column of numbers with fractions, and of their absolute values.
    private var sums: [(sum: Double, size: Double)]

    /// Columns that PostgreSQL computes in numbers with fractions.
    private let isFractional: [Bool]

    private static let fractionalTypes: Set<String> = ["real", "decimal"]
    /// Of the sum of absolute values: doubles have 2⁻⁵², PostgreSQL's float4 2⁻²³.
    private static let tolerance = 1e-6

    /// - Parameter types: of its columns, as PostgreSQL tells them.
    init(_ types: [String?]) {
        isFractional = types.map { $0.map(Self.fractionalTypes.contains) ?? false }
        sums = Array(repeating: (0, 0), count: types.count)
    }

    mutating func add(_ row: Row) {
        var (first, second) = (Hasher(), Hasher())
        second.combine(1)
        for (index, value) in row.enumerated() {
            var exact = value
            if isFractional[index], let number = Self.number(value), number.isFinite {
                sums[index].sum += number
                sums[index].size += abs(number)
                exact = .integer(0)
            }
            first.combine(exact)
            second.combine(exact)
        }
        rowCount += 1
        low &+= UInt64(bitPattern: Int64(first.finalize()))
        high &+= UInt64(bitPattern: Int64(second.finalize()))
    }

    private static func number(_ value: Value) -> Double? {
        value.integer.map(Double.init) ?? value.real ?? value.text.flatMap { Double($0) }
    }

    /// Whether another view, with columns of the same types, shows the same.
    func isSame(as other: ViewContent) -> Bool {
        guard rowCount == other.rowCount, low == other.low, high == other.high else { return false }
        return zip(sums, other.sums).allSatisfy { here, there in
            abs(here.sum - there.sum) <= Self.tolerance * max(here.size, there.size)
                && abs(here.size - there.size) <= Self.tolerance * max(here.size, there.size)
        }
    }
}
