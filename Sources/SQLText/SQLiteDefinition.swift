// What only the text of a CREATE statement says, as SQLite keeps it in its schema.

/// Facts about a CREATE statement of SQLite, which SQLite itself has understood before.
public enum SQLiteDefinition {
    /// The options behind the columns of a table: `strict`, `without_rowid`.
    public static func tableOptions(_ text: UnsafeRawBufferPointer) -> [StaticString] {
        // Behind this parenthesis there are none, unless it stands in a comment behind them. So it is with nearly all tables.
        if text.last == UInt8(ascii: ")"), !hasLineComment(text) { return [] }
        var tokens = SQLiteTokens(text)
        var (depth, isBehind) = (0, false)
        var options: [StaticString] = []
        while let token = tokens.next() {
            switch token {
            case .open: depth += 1
            case .close:
                depth -= 1
                if depth == 0 { isBehind = true }
            case .word where isBehind && depth == 0:
                if tokens.isWord("strict") { options.append("strict") }
                if tokens.isWord("rowid") { options.append("without_rowid") }
            case .word, .name, .other: break
            }
        }
        return options
    }

    private static func hasLineComment(_ text: UnsafeRawBufferPointer) -> Bool {
        zip(text, text.dropFirst()).contains { $0 == UInt8(ascii: "-") && $1 == UInt8(ascii: "-") }
    }

    /// When a trigger runs (`BEFORE` where nothing else is said), and upon what.
    public static func trigger(_ text: UnsafeRawBufferPointer) -> (timing: String, event: String) {
        var tokens = SQLiteTokens(text)
        var timing = "BEFORE"
        // A name may be a word of the language that is not reserved: it stands where a name has to.
        var (isNamed, isAtName) = (false, false)
        while let token = tokens.next() {
            guard token == .word || token == .name else { continue }
            if !isAtName {
                if tokens.isWord("trigger") { isAtName = true }
                continue
            }
            if !isNamed {
                if token == .word, tokens.isWord("if") || tokens.isWord("not") || tokens.isWord("exists") { continue }
                isNamed = true
                // `schema.name` is not kept by SQLite, but harmless.
                continue
            }
            guard token == .word else { continue }
            if tokens.isWord("before") { timing = "BEFORE" }
            if tokens.isWord("after") { timing = "AFTER" }
            if tokens.isWord("instead") { timing = "INSTEAD OF" }
            for event in ["DELETE", "INSERT", "UPDATE"] as [StaticString] where tokens.isWord(event) {
                return (timing, "\(event)")
            }
        }
        return (timing, "")
    }

    /// The condition of a partial index.
    public static func predicate(_ text: UnsafeRawBufferPointer) -> String? {
        var tokens = SQLiteTokens(text)
        var (depth, isBehind) = (0, false)
        while let token = tokens.next() {
            switch token {
            case .open: depth += 1
            case .close:
                depth -= 1
                if depth == 0 { isBehind = true }
            case .word where isBehind && depth == 0 && tokens.isWord("where"):
                return String(decoding: tokens.rest, as: UTF8.self)
            case .word, .name, .other: break
            }
        }
        return nil
    }
}

/// The tokens of a text, one after the other, without comments and blanks.
struct SQLiteTokens {
    enum Token { case word, name, open, close, other }

    private let text: UnsafeRawBufferPointer
    private var index = 0
    private var start = 0

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    mutating func next() -> Token? {
        index = SQLiteText.skipBlank(text, from: index)
        guard index < text.count else { return nil }
        start = index
        let byte = text[index]
        switch byte {
        case UInt8(ascii: "("):
            index += 1
            return .open
        case UInt8(ascii: ")"):
            index += 1
            return .close
        case UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "`"):
            index = QuotedText.read(text, from: index, { _ in }).end
            return byte == UInt8(ascii: "'") ? .other : .name
        case UInt8(ascii: "["):
            while index < text.count, text[index] != UInt8(ascii: "]") { index += 1 }
            index += 1
            return .name
        case _ where byte.isOfName:
            while index < text.count, text[index].isOfName { index += 1 }
            return .word
        default:
            index += 1
            return .other
        }
    }

    /// Whether the last token is this word, whatever the case of letters.
    func isWord(_ word: StaticString) -> Bool {
        let end = min(index, text.count)
        guard end - start == word.utf8CodeUnitCount else { return false }
        return (start..<end).allSatisfy { text[$0] | 0x20 == word.utf8Start[$0 - start] | 0x20 }
    }

    /// What follows the last token, without blanks around it.
    var rest: UnsafeRawBufferPointer {
        var start = min(index, text.count)
        while start < text.count, text[start].isBlank { start += 1 }
        return SQLiteText.withoutTail(UnsafeRawBufferPointer(rebasing: text[start...]))
    }
}
