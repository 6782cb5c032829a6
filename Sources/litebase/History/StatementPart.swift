// What each byte of a statement belongs to, as the splitter of scripts reads quotes and comments: by the rules of its language.

import SQLText

/// A part of a statement; those that hide more come later.
enum StatementPart: UInt8, Comparable {
    case plain
    /// Within the quotes of a name.
    case name
    case comment
    /// Within the quotes of a text, or dollars.
    case value

    static func < (left: StatementPart, right: StatementPart) -> Bool { left.rawValue < right.rawValue }

    /// The part of each byte, quotes included.
    ///
    /// - Parameters:
    ///   - bytes: of a statement, or several.
    ///   - language: not that of command lines.
    ///   - isSecret: whether what a setting of the session makes a value is one, too: the text is kept, and the setting may be
    ///     another than it was. Where one reading sees the end of a text, another one may see its middle.
    /// - Returns: as many as there are bytes.
    static func all(
        of bytes: [UInt8], _ language: StatementSplitter.Language, isSecret: Bool
    ) -> [StatementPart] {
        var parts = [StatementPart](repeating: .plain, count: bytes.count)
        for rules in isSecret ? StatementSplitter.Rules.all : [StatementSplitter.Rules()] {
            mark(bytes, StatementSplitter(language, rules), &parts)
        }
        return parts
    }

    private static func mark(_ bytes: [UInt8], _ splitter: StatementSplitter, _ parts: inout [StatementPart]) {
        var splitter = splitter
        for (index, byte) in bytes.enumerated() {
            let before = splitter.context
            var rest = [byte][...]
            _ = splitter.next(&rest)
            guard let part = part(before, splitter) ?? part(splitter.context, splitter) else { continue }
            // What has begun it was not known as such.
            let start = before == .plain ? index - openerByteCount(splitter, byte) : index
            for place in max(0, start)...index { parts[place] = max(parts[place], part) }
        }
    }

    /// `nil` for plain text, and for lines of other clients.
    private static func part(_ context: StatementSplitter.Context, _ splitter: StatementSplitter) -> StatementPart? {
        switch context {
        case .plain, .line: nil
        case .lineComment, .blockComment: .comment
        case .dollarQuoted: .value
        case .quoted(let end):
            switch end {
            case UInt8(ascii: "'"): .value
            case UInt8(ascii: "\"") where splitter.language == .mysql && !splitter.rules.hasANSIQuotes: .value
            default: .name
            }
        }
    }

    /// Bytes before the one with which the splitter has seen what begins there.
    private static func openerByteCount(_ splitter: StatementSplitter, _ byte: UInt8) -> Int {
        switch splitter.context {
        case .plain, .line, .quoted: 0
        case .blockComment: 1
        case .dollarQuoted(let tag, _): tag.count + 1
        // `#`; `--`; and `-- `, of MySQL.
        case .lineComment where splitter.language != .mysql: 1
        case .lineComment: byte == UInt8(ascii: "#") ? 0 : 2
        }
    }
}
