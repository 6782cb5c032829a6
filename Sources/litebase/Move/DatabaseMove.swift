// A SQLite database into PostgreSQL: one transaction on each side, of which the one in PostgreSQL has all or nothing.

internal import LinuxSystem
import LiteBaseClient
internal import SchemaTranslation

/// The two sessions, and what is done in them.
///
/// Its session in SQLite may hold the lock for writing. Whoever else wants it makes the daemon end a session that lies idle
/// (idle_hold_ms_max), so that it is given something to do while PostgreSQL works.
struct DatabaseMove {
    let source: BlockingSession
    let target: BlockingSession
    private(set) var plan: MovePlan

    private static let idleMax = Duration.seconds(1)
    /// How many are compared between two lines of progress: some 100 ms.
    private static let rowsBetweenLines: Int64 = 50_000

    /// - Parameters:
    ///   - source: in a transaction.
    ///   - target: in a transaction, which ends without effect unless `commit` is called.
    ///   - schema: what is in the source.
    ///   - keepsCase: whether names keep their capital letters.
    init(_ source: BlockingSession, _ target: BlockingSession, _ schema: SourceSchema, keepsCase: Bool) {
        self.source = source
        self.target = target
        plan = MovePlan(schema, keepsCase: keepsCase)
    }

    /// Runs a statement in PostgreSQL, however long it takes.
    func execute(_ sql: String) throws(ClientError) {
        let source = source
        try target.execute(sql, each: Self.idleMax) { () throws(ClientError) in try source.execute("SELECT 1") }
    }

    // MARK: The trial

    /// Makes everything without rows and undoes it: what PostgreSQL does not take becomes a finding.
    /// - Throws: `InputError` for a table that is there; `ClientError`.
    mutating func tryOut() throws {
        try execute("SAVEPOINT litebase_trial")
        var areAllMade = true
        for index in plan.tables.indices {
            try Self.heedInterrupt()
            if try !tryOut(table: index) { areAllMade = false }
        }
        var steps: [MoveStep] = []
        // Without a table, what belongs to it would be refused as well: the cause is listed once.
        for step in plan.steps where areAllMade {
            try Self.heedInterrupt()
            if let error = try attempt(step.sql) {
                guard !step.isRequired else { throw error }
                plan.findings.append(MovePlan.refused(step.kind, step.object, Self.message(error)))
            } else {
                steps.append(step)
            }
        }
        plan.steps = steps
        try execute("ROLLBACK TO litebase_trial")
    }

    /// - Returns: whether it can be made.
    private mutating func tryOut(table index: Int) throws -> Bool {
        let name = plan.tables[index].name
        guard var error = try attempt(plan.tables[index].definition) else { return try isFound(name) }
        if plan.tables[index].hasExpressions, error.serverError?.sqlState != "42P07" {
            let expressions = plan.tables[index].columns.filter { $0.expression != nil }
            plan.tables[index].dropExpressions()
            let second = try attempt(plan.tables[index].definition)
            plan.findings += expressions.map { MovePlan.generated("\(name).\($0.name)", Self.message(error)) }
            guard let second else { return try isFound(name) }
            error = second
        }
        // duplicate_table
        guard error.serverError?.sqlState == "42P07" else {
            let isKnown = plan.findings.contains { $0.weight == .loss && $0.object == name }
            if !isKnown {
                plan.findings.append(MovePlan.impossible(name, "PostgreSQL refuses it: \(Self.message(error))"))
            }
            return false
        }
        throw InputError(
            message:
                "nothing was changed: \(TerminalEscaping.visible(Self.message(error))) in the database to move into; "
                + "give it an empty one, or drop the table if it is of an earlier move",
            status: ExitStatus.dataError)
    }

    /// Whether the name of a table that was made means that table: PostgreSQL looks among its own ones first.
    private mutating func isFound(_ name: String) throws -> Bool {
        let rows = try target.query(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1) "
                + "AND relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(pg_catalog.current_schema())))",
            [.text(plan.names.quoted(name))]
        ).rows
        if rows.first?[0].bool == true { return true }
        plan.findings.append(MovePlan.impossible(name, "PostgreSQL has one of its own with this name, and reads that"))
        return false
    }

    /// - Returns: why PostgreSQL has refused it; the transaction goes on.
    private func attempt(_ sql: String) throws(ClientError) -> ClientError? {
        try execute("SAVEPOINT litebase_step")
        do throws(ClientError) {
            try execute(sql)
            try execute("RELEASE litebase_step")
            return nil
        } catch {
            guard error.isRefusal else { throw error }
            // A transaction that has ended is no more to be rolled back, and the first error says why.
            guard (try? execute("ROLLBACK TO litebase_step")) != nil else { throw error }
            return error
        }
    }

    /// Ctrl-C between two statements, or so late in one that it was not cancelled.
    static func heedInterrupt() throws(InterruptedError) {
        if Interrupts.isRaised { throw InterruptedError() }
    }

    static func message(_ error: ClientError) -> String {
        let text = error.serverError?.message ?? error.description
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    // MARK: The copy

    /// Makes the tables and fills them.
    /// - Returns: rows.
    func copy() throws -> Int64 {
        var rowCount: Int64 = 0
        for table in plan.tables {
            try Self.heedInterrupt()
            try execute(table.definition)
        }
        for (index, table) in plan.tables.enumerated() where table.rowCount > 0 {
            try Self.heedInterrupt()
            let what = "table \(index + 1) of \(plan.tables.count): \(table.name)"
            LiveLine.show("\(what), \(counted(table.rowCount, "row"))")
            let start = MonotonicInstant.now
            let columns = table.columns.filter { $0.expression == nil }
            var options = ImportOptions()
            options.columns = columns.map { plan.names.plain($0.name) }
            options.isAtomic = true
            do throws(ClientError) {
                rowCount += try source.copyRows(
                    select(table, columns), to: target, into: plan.names.plain(table.name), options: options
                ) {
                    LiveLine.show("\(what) " + TransferProgressText.rows($0.rowCount, of: table.rowCount, since: start))
                }.rowCount
            } catch {
                guard error.isRefusal else { throw error }
                throw InputError(
                    message: "nothing was changed: the rows of \(TerminalEscaping.visible(table.name)) were refused: "
                        + TerminalEscaping.visible(Self.message(error)), status: ExitStatus.dataError)
            }
        }
        LiveLine.clear()
        return rowCount
    }

    /// The rows as they are to be in PostgreSQL, read from SQLite.
    private func select(_ table: TargetTable, _ columns: [TargetColumn]) -> String {
        let list = columns.map { column in
            let name = SchemaReader.quoted(column.name)
            let value = column.isConverted ? "CAST(\(name) AS TEXT)" : name
            return "\(value) AS \(plan.names.quoted(column.name))"
        }
        return "SELECT \(list.joined(separator: ", ")) FROM \(SchemaReader.quoted(table.name))"
    }

    /// Sequences, keys, indexes, constraints and views.
    /// - Parameter accepted: what is left out where the rows do not allow it, each as `MoveText.argument` names it. The plan had
    ///   them, so that nobody can have accepted them by their kind.
    /// - Returns: what was left out.
    /// - Throws: `InputError` for what the rows do not allow and nobody has accepted; `ClientError`.
    func finish(accepting accepted: Set<String>) throws -> [Finding] {
        var leftOut: [Finding] = []
        for (index, step) in plan.steps.enumerated() {
            try Self.heedInterrupt()
            LiveLine.show("step \(index + 1) of \(plan.steps.count): \(step.kind.rawValue) \(step.object)")
            guard let error = try attempt(step.sql) else { continue }
            LiveLine.clear()
            guard !step.isRequired else { throw error }
            let finding = MovePlan.refused(step.kind, step.object, Self.message(error))
            guard accepted.contains(MoveText.argument(finding)) else {
                throw InputError(
                    message: "nothing was changed: the rows do not allow what the plan had\n\(MoveText.line(finding))\n"
                        + "to go on without it: --accept \(MoveText.shellArgument(finding))",
                    status: ExitStatus.dataError)
            }
            leftOut.append(finding)
        }
        LiveLine.clear()
        return leftOut
    }

    // MARK: The comparison

    /// Reads all rows of both sides.
    /// - Returns: a line for each table that is not the same.
    func differences() throws(ClientError) -> [String] {
        var lines: [String] = []
        for (index, table) in plan.tables.enumerated() {
            let what = "compared: table \(index + 1) of \(plan.tables.count), \(table.name)"
            LiveLine.show(what)
            let (here, there) = try contents(table, what)
            if here.rowCount != there.rowCount {
                lines.append("\(table.name): \(here.rowCount) rows in SQLite, \(there.rowCount) in PostgreSQL")
            } else if here != there {
                lines.append("\(table.name): \(counted(here.rowCount, "row")), of which some have other values")
            }
        }
        LiveLine.clear()
        return lines
    }

    /// Row by row in turn, so that neither side lies idle.
    private func contents(
        _ table: TargetTable, _ what: String
    ) throws(ClientError) -> (here: TableContent, there: TableContent) {
        var (here, there) = (TableContent(), TableContent())
        let start = MonotonicInstant.now
        let list = table.columns.map { plan.names.quoted($0.name) }.joined(separator: ", ")
        let rows = try source.stream(select(table, table.columns))
        let copies = try target.stream("SELECT \(list) FROM \(plan.names.quoted(table.name))")
        var (row, copy) = (try rows.next(), try copies.next())
        while row != nil || copy != nil {
            if let row { here.add(row, table.columns) }
            if let copy { there.add(copy, table.columns) }
            if row != nil { row = try rows.next() }
            if copy != nil { copy = try copies.next() }
            if here.rowCount % Self.rowsBetweenLines == 0 {
                LiveLine.show("\(what) " + TransferProgressText.rows(here.rowCount, of: table.rowCount, since: start))
            }
        }
        return (here, there)
    }

    // MARK: The end

    /// Triggers that refuse every write, for who comes after this transaction: through the daemon, or by SQLite itself.
    /// Virtual tables can have none, and the daemon refuses them for those that SQLite takes for a part of one, together with all
    /// writes (SQLITE_DBCONFIG_DEFENSIVE). The daemon knows the name of the first one (SQLiteEngine/MoveMark.swift), so that a database
    /// without other tables gets one for it.
    func close(_ schema: SourceSchema) throws(ClientError) {
        var names = schema.tables.filter { $0.module == nil && !$0.isShadow }.map(\.name)
        if names.isEmpty {
            try source.execute("CREATE TABLE litebase_moved(note TEXT)")
            names = ["litebase_moved"]
        }
        for (index, name) in names.enumerated() {
            for event in ["INSERT", "UPDATE", "DELETE"] {
                try source.execute(
                    "CREATE TRIGGER \"litebase_moved_\(index)_\(event.lowercased())\" "
                        + "BEFORE \(event) ON \(SchemaReader.quoted(name)) BEGIN "
                        + "SELECT RAISE(ABORT, 'The database was moved to PostgreSQL, and this file takes no more writes.'); END"
                )
            }
        }
    }

    func commit() throws(ClientError) { try execute("COMMIT") }
}
