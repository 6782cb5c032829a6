// Rows of a file, written by one prepared statement.

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem
internal import Tabular

/// How rows get into tables of SQLite: by `RunKind.load`.
struct SQLiteLoading: RowLoading {
    var tellsRefusedRow: Bool { true }
    var takesNumbers: Bool { true }
    var beginText: String { "BEGIN IMMEDIATE" }

    /// A literal that is too large is an infinity; there is no NaN.
    var literals: SQLLiterals {
        SQLLiterals(castsUnusualText: true, infinity: "9e999", negativeInfinity: "-9e999", nan: "NULL")
    }

    func quoted(_ name: String) -> String { quoted(name, in: UInt8(ascii: "\"")) }

    func name(of type: ColumnType) -> String {
        switch type {
        case .boolean, .integer: "INTEGER"
        case .real: "REAL"
        case .text: "TEXT"
        case .blob: "BLOB"
        }
    }

    /// One row: the statement is run for each.
    func text(table: String, columns: [String], rowCount: Int) -> String { insertText(table, columns, rowCount: 1) }
}

/// Writes the rows of a run on a connection that holds the write lock, within a savepoint (which is a transaction if none is open).
///
/// A row that is refused is undone by SQLite; those before it stay, whether others follow or not. Whatever else fails undoes all.
/// - Thread: the worker that holds the lock.
struct SQLiteLoad {
    private let execution: SQLiteExecution
    private let connection: SQLiteConnection
    private let load: RowLoad
    /// Others cannot write before its end in any case.
    private let isInTransaction: Bool

    /// The writer serves others after that time, in nanoseconds: they wait as long as for a group of theirs.
    private static let turnNanoseconds: Int64 = 20_000_000
    private static let clockRowMask = 15

    init(_ execution: SQLiteExecution, _ connection: SQLiteConnection, _ load: RowLoad) {
        self.execution = execution
        self.connection = connection
        self.load = load
        isInTransaction = connection.transaction != .none
    }

    func run() {
        let run = execution.run
        load.restart()
        run.summary = StatementSummary()
        let uncommitted = connection.uncommitted
        do throws(DriverError) {
            try connection.execute("SAVEPOINT litebase_load")
            let refusal = try writeRows()
            try connection.execute("RELEASE litebase_load")
            run.summary.rowsAffected = Int64(load.writtenCount)
            run.error = refusal
        } catch {
            load.restart()
            run.error = error
            if connection.transaction == .active {
                try? connection.execute("ROLLBACK TO litebase_load")
                connection.uncommitted = uncommitted
                try? connection.execute("RELEASE litebase_load")
            }
        }
        run.summary.transaction = connection.transaction
    }

    /// - Returns: the error of a row that was refused, behind which nothing is to be written.
    private func writeRows() throws(DriverError) -> DriverError? {
        let run = execution.run
        execution.owner.account.charge()
        connection.mayBlock = true
        let statement = try connection.soundStatement(for: run, isUnfitForLoop: false)
        execution.connection = connection
        defer { statement.release() }
        guard statement.parameterCount == load.block.columnCount else { throw Self.misfit }
        connection.authorization.denial = nil
        connection.begin(run, statement)
        if let reason = run.stopReason {
            connection.end()
            throw .stopped(reason)
        }
        let commitCount = litebase_sqlite3_commits()
        connection.noteChanges(by: statement)
        connection.beginGuard()
        limitValues(statement)
        let outcome = step(statement)
        connection.liftLimits()
        AllocationGuard.end()
        connection.end()
        // Within its savepoint, so nothing is committed yet; but SQLite may have prepared it again.
        connection.tellChanges(by: statement, since: commitCount)
        litebase_sqlite3_look_at_index(connection.handle)
        if connection.hasLostIndex { throw .indexLost(connection.options.path) }
        switch outcome {
        case .done: return nil
        case .refused(let error): return error
        case .failed(let error): throw error
        }
    }

    private enum Outcome {
        case done
        case refused(DriverError)
        case failed(DriverError)
    }

    private func limitValues(_ statement: CachedStatement) {
        let patterns = statement.matchesPatterns ? SQLiteBudget.writePatternByteCountsMax.last : nil
        _ = connection.limit(
            values: statement.writeValueByteCountMax(patternByteCount: patterns ?? 0),
            patterns: patterns ?? SQLiteLimit.patternByteCountMax)
    }

    private func step(_ statement: CachedStatement) -> Outcome {
        let (handle, rows, run) = (statement.handle, load.block.view, execution.run)
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        var isWeighed = false
        let (first, end) = (load.rows.lowerBound, load.rows.upperBound)
        var row = first
        defer { load.doneCount = row - first }
        while row < end {
            if (row - first) & Self.clockRowMask == 0, row > first {
                if let reason = run.stopReason { return .failed(.stopped(reason)) }
                if !isInTransaction, deadline < .now { return .done }
            }
            var result = SQLITE_OK
            for column in 0..<rows.columnCount where result == SQLITE_OK {
                result = bind(rows.cell(row, column), rows, handle, Int32(column + 1))
            }
            if result == SQLITE_OK { result = sqlite3_step(handle) }
            // RETURNING is not in our text, but a virtual table may have its ways.
            if result == SQLITE_ROW { result = SQLITE_DONE }
            if result == SQLITE_DONE { result = sqlite3_reset(handle) }
            guard result != SQLITE_OK else {
                row += 1
                continue
            }
            let error = error(result)
            sqlite3_reset(handle)
            // What its triggers might do was estimated; looked at exactly, they may do less.
            if result & 0xff == SQLITE_TOOBIG, !isWeighed, statement.weighExactly(on: connection) {
                isWeighed = true
                limitValues(statement)
                continue
            }
            guard isOfRow(result), connection.transaction == .active else { return .failed(error) }
            let place = error.with { $0.rowIndex = row }
            guard load.rejectedCount < load.rejectedCountMax else { return .refused(place) }
            if load.rejected.count < RowBlock.rejectionCountMax { load.rejected.append((row, place)) }
            load.rejectedCount += 1
            row += 1
        }
        return .done
    }

    /// Whether the error concerns the row alone, which SQLite has undone then.
    private func isOfRow(_ result: Int32) -> Bool {
        guard execution.run.stopReason == nil else { return false }
        return [SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_TOOBIG].contains(result & 0xff)
    }

    private func error(_ result: Int32) -> DriverError {
        connection.noteDamage(result)
        if let reason = execution.run.stopReason { return .stopped(reason) }
        return connection.authorization.denial ?? SQLiteErrors.error(connection.handle, result)
    }

    /// The block keeps the bytes until the run has ended.
    private func bind(_ cell: Cell, _ rows: RowView, _ handle: OpaquePointer, _ place: Int32) -> Int32 {
        switch cell.kind {
        case .null: return sqlite3_bind_null(handle, place)
        case .bool: return sqlite3_bind_int64(handle, place, cell.bool ? 1 : 0)
        case .integer: return sqlite3_bind_int64(handle, place, cell.integer)
        case .real: return sqlite3_bind_double(handle, place, cell.real)
        case .text:
            let bytes = rows.bytes(of: cell)
            return sqlite3_bind_text64(
                handle, place, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), UInt64(bytes.count), nil,
                UInt8(SQLITE_UTF8))
        case .blob:
            let bytes = rows.bytes(of: cell)
            guard !bytes.isEmpty else { return sqlite3_bind_zeroblob(handle, place, 0) }
            return sqlite3_bind_blob64(handle, place, bytes.baseAddress, UInt64(bytes.count), nil)
        }
    }

    private static let misfit = DriverError(
        .badRequest, "The rows have another number of values than the table has columns.", sqlState: "42601")
}
