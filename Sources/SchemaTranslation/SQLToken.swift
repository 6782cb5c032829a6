// A definition of SQLite's schema, cut into its words and signs.

internal import SQLText

/// A word or sign. Definitions come from `sqlite_schema`, so that SQLite has parsed them before.
/// - Source: sqlite.org/lang_keywords.html, sqlite.org/lang_expr.html ("Literal Values")
struct SQLToken: Equatable, Sendable {
    enum Kind: Equatable, Sendable {
        /// A keyword, or a name without quotes.
        case word
        /// A name within quotes; of double ones, SQLite may mean a text.
        case name(isInDoubleQuotes: Bool)
        case text, blob, number, sign
    }

    let kind: Kind
    /// Without the quotes.
    let text: String
    /// A word in capital letters; empty for others.
    let keyword: String

    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
        keyword = kind == .word ? text.uppercased() : ""
    }

    func isSign(_ sign: String) -> Bool { kind == .sign && text == sign }

    /// Whether it may be a name of the schema.
    var isName: Bool {
        switch kind {
        case .word, .name: true
        case .text, .blob, .number, .sign: false
        }
    }
}

extension SQLToken {
    static func all(of sql: String) -> [SQLToken] {
        var scanner = Scanner(Array(sql.utf8))
        var tokens: [SQLToken] = []
        while let token = scanner.next() { tokens.append(token) }
        return tokens
    }

    private struct Scanner {
        private let bytes: [UInt8]
        private var index = 0
        private static let longSigns = ["->>", "->", "||", "<<", ">>", "<=", ">=", "<>", "==", "!="].map {
            Array($0.utf8)
        }

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        private func starts(with text: [UInt8]) -> Bool { bytes[index...].starts(with: text) }

        private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

        mutating func next() -> SQLToken? {
            skipBlanks()
            guard index < bytes.count else { return nil }
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "'"): return SQLToken(.text, quoted())
            case UInt8(ascii: "\""): return SQLToken(.name(isInDoubleQuotes: true), quoted())
            case UInt8(ascii: "`"), UInt8(ascii: "["): return SQLToken(.name(isInDoubleQuotes: false), quoted())
            case UInt8(ascii: "x"), UInt8(ascii: "X"):
                guard index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "'") else { return word() }
                index += 1
                return SQLToken(.blob, quoted())
            case UInt8(ascii: "0")...UInt8(ascii: "9"): return number()
            case UInt8(ascii: ".") where index + 1 < bytes.count && bytes[index + 1].isDigit: return number()
            case _ where byte.isOfName: return word()
            default: return sign()
            }
        }

        private mutating func skipBlanks() {
            while index < bytes.count {
                if bytes[index].isBlank {
                    index += 1
                } else if starts(with: Array("--".utf8)) {
                    while index < bytes.count, bytes[index] != UInt8(ascii: "\n") { index += 1 }
                } else if starts(with: Array("/*".utf8)) {
                    index += 2
                    while index < bytes.count, !starts(with: Array("*/".utf8)) { index += 1 }
                    index = min(bytes.count, index + 2)
                } else {
                    return
                }
            }
        }

        /// What stands within quotes, of which two are one, or within brackets.
        private mutating func quoted() -> String {
            guard bytes[index] != UInt8(ascii: "[") else {
                let content = bytes[(index + 1)...].prefix { $0 != UInt8(ascii: "]") }
                index = min(bytes.count, content.endIndex + 1)
                return String(decoding: content, as: UTF8.self)
            }
            var content: [UInt8] = []
            index = QuotedText.read(bytes, from: index) { content.append($0) }.end
            return String(decoding: content, as: UTF8.self)
        }

        private mutating func word() -> SQLToken {
            let start = index
            while index < bytes.count, bytes[index].isOfName { index += 1 }
            return SQLToken(.word, text(start..<index))
        }

        private mutating func number() -> SQLToken {
            let start = index
            while index < bytes.count {
                let isSignOfExponent =
                    (bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-"))
                    && (bytes[index - 1] | 0x20) == UInt8(ascii: "e") && index > start
                    && !bytes[start..<index].starts(with: "0x".utf8)
                guard bytes[index].isOfName || bytes[index] == UInt8(ascii: ".") || isSignOfExponent else { break }
                index += 1
            }
            return SQLToken(.number, text(start..<index))
        }

        private mutating func sign() -> SQLToken {
            let count = Self.longSigns.first(where: starts)?.count ?? 1
            index += count
            return SQLToken(.sign, text(index - count..<index))
        }
    }
}

extension RandomAccessCollection<SQLToken> where Index == Int {
    /// The place of the sign that closes the parenthesis at `open`.
    func closing(_ open: Int) -> Int? {
        var depth = 0
        for index in open..<endIndex {
            if self[index].isSign("(") { depth += 1 }
            if self[index].isSign(")") {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }
}

extension ArraySlice<SQLToken> {
    /// What is between commas that are not within parentheses.
    var listItems: [ArraySlice<SQLToken>] {
        var items: [ArraySlice<SQLToken>] = []
        var (start, depth) = (startIndex, 0)
        for index in indices {
            if self[index].isSign("(") { depth += 1 }
            if self[index].isSign(")") { depth -= 1 }
            guard depth == 0, self[index].isSign(",") else { continue }
            items.append(self[start..<index])
            start = index + 1
        }
        if start < endIndex || !items.isEmpty { items.append(self[start..<endIndex]) }
        return items
    }
}
