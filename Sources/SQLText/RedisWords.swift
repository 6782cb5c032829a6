// Command lines of Redis.

internal import ByteBuffers

/// Cuts a command line into words as redis-cli does.
///
/// Words are separated by white space. Within "…" there are \n, \r, \t, \b, \a, \xHH, and \ before any other character for
/// that character; within '…' only \'. A closing quote ends its word.
/// - Source: sdssplitargs in src/sds.c of Redis
public struct RedisWords: ~Copyable {
    private let line: UnsafeRawBufferPointer
    private var index = 0
    private var scratch = ByteBuffer()

    public init(_ line: UnsafeRawBufferPointer) { self.line = line }

    /// The next word; valid until the next call. `nil` after the last one.
    /// - Throws: if a quote is not closed, or something directly follows a closing one.
    public mutating func next() throws(RedisWordsError) -> UnsafeRawBufferPointer? {
        while index < line.count, line[index].isBlank { index += 1 }
        guard index < line.count else { return nil }
        let start = index
        while index < line.count, !line[index].isBlank {
            if Self.isQuote(line[index]) { return try decode(from: start) }
            index += 1
        }
        return UnsafeRawBufferPointer(rebasing: line[start..<index])
    }

    /// A word with quotes in it, of which the first is at `index`.
    private mutating func decode(from start: Int) throws(RedisWordsError) -> UnsafeRawBufferPointer {
        scratch.removeAll()
        scratch.append(UnsafeRawBufferPointer(rebasing: line[start..<index]))
        while index < line.count, !line[index].isBlank {
            guard Self.isQuote(line[index]) else {
                scratch.append(line[index])
                index += 1
                continue
            }
            try decodeQuoted()
        }
        return scratch.readable
    }

    private mutating func decodeQuoted() throws(RedisWordsError) {
        let open = index
        let quote = line[index]
        index += 1
        while index < line.count {
            let byte = line[index]
            index += 1
            if byte == quote {
                guard index == line.count || line[index].isBlank else {
                    throw .textBehindQuote(offset: index)
                }
                return
            }
            guard byte == UInt8(ascii: "\\"), index < line.count else {
                scratch.append(byte)
                continue
            }
            if quote == UInt8(ascii: "\"") {
                decodeEscape()
            } else if line[index] == quote {
                scratch.append(quote)
                index += 1
            } else {
                scratch.append(byte)
            }
        }
        throw .notClosed(offset: open)
    }

    /// What follows a backslash.
    private mutating func decodeEscape() {
        let byte = line[index]
        index += 1
        switch byte {
        case UInt8(ascii: "n"): scratch.append(0x0a)
        case UInt8(ascii: "r"): scratch.append(0x0d)
        case UInt8(ascii: "t"): scratch.append(0x09)
        case UInt8(ascii: "b"): scratch.append(0x08)
        case UInt8(ascii: "a"): scratch.append(0x07)
        case UInt8(ascii: "x"):
            guard index + 1 < line.count, let high = Self.digit(line[index]),
                let low = Self.digit(line[index + 1])
            else { return scratch.append(byte) }
            scratch.append(high << 4 | low)
            index += 2
        default: scratch.append(byte)
        }
    }

    private static func isQuote(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'")
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte & 15
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
            (byte & 15) + 9
        default: nil
        }
    }
}

/// Why a command line cannot be cut into words; the offset is that of a byte of it.
public enum RedisWordsError: Error, Equatable {
    case notClosed(offset: Int)
    case textBehindQuote(offset: Int)
}
