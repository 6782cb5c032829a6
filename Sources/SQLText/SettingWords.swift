// Statements that may change how their server reads quotes, by their words.

extension StatementSplitter.Rules {
    /// Whether the server has to be asked again after a statement: all but those that are known to change no setting.
    public static func mayChange(by statement: [UInt8], _ language: StatementSplitter.Language) -> Bool {
        switch language {
        case .sqlite, .commandLines: false
        case .mysql: !harmlessForMySQL.contains(PlainWords.first(of: statement))
        case .postgresql:
            !harmlessForPostgreSQL.contains(PlainWords.first(of: statement)) || callsSetting(statement)
        }
    }

    /// set_config() changes a setting from within any statement.
    private static func callsSetting(_ statement: [UInt8]) -> Bool {
        let name = Array("set_config".utf8)
        var place = statement[...]
        while let start = place.firstIndex(where: { $0 | 0x20 == UInt8(ascii: "s") }) {
            place = place[start...]
            if place.prefix(name.count).elementsEqual(name, by: { $0 == $1 || $0 | 0x20 == $1 }) { return true }
            place = place.dropFirst()
        }
        return false
    }

    // CALL and functions set the mode for themselves alone. BEGIN may be BEGIN NOT ATOMIC, and comments may be executed.
    private static let harmlessForMySQL: Set<String> = [
        "select", "insert", "update", "delete", "replace", "call", "show", "create", "drop", "alter", "truncate",
        "lock", "unlock", "start", "commit", "rollback", "savepoint", "release", "use", "analyze", "optimize",
        "describe", "desc", "explain", "with", "values", "load", "do", "grant", "revoke", "flush", "rename",
    ]
    // Functions can change settings (SELECT), and the end of a transaction takes them back.
    private static let harmlessForPostgreSQL: Set<String> = [
        "insert", "update", "delete", "create", "drop", "alter", "copy", "comment", "grant", "revoke", "truncate",
        "lock", "analyze", "vacuum", "begin", "start", "savepoint", "listen", "notify", "reindex", "cluster",
    ]
}
