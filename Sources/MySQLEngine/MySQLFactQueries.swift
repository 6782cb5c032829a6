// How the definitions are read that say what a statement changes (MySQLFacts.swift): on a connection that is used for nothing else, by
// calls that block.

internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import SQLText

/// The queries, each once for all databases of a server. What they tell is what the login has a right to see.
private enum MySQLFactQueries {
    private static let system = "('information_schema', 'mysql', 'performance_schema', 'sys')"

    /// The server's own accounts, with which nobody can log in: what is theirs writes nothing of ours.
    private static let serverAccounts = "('mariadb.sys@localhost', 'mysql.sys@localhost')"

    /// As for the catalog, and also of accounts: who the daemon is and what it may do changes what it sees.
    static let fingerprint = """
        SHOW GLOBAL STATUS WHERE Variable_name REGEXP '^Com_(alter|create|drop|rename|grant|revoke)'
        AND Variable_name NOT REGEXP '_(temporary_table|server|event)$'
        """

    /// All that can be set or be set by default, and those that come with them.
    static let roles = "SELECT DISTINCT ROLE_NAME FROM information_schema.APPLICABLE_ROLES"

    /// Roles are not looked at: who has the privilege by one of them is taken for one who has not.
    static let triggerNamespaces = """
        SELECT '*' FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = \(account)
        UNION ALL
        SELECT TABLE_SCHEMA FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND GRANTEE = \(account)
        """
    /// Of MySQL a global privilege can be revoked for some databases (partial_revokes).
    static let readableNamespaces = """
        SELECT '*' FROM information_schema.USER_PRIVILEGES
         WHERE PRIVILEGE_TYPE = 'SELECT' AND GRANTEE = \(account) AND VERSION() LIKE '%MariaDB%'
        UNION ALL
        SELECT TABLE_SCHEMA FROM information_schema.SCHEMA_PRIVILEGES WHERE PRIVILEGE_TYPE = 'SELECT' AND GRANTEE = \(account)
        """
    private static let account = """
        CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')
        """

    static let tables = """
        SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, '') FROM information_schema.TABLES
         WHERE TABLE_SCHEMA NOT IN \(system)
        """

    static let triggers = """
        SELECT DISTINCT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS
         WHERE EVENT_OBJECT_SCHEMA NOT IN \(system)
        """

    /// Those of which it is not known whether they act count.
    static let foreignKeys = """
        SELECT DISTINCT k.TABLE_SCHEMA, k.TABLE_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME
          FROM (SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME
                  FROM information_schema.KEY_COLUMN_USAGE
                 WHERE TABLE_SCHEMA NOT IN \(system) AND REFERENCED_TABLE_NAME IS NOT NULL) k
          LEFT JOIN (SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE
                       FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA NOT IN \(system)) r
            ON r.CONSTRAINT_SCHEMA = k.TABLE_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME
         WHERE COALESCE(r.UPDATE_RULE, '') NOT IN ('RESTRICT', 'NO ACTION')
            OR COALESCE(r.DELETE_RULE, '') NOT IN ('RESTRICT', 'NO ACTION')
        """

    static let views = """
        SELECT TABLE_SCHEMA, TABLE_NAME, COALESCE(VIEW_DEFINITION, '') FROM information_schema.VIEWS
         WHERE TABLE_SCHEMA NOT IN \(system) OR DEFINER NOT IN \(serverAccounts)
        """

    /// Packages of MariaDB have functions in them.
    static let functions = """
        SELECT ROUTINE_NAME FROM information_schema.ROUTINES
         WHERE ROUTINE_TYPE <> 'PROCEDURE' AND (ROUTINE_SCHEMA NOT IN \(system) OR DEFINER NOT IN \(serverAccounts))
        """
}

/// Reads the definitions over one connection.
///
/// - Thread: one that may block.
struct MySQLFactReader {
    let handle: UnsafeMutablePointer<MYSQL>
    let database: String
    /// By when it has to have all.
    let deadline: MonotonicInstant

    init(_ handle: UnsafeMutablePointer<MYSQL>, _ settings: RemoteSettings, database: String = "") {
        self.handle = handle
        self.database = database
        deadline = .now.advanced(byMilliseconds: settings.connectMillisecondsMax)
    }

    /// Of all names and definitions, in bytes: beyond, nothing is known of any.
    private static let byteCountMax = 16 << 20

    func readFingerprint() throws(DriverError) -> String {
        var byteCountLeft = Self.byteCountMax
        return try rows(MySQLFactQueries.fingerprint, &byteCountLeft).map { $0.joined(separator: "=") }
            .joined(separator: "\n")
    }

    /// Reads them by each role of the login: one that a session sets, or that is set by default from now on, is among these. The connection has
    /// the last one behind that.
    func readFacts(_ fingerprint: String) throws(DriverError) -> MySQLFacts {
        var byteCountLeft = Self.byteCountMax
        var facts = try readRows(&byteCountLeft)
        for statement in try roleStatements(&byteCountLeft) where set(statement) {
            facts.formUnion(try readRows(&byteCountLeft))
        }
        return MySQLFacts(facts, fingerprint: fingerprint, database: database)
    }

    private func readRows(_ byteCountLeft: inout Int) throws(DriverError) -> MySQLFacts.Rows {
        typealias Queries = MySQLFactQueries
        var facts = MySQLFacts.Rows()
        facts.triggerNamespaces = try names(Queries.triggerNamespaces, &byteCountLeft)
        facts.tables = try rows(Queries.tables, &byteCountLeft)
        facts.triggers = try rows(Queries.triggers, &byteCountLeft)
        facts.foreignKeys = try rows(Queries.foreignKeys, &byteCountLeft)
        facts.views = try rows(Queries.views, &byteCountLeft)
        facts.functions = try names(Queries.functions, &byteCountLeft)
        return facts
    }

    // MARK: Roles

    /// Beyond, nothing is known.
    private static let roleCountMax = 16
    /// There is no such table: MySQL before 8.0.19.
    private static let isUnknownTable: UInt32 = 1109

    /// What gets each. MySQL can have all of them at once.
    private func roleStatements(_ byteCountLeft: inout Int) throws(DriverError) -> [String] {
        let roles: [String]
        do throws(DriverError) {
            roles = try names(MySQLFactQueries.roles, &byteCountLeft)
        } catch {
            if libmariadb.mysql_errno(handle) == Self.isUnknownTable { return [] }
            throw error
        }
        if roles.count > Self.roleCountMax { throw Self.tooMuch }
        let isMariaDB =
            libmariadb.mysql_get_server_info(handle).map { String(cString: $0) }?.contains(text: "MariaDB") ?? false
        if !isMariaDB { return roles.isEmpty ? [] : ["SET ROLE ALL"] }
        return roles.map(MySQLConnector.statement(forRole:))
    }

    /// - Returns: false for one that another one brings along, and that cannot be set by itself.
    private func set(_ roleStatement: String) -> Bool {
        roleStatement.withCString { libmariadb.mysql_real_query(handle, $0, UInt(roleStatement.utf8.count)) } == 0
    }

    /// Whether the server still works for another connection of this login; of several numbers, for any that is not idle.
    func knows(_ numbers: ClosedRange<UInt>) throws(DriverError) -> Bool {
        var byteCountLeft = Self.byteCountMax
        let sql = """
            SELECT 1 FROM information_schema.PROCESSLIST WHERE ID BETWEEN \(numbers.lowerBound) AND \(numbers.upperBound)
            \(numbers.count > 1 ? "AND COMMAND <> 'Sleep' AND ID <> CONNECTION_ID()" : "") LIMIT 1
            """
        return try !rows(sql, &byteCountLeft).isEmpty
    }

    /// Whether the login may read all relations of its database.
    func mayReadAll() throws(DriverError) -> Bool {
        var byteCountLeft = Self.byteCountMax
        return try names(MySQLFactQueries.readableNamespaces, &byteCountLeft).contains {
            $0 == "*" || MySQLFacts.plain($0) == TextRuns.folded(database)
        }
    }

    private func names(_ sql: String, _ byteCountLeft: inout Int) throws(DriverError) -> [String] {
        try rows(sql, &byteCountLeft).compactMap(\.first)
    }

    private func rows(_ sql: String, _ byteCountLeft: inout Int) throws(DriverError) -> [[String]] {
        guard sql.withCString({ libmariadb.mysql_real_query(handle, $0, UInt(sql.utf8.count)) }) == 0,
            let result = libmariadb.mysql_use_result(handle)
        else { throw MySQLErrors.error(handle) }
        var isWhole = false
        defer {
            // What is left would be read by that, however much it is.
            if !isWhole { cmariadb_shutdown(handle) }
            libmariadb.mysql_free_result(result)
        }
        let columnCount = Int(libmariadb.mysql_num_fields(result))
        var rows: [[String]] = []
        while let row = libmariadb.mysql_fetch_row(result), let lengths = libmariadb.mysql_fetch_lengths(result) {
            rows.append(
                (0..<columnCount).map { column in
                    let byteCount = row[column] == nil ? 0 : Int(lengths[column])
                    let bytes = UnsafeRawBufferPointer(start: row[column], count: byteCount)
                    byteCountLeft -= bytes.count + MemoryLayout<String>.stride
                    return String(decoding: bytes, as: UTF8.self)
                })
            if byteCountLeft < 0 { throw Self.tooMuch }
            if MonotonicInstant.now > deadline { throw Self.tooSlow }
        }
        isWhole = true
        if libmariadb.mysql_errno(handle) != 0 { throw MySQLErrors.error(handle) }
        return rows
    }

    private static let tooSlow = DriverError(
        .connectFailed, "The server did not tell its definitions in time (connect_ms_max).", sqlState: "08006")
    private static let tooMuch = DriverError(
        .limitExceeded, "The definitions of the server are too many to tell what statements change.", sqlState: "54000")
}
