// What a session keeps for later statements: settings, temporary tables, locks, another database.

import SQLText

/// Whether a statement may leave something in its session. Those that do not can be run in another session instead.
///
/// What is listed leaves nothing; everything else may.
enum SessionState {
    private static let plainWords: Set<String> = [
        "select", "values", "table", "insert", "update", "delete", "replace", "merge", "with", "explain", "show",
        "describe",
        "desc", "create", "alter", "drop", "truncate", "analyze", "vacuum", "reindex", "comment", "grant", "revoke",
        "begin",
        "start", "commit", "end", "rollback", "abort", "savepoint", "release",
    ]
    /// In one of these: set_config(), advisory and named locks, variables of MySQL, and CREATE TEMPORARY.
    private static let tellingParts = ["set_config", "lock", ":=", "temp"]
    /// Commands of Redis that change the connection.
    private static let connectionCommands: Set<String> = [
        "select", "client", "auth", "hello", "readonly", "readwrite", "multi", "exec", "discard", "watch", "unwatch",
        "script",
        "reset",
    ]
    /// Of longer texts it is not known.
    private static let byteCountMax = 64 << 10

    static func mayBeChanged(by sql: String, _ language: StatementSplitter.Language) -> Bool {
        let text = sql.lowercased()
        guard text.utf8.count <= byteCountMax else { return true }
        let word = PlainWords.first(of: Array(text.utf8))
        if language == .commandLines { return connectionCommands.contains(word) }
        if language == .mysql, text.contains("@") { return true }
        return !plainWords.contains(word) || tellingParts.contains { text.contains($0) }
    }
}

/// Statements that end a transaction.
enum TransactionEnd {
    case commit, rollback

    /// `nil` for any other statement, in the words of all engines: EXEC and DISCARD are Redis's.
    init?(_ sql: String) {
        let words = sql.lowercased().split { !$0.isLetter }.prefix(4)
        switch words.first {
        case "commit", "end", "exec": self = .commit
        // Back to a savepoint is within the transaction.
        case "rollback" where !words.contains("to"): self = .rollback
        case "abort", "discard": self = .rollback
        default: return nil
        }
    }
}
