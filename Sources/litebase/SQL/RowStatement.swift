// Statements that read or change rows, by their first word.

internal import SQLText

/// Such a statement neither begins nor ends a transaction, and its changes are counted in rows.
enum RowStatement {
    private static let changing: Set<String> = ["insert", "update", "delete", "replace", "merge", "with"]
    private static let reading: Set<String> = ["select", "values", "table"]
    /// Comments in front are not looked through for longer.
    private static let byteCountMax = 4096

    /// Whether a statement is one of these.
    static func isMeant(by sql: String) -> Bool {
        let word = firstWord(of: sql)
        return changing.contains(word) || reading.contains(word)
    }

    /// Whether its count of rows says something, also where it is 0.
    static func changesRows(_ sql: String) -> Bool { changing.contains(firstWord(of: sql)) }

    /// Whether it may change something: everything that is not known to read only.
    static func mayChange(_ sql: String) -> Bool {
        let word = firstWord(of: sql)
        if word == "with" {
            let words = Set(sql.lowercased().split { !$0.isLetter })
            return ["insert", "update", "delete", "replace", "merge"].contains { words.contains($0) }
        }
        return !reading.contains(word) && !["show", "describe", "desc", "pragma", "help"].contains(word)
    }

    /// Whether its placeholders are for later.
    static func isDefinition(_ sql: String) -> Bool { ["create", "prepare"].contains(firstWord(of: sql)) }

    /// In small letters; empty where there is none.
    static func firstWord(of sql: String) -> String {
        PlainWords.first(of: Array(sql.utf8.prefix(byteCountMax)))
    }
}
