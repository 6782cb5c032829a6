// What has to be known of a text of SQL before SQLite sees it.

/// Facts about SQL text that need no parser.
public enum SQLiteText {
    /// The text without white space and semicolons at its end.
    public static func withoutTail(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var end = text.count
        while end > 0 {
            guard text[end - 1].isBlank || text[end - 1] == UInt8(ascii: ";") else { break }
            end -= 1
        }
        return UnsafeRawBufferPointer(rebasing: text[..<end])
    }

    /// Whether there is nothing but white space, comments and semicolons.
    public static func isBlank(_ text: UnsafeRawBufferPointer) -> Bool {
        skipBlank(text, from: 0) >= text.count
    }

    /// Whether the first word makes it certain that the statement writes nothing; false if that word comes after much
    /// white space, because loops call this.
    public static func onlyReads(_ whole: UnsafeRawBufferPointer) -> Bool {
        let text = TextBound.head(whole)
        guard let word = firstWord(text) else { return text.count == whole.count }
        return ["select", "values", "explain"].contains { equals(word, $0) }
    }

    /// Whether the first word makes it certain that the statement changes rows, and no schema; looked for as by `onlyReads`.
    public static func changesRows(_ whole: UnsafeRawBufferPointer) -> Bool {
        guard let word = firstWord(TextBound.head(whole)) else { return false }
        return ["insert", "update", "delete", "replace"].contains { equals(word, $0) }
    }

    /// Whether the statement may drop a part of a schema, by its first word; true also if that word comes after much white space.
    public static func mayDrop(_ whole: UnsafeRawBufferPointer) -> Bool {
        let text = TextBound.head(whole)
        guard let word = firstWord(text) else { return text.count < whole.count }
        return equals(word, "drop")
    }

    /// - Returns: `nil` where there is nothing but white space, comments and semicolons.
    private static func firstWord(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let start = skipBlank(text, from: 0)
        guard start < text.count else { return nil }
        var end = start
        while end < text.count, text[end].isOfName { end += 1 }
        return UnsafeRawBufferPointer(rebasing: text[start..<end])
    }

    /// Whether the statement may begin, end or go back in a transaction, by its first letters; false where it is certain that not.
    /// Loops ask this, too.
    public static func mayControlTransaction(_ whole: UnsafeRawBufferPointer) -> Bool {
        let text = TextBound.head(whole)
        let start = skipBlank(text, from: 0)
        guard start + 1 < text.count else { return true }
        return switch (text[start] | 0x20, text[start + 1] | 0x20) {
        case (UInt8(ascii: "s"), UInt8(ascii: "e")), (UInt8(ascii: "c"), UInt8(ascii: "r")): false
        case (UInt8(ascii: "b"), _), (UInt8(ascii: "c"), _), (UInt8(ascii: "e"), _), (UInt8(ascii: "r"), _),
            (UInt8(ascii: "s"), _):
            true
        default: false
        }
    }

    /// Whether the statement concerns the connection as a whole, by its first word; true also if that word comes after much white
    /// space, because loops call this.
    public static func isAdministration(_ whole: UnsafeRawBufferPointer) -> Bool {
        let text = TextBound.head(whole)
        guard let word = firstWord(text) else { return text.count < whole.count }
        return ["pragma", "attach", "detach"].contains { equals(word, $0) }
    }

    /// The position after white space, comments and semicolons from `start` on; not before the end of the text if there
    /// is nothing else.
    static func skipBlank(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < text.count {
            let next = index + 1 < text.count ? text[index + 1] : 0
            switch (text[index], next) {
            case (0x09...0x0d, _), (UInt8(ascii: " "), _), (UInt8(ascii: ";"), _): index += 1
            case (UInt8(ascii: "-"), UInt8(ascii: "-")):
                while index < text.count, text[index] != UInt8(ascii: "\n") { index += 1 }
            case (UInt8(ascii: "/"), UInt8(ascii: "*")): index = end(ofComment: text, from: index)
            default: return index
            }
        }
        return index
    }

    /// The position after a comment that begins at `start`. Its end begins at the third byte at the
    /// earliest: `/*/` is not complete.
    /// - Source: sqlite3GetToken in src/tokenize.c of SQLite
    private static func end(ofComment text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start + 3
        while index < text.count,
            !(text[index - 1] == UInt8(ascii: "*") && text[index] == UInt8(ascii: "/"))
        {
            index += 1
        }
        return index + 1
    }

    /// Whether a text may have a blob in it: `x'…'`.
    public static func mayHaveBlob(_ text: UnsafeRawBufferPointer) -> Bool {
        var previous: UInt8 = 0
        for byte in text {
            if byte == UInt8(ascii: "'"), previous | 0x20 == UInt8(ascii: "x") { return true }
            previous = byte
        }
        return false
    }

    /// Words outside of literals and comments, keywords and names alike, but for NULL, TRUE and FALSE.
    ///
    /// What nests without parentheses and operators is made of words (`x COLLATE a COLLATE b …`); a long text of data has few.
    public static func wordCount(_ text: UnsafeRawBufferPointer) -> Int {
        var (index, count) = (0, 0)
        while index < text.count {
            let byte = text[index]
            let next = index + 1 < text.count ? text[index + 1] : 0
            switch byte {
            case UInt8(ascii: "'"): index = end(ofQuotation: text, from: index, byte)
            case UInt8(ascii: "\""), UInt8(ascii: "`"):
                count += 1
                index = end(ofQuotation: text, from: index, byte)
            case UInt8(ascii: "["):
                count += 1
                index = end(ofQuotation: text, from: index, UInt8(ascii: "]"))
            case UInt8(ascii: "-") where next == byte:
                while index < text.count, text[index] != UInt8(ascii: "\n") { index += 1 }
            case UInt8(ascii: "/") where next == UInt8(ascii: "*"):
                index = end(ofComment: text, from: index)
            case _ where byte.isOfName:
                let start = index
                while index < text.count, text[index].isOfName { index += 1 }
                if !isConstant(UnsafeRawBufferPointer(rebasing: text[start..<index]), text, index) {
                    count += 1
                }
            default: index += 1
            }
        }
        return count
    }

    /// The position after a quotation that begins at `start`. A doubled quote begins the next one, which is equivalent
    /// here.
    private static func end(ofQuotation text: UnsafeRawBufferPointer, from start: Int, _ quote: UInt8)
        -> Int
    {
        var index = start + 1
        while index < text.count, text[index] != quote { index += 1 }
        return index + 1
    }

    /// A number, NULL, TRUE, FALSE, or the `x` of a blob.
    private static func isConstant(
        _ word: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer, _ end: Int
    ) -> Bool {
        guard let first = word.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return true
        }
        let isQuoted = end < text.count && text[end] == UInt8(ascii: "'")
        return (word.count == 1 && isQuoted) || ["null", "true", "false"].contains { equals(word, $0) }
    }

    private static func equals(_ word: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        word.count == name.utf8CodeUnitCount
            && word.indices.allSatisfy { word[$0] | 0x20 == name.utf8Start[$0] }
    }
}
