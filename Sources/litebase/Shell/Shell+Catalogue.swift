// Tables and their CREATE statements, which each engine has in its own way.

import LiteBaseClient

extension Shell {
    func listTables() throws {
        switch try connection.session().information.engine {
        case "sqlite":
            try run(
                sql: """
                    SELECT name, type FROM sqlite_schema
                    WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name
                    """)
        case "mysql": try run(sql: "SHOW FULL TABLES")
        case "postgresql": try run(sql: PostgreSQLCatalogue.tables)
        case let engine: throw noTables(".tables", engine)
        }
    }

    /// Prints statements that can be run again, with their semicolons.
    /// - Parameter table: a name, or nothing for all.
    /// - Throws: `UsageError` when there is no such table, or when the engine has none.
    func showSchema(_ table: String) throws {
        let statements =
            switch try connection.session().information.engine {
            case "sqlite": try firstOf(ObjectName.spellings(of: table)) { try sqliteSchema($0) }
            case "mysql": try firstOf(ObjectName.spellings(of: table)) { try mysqlSchema($0) }
            case "postgresql":
                try withoutCompiling {
                    try firstOf(ObjectName.postgreSQLNames(of: table)) { name in
                        try firstColumn(
                            PostgreSQLCatalogue.statements,
                            [name.name.isEmpty ? .null : .text(name.name), name.schema.map(Value.text) ?? .null])
                    }
                }
            case let engine: throw noTables(".schema", engine)
            }
        if statements.isEmpty, !table.isEmpty { throw UsageError("there is no table \(table)") }
        for statement in statements {
            // Line ends are wanted here, other control characters are not.
            let lines = statement.split(separator: "\n", omittingEmptySubsequences: false)
            try output.print(lines.map { TerminalEscaping.visible(String($0)) }.joined(separator: "\n") + ";")
        }
    }

    private func noTables(_ command: String, _ engine: String) -> UsageError {
        UsageError("\(command) is for SQL; this is \(engine)\(engine == "redis" ? ", where SCAN lists the keys" : "")")
    }

    /// The result for the first name that has one.
    private func firstOf<Name>(_ names: [Name], _ find: (Name) throws -> [String]) throws -> [String] {
        for name in names {
            let found = try find(name)
            if !found.isEmpty { return found }
        }
        return []
    }

    /// Runs a query on the catalogue of PostgreSQL, for which its JIT compiler would take seconds: it reads more rows
    /// than it returns. The setting is local to a transaction of its own, or to a savepoint, so nothing of it stays.
    private func withoutCompiling(_ body: () throws -> [String]) throws -> [String] {
        let session = try connection.session()
        // A failed one refuses everything, and the query says so.
        if connection.transaction == .failed { return try body() }
        let isWithin = connection.transaction == .active
        _ = try session.execute(isWithin ? "SAVEPOINT litebase_schema" : "BEGIN READ ONLY")
        let result = Result {
            _ = try session.execute("SET LOCAL jit = off")
            return try body()
        }
        do {
            _ = try session.execute(isWithin ? "ROLLBACK TO SAVEPOINT litebase_schema" : "ROLLBACK")
            if isWithin { _ = try session.execute("RELEASE SAVEPOINT litebase_schema") }
        } catch {
            // If the connection is lost, the first error is the one to report.
            _ = try result.get()
            throw error
        }
        return try result.get()
    }

    /// Texts of the first column of a query's rows.
    private func firstColumn(_ sql: String, _ parameters: [Value] = []) throws -> [String] {
        try connection.session().query(sql, .positional(parameters)).rows.compactMap { $0[0].text }
    }

    private func sqliteSchema(_ table: String) throws -> [String] {
        let filter = table.isEmpty ? "name NOT LIKE 'sqlite\\_%' ESCAPE '\\'" : "tbl_name = ?1 COLLATE NOCASE"
        return try firstColumn(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND \(filter) ORDER BY rowid",
            table.isEmpty ? [] : [.text(table)])
    }

    private func mysqlSchema(_ table: String) throws -> [String] {
        let tables = try firstColumn(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name")
        return try tables.filter { table.isEmpty || $0 == table }.compactMap { name in
            // In backticks, which are doubled in a name.
            let quoted = "`" + name.map { $0 == "`" ? "``" : String($0) }.joined() + "`"
            // Name and statement; of a view there is more.
            return try connection.session().query("SHOW CREATE TABLE " + quoted).rows.first.flatMap { $0[1].text }
        }
    }
}
