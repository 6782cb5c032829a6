// Strings and numbers of JSON.

internal import ByteBuffers
internal import CNumbers

extension JSONParser {
    /// Parses a string into a MessagePack str; returns where its text lies in the output's readable bytes.
    mutating func parseString(into output: inout ByteBuffer) throws(DecodeError) -> Range<Int> {
        let quote = reader.offset
        _ = reader.readByte()
        let run = try readPlainRun(from: quote)
        if reader.peek() == UInt8(ascii: "\"") {
            _ = reader.readByte()
            output.appendMessagePackText(run)
            return output.count &- run.count..<output.count
        }
        // With escapes the length is only known at the end.
        output.append(tag: 0xdb, bigEndian: UInt32(0))
        let start = output.count
        output.append(run)
        while reader.readByte() == UInt8(ascii: "\\") {
            try parseEscape(into: &output)
            output.append(try readPlainRun(from: quote))
        }
        output.patchBigEndian(UInt32(truncatingIfNeeded: output.count &- start), at: start &- 4)
        return start..<output.count
    }

    /// Reads up to the next quote or backslash, which is there.
    private mutating func readPlainRun(from quote: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        let rest = reader.bytes.slice(reader.offset..<reader.bytes.count)
        let count = rest.firstJSONSpecialOffset(from: 0)
        guard count < rest.count else { throw DecodeError(.truncated, at: quote) }
        guard rest[count] >= 0x20 else { throw DecodeError(.controlCharacter, at: reader.offset &+ count) }
        guard let run = reader.read(count) else { throw DecodeError(.truncated, at: quote) }
        return run
    }

    /// Parses what follows a backslash.
    private mutating func parseEscape(into output: inout ByteBuffer) throws(DecodeError) {
        let start = reader.offset &- 1
        guard let byte = reader.readByte() else { throw DecodeError(.truncated, at: start) }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(byte)
        case UInt8(ascii: "b"): output.append(0x08 as UInt8)
        case UInt8(ascii: "f"): output.append(0x0c as UInt8)
        case UInt8(ascii: "n"): output.append(0x0a as UInt8)
        case UInt8(ascii: "r"): output.append(0x0d as UInt8)
        case UInt8(ascii: "t"): output.append(0x09 as UInt8)
        case UInt8(ascii: "u"): output.appendUTF8(try parseEscapedScalar(from: start))
        default: throw DecodeError(.badEscape, at: start)
        }
    }

    /// Parses what follows `\u`: four digits, or a surrogate pair.
    /// - Source: RFC 8259, section 7
    private mutating func parseEscapedScalar(from start: Int) throws(DecodeError) -> UInt32 {
        let unit = try parseHexadecimal(from: start)
        guard unit & 0xf800 == 0xd800 else { return unit }
        guard unit < 0xdc00, reader.readByte() == UInt8(ascii: "\\"), reader.readByte() == UInt8(ascii: "u") else {
            throw DecodeError(.loneSurrogate, at: start)
        }
        let low = try parseHexadecimal(from: start)
        guard low & 0xfc00 == 0xdc00 else { throw DecodeError(.loneSurrogate, at: start) }
        return 0x1_0000 &+ ((unit & 0x3ff) &<< 10) &+ (low & 0x3ff)
    }

    private mutating func parseHexadecimal(from start: Int) throws(DecodeError) -> UInt32 {
        guard let digits = reader.read(4) else { throw DecodeError(.truncated, at: start) }
        var value: UInt32 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value &<< 4 | UInt32(digit &- UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value &<< 4 | UInt32(digit &- UInt8(ascii: "a") &+ 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value &<< 4 | UInt32(digit &- UInt8(ascii: "A") &+ 10)
            default: throw DecodeError(.badEscape, at: start)
            }
        }
        return value
    }
}

extension JSONParser {
    /// Parses a number: an integer when it has neither fraction nor exponent, else a double.
    /// - Source: RFC 8259, section 6
    mutating func parseNumber(into output: inout ByteBuffer) throws(DecodeError) {
        let start = reader.offset
        let isNegative = reader.peek() == UInt8(ascii: "-")
        if isNegative { _ = reader.readByte() }
        let digits = try readDigits(from: start)
        // No leading zeros, so that nobody takes them for octal.
        guard digits.count == 1 || digits[0] != UInt8(ascii: "0") else { throw DecodeError(.badNumber, at: start) }
        let isInteger = try skipFractionAndExponent(from: start)
        if isInteger {
            guard let magnitude = parseDecimal(digits),
                output.appendMessagePackInteger(magnitude, isNegative: isNegative)
            else { throw DecodeError(.integerTooLarge, at: start) }
        } else {
            output.appendMessagePackReal(try parseReal(reader.bytes.slice(start..<reader.offset), from: start))
        }
    }

    /// Skips a fraction and an exponent; returns whether there was neither.
    private mutating func skipFractionAndExponent(from start: Int) throws(DecodeError) -> Bool {
        var isInteger = true
        if reader.peek() == UInt8(ascii: ".") {
            isInteger = false
            _ = reader.readByte()
            _ = try readDigits(from: start)
        }
        if let byte = reader.peek(), byte | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            _ = reader.readByte()
            if let sign = reader.peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
                _ = reader.readByte()
            }
            _ = try readDigits(from: start)
        }
        return isInteger
    }

    /// Reads at least one digit.
    private mutating func readDigits(from start: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        let first = reader.offset
        while let byte = reader.peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { _ = reader.readByte() }
        guard reader.offset > first else { throw DecodeError(reader.isAtEnd ? .truncated : .badNumber, at: start) }
        return reader.bytes.slice(first..<reader.offset)
    }

    private func parseReal(_ text: UnsafeRawBufferPointer, from start: Int) throws(DecodeError) -> Double {
        guard let first = text.baseAddress else { throw DecodeError(.badNumber, at: start) }
        var value = 0.0
        switch Int(cnumbers_parse_double(first.assumingMemoryBound(to: CChar.self), text.count, &value)) {
        case CNUMBERS_OK: return value
        case CNUMBERS_OVERFLOW: throw DecodeError(.realTooLarge, at: start)
        default: throw DecodeError(.badNumber, at: start)
        }
    }
}

/// The number that these decimal digits, at least one, stand for; `nil` beyond 64 bits or for other bytes.
func parseDecimal(_ digits: UnsafeRawBufferPointer) -> UInt64? {
    guard digits.count > 0 else { return nil }
    var value: UInt64 = 0
    for digit in digits {
        guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
        let (tenfold, overflowed) = value.multipliedReportingOverflow(by: 10)
        let (sum, carried) = tenfold.addingReportingOverflow(UInt64(digit &- UInt8(ascii: "0")))
        if overflowed || carried { return nil }
        value = sum
    }
    return value
}

extension ByteBuffer {
    /// Appends an integer given by sign and magnitude; returns `false`, and appends nothing, beyond 64 bits.
    mutating func appendMessagePackInteger(_ magnitude: UInt64, isNegative: Bool) -> Bool {
        guard isNegative else {
            appendMessagePackUnsigned(magnitude)
            return true
        }
        guard magnitude <= Int64.min.magnitude else { return false }
        appendMessagePackInteger(Int64(truncatingIfNeeded: 0 &- magnitude))
        return true
    }

    /// Appends a Unicode scalar value, which must be one.
    fileprivate mutating func appendUTF8(_ scalar: UInt32) {
        switch scalar {
        case 0..<0x80:
            append(UInt8(truncatingIfNeeded: scalar))
        case 0x80..<0x800:
            append(UInt8(truncatingIfNeeded: 0xc0 | scalar &>> 6))
            append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3f))
        case 0x800..<0x1_0000:
            append(UInt8(truncatingIfNeeded: 0xe0 | scalar &>> 12))
            append(UInt8(truncatingIfNeeded: 0x80 | scalar &>> 6 & 0x3f))
            append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3f))
        default:
            append(UInt8(truncatingIfNeeded: 0xf0 | scalar &>> 18))
            append(UInt8(truncatingIfNeeded: 0x80 | scalar &>> 12 & 0x3f))
            append(UInt8(truncatingIfNeeded: 0x80 | scalar &>> 6 & 0x3f))
            append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3f))
        }
    }
}
