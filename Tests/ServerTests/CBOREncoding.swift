// CBOR (RFC 8949) as an example of an encoding, with a framing of its own. All that it takes is in this file, and one line where a
// server is told how its clients may speak (`FormatList`).

import ByteBuffers
import DatabaseContract
import WireProtocol

@testable import Server

extension FormatList {
    /// What the daemon speaks, and CBOR.
    static let withCBOR = FormatList(
        framings: standard.framings + [CBORItemFraming.self], encodings: standard.encodings + [CBORFormat.self])
}

/// Messages as data items within byte strings (RFC 8949, section 3.4.5.1), whose length has always four bytes.
enum CBORItemFraming: FramingFormat {
    static var number: FormatNumber { FormatNumber(rawValue: 2) }
    static var plainEncoding: WireEncoding { WireEncoding(CBORFormat.self) }
    static var bodyRefusal: BodyRefusal {
        BodyRefusal(message: "An item holds no CBOR map.", hint: "Send a map with id and type.", closes: false)
    }

    private static var tag: UInt8 { 0xd8 }
    private static var headerByteCount: Int { 7 }

    static func begins(with byte: UInt8) -> Bool { byte == tag }

    static func next(in bytes: UnsafeRawBufferPointer, byteCountMax: Int, searched: inout Int) -> FrameStep {
        guard bytes.count >= headerByteCount else {
            return .incomplete(byteCountNeeded: headerByteCount - bytes.count)
        }
        // Tag 24 in its long form, then a byte string.
        guard bytes[0] == tag, bytes[1] == 24, bytes[2] == 0x5a else { return .failure(.unknownFirstByte(bytes[0])) }
        let byteCount = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 3, as: UInt32.self)))
        guard byteCount <= byteCountMax else {
            return .failure(.tooLarge(byteCount: byteCount, byteCountMax: byteCountMax))
        }
        let end = headerByteCount + byteCount
        guard bytes.count >= end else { return .incomplete(byteCountNeeded: end - bytes.count) }
        return .frame(body: headerByteCount..<end, consumed: end)
    }

    static func last(in bytes: UnsafeRawBufferPointer) -> FrameStep? { nil }

    static func open(into output: inout ByteBuffer) {
        output.append([tag, 24, 0x5a])
        output.appendBigEndian(0 as UInt32)
    }

    static func close(from start: Int, in output: inout ByteBuffer) {
        output.patchBigEndian(UInt32(output.count - start - headerByteCount), at: start + 3)
    }

    static var trailerByteCount: Int { 0 }
}

enum CBORFormat: RowEncoding {
    static var number: FormatNumber { FormatNumber(rawValue: 2) }
    /// Lines hold text.
    static var framings: FramingSet { [.lengthPrefixed, FramingSet(CBORItemFraming.number)] }

    static func makeRowSink(_ writer: MessageWriter) -> WireRowSink { CBORRowSink(writer) }

    // MARK: Reading

    /// A map.
    static func begins(with byte: UInt8) -> Bool { (0xa0...0xbb).contains(byte) || byte == 0xbf }

    /// A half of three bytes becomes a double of nine.
    static var growth: Int { 3 }

    static func translate(_ body: UnsafeRawBufferPointer, into message: inout ByteBuffer) throws(DecodeError) {
        let start = message.count
        var reader = CBORReader(body)
        do throws(DecodeError) {
            try reader.translateValue(depth: 0, into: &message)
            guard reader.bytes.isAtEnd else { throw DecodeError(.trailingBytes, at: reader.bytes.offset) }
        } catch {
            message.truncate(to: start)
            throw error
        }
    }

    // MARK: Writing messages

    static var separator: UInt8 { 0 }

    static func appendHead(
        type: StaticString, id: RequestID, timestamp: WireTimestamp?, into output: inout ByteBuffer
    ) -> EnvelopePlaces {
        output.appendCBOR(.map, UInt64(timestamp == nil ? 3 : 4))
        appendKey(Envelope.id, into: &output)
        let idStart = output.count
        appendID(id, into: &output)
        let idEnd = output.count
        appendKey(Envelope.type, into: &output)
        appendKey(type, into: &output)
        if timestamp != nil { appendKey(Envelope.timestamp, into: &output) }
        let timeStart = output.count
        if let timestamp { appendTimestamp(timestamp, into: &output) }
        let timeEnd = output.count
        appendKey(Envelope.data, into: &output)
        return EnvelopePlaces(id: idStart..<idEnd, timestamp: timeStart..<timeEnd)
    }

    /// Seconds since 1970.
    static func appendTimestamp(_ time: WireTimestamp, into output: inout ByteBuffer) {
        output.appendCBOR(.tag, 1)
        appendReal(Double(time.seconds) + Double(time.nanoseconds) / 1e9, into: &output)
    }

    static func appendEnd(into output: inout ByteBuffer) {}

    // Headers of two and of four bytes, whose counts are patched.
    static func openMap(into output: inout ByteBuffer) { output.append(tag: 0xb9, bigEndian: 0 as UInt16) }

    static func closeMap(at header: Int, count: UInt32, in output: inout ByteBuffer) {
        output.patchBigEndian(UInt16(count), at: header + 1)
    }

    static func openArray(into output: inout ByteBuffer) { output.append(tag: 0x9a, bigEndian: 0 as UInt32) }

    static func closeArray(at header: Int, count: UInt32, in output: inout ByteBuffer) {
        output.patchBigEndian(count, at: header + 1)
    }

    static func appendKey(_ name: StaticString, into output: inout ByteBuffer) {
        appendText(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), into: &output)
    }

    static func appendKey(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        appendText(utf8, into: &output)
    }

    // MARK: Writing values

    static func appendNull(into output: inout ByteBuffer) { output.append(0xf6 as UInt8) }

    static func appendBool(_ value: Bool, into output: inout ByteBuffer) { output.append(value ? 0xf5 : 0xf4 as UInt8) }

    static func appendInteger(_ value: Int64, style: Int64Style, into output: inout ByteBuffer) {
        value < 0
            ? output.appendCBOR(.negative, UInt64(bitPattern: ~value))
            : output.appendCBOR(.unsigned, UInt64(bitPattern: value))
    }

    static func appendUnsigned(_ value: UInt64, style: Int64Style, into output: inout ByteBuffer) {
        output.appendCBOR(.unsigned, value)
    }

    static func appendReal(_ value: Double, into output: inout ByteBuffer) {
        output.append(tag: 0xfb, bigEndian: value.bitPattern)
    }

    static func appendText(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendCBOR(.text, UInt64(utf8.count))
        output.append(utf8)
    }

    static func appendBlob(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        output.appendCBOR(.bytes, UInt64(bytes.count))
        output.append(bytes)
    }
}

/// Rows as CBOR arrays.
final class CBORRowSink: WireRowSink {
    override func openRow() { buffer.appendCBOR(.array, UInt64(columnCount)) }
    override func null() { CBORFormat.appendNull(into: &buffer) }
    override func bool(_ value: Bool) { CBORFormat.appendBool(value, into: &buffer) }
    override func integer(_ value: Int64) { CBORFormat.appendInteger(value, style: .number, into: &buffer) }
    override func unsigned(_ value: UInt64) { CBORFormat.appendUnsigned(value, style: .number, into: &buffer) }
    override func real(_ value: Double) { CBORFormat.appendReal(value, into: &buffer) }
    override func text(_ bytes: UnsafeRawBufferPointer) {
        guard hasRoom(for: bytes.count) else { return }
        isValidUTF8(bytes)
            ? CBORFormat.appendText(bytes, into: &buffer) : CBORFormat.appendBlob(bytes, into: &buffer)
    }
    override func blob(_ bytes: UnsafeRawBufferPointer) {
        if hasRoom(for: bytes.count) { CBORFormat.appendBlob(bytes, into: &buffer) }
    }
}

private enum CBORType: UInt8 {
    case unsigned, negative, bytes, text, array, map, tag, simple
}

extension ByteBuffer {
    /// Appends the head of an item in its shortest form.
    fileprivate mutating func appendCBOR(_ type: CBORType, _ argument: UInt64) {
        let major = type.rawValue << 5
        switch argument {
        case ..<24: append(major | UInt8(argument))
        case ...0xff: append(tag: major | 24, bigEndian: UInt8(argument))
        case ...0xffff: append(tag: major | 25, bigEndian: UInt16(argument))
        case ...0xffff_ffff: append(tag: major | 26, bigEndian: UInt32(argument))
        default: append(tag: major | 27, bigEndian: argument)
        }
    }
}

/// Turns items into the MessagePack that they stand for.
private struct CBORReader {
    var bytes: ByteReader

    init(_ body: UnsafeRawBufferPointer) { bytes = ByteReader(body) }

    /// Translates one item; `depth` containers are open around it.
    mutating func translateValue(depth: Int, into message: inout ByteBuffer) throws(DecodeError) {
        let start = bytes.offset
        guard let head = bytes.readByte() else { throw DecodeError(.truncated, at: start) }
        guard let type = CBORType(rawValue: head >> 5) else { preconditionFailure("three bits have eight values") }
        if type == .simple { return try translateSimple(head & 31, at: start, into: &message) }
        let argument = try readArgument(head & 31, at: start)
        switch type {
        case .unsigned: message.appendMessagePackUnsigned(argument)
        case .negative:
            guard argument <= UInt64(Int64.max) else { throw DecodeError(.integerTooLarge, at: start) }
            message.appendMessagePackInteger(~Int64(argument))
        case .bytes: message.appendMessagePackBinary(try read(argument, at: start))
        case .text: message.appendMessagePackText(try read(argument, at: start))
        case .array, .map:
            let count = try self.count(argument, at: start)
            guard depth < WireLimits.nestingDepthMax else { throw DecodeError(.tooDeep, at: start) }
            type == .map ? message.appendMessagePackMapHeader(count) : message.appendMessagePackArrayHeader(count)
            for _ in 0..<(type == .map ? 2 * count : count) { try translateValue(depth: depth + 1, into: &message) }
        case .tag:
            // What a value means is not looked at; tags of tags nest, too.
            guard depth < WireLimits.nestingDepthMax else { throw DecodeError(.tooDeep, at: start) }
            try translateValue(depth: depth + 1, into: &message)
        case .simple: break
        }
    }

    private mutating func translateSimple(
        _ value: UInt8, at start: Int, into message: inout ByteBuffer
    ) throws(DecodeError) {
        switch value {
        case 20, 21: message.appendMessagePackBool(value == 21)
        case 22: message.appendMessagePackNull()
        case 25: message.appendMessagePackReal(Double(Float16(bitPattern: try fixed(at: start))))
        case 26: message.appendMessagePackReal(Double(Float(bitPattern: try fixed(at: start))))
        case 27: message.appendMessagePackReal(Double(bitPattern: try fixed(at: start)))
        default: throw DecodeError(.unexpected(wanted: "a value that this protocol has"), at: start)
        }
    }

    private mutating func readArgument(_ information: UInt8, at start: Int) throws(DecodeError) -> UInt64 {
        switch information {
        case ..<24: UInt64(information)
        case 24: UInt64(try fixed(UInt8.self, at: start))
        case 25: UInt64(try fixed(UInt16.self, at: start))
        case 26: UInt64(try fixed(UInt32.self, at: start))
        case 27: try fixed(UInt64.self, at: start)
        default: throw DecodeError(.unexpected(wanted: "an item of a known length"), at: start)
        }
    }

    private mutating func fixed<T: FixedWidthInteger>(_: T.Type = T.self, at start: Int) throws(DecodeError) -> T {
        guard let value = bytes.readBigEndian(T.self) else { throw DecodeError(.truncated, at: start) }
        return value
    }

    /// Each value has a byte at least.
    private func count(_ argument: UInt64, at start: Int) throws(DecodeError) -> Int {
        guard argument <= UInt64(bytes.remaining) else { throw DecodeError(.truncated, at: start) }
        return Int(argument)
    }

    private mutating func read(_ byteCount: UInt64, at start: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard let run = bytes.read(try count(byteCount, at: start)) else { throw DecodeError(.truncated, at: start) }
        return run
    }
}
