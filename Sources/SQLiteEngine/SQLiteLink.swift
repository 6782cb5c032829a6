// What both kinds of links share: moving a run between its loop, the workers and the write queue.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

/// Base of the links to SQLite.
///
/// - Thread: the loop of its context.
class SQLiteLink: EventSource {
    final let database: SQLiteDatabase
    final let context: DriverContext
    @exclusivity(unchecked) private var freeExecutions: [SQLiteExecution] = []
    /// Writes that wait for their turn, by the token of their timer.
    private var waitingWrites: [UInt64: SQLiteExecution] = [:]
    private var lastToken: UInt64 = 0
    /// Executions that are on a worker, or suspended.
    private var away: [SQLiteExecution] = []
    /// The opening of the database that this link uses; 0: none yet.
    final var generation: UInt64 = 0
    /// When to check next whether the files are still at their paths.
    @exclusivity(unchecked) private var nextLook = MonotonicInstant.now

    private static let lookMilliseconds: Int64 = 100

    private static let freeExecutionCountMax = 64

    init(_ database: SQLiteDatabase, _ context: DriverContext) {
        self.database = database
        self.context = context
        super.init()
        let weakSelf = LoopBound(WeakLink(link: self), context.loop.mailbox)
        let mailbox = context.loop.mailbox
        database.register(ObjectIdentifier(self)) { mailbox.submit { weakSelf.wrapped.link?.databaseLeft() } }
    }

    deinit { database.unregister(ObjectIdentifier(self)) }

    private struct WeakLink {
        weak var link: SQLiteLink?
    }

    // MARK: What the kinds of links decide

    private static func isMissing() -> Never { preconditionFailure("\(self) lacks an override") }

    /// Starts an execution on an open database.
    func begin(_ execution: SQLiteExecution) -> RunOutcome { Self.isMissing() }
    /// Takes the connection back from an execution that has ended.
    func takeBack(_ connection: consuming SQLiteConnection) { Self.isMissing() }
    /// Asked before what outgrew the loop goes on elsewhere.
    /// - Returns: `nil` when it may; otherwise what came of it: it was queued to start again, or has ended.
    func reserveWorker(_ execution: SQLiteExecution) -> RunOutcome? { nil }
    /// Whether others may have to wait for what is done on its connection.
    var holdsUpWriters: Bool { false }
    /// Whether a statement that writes may be stepped on the connection that an execution has.
    func needsNoWriteTurn(_ execution: SQLiteExecution) -> Bool { false }
    /// Puts a write into the queue.
    func enqueueWrite(_ execution: SQLiteExecution) -> RunOutcome { Self.isMissing() }
    /// It cannot be prepared.
    func preparationFailed(_ execution: SQLiteExecution, _ error: DriverError) -> RunOutcome { end(execution, error) }
    /// It goes to a worker, and is not prepared yet.
    func willBePreparedOnWorker(_ execution: SQLiteExecution) {}
    /// It starts on a worker, from its beginning: a loop's reader stays with the loop if its pages are worth more than preparing the
    /// statement.
    func leaveReader(_ execution: SQLiteExecution) {}
    /// It has ended, or turned out not to write, and was one of those whose order is kept.
    func leaveLine(_ execution: SQLiteExecution) {}
    /// Begins once more when the database is open again.
    func startAgain(_ execution: SQLiteExecution) -> RunOutcome { end(execution, .databaseReplaced) }
    /// What a run is told that works on files which are not there any more.
    var replacedError: DriverError { database.hasLeftIndex ? .indexLost(database.options.path) : .databaseReplaced }
    /// The database has to be opened again; unused connections must be released.
    func discardStaleConnections() {}

    // MARK: The life of an execution

    final func execution(for run: StatementRun, _ owner: LinkOwner) -> SQLiteExecution {
        let execution: SQLiteExecution
        if let free = freeExecutions.popLast() {
            free.reuse(for: run, owner)
            execution = free
        } else {
            execution = SQLiteExecution(run, owner, context.loop.mailbox)
        }
        run.execution = execution
        return execution
    }

    final func execution(of run: StatementRun) -> SQLiteExecution? {
        run.execution.map { unsafeDowncast($0, to: SQLiteExecution.self) }
    }

    /// Runs on the loop within the budget, then wherever it belongs.
    final func runOnLoop(
        _ execution: SQLiteExecution, _ connection: SQLiteConnection, _ statement: consuming CachedStatement
    ) -> RunOutcome {
        let start = MonotonicInstant.now
        let deadline = start.advanced(byNanoseconds: SQLiteBudget.loopNanoseconds)
        let processorTime = statement.isQuick ? nil : context.slowUsers.begin(execution.owner.uid, now: start)
        let outcome = execution.advance(.loop(deadline: deadline), connection, statement)
        // Functions and some single steps cannot be interrupted: a statement that was too slow repeatedly starts on a
        // worker.
        let now = MonotonicInstant.now
        let tookTooLong = deadline.advanced(byNanoseconds: 3 * SQLiteBudget.loopNanoseconds) < now
        statement.noteLoopRun(tookTooLong: tookTooLong)
        context.workedUntil = now
        if now.nanoseconds(since: start) > SlowUsers.holdNanoseconds {
            context.slowUsers.noteHold(execution.owner.uid, since: processorTime, now: now)
        }
        if case .exceededLimit = outcome { statement.noteLoopRun(tookTooLong: true) }
        let isOutdated = statement.isOutdated
        // The last reference may finalize it, which must not happen while the connection is elsewhere.
        _ = consume statement
        switch outcome {
        case .ended: return end(execution)
        case .filled: return reserveWorker(execution) ?? suspend(execution)
        case .outgrew: return reserveWorker(execution) ?? runOnWorker(execution)
        case .interruptedByBudget, .exceededLimit:
            execution.rewind()
            if isOutdated {
                execution.releaseStatement()
                execution.isUnfitForLoop = true
            } else {
                leaveReader(execution)
            }
            return reserveWorker(execution) ?? runOnWorker(execution)
        case .needsWriter: return enqueueWrite(execution)
        case .needsDatabase: return startAgain(execution)
        }
    }

    /// What came of preparing on a loop.
    enum LoopPreparation {
        case prepared(CachedStatement)
        /// The run has ended, or goes on elsewhere.
        case not(RunOutcome)
    }

    /// Prepares on the loop, without waiting for locks.
    final func prepareOnLoop(_ execution: SQLiteExecution, _ connection: SQLiteConnection) -> LoopPreparation {
        connection.mayBlock = false
        if isKeptFromLoop(execution, connection) {
            execution.connection = connection
            return .not(prepareOnWorker(execution))
        }
        defer { notePreparation(execution, connection) }
        do throws(DriverError) {
            return .prepared(try execution.prepare(on: connection))
        } catch {
            execution.connection = connection
            if error.isReplacement { return .not(startAgain(execution)) }
            if connection.mustPrepareOnWorker { return .not(prepareOnWorker(execution)) }
            if error.code == .busy { return .not(runOnWorker(execution)) }
            return .not(preparationFailed(execution, error))
        }
    }

    /// Whether a loop does not even try: it would have to read a large schema, or has been held by this user.
    final func isKeptFromLoop(_ execution: SQLiteExecution, _ connection: SQLiteConnection) -> Bool {
        connection.mayForgetLargeSchema
            || context.slowUsers.preparesSlowly(execution.owner.uid, now: context.loop.now)
    }

    /// Something may have been prepared on the loop. Within some steps of that nobody looks at the clock.
    final func notePreparation(_ execution: SQLiteExecution, _ connection: SQLiteConnection) {
        guard connection.loopPreparationNanoseconds > 0 else { return }
        let now = MonotonicInstant.now
        context.workedUntil = now
        context.slowUsers.notePreparation(
            execution.owner.uid, computed: connection.loopPreparationNanoseconds, now: now)
        connection.loopPreparationNanoseconds = 0
    }

    /// What a loop cannot prepare in time.
    final func prepareOnWorker(_ execution: SQLiteExecution) -> RunOutcome {
        execution.isUnfitForLoop = true
        return reserveWorker(execution) ?? runOnWorker(execution)
    }

    /// Longer texts are prepared on a worker, in bytes.
    static let loopSQLByteCountMax = 16 << 10

    /// Whether a statement that was just prepared on the loop starts on a worker, because one of its steps may take too
    /// long here.
    /// - Parameters:
    ///   - execution: the execution.
    ///   - statement: with its parameters bound.
    ///   - connection: on which it was prepared.
    ///   - mayCountRows: whether a scan of a whole table is short enough.
    /// - Returns: whether it does.
    final func startsOnWorker(
        _ execution: SQLiteExecution, _ statement: CachedStatement, _ connection: SQLiteConnection,
        mayCountRows: @autoclosure () -> Bool
    ) -> Bool {
        statement.startsOnWorker() || context.slowUsers.isSlow(execution.owner.uid, now: context.loop.now)
            || connection.largestParameterByteCount > Int(statement.loopValueByteCountMax)
            || (statement.countsRows && !mayCountRows())
            // What a loop has begun, one thread has to read to its end.
            || (execution.run.sink.isDivisible
                && litebase_sqlite3_file_bytes(connection.handle) >= ParallelScan.fileByteCountMin)
    }

    /// Goes on, or starts, on a worker's thread.
    final func runOnWorker(_ execution: SQLiteExecution) -> RunOutcome {
        move(execution, to: .worker)
        if execution.statement == nil { willBePreparedOnWorker(execution) }
        execution.interruptTarget = execution.connection
        let link = LoopBound(self, context.loop.mailbox)
        let (mayWrite, database) = (needsNoWriteTurn(execution), database)
        let workers = context.longReadWorkers
        (holdsUpWriters ? context.promptWorkers : workers).submit(for: execution.owner.uid) {
            let outcome = execution.runOnWorker(database, in: workers, mayWrite: mayWrite) {
                let connection = execution.connection
                execution.mailbox.submit { link.wrapped.wasPrepared(execution, connection) }
            }
            execution.continueOnLoop { link.wrapped.workerReturned(execution, outcome) }
        }
        return .pending
    }

    /// A worker has prepared a statement, on a connection that it may have opened, and steps it now.
    private func wasPrepared(_ execution: SQLiteExecution, _ connection: SQLiteConnection?) {
        if execution.order.line != .none { leaveLine(execution) }
        execution.interruptTarget = connection
        // It was stopped meanwhile, when there was nothing to interrupt.
        if execution.run.stopReason != nil { connection?.interrupt(execution.run) }
    }

    /// Runs a write to its end on a worker's thread.
    final func runWriteOnWorker(_ execution: SQLiteExecution) -> RunOutcome {
        move(execution, to: .worker)
        execution.interruptTarget = execution.connection
        let link = LoopBound(self, context.loop.mailbox)
        let database = database
        context.promptWorkers.submit(for: execution.owner.uid) {
            database.write(execution) { execution.advanceWrite() }
            execution.continueOnLoop { link.wrapped.end(execution) }
        }
        return .pending
    }

    private func workerReturned(_ execution: SQLiteExecution, _ outcome: AdvanceOutcome) -> RunOutcome {
        if case .needsWriter = outcome { return enqueueWrite(execution) }
        if case .needsDatabase = outcome { return startAgain(execution) }
        guard case .filled = outcome else {
            if execution.order.line == .undecided, let error = execution.run.error {
                return preparationFailed(execution, error)
            }
            return end(execution)
        }
        if let reason = execution.run.stopReason { return endOnWorker(execution, .stopped(reason)) }
        return suspend(execution)
    }

    private func suspend(_ execution: SQLiteExecution) -> RunOutcome {
        move(execution, to: .suspended)
        return .filled
    }

    /// Ends a run that was pending.
    final func endAndTell(_ execution: SQLiteExecution, _ error: DriverError) {
        let run = execution.run
        end(execution, error).tell(run)
    }

    /// Ends the run: gives everything back.
    final func end(_ execution: SQLiteExecution) -> RunOutcome {
        move(execution, to: .ended)
        if execution.run.hasError, execution.run.error?.isReplacement == true {
            database.noteLoss(execution.connection)
            execution.run.error = replacedError
        }
        execution.releaseStatement()
        if let connection = execution.connection.take() { takeBack(connection) }
        endLongRead(execution)
        if execution.order.line != .none { leaveLine(execution) }
        execution.wait.onWritten = nil
        execution.wait.ticket = nil
        execution.interruptTarget = nil
        let run = execution.run
        run.execution = nil
        // The writer may still use one that was withdrawn; and a run is kept until the next one takes its place.
        if freeExecutions.count < Self.freeExecutionCountMax, !execution.claim.isWithdrawn, !run.kind.isTransfer {
            freeExecutions.append(execution)
        }
        return .ended
    }

    /// Lets the next long read start.
    final func endLongRead(_ execution: SQLiteExecution) {
        guard execution.isLongRead else { return }
        execution.isLongRead = false
        database.endLongRead(of: execution.owner)
    }

    final func end(_ execution: SQLiteExecution, _ error: DriverError) -> RunOutcome {
        execution.run.error = error
        return end(execution)
    }

    /// Ends a run that has not come to its end. What a worker has sorted or stored for it is freed on a worker, too.
    private func endOnWorker(_ execution: SQLiteExecution, _ error: DriverError) -> RunOutcome {
        guard execution.interruptTarget != nil else { return end(execution, error) }
        execution.run.error = error
        move(execution, to: .worker)
        let link = LoopBound(self, context.loop.mailbox)
        context.promptWorkers.submit(for: execution.owner.uid) {
            execution.releaseStatement()
            execution.continueOnLoop { link.wrapped.end(execution) }
        }
        return .pending
    }

    // MARK: Files that are not there any more

    /// Whether the database is open, and its files were at their paths at the last check.
    final var isCurrent: Bool {
        guard generation != 0, generation == database.currentGeneration else { return false }
        return context.loop.now < nextLook || look()
    }

    /// Checks the files of the database; if they are gone, all links are notified.
    private func look() -> Bool {
        nextLook = context.loop.now.advanced(byMilliseconds: Self.lookMilliseconds)
        return database.isInPlace(generation)
    }

    /// The database's files were deleted or replaced: ends what reads the old ones.
    private func databaseLeft() {
        for execution in away {
            if execution.stage == .suspended {
                let run = execution.run
                endOnWorker(execution, .databaseReplaced).tell(run)
            } else {
                execution.run.requestStop(.databaseReplaced)
                execution.interruptTarget?.interrupt(execution.run)
            }
        }
        discardStaleConnections()
    }

    /// Records where an execution is; what is away is told when the files are replaced.
    final func move(_ execution: SQLiteExecution, to stage: SQLiteExecution.Stage) {
        let wasAway = execution.stage.isAway
        execution.stage = stage
        guard stage.isAway != wasAway else { return }
        if stage.isAway { return away.append(execution) }
        if let index = away.firstIndex(where: { $0 === execution }) { away.remove(at: index) }
    }

    // MARK: Resuming and stopping

    final func resume(_ run: StatementRun) -> RunOutcome {
        guard let execution = execution(of: run), execution.stage == .suspended else { return .pending }
        run.sink.reopen()
        return runOnWorker(execution)
    }

    final func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        guard let execution = execution(of: run) else { return .pending }
        run.requestStop(reason)
        switch execution.stage {
        case .suspended: return endOnWorker(execution, .stopped(run.stopReason ?? reason))
        case .waitingForLongRead:
            if database.stopWaitingForLongRead(execution) { return end(execution, .stopped(reason)) }
        case .waitingForWriter:
            if leaveWriteQueue(execution) { return end(execution, .stopped(reason)) }
            // Without a connection of its own it is the writer's.
            if let own = execution.interruptTarget { own.interrupt(run) } else { database.interruptWriter(run) }
        case .worker: execution.interruptTarget?.interrupt(run)
        case .loop, .waitingForDatabase, .ended: break
        }
        return .pending
    }

    // MARK: Waiting for the write lock

    /// Queues a ticket with a limited waiting time.
    final func wait(_ execution: SQLiteExecution, _ ticket: WriteTicket) {
        move(execution, to: .waitingForWriter)
        execution.wait.ticket = ticket
        execution.isBatch =
            switch execution.run.kind {
            case .batch, .load, .restore: true
            case .statement, .describe, .backup, .copy: false
            }
        execution.claim.release()
        lastToken += 1
        waitingWrites[lastToken] = execution
        execution.wait.token = lastToken
        execution.wait.timer = context.loop.schedule(
            self, token: lastToken, at: context.loop.now.advanced(byMilliseconds: database.options.busyMillisecondsMax))
        database.writes.enqueue(ticket)
    }

    /// The wait is over, whatever its outcome.
    final func stopWaiting(_ execution: SQLiteExecution) {
        if waitingWrites.removeValue(forKey: execution.wait.token) != nil, let timer = execution.wait.timer {
            context.loop.cancel(timer)
        }
        execution.wait.timer = nil
    }

    /// Removes a waiting write from the queue, or from a group whose writer has not begun it.
    /// - Returns: false if it was granted or begun already.
    private func leaveWriteQueue(_ execution: SQLiteExecution) -> Bool {
        guard let ticket = execution.wait.ticket else { return execution.order.line != .none }
        // The turn of a session may be on its way here.
        guard database.writes.remove(ticket) || (ticket.execution != nil && execution.claim.withdraw()) else {
            return false
        }
        stopWaiting(execution)
        return true
    }

    override func timerFired(_ token: UInt64) {
        guard let execution = waitingWrites[token] else { return }
        execution.wait.timer = nil
        guard leaveWriteQueue(execution) else {
            // It is running in a group, which may be undone.
            let next = context.loop.now.advanced(byMilliseconds: Self.secondLookMilliseconds)
            execution.wait.timer = context.loop.schedule(self, token: token, at: next)
            return
        }
        endAndTell(execution, busyError())
    }

    /// Interval of checks whether a write still waits, after it has waited for too long.
    private static let secondLookMilliseconds: Int64 = 100

    private func busyError() -> DriverError {
        let holder = database.writes.holder
        let who = holder.map { "uid \($0.uid), pid \($0.pid)" } ?? "another writer"
        return DriverError(
            .busy, "The database is being written by \(who).",
            hint: "Try again; let transactions that write be short.", sqlState: "55P03"
        ).with {
            $0.holder = holder
            $0.isRetryable = true
            $0.limit = DriverLimit(name: "busy_time_ms_max", value: database.options.busyMillisecondsMax)
        }
    }
}

extension SQLiteExecution {
    /// Continues on its loop, and tells the run what came of that.
    /// - Thread: any.
    func continueOnLoop(_ body: @escaping @Sendable () -> RunOutcome) {
        mailbox.submit {
            // The execution may serve another run when its own has ended.
            let run = self.run
            body().tell(run)
        }
    }
}
