// JSON: one of the encodings. Its bytes are in Value+JSON.swift, and what becomes of a request in JSONTranscoder.swift.

public import ByteBuffers

/// - Source: docs/protocol.md, Values, JSON column.
public enum JSONFormat: EncodingFormat {
    @inlinable public static var number: FormatNumber { FormatNumber(rawValue: 1) }
    /// What is written here has no line feed.
    @inlinable public static var framings: FramingSet { [.lines, .lengthPrefixed] }

    // MARK: Reading

    /// An object.
    public static func begins(with byte: UInt8) -> Bool { byte == UInt8(ascii: "{") }

    /// 2.5 times at most (`JSONTranscoder`), and its storage grows by doubling.
    @inlinable public static var growth: Int { 3 }

    public static func translate(_ body: UnsafeRawBufferPointer, into message: inout ByteBuffer) throws(DecodeError) {
        try JSONTranscoder.transcode(body, into: &message)
    }

    // MARK: Writing messages

    @inlinable public static var separator: UInt8 { UInt8(ascii: ",") }

    public static func appendHead(
        type: StaticString, id: RequestID, timestamp: WireTimestamp?, into output: inout ByteBuffer
    ) -> EnvelopePlaces {
        output.append(UInt8(ascii: "{"))
        appendKey(Envelope.id, into: &output)
        let idStart = output.count
        appendID(id, into: &output)
        let idEnd = output.count
        output.append(separator)
        appendKey(Envelope.type, into: &output)
        output.appendJSONText(type)
        output.append(separator)
        if timestamp != nil { appendKey(Envelope.timestamp, into: &output) }
        let timeStart = output.count
        if let timestamp { output.appendJSONTimestamp(timestamp) }
        let timeEnd = output.count
        if timestamp != nil { output.append(separator) }
        appendKey(Envelope.data, into: &output)
        return EnvelopePlaces(id: idStart..<idEnd, timestamp: timeStart..<timeEnd)
    }

    public static func appendEnd(into output: inout ByteBuffer) { output.append(UInt8(ascii: "}")) }

    public static func openMap(into output: inout ByteBuffer) { output.append(UInt8(ascii: "{")) }

    public static func closeMap(at header: Int, count: UInt32, in output: inout ByteBuffer) {
        output.append(UInt8(ascii: "}"))
    }

    public static func openArray(into output: inout ByteBuffer) { output.append(UInt8(ascii: "[")) }

    public static func closeArray(at header: Int, count: UInt32, in output: inout ByteBuffer) {
        output.append(UInt8(ascii: "]"))
    }

    public static func appendKey(_ name: StaticString, into output: inout ByteBuffer) {
        output.append(UInt8(ascii: "\""))
        output.append(name)
        output.append("\":")
    }

    public static func appendKey(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendJSONText(utf8)
        output.append(UInt8(ascii: ":"))
    }

    // MARK: Writing values

    public static func appendNull(into output: inout ByteBuffer) { output.appendJSONNull() }

    public static func appendBool(_ value: Bool, into output: inout ByteBuffer) { output.appendJSONBool(value) }

    public static func appendInteger(_ value: Int64, style: Int64Style, into output: inout ByteBuffer) {
        output.appendJSONInteger(value, style: style)
    }

    public static func appendUnsigned(_ value: UInt64, style: Int64Style, into output: inout ByteBuffer) {
        output.appendJSONUnsigned(value, style: style)
    }

    public static func appendReal(_ value: Double, into output: inout ByteBuffer) { output.appendJSONReal(value) }

    public static func appendText(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendJSONText(utf8)
    }

    public static func appendBlob(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendJSONBlob(bytes)
    }

    public static func appendTimestamp(_ time: WireTimestamp, into output: inout ByteBuffer) {
        output.appendJSONTimestamp(time)
    }
}
