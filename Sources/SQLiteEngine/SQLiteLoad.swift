// Rows of a file, written by one prepared statement, several at a time where that changes nothing.

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
        case .boolean, .integer, .unsigned: "INTEGER"
        case .real: "REAL"
        // A decimal would become a double in any column of numbers.
        case .text, .decimal, .duration: "TEXT"
        case .blob: "BLOB"
        // Texts, which the functions of SQLite for dates read; the declaration is for programs that look at it.
        case .date: "DATE"
        case .time: "TIME"
        case .timestamp: "TIMESTAMP"
        }
    }

    func text(table: String, columns: [String], rowCount: Int) -> String {
        insertText(table, columns, rowCount: rowCount)
    }

    /// Starting a statement costs as much as writing a row, and only within one does SQLite know that a key is behind the last one
    /// without looking for its place. More rows make it no faster.
    func rowsPerStatement(columnCount: Int) -> Int { max(1, min(16, Self.parameterCountMax / max(1, columnCount))) }

    /// So that preparing the statement stays cheap.
    private static let parameterCountMax = 256
}

/// Writes the rows of a run on a connection that holds the write lock, within a savepoint (which is a transaction if none is open).
///
/// A row that is refused is undone by SQLite; those before it stay, whether others follow or not. Whatever else fails undoes all.
/// Of rows that go several at a time none stays, if one is refused: they have to come again one by one.
/// - Thread: the worker that holds the lock.
struct SQLiteLoad {
    private let execution: SQLiteExecution
    private let connection: SQLiteConnection
    private let load: RowLoad
    /// Others cannot write before its end in any case.
    private let isInTransaction: Bool

    /// The writer serves others after that time, in nanoseconds: they wait as long as for a group of theirs.
    private static let turnNanoseconds: Int64 = 20_000_000
    private static let rowsBetweenLooks = 16

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
            switch try writeRows() {
            case .mustGoSingly(let reason):
                try undo(uncommitted)
                load.mustGoSingly = reason
            case .written(let refusal):
                try connection.execute("RELEASE litebase_load")
                run.summary.rowsAffected = Int64(load.writtenCount)
                run.error = refusal
            }
        } catch {
            run.error = error
            try? undo(uncommitted)
        }
        run.summary.transaction = connection.transaction
    }

    /// Everything is as before.
    private func undo(_ uncommitted: UncommittedChanges) throws(DriverError) {
        load.restart()
        guard connection.transaction == .active else { return }
        try connection.execute("ROLLBACK TO litebase_load")
        connection.uncommitted = uncommitted
        try connection.execute("RELEASE litebase_load")
    }

    private enum Written {
        /// With the error of a row that was refused, behind which nothing is to be written.
        case written(DriverError?)
        case mustGoSingly(RowLoad.WhySingly)
    }

    private func writeRows() throws(DriverError) -> Written {
        let run = execution.run
        execution.owner.account.charge()
        connection.mayBlock = true
        let goTogether = load.rowsPerStatement > 1
        let statement: CachedStatement
        do throws(DriverError) {
            statement = try connection.soundStatement(for: run, isUnfitForLoop: false)
        } catch {
            // It is longer than that for one row, which may be within the bounds.
            guard goTogether, run.stopReason == nil else { throw error }
            return .mustGoSingly(.table)
        }
        execution.connection = connection
        defer { statement.release() }
        try connection.refuseIfMoved(statement)
        guard statement.parameterCount == load.block.columnCount * load.rowsPerStatement else { throw Self.misfit }
        if goTogether, let reason = whySingly(statement) { return .mustGoSingly(reason) }
        let tellsRows = !statement.runsTriggers || !isView(statement.insertTarget)
        connection.authorization.denial = nil
        connection.begin(run, statement)
        if let reason = run.stopReason {
            connection.end()
            throw .stopped(reason)
        }
        let commitCount = litebase_sqlite3_commits()
        connection.noteChanges(by: statement)
        connection.beginGuard()
        let outcome =
            limitValues(statement) ? step(statement, tellsRows: tellsRows) : .failed(tooLarge(statement))
        connection.liftLimits()
        AllocationGuard.end()
        connection.end()
        // Within its savepoint, so nothing is committed yet; but SQLite may have prepared it again.
        connection.tellChanges(by: statement, since: commitCount)
        litebase_sqlite3_look_at_index(connection.handle)
        if connection.hasLostIndex { throw .indexLost(connection.options.path) }
        switch outcome {
        // It may have ended the transaction, and with that the savepoint.
        case .failed(let error): throw error
        case _ where goTogether && statement.preparationCount > 0:
            // The schema has changed within it: what was known of it does not hold. The next one is prepared anew.
            statement.isOutdated = true
            return .mustGoSingly(.refusal)
        case .done: return .written(nil)
        case .refused(let error): return .written(error)
        case .refusedTogether: return .mustGoSingly(.refusal)
        }
    }

    /// Why it makes a difference that several rows are written by one statement; `nil` if it makes none.
    ///
    /// References are looked at when a statement ends, so a row could refer to one behind it, by itself or by what triggers do; and a
    /// row that replaces another one could lose its reference again to one behind it.
    private func whySingly(_ statement: CachedStatement) -> RowLoad.WhySingly? {
        // In a file that was attached, the name may be that of another table.
        guard !statement.runsTriggers, !connection.hasAttachedFiles, let target = statement.insertTarget else {
            return .table
        }
        // Prepared again, it may have triggers that were not there.
        guard statement.preparationCount == 0 else {
            statement.isOutdated = true
            return .refusal
        }
        let may =
            statement.rowsMayGoTogether
            ?? ["main", "temp"].allSatisfy { !mindsStatements(target, in: $0) && !refersToItself(target, in: $0) }
        statement.rowsMayGoTogether = may
        return may ? nil : .table
    }

    /// Whether a table's text has something that depends on where statements end: REPLACE of a conflict, and defaults that
    /// count what statements have changed; or ROLLBACK of one, behind which nobody can look for the row. Whatever else has these
    /// words goes row by row, too.
    ///
    /// - Source: https://sqlite.org/lang_conflict.html, https://sqlite.org/lang_corefunc.html#changes
    private func mindsStatements(_ table: String, in schema: String) -> Bool {
        let look = connection.prepareOwn(
            """
            SELECT 1 FROM \(schema).sqlite_schema WHERE name = ? COLLATE NOCASE
            AND (instr(upper(sql), 'REPLACE') OR instr(upper(sql), 'CHANGES') OR instr(upper(sql), 'ROLLBACK'))
            """)
        guard let look else { return true }
        defer { sqlite3_finalize(look) }
        return table.withCString { name in
            // Without a copy: it is there for as long as the statement runs.
            guard sqlite3_bind_text(look, 1, name, -1, nil) == SQLITE_OK else { return true }
            return sqlite3_step(look) != SQLITE_DONE
        }
    }

    /// - Source: https://sqlite.org/pragma.html#pragma_foreign_key_list
    private func refersToItself(_ table: String, in schema: String) -> Bool {
        let name = SQLiteLoading().quoted(table)
        guard let references = connection.prepareOwn("PRAGMA \(schema).foreign_key_list(\(name))") else { return true }
        defer { sqlite3_finalize(references) }
        while true {
            switch sqlite3_step(references) {
            case SQLITE_ROW: break
            case SQLITE_DONE: return false
            default: return true
            }
            guard let referred = sqlite3_column_text(references, 2) else { return true }
            let isSame = referred.withMemoryRebound(to: CChar.self, capacity: 1) {
                sqlite3_stricmp($0, table) == 0
            }
            if isSame { return true }
        }
    }

    /// Whether rows go to the trigger of a view, which SQLite does not count as changes.
    /// - Source: https://sqlite.org/c3ref/changes.html, https://sqlite.org/pragma.html#pragma_table_list
    private func isView(_ target: String?) -> Bool {
        guard let target else { return true }
        let look = "PRAGMA table_list(\(SQLiteLoading().quoted(target)))"
        guard let list = connection.prepareOwn(look) else { return true }
        defer { sqlite3_finalize(list) }
        while sqlite3_step(list) == SQLITE_ROW {
            guard let type = sqlite3_column_text(list, 2) else { return true }
            if String(cString: type) == "view" { return true }
        }
        return false
    }

    private enum Outcome {
        case done
        /// One of several rows was refused, and SQLite does not tell which.
        case refusedTogether
        case refused(DriverError)
        case failed(DriverError)
    }

    private func patternByteCountMax(_ statement: CachedStatement) -> Int32? {
        statement.matchesPatterns ? SQLiteBudget.writePatternByteCountsMax.last : nil
    }

    private func valueByteCountMax(_ statement: CachedStatement) -> Int32 {
        statement.writeValueByteCountMax(patternByteCount: patternByteCountMax(statement) ?? 0)
    }

    /// - Returns: false if a default or a trigger has a blob that is longer.
    private func limitValues(_ statement: CachedStatement) -> Bool {
        if statement.blobByteCountMax > Int(valueByteCountMax(statement)) {
            _ = statement.weighExactly(on: connection)
        }
        let values = valueByteCountMax(statement)
        let isLimited = connection.limit(
            values: values, patterns: patternByteCountMax(statement) ?? SQLiteLimit.patternByteCountMax)
        return !isLimited || statement.blobByteCountMax <= Int(values)
    }

    private func tooLarge(_ statement: CachedStatement) -> DriverError {
        execution.run.stopReason.map(DriverError.stopped)
            ?? SQLiteErrors.tooLargeForWriting(valueByteCountMax(statement))
    }

    /// - Parameters:
    ///   - statement: takes `load.rowsPerStatement` rows.
    ///   - tellsRows: whether SQLite counts the rows that it writes.
    /// - Returns: how it has ended; `load` counts the rows.
    private func step(_ statement: CachedStatement, tellsRows: Bool) -> Outcome {
        let (handle, rows, run) = (statement.handle, load.block.view, execution.run)
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        let (rowsPerStatement, parameterCount) = (load.rowsPerStatement, statement.parameterCount)
        var isWeighed = false
        let (first, end) = (load.rows.lowerBound, load.rows.upperBound)
        var (row, nextLook) = (first, first + Self.rowsBetweenLooks)
        defer { load.doneCount = row - first }
        while row < end {
            if row >= nextLook {
                nextLook = row + Self.rowsBetweenLooks
                if let reason = run.stopReason { return .failed(.stopped(reason)) }
                if !isInTransaction, deadline < .now { return .done }
            }
            var result = SQLITE_OK
            // The cells of the rows behind it follow its own.
            for place in 0..<parameterCount where result == SQLITE_OK {
                result = bind(rows.cell(row, place), rows, handle, Int32(place + 1))
            }
            if result == SQLITE_OK { result = sqlite3_step(handle) }
            // RETURNING is not in our text, but a virtual table may have its ways.
            if result == SQLITE_ROW { result = SQLITE_DONE }
            if result == SQLITE_DONE { result = sqlite3_reset(handle) }
            guard result != SQLITE_OK else {
                row += rowsPerStatement
                if tellsRows { load.leftOutCount += max(0, rowsPerStatement - Int(sqlite3_changes(connection.handle))) }
                continue
            }
            let error = error(result)
            sqlite3_reset(handle)
            // What its triggers might do was estimated; looked at exactly, they may do less.
            if result & 0xff == SQLITE_TOOBIG, !isWeighed, statement.weighExactly(on: connection) {
                isWeighed = true
                guard limitValues(statement) else { return .failed(tooLarge(statement)) }
                continue
            }
            guard isOfRow(result) else { return .failed(error) }
            let place = rowsPerStatement > 1 ? error : error.with { $0.rowIndex = row }
            // ON CONFLICT ROLLBACK, or RAISE(ROLLBACK): there is nothing to go on with.
            guard connection.transaction == .active else { return .failed(place) }
            if rowsPerStatement > 1 { return .refusedTogether }
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
        return [SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_TOOBIG, SQLITE_RANGE].contains(result & 0xff)
    }

    private func error(_ result: Int32) -> DriverError {
        connection.noteDamage(result)
        if let reason = execution.run.stopReason { return .stopped(reason) }
        if result == SQLITE_RANGE { return Self.beyondSigned }
        if result == Self.notANumber { return Self.hasNaN }
        return connection.authorization.denial ?? SQLiteErrors.error(connection.handle, result)
    }

    /// The block keeps the bytes until the run has ended.
    private func bind(_ cell: Cell, _ rows: RowView, _ handle: OpaquePointer, _ place: Int32) -> Int32 {
        switch cell.kind {
        case .null: return sqlite3_bind_null(handle, place)
        case .bool: return sqlite3_bind_int64(handle, place, cell.bool ? 1 : 0)
        case .integer: return sqlite3_bind_int64(handle, place, cell.integer)
        // It would not stay what it is.
        case .unsigned: return SQLITE_RANGE
        // SQLite would make NULL of NaN.
        case .real: return cell.real.isNaN ? Self.notANumber : sqlite3_bind_double(handle, place, cell.real)
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

    /// None of SQLite's results: an extended one of SQLITE_RANGE.
    private static let notANumber = SQLITE_RANGE | 0xff << 8
    private static let hasNaN = DriverError(
        .databaseError, "It has NaN, of which SQLite makes NULL.", hint: "Make it null, or text.", sqlState: "22003")
    private static let beyondSigned = DriverError(
        .databaseError, "It has an integer beyond 9223372036854775807, the greatest that SQLite has.",
        hint: "Make it text, or a real number.", sqlState: "22003")
    private static let misfit = DriverError(
        .badRequest, "The rows have another number of values than the table has columns.", sqlState: "42601")
}
