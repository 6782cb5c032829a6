// A run on a SQLite connection: prepare, bind, step, and hand rows to the sink. Synchronous: where it runs (loop, worker,
// inside a group of writes) is decided by the links and the writer.
//
// On the way of a short read, connection, statement and run are handed down as parameters: a reference that is read from a
// property is counted, twice for each use, and a point SELECT has many.

internal import CSQLite
internal import CSQLiteFiles
internal import LinuxSystem
internal import Synchronization

/// What became of a piece of work on a statement.
enum AdvanceOutcome {
    /// The sink has a complete frame; there may be more rows.
    case filled
    /// The budget is spent between two rows: go on elsewhere with the same cursor.
    case outgrew
    /// The budget was spent within a step: nothing may be kept, start again elsewhere.
    case interruptedByBudget
    /// A value, or else a pattern, is larger than it may be here: start again, elsewhere or with other limits.
    case exceededLimit(isPattern: Bool)
    /// The statement has ended; the run has its summary or its error.
    case ended
    /// Prepared on a reader, it turned out to write.
    case needsWriter
    /// The database has to be opened anew before it can start.
    case needsDatabase
}

/// Where the rows of a statement may go.
enum AdvanceMode {
    /// On a loop until the deadline.
    case loop(deadline: MonotonicInstant)
    /// On a worker; stops at a full frame when the sink has no room.
    case worker
    /// On a worker: all frames, up to `bufferedByteCountMax`.
    case buffered
}

/// State of one run between its steps.
///
/// - Thread: that of the run.
final class SQLiteExecution: @unchecked Sendable {
    @exclusivity(unchecked) private(set) var run: StatementRun
    @exclusivity(unchecked) private(set) var owner: LinkOwner
    let mailbox: LoopMailbox
    @exclusivity(unchecked) var connection: SQLiteConnection?
    @exclusivity(unchecked) var statement: CachedStatement?
    /// What it waits for; touched on the loop only.
    @exclusivity(unchecked) var place = Place.loop
    @exclusivity(unchecked) var ticket: WriteTicket?
    /// Counted among the long reads of its database.
    @exclusivity(unchecked) var isLongRead = false
    /// Among those of its link that are on a worker or suspended; touched on the loop only.
    @exclusivity(unchecked) var isAway = false
    /// Whom `stop` interrupts; touched on the loop only, unlike `connection`.
    @exclusivity(unchecked) var interruptTarget: SQLiteConnection?
    @exclusivity(unchecked) var busyTimer: TimerID?
    @exclusivity(unchecked) var busyToken: UInt64 = 0
    /// Among those of its client whose order is kept; touched on the loop only.
    @exclusivity(unchecked) var isInLine = false
    /// Nobody knows yet whether it writes; touched on the loop only.
    @exclusivity(unchecked) var isUndecided = false
    /// When it was looked at, an earlier write of its client was not done, which may make what it needs; touched on the loop only.
    @exclusivity(unchecked) var isBehindWrites = false
    /// It could not be prepared once, and was looked at again; touched on the loop only.
    @exclusivity(unchecked) var isLookedAtAgain = false
    /// A batch, which has a transaction of its own; set when it joins the writers' queue.
    @exclusivity(unchecked) var isBatch = false
    /// Whose it is while it is in a group of writes.
    private let claim = Atomic<Claim.RawValue>(Claim.none.rawValue)
    /// Called on the loop when the writer has ended the run.
    var onWritten: (@Sendable () -> Void)?
    /// Set by the writer: nothing was run, since the database has to be opened anew.
    @exclusivity(unchecked) var mustStartAgain = false
    /// How often it was started again for that.
    @exclusivity(unchecked) var startCount = 0
    /// A loop could not prepare its statement.
    @exclusivity(unchecked) var isUnfitForLoop = false
    /// Values and patterns may be less large than usual while it is stepped.
    @exclusivity(unchecked) private var isLimited = false
    @exclusivity(unchecked) private var hasBegun = false
    @exclusivity(unchecked) private var totalChangesBefore: Int64 = 0
    @exclusivity(unchecked) private var lastInsertIDBefore: Int64 = 0

    enum Place { case loop, waitingForDatabase, waitingForLongRead, waitingForWriter, worker, suspended, ended }

    init(_ run: StatementRun, _ owner: LinkOwner, _ mailbox: LoopMailbox) {
        self.run = run
        self.owner = owner
        self.mailbox = mailbox
    }

    /// Prepares a used execution for another run, so that a request allocates none.
    func reuse(for run: StatementRun, _ owner: LinkOwner) {
        self.run = run
        self.owner = owner
        place = .loop
        startCount = 0
        hasBegun = false
        isUnfitForLoop = false
        isBehindWrites = false
        isLookedAtAgain = false
        claim.store(Claim.none.rawValue, ordering: .relaxed)
    }

    /// Goes back to the start: nothing was produced.
    func rewind() {
        if let statement { sqlite3_reset(statement.handle) }
        hasBegun = false
        run.restart()
    }

    // MARK: In a group of writes

    /// What the writer begins cannot be withdrawn any more, and what its link has withdrawn is not begun: neither it nor its run
    /// is touched by the writer from then on.
    private enum Claim: UInt8 { case none, begun, withdrawn }

    private func take(_ wanted: Claim) -> Bool {
        claim.compareExchange(
            expected: Claim.none.rawValue, desired: wanted.rawValue, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Makes it the writer's.
    /// - Returns: false when it was withdrawn.
    /// - Thread: that of the writer.
    func takeForWriter() -> Bool { take(.begun) }

    /// Nothing of it has been done, or it was undone: it may be withdrawn again.
    /// - Thread: that of whoever has it, the writer or, before it is put into the queue, its loop.
    func giveBack() { claim.store(Claim.none.rawValue, ordering: .releasing) }

    /// Takes it out of its group; then it has ended for everybody, and is not used again.
    /// - Returns: false when the writer has begun it.
    /// - Thread: its loop's.
    func withdraw() -> Bool { take(.withdrawn) }

    var isWithdrawn: Bool { claim.load(ordering: .acquiring) == Claim.withdrawn.rawValue }
    /// Whether the writer has done what there was to do; asked by the writer.
    var isWritten: Bool { claim.load(ordering: .acquiring) == Claim.begun.rawValue }

    /// Time for a statement that should run on a worker, where there is none.
    static let withoutWorkerMillisecondsMax: Int64 = 100

    /// Rows between two looks at the clock.
    private static let clockRowMask: Int64 = 15

    /// Prepares and binds on `connection`.
    @discardableResult
    func prepare(on connection: SQLiteConnection) throws(DriverError) -> CachedStatement {
        owner.account.charge()
        let statement = try connection.soundStatement(for: run, isUnfitForLoop: isUnfitForLoop)
        do throws(DriverError) {
            try connection.bind(run, to: statement)
        } catch {
            statement.release()
            throw error
        }
        self.connection = connection
        self.statement = statement
        hasBegun = false
        totalChangesBefore = sqlite3_total_changes64(connection.handle)
        guard let target = statement.insertTarget else { return statement }
        lastInsertIDBefore = sqlite3_last_insert_rowid(connection.handle)
        connection.watchInserts(into: target)
        return statement
    }

    /// Does what a loop could not, or goes on with it, on a thread of `pool`.
    /// `onPrepared` is called when it is prepared here, and not for the writer.
    func runOnWorker(
        _ database: SQLiteDatabase, in pool: WorkerPool, mayWrite: Bool, onPrepared: () -> Void
    ) -> AdvanceOutcome {
        let isPrepared = statement != nil
        if let outcome = prepareOnWorker(database, mayWrite: mayWrite) { return outcome }
        if !isPrepared { onPrepared() }
        // Who has the lock for writing is to give it back soon.
        if statement?.isReadOnly == true, connection?.holdsWriteLock == false { connection?.share = (pool, owner.uid) }
        defer { connection?.share = nil }
        return advance(.worker)
    }

    /// Prepares where the loop could not, on a connection that is opened if need be.
    /// - Returns: `nil` when the statement can be stepped.
    private func prepareOnWorker(_ database: SQLiteDatabase, mayWrite: Bool) -> AdvanceOutcome? {
        guard statement == nil else { return nil }
        do throws(DriverError) {
            let connection =
                if let own = connection { own } else { try database.openReader(mayBlock: true) }
            self.connection = connection
            connection.mayBlock = true
            if case .describe = run.kind {
                describe(on: connection)
                return .ended
            }
            try prepare(on: connection)
            return mayWrite || statement?.isReadOnly == true ? nil : .needsWriter
        } catch {
            if error.isReplacement { return .needsDatabase }
            run.error = error
            return .ended
        }
    }

    /// Gives the statement back; the connection stays with the caller.
    func releaseStatement() {
        statement.take()?.release()
    }

    /// Steps until a frame is full, the budget is spent, or the statement has ended (then it is released).
    func advance(_ mode: AdvanceMode) -> AdvanceOutcome {
        guard let connection, let statement else { return .ended }
        let outcome = advance(mode, connection, statement)
        guard statement.isOutdated, case .interruptedByBudget = outcome else { return outcome }
        // What it names has become a virtual table, which was not asked for when it was prepared.
        releaseStatement()
        run.restart()
        do throws(DriverError) {
            return advance(mode, connection, try prepare(on: connection))
        } catch {
            run.error = error
            return .ended
        }
    }

    /// The same for who has just prepared `statement` on `connection`.
    func advance(
        _ mode: AdvanceMode, _ connection: SQLiteConnection, _ statement: CachedStatement
    ) -> AdvanceOutcome {
        let run = run
        var deadline = MonotonicInstant.distantFuture
        connection.mayBlock = true
        if case .loop(let limit) = mode {
            // Prepared by the same thread just now.
            deadline = limit
            connection.mayBlock = false
        } else {
            owner.account.charge()
            // No thread could be made: what a loop does in place of a worker must not keep the others waiting.
            if !Thread.mayBlock {
                deadline = MonotonicInstant.now.advanced(byMilliseconds: Self.withoutWorkerMillisecondsMax)
            }
        }
        connection.authorization.denial = nil
        let (wasBegun, commitCount) = (hasBegun, litebase_sqlite3_commits())
        connection.begin(run, statement, budgetDeadline: deadline)
        // From here on it can be interrupted; whoever wanted that before has found nobody.
        if connection.mayBlock, let reason = run.stopReason {
            connection.end()
            return fail(.stopped(reason))
        }
        if connection.mayBlock { connection.beginGuard() }
        var outcome = stepWithinLimits(run, connection, statement, mode, deadline)
        if connection.mayBlock { AllocationGuard.end() }
        connection.end()
        if connection.mayBlock { litebase_sqlite3_look_at_index(connection.handle) }
        if connection.hasLostIndex || (run.error != nil && connection.findsLoss()) {
            outcome = lose(connection, mode, commitCount, wasBegun: wasBegun, outcome)
        }
        if case .ended = outcome { releaseStatement() }
        return outcome
    }

    /// Steps with values that are small enough for where it runs, and once more with larger ones where that is possible.
    private func stepWithinLimits(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ mode: AdvanceMode,
        _ deadline: MonotonicInstant
    ) -> AdvanceOutcome {
        if case .loop = mode {
            isLimited = connection.limit(
                values: statement.loopValueByteCountMax, patterns: SQLiteBudget.loopPatternByteCountMax)
        } else if !statement.isReadOnly {
            return stepWrite(run, connection, statement, mode, deadline)
        } else {
            connection.liftLimits()
            isLimited = false
        }
        return step(run, connection, statement, mode, deadline)
    }

    private func stepWrite(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ mode: AdvanceMode,
        _ deadline: MonotonicInstant
    ) -> AdvanceOutcome {
        var patterns = statement.matchesPatterns ? SQLiteBudget.writePatternByteCountsMax[...] : []
        while true {
            let values = statement.writeValueByteCountMax(patternByteCount: patterns.first ?? 0)
            isLimited = connection.limit(
                values: values, patterns: patterns.first ?? SQLiteLimit.patternByteCountMax)
            defer { connection.liftLimits() }
            var outcome = AdvanceOutcome.exceededLimit(isPattern: false)
            if !isLimited || connection.largestParameterByteCount <= Int(values) {
                outcome = step(run, connection, statement, mode, deadline)
            }
            guard case .exceededLimit(let isPattern) = outcome else { return outcome }
            sqlite3_reset(statement.handle)
            hasBegun = false
            run.sink.restart()
            if isPattern, patterns.count > 1 {
                patterns.removeFirst()
            } else if isPattern || !statement.weighExactly(on: connection) {
                return fail(SQLiteErrors.tooLargeForWriting(values))
            }
        }
    }

    /// Runs a write to its end, keeping all its rows: a lock must not depend on the client's reading.
    ///
    /// All changes are made before the first row of RETURNING, and giving up after it would commit them: a savepoint
    /// undoes them.
    func advanceWrite() {
        guard let connection, let statement, statement.writesAndReturns else {
            _ = advance(.buffered)
            return
        }
        run.sink.ignorePages()
        do throws(DriverError) {
            try connection.execute("SAVEPOINT litebase_returning")
            _ = advance(.buffered)
            if run.error == nil, connection.transaction == .active {
                // Outside of a transaction this commits, and looks at deferred foreign keys.
                try connection.execute("RELEASE litebase_returning")
            }
        } catch {
            run.error = run.error ?? error
        }
        if run.error != nil, connection.transaction == .active {
            try? connection.execute("ROLLBACK TO litebase_returning")
            try? connection.execute("RELEASE litebase_returning")
        }
        releaseStatement()
        run.summary.transaction = connection.transaction
    }

    /// Bytes of rows by RETURNING that are kept until the statement has ended.
    private static let bufferedByteCountMax = 16 << 20

    private func step(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ mode: AdvanceMode,
        _ deadline: MonotonicInstant
    ) -> AdvanceOutcome {
        let sink = run.sink
        while true {
            let result = sqlite3_step(statement.handle)
            guard result == SQLITE_ROW else { return finish(run, connection, statement, result) }
            if !hasBegun { begin(sink, statement) }
            if run.rowCount >= run.rowCountMax {
                run.isTruncated = true
                // A write has to come to its end, without its further rows.
                if statement.isReadOnly { return finish(run, connection, statement, SQLITE_DONE) }
                continue
            }
            pushRow(statement.handle, sink)
            run.rowCount &+= 1
            switch sink.endRow() {
            case .open: break
            case .overflow: return fail(Self.rowTooLarge(sink.rowByteCountMax))
            case .full:
                switch mode {
                case .loop: return .filled
                case .worker: if !sink.hasRoom || run.stopReason != nil { return .filled }
                case .buffered:
                    if sink.pendingByteCount > Self.bufferedByteCountMax { return fail(Self.resultTooLarge) }
                }
                sink.reopen()
            }
            if run.rowCount & Self.clockRowMask == 0, deadline != .distantFuture, deadline < .now {
                if case .loop = mode { return .outgrew }
                return fail(Self.noWorker)
            }
        }
    }

    private func begin(_ sink: RowSink, _ statement: CachedStatement) {
        hasBegun = true
        // A write with RETURNING has a savepoint.
        sink.mayRefuse = true
        sink.begin(statement.columns)
    }

    private func pushRow(_ handle: OpaquePointer, _ sink: RowSink) {
        sink.beginRow()
        for index in 0..<sqlite3_data_count(handle) {
            // One look-up for each value; "unprotected" is fine on one thread (https://sqlite.org/c3ref/column_blob.html).
            let value = sqlite3_column_value(handle, index)
            switch sqlite3_value_type(value) {
            case SQLITE_INTEGER: sink.integer(sqlite3_value_int64(value))
            case SQLITE_FLOAT: sink.real(sqlite3_value_double(value))
            case SQLITE_TEXT:
                // The text call first: it may convert, and then the byte count is that of the result.
                let text = sqlite3_value_text(value)
                sink.text(UnsafeRawBufferPointer(start: text, count: Int(sqlite3_value_bytes(value))))
            case SQLITE_BLOB:
                // The size first: asking for the bytes of a zeroblob makes them.
                let byteCount = Int(sqlite3_value_bytes(value))
                guard sink.hasRoom(for: byteCount) else { return }
                sink.blob(UnsafeRawBufferPointer(start: sqlite3_value_blob(value), count: byteCount))
            default: sink.null()
            }
        }
    }

    private func finish(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ result: Int32
    ) -> AdvanceOutcome {
        guard result == SQLITE_DONE else {
            if connection.isBudgetSpent, run.stopReason == nil {
                return connection.mayBlock ? fail(Self.noWorker) : .interruptedByBudget
            }
            return failure(connection, statement, result)
        }
        if !hasBegun { begin(run.sink, statement) }
        if !statement.isReadOnly { summarize(connection, statement) }
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
        guard sqlite3_total_changes64(connection.handle) != totalChangesBefore else { return }
        run.summary.rowsAffected = sqlite3_changes64(connection.handle)
    }

    /// What the statement may ask for itself, `last_insert_rowid()`, is left as SQLite keeps it. It tells nothing of a statement
    /// that inserted no row with a rowid (WITHOUT ROWID, an upsert, a conflict).
    private func takeInsertID(_ connection: SQLiteConnection) {
        let rowID = sqlite3_last_insert_rowid(connection.handle)
        // Virtual tables have no hook: there a new number tells.
        guard connection.hasInserted || rowID != lastInsertIDBefore else { return }
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

    private func fail(_ error: DriverError) -> AdvanceOutcome {
        run.error = error
        if let connection {
            releaseStatement()
            run.summary.transaction = connection.transaction
        }
        return .ended
    }

    private static func rowTooLarge(_ limit: Int) -> DriverError {
        DriverError(
            .limitExceeded, "A row is larger than the \(limit) bytes that a row of a reply may have (row_bytes_max).",
            hint: "Select fewer or smaller columns, or parts of them with substr().", sqlState: "54000"
        ).with { $0.limit = DriverLimit(name: "row_bytes_max", value: Int64(limit)) }
    }

    private static let noWorker = DriverError(
        .limitExceeded, "No thread can be started for a statement that takes long.",
        hint: "Try again; the administrator may raise the limit of threads (TasksMax=, ulimit -u).", sqlState: "53000"
    ).with { $0.isRetryable = true }

    private static let resultTooLarge = DriverError(
        .limitExceeded,
        "RETURNING gave more than the \(bufferedByteCountMax) bytes of rows that are kept while the write lock is held.",
        hint: "Return fewer columns, or fewer rows at a time.", sqlState: "54000"
    ).with { $0.limit = DriverLimit(name: "returning_bytes_max", value: Int64(bufferedByteCountMax)) }
}
