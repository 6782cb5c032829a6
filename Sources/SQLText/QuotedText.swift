// The text between two quotes.

/// A string or a name in quotes, read by one rule for all engines: a quote ends it, but a doubled one is a quote of its text.
public enum QuotedText {
    /// Reads a quoted text from `start` on, and passes its bytes to `take`, one after the other. With `hasEscapes`, a
    /// backslash makes the next character an ordinary one, as in MySQL.
    /// - Returns: the position after it, and whether a quote ends it.
    /// - Source: https://mariadb.com/kb/en/string-literals/; sqlite3GetToken in src/tokenize.c of SQLite
    @inlinable
    public static func read<Bytes: RandomAccessCollection<UInt8>>(
        _ bytes: Bytes, from start: Int, hasEscapes: Bool = false, _ take: (UInt8) -> Void
    ) -> (end: Int, isClosed: Bool) where Bytes.Index == Int {
        let quote = bytes[start]
        var index = start + 1
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            if byte == quote {
                guard index < bytes.endIndex, bytes[index] == quote else { return (index, true) }
                take(quote)
                index += 1
            } else if hasEscapes, byte == UInt8(ascii: "\\"), index < bytes.endIndex {
                takeEscaped(bytes[index], take)
                index += 1
            } else {
                take(byte)
            }
        }
        return (index, false)
    }

    @usableFromInline
    static func takeEscaped(_ byte: UInt8, _ take: (UInt8) -> Void) {
        switch byte {
        case UInt8(ascii: "0"): take(0)
        case UInt8(ascii: "b"): take(8)
        case UInt8(ascii: "n"): take(10)
        case UInt8(ascii: "r"): take(13)
        case UInt8(ascii: "t"): take(9)
        case UInt8(ascii: "Z"): take(26)
        case UInt8(ascii: "%"), UInt8(ascii: "_"):
            take(UInt8(ascii: "\\"))
            take(byte)
        default: take(byte)
        }
    }
}
