// The one connection that writes to a file for autocommit requests, and the groups that share a commit.
//
// A single statement runs in plain autocommit. Several run in one transaction, each in its own savepoint, and all are
// acknowledged after the one commit (and its fsync). Whatever makes SQLite roll back the whole transaction
// (https://sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction) makes the others run again, alone.
// A group that takes long commits what it has done, and the rest waits for another turn: who came meanwhile is not to wait
// for all of it.

internal import CSQLite
internal import LinuxSystem

/// Runs autocommit writes.
///
/// - Thread: a worker that holds the write queue's turn.
final class SQLiteWriter: @unchecked Sendable {
    let connection: SQLiteConnection
    /// When the group that is run has used up its turn.
    private var deadline = MonotonicInstant.distantFuture

    /// Time after which a group begins no further statement, in nanoseconds: ten times what 256 small ones take.
    private static let turnNanoseconds: Int64 = 30_000_000

    init(_ connection: SQLiteConnection) {
        self.connection = connection
    }

    /// Runs executions to their ends; their runs then have summaries or errors. Those for which the time was not enough are
    /// as before, and marked as unfinished.
    func run(_ group: [SQLiteExecution]) {
        deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        let pending = group.filter(isWanted)
        if pending.count > 1 {
            runGroup(pending)
        } else {
            pending.forEach(runAlone)
        }
    }

    /// Whether there is time for one more; if not, it is marked. The first of a turn always has its time.
    private func hasTime(for execution: SQLiteExecution, isFirst: Bool) -> Bool {
        execution.isUnfinished = !isFirst && deadline <= .now
        return !execution.isUnfinished
    }

    /// Ends a run that was told to stop while it waited.
    private func isWanted(_ execution: SQLiteExecution) -> Bool {
        guard let reason = execution.run.stopReason else { return true }
        execution.run.error = .stopped(reason)
        return false
    }

    private func runAlone(_ execution: SQLiteExecution) {
        execution.run.restart()
        connection.forgetInsertID()
        switch execution.run.kind {
        case .statement: runStatement(execution)
        case .batch(let isAtomic):
            SQLiteBatch(execution, connection).run(isAtomic: isAtomic)
        // Done where it came in.
        case .describe: break
        }
        rollBackLeftovers()
    }

    private func runStatement(_ execution: SQLiteExecution) {
        do throws(DriverError) {
            try execution.prepare(on: connection)
            execution.advanceWrite()
        } catch {
            execution.run.error = error
        }
    }

    private func runGroup(_ group: [SQLiteExecution]) {
        var again: [SQLiteExecution] = []
        do throws(DriverError) {
            try begin(group)
            for (index, execution) in group.enumerated() where hasTime(for: execution, isFirst: index == 0) {
                if !runInSavepoint(execution) { again.append(execution) }
                if connection.transaction == .none {
                    // SQLite rolled everything back, and nothing was acknowledged yet.
                    again = group
                    break
                }
            }
            if connection.transaction == .active { try connection.execute("COMMIT") }
        } catch {
            rollBackLeftovers()
            // Another process holds the lock: all have waited for it. Else the commit failed, and each finds out for itself.
            if error.code == .busy { return group.forEach { $0.run.error = error } }
            again = group
        }
        let isNothingDone = again.count == group.count
        for (index, execution) in again.enumerated()
        where hasTime(for: execution, isFirst: isNothingDone && index == 0) && isWanted(execution) {
            runAlone(execution)
        }
    }

    private func begin(_ group: [SQLiteExecution]) throws(DriverError) {
        connection.group = group.map(\.run)
        defer { connection.group = [] }
        try connection.execute("BEGIN IMMEDIATE")
    }

    /// - Returns: false when the statement must be run alone: what it did was undone.
    private func runInSavepoint(_ execution: SQLiteExecution) -> Bool {
        execution.run.restart()
        // Batches have a transaction of their own.
        guard case .statement = execution.run.kind, isWanted(execution) else {
            return execution.run.error != nil
        }
        guard (try? connection.execute("SAVEPOINT litebase")) != nil else { return false }
        connection.forgetInsertID()
        runStatement(execution)
        // Deferred foreign keys are looked at by COMMIT; here they must not fail the others.
        let hasDeferredViolations = hasDeferredViolations
        let isSound = execution.run.error == nil && !hasDeferredViolations
        // After a violated constraint SQLite has undone what the statement's conflict clause says, FAIL keeping rows.
        let isFinal = execution.run.error?.code == .constraintViolation && !hasDeferredViolations
        if !isSound, !isFinal, connection.transaction == .active {
            guard (try? connection.execute("ROLLBACK TO litebase")) != nil else { return false }
        }
        guard connection.transaction == .active, (try? connection.execute("RELEASE litebase")) != nil else {
            return false
        }
        execution.run.summary.transaction = .none
        if isSound { return true }
        // Anything else (VACUUM in a transaction, say) may do better alone.
        return isFinal || execution.run.error?.code == .syntaxError
    }

    private var hasDeferredViolations: Bool {
        var (now, peak): (Int32, Int32) = (0, 0)
        sqlite3_db_status(connection.handle, SQLITE_DBSTATUS_DEFERRED_FKS, &now, &peak, 0)
        return now != 0
    }

    private func rollBackLeftovers() {
        if connection.transaction == .active { try? connection.execute("ROLLBACK") }
    }
}
