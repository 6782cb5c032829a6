// Statements of a script that are not UTF-8: dumps have the bytes of a BLOB as they are.

/// The text that is sent for a statement.
enum RawText {
    /// The statement itself if it is UTF-8, else with what it has of other bytes in another notation of the same value: `'…'` of
    /// MySQL becomes `x'…'`. Where the server takes texts for UTF-8, such bytes are no text; in other character sets they may be
    /// one, but for `_binary '…'`.
    /// - Throws: `InputError` where bytes stand that have no other notation.
    static func sql(
        of statement: StatementSplitter.Statement, _ language: StatementSplitter.Language,
        _ rules: StatementSplitter.Rules
    ) throws(InputError) -> String {
        if let text = statement.text { return text }
        if language == .mysql, let text = String(validating: inHex(statement.bytes, rules), as: UTF8.self) {
            return text
        }
        if statement.bytes.starts(with: [0xff, 0xfe]) || statement.bytes.starts(with: [0xfe, 0xff]) {
            throw InputError(message: "the script is UTF-16; make it UTF-8, with iconv(1) for instance")
        }
        let remedy = language == .mysql ? "; mariadb-dump --default-character-set=utf8mb4 --hex-blob writes such" : ""
        throw InputError(message: "the statement is not UTF-8 text\(remedy)")
    }

    private static let introducer = Array("_binary".utf8)
    private static let quote = UInt8(ascii: "'")

    private static func inHex(_ bytes: [UInt8], _ rules: StatementSplitter.Rules) -> [UInt8] {
        var made: [UInt8] = []
        made.reserveCapacity(bytes.count + bytes.count / 2)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            guard byte == quote || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "`") else {
                made.append(byte)
                index += 1
                continue
            }
            let hasEscapes =
                rules.hasBackslashEscapes && byte != UInt8(ascii: "`")
                && !(rules.hasANSIQuotes && byte == UInt8(ascii: "\""))
            let (end, value) = literal(bytes, from: index, hasEscapes: hasEscapes)
            let source = bytes[index..<end]
            let isText = byte == quote && String(validating: source, as: UTF8.self) == nil
            if isText, rules.isUTF8 || followsIntroducer(made) {
                made.append(UInt8(ascii: "x"))
                made.append(quote)
                for byte in value { made += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
                made.append(quote)
            } else {
                made += source
            }
            index = end
        }
        return made
    }

    private static let digits = Array("0123456789ABCDEF".utf8)

    private static func followsIntroducer(_ made: [UInt8]) -> Bool {
        var word = made[...]
        while let last = word.last, last == UInt8(ascii: " ") { word.removeLast() }
        return word.count >= introducer.count
            && word.suffix(introducer.count).elementsEqual(introducer) { $0 | 0x20 == $1 || $0 == $1 }
    }

    /// Reads what is quoted.
    /// - Returns: the position behind it, and its bytes.
    /// - Source: https://mariadb.com/kb/en/string-literals/
    private static func literal(
        _ bytes: [UInt8], from start: Int, hasEscapes: Bool
    ) -> (end: Int, value: [UInt8]) {
        let quote = bytes[start]
        var value: [UInt8] = []
        var index = start + 1
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == quote {
                guard index < bytes.count, bytes[index] == quote else { break }
                value.append(quote)
                index += 1
            } else if hasEscapes, byte == UInt8(ascii: "\\"), index < bytes.count {
                value += escaped(bytes[index])
                index += 1
            } else {
                value.append(byte)
            }
        }
        return (index, value)
    }

    private static func escaped(_ byte: UInt8) -> [UInt8] {
        switch byte {
        case UInt8(ascii: "0"): [0]
        case UInt8(ascii: "b"): [8]
        case UInt8(ascii: "n"): [10]
        case UInt8(ascii: "r"): [13]
        case UInt8(ascii: "t"): [9]
        case UInt8(ascii: "Z"): [26]
        case UInt8(ascii: "%"), UInt8(ascii: "_"): [UInt8(ascii: "\\"), byte]
        default: [byte]
        }
    }
}

/// The mark at the beginning of a file that says that it is UTF-8; other systems' editors write it.
enum ByteOrderMark {
    static func dropped(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        bytes.starts(with: [0xef, 0xbb, 0xbf]) ? bytes.dropFirst(3) : bytes
    }
}
