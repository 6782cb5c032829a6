// Habits from psql or MySQL's own client, where a backslash outside of quotes is not SQL but a command.

internal import SQLText

enum TypedLine {
    private static let backslash = UInt8(ascii: "\\")
    /// What sends a statement to the server.
    private static let ends = [Array("\\g".utf8), Array("\\G".utf8)]

    /// A line as it continues what was typed before: with a semicolon in place of `\g` or `\G` at its end.
    /// - Returns: `nil` for a command of another client in the middle of a statement.
    static func text(_ line: [UInt8], _ splitter: StatementSplitter) -> [UInt8]? {
        let trimmed = trimmed(line)
        guard splitter.language != .commandLines, trimmed.contains(backslash) else { return line }
        if ends.contains(where: { trimmed.suffix($0.count).elementsEqual($0) }) {
            let head = line[..<trimmed.endIndex].dropLast(2)
            var before = splitter
            _ = before.append(head)
            // Within quotes and comments it has no special meaning.
            if before.context == .plain, !before.isBetweenStatements { return Array(head) + splitter.terminator }
        }
        // NULL is `\N` for MySQL, too.
        guard trimmed.first == backslash, splitter.context == .plain, !splitter.isBetweenStatements else { return line }
        return trimmed.starts(with: "\\N".utf8) || trimmed.starts(with: splitter.terminator) ? line : nil
    }

    /// Why a line was not taken.
    static func refusal(_ line: [UInt8]) -> String {
        let word = TerminalEscaping.visible(String(decoding: trimmed(line).prefix { $0 > 0x20 }, as: UTF8.self))
        return "\(word) is a command of another client, and was not run; the statement before it is still open: "
            + "a semicolon ends it, Ctrl-C drops it"
    }

    private static func trimmed(_ line: [UInt8]) -> ArraySlice<UInt8> {
        let start = line.drop { $0 <= 0x20 }
        return start.dropLast(start.reversed().prefix { $0 <= 0x20 }.count)
    }
}
