// Names in double quotes, as names that no SQLite takes for strings.

/// Quotes of names.
public enum SQLiteQuotes {
    private static let double = UInt8(ascii: "\"")
    private static let backtick = UInt8(ascii: "`")

    /// The text with all that is in double quotes in backticks; `nil` when there is none.
    public static func asNames(_ text: UnsafeRawBufferPointer) -> [UInt8]? {
        guard text.contains(double) else { return nil }
        var names: [UInt8] = []
        names.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            let byte = text[index]
            let next = index + 1 < text.count ? text[index + 1] : 0
            switch byte {
            case double: index = appendName(text, from: index, to: &names)
            case UInt8(ascii: "'"), backtick: index = copy(text, from: index, behind: [byte], to: &names)
            case UInt8(ascii: "["):
                index = copy(text, from: index, behind: [UInt8(ascii: "]")], to: &names)
            case UInt8(ascii: "-") where next == byte:
                index = copy(text, from: index, behind: [UInt8(ascii: "\n")], to: &names)
            case UInt8(ascii: "/") where next == UInt8(ascii: "*"):
                names += [byte, next]
                index = copy(text, from: index + 1, behind: Array("*/".utf8), to: &names, isCopied: true)
            default:
                names.append(byte)
                index += 1
            }
        }
        return names
    }

    /// - Returns: the position after it.
    private static func appendName(
        _ text: UnsafeRawBufferPointer, from start: Int, to names: inout [UInt8]
    ) -> Int {
        names.append(backtick)
        let end = QuotedText.read(text, from: start) { byte in
            if byte == backtick { names.append(backtick) }
            names.append(byte)
        }.end
        names.append(backtick)
        return end
    }

    /// Copies everything from `start` to the end of `end`. A doubled quote ends one text and begins another.
    private static func copy(
        _ text: UnsafeRawBufferPointer, from start: Int, behind end: [UInt8], to names: inout [UInt8],
        isCopied: Bool = false
    ) -> Int {
        if !isCopied { names.append(text[start]) }
        var index = start + 1
        while index < text.count {
            names.append(text[index])
            index += 1
            if names.last == end.last, end.count == 1 || index - start > 2 && text[index - 2] == end[0] {
                break
            }
        }
        return index
    }
}
