// One value at a time into a buffer, as MessagePack. The hot path: rows go through here, so all of it inlines.
//
// Integers, lengths and counts take their shortest form.
// Source: https://github.com/msgpack/msgpack/blob/master/spec.md

public import ByteBuffers

extension ByteBuffer {
    @inlinable
    public mutating func appendMessagePackNull() {
        append(0xc0 as UInt8)
    }

    @inlinable
    public mutating func appendMessagePackBool(_ value: Bool) {
        append(value ? 0xc3 : 0xc2 as UInt8)
    }

    @inlinable
    public mutating func appendMessagePackInteger(_ value: Int64) {
        if value >= 0 {
            appendMessagePackUnsigned(UInt64(truncatingIfNeeded: value))
        } else if value >= -32 {
            append(UInt8(truncatingIfNeeded: value))
        } else if value >= Int64(Int8.min) {
            append(tag: 0xd0, bigEndian: Int8(truncatingIfNeeded: value))
        } else if value >= Int64(Int16.min) {
            append(tag: 0xd1, bigEndian: Int16(truncatingIfNeeded: value))
        } else if value >= Int64(Int32.min) {
            append(tag: 0xd2, bigEndian: Int32(truncatingIfNeeded: value))
        } else {
            append(tag: 0xd3, bigEndian: value)
        }
    }

    @inlinable
    public mutating func appendMessagePackUnsigned(_ value: UInt64) {
        if value <= 0x7f {
            append(UInt8(truncatingIfNeeded: value))
        } else if value <= UInt64(UInt8.max) {
            append(tag: 0xcc, bigEndian: UInt8(truncatingIfNeeded: value))
        } else if value <= UInt64(UInt16.max) {
            append(tag: 0xcd, bigEndian: UInt16(truncatingIfNeeded: value))
        } else if value <= UInt64(UInt32.max) {
            append(tag: 0xce, bigEndian: UInt32(truncatingIfNeeded: value))
        } else {
            append(tag: 0xcf, bigEndian: value)
        }
    }

    /// Appends a float64; the bits of a NaN are kept.
    @inlinable
    public mutating func appendMessagePackReal(_ value: Double) {
        append(tag: 0xcb, bigEndian: value.bitPattern)
    }

    /// Appends a str. The caller knows that the bytes are UTF-8.
    @inlinable
    public mutating func appendMessagePackText(_ utf8: UnsafeRawBufferPointer) {
        // As nearly every key is.
        if utf8.count <= 31 { return append(tag: 0xa0 | UInt8(truncatingIfNeeded: utf8.count), short: utf8) }
        appendMessagePackTextHeader(utf8.count)
        append(utf8)
    }

    /// Appends a text as a str if that is short, and ASCII; those that are not go the way of all texts.
    /// - Returns: false if nothing was appended.
    @inlinable
    @inline(__always)
    public mutating func appendMessagePackShortASCII(_ text: UnsafeRawBufferPointer) -> Bool {
        text.count <= 31 && append(tag: 0xa0 | UInt8(truncatingIfNeeded: text.count), shortASCII: text)
    }

    @inlinable
    public mutating func appendMessagePackText(_ text: StaticString) {
        appendMessagePackText(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    // Literals are StaticString, which needs no reference counting.
    @_disfavoredOverload
    @inlinable
    public mutating func appendMessagePackText(_ text: String) {
        var text = text
        text.withUTF8 { appendMessagePackText(UnsafeRawBufferPointer($0)) }
    }

    /// Appends a bin.
    @inlinable
    public mutating func appendMessagePackBinary(_ bytes: UnsafeRawBufferPointer) {
        appendMessagePackBinaryHeader(bytes.count)
        append(bytes)
    }

    /// Appends the header of a str; `byteCount` bytes must follow. At most 4 GiB.
    @inlinable
    @inline(__always)
    public mutating func appendMessagePackTextHeader(_ byteCount: Int) {
        if byteCount <= 31 {
            append(0xa0 | UInt8(truncatingIfNeeded: byteCount))
        } else if byteCount <= Int(UInt8.max) {
            append(tag: 0xd9, bigEndian: UInt8(truncatingIfNeeded: byteCount))
        } else if byteCount <= Int(UInt16.max) {
            append(tag: 0xda, bigEndian: UInt16(truncatingIfNeeded: byteCount))
        } else {
            precondition(byteCount <= Int(UInt32.max), "a MessagePack str holds less than 4 GiB")
            append(tag: 0xdb, bigEndian: UInt32(truncatingIfNeeded: byteCount))
        }
    }

    /// Appends the header of a bin; `byteCount` bytes must follow. At most 4 GiB.
    @inlinable
    public mutating func appendMessagePackBinaryHeader(_ byteCount: Int) {
        if byteCount <= Int(UInt8.max) {
            append(tag: 0xc4, bigEndian: UInt8(truncatingIfNeeded: byteCount))
        } else if byteCount <= Int(UInt16.max) {
            append(tag: 0xc5, bigEndian: UInt16(truncatingIfNeeded: byteCount))
        } else {
            precondition(byteCount <= Int(UInt32.max), "a MessagePack bin holds less than 4 GiB")
            append(tag: 0xc6, bigEndian: UInt32(truncatingIfNeeded: byteCount))
        }
    }

    /// Appends the header of an array; `count` values must follow.
    @inlinable
    public mutating func appendMessagePackArrayHeader(_ count: Int) {
        if count <= 15 {
            append(0x90 | UInt8(truncatingIfNeeded: count))
        } else if count <= Int(UInt16.max) {
            append(tag: 0xdc, bigEndian: UInt16(truncatingIfNeeded: count))
        } else {
            append(tag: 0xdd, bigEndian: UInt32(truncatingIfNeeded: count))
        }
    }

    /// Appends the header of a map; `count` pairs of key and value must follow.
    @inlinable
    public mutating func appendMessagePackMapHeader(_ count: Int) {
        if count <= 15 {
            append(0x80 | UInt8(truncatingIfNeeded: count))
        } else if count <= Int(UInt16.max) {
            append(tag: 0xde, bigEndian: UInt16(truncatingIfNeeded: count))
        } else {
            append(tag: 0xdf, bigEndian: UInt32(truncatingIfNeeded: count))
        }
    }
}
