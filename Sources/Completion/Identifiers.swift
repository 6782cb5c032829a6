// Names as they are to be written in a statement.

import SQLText

struct Identifiers {
    let dialect: CompletionDialect

    /// The name as it stands in a statement: with `quote` around it if that is what was typed, else in quotes only if it needs them.
    func written(_ name: String, quote: UInt8? = nil) -> String {
        if let quote { return String(quoting: name, by: quote) }
        return isPlain(name)
            ? name : String(quoting: name, by: dialect == .mysql ? UInt8(ascii: "`") : UInt8(ascii: "\""))
    }

    func isPlain(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first), first != UInt8(ascii: "$") else {
            return false
        }
        for byte in name.utf8 {
            guard byte.isOfName else { return false }
            // PostgreSQL reads capitals without quotes as small letters.
            if dialect == .postgresql, (0x41...0x5a).contains(byte) { return false }
        }
        return !ReservedWords.of(dialect.language).contains(name.lowercased())
    }

    /// Whether two names are the same one.
    func same(_ left: String, _ right: String) -> Bool { key(left) == key(right) }

    /// What equal names have in common.
    func key(_ name: String) -> String {
        dialect == .postgresql
            ? name : String(decoding: name.utf8.lazy.map(NamePattern.lowered), as: UTF8.self)
    }
}
