// Base64 as RFC 4648, section 4 has it: the standard alphabet, padded.

/// Base64 over raw memory.
enum Base64 {
    private static var alphabet: StaticString { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" }
    private static var padding: UInt8 { UInt8(ascii: "=") }

    /// How many characters `byteCount` bytes become.
    static func encodedByteCount(_ byteCount: Int) -> Int {
        (byteCount &+ 2) / 3 &* 4
    }

    /// Writes `encodedByteCount(bytes.count)` characters to `target`.
    static func encode(_ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) {
        let digits = alphabet.utf8Start
        let output = target.assumingMemoryBound(to: UInt8.self)
        var input = 0
        var written = 0
        while bytes.count &- input >= 3 {
            let group = UInt32(bytes[input]) &<< 16 | UInt32(bytes[input &+ 1]) &<< 8 | UInt32(bytes[input &+ 2])
            output[written] = digits[Int(group &>> 18)]
            output[written &+ 1] = digits[Int(group &>> 12 & 0x3f)]
            output[written &+ 2] = digits[Int(group &>> 6 & 0x3f)]
            output[written &+ 3] = digits[Int(group & 0x3f)]
            input &+= 3
            written &+= 4
        }
        let left = bytes.count &- input
        if left == 0 { return }
        let group = UInt32(bytes[input]) &<< 16 | (left == 2 ? UInt32(bytes[input &+ 1]) &<< 8 : 0)
        output[written] = digits[Int(group &>> 18)]
        output[written &+ 1] = digits[Int(group &>> 12 & 0x3f)]
        output[written &+ 2] = left == 2 ? digits[Int(group &>> 6 & 0x3f)] : padding
        output[written &+ 3] = padding
    }

    /// How many bytes these characters stand for; `nil` when their number or padding is wrong.
    static func decodedByteCount(_ text: UnsafeRawBufferPointer) -> Int? {
        guard text.count % 4 == 0 else { return nil }
        guard text.count > 0 else { return 0 }
        let full = text.count / 4 &* 3
        guard text[text.count &- 1] == padding else { return full }
        return text[text.count &- 2] == padding ? full &- 2 : full &- 1
    }

    /// Writes `decodedByteCount(text)` bytes to `target`; returns `false` for a character outside of the alphabet, or for
    /// bits set in the last one that mean nothing (two texts would stand for one blob).
    ///
    /// `target` may lie before `text` in the same memory: no byte is written before its characters were read.
    static func decode(_ text: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) -> Bool {
        guard let byteCount = decodedByteCount(text) else { return false }
        let output = target.assumingMemoryBound(to: UInt8.self)
        var written = 0
        for start in stride(from: 0, to: text.count, by: 4) {
            let count = min(3, byteCount &- written)
            guard let group = decodeGroup(text, at: start, byteCount: count) else { return false }
            output[written] = UInt8(truncatingIfNeeded: group &>> 16)
            if count > 1 { output[written &+ 1] = UInt8(truncatingIfNeeded: group &>> 8) }
            if count > 2 { output[written &+ 2] = UInt8(truncatingIfNeeded: group) }
            written &+= count
        }
        return true
    }

    /// The 24 bits of four characters, of which the first `byteCount` bytes count.
    @inline(__always)
    private static func decodeGroup(_ text: UnsafeRawBufferPointer, at start: Int, byteCount: Int) -> UInt32? {
        var group: UInt32 = 0
        for index in 0..<4 {
            let character = text[start &+ index]
            let bits = index > byteCount && character == padding ? 0 : value(of: character)
            if bits > 63 { return nil }
            group = group &<< 6 | UInt32(bits)
        }
        let unused: UInt32 = byteCount == 3 ? 0 : byteCount == 2 ? 0xff : 0xffff
        return group & unused == 0 ? group : nil
    }

    @inline(__always)
    private static func value(of character: UInt8) -> UInt8 {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character &- UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character &- UInt8(ascii: "a") &+ 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character &- UInt8(ascii: "0") &+ 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: 0xff
        }
    }
}
