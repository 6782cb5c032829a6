// How a run on a SQLite connection ends: with its summary, with an error, or with a new start elsewhere.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

extension SQLiteExecution {
    /// Ends a step that returned no row.
    func finish(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ result: Int32
    ) -> AdvanceOutcome {
        guard result == SQLITE_DONE else {
            if connection.budget.isSpent, run.stopReason == nil {
                return connection.mayBlock ? fail(Self.noWorker) : .interruptedByBudget
            }
            return failure(connection, statement, result)
        }
        if !hasBegun { begin(run.sink, statement) }
        if !statement.isReadOnly { summarize(connection, statement) }
        if statement.mayReadRow, let snapshot = connection.snapshot, snapshot.isHeld {
            statement.steppedVersion = snapshot.schemaVersion
        }
        // An autocommit statement commits when it is reset, and that may fail.
        let resetResult = sqlite3_reset(statement.handle)
        if resetResult != SQLITE_OK { return fail(error(connection, resetResult)) }
        run.summary.transaction = connection.transaction
        return .ended
    }

    private func failure(
        _ connection: SQLiteConnection, _ statement: CachedStatement, _ result: Int32
    ) -> AdvanceOutcome {
        if connection.mustPrepareAgain {
            connection.mustPrepareAgain = false
            statement.isOutdated = true
            return .interruptedByBudget
        }
        if isLimited {
            if result & 0xff == SQLITE_TOOBIG { return .exceededLimit(isPattern: false) }
            if SQLiteErrors.isPatternTooLong(connection.handle, result) { return .exceededLimit(isPattern: true) }
        }
        let error = error(connection, result)
        if statement.origin == .loop, !statement.isOutdated, error.details.sqlState == "42P01" {
            statement.isOutdated = true
            return .interruptedByBudget
        }
        return fail(error)
    }

    private func summarize(_ connection: SQLiteConnection, _ statement: CachedStatement) {
        if statement.insertTarget != nil { takeInsertID(connection) }
        // `changes` keeps its value over statements that change no row, such as CREATE TABLE.
        guard sqlite3_total_changes64(connection.handle) != before.totalChanges else { return }
        run.summary.rowsAffected = sqlite3_changes64(connection.handle)
    }

    /// The statement's own `last_insert_rowid()` stays as SQLite has it. That says nothing about a statement that
    /// inserted no row with a rowid (WITHOUT ROWID, an upsert, a conflict).
    private func takeInsertID(_ connection: SQLiteConnection) {
        let rowID = sqlite3_last_insert_rowid(connection.handle)
        // Virtual tables have no hook: a new number shows an insertion.
        guard connection.hasInserted || rowID != before.lastInsertID else { return }
        run.summary.lastInsertID = rowID
    }

    private func error(_ connection: SQLiteConnection, _ result: Int32) -> DriverError {
        connection.noteDamage(result)
        if [SQLITE_INTERRUPT, SQLITE_BUSY].contains(result & 0xff), let reason = run.stopReason {
            return .stopped(reason)
        }
        if result & 0xff == SQLITE_NOMEM, let reason = run.stopReason, AllocationGuard.refusal == .time {
            return .stopped(reason)
        }
        return connection.authorization.denial ?? SQLiteErrors.error(connection.handle, result)
    }

    func fail(_ error: DriverError) -> AdvanceOutcome {
        run.error = error
        if let connection {
            releaseStatement()
            run.summary.transaction = connection.transaction
        }
        return .ended
    }

    // MARK: Errors

    static func rowTooLarge(_ limit: Int) -> DriverError {
        DriverError(
            .limitExceeded, "A row is larger than the \(limit) bytes that a row of a reply may have (row_bytes_max).",
            hint: "Select fewer or smaller columns, or parts of them with substr().", sqlState: "54000"
        ).with { $0.limit = DriverLimit(name: "row_bytes_max", value: Int64(limit)) }
    }

    static let noWorker = DriverError(
        .limitExceeded, "No thread can be started for a statement that takes long.",
        hint: "Try again; the administrator may raise the limit of threads (TasksMax=, ulimit -u).", sqlState: "53000"
    ).with { $0.isRetryable = true }

    static let listingTooLarge = DriverError(
        .limitExceeded,
        "EXPLAIN has more than \(bufferedByteCountMax) bytes of operations, which are listed as a whole.",
        hint: "EXPLAIN QUERY PLAN is shorter.", sqlState: "54000")
    static let resultTooLarge = DriverError(
        .limitExceeded,
        "RETURNING gave more than the \(bufferedByteCountMax) bytes of rows that are kept while the write lock is held.",
        hint: "Return fewer columns, or fewer rows at a time.", sqlState: "54000"
    ).with { $0.limit = DriverLimit(name: "returning_bytes_max", value: Int64(bufferedByteCountMax)) }
}
