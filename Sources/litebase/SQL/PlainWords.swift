// The words of a statement, for what has to be known about it before it is sent. The engine alone knows what it does.

/// Words outside of comments, quotes and parentheses, in small letters, one after the other; other signs are left out.
struct PlainWords: Sequence, IteratorProtocol {
    private var rest: ArraySlice<UInt8>
    private var depth = 0

    init(_ statement: [UInt8]) { rest = statement[...] }

    /// The first one; empty where there is none.
    static func first(of statement: [UInt8]) -> String {
        var words = PlainWords(statement)
        return words.next() ?? ""
    }

    mutating func next() -> String? {
        while let byte = rest.first {
            switch byte {
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"): depth -= 1
            case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"): skip(from: 1, behind: [byte])
            case UInt8(ascii: "-") where rest.starts(with: "--".utf8): skip(from: 2, behind: [UInt8(ascii: "\n")])
            case UInt8(ascii: "/") where rest.starts(with: "/*".utf8): skip(from: 2, behind: Array("*/".utf8))
            case _ where isWordByte(byte):
                let word = rest.prefix(while: isWordByte)
                rest = rest[word.endIndex...]
                if depth == 0 { return String(decoding: word, as: UTF8.self).lowercased() }
                continue
            default: break
            }
            rest = rest.dropFirst()
        }
        return nil
    }

    /// Goes to the last byte of `end`, or of all.
    private mutating func skip(from count: Int, behind end: [UInt8]) {
        var place = rest.dropFirst(count)
        while !place.isEmpty, !place.starts(with: end) { place = place.dropFirst() }
        rest = place.isEmpty ? rest.suffix(1) : place.dropFirst(end.count - 1)
    }
}

private func isWordByte(_ byte: UInt8) -> Bool {
    switch byte | 0x20 {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: byte == UInt8(ascii: "_") || byte >= 0x80
    }
}
