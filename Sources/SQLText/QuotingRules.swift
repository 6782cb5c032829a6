// How a server reads quotes: what the statement splitter has to know. SettingWords.swift decides whether a statement
// may change that; the caller then asks the server.

extension StatementSplitter {
    /// How a server reads quotes at present; a statement may change it.
    public struct Rules: Equatable, Sendable {
        /// MySQL: a backslash takes the meaning of the next character away (no NO_BACKSLASH_ESCAPES).
        public var hasBackslashEscapes = true
        /// MySQL: text in double quotes is a name (ANSI_QUOTES), in which there are no escapes.
        public var hasANSIQuotes = false
        /// MySQL: texts are UTF-8 (SET NAMES), so that other bytes are none (RawText).
        public var isUTF8 = true
        /// PostgreSQL: a backslash in `'…'` is itself (standard_conforming_strings).
        public var hasStandardStrings = true

        public init(
            hasBackslashEscapes: Bool = true, hasANSIQuotes: Bool = false, hasStandardStrings: Bool = true
        ) {
            self.hasBackslashEscapes = hasBackslashEscapes
            self.hasANSIQuotes = hasANSIQuotes
            self.hasStandardStrings = hasStandardStrings
        }

        /// All that there are, to find out whether it matters.
        public static let all = [
            Rules(), Rules(hasBackslashEscapes: false), Rules(hasANSIQuotes: true), Rules(hasStandardStrings: false),
        ]
    }
}
