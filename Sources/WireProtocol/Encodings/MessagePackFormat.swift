// MessagePack: what requests are decoded from, and one of the encodings. Its bytes are in Value+MessagePack.swift.

public import ByteBuffers

/// - Source: docs/protocol.md, Values, MessagePack column.
public enum MessagePackFormat: EncodingFormat {
    @inlinable public static var number: FormatNumber { FormatNumber(rawValue: 0) }
    @inlinable public static var framings: FramingSet { .lengthPrefixed }

    // MARK: Reading

    /// A map.
    public static func begins(with byte: UInt8) -> Bool {
        switch byte {
        case 0x80...0x8f, 0xde, 0xdf: true
        default: false
        }
    }

    @inlinable public static var growth: Int { 0 }

    public static func translate(_ body: UnsafeRawBufferPointer, into message: inout ByteBuffer) throws(DecodeError) {
        message.append(body)
    }

    // MARK: Writing messages

    @inlinable public static var separator: UInt8 { 0 }

    public static func appendHead(
        type: StaticString, id: RequestID, timestamp: WireTimestamp?, into output: inout ByteBuffer
    ) -> EnvelopePlaces {
        // id, type, data, and the timestamp of a reply.
        output.append(tag: 0xde, bigEndian: timestamp == nil ? 3 : 4 as UInt16)
        output.appendMessagePackText(Envelope.id)
        let idStart = output.count
        appendID(id, into: &output)
        let idEnd = output.count
        output.appendMessagePackText(Envelope.type)
        output.appendMessagePackText(type)
        if timestamp != nil { output.appendMessagePackText(Envelope.timestamp) }
        let timeStart = output.count
        if let timestamp { output.appendMessagePackTimestamp(timestamp) }
        let timeEnd = output.count
        output.appendMessagePackText(Envelope.data)
        return EnvelopePlaces(id: idStart..<idEnd, timestamp: timeStart..<timeEnd)
    }

    public static func appendEnd(into output: inout ByteBuffer) {}

    // A map16, whose count is patched.
    public static func openMap(into output: inout ByteBuffer) { output.append(tag: 0xde, bigEndian: 0 as UInt16) }

    public static func closeMap(at header: Int, count: UInt32, in output: inout ByteBuffer) {
        precondition(count <= UInt32(UInt16.max), "a written map has at most 65,535 keys")
        output.patchBigEndian(UInt16(truncatingIfNeeded: count), at: header &+ 1)
    }

    // An array32, whose count is patched.
    public static func openArray(into output: inout ByteBuffer) { output.append(tag: 0xdd, bigEndian: 0 as UInt32) }

    public static func closeArray(at header: Int, count: UInt32, in output: inout ByteBuffer) {
        output.patchBigEndian(count, at: header &+ 1)
    }

    public static func appendKey(_ name: StaticString, into output: inout ByteBuffer) {
        output.appendMessagePackText(name)
    }

    public static func appendKey(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendMessagePackText(utf8)
    }

    // MARK: Writing values

    public static func appendNull(into output: inout ByteBuffer) { output.appendMessagePackNull() }

    public static func appendBool(_ value: Bool, into output: inout ByteBuffer) { output.appendMessagePackBool(value) }

    public static func appendInteger(_ value: Int64, style: Int64Style, into output: inout ByteBuffer) {
        output.appendMessagePackInteger(value)
    }

    public static func appendUnsigned(_ value: UInt64, style: Int64Style, into output: inout ByteBuffer) {
        output.appendMessagePackUnsigned(value)
    }

    public static func appendReal(_ value: Double, into output: inout ByteBuffer) {
        output.appendMessagePackReal(value)
    }

    public static func appendText(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendMessagePackText(utf8)
    }

    public static func appendBlob(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendMessagePackBinary(bytes)
    }

    public static func appendTimestamp(_ time: WireTimestamp, into output: inout ByteBuffer) {
        output.appendMessagePackTimestamp(time)
    }
}
