// Tables and their CREATE statements, which each engine has in its own way.

import LiteBaseClient
internal import SQLText

extension Shell {
    /// Shows names that fit a pattern, in which `*` or `%` stands for any text; empty for all.
    func list(_ kind: ObjectList, _ command: String, _ pattern: String) throws {
        let engine = try connection.session().information.engine
        guard let sql = kind.sql(engine) else { throw noTables(command, engine) }
        let text = pattern.map { $0 == "*" ? "%" : $0 }
        let parameter = pattern.isEmpty ? Value.null : .text(String(text))
        try run(sql: sql, .positional([Value](repeating: parameter, count: engine == "mysql" ? 2 : 1)))
    }

    /// Shows the columns of a table, and what belongs to it; with `*` or `%` in the name, of all that fit.
    /// - Throws: `UsageError` when there is no such table.
    func describe(_ table: String) throws {
        guard let pattern = RelationPattern(table) else {
            if try describeOne(table) { return }
            throw UsageError("there is no table \(table)\(try advice(insteadOf: table))")
        }
        let found = try relations().filter(pattern.matches)
        if found.isEmpty { throw UsageError("there is no table that fits \(table); .tables lists all") }
        guard found.count <= Self.describedCountMax else {
            throw UsageError(
                "\(found.count) tables fit \(table), and .describe shows \(Self.describedCountMax) at most; .tables lists them"
            )
        }
        for (index, relation) in found.enumerated() {
            if index > 0 { try output.print("") }
            try output.print(TerminalEscaping.visible("\(relation.kind) \(relation.shownName):"))
            // Somebody may have dropped it meanwhile.
            _ = try describeOne(relation.spelling)
        }
    }

    private static let describedCountMax = 100

    /// All tables and views, as the daemon's catalog has them; for a session that was opened by a URL, as the engine tells them.
    private func relations() throws -> [CatalogRelation] {
        let session = try connection.session()
        let engine = session.information.engine
        do throws(ClientError) {
            let all = try session.catalog("relations").rows.map { CatalogRelation($0, engine) }
            guard engine == "mysql" else { return all }
            // MySQL's other databases are read by their own names.
            let defaults = try session.catalog("namespaces").rows.filter {
                $0[1] == .bool(true) || $0[1] == .integer(1)
            }
            return all.filter { relation in defaults.contains { $0[0].text == relation.namespace } }
        } catch {
            guard error.serverError?.code == .badRequest, let sql = ObjectList.tables.sql(engine) else { throw error }
            let parameters = [Value](repeating: .null, count: engine == "mysql" ? 2 : 1)
            return try session.query(sql, .positional(parameters)).rows.map { row in
                CatalogRelation(name: row[0].text ?? "", kind: row[1].text ?? "table", engine)
            }
        }
    }

    /// What to do where there is no such table.
    private func advice(insteadOf table: String) throws -> String {
        let names = try relations().map(\.name)
        let given = ObjectName.spellings(of: table)[0]
        let sameLetters = names.first { $0.lowercased() == given.lowercased() }
        guard let near = sameLetters ?? NearName.of(given, among: names) else { return "; .tables lists all" }
        return "; \(TerminalEscaping.visible(near)) may be meant, .tables lists all"
    }

    /// - Returns: whether there is such a table.
    private func describeOne(_ table: String) throws -> Bool {
        let engine = try connection.session().information.engine
        let found =
            switch engine {
            case "sqlite":
                try firstDescription(TableDescription.sqlite, ObjectName.spellings(of: table), detailCount: 1)
            case "mysql":
                try firstDescription(
                    TableDescription.mysql, ObjectName.spellings(of: table),
                    detailCount: TableDescription.mysqlDetailCount)
            case "postgresql": try postgreSQLDescription(table)
            default: throw noTables(".describe", engine)
            }
        guard let found else { return false }
        try show(TableDescription.columnNames, found.columns, nullText: "")
        guard settings.format == .table || settings.format == .record else { return true }
        var heading: String?
        for detail in found.details {
            if detail[0] != heading { try output.print("\(detail[0]):") }
            heading = detail[0]
            for line in detail[1].split(separator: "\n") {
                try output.print("    " + TerminalEscaping.visible(String(line)))
            }
        }
        return true
    }

    private typealias Description = (columns: [[Value]], details: [[String]])

    private func firstDescription(
        _ queries: TableDescription, _ names: [String], detailCount: Int
    ) throws -> Description? {
        for name in names {
            if let found = try description(queries, .text(name), detailCount: detailCount) { return found }
        }
        return nil
    }

    private func postgreSQLDescription(_ table: String) throws -> Description? {
        for name in ObjectName.postgreSQLNames(of: table) {
            let parameters = Parameters.positional([.text(name.name), name.schema.map(Value.text) ?? .null])
            let rows = try connection.session().query(TableDescription.postgreSQLIdentity, parameters).rows
            guard let identity = rows.first?[0] else { continue }
            return try description(TableDescription.postgreSQL, identity, detailCount: 1)
        }
        return nil
    }

    private func description(
        _ queries: TableDescription, _ parameter: Value, detailCount: Int
    ) throws -> Description? {
        let session = try connection.session()
        let columns = try session.query(queries.columns, .positional([parameter])).rows
        guard !columns.isEmpty else { return nil }
        let parameters = [Value](repeating: parameter, count: detailCount)
        let details = try session.query(queries.details, .positional(parameters)).rows
        return (columns.map(Array.init), details.map { row in row.map { $0.text ?? "" } })
    }

    /// Prints statements that can be run again, with their semicolons.
    /// - Parameter table: a name, or nothing for all.
    /// - Throws: `UsageError` when there is no such table, or when the engine has none.
    func showSchema(_ table: String) throws {
        let engine = try connection.session().information.engine
        let statements =
            switch engine {
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
            default: throw noTables(".schema", engine)
            }
        if statements.isEmpty, !table.isEmpty { throw UsageError("there is no table \(table)") }
        for statement in statements {
            // Line ends are wanted here, other control characters are not.
            let lines = statement.split(separator: "\n", omittingEmptySubsequences: false)
            let closing = StatementSplitter.closing(statement.utf8, StatementSplitter.Language(engine: engine))
            try output.print(
                lines.map { TerminalEscaping.visible(String($0)) }.joined(separator: "\n") + "\(closing);")
        }
    }

    func noTables(_ command: String, _ engine: String) -> UsageError {
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
