// Reads MessagePack one token at a time out of borrowed memory.
//
// It checks lengths, never contents: UTF-8, depth and duplicate keys are MessagePackValidator's.

public import ByteBuffers

/// A strict pull reader of MessagePack.
///
/// A count or a length that the remaining bytes cannot hold is an error at its header, so that none can lead to an
/// allocation or to a loop beyond the bytes that are there.
/// - Thread: any; the memory must outlive the reader and the tokens.
/// - Source: https://github.com/msgpack/msgpack/blob/master/spec.md
public struct MessagePackReader {
    @usableFromInline var reader: ByteReader

    /// One header, with its content where that is not made of further tokens.
    public enum Token {
        case null
        case bool(Bool)
        case integer(Int64)
        /// Only for values above `Int64.max`.
        case unsigned(UInt64)
        case real(Double)
        /// The bytes of a str; not known to be UTF-8.
        case text(UnsafeRawBufferPointer)
        case binary(UnsafeRawBufferPointer)
        /// `count` values follow.
        case array(count: Int)
        /// `count` pairs of key and value follow.
        case map(count: Int)
        case ext(type: Int8, UnsafeRawBufferPointer)
    }

    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer) {
        reader = ByteReader(bytes)
    }

    /// The offset of the next token.
    @inlinable public var offset: Int { reader.offset }
    @inlinable public var isAtEnd: Bool { reader.isAtEnd }
    /// All bytes, read or not.
    @inlinable public var bytes: UnsafeRawBufferPointer { reader.bytes }

    /// Reads one token.
    @inlinable
    public mutating func next() throws(DecodeError) -> Token {
        let start = reader.offset
        guard let tag = reader.readByte() else { throw DecodeError(.truncated, at: start) }
        switch tag {
        case 0x00...0x7f: return .integer(Int64(tag))
        case 0xe0...0xff: return .integer(Int64(Int8(bitPattern: tag)))
        case 0xa0...0xbf: return .text(try run(Int(tag & 0x1f), from: start))
        case 0x80...0x8f: return .map(count: try pairs(Int(tag & 0x0f), from: start))
        case 0x90...0x9f: return .array(count: try elements(Int(tag & 0x0f), from: start))
        default: return try wideToken(tag, from: start)
        }
    }

    /// Reads a token whose tag byte does not hold its value or length.
    @usableFromInline
    mutating func wideToken(_ tag: UInt8, from start: Int) throws(DecodeError) -> Token {
        switch tag {
        case 0xc0: return .null
        case 0xc2: return .bool(false)
        case 0xc3: return .bool(true)
        case 0xc4, 0xc5, 0xc6: return .binary(try run(try length(tag &- 0xc4, from: start), from: start))
        case 0xc7, 0xc8, 0xc9: return try ext(try length(tag &- 0xc7, from: start), from: start)
        case 0xca: return .real(Double(Float(bitPattern: try fixed(UInt32.self, from: start))))
        case 0xcb: return .real(Double(bitPattern: try fixed(UInt64.self, from: start)))
        case 0xcc: return .integer(Int64(try fixed(UInt8.self, from: start)))
        case 0xcd: return .integer(Int64(try fixed(UInt16.self, from: start)))
        case 0xce: return .integer(Int64(try fixed(UInt32.self, from: start)))
        case 0xcf:
            let value = try fixed(UInt64.self, from: start)
            return value > UInt64(Int64.max) ? .unsigned(value) : .integer(Int64(value))
        case 0xd0: return .integer(Int64(try fixed(Int8.self, from: start)))
        case 0xd1: return .integer(Int64(try fixed(Int16.self, from: start)))
        case 0xd2: return .integer(Int64(try fixed(Int32.self, from: start)))
        case 0xd3: return .integer(try fixed(Int64.self, from: start))
        case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8: return try ext(1 &<< Int(tag &- 0xd4), from: start)
        case 0xd9, 0xda, 0xdb: return .text(try run(try length(tag &- 0xd9, from: start), from: start))
        case 0xdc, 0xdd: return .array(count: try elements(try length(tag &- 0xdb, from: start), from: start))
        case 0xde, 0xdf: return .map(count: try pairs(try length(tag &- 0xdd, from: start), from: start))
        default: throw DecodeError(.reservedByte, at: start)
        }
    }

    /// Reads a length of 1, 2 or 4 bytes, for 0, 1 or 2.
    private mutating func length(_ sizeExponent: UInt8, from start: Int) throws(DecodeError) -> Int {
        switch sizeExponent {
        case 0: Int(try fixed(UInt8.self, from: start))
        case 1: Int(try fixed(UInt16.self, from: start))
        default: Int(try fixed(UInt32.self, from: start))
        }
    }

    @inline(__always)
    private mutating func fixed<T: FixedWidthInteger>(_ type: T.Type, from start: Int) throws(DecodeError) -> T {
        guard let value = reader.readBigEndian(type) else { throw DecodeError(.truncated, at: start) }
        return value
    }

    private mutating func ext(_ byteCount: Int, from start: Int) throws(DecodeError) -> Token {
        let type = try fixed(Int8.self, from: start)
        return .ext(type: type, try run(byteCount, from: start))
    }

    @inlinable
    @inline(__always)
    mutating func run(_ byteCount: Int, from start: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard let run = reader.read(byteCount) else { throw DecodeError(.truncated, at: start) }
        return run
    }

    /// Checks that so many values can follow: each has one byte at least.
    @inlinable
    @inline(__always)
    func elements(_ count: Int, from start: Int) throws(DecodeError) -> Int {
        guard count <= reader.remaining else { throw DecodeError(.truncated, at: start) }
        return count
    }

    /// Checks that so many pairs can follow: each has two bytes at least.
    @inlinable
    @inline(__always)
    func pairs(_ count: Int, from start: Int) throws(DecodeError) -> Int {
        guard count <= reader.remaining &>> 1 else { throw DecodeError(.truncated, at: start) }
        return count
    }
}

extension MessagePackReader {
    /// Skips one value with all that it contains.
    ///
    /// Any depth: it counts the values that are still to come instead of recursing.
    public mutating func skip() throws(DecodeError) {
        var pending = 1
        while pending > 0 {
            pending &-= 1
            switch try next() {
            // The counts were checked against the bytes that remain, so that the sum cannot overflow.
            case .array(let count): pending &+= count
            case .map(let count): pending &+= count &* 2
            case .null, .bool, .integer, .unsigned, .real, .text, .binary, .ext: break
            }
        }
    }

    /// Reads one value with all that it contains, as the bytes that it is made of.
    public mutating func readRaw() throws(DecodeError) -> UnsafeRawBufferPointer {
        let start = offset
        try skip()
        return bytes.slice(start..<offset)
    }

    /// Reads a str, and nothing else.
    /// - Throws: `DecodeError` with `.wrongType`, naming `field`.
    @inlinable
    public mutating func readText(_ field: StaticString) throws(DecodeError) -> UnsafeRawBufferPointer {
        if let text = readShortText() { return text }
        let start = offset
        guard case .text(let text) = try next() else {
            throw DecodeError(.wrongType(field: field, wanted: "text"), at: start)
        }
        return text
    }

    /// Reads a str of at most 31 bytes, as nearly every key is; `nil`, and nothing consumed, when another token is next.
    @inlinable
    @inline(__always)
    public mutating func readShortText() -> UnsafeRawBufferPointer? {
        guard let tag = reader.peek(), tag & 0xe0 == 0xa0, Int(tag & 0x1f) < reader.remaining else { return nil }
        _ = reader.readByte()
        return reader.read(Int(tag & 0x1f))
    }

    /// Reads the header of a map, and nothing else; returns how many pairs follow.
    /// - Throws: `DecodeError` with `.wrongType`, naming `field`.
    public mutating func readMap(_ field: StaticString) throws(DecodeError) -> Int {
        let start = offset
        guard let count = try readMapIfNext() else {
            throw DecodeError(.wrongType(field: field, wanted: "a map"), at: start)
        }
        return count
    }

    /// Reads the header of a map; `nil`, and nothing consumed, when another token is next.
    @inline(__always)
    mutating func readMapIfNext() throws(DecodeError) -> Int? {
        let start = offset
        guard let tag = reader.peek() else { throw DecodeError(.truncated, at: start) }
        let count: Int
        if tag & 0xf0 == 0x80 {
            _ = reader.readByte()
            count = Int(tag & 0x0f)
        } else if tag == 0xde {
            _ = reader.readByte()
            guard let wide = reader.readBigEndian(UInt16.self) else { throw DecodeError(.truncated, at: start) }
            count = Int(wide)
        } else if tag == 0xdf {
            _ = reader.readByte()
            guard let wide = reader.readBigEndian(UInt32.self) else { throw DecodeError(.truncated, at: start) }
            count = Int(wide)
        } else {
            return nil
        }
        return try pairs(count, from: start)
    }

    /// Reads a null; `false`, and nothing consumed, when another token is next.
    @inline(__always)
    mutating func readNullIfNext() -> Bool {
        guard reader.peek() == 0xc0 else { return false }
        _ = reader.readByte()
        return true
    }

    /// Reads the header of an array, and nothing else; returns how many values follow.
    /// - Throws: `DecodeError` with `.wrongType`, naming `field`.
    public mutating func readArray(_ field: StaticString) throws(DecodeError) -> Int {
        let start = offset
        guard case .array(let count) = try next() else {
            throw DecodeError(.wrongType(field: field, wanted: "an array"), at: start)
        }
        return count
    }
}
