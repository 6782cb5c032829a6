// Strings of MySQL that are not UTF-8: dumps have the bytes of a BLOB as they are.

/// Another notation of the same value.
public enum HexLiterals {
    /// The statement with `x'…'` for each `'…'` that is not UTF-8. Where the server takes texts for UTF-8, such bytes are no text;
    /// in other character sets they may be one, but for `_binary '…'`.
    public static func made(of bytes: [UInt8], _ rules: StatementSplitter.Rules) -> [UInt8] {
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
            var value: [UInt8] = []
            let end = QuotedText.read(bytes, from: index, hasEscapes: hasEscapes) { value.append($0) }.end
            let source = bytes[index..<end]
            let isText = byte == quote && String(validating: source, as: UTF8.self) == nil
            if isText, rules.isUTF8 || followsIntroducer(made) {
                // `_binary'…'` would become one word with it.
                if let last = made.last, last.isOfName { made.append(UInt8(ascii: " ")) }
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

    private static let introducer = Array("_binary".utf8)
    private static let quote = UInt8(ascii: "'")
    private static let digits = Array("0123456789ABCDEF".utf8)

    private static func followsIntroducer(_ made: [UInt8]) -> Bool {
        var word = made[...]
        while let last = word.last, last == UInt8(ascii: " ") { word.removeLast() }
        return word.count >= introducer.count
            && word.suffix(introducer.count).elementsEqual(introducer) { $0 | 0x20 == $1 || $0 == $1 }
    }
}
