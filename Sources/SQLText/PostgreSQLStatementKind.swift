// The kind of a statement by its first words: enough to refuse statements that would change a shared connection before
// they are sent.

/// Kinds of statements that are treated differently. Unknown ones are `other`: the engine decides.
public enum PostgreSQLStatementKind: Equatable, Sendable {
    /// Cannot change a row by itself; functions that it calls can.
    case select
    case beginTransaction
    /// Ends a transaction or works within one.
    case transaction
    /// Finishes a transaction of another connection (two-phase commit).
    case preparedTransaction
    /// Changes the state of the connection.
    case session
    case copy
    /// Asks for messages that nobody would get.
    case listen
    /// Changes rows, or can, as WITH.
    case change
    case other

    /// - Source: https://www.postgresql.org/docs/15/sql-commands.html
    public init(_ sql: UnsafeRawBufferPointer) {
        var words = LeadingWords(sql, .postgresql)
        self.init(&words)
    }

    /// The same for words that show afterwards whether the text was complete.
    public init(_ words: inout LeadingWords) {
        switch words.next() {
        case "SELECT", "VALUES", "TABLE", "SHOW": self = .select
        case "INSERT", "UPDATE", "DELETE", "MERGE", "WITH": self = .change
        case "BEGIN", "START": self = .beginTransaction
        case "COMMIT", "ROLLBACK":
            self = words.next() == "PREPARED" ? .preparedTransaction : .transaction
        case "END", "ABORT", "SAVEPOINT", "RELEASE": self = .transaction
        case "PREPARE": self = words.next() == "TRANSACTION" ? .transaction : .session
        case "SET", "RESET", "UNLISTEN", "DEALLOCATE", "EXECUTE", "DISCARD", "LOAD", "DECLARE", "FETCH",
            "MOVE", "CLOSE", "LOCK":
            self = .session
        case "COPY": self = .copy
        case "LISTEN": self = .listen
        default: self = .other
        }
    }

    /// Whether a statement of kind `other` is known to take effect as a whole or not at all: it is one transaction, or
    /// a part of one. CALL and DO can commit; VACUUM, ANALYZE, CLUSTER and REINDEX do for each table; statements with
    /// CONCURRENTLY, or about a database or a file, leave parts.
    public static func isOneTransaction(_ sql: UnsafeRawBufferPointer) -> Bool {
        var words = LeadingWords(sql, .postgresql)
        switch words.next() {
        case "TRUNCATE", "COMMENT", "GRANT", "REVOKE", "SECURITY", "NOTIFY", "EXPLAIN": return true
        case "CREATE", "ALTER", "DROP":
            let first = words.next()
            guard first != "INDEX", first != "UNIQUE" else {
                return !LeadingWords.mayContain(sql, ["CONCURRENTLY"])
            }
            return [
                "TABLE", "VIEW", "FUNCTION", "TYPE", "SEQUENCE", "SCHEMA", "TRIGGER", "TEMP", "TEMPORARY",
                "OR",
            ]
            .contains(first) && !LeadingWords.mayContain(sql, ["CONCURRENTLY"])
        default: return false
        }
    }

    /// Whether a statement that is answered by a rollback has asked for one.
    public static func asksForRollback(_ sql: UnsafeRawBufferPointer) -> Bool {
        var words = LeadingWords(sql, .postgresql)
        return ["ROLLBACK", "ABORT"].contains(words.next())
    }

    /// The statement itself leaves no state on its connection.
    public var isPlain: Bool { self == .select || self == .change }

    public var controlsTransaction: Bool {
        self == .beginTransaction || self == .transaction || self == .preparedTransaction
    }
}
