// The data of replies. Each is a struct that lists its fields once, in `visit`, with their keys; writing, reading and
// the comparison with the documentation use that list.

public import ByteBuffers

/// The data of a reply, or a map within it.
public protocol ReplyData: FieldValue {
    /// The values of fields that a reply does not have.
    init()
    /// Passes each field to the visitor, in the order in which they are written.
    mutating func visit<Visitor: FieldVisitor>(_ visitor: inout Visitor)
}

/// Visits the fields of a reply.
public protocol FieldVisitor: SendableMetatype {
    /// A field that is always there; one that is `nil` is null.
    mutating func field<Value: FieldValue>(_ key: StaticString, _ value: inout Value)
    /// A field that is present only if its value is known.
    mutating func optional<Value: FieldValue>(_ key: StaticString, _ value: inout Value?)
}

/// A possible value of a field.
public protocol FieldValue: Sendable {
    /// Writes the value after its key, or as an element.
    func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer)
    /// Reads the value from a received reply; `nil` if it is something else.
    static func read(_ source: some FieldSource) -> Self?
    /// Adds the keys of the maps that it may contain.
    static func appendFieldNames(to names: inout [String])
}

/// A decoded value of a reply, as a client keeps it.
public protocol FieldSource: SendableMetatype {
    func member(_ key: StaticString) -> Self?
    /// Of a map; `nil` for anything else.
    var members: [(key: String, value: Self)]? { get }
    /// Of an array; `nil` for anything else.
    var elements: [Self]? { get }
    var isNull: Bool { get }
    var text: String? { get }
    var integer: Int64? { get }
    var bool: Bool? { get }
}

extension FieldValue {
    public static func appendFieldNames(to names: inout [String]) {}
}

// MARK: Writing

/// Writes each field into the open map of a message.
@usableFromInline
struct FieldWriter: FieldVisitor {
    @usableFromInline let writer: UnsafeMutablePointer<MessageWriter>
    @usableFromInline let output: UnsafeMutablePointer<ByteBuffer>

    @inlinable
    init(_ writer: UnsafeMutablePointer<MessageWriter>, _ output: UnsafeMutablePointer<ByteBuffer>) {
        self.writer = writer
        self.output = output
    }

    @inlinable
    mutating func field<Value: FieldValue>(_ key: StaticString, _ value: inout Value) {
        writer.pointee.key(key, into: &output.pointee)
        value.write(&writer.pointee, &output.pointee)
    }

    @inlinable
    mutating func optional<Value: FieldValue>(_ key: StaticString, _ value: inout Value?) {
        guard let known = value else { return }
        writer.pointee.key(key, into: &output.pointee)
        known.write(&writer.pointee, &output.pointee)
    }
}

extension ReplyData {
    /// Writes the fields into the open map without changing them: a copy of the reply would retain and release its
    /// texts.
    @inlinable
    public mutating func writeFields(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        withUnsafeMutablePointer(to: &writer) { writer in
            withUnsafeMutablePointer(to: &output) { output in
                var visitor = FieldWriter(writer, output)
                visit(&visitor)
            }
        }
    }

    @inlinable
    public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        var fields = self
        writer.beginMap(into: &output)
        fields.writeFields(&writer, &output)
        writer.endMap(into: &output)
    }
}

extension MessageWriter {
    /// Writes a field of the open map.
    @inlinable
    public mutating func field(_ key: StaticString, _ value: some FieldValue, into output: inout ByteBuffer) {
        self.key(key, into: &output)
        value.write(&self, &output)
    }

    /// Writes a field of the open map if its value is known.
    @inlinable
    public mutating func optional(_ key: StaticString, _ value: (some FieldValue)?, into output: inout ByteBuffer) {
        if let value { field(key, value, into: &output) }
    }
}

// MARK: Finding

/// Writes each field, and remembers where the value of one of them is.
private struct FieldFinder: FieldVisitor {
    let writer: UnsafeMutablePointer<MessageWriter>
    let output: UnsafeMutablePointer<ByteBuffer>
    let key: StaticString
    var place = 0..<0

    mutating func field<Value: FieldValue>(_ key: StaticString, _ value: inout Value) {
        writer.pointee.key(key, into: &output.pointee)
        let start = output.pointee.count
        value.write(&writer.pointee, &output.pointee)
        if "\(key)" == "\(self.key)" { place = start..<output.pointee.count }
    }

    mutating func optional<Value: FieldValue>(_ key: StaticString, _ value: inout Value?) {
        guard var known = value else { return }
        field(key, &known)
    }
}

extension ReplyData {
    /// Writes the fields as `writeFields` does.
    /// - Returns: where the value of the field with that key is in the output; empty if there is none.
    public mutating func writeFields(
        _ writer: inout MessageWriter, _ output: inout ByteBuffer, finding key: StaticString
    ) -> Range<Int> {
        withUnsafeMutablePointer(to: &writer) { writer in
            withUnsafeMutablePointer(to: &output) { output in
                var visitor = FieldFinder(writer: writer, output: output, key: key)
                visit(&visitor)
                return visitor.place
            }
        }
    }
}

// MARK: Reading

/// Looks up each field in a received map.
private struct SourceReader<Source: FieldSource>: FieldVisitor {
    let source: Source

    mutating func field<Value: FieldValue>(_ key: StaticString, _ value: inout Value) {
        if let member = source.member(key), let found = Value.read(member) { value = found }
    }

    mutating func optional<Value: FieldValue>(_ key: StaticString, _ value: inout Value?) {
        value = if let member = source.member(key) { Value.read(member) } else { nil }
    }
}

extension ReplyData {
    /// Reads the fields of a map; missing ones keep the values of a new reply.
    public init(reading source: some FieldSource) {
        self.init()
        var visitor = SourceReader(source: source)
        visit(&visitor)
    }

    public static func read(_ source: some FieldSource) -> Self? {
        source.members == nil ? nil : Self(reading: source)
    }
}

// MARK: Listing

/// Collects the keys.
private struct FieldNameCollector: FieldVisitor {
    var names: [String] = []

    mutating func field<Value: FieldValue>(_ key: StaticString, _ value: inout Value) {
        names.append("\(key)")
        Value.appendFieldNames(to: &names)
    }

    mutating func optional<Value: FieldValue>(_ key: StaticString, _ value: inout Value?) {
        names.append("\(key)")
        Value.appendFieldNames(to: &names)
    }
}

extension ReplyData {
    public static func appendFieldNames(to names: inout [String]) { appendVisitedNames(to: &names) }

    /// Adds the keys that `visit` passes.
    static func appendVisitedNames(to names: inout [String]) {
        var collector = FieldNameCollector()
        var fields = Self()
        fields.visit(&collector)
        names += collector.names
    }

    /// The keys, including those of maps within it.
    public static var fieldNames: [String] {
        var names: [String] = []
        appendFieldNames(to: &names)
        return names
    }
}
