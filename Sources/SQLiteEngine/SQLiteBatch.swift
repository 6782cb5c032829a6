// Batches: several statements, or one statement with many rows of parameters, in one request.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

/// Runs a batch on a connection that holds the write lock.
///
/// - Thread: the worker that holds the lock.
struct SQLiteBatch {
    private let execution: SQLiteExecution
    private let connection: SQLiteConnection

    init(_ execution: SQLiteExecution, _ connection: SQLiteConnection) {
        self.execution = execution
        self.connection = connection
    }

    /// Runs all statements; the run then has `batchSummaries`, or an error that names the statement.
    /// - Parameter isAtomic: all or nothing, by a savepoint (which is a transaction if none is open).
    func run(isAtomic: Bool) {
        let run = execution.run
        run.batchSummaries = []
        run.rewindBatch()
        let uncommitted = connection.uncommitted
        do throws(DriverError) {
            if isAtomic { try connection.execute("SAVEPOINT litebase_batch") }
            try runStatements()
            if isAtomic { try connection.execute("RELEASE litebase_batch") }
        } catch {
            run.error = error
            run.batchSummaries = []
            // It does not exist any more if SQLite has rolled back the whole transaction.
            if isAtomic, connection.transaction == .active {
                try? connection.execute("ROLLBACK TO litebase_batch")
                connection.uncommitted = uncommitted
                try? connection.execute("RELEASE litebase_batch")
            }
        }
        run.summary.transaction = connection.transaction
    }

    private func runStatements() throws(DriverError) {
        let run = execution.run
        while let position = try run.nextBatchStatement() {
            if let reason = run.stopReason { throw located(.stopped(reason), position) }
            let summary = try runStatement(position)
            if let rowIndex = position.rowIndex, rowIndex > 0, let last = run.batchSummaries.indices.last {
                run.batchSummaries[last].rowsAffected += summary.rowsAffected
                run.batchSummaries[last].lastInsertID = summary.lastInsertID ?? run.batchSummaries[last].lastInsertID
            } else {
                // A statement without parameter rows was not run, and keeps its place.
                while run.batchSummaries.count < position.statementIndex {
                    run.batchSummaries.append(StatementSummary())
                }
                run.batchSummaries.append(summary)
            }
        }
    }

    private func runStatement(_ position: BatchPosition) throws(DriverError) -> StatementSummary {
        let run = execution.run
        run.summary = StatementSummary()
        run.error = nil
        do throws(DriverError) {
            try execution.prepare(on: connection)
        } catch {
            throw located(error, position)
        }
        if execution.statement?.controlsTransaction == true, case .batch(isAtomic: true) = run.kind {
            execution.releaseStatement()
            throw located(
                DriverError(
                    .badRequest, "An atomic batch is a transaction itself and cannot hold transaction statements.",
                    hint: "Leave them out, or set atomic to false in a session.", sqlState: "25001"), position)
        }
        execution.advanceWrite()
        // Rows of a batch are not part of its reply.
        run.sink.restart()
        run.rowCount = 0
        if let error = run.error { throw located(error, position) }
        return run.summary
    }

    private func located(_ error: DriverError, _ position: BatchPosition) -> DriverError {
        error.with {
            $0.statementIndex = position.statementIndex
            $0.rowIndex = position.rowIndex
        }
    }
}
