// What has to be known of a text of SQL before SQLite sees it.

/// Facts about SQL text that need no parser.
enum SQLText {
    /// The text without white space and semicolons at its end.
    static func withoutTail(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var end = text.count
        while end > 0 {
            switch text[end - 1] {
            case 0x09...0x0d, UInt8(ascii: " "), UInt8(ascii: ";"): end -= 1
            default: return UnsafeRawBufferPointer(rebasing: text[..<end])
            }
        }
        return UnsafeRawBufferPointer(rebasing: text[..<0])
    }

    /// Whether there is nothing but white space, comments and semicolons.
    static func isBlank(_ text: UnsafeRawBufferPointer) -> Bool {
        skipBlank(text, from: 0) >= text.count
    }

    /// Whether it is certain, by its first word, that the statement writes nothing.
    static func onlyReads(_ text: UnsafeRawBufferPointer) -> Bool {
        let start = skipBlank(text, from: 0)
        guard start < text.count else { return true }
        var end = start
        while end < text.count, isWordByte(text[end]) { end += 1 }
        let word = UnsafeRawBufferPointer(rebasing: text[start..<end])
        return ["select", "values", "explain"].contains { equals(word, $0) }
    }

    /// The position behind white space, comments and semicolons from `start` on; not before the end of the text when there is
    /// nothing else.
    private static func skipBlank(_ text: UnsafeRawBufferPointer, from start: Int) -> Int {
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

    /// The position behind a comment that begins at `start`. Its end is looked for from the fourth byte on: `/*/` is none yet.
    /// - Source: sqlite3GetToken in src/tokenize.c of SQLite
    private static func end(ofComment text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start + 3
        while index < text.count, !(text[index - 1] == UInt8(ascii: "*") && text[index] == UInt8(ascii: "/")) {
            index += 1
        }
        return index + 1
    }

    /// Words outside of literals and comments, keywords and names alike, but for NULL, TRUE and FALSE.
    ///
    /// What nests without parentheses and operators is made of words (`x COLLATE a COLLATE b …`); a long text of data has few.
    static func wordCount(_ text: UnsafeRawBufferPointer) -> Int {
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
            case _ where isWordByte(byte):
                let start = index
                while index < text.count, isWordByte(text[index]) { index += 1 }
                if !isConstant(UnsafeRawBufferPointer(rebasing: text[start..<index]), text, index) { count += 1 }
            default: index += 1
            }
        }
        return count
    }

    /// The position behind a quotation that begins at `start`. A doubled quote begins the next one, which comes to the same.
    private static func end(ofQuotation text: UnsafeRawBufferPointer, from start: Int, _ quote: UInt8) -> Int {
        var index = start + 1
        while index < text.count, text[index] != quote { index += 1 }
        return index + 1
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...0xff:
            true
        default: false
        }
    }

    /// A number, NULL, TRUE, FALSE, or the `x` of a blob.
    private static func isConstant(_ word: UnsafeRawBufferPointer, _ text: UnsafeRawBufferPointer, _ end: Int) -> Bool {
        guard let first = word.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return true }
        let isQuoted = end < text.count && text[end] == UInt8(ascii: "'")
        return (word.count == 1 && isQuoted) || ["null", "true", "false"].contains { equals(word, $0) }
    }

    private static func equals(_ word: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        word.count == name.utf8CodeUnitCount
            && word.indices.allSatisfy { word[$0] | 0x20 == name.utf8Start[$0] }
    }
}
