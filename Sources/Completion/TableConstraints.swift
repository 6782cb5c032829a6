// Constraints and keys of a table, between the parentheses of CREATE TABLE.

/// Patterns of what stands there beside columns, see `Syntax`; `defined` is a column of the table that is created.
enum TableConstraints {
    /// Whether a constraint begins at a token, and not a column.
    static func begins(_ statement: StatementTokens, at index: Int) -> Bool {
        switch statement.keyword(index) {
        case .primary, .foreign, .unique, .check, .constraint: true
        case .key, .index, .fulltext, .spatial: statement.dialect == .mysql
        case .exclude, .like: statement.dialect == .postgresql
        default: false
        }
    }

    static func pattern(_ dialect: CompletionDialect) -> Syntax? {
        switch dialect {
        case .sqlite: sqlite
        case .postgresql: postgresql
        case .mysql: mysql
        case .redis: nil
        }
    }

    /// What one dialect has beside what all have: phrases with a bar between them.
    static func others(_ dialect: CompletionDialect) -> String {
        switch dialect {
        case .sqlite, .redis: ""
        case .postgresql: "LIKE|EXCLUDE"
        case .mysql: "KEY|INDEX|UNIQUE KEY|FULLTEXT KEY|SPATIAL KEY"
        }
    }

    private static let action = "<CASCADE | SET NULL | SET DEFAULT | RESTRICT | NO ACTION>"
    private static let columns = "( defined [, defined ...] )"
    private static let reference = "REFERENCES table [( column [, column ...] )]"
    private static let changes = "[ON DELETE \(action)] [ON UPDATE \(action)]"
    private static let deferring = "[DEFERRABLE] [NOT DEFERRABLE] [INITIALLY DEFERRED | INITIALLY IMMEDIATE]"

    // - Source: https://www.sqlite.org/lang_createtable.html#tablecoldef, https://www.sqlite.org/foreignkeys.html
    private static let sqlite = Syntax(
        """
        [CONSTRAINT new] <PRIMARY KEY \(sqliteParts) \(sqliteConflict) | UNIQUE \(sqliteParts) \(sqliteConflict) | CHECK ( old ) \(sqliteConflict) | FOREIGN KEY \(columns) \(reference) \(changes) [MATCH <SIMPLE | PARTIAL | FULL>] [DEFERRABLE [INITIALLY DEFERRED | INITIALLY IMMEDIATE]] [NOT DEFERRABLE [INITIALLY DEFERRED | INITIALLY IMMEDIATE]]>
        """)
    private static let sqliteParts =
        "( defined [COLLATE collation] [ASC | DESC] [AUTOINCREMENT] [, defined [COLLATE collation] [ASC | DESC] ...] )"
    private static let sqliteConflict = "[ON CONFLICT <ROLLBACK | ABORT | FAIL | IGNORE | REPLACE>]"

    // - Source: https://www.postgresql.org/docs/15/sql-createtable.html
    private static let postgresql = Syntax(
        """
        <LIKE relation [<INCLUDING | EXCLUDING> \(likeOption) [<INCLUDING | EXCLUDING> \(likeOption) ...]] | [CONSTRAINT new] <PRIMARY KEY \(columns) \(postgresqlIndex) | UNIQUE \(columns) \(postgresqlIndex) | -UNIQUE NULLS NOT DISTINCT \(columns) \(postgresqlIndex) | CHECK ( old ) [NO INHERIT] | FOREIGN KEY \(columns) \(reference) \(changes) [MATCH <FULL | PARTIAL | SIMPLE>] \(deferringOfPostgreSQL) | EXCLUDE [USING <btree! | hash! | gist! | spgist!>] ( <defined | ( old )> WITH value [value] [, <defined | ( old )> WITH value [value] ...] ) [WHERE ( old )] \(postgresqlIndex)>>
        """)
    private static let deferringOfPostgreSQL =
        "[DEFERRABLE [INITIALLY DEFERRED | INITIALLY IMMEDIATE]] [NOT DEFERRABLE]"
    private static let postgresqlIndex =
        "[INCLUDE \(columns)] [WITH ( old )] [USING INDEX TABLESPACE new] \(deferringOfPostgreSQL)"
    private static let likeOption =
        "<ALL | DEFAULTS | CONSTRAINTS | INDEXES | IDENTITY | GENERATED | STORAGE | COMMENTS | STATISTICS | COMPRESSION>"

    // - Source: https://dev.mysql.com/doc/refman/8.4/en/create-table.html, https://mariadb.com/kb/en/create-table/
    private static let mysql = Syntax(
        """
        <<KEY | INDEX> [new] [USING <BTREE | HASH>] \(mysqlParts) \(mysqlOptions) | <FULLTEXT | SPATIAL> <KEY [new] \(mysqlParts) | INDEX [new] \(mysqlParts) | [new] \(mysqlParts)> \(mysqlOptions) | [CONSTRAINT [new]] <PRIMARY KEY \(mysqlParts) \(mysqlOptions) | -PRIMARY -KEY -USING <BTREE | HASH> \(mysqlParts) \(mysqlOptions) | UNIQUE \(mysqlParts) \(mysqlOptions) | -UNIQUE <KEY [new] [USING <BTREE | HASH>] \(mysqlParts) | INDEX [new] [USING <BTREE | HASH>] \(mysqlParts) | new [USING <BTREE | HASH>] \(mysqlParts)> \(mysqlOptions) | CHECK ( old ) [ENFORCED] [NOT ENFORCED] | FOREIGN KEY \(columns) \(reference) \(changes) [MATCH <FULL | PARTIAL | SIMPLE>] | -FOREIGN -KEY new \(columns) \(reference) \(changes) [MATCH <FULL | PARTIAL | SIMPLE>]>>
        """)
    private static let mysqlPart = "<defined [( value )] | ( old )> [ASC | DESC]"
    private static let mysqlParts = "( \(mysqlPart) [, \(mysqlPart) ...] )"
    private static let mysqlOptions =
        "[USING <BTREE | HASH>] [COMMENT value] [KEY_BLOCK_SIZE [=] value] [VISIBLE] [INVISIBLE] [-IGNORED] [-WITH PARSER new]"
}

extension Completer {
    /// - Returns: whether the cursor is in a constraint of a table.
    mutating func proposeConstraintOfTable() -> Bool {
        guard let pattern = TableConstraints.pattern(statement.dialect), scanner.framesAtCursor.count > 1 else {
            return false
        }
        let first = beginningOfEntry(in: scanner.framesAtCursor[1])
        guard first <= before, TableConstraints.begins(statement, at: first) else { return false }
        return propose(pattern, from: first)
    }

    /// Where the entry of a list begins in which the cursor is: behind the last comma at its depth.
    /// - Cost: linear in the tokens of the list.
    func beginningOfEntry(in list: Frame, from start: Int? = nil) -> Int {
        var first = start ?? list.opener + 1
        var depth = 0
        for index in first..<max(statement.cursorIndex, first) {
            switch statement.tokens[index].kind {
            case .open: depth += 1
            case .close: depth -= 1
            case .comma where depth == 0: first = index + 1
            default: break
            }
        }
        return first
    }
}
