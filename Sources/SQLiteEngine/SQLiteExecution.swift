// A run on a SQLite connection: prepare, bind, step, and pass rows to the sink. Synchronous: the links and the writer
// decide where it runs (loop, worker, inside a group of writes).
//
// On the path of a short read, connection, statement and run are passed as parameters: a reference that is read from a
// property is retained and released at each use, and a point SELECT has many uses.

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem

/// The result of a piece of work on a statement.
enum AdvanceOutcome {
    /// The sink has a complete frame; there may be more rows.
    case filled
    /// The budget is spent between two rows: continue elsewhere with the same cursor.
    case outgrew
    /// The budget was spent within a step: drop everything, and start again elsewhere.
    case interruptedByBudget
    /// A value, or a pattern, is larger than allowed here: start again, elsewhere or with other limits.
    case exceededLimit(isPattern: Bool)
    /// The statement has ended; the run has its summary or its error.
    case ended
    /// Prepared on a reader, it turned out to write.
    case needsWriter
    /// The database has to be opened again before it can start.
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
    /// What a backup reads.
    @exclusivity(unchecked) private var pages: PageReader?
    /// What reads a whole table with several threads.
    @exclusivity(unchecked) private var scan: ParallelScan?
    @exclusivity(unchecked) var direct = DirectReading()
    /// Where it is; used on the loop only, and changed by its link (`SQLiteLink.move`).
    @exclusivity(unchecked) var stage = Stage.loop
    /// It counts as one of the long reads of its database.
    @exclusivity(unchecked) var isLongRead = false
    /// The connection that `stop` interrupts; used on the loop only, unlike `connection`.
    @exclusivity(unchecked) var interruptTarget: SQLiteConnection?
    /// Its wait for the write lock; used on the loop only.
    @exclusivity(unchecked) var wait = WriteWait()
    /// Its place among the reads that wait; used on the loop only.
    @exclusivity(unchecked) var longReadTicket: FairQueue<SQLiteDatabase.LongReadWaiter>.Ticket?
    /// What keeps its client's writes in order; used on the loop only.
    @exclusivity(unchecked) var order = ClientOrder()
    /// A batch, which has a transaction of its own; set when it joins the write queue, since the writer asks it of what may
    /// have been withdrawn.
    @exclusivity(unchecked) var isBatch = false
    /// Who owns it while it is in a group of writes.
    let claim = WriteClaim()
    /// How often it was started again because the database had to be opened again.
    @exclusivity(unchecked) var startCount = 0
    /// A loop could not prepare its statement.
    @exclusivity(unchecked) var isUnfitForLoop = false
    /// Values and patterns may have lower limits than usual while it is stepped.
    @exclusivity(unchecked) var isLimited = false
    @exclusivity(unchecked) var hasBegun = false
    /// What its connection had counted before its statement.
    @exclusivity(unchecked) var before = ChangeCounts()

    enum Stage {
        case loop, waitingForDatabase, waitingForLongRead, waitingForWriter, worker, suspended, ended

        /// It may have a connection without being on the loop.
        var isAway: Bool { self == .worker || self == .suspended }
    }

    /// A wait for the turn to write.
    struct WriteWait {
        var ticket: WriteTicket?
        /// Called on the loop when the writer has ended the run.
        var onWritten: (@Sendable () -> Void)?
        /// Ends the wait when it has lasted too long.
        var timer: TimerID?
        /// Identifies the wait to its timer.
        var token: UInt64 = 0
    }

    /// The place of a statement among those of its client, whose writes keep their order.
    struct ClientOrder {
        enum Line {
            /// Its order does not matter, or is that of the write queue.
            case none
            /// In line, and not known yet whether it writes.
            case undecided
            /// In line, behind others that may write.
            case write
        }

        var line = Line.none
        /// When it was checked, an earlier write of its client was not done, which may create what it needs.
        var isBehindWrites = false
        /// It could not be prepared once, and was checked again.
        var isLookedAtAgain = false
    }

    /// What a connection counts.
    struct ChangeCounts {
        var totalChanges: Int64 = 0
        var lastInsertID: Int64 = 0
    }

    init(_ run: StatementRun, _ owner: LinkOwner, _ mailbox: LoopMailbox) {
        self.run = run
        self.owner = owner
        self.mailbox = mailbox
    }

    /// Prepares a used execution for another run, so that a request allocates none.
    func reuse(for run: StatementRun, _ owner: LinkOwner) {
        self.run = run
        self.owner = owner
        stage = .loop
        startCount = 0
        hasBegun = false
        isUnfitForLoop = false
        order = ClientOrder()
        claim.release()
    }

    /// Resets it to its start: nothing was produced.
    func rewind() {
        endScan()
        direct = DirectReading()
        if let statement { sqlite3_reset(statement.handle) }
        hasBegun = false
        run.restart()
    }

    /// Time limit of a statement that should run on a worker, if there is no thread.
    static let withoutWorkerMillisecondsMax: Int64 = 100

    /// Rows between two checks of the clock.
    private static let clockRowMask: Int64 = 15

    /// Prepares and binds on `connection`.
    @discardableResult
    func prepare(on connection: SQLiteConnection) throws(DriverError) -> CachedStatement {
        owner.account.charge()
        let statement = try connection.soundStatement(for: run, isUnfitForLoop: isUnfitForLoop)
        do throws(DriverError) {
            if connection.mayWrite { try connection.refuseIfMoved(statement) }
            try connection.bind(run, to: statement)
        } catch {
            statement.release()
            throw error
        }
        self.connection = connection
        self.statement = statement
        hasBegun = false
        direct = DirectReading()
        before.totalChanges = sqlite3_total_changes64(connection.handle)
        guard let target = statement.insertTarget else { return statement }
        before.lastInsertID = sqlite3_last_insert_rowid(connection.handle)
        connection.watchInserts(into: target)
        return statement
    }

    /// Does what a loop could not, or continues it, on a thread of `pool`. `onPrepared` is called if it is prepared
    /// here, and not for the writer.
    func runOnWorker(
        _ database: SQLiteDatabase, in pool: WorkerPool, mayWrite: Bool, onPrepared: () -> Void
    ) -> AdvanceOutcome {
        if case .backup = run.kind {
            // A loop that replaces a worker has no time for all pages.
            return Thread.mayBlock ? copyPages(database) : fail(Self.noWorker)
        }
        let isPrepared = statement != nil
        if let outcome = prepareOnWorker(database, mayWrite: mayWrite) { return outcome }
        if !isPrepared { onPrepared() }
        // The holder of the write lock has to return it soon.
        if statement?.isReadOnly == true, connection?.holdsWriteLock == false { connection?.share = (pool, owner.uid) }
        defer { connection?.share = nil }
        if run.sink.isDivisible, !hasBegun, scan == nil, let connection, let statement {
            scan = ParallelScan.begin(run, statement, owner, on: connection, of: database, in: pool)
        }
        if let scan { return advance(scan) }
        if !direct.isRestLookedFor, let connection, let statement {
            direct.isRestLookedFor = true
            direct.rest = TableRest(run, statement, on: connection)
        }
        return advance(.worker)
    }

    /// Prepares what the loop could not, and opens a connection if necessary.
    /// - Returns: `nil` if the statement can be stepped.
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
            // Here it may take its time: the next statements of the transaction may be prepared on the loop.
            if connection.transaction == .active { _ = connection.comparesSchema(run.sql.count, for: run) }
            try prepare(on: connection)
            return mayWrite || statement?.isReadOnly == true ? nil : .needsWriter
        } catch {
            if error.isReplacement { return .needsDatabase }
            run.error = error
            return .ended
        }
    }

    /// Releases the statement; the connection stays with the caller.
    func releaseStatement() {
        statement.take()?.release()
        if pages != nil { pages = nil }
        endScan()
        direct = DirectReading()
    }

    private func endScan() {
        guard let scan = scan.take() else { return }
        scan.end()
    }

    /// Passes pages to the sink until it has no room.
    private func copyPages(_ database: SQLiteDatabase) -> AdvanceOutcome {
        owner.account.charge()
        do throws(DriverError) {
            let pages = if let begun = pages { begun } else { try beginCopying(database) }
            while true {
                if let reason = run.stopReason { throw .stopped(reason) }
                let bytes = try pages.next()
                if let connection, connection.hasLostIndex { throw .indexLost(connection.options.path) }
                guard let bytes else { return .ended }
                hasBegun = true
                run.sink.beginRow()
                run.sink.blob(bytes)
                if case .full = run.sink.endRow(), !run.sink.hasRoom { return .filled }
            }
        } catch {
            let mayStartAgain = error.isReplacement && !hasBegun
            releaseStatement()
            if mayStartAgain { return .needsDatabase }
            run.error = error
            return .ended
        }
    }

    private func beginCopying(_ database: SQLiteDatabase) throws(DriverError) -> PageReader {
        let connection = if let own = connection { own } else { try database.openReader(mayBlock: true) }
        self.connection = connection
        connection.mayBlock = true
        connection.begin(run, nil)
        defer { connection.end() }
        let made = try PageReader(connection)
        pages = made
        run.sink.expect(made.byteCount)
        return made
    }

    /// Steps until a frame is full, the budget is spent, or the statement has ended (then it is released).
    func advance(_ mode: AdvanceMode) -> AdvanceOutcome {
        guard let connection, let statement else { return .ended }
        let outcome = advance(mode, connection, statement)
        guard statement.isOutdated, case .interruptedByBudget = outcome else { return outcome }
        // A name in it has become that of a virtual table, which was not checked when it was prepared.
        releaseStatement()
        run.restart()
        do throws(DriverError) {
            return advance(mode, connection, try prepare(on: connection))
        } catch {
            run.error = error
            return .ended
        }
    }

    /// The same for a caller that has just prepared `statement` on `connection`.
    func advance(
        _ mode: AdvanceMode, _ connection: SQLiteConnection, _ statement: CachedStatement
    ) -> AdvanceOutcome {
        let run = run
        var deadline = MonotonicInstant.distantFuture
        connection.mayBlock = true
        if case .loop(let limit) = mode {
            // The same thread has just prepared it.
            deadline = limit
            connection.mayBlock = false
        } else {
            owner.account.charge()
            // No thread could be created: a loop that replaces a worker must not delay others.
            if !Thread.mayBlock {
                deadline = MonotonicInstant.now.advanced(byMilliseconds: Self.withoutWorkerMillisecondsMax)
            }
        }
        connection.authorization.denial = nil
        let (wasBegun, commitCount) = (hasBegun, litebase_sqlite3_commits())
        connection.begin(run, statement, budgetDeadline: deadline)
        // From now on it can be interrupted; an earlier interrupt has had no effect.
        if connection.mayBlock, let reason = run.stopReason {
            connection.end()
            return fail(.stopped(reason))
        }
        if connection.mayBlock {
            connection.noteChanges(by: statement)
            connection.beginGuard()
        }
        var outcome = stepWithinLimits(run, connection, statement, mode, deadline)
        if connection.mayBlock { AllocationGuard.end() }
        connection.end()
        if connection.mayBlock {
            connection.tellChanges(by: statement, since: commitCount)
            litebase_sqlite3_look_at_index(connection.handle)
        }
        if connection.hasLostIndex || (run.hasError && connection.findsLoss()) {
            outcome = lose(connection, mode, commitCount, wasBegun: wasBegun, outcome)
        }
        if case .ended = outcome { releaseStatement() }
        return outcome
    }

    /// Steps with values that are small enough for this thread, and once more with larger ones if possible.
    private func stepWithinLimits(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ mode: AdvanceMode,
        _ deadline: MonotonicInstant
    ) -> AdvanceOutcome {
        if case .loop = mode {
            // Before the limits: it may list the statement's program, which lifts them.
            if let outcome = look(run, connection, statement, run.sink) { return outcome }
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
            if !isLimited || max(connection.largestParameterByteCount, statement.blobByteCountMax) <= Int(values) {
                outcome = step(run, connection, statement, mode, deadline)
            }
            guard case .exceededLimit(let isPattern) = outcome else { return outcome }
            sqlite3_reset(statement.handle)
            hasBegun = false
            run.sink.restart()
            if isPattern, patterns.count > 1 {
                patterns.removeFirst()
            } else if isPattern || !statement.weighExactly(on: connection) {
                return fail(run.stopReason.map(DriverError.stopped) ?? SQLiteErrors.tooLargeForWriting(values))
            }
        }
    }

    /// Runs a write to its end and keeps all its rows: a lock must not depend on how fast the client reads.
    ///
    /// All changes are made before the first row of RETURNING, and stopping after that would commit them, so a
    /// savepoint undoes them.
    func advanceWrite() {
        guard let connection, let statement, statement.writesAndReturns else {
            _ = advance(.buffered)
            return
        }
        run.sink.ignorePages()
        let uncommitted = connection.uncommitted
        do throws(DriverError) {
            try connection.execute("SAVEPOINT litebase_returning")
            _ = advance(.buffered)
            if run.error == nil, connection.transaction == .active {
                // Outside of a transaction this commits, and checks deferred foreign keys.
                try connection.execute("RELEASE litebase_returning")
            }
        } catch {
            run.error = run.error ?? error
        }
        if run.error != nil, connection.transaction == .active {
            try? connection.execute("ROLLBACK TO litebase_returning")
            connection.uncommitted = uncommitted
            try? connection.execute("RELEASE litebase_returning")
        }
        releaseStatement()
        run.summary.transaction = connection.transaction
    }

    /// The most bytes of RETURNING's rows that are kept until the statement has ended.
    static let bufferedByteCountMax = 16 << 20

    private func step(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement, _ mode: AdvanceMode,
        _ deadline: MonotonicInstant
    ) -> AdvanceOutcome {
        // Kept here: the run is in another module, and each access is a call.
        let (sink, rowCountMax) = (run.sink, run.rowCountMax)
        var rowCount = run.rowCount
        if statement.listsProgram { return listProgram(run, connection, statement) }
        if direct.isAtEnd { return finish(run, connection, statement, SQLITE_DONE) }
        if let rest = direct.rest, let outcome = read(rest, run, connection, statement, deadline) {
            return outcome
        }
        while true {
            let result = sqlite3_step(statement.handle)
            guard result == SQLITE_ROW else { return finish(run, connection, statement, result) }
            if !hasBegun { begin(sink, statement) }
            if rowCount >= rowCountMax {
                run.isTruncated = true
                // A write has to run to its end, without its further rows.
                if statement.isReadOnly { return finish(run, connection, statement, SQLITE_DONE) }
                continue
            }
            Self.pushRow(statement.handle, sqlite3_data_count(statement.handle), sink)
            rowCount &+= 1
            run.rowCount = rowCount
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
            if rowCount & Self.clockRowMask == 0, deadline != .distantFuture, deadline < .now {
                if case .loop = mode { return .outgrew }
                return fail(Self.noWorker)
            }
            if let rest = direct.rest {
                if let outcome = read(rest, run, connection, statement, deadline) { return outcome }
                direct.rest = nil
            }
        }
    }

    /// Lists the program of EXPLAIN from its first operation to its last one: as soon as SQLite is asked for anything else on the
    /// connection, it may read the schema anew and free what the program refers to.
    private func listProgram(
        _ run: StatementRun, _ connection: SQLiteConnection, _ statement: CachedStatement
    ) -> AdvanceOutcome {
        let sink = run.sink
        sink.ignorePages()
        guard let listing = connection.prepareListing(of: statement) else {
            return finish(run, connection, statement, sqlite3_errcode(connection.handle))
        }
        defer { sqlite3_finalize(listing) }
        begin(sink, statement)
        while true {
            if let reason = run.stopReason { return fail(.stopped(reason)) }
            let result = sqlite3_step(listing)
            guard result == SQLITE_ROW else { return finish(run, connection, statement, result) }
            if run.rowCount >= run.rowCountMax {
                run.isTruncated = true
                return finish(run, connection, statement, SQLITE_DONE)
            }
            Self.pushRow(listing, sqlite3_data_count(listing), sink)
            run.rowCount += 1
            switch sink.endRow() {
            case .open: break
            case .overflow: return fail(Self.rowTooLarge(sink.rowByteCountMax))
            case .full:
                if sink.pendingByteCount > Self.bufferedByteCountMax { return fail(Self.listingTooLarge) }
                sink.reopen()
            }
        }
    }

    func begin(_ sink: RowSink, _ statement: CachedStatement) {
        hasBegun = true
        // A write with RETURNING has a savepoint.
        sink.mayRefuse = true
        sink.begin(statement.columns)
    }

    /// Passes the first values of a row to the sink.
    @inline(__always)
    static func pushRow(_ handle: OpaquePointer, _ valueCount: Int32, _ sink: RowSink) {
        sink.beginRow()
        for index in 0..<valueCount {
            // One look-up for each value; "unprotected" is fine on one thread
            // (https://sqlite.org/c3ref/column_blob.html).
            let value = sqlite3_column_value(handle, index)
            switch sqlite3_value_type(value) {
            case SQLITE_INTEGER: sink.integer(sqlite3_value_int64(value))
            case SQLITE_FLOAT: sink.real(sqlite3_value_double(value))
            case SQLITE_TEXT:
                // The text call first: it may convert, and then the byte count is that of the result.
                let text = sqlite3_value_text(value)
                sink.text(UnsafeRawBufferPointer(start: text, count: Int(sqlite3_value_bytes(value))))
            case SQLITE_BLOB:
                // The size first: reading the bytes of a zeroblob allocates them.
                let byteCount = Int(sqlite3_value_bytes(value))
                guard sink.hasRoom(for: byteCount) else { return }
                sink.blob(UnsafeRawBufferPointer(start: sqlite3_value_blob(value), count: byteCount))
            default: sink.null()
            }
        }
    }
}
