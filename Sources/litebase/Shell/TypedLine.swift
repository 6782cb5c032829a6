// Habits from psql or MySQL's own client, where a backslash outside of quotes is not SQL but a command.

internal import SQLText

enum TypedLine {
    private static let backslash = UInt8(ascii: "\\")

    /// How a statement is ended otherwise than by a semicolon.
    struct Ending: Equatable {
        /// A line for each column: `\G`, `\gx`.
        var isExpanded = false
        /// Where its result goes: the file or command behind `\g`.
        var target: String?
    }

    /// A line as it continues what was typed before: with a semicolon in place of `\g` or `\G` at its end.
    /// - Returns: `nil` for a command of another client in the middle of a statement.
    static func text(_ line: [UInt8], _ splitter: StatementSplitter) -> [UInt8]? {
        let trimmed = trimmed(line)
        guard splitter.language != .commandLines, trimmed.contains(backslash) else { return line }
        if let (head, _) = ended(line, splitter) { return head + splitter.terminator }
        // NULL is `\N` for MySQL, too.
        guard trimmed.first == backslash, splitter.context == .plain, !splitter.isBetweenStatements else { return line }
        return trimmed.starts(with: "\\N".utf8) || trimmed.starts(with: splitter.terminator) ? line : nil
    }

    /// How a line ends the statement that it belongs to, if it does so by `\g` and the like.
    static func ending(_ line: [UInt8], _ splitter: StatementSplitter) -> Ending? {
        guard splitter.language != .commandLines else { return nil }
        return ended(line, splitter)?.ending
    }

    /// The line up to the last `\g` or `\G` outside of quotes and comments, and what that says.
    private static func ended(_ line: [UInt8], _ splitter: StatementSplitter) -> (head: [UInt8], ending: Ending)? {
        let text = Array(line[..<trimmed(line).endIndex])
        guard let start = text.lastIndex(of: backslash), start + 1 < text.count else { return nil }
        let word = text[(start + 1)...].prefix { $0 > 0x20 && $0 != UInt8(ascii: "|") }
        let rest = Self.trimmed(Array(text[word.endIndex...]))
        var ending = Ending()
        switch String(decoding: word, as: UTF8.self) {
        case "g": if !rest.isEmpty { ending.target = String(decoding: rest, as: UTF8.self) }
        case "G" where rest.isEmpty, "gx" where rest.isEmpty: ending.isExpanded = true
        default: return nil
        }
        let head = Array(text[..<start])
        var before = splitter
        _ = before.append(head)
        // Within quotes and comments it has no special meaning.
        guard before.context == .plain, !before.isBetweenStatements else { return nil }
        return (head, ending)
    }

    /// Whether a line is MySQL's USE with one name, and nothing behind it.
    static func isUse(_ line: [UInt8], _ language: StatementSplitter.Language) -> Bool {
        let words = line.split { $0 <= 0x20 }
        guard language == .mysql, words.count == 2, words[1].last != UInt8(ascii: ";") else { return false }
        return words[0].map { $0 | 0x20 }.elementsEqual("use".utf8)
    }

    /// Whether a word has what is typed edited, also in the middle of a statement.
    static func isEdit(_ word: String) -> Bool { ["\\e", "\\edit"].contains(word) }

    /// Why a line was not taken.
    static func refusal(_ line: [UInt8]) -> String {
        "\(word(of: line)) is a command, and was not run; the statement before it is still open: "
            + "a semicolon ends it, Ctrl-C drops it, \\e edits it"
    }

    /// The first word, as it can be shown.
    static func word(of line: [UInt8]) -> String {
        TerminalEscaping.visible(String(decoding: trimmed(line).prefix { $0 > 0x20 }, as: UTF8.self))
    }

    private static func trimmed(_ line: [UInt8]) -> ArraySlice<UInt8> {
        let start = line.drop { $0 <= 0x20 }
        return start.dropLast(start.reversed().prefix { $0 <= 0x20 }.count)
    }
}
