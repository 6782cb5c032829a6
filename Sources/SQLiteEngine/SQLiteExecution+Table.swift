// Runs whose rows are read from the pages in memory, without SQLite's virtual machine for each.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

extension SQLiteExecution {
    /// What of a run is read without stepping its statement.
    struct DirectReading {
        /// What reads the rest of a whole table; `nil` where nobody has looked, or SQLite has to.
        var rest: TableRest?
        var isRestLookedFor = false
        /// The row that it wants was read, although its statement was not stepped.
        var isAtEnd = false
    }

    /// Reads the one row that a statement wants by its number, if that is what it does.
    ///
    /// The connection has a transaction that is held (`HeldSnapshot`), so there is nothing to begin, and nothing to end.
    /// - Returns: `nil` if SQLite has to step the statement; nothing was done.
    @inline(__always)
    func look(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ sink: RowSink
    ) -> AdvanceOutcome? {
        guard statement.mayReadRow, let snapshot = connection.snapshot, snapshot.isHeld,
            let reader = statement.rowReader(on: connection, schemaVersion: snapshot.schemaVersion),
            reader.program.schemaVersion == snapshot.schemaVersion, let number = reader.rowNumber(run),
            run.rowCountMax > 0
        else { return nil }
        // Where SQLite has to look, it goes on behind this.
        if !hasBegun { begin(sink, statement) }
        switch reader.look(for: number, connection.pages, into: sink) {
        case .unknown: return nil
        case .none: return finish(run, connection, statement, SQLITE_DONE)
        case .row: break
        }
        run.rowCount = 1
        switch sink.endRow() {
        case .open: return finish(run, connection, statement, SQLITE_DONE)
        case .overflow: return fail(Self.rowTooLarge(sink.rowByteCountMax))
        case .full:
            direct.isAtEnd = true
            return .filled
        }
    }

    /// Reads what is left of a whole table, behind the rows that the statement has returned.
    /// - Returns: `nil` if the statement has to be stepped on.
    func read(
        _ rest: TableRest, _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement,
        _ deadline: MonotonicInstant
    ) -> AdvanceOutcome? {
        let sink = run.sink
        guard rest.takesOver(behind: run.rowCount) else { return nil }
        while true {
            if let reason = run.stopReason { return fail(.stopped(reason)) }
            let read = rest.read(into: sink, countMax: Self.rowsBetweenLooks)
            run.rowCount += read.count
            switch read.failure {
            case nil: break
            case .overflow: return fail(Self.rowTooLarge(sink.rowByteCountMax))
            case .result(let result): return finish(run, connection, statement, result)
            }
            guard read.last != nil else { return finish(run, connection, statement, SQLITE_DONE) }
            if read.isFull {
                if !sink.hasRoom || run.stopReason != nil { return .filled }
                sink.reopen()
            }
            if deadline != .distantFuture, deadline < .now { return fail(Self.noWorker) }
        }
    }

    private static let rowsBetweenLooks: Int64 = 4_096
}
