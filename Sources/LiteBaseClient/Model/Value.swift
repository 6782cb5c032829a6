// One value of a database, as it travels in a row or as a parameter.
//
// Not here: how it looks on the wire (Wire/) or on a terminal (the command line's business).

/// A value of a row or of a parameter, exact in every bit that the protocol carries.
///
/// Text that is not valid UTF-8 arrives as `blob`, unaltered; kinds that an engine has beyond these (decimal, date, uuid,
/// …) arrive as `text` in the engine's own spelling, and `Column.type` names them.
/// - Source: protocol.md, "Values"
public enum Value: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// An integer above `Int64.max`; smaller ones are always `integer`.
    case unsigned(UInt64)
    case real(Double)
    case text(String)
    case blob([UInt8])

    /// Any integer, as `integer` where it fits.
    public init(_ number: some FixedWidthInteger & UnsignedInteger) {
        self = Int64(exactly: number).map(Value.integer) ?? .unsigned(UInt64(number))
    }

    /// Any signed integer of up to 64 bits.
    public init(_ number: some FixedWidthInteger & SignedInteger) {
        self = .integer(Int64(number))
    }

    public init(_ number: Double) { self = .real(number) }
    public init(_ text: String) { self = .text(text) }
    public init(_ flag: Bool) { self = .bool(flag) }
    public init(_ bytes: [UInt8]) { self = .blob(bytes) }
}

extension Value {
    public var isNull: Bool {
        if case .null = self { true } else { false }
    }

    /// The integer; a bool counts as 0 or 1, as in SQLite; `nil` for anything else, a real included.
    public var integer: Int64? {
        switch self {
        case .integer(let number): number
        case .bool(let flag): flag ? 1 : 0
        case .null, .unsigned, .real, .text, .blob: nil
        }
    }

    /// The number as a double; an integer is converted, which is inexact beyond 2^53.
    public var real: Double? {
        switch self {
        case .real(let number): number
        case .integer(let number): Double(number)
        case .unsigned(let number): Double(number)
        case .null, .bool, .text, .blob: nil
        }
    }

    public var text: String? {
        if case .text(let text) = self { text } else { nil }
    }

    public var blob: [UInt8]? {
        if case .blob(let bytes) = self { bytes } else { nil }
    }

    /// The truth of a bool or of an integer; `nil` for anything else.
    public var bool: Bool? {
        switch self {
        case .bool(let flag): flag
        case .integer(let number): number != 0
        case .null, .unsigned, .real, .text, .blob: nil
        }
    }
}

extension Value: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByStringInterpolation
{
    public init(nilLiteral: ()) { self = .null }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .real(value) }
    public init(stringLiteral value: String) { self = .text(value) }
}

extension Value: CustomStringConvertible {
    /// A spelling close to SQL, for logs and test failures.
    public var description: String {
        switch self {
        case .null: "NULL"
        case .bool(let flag): flag ? "true" : "false"
        case .integer(let number): String(number)
        case .unsigned(let number): String(number)
        case .real(let number): String(number)
        case .text(let text): text
        case .blob(let bytes): "x'" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "'"
        }
    }
}
