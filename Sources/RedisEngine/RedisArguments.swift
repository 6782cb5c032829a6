// The arguments of a command: those of the command line, and the parameters behind them.

internal import ByteBuffers
internal import CNumbers
internal import DatabaseContract
internal import SQLText

/// All arguments of a command, the name being the first.
struct RedisArguments: ~Copyable {
    private let line: UnsafeRawBufferPointer
    private var words: RedisWords
    private let parameters: [DriverParameter]
    private var parameterIndex = 0
    private var scratch = ByteBuffer()

    init(_ line: UnsafeRawBufferPointer, _ parameters: [DriverParameter]) {
        self.line = line
        words = RedisWords(line)
        self.parameters = parameters
    }

    /// The number of the first of the arguments that are left, counted from 0, for which `isWanted` (number, argument) holds; `nil` if
    /// there is none.
    mutating func firstIndex(
        where isWanted: (Int, UnsafeRawBufferPointer) -> Bool
    ) throws(DriverError) -> Int? {
        var index = 0
        while let argument = try next() {
            if isWanted(index, argument) { return index }
            index += 1
        }
        return nil
    }

    /// The next argument; valid until the next call. `nil` behind the last one.
    mutating func next() throws(DriverError) -> UnsafeRawBufferPointer? {
        if parameterIndex == 0, let word = try nextWord() { return word }
        guard parameterIndex < parameters.count else { return nil }
        let parameter = parameters[parameterIndex]
        parameterIndex += 1
        guard parameter.name == nil else { throw Self.named }
        return try argument(parameter.value)
    }

    private mutating func nextWord() throws(DriverError) -> UnsafeRawBufferPointer? {
        do throws(RedisWordsError) {
            return try words.next()
        } catch {
            switch error {
            case .notClosed(let offset): throw unbalanced("A quote in the command line is not closed.", offset)
            case .textBehindQuote(let offset):
                throw unbalanced("Something follows directly behind a closing quote.", offset)
            }
        }
    }

    private func unbalanced(_ message: String, _ offset: Int) -> DriverError {
        DriverError(
            .syntaxError, message, hint: "Quote as redis-cli does: \"…\" with \\\" and \\\\, or '…' with \\'.",
            sqlState: "42601"
        ).with { $0.place = TextPlace(offset, in: line) }
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
        hint: "Send params as an array: its values are appended to the command as further arguments.", sqlState: "07001"
    )

    private static let null = DriverError(
        .badRequest, "A parameter is null, which Redis does not know.",
        hint: "Send an empty text, or leave the argument away.", sqlState: "22004")
}
