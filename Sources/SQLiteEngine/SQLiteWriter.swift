// The one connection that writes to a file for autocommit requests, and the groups that share a commit.
//
// A single statement runs in plain autocommit. Several run in one transaction, each in its own savepoint, and all are
// acknowledged after the one commit (and its fsync). They run in the order in which they came: one that cannot be
// grouped (a batch, a statement that fails in another way than its own) ends the group, and runs alone before the rest.
// If SQLite rolls back the whole transaction
// (https://sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction), the others run again, alone. A
// group that takes long commits what it has done, and the rest waits for another turn, so that requests that came
// meanwhile do not wait for all of it.
//
// A write that the writer has not begun may be withdrawn at any time: its client is told at once that it was cancelled,
// while the writer waits for another process's lock, or works on the others.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

/// Runs autocommit writes.
///
/// - Thread: a worker that holds the write queue's turn.
final class SQLiteWriter: @unchecked Sendable {
    let connection: SQLiteConnection
    /// When the running group has used up its turn.
    private var deadline = MonotonicInstant.distantFuture

    /// Time after which a group starts no further statement, in nanoseconds: ten times that of 256 small ones.
    private static let turnNanoseconds: Int64 = 30_000_000

    init(_ connection: SQLiteConnection) {
        self.connection = connection
    }

    /// Runs executions to their ends, in order; their runs then have summaries or errors. Executions for which there
    /// was no time are unchanged (`WriteClaim.isFinished`), and withdrawn ones are not used.
    func run(_ group: [SQLiteExecution]) {
        deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        var rest = group[...]
        var aloneCount = 0
        // The first of a turn always has its time.
        while let first = rest.first, rest.count == group.count || .now < deadline {
            let together = aloneCount > 0 ? rest.prefix(0) : rest.prefix { !$0.isBatch }
            if together.count > 1 {
                let progress = runTogether(together, isFirstOfTurn: rest.count == group.count)
                rest = rest.dropFirst(progress.endedCount)
                aloneCount = progress.aloneCount
            } else {
                if isWanted(first) { runAlone(first) }
                rest = rest.dropFirst()
                aloneCount = max(0, aloneCount - 1)
            }
        }
    }

    /// Claims an execution, unless it was withdrawn or stopped while it waited: then it has ended.
    private func isWanted(_ execution: SQLiteExecution) -> Bool {
        guard execution.claim.begin() else { return false }
        guard let reason = execution.run.stopReason else { return true }
        execution.run.error = .stopped(reason)
        return false
    }

    private func runAlone(_ execution: SQLiteExecution) {
        execution.run.restart()
        connection.forgetInsertID()
        // Also where a loop does the work of a thread that could not be made.
        connection.mayBlock = true
        switch execution.run.kind {
        case .statement: runStatement(execution)
        case .batch(let isAtomic):
            SQLiteBatch(execution, connection).run(isAtomic: isAtomic)
        case .load(let load): SQLiteLoad(execution, connection, load).run()
        case .restore(let file): SQLiteRestore(execution, connection, file).run()
        // Done where the request was received.
        case .describe, .backup, .copy: break
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

    /// The progress of a group: how many have ended, and how many of the next ones have to run alone.
    private struct GroupProgress {
        var endedCount = 0
        var aloneCount = 0
    }

    /// Runs statements in one transaction.
    private func runTogether(_ group: ArraySlice<SQLiteExecution>, isFirstOfTurn: Bool) -> GroupProgress {
        do throws(DriverError) {
            try begin(group)
        } catch {
            rollBackLeftovers()
            guard error.code == .busy else { return GroupProgress(aloneCount: group.count) }
            // Another process holds the lock: all have waited for it.
            for execution in group where execution.claim.begin() { execution.run.error = error }
            return GroupProgress(endedCount: group.count)
        }
        // Waiting for another process does not count.
        if isFirstOfTurn { deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds) }
        var progress = GroupProgress()
        var begun: [SQLiteExecution] = []
        for execution in group {
            if progress.endedCount > 0, deadline <= .now { break }
            if isWanted(execution) {
                begun.append(execution)
                if !runInSavepoint(execution) {
                    progress.aloneCount = 1
                    break
                }
            }
            progress.endedCount += 1
        }
        return commit(begun, progress)
    }

    private func commit(_ begun: [SQLiteExecution], _ progress: GroupProgress) -> GroupProgress {
        // If SQLite has rolled everything back, nothing was acknowledged yet.
        var isDone = connection.transaction == .active
        if isDone {
            do throws(DriverError) {
                try connection.execute("COMMIT")
            } catch {
                rollBackLeftovers()
                if error.code == .busy || error.code == .outcomeUnknown {
                    for execution in begun { execution.run.error = error }
                    return GroupProgress(endedCount: progress.endedCount + progress.aloneCount)
                }
                isDone = false
            }
        }
        if isDone {
            if progress.aloneCount > 0 { begun.last?.claim.release() }
            return progress
        }
        for execution in begun { execution.claim.release() }
        return GroupProgress(aloneCount: progress.endedCount + progress.aloneCount)
    }

    private func begin(_ group: ArraySlice<SQLiteExecution>) throws(DriverError) {
        connection.group = Array(group)
        defer { connection.group = [] }
        try connection.execute("BEGIN IMMEDIATE")
    }

    /// - Returns: false if the statement must run alone: it was undone.
    private func runInSavepoint(_ execution: SQLiteExecution) -> Bool {
        execution.run.restart()
        guard (try? connection.execute("SAVEPOINT litebase")) != nil else { return false }
        connection.forgetInsertID()
        let uncommitted = connection.uncommitted
        runStatement(execution)
        // COMMIT checks deferred foreign keys; here they must not make the others fail.
        let hasDeferredViolations = hasDeferredViolations
        let isSound = execution.run.error == nil && !hasDeferredViolations
        // After a constraint violation SQLite has undone what the statement's conflict clause says; FAIL keeps rows.
        let isFinal = execution.run.error?.code == .constraintViolation && !hasDeferredViolations
        if !isSound, !isFinal, connection.transaction == .active {
            guard (try? connection.execute("ROLLBACK TO litebase")) != nil else { return false }
            connection.uncommitted = uncommitted
        }
        guard connection.transaction == .active, (try? connection.execute("RELEASE litebase")) != nil else {
            return false
        }
        execution.run.summary.transaction = .none
        if isSound { return true }
        guard let error = execution.run.error else { return false }
        // Any other error (VACUUM in a transaction, say) may not occur alone.
        return isFinal || error.code == .syntaxError || execution.run.stopReason != nil
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
