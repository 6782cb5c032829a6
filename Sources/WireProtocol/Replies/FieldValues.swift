// The possible values of reply fields.

public import ByteBuffers

extension Int64: FieldValue {
    @inlinable
    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.integer(self, into: &output)
    }
    public static func read(_ source: some FieldSource) -> Int64? { source.integer }
}

extension UInt64: FieldValue {
    @inlinable
    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.unsigned(self, into: &output)
    }
    public static func read(_ source: some FieldSource) -> UInt64? { source.integer.flatMap(UInt64.init(exactly:)) }
}

extension Bool: FieldValue {
    @inlinable
    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) { writer.bool(self, into: &output) }
    public static func read(_ source: some FieldSource) -> Bool? { source.bool }
}

extension String: FieldValue {
    @inlinable
    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) { writer.text(self, into: &output) }
    public static func read(_ source: some FieldSource) -> String? { source.text }
}

/// Text that need not be UTF-8: other bytes are written as a blob, unchanged.
public struct TextBytes: FieldValue {
    public var bytes: [UInt8]

    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    /// With invalid UTF-8 replaced.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        bytes.withUnsafeBytes { writer.text($0, into: &output) }
    }
    public static func read(_ source: some FieldSource) -> TextBytes? { source.text.map { TextBytes(Array($0.utf8)) } }
}

/// The id of a request. Clients identify requests by integers, and ignore other ids.
public struct RequestIDField: FieldValue, @unchecked Sendable {
    public var id: RequestID

    public init(_ id: RequestID) { self.id = id }

    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) { writer.id(id, into: &output) }
    public static func read(_ source: some FieldSource) -> RequestIDField? {
        source.integer.map { RequestIDField(.integer($0)) }
    }
}

/// Null if there is no value.
extension Optional: FieldValue where Wrapped: FieldValue {
    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        if let self { self.write(&writer, &output) } else { writer.null(into: &output) }
    }
    public static func read(_ source: some FieldSource) -> Wrapped?? {
        if source.isNull { return .some(nil) }
        guard let value = Wrapped.read(source) else { return nil }
        return .some(value)
    }
    public static func appendFieldNames(to names: inout [String]) { Wrapped.appendFieldNames(to: &names) }
}

extension Array: FieldValue where Element: FieldValue {
    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.beginArray(into: &output)
        for element in self { element.write(&writer, &output) }
        writer.endArray(into: &output)
    }
    public static func read(_ source: some FieldSource) -> [Element]? {
        source.elements?.compactMap { Element.read($0) }
    }
    public static func appendFieldNames(to names: inout [String]) { Element.appendFieldNames(to: &names) }
}

/// A map whose keys are data, in order.
public struct NamedValues<Value: FieldValue>: FieldValue {
    public private(set) var entries: [(name: String, value: Value)] = []

    public init() {}

    public mutating func append(_ name: String, _ value: Value) { entries.append((name, value)) }

    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.beginMap(into: &output)
        for (name, value) in entries {
            writer.key(name, into: &output)
            value.write(&writer, &output)
        }
        writer.endMap(into: &output)
    }

    public static func read(_ source: some FieldSource) -> NamedValues? {
        guard let members = source.members else { return nil }
        var values = NamedValues()
        for (name, member) in members {
            if let value = Value.read(member) { values.append(name, value) }
        }
        return values
    }

    /// Its own keys do not belong to the protocol.
    public static func appendFieldNames(to names: inout [String]) { Value.appendFieldNames(to: &names) }
}
