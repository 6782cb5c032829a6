// The runs of bytes that may be a name or a part of one, wherever they stand in a text: outside and inside of quotes, strings and comments.

/// Finds every name that a text of MySQL may mean, and more: quotes and settings make no difference.
public enum TextRuns {
    /// Calls `body` with each run, ASCII's capitals in lower case, until it returns false.
    /// - Cost: linear; allocates a run of more than 15 bytes.
    public static func forEach(_ text: UnsafeRawBufferPointer, _ body: (String) -> Bool) {
        var index = 0
        while index < text.count {
            let start = index
            while index < text.count, text[index].isOfName { index += 1 }
            if index == start {
                index += 1
            } else if !body(folded(UnsafeRawBufferPointer(rebasing: text[start..<index]))) {
                return
            }
        }
    }

    /// The first run of a name, by which it is found; `nil` for a name without one.
    public static func first(of name: String) -> String? {
        var found: String?
        var name = name
        name.withUTF8 { bytes in
            forEach(UnsafeRawBufferPointer(bytes)) {
                found = $0
                return false
            }
        }
        return found
    }

    /// Whether there is a comment whose content MySQL runs, which may begin with digits that are no part of a name.
    public static func mayHaveExecutableComment(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count >= 3 else { return false }
        return (0...text.count - 3).contains { index in
            text[index] == UInt8(ascii: "/") && text[index + 1] == UInt8(ascii: "*")
                && (text[index + 2] == UInt8(ascii: "!") || text[index + 2] == UInt8(ascii: "M"))
        }
    }

    /// With ASCII's capitals in lower case.
    public static func folded(_ name: String) -> String {
        var name = name
        return name.withUTF8 { folded(UnsafeRawBufferPointer($0)) }
    }

    private static func folded(_ bytes: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: bytes.count) { text in
            for index in 0..<bytes.count { text[index] = bytes[index].lowercased }
            return bytes.count
        }
    }
}
