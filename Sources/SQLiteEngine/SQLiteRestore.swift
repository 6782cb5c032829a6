// A restored file becomes the content of its database: by SQLite's backup interface, in one transaction.

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem

/// Writes all pages of a checked file on the writer's connection.
///
/// Until the commit nobody sees anything of it, and whatever ends it before, a kill of the process included, leaves the former
/// content: the pages are in the log without a commit, or the journal has the former ones.
/// - Source: https://sqlite.org/c3ref/backup_finish.html, src/backup.c of SQLite 3.40
/// - Thread: the worker that holds the write turn.
struct SQLiteRestore {
    private let execution: SQLiteExecution
    private let connection: SQLiteConnection
    private let file: any RestoredFile

    /// Pages of one step; between two a stop is noticed.
    private static let stepPageCount: Int32 = 256

    init(_ execution: SQLiteExecution, _ connection: SQLiteConnection, _ file: any RestoredFile) {
        self.execution = execution
        self.connection = connection
        self.file = file
    }

    func run() {
        let run = execution.run
        run.summary = StatementSummary()
        execution.owner.account.charge()
        execution.connection = connection
        connection.mayBlock = true
        do throws(DriverError) {
            guard let file = file as? SQLiteRestoredFile else { throw .noFileToRestore }
            try connection.refuseIfMovedByAnybody()
            try write(file)
        } catch {
            run.error = error
        }
    }

    private func write(_ file: SQLiteRestoredFile) throws(DriverError) {
        let run = execution.run
        connection.begin(run, nil)
        defer { connection.end() }
        let commitCount = litebase_sqlite3_commits()
        guard let backup = sqlite3_backup_init(connection.handle, "main", file.connection.handle, "main") else {
            throw error(SQLITE_ERROR, commitCount)
        }
        var result = SQLITE_OK
        while result == SQLITE_OK, run.stopReason == nil {
            result = sqlite3_backup_step(backup, Self.stepPageCount)
        }
        // What has not come to its end is undone here.
        let end = sqlite3_backup_finish(backup)
        connection.uncommitted.gap = .replaced
        connection.tellChanges(since: commitCount)
        if result == SQLITE_DONE, end == SQLITE_OK { return emptyLog() }
        if let reason = run.stopReason, commitCount == litebase_sqlite3_commits() { throw .stopped(reason) }
        throw error(end == SQLITE_OK ? result : end, commitCount)
    }

    private func error(_ result: Int32, _ commitCount: UInt64) -> DriverError {
        connection.noteDamage(result)
        return connection.explain(SQLiteErrors.error(connection.handle, result), commitCountBefore: commitCount)
    }

    /// The log has the whole database, and the next to write would have to copy it into the file.
    private func emptyLog() {
        if connection.usesWAL { _ = connection.checkpoint() }
        connection.mayBlock = true
    }
}

extension DriverError {
    /// A transaction cannot have another database's content half-way.
    static let restoreInSession = DriverError(
        .badRequest, "A restore is done outside of sessions.", sqlState: "25001")
}
