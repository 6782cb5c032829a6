// How a server reads quotes: what the splitter of statements has to know of it. Who asks is in StatementRules.swift.

extension StatementSplitter {
    /// How a server reads quotes at the moment; it may be told otherwise by a statement.
    struct Rules: Equatable {
        /// MySQL: a backslash takes the meaning of the next character away (no NO_BACKSLASH_ESCAPES).
        var hasBackslashEscapes = true
        /// MySQL: text in double quotes is a name (ANSI_QUOTES), in which there are no escapes.
        var hasANSIQuotes = false
        /// MySQL: texts are UTF-8 (SET NAMES), so that other bytes are none (RawText).
        var isUTF8 = true
        /// PostgreSQL: a backslash in `'…'` is itself (standard_conforming_strings).
        var hasStandardStrings = true

        /// All that there are, to find out whether it matters.
        static let all = [
            Rules(), Rules(hasBackslashEscapes: false), Rules(hasANSIQuotes: true), Rules(hasStandardStrings: false),
        ]
    }
}
