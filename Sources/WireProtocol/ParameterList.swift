// The parameters of a statement: values for its placeholders, by position or by name.

/// A value for a placeholder. Text and blob point into the request's body.
public enum ParameterValue {
    case null
    case bool(Bool)
    case integer(Int64)
    /// Only for values above `Int64.max`.
    case unsigned(UInt64)
    case real(Double)
    /// UTF-8; may contain NUL.
    case text(UnsafeRawBufferPointer)
    case blob(UnsafeRawBufferPointer)
}

/// One parameter.
public struct Parameter {
    /// The name as the client wrote it, with or without the dialect's prefix; `nil` in a list by position.
    public let name: UnsafeRawBufferPointer?
    public let value: ParameterValue
}

/// The parameters of one execution, as views into the request's body. Types are checked when the request is decoded.
public struct ParameterList {
    public let count: Int
    /// Whether they are given by name (a map) rather than by position (an array).
    public let isNamed: Bool
    /// The values, without the container's header.
    private let content: UnsafeRawBufferPointer

    /// No parameters.
    public static var empty: ParameterList {
        ParameterList(count: 0, isNamed: false, content: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    private init(count: Int, isNamed: Bool, content: UnsafeRawBufferPointer) {
        self.count = count
        self.isNamed = isNamed
        self.content = content
    }

    /// Reads and checks an array or a map of values.
    static func read(
        _ reader: inout MessagePackReader, field: StaticString, mayBeNamed: Bool = true
    ) throws(DecodeError) -> ParameterList {
        let start = reader.offset
        let count: Int
        let isNamed: Bool
        switch try reader.next() {
        case .array(let elements):
            count = elements
            isNamed = false
        case .map(let pairs) where mayBeNamed:
            count = pairs
            isNamed = true
        case .null, .bool, .integer, .unsigned, .real, .text, .binary, .map, .ext:
            let wanted: StaticString = mayBeNamed ? "an array, or a map of names" : "an array of arrays"
            throw DecodeError(.wrongType(field: field, wanted: wanted), at: start)
        }
        guard count <= WireLimits.parameterCountMax else {
            throw DecodeError(.tooMany(field: field, limit: WireLimits.parameterCountMax), at: start)
        }
        let contentStart = reader.offset
        for _ in 0..<count {
            if isNamed { _ = try reader.readText(field) }
            _ = try ParameterValue.read(&reader, field: field)
        }
        let content = reader.bytes.slice(contentStart..<reader.offset)
        return ParameterList(count: count, isNamed: isNamed, content: content)
    }

    /// Starts reading at the first parameter; as often as needed.
    public func makeReader() -> ParameterReader {
        ParameterReader(reader: MessagePackReader(content), remaining: count, isNamed: isNamed)
    }
}

/// Reads the parameters of a list one by one. Allocates nothing.
public struct ParameterReader {
    fileprivate var reader: MessagePackReader
    fileprivate var remaining: Int
    fileprivate let isNamed: Bool

    /// The next parameter; `nil` after the last one.
    public mutating func next() -> Parameter? {
        guard remaining > 0 else { return nil }
        remaining &-= 1
        do throws(DecodeError) {
            let name = isNamed ? try reader.readText("params") : nil
            return Parameter(name: name, value: try ParameterValue.read(&reader, field: "params"))
        } catch {
            // The list was checked when it was made.
            preconditionFailure("the body of a request changed while it was used")
        }
    }
}

extension ParameterValue {
    fileprivate static func read(
        _ reader: inout MessagePackReader, field: StaticString
    ) throws(DecodeError) -> ParameterValue {
        let start = reader.offset
        switch try reader.next() {
        case .null: return .null
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .unsigned(let value): return .unsigned(value)
        case .real(let value): return .real(value)
        case .text(let text): return .text(text)
        case .binary(let bytes): return .blob(bytes)
        case .array, .map, .ext:
            let wanted: StaticString = "made of null, booleans, numbers, text and blobs; send JSON and dates as text"
            throw DecodeError(.wrongType(field: field, wanted: wanted), at: start)
        }
    }
}
