// What type a column's values have, for a table that is made for them.

internal import CNumbers

/// A type for which every engine has one of its own.
public enum ColumnType: Sendable, Equatable {
    case boolean, integer, real, text, blob

    // Values of text do not say these, but the schema of a file may.

    /// Of 64 bits without a sign.
    case unsigned
    /// So many digits, `scale` of them behind the point; negative: zeros before it.
    case decimal(precision: Int, scale: Int)
    case date, time
    case timestamp(hasZone: Bool)
    /// A span of time.
    case duration

    /// What the protocol calls it.
    public var name: String {
        switch self {
        case .boolean: "boolean"
        case .integer, .unsigned: "integer"
        case .real: "real"
        case .text: "text"
        case .blob: "blob"
        case .decimal: "decimal"
        case .date: "date"
        case .time: "time"
        case .timestamp(let hasZone): hasZone ? "timestamptz" : "timestamp"
        case .duration: "interval"
        }
    }

    /// The type of values that a column with that name of a type has; `nil` for one whose values have no type of their own.
    public init?(name: String) {
        switch name {
        case "boolean": self = .boolean
        case "integer": self = .integer
        case "real": self = .real
        case "text": self = .text
        case "blob": self = .blob
        default: return nil
        }
    }
}

/// Finds the narrowest type that all values of a column have.
///
/// Text that looks like a number is one, but for a leading zero or plus, which would be lost: then it is text, as in a postcode.
public struct TypeInference: Sendable {
    private var columns: [Seen]

    private struct Seen: Sendable {
        var (any, boolean, integer, real, text, blob) = (false, false, false, false, false, false)
    }

    public init(columnCount: Int) { columns = Array(repeating: Seen(), count: columnCount) }

    /// Looks at all rows of a block.
    public mutating func note(_ block: RowBlock) {
        let rows = block.view
        for row in 0..<block.rowCount {
            for column in columns.indices {
                let cell = rows.cell(row, column)
                switch cell.kind {
                case .null: continue
                case .bool: columns[column].boolean = true
                // More than an integer of most engines holds.
                case .unsigned: columns[column].text = true
                case .integer: columns[column].integer = true
                case .real: columns[column].real = true
                case .blob: columns[column].blob = true
                case .text: note(text: rows.bytes(of: cell), column)
                }
                columns[column].any = true
            }
        }
    }

    private mutating func note(text: UnsafeRawBufferPointer, _ column: Int) {
        // Once it is text, nothing makes it something else.
        if columns[column].text { return }
        switch Self.number(text) {
        case .integer?: columns[column].integer = true
        case .real?: columns[column].real = true
        default: columns[column].text = true
        }
    }

    /// Whether a text is a number in the form in which a program would write it.
    static func number(_ text: UnsafeRawBufferPointer) -> ColumnType? {
        guard text.count > 0, text.count <= 32 else { return nil }
        var index = text[0] == UInt8(ascii: "-") ? 1 : 0
        let first = index
        func skipDigits() { while index < text.count, (48...57).contains(text[index]) { index += 1 } }
        skipDigits()
        let digitCount = index - first
        guard digitCount > 0, digitCount == 1 || text[first] != UInt8(ascii: "0") else { return nil }
        if index == text.count {
            return integer(text) == nil ? nil : .integer
        }
        if text[index] == UInt8(ascii: ".") {
            index += 1
            let start = index
            skipDigits()
            if index == start { return nil }
        }
        if index < text.count, text[index] == UInt8(ascii: "e") || text[index] == UInt8(ascii: "E") {
            index += 1
            if index < text.count, text[index] == UInt8(ascii: "-") || text[index] == UInt8(ascii: "+") { index += 1 }
            let start = index
            skipDigits()
            if index == start { return nil }
        }
        return index == text.count ? .real : nil
    }

    /// The number that a text is; `nil` if it is none in the form in which a program would write it, or larger than a double.
    public static func value(_ text: UnsafeRawBufferPointer) -> Cell? {
        switch number(text) {
        case .integer?: return integer(text).map { Cell(.integer, bits: UInt64(bitPattern: $0)) }
        case .real?:
            var value = 0.0
            guard let start = text.baseAddress?.assumingMemoryBound(to: CChar.self) else { return nil }
            let result = cnumbers_parse_double(start, text.count, &value)
            return Int(result) == Int(CNUMBERS_OK) ? Cell(.real, bits: value.bitPattern) : nil
        default: return nil
        }
    }

    /// The value of digits, perhaps behind a sign.
    private static func integer(_ text: UnsafeRawBufferPointer) -> Int64? {
        let isNegative = text[0] == UInt8(ascii: "-")
        var value: Int64 = 0
        for byte in text.dropFirst(isNegative ? 1 : 0) {
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.subtractingReportingOverflow(Int64(byte &- 48))
            if overflow || carry { return nil }
            value = sum
        }
        // It was counted downwards, since there is one more negative number.
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    /// The types; text where nothing was seen, or more than one type can hold.
    public var types: [ColumnType] {
        columns.map { seen in
            let isNumber = seen.integer || seen.real
            switch (seen.any, seen.boolean, isNumber, seen.text, seen.blob) {
            case (false, _, _, _, _): return .text
            case (true, true, false, false, false): return .boolean
            case (true, false, true, false, false): return seen.real ? .real : .integer
            case (true, false, false, false, true): return .blob
            default: return .text
            }
        }
    }
}
