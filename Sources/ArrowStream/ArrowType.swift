// The types of columns that are written, and why a value has no place in one.

/// The type of a column in Apache Arrow. Times have microseconds.
public enum ArrowType: Sendable, Equatable {
    /// Of a column in which nothing is but nulls.
    case null
    case bool
    case int64
    case uint64
    case float64
    /// At most 38 digits, `scale` of them behind the point.
    case decimal128(precision: Int, scale: Int)
    case date32
    /// A time of day.
    case time64
    /// A moment: without a zone, or in UTC.
    case timestamp(isUTC: Bool)
    /// A span of time.
    case duration
    case utf8
    case binary

    /// The most digits of a `decimal128`.
    public static let digitCountMax = 38
    /// The same of 256 bits, which is read only.
    static let readDigitCountMax = 76

    /// What Arrow's programs call it.
    public var name: String {
        switch self {
        case .null: "null"
        case .bool: "bool"
        case .int64: "int64"
        case .uint64: "uint64"
        case .float64: "float64"
        case .decimal128(let precision, let scale): "decimal128(\(precision), \(scale))"
        case .date32: "date32"
        case .time64: "time64"
        case .timestamp(let isUTC): isUTC ? "timestamp in UTC" : "timestamp"
        case .duration: "duration"
        case .utf8: "utf8"
        case .binary: "binary"
        }
    }
}

/// What is known of a column before its first value.
public struct ArrowColumnPlan: Sendable {
    /// UTF-8.
    public var name: String
    public var type: ColumnTyping

    /// Where the type of a column comes from.
    public enum ColumnTyping: Sendable, Equatable {
        case fixed(ArrowType)
        /// The values of the first batch decide.
        case byValues
        /// Everything is written as text.
        case text
    }

    public init(name: String, type: ColumnTyping) {
        self.name = name
        self.type = type
    }
}

/// A value that its column cannot hold as it is.
public struct ArrowMismatch: Error, Sendable, Equatable {
    /// What the value is.
    public enum Found: String, Sendable {
        case bool = "a boolean"
        case integer = "an integer"
        case real = "a real"
        case text = "a text"
        case invalidText = "a text that is not UTF-8"
        case blob = "a blob"
    }

    /// The first row is 1.
    public let row: Int64
    /// The first column is 0.
    public let column: Int
    public let found: Found
    public let wanted: ArrowType
}
