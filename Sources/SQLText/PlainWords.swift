// The words of a statement, for what has to be known before it is sent. Only the engine knows what it does.

/// Words outside of comments, quotes and parentheses, in small letters, one after the other; other signs are left out.
public struct PlainWords: Sequence, IteratorProtocol {
    private var rest: ArraySlice<UInt8>
    private var depth = 0

    public init(_ statement: [UInt8]) { rest = statement[...] }

    /// The first one; empty where there is none.
    public static func first(of statement: [UInt8]) -> String {
        var words = PlainWords(statement)
        return words.next() ?? ""
    }

    public mutating func next() -> String? {
        while let byte = rest.first {
            switch byte {
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"): depth -= 1
            case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"): skip(from: 1, behind: [byte])
            case UInt8(ascii: "-") where rest.starts(with: "--".utf8): skip(from: 2, behind: [UInt8(ascii: "\n")])
            case UInt8(ascii: "/") where rest.starts(with: "/*".utf8): skip(from: 2, behind: Array("*/".utf8))
            case _ where byte.isOfName:
                let word = rest.prefix(while: \.isOfName)
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
