// Makes foreign text safe for the log: on one line, and without control characters for terminals.

/// Makes text safe for a line of the log. Pure.
public enum LogText {
    private static let mark = "…"

    /// The text on one line, with control characters escaped: a client's text can neither forge a line nor control a
    /// terminal.
    ///
    /// - Parameters:
    ///   - text: any text.
    ///   - byteCountMax: longest result; longer text is cut and ends in an ellipsis.
    /// - Returns: printable text.
    public static func escaped(_ text: String, byteCountMax: Int) -> String {
        if text.utf8.count <= byteCountMax && text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return text }
        var line = ""
        var cut = line.endIndex
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": line += "\\n"
            case "\t": line += "\\t"
            case _ where isUnsafe(scalar): line += "\\u{\(String(scalar.value, radix: 16))}"
            default: line.unicodeScalars.append(scalar)
            }
            if line.utf8.count <= byteCountMax - mark.utf8.count { cut = line.endIndex }
            if line.utf8.count > byteCountMax { return line[..<cut] + mark }
        }
        return line
    }

    /// The same for bytes that should be UTF-8; it reads no more of them than can be shown.
    public static func escaped(_ bytes: UnsafeRawBufferPointer, byteCountMax: Int) -> String {
        // Four more, so that an incomplete character at the end is cut off there.
        escaped(String(decoding: bytes.prefix(byteCountMax + 4), as: UTF8.self), byteCountMax: byteCountMax)
    }

    // C0 and C1 controls, line separators, and characters that reorder text (Unicode Standard Annex 9).
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7f...0x9f, 0x061c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}
