// Arrays within a row, for which the protocol has no value: JSON text.

internal import ByteBuffers
internal import CHiredis
internal import DatabaseContract
internal import RemoteDatabases

/// Writes an array of a reply, with its content, as JSON.
///
/// Strings that are not UTF-8 are `{"$blob":"<base64>"}`, as in the protocol, and errors `{"$error":"<text>"}`.
struct RedisJSON: ~Copyable {
    private var buffer = ByteBuffer()
    /// Missing elements of each open array.
    private var missing: [Int32] = []

    private static let keptByteCountMax = 64 << 10

    /// Whether an array has begun and not ended.
    var isOpen: Bool { !missing.isEmpty }
    /// Valid until the next mutation.
    var text: UnsafeRawBufferPointer { buffer.readable }

    mutating func removeAll() {
        buffer.removeAll()
        missing.removeAll(keepingCapacity: true)
    }

    /// Releases the storage of a large array.
    mutating func trim() {
        if buffer.capacity > Self.keptByteCountMax { buffer.releaseStorage() }
    }

    /// Takes the next element: of the array that is open, or the array itself.
    /// - Returns: false if the text would be longer than the limit.
    mutating func append(_ element: chiredis_element, byteCountMax: Int) -> Bool {
        guard buffer.count + element.length <= byteCountMax else { return false }
        if isOpen, element.index > 0 { buffer.append(UInt8(ascii: ",")) }
        switch element.type {
        case CHIREDIS_ARRAY:
            buffer.append(UInt8(ascii: "["))
            if element.count > 0 {
                missing.append(element.count)
                return true
            }
            buffer.append(UInt8(ascii: "]"))
        case CHIREDIS_NIL: buffer.append("null" as StaticString)
        case CHIREDIS_INTEGER: buffer.append("\(element.integer)" as String)
        case CHIREDIS_ERROR:
            buffer.append("{\"$error\":" as StaticString)
            append(UnsafeRawBufferPointer(start: element.bytes, count: element.length))
            buffer.append(UInt8(ascii: "}"))
        default: append(UnsafeRawBufferPointer(start: element.bytes, count: element.length))
        }
        closeFullArrays()
        return true
    }

    private mutating func closeFullArrays() {
        while let count = missing.last {
            missing[missing.count - 1] = count - 1
            if count > 1 { return }
            missing.removeLast()
            buffer.append(UInt8(ascii: "]"))
        }
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard Self.isUTF8(bytes) else {
            buffer.append("{\"$blob\":\"" as StaticString)
            appendBase64(bytes)
            return buffer.append("\"}" as StaticString)
        }
        buffer.append(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                buffer.append(UInt8(ascii: "\\"))
                buffer.append(byte)
            case 0..<0x20:
                buffer.append("\\u00" as StaticString)
                buffer.append(byte < 0x10 ? UInt8(ascii: "0") : UInt8(ascii: "1"))
                buffer.append(Self.digits[Int(byte & 15)])
            default: buffer.append(byte)
            }
        }
        buffer.append(UInt8(ascii: "\""))
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private static func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.withMemoryRebound(to: UInt8.self) { (try? UTF8Span(validating: $0.span)) != nil }
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// - Source: RFC 4648, section 4
    private mutating func appendBase64(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group: UInt32 = 0
            for offset in 0..<3 { group = group << 8 | (offset < count ? UInt32(bytes[index + offset]) : 0) }
            for digit in 0..<4 {
                let value = Int(group >> UInt32(18 - 6 * digit) & 63)
                buffer.append(digit <= count ? Self.alphabet[value] : UInt8(ascii: "="))
            }
            index += 3
        }
    }
}
