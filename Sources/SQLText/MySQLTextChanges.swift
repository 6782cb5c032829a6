// What a statement for MySQL or MariaDB may change, by its text alone. Triggers, views, foreign keys and functions are not seen here: who
// asks has to know what is in the database.

/// A relation as a text names it.
public struct MySQLName: Hashable, Sendable {
    /// The database that it is in; `nil` for the present one.
    public var namespace: String?
    public var name: String

    public init(namespace: String? = nil, name: String) {
        self.namespace = namespace
        self.name = name
    }
}

/// What the text of one statement says of its changes. What is not understood is `anything`.
///
/// - Source: https://mariadb.com/kb/en/sql-statements/, https://dev.mysql.com/doc/refman/8.4/en/sql-statements.html,
///   https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/
public struct MySQLTextChanges: Equatable, Sendable {
    public enum Scope: Equatable, Sendable {
        /// No rows, but by functions that it calls.
        case nothing
        /// Rows of one relation; with `cascades`, rows may be deleted, or get other keys.
        case rows(MySQLName, cascades: Bool)
        /// Rows of relations whose names stand in the text.
        case namedRelations
        /// These relations as a whole, without their triggers.
        case relations([MySQLName])
        case anything
    }

    /// What becomes of an open transaction.
    public enum Ending: Equatable, Sendable {
        case none
        case commits
        case rollsBack
        /// It may be committed. If one is open behind it, that is still the same: what the server says of its state tells.
        case mayCommit
        /// It may be committed, and another one begun, which cannot be told from what the server says of its state.
        case mayCommitAndBegin
    }

    /// What it may do to the meaning of later texts on its connection, the less first.
    public enum Aftermath: Comparable, Sendable {
        case none
        /// Their character set may be another one, and a temporary table may lead to rows of others (ENGINE=MERGE).
        case names
        /// Also the present database, without the server's saying so.
        case everything
        /// Also whose rights hold.
        case account
    }

    public var scope = Scope.nothing
    public var ending = Ending.none
    /// Definitions are changed.
    public var changesSchema = false
    /// What the text says is done now: functions in it are called.
    public var mayCall = true
    /// The database that is the present one from now on.
    public var usedNamespace: String?
    public var aftermath = Aftermath.none
    /// The temporary table that there is on its connection from now on.
    public var madeTemporary: MySQLName?
    /// What may be temporary no longer.
    public var dropped: [MySQLName] = []

    private static let anything = MySQLTextChanges(scope: .anything, ending: .mayCommitAndBegin, aftermath: .everything)
    /// A procedure cannot change the present database.
    private static let procedure = MySQLTextChanges(scope: .anything, ending: .mayCommitAndBegin, aftermath: .names)

    private init(
        scope: Scope = .nothing, ending: Ending = .none, changesSchema: Bool = false, mayCall: Bool = true,
        aftermath: Aftermath = .none
    ) {
        self.scope = scope
        self.ending = ending
        self.changesSchema = changesSchema
        self.mayCall = mayCall
        self.aftermath = aftermath
    }

    /// - Cost: that of the first words, and a search in a text of at most `TextBound.byteCountMax` bytes.
    public init(_ sql: UnsafeRawBufferPointer) {
        var words = LeadingWords(sql, .mysql)
        let kind = MySQLStatementKind(sql)
        self = Self.find(kind, &words, sql)
        // Whether the server runs the content of a comment is not known, nor what stands behind the part that is looked at.
        // Of what only reads, such a comment matters before its first words, and where it calls something, which is looked for everywhere.
        if words.hasExecutableComment || words.isCut || (kind != .select && TextRuns.mayHaveExecutableComment(sql)) {
            self = .anything
        }
    }

    private static func find(
        _ kind: MySQLStatementKind, _ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer
    ) -> MySQLTextChanges {
        switch kind {
        case .select: return reading(&words, sql)
        case .write: return writing(&words, sql)
        case .beginTransaction: return MySQLTextChanges(ending: .commits, mayCall: false)
        case .transaction: return transaction(&words)
        case .distributedTransaction: return distributedTransaction(&words)
        case .session: return session(&words, sql)
        case .temporary: return temporary(&words, sql)
        case .expression: return MySQLTextChanges()
        case .call: return .procedure
        case .definition: return definition(&words, sql)
        case .other: return other(&words)
        }
    }

    // MARK: Rows

    private static func reading(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        switch words.next() {
        // MySQL's EXPLAIN ANALYZE runs its statement.
        case "EXPLAIN", "DESCRIBE", "DESC": LeadingWords.mayContain(sql, ["ANALYZE"]) ? .anything : MySQLTextChanges()
        case "WITH" where LeadingWords.mayContain(sql, ["INSERT", "REPLACE"]): MySQLTextChanges(scope: .namedRelations)
        default: MySQLTextChanges()
        }
    }

    private static func writing(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        let target: MySQLName?
        var cascades = true
        switch words.next() {
        case "INSERT":
            cascades = LeadingWords.mayContain(sql, ["DUPLICATE"])
            target = insertTarget(&words)
        case "REPLACE": target = insertTarget(&words)
        case "UPDATE": target = updateTarget(&words)
        case "DELETE": target = deleteTarget(&words)
        default: target = nil
        }
        return MySQLTextChanges(scope: target.map { .rows($0, cascades: cascades) } ?? .namedRelations)
    }

    private static func insertTarget(_ words: inout LeadingWords) -> MySQLName? {
        skip(["LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "IGNORE", "INTO"], &words)
        return name(&words)
    }

    /// That of an UPDATE of one table.
    private static func updateTarget(_ words: inout LeadingWords) -> MySQLName? {
        skip(["LOW_PRIORITY", "IGNORE"], &words)
        guard let target = name(&words) else { return nil }
        if nextIs("SET", words) { return target }
        skip(["AS"], &words)
        return words.takeName() != nil && nextIs("SET", words) ? target : nil
    }

    /// That of a DELETE from one table.
    private static func deleteTarget(_ words: inout LeadingWords) -> MySQLName? {
        skip(["LOW_PRIORITY", "QUICK", "IGNORE"], &words)
        guard words.next() == "FROM", let target = name(&words) else { return nil }
        if words.isAtEnd { return target }
        return ["WHERE", "ORDER", "LIMIT", "RETURNING"].contains(peek(words)) ? target : nil
    }

    // MARK: Transactions and sessions

    private static func transaction(_ words: inout LeadingWords) -> MySQLTextChanges {
        switch words.next() {
        case "COMMIT": return MySQLTextChanges(ending: .commits, mayCall: false)
        case "ROLLBACK":
            skip(["WORK"], &words)
            return MySQLTextChanges(ending: nextIs("TO", words) ? .none : .rollsBack, mayCall: false)
        default: return MySQLTextChanges(mayCall: false)
        }
    }

    /// What is prepared is not seen before it is committed, perhaps by another connection, of which nothing is known then.
    private static func distributedTransaction(_ words: inout LeadingWords) -> MySQLTextChanges {
        _ = words.next()
        switch words.next() {
        case "START", "BEGIN", "END", "RECOVER": return MySQLTextChanges(mayCall: false)
        case "PREPARE", "ROLLBACK": return MySQLTextChanges(ending: .rollsBack, mayCall: false)
        default: return .anything
        }
    }

    private static func session(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        switch words.next() {
        case "SET":
            // SET STATEMENT … FOR has another statement in it.
            if nextIs("STATEMENT", words) { return .anything }
            return settings(words, sql)
        case "USE":
            var changes = MySQLTextChanges(mayCall: false)
            changes.usedNamespace = words.takeName()
            return changes
        case "LOCK":
            // With autocommit=0 it begins another one.
            let commits = ["TABLE", "TABLES"].contains(words.next())
            return MySQLTextChanges(ending: commits ? .commits : .mayCommitAndBegin, mayCall: false)
        case "UNLOCK": return MySQLTextChanges(ending: .mayCommit, mayCall: false)
        case "PREPARE", "DEALLOCATE", "HANDLER": return MySQLTextChanges(mayCall: false)
        default: return .anything
        }
    }

    /// Passwords and default roles are set with a commit, as autocommit may be; only what is read behind that begins another one.
    private static func settings(_ words: LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        if LeadingWords.mayContain(sql, ["AUTHORIZATION"]) {
            return MySQLTextChanges(scope: .anything, ending: .mayCommitAndBegin, aftermath: .account)
        }
        let mayBegin = LeadingWords.mayContain(sql, ["AUTOCOMMIT"]) && LeadingWords.mayContain(sql, ["("])
        return MySQLTextChanges(
            ending: mayBegin ? .mayCommitAndBegin : .mayCommit,
            aftermath: keepsMeaning(words, sql) ? .none : .everything)
    }

    /// Whether texts behind that SET are still UTF-8, and the server says which database is used.
    private static func keepsMeaning(_ words: LeadingWords, _ sql: UnsafeRawBufferPointer) -> Bool {
        if LeadingWords.mayContain(sql, ["TRACK"]) { return false }
        return !LeadingWords.mayContain(sql, ["NAMES", "CHARACTER", "CHARSET"]) || namesUnicode(words)
    }

    /// SET NAMES utf8mb4, with or without a collation, and nothing else.
    private static func namesUnicode(_ words: LeadingWords) -> Bool {
        var words = words
        guard words.next() == "NAMES", let name = value(&words), TextRuns.folded(name).hasPrefix("utf8") else {
            return false
        }
        if nextIs("COLLATE", words) {
            _ = words.next()
            if value(&words) == nil { return false }
        }
        return words.isAtEnd
    }

    /// A word, or one in quotes.
    private static func value(_ words: inout LeadingWords) -> String? {
        let isQuoted = words.take("'")
        guard let value = words.takeName(), !isQuoted || words.take("'") else { return nil }
        return value
    }

    private static func other(_ words: inout LeadingWords) -> MySQLTextChanges {
        guard words.next() == "LOAD", ["DATA", "XML"].contains(words.next()) else { return .anything }
        return MySQLTextChanges(scope: .namedRelations)
    }

    // MARK: Definitions

    private static func definition(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        switch words.next() {
        case "CREATE": return creation(&words, sql)
        case "DROP": return removal(&words)
        case "ALTER": return alteration(&words, sql)
        case "TRUNCATE":
            skip(["TABLE"], &words)
            return definition(of: names(&words, isList: false), changesSchema: false)
        case "GRANT", "REVOKE", "FLUSH", "RESET", "INSTALL", "UNINSTALL", "CHANGE", "PURGE", "STOP", "CACHE", "CHECK",
            "OPTIMIZE":
            return MySQLTextChanges(ending: .mayCommit, mayCall: false)
        case "RENAME", "REPAIR": return definition(of: nil)
        default: return .anything
        }
    }

    private static func creation(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        let replaces = nextIs("OR", words)
        skip(["OR", "REPLACE"], &words)
        let kind = words.next()
        switch kind {
        case "TABLE", "SEQUENCE", "VIEW":
            skip(["IF", "NOT", "EXISTS"], &words)
            var changes = definition(of: names(&words, isList: false))
            // CREATE TABLE … SELECT, and what may stand in its place.
            changes.mayCall =
                kind == "TABLE"
                && (["AS", "TABLE"].contains(peek(words)) || LeadingWords.mayContain(sql, ["SELECT", "VALUES"]))
            // MySQL's CREATE TABLE … START TRANSACTION leaves one open.
            if LeadingWords.mayContain(sql, ["TRANSACTION"]) { changes.ending = .mayCommitAndBegin }
            return changes
        // One that is replaced takes its tables with it.
        case "DATABASE", "SCHEMA": return definition(of: replaces ? nil : [])
        default: return definition(of: withoutRows.contains(kind) || beforeWithoutRows.contains(kind) ? [] : nil)
        }
    }

    private static func removal(_ words: inout LeadingWords) -> MySQLTextChanges {
        let kind = words.next()
        switch kind {
        case "TABLE", "TABLES", "SEQUENCE", "VIEW":
            skip(["IF", "EXISTS"], &words)
            let names = names(&words, isList: true)
            var changes = definition(of: names)
            changes.dropped = names ?? []
            return changes
        case "PREPARE": return MySQLTextChanges(ending: .mayCommit, mayCall: false)
        default: return definition(of: withoutRows.contains(kind) ? [] : nil)
        }
    }

    private static func alteration(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        skip(["ONLINE", "IGNORE"], &words)
        let kind = words.next()
        switch kind {
        case "TABLE", "SEQUENCE", "VIEW":
            skip(["IF", "EXISTS"], &words)
            // Rows get to another table, or under another name.
            let movesRows = LeadingWords.mayContain(sql, ["RENAME", "EXCHANGE", "CONVERT", "UNION"])
            var changes = definition(of: movesRows ? nil : names(&words, isList: false))
            // Of what it calls for rows that are there, such as for a new column, only sequences write.
            changes.mayCall = LeadingWords.mayContain(sql, ["NEXT", "SETVAL"])
            if LeadingWords.mayContain(sql, ["UNION"]) { changes.aftermath = .names }
            return changes
        case "DATABASE", "SCHEMA": return definition(of: LeadingWords.mayContain(sql, ["UPGRADE"]) ? nil : [])
        default: return definition(of: withoutRows.contains(kind) || beforeWithoutRows.contains(kind) ? [] : nil)
        }
    }

    /// What is defined and has no rows of its own.
    private static let withoutRows: Set<String> = [
        "INDEX", "TRIGGER", "PROCEDURE", "FUNCTION", "PACKAGE", "EVENT", "USER", "ROLE", "SERVER",
    ]
    /// Words that stand before one of these, or before VIEW.
    private static let beforeWithoutRows: Set<String> = [
        "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "AGGREGATE", "DEFINER", "ALGORITHM", "SQL",
    ]

    /// `names`: `nil` where they are not known.
    private static func definition(of names: [MySQLName]?, changesSchema: Bool = true) -> MySQLTextChanges {
        MySQLTextChanges(
            scope: names.map { .relations($0) } ?? .anything, ending: .mayCommit, changesSchema: changesSchema,
            mayCall: false)
    }

    /// CREATE and DROP of what only the connection has.
    private static func temporary(_ words: inout LeadingWords, _ sql: UnsafeRawBufferPointer) -> MySQLTextChanges {
        let isCreation = words.next() == "CREATE"
        skip(["OR", "REPLACE", "TEMPORARY"], &words)
        let kind = words.next()
        skip(["IF", "NOT", "EXISTS"], &words)
        var changes = MySQLTextChanges(aftermath: LeadingWords.mayContain(sql, ["UNION", "LIKE"]) ? .names : .none)
        guard ["TABLE", "TABLES", "SEQUENCE"].contains(kind), let names = names(&words, isList: !isCreation) else {
            return .anything
        }
        if isCreation { changes.madeTemporary = names.first } else { changes.dropped = names }
        return changes
    }

    // MARK: Words and names

    /// Skips words as long as they are some of these, which are no names that are not quoted.
    private static func skip(_ optional: Set<String>, _ words: inout LeadingWords) {
        while optional.contains(peek(words)) { _ = words.next() }
    }

    private static func peek(_ words: LeadingWords) -> String {
        var ahead = words
        return ahead.next()
    }

    private static func nextIs(_ word: String, _ words: LeadingWords) -> Bool { peek(words) == word }

    private static func name(_ words: inout LeadingWords) -> MySQLName? {
        guard let first = words.takeName() else { return nil }
        guard words.take(".") else { return MySQLName(name: first) }
        return words.takeName().map { MySQLName(namespace: first, name: $0) }
    }

    private static func names(_ words: inout LeadingWords, isList: Bool) -> [MySQLName]? {
        var names: [MySQLName] = []
        repeat {
            guard let name = name(&words) else { return nil }
            names.append(name)
        } while isList && words.take(",")
        return names
    }
}
