// The kind of a statement by its first words: enough to refuse statements that would change a shared connection before
// they are sent, and those that a read-only transaction does not stop.

/// Kinds of statements that are treated differently. Unknown ones are `other`: the engine decides.
public enum MySQLStatementKind: Equatable, Sendable {
    /// Cannot change a row by itself; functions that it calls can.
    case select
    /// Changes rows.
    case write
    case beginTransaction
    /// Ends a transaction or works within one.
    case transaction
    /// Two-phase commit, which outlives its connection.
    case distributedTransaction
    /// Changes the state of the connection.
    case session
    /// Changes tables that only the connection has.
    case temporary
    /// A procedure, which may hold any statement.
    case call
    /// Commits the open transaction, before or together with its effect.
    case definition
    /// Calls functions only.
    case expression
    case other

    /// - Source: https://mariadb.com/kb/en/sql-statements/,
    ///   https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/
    public init(_ sql: UnsafeRawBufferPointer) {
        var words = LeadingWords(sql, .mysql)
        self.init(&words, sql)
    }

    /// The same for words that show afterwards whether the text was complete.
    public init(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) {
        self = Self.kind(&words, sql)
        // It is not known whether the server runs the content of such a comment: it may be another statement.
        if words.hasExecutableComment, isHarmless { self = .other }
    }

    private static func kind(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer)
        -> MySQLStatementKind
    {
        switch words.next() {
        case "SELECT", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "HELP": .select
        // MySQL has WITH … UPDATE and WITH … DELETE.
        case "WITH": LeadingWords.mayContain(sql, ["UPDATE", "DELETE"]) ? .write : .select
        case "INSERT", "UPDATE", "DELETE", "REPLACE": .write
        case "BEGIN": Self.beginsTransaction(&words) ? .beginTransaction : .other
        case "START": words.next() == "TRANSACTION" ? .beginTransaction : .other
        case "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE": .transaction
        case "XA": .distributedTransaction
        case "SET", "USE", "LOCK", "UNLOCK", "PREPARE", "EXECUTE", "DEALLOCATE", "HANDLER": .session
        case "CALL": .call
        case "DO": .expression
        case "CREATE", "DROP": Self.definition(&words)
        case "ALTER", "TRUNCATE", "RENAME", "GRANT", "REVOKE", "OPTIMIZE", "REPAIR", "CHECK", "FLUSH",
            "RESET",
            "INSTALL", "UNINSTALL", "CHANGE", "PURGE", "STOP", "CACHE":
            .definition
        default: .other
        }
    }

    /// Anything behind BEGIN [WORK] is a block: BEGIN NOT ATOMIC … END, or with sql_mode=ORACLE BEGIN <<label>> … END.
    private static func beginsTransaction(_ words: inout LeadingWords) -> Bool {
        ["", "WORK"].contains(words.next()) && words.isAtEnd
    }

    private static func definition(_ words: inout LeadingWords) -> MySQLStatementKind {
        var word = words.next()
        // CREATE OR REPLACE TEMPORARY TABLE
        if word == "OR" {
            _ = words.next()
            word = words.next()
        }
        return word == "TEMPORARY" ? .temporary : .definition
    }

    public var controlsTransaction: Bool {
        self == .beginTransaction || self == .transaction || self == .distributedTransaction
    }

    /// Takes effect as a whole or not at all, when the server ends it before its end (in tables of engines with transactions).
    /// Others may commit before they begin, in their middle, or for one table after the other.
    public var isIndivisible: Bool {
        isHarmless || self == .beginTransaction || self == .transaction || self == .expression
    }

    /// Leaves nothing on its connection; functions that it calls may, for the same user only.
    public var isHarmless: Bool { self == .select || self == .write }
}
