// The classes of bytes in SQL, for all engines.

extension UInt8 {
    /// White space as the engines have it: blank, tab, line feed, vertical tab, form feed, carriage return.
    @inlinable @inline(__always)
    public var isBlank: Bool { self == UInt8(ascii: " ") || (0x09...0x0d).contains(self) }

    @inlinable @inline(__always)
    public var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    /// In lower case, if it is one of ASCII's capitals.
    @inline(__always)
    var lowercased: UInt8 { self &- UInt8(ascii: "A") < 26 ? self | 0x20 : self }

    /// Part of a name or a number that is not quoted: a letter, a digit, `_`, `$`, or a byte of a character outside of ASCII.
    @inlinable @inline(__always)
    public var isOfName: Bool { isOfKeyword || self == UInt8(ascii: "$") || self >= 0x80 }

    /// Part of a word of the language itself.
    @inlinable @inline(__always)
    public var isOfKeyword: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
