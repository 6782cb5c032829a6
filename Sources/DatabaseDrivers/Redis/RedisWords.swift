// The arguments of a command: those of the command line, and the parameters behind them.

internal import ByteBuffers
internal import CNumbers

/// Cuts a command line into words as redis-cli does.
///
/// Words are separated by white space. Within "…" there are \n, \r, \t, \b, \a, \xHH, and \ before any other character for
/// that character; within '…' only \'. A closing quote ends its word.
/// - Source: sdssplitargs in src/sds.c of Redis
struct RedisWords: ~Copyable {
    private let line: UnsafeRawBufferPointer
    private var index = 0
    private var scratch = ByteBuffer()

    init(_ line: UnsafeRawBufferPointer) { self.line = line }

    /// The next word; valid until the next call. `nil` behind the last one.
    /// - Throws: `syntaxError` with the place of a quote that is not closed.
    mutating func next() throws(DriverError) -> UnsafeRawBufferPointer? {
        while index < line.count, Self.isBlank(line[index]) { index += 1 }
        guard index < line.count else { return nil }
        let start = index
        while index < line.count, !Self.isBlank(line[index]) {
            if Self.isQuote(line[index]) { return try decode(from: start) }
            index += 1
        }
        return UnsafeRawBufferPointer(rebasing: line[start..<index])
    }

    /// A word with quotes in it, of which the first is at `index`.
    private mutating func decode(from start: Int) throws(DriverError) -> UnsafeRawBufferPointer {
        scratch.removeAll()
        scratch.append(UnsafeRawBufferPointer(rebasing: line[start..<index]))
        while index < line.count, !Self.isBlank(line[index]) {
            guard Self.isQuote(line[index]) else {
                scratch.append(line[index])
                index += 1
                continue
            }
            try decodeQuoted()
        }
        return scratch.readable
    }

    private mutating func decodeQuoted() throws(DriverError) {
        let open = index
        let quote = line[index]
        index += 1
        while index < line.count {
            let byte = line[index]
            index += 1
            if byte == quote {
                guard index == line.count || Self.isBlank(line[index]) else {
                    throw Self.unbalanced("Something follows directly behind a closing quote.", index)
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
        throw Self.unbalanced("A quote in the command line is not closed.", open)
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
            guard index + 1 < line.count, let high = Self.digit(line[index]), let low = Self.digit(line[index + 1])
            else { return scratch.append(byte) }
            scratch.append(high << 4 | low)
            index += 2
        default: scratch.append(byte)
        }
    }

    private static func isQuote(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || (0x09...0x0d).contains(byte) }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte & 15
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): (byte & 15) + 9
        default: nil
        }
    }

    private static func unbalanced(_ message: String, _ offset: Int) -> DriverError {
        DriverError(
            .syntaxError, message, hint: "Quote as redis-cli does: \"…\" with \\\" and \\\\, or '…' with \\'.",
            sqlState: "42601"
        ).with { $0.offset = offset }
    }
}

/// All arguments of a command, the name being the first.
struct RedisArguments: ~Copyable {
    private var words: RedisWords
    private let parameters: [DriverParameter]
    private var parameterIndex = 0
    private var scratch = ByteBuffer()

    init(_ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter]) {
        words = RedisWords(line)
        self.parameters = parameters
    }

    /// The next argument; valid until the next call. `nil` behind the last one.
    mutating func next() throws(DriverError) -> UnsafeRawBufferPointer? {
        if parameterIndex == 0, let word = try words.next() { return word }
        guard parameterIndex < parameters.count else { return nil }
        let parameter = parameters[parameterIndex]
        parameterIndex += 1
        guard parameter.name == nil else { throw Self.named }
        return try argument(parameter.value)
    }

    /// Redis knows strings only: numbers are written in decimal.
    private mutating func argument(_ value: DriverValue) throws(DriverError) -> UnsafeRawBufferPointer {
        scratch.removeAll()
        switch value {
        case .text(let bytes), .blob(let bytes): return bytes
        case .null: throw Self.null
        case .bool(let value): scratch.append(value ? UInt8(ascii: "1") : UInt8(ascii: "0"))
        case .integer(let value): scratch.append("\(value)" as String)
        case .unsigned(let value): scratch.append("\(value)" as String)
        case .real(let value): appendReal(value)
        }
        return scratch.readable
    }

    /// As Redis itself writes infinities (t_zset.c, addReplyDouble).
    private mutating func appendReal(_ value: Double) {
        guard value.isFinite else {
            return scratch.append(value.isNaN ? "nan" : value > 0 ? "inf" : "-inf" as StaticString)
        }
        let target = scratch.writable(Int(CNUMBERS_DOUBLE_BYTE_COUNT_MAX))
        guard let start = target.baseAddress else { return }
        scratch.commit(cnumbers_format_double(value, start.assumingMemoryBound(to: CChar.self)))
    }

    private static let named = DriverError(
        .badRequest, "Redis has no named parameters.",
        hint: "Send params as an array: its values are appended to the command as further arguments.", sqlState: "42P02"
    )

    private static let null = DriverError(
        .badRequest, "A parameter is null, which Redis does not know.",
        hint: "Send an empty text, or leave the argument away.", sqlState: "22004")
}
