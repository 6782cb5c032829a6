// One value at a time into a buffer, as JSON. The hot path of JSON rows; commas are the caller's.

public import ByteBuffers
internal import CNumbers

extension ByteBuffer {
    @inlinable
    public mutating func appendJSONNull() {
        append("null")
    }

    @inlinable
    public mutating func appendJSONBool(_ value: Bool) {
        append(value ? "true" : "false" as StaticString)
    }

    /// Appends an integer; beyond ±(2^53 − 1) as `style` has it.
    @inlinable
    public mutating func appendJSONInteger(_ value: Int64, style: Int64Style) {
        let magnitude = value.magnitude
        if magnitude <= UInt64(WireLimits.exactJSONIntegerMax) {
            appendDecimal(magnitude, isNegative: value < 0)
        } else {
            appendJSONLargeInteger(magnitude, isNegative: value < 0, style: style)
        }
    }

    @inlinable
    public mutating func appendJSONUnsigned(_ value: UInt64, style: Int64Style) {
        if value <= UInt64(WireLimits.exactJSONIntegerMax) {
            appendDecimal(value, isNegative: false)
        } else {
            appendJSONLargeInteger(value, isNegative: false, style: style)
        }
    }

    @usableFromInline
    mutating func appendJSONLargeInteger(_ magnitude: UInt64, isNegative: Bool, style: Int64Style) {
        switch style {
        case .number:
            appendDecimal(magnitude, isNegative: isNegative)
        case .string:
            append(UInt8(ascii: "\""))
            appendDecimal(magnitude, isNegative: isNegative)
            append(UInt8(ascii: "\""))
        case .tagged:
            append("{\"$int\":\"")
            appendDecimal(magnitude, isNegative: isNegative)
            append("\"}")
        }
    }

    /// Appends the shortest digits that read back as the same double, always with a point or an exponent.
    ///
    /// NaN and the infinities become `{"$real":"…"}`.
    public mutating func appendJSONReal(_ value: Double) {
        guard value.isFinite else {
            append(
                value.isNaN
                    ? "{\"$real\":\"NaN\"}" : value > 0 ? "{\"$real\":\"Infinity\"}" : "{\"$real\":\"-Infinity\"}")
            return
        }
        let target = writable(Int(CNUMBERS_DOUBLE_BYTE_COUNT_MAX))
        guard let start = target.baseAddress else { return }
        commit(cnumbers_format_double(value, start.assumingMemoryBound(to: CChar.self)))
    }

    /// Appends a string, quoted and escaped. The caller knows that the bytes are UTF-8.
    /// - Cost: one pass, eight bytes at a time.
    public mutating func appendJSONText(_ utf8: UnsafeRawBufferPointer) {
        reserve(utf8.count &+ 2)
        append(UInt8(ascii: "\""))
        var start = 0
        while true {
            let end = utf8.firstJSONSpecialOffset(from: start)
            append(utf8.slice(start..<end))
            if end == utf8.count { break }
            appendJSONEscape(utf8[end])
            start = end &+ 1
        }
        append(UInt8(ascii: "\""))
    }

    public mutating func appendJSONText(_ text: StaticString) {
        appendJSONText(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @_disfavoredOverload
    public mutating func appendJSONText(_ text: String) {
        var text = text
        text.withUTF8 { appendJSONText(UnsafeRawBufferPointer($0)) }
    }

    /// Appends `{"$blob":"<base64>"}`.
    public mutating func appendJSONBlob(_ bytes: UnsafeRawBufferPointer) {
        append("{\"$blob\":\"")
        let byteCount = Base64.encodedByteCount(bytes.count)
        if byteCount > 0, let target = writable(byteCount).baseAddress {
            Base64.encode(bytes, to: target)
            commit(byteCount)
        }
        append("\"}")
    }

    private mutating func appendJSONEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x08: append("\\b")
        case 0x09: append("\\t")
        case 0x0a: append("\\n")
        case 0x0c: append("\\f")
        case 0x0d: append("\\r")
        default:
            append("\\u00")
            append(hexadecimalDigit(byte &>> 4))
            append(hexadecimalDigit(byte & 0x0f))
        }
    }

    private func hexadecimalDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") &+ value : UInt8(ascii: "a") &+ value &- 10
    }
}

extension ByteBuffer {
    /// Appends an integer in decimal digits.
    @usableFromInline
    mutating func appendDecimal(_ magnitude: UInt64, isNegative: Bool) {
        let digitCountMax = 20
        let target = writable(digitCountMax &+ 1)
        guard let start = target.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        let signCount = isNegative ? 1 : 0
        if isNegative { start[0] = UInt8(ascii: "-") }
        let digitCount = decimalDigitCount(magnitude)
        writeDecimal(magnitude, digitCount: digitCount, to: start + signCount)
        commit(signCount &+ digitCount)
    }

    /// Appends an integer of at most `digitCount` digits with leading zeros.
    mutating func appendDecimal(_ magnitude: UInt64, digitCount: Int) {
        let target = writable(digitCount)
        guard let start = target.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        writeDecimal(magnitude, digitCount: digitCount, to: start)
        commit(digitCount)
    }
}

/// Writes the last `digitCount` decimal digits, from the back, two at a time.
@inline(__always)
private func writeDecimal(_ magnitude: UInt64, digitCount: Int, to target: UnsafeMutablePointer<UInt8>) {
    let pairs: StaticString = """
        0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
        5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
        """
    let pair = pairs.utf8Start
    var rest = magnitude
    var index = digitCount
    while index >= 2 {
        let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 100)
        index &-= 2
        target[index] = pair[Int(truncatingIfNeeded: remainder &* 2)]
        target[index &+ 1] = pair[Int(truncatingIfNeeded: remainder &* 2 &+ 1)]
        rest = quotient
    }
    if index == 1 { target[0] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10) }
}

@inline(__always)
private func decimalDigitCount(_ magnitude: UInt64) -> Int {
    var count = 1
    var rest = magnitude
    while rest >= 10_000 {
        rest /= 10_000
        count &+= 4
    }
    return count &+ (rest >= 10 ? 1 : 0) &+ (rest >= 100 ? 1 : 0) &+ (rest >= 1000 ? 1 : 0)
}

extension UnsafeRawBufferPointer {
    /// The offset of the first byte at or after `start` that a JSON string cannot hold as it is: a quote, a backslash or
    /// a control character; `count` when there is none.
    @inline(__always)
    func firstJSONSpecialOffset(from start: Int) -> Int {
        var index = start
        while count &- index >= 8 {
            let word = UInt64(littleEndian: loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let control = (word &- everyByte &* 0x20) & ~word & everyHighBit
            let quote = markZeroBytes(word ^ (everyByte &* UInt64(UInt8(ascii: "\""))))
            let backslash = markZeroBytes(word ^ (everyByte &* UInt64(UInt8(ascii: "\\"))))
            // The lowest mark is never a wrong one.
            let marks = control | quote | backslash
            if marks != 0 { return index &+ marks.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        while index < count {
            let byte = self[index]
            if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return index }
            index &+= 1
        }
        return count
    }
}
