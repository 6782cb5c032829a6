// What the two kinds of links have in common: moving a run between its loop, the workers and the writers' queue.

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
    /// Which opening of the database this link uses; 0: none yet.
    final var generation: UInt64 = 0
    /// When to look next whether the files are still there.
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

    /// Starts an execution on an open database.
    func begin(_ execution: SQLiteExecution) {}
    /// Takes the connection back from an execution that has ended.
    func takeBack(_ connection: consuming SQLiteConnection) {}
    /// Whether a read that outgrew the loop may go on; if not, it was queued to start again.
    func mayLeaveLoop(_ execution: SQLiteExecution) -> Bool { true }
    /// Whether a statement that writes may be stepped on the connection that an execution has.
    func mayWriteOnWorker(_ execution: SQLiteExecution) -> Bool { false }
    /// Puts a write into the queue.
    func enqueueWrite(_ execution: SQLiteExecution) {}
    /// It cannot be prepared.
    func preparationFailed(_ execution: SQLiteExecution, _ error: DriverError) { end(execution, error) }
    /// It goes to a worker, and is not prepared yet.
    func willBePreparedOnWorker(_ execution: SQLiteExecution) {}
    /// It has ended, or turned out to write nothing, and was among those whose order is kept.
    func leaveLine(_ execution: SQLiteExecution) {}
    /// Begins once more when the database is open again.
    func startAgain(_ execution: SQLiteExecution) { end(execution, .replaced) }
    /// What a run is told that works on files which are not there any more.
    var replacedError: DriverError { database.hasLeftIndex ? .indexLost(database.options.path) : .replaced }
    /// The database has to be opened anew; connections that nobody uses must be given up.
    func giveUpConnections() {}

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
        _ execution: SQLiteExecution, _ connection: SQLiteConnection, _ statement: CachedStatement
    ) {
        let start = MonotonicInstant.now
        let deadline = start.advanced(byNanoseconds: SQLiteBudget.loopNanoseconds)
        let processorTime = statement.isQuick ? nil : context.slowUsers.begin(execution.owner.uid, now: start)
        let outcome = execution.advance(.loop(deadline: deadline), connection, statement)
        // Functions and some single steps cannot be interrupted: what is too slow again and again starts elsewhere.
        let now = MonotonicInstant.now
        let tookTooLong = deadline.advanced(byNanoseconds: 3 * SQLiteBudget.loopNanoseconds) < now
        statement.noteLoopRun(tookTooLong: tookTooLong)
        if now.nanoseconds(since: start) > SlowUsers.holdNanoseconds {
            context.slowUsers.noteHold(execution.owner.uid, since: processorTime, now: now)
        }
        switch outcome {
        case .ended: end(execution)
        case .filled: if mayLeaveLoop(execution) { suspend(execution) }
        case .outgrew: if mayLeaveLoop(execution) { runOnWorker(execution) }
        case .interruptedByBudget, .exceededLimit:
            if case .exceededLimit = outcome { statement.noteLoopRun(tookTooLong: true) }
            execution.rewind()
            if statement.isOutdated {
                execution.releaseStatement()
                execution.isUnfitForLoop = true
            }
            if mayLeaveLoop(execution) { runOnWorker(execution) }
        case .needsWriter: enqueueWrite(execution)
        case .needsDatabase: startAgain(execution)
        }
    }

    /// Prepares on the loop, without waiting for locks.
    /// - Returns: `nil` when the run has ended, or goes on elsewhere.
    final func prepareOnLoop(_ execution: SQLiteExecution, _ connection: SQLiteConnection) -> CachedStatement? {
        connection.mayBlock = false
        do throws(DriverError) {
            return try execution.prepare(on: connection)
        } catch {
            execution.connection = connection
            if error.isReplacement {
                startAgain(execution)
            } else if connection.mustPrepareOnWorker {
                prepareOnWorker(execution)
            } else if error.code == .busy {
                runOnWorker(execution)
            } else {
                preparationFailed(execution, error)
            }
            return nil
        }
    }

    /// What a loop cannot prepare in time.
    final func prepareOnWorker(_ execution: SQLiteExecution) {
        execution.isUnfitForLoop = true
        if mayLeaveLoop(execution) { runOnWorker(execution) }
    }

    /// Texts beyond this are prepared on a worker, in bytes.
    static let loopSQLByteCountMax = 16 << 10

    /// Whether a statement that was just prepared on the loop starts on a worker: one step of it may take too long here.
    /// - Parameters:
    ///   - execution: for whom.
    ///   - statement: with its parameters bound.
    ///   - connection: on which it was prepared.
    ///   - mayCountRows: whether a walk through a whole table is short enough.
    /// - Returns: whether it does.
    final func startsOnWorker(
        _ execution: SQLiteExecution, _ statement: CachedStatement, _ connection: SQLiteConnection,
        mayCountRows: @autoclosure () -> Bool
    ) -> Bool {
        statement.startsOnWorker() || context.slowUsers.isSlow(execution.owner.uid, now: context.loop.now)
            || connection.largestParameterByteCount > Int(statement.loopValueByteCountMax)
            || (statement.countsRows && !mayCountRows())
    }

    /// Goes on, or starts, on a worker's thread.
    final func runOnWorker(_ execution: SQLiteExecution) {
        leaveLoop(execution)
        if execution.statement == nil { willBePreparedOnWorker(execution) }
        execution.interruptTarget = execution.connection
        let link = LoopBound(self, context.loop.mailbox)
        let (mayWrite, database) = (mayWriteOnWorker(execution), database)
        let workers = context.workers
        workers.submit(for: execution.owner.uid) {
            let outcome = execution.runOnWorker(database, in: workers, mayWrite: mayWrite) {
                let connection = execution.connection
                execution.mailbox.submit { link.wrapped.wasPrepared(execution, connection) }
            }
            execution.mailbox.submit { link.wrapped.workerReturned(execution, outcome) }
        }
    }

    /// A worker has prepared a statement, on a connection that it may have opened, and steps it now.
    private func wasPrepared(_ execution: SQLiteExecution, _ connection: SQLiteConnection?) {
        if execution.isInLine { leaveLine(execution) }
        execution.interruptTarget = connection
        // Told meanwhile, when there was nobody to interrupt.
        if execution.run.stopReason != nil { connection?.interrupt(execution.run) }
    }

    /// Runs a write to its end on a worker's thread.
    final func runWriteOnWorker(_ execution: SQLiteExecution) {
        leaveLoop(execution)
        execution.interruptTarget = execution.connection
        let link = LoopBound(self, context.loop.mailbox)
        let database = database
        context.writers.submit(for: execution.owner.uid) {
            database.write(execution) { execution.advanceWrite() }
            execution.mailbox.submit { link.wrapped.end(execution) }
        }
    }

    private func workerReturned(_ execution: SQLiteExecution, _ outcome: AdvanceOutcome) {
        if case .needsWriter = outcome { return enqueueWrite(execution) }
        if case .needsDatabase = outcome { return startAgain(execution) }
        guard case .filled = outcome else {
            if execution.isUndecided, let error = execution.run.error { return preparationFailed(execution, error) }
            return end(execution)
        }
        if let reason = execution.run.stopReason {
            execution.run.error = .stopped(reason)
            return end(execution)
        }
        suspend(execution)
    }

    private func suspend(_ execution: SQLiteExecution) {
        execution.place = .suspended
        execution.run.runDidFill()
    }

    /// Ends the run: gives everything back, then tells its owner.
    final func end(_ execution: SQLiteExecution) {
        comeBack(execution)
        if execution.run.error?.isReplacement == true {
            database.noteLoss(execution.connection)
            execution.run.error = replacedError
        }
        execution.releaseStatement()
        if let connection = execution.connection.take() { takeBack(connection) }
        endLongRead(execution)
        if execution.isInLine { leaveLine(execution) }
        execution.place = .ended
        execution.onWritten = nil
        execution.ticket = nil
        execution.interruptTarget = nil
        let run = execution.run
        run.execution = nil
        // The writer may still look at one that was withdrawn.
        if freeExecutions.count < Self.freeExecutionCountMax, !execution.isWithdrawn {
            freeExecutions.append(execution)
        }
        run.runDidEnd()
    }

    /// Lets the next long read begin.
    final func endLongRead(_ execution: SQLiteExecution) {
        guard execution.isLongRead else { return }
        execution.isLongRead = false
        database.endLongRead(of: execution.owner)
    }

    final func end(_ execution: SQLiteExecution, _ error: DriverError) {
        execution.run.error = error
        end(execution)
    }

    // MARK: Files that are not there any more

    /// Whether the database is open, and its files are where they were, as far as was looked lately.
    final var isCurrent: Bool {
        guard generation != 0, generation == database.currentGeneration else { return false }
        return context.loop.now < nextLook || look()
    }

    /// Looks at the files of the database; when they are gone, everybody who uses them is told.
    private func look() -> Bool {
        nextLook = context.loop.now.advanced(byMilliseconds: Self.lookMilliseconds)
        return database.isInPlace(generation)
    }

    /// The database's files were deleted or replaced: ends what reads the former ones.
    private func databaseLeft() {
        for execution in away {
            if execution.place == .suspended {
                end(execution, .replaced)
            } else {
                execution.run.requestStop(.databaseReplaced)
                execution.interruptTarget?.interrupt(execution.run)
            }
        }
        giveUpConnections()
    }

    /// From here on it may have a connection without being on the loop.
    final func leaveLoop(_ execution: SQLiteExecution) {
        if !execution.isAway {
            execution.isAway = true
            away.append(execution)
        }
        execution.place = .worker
    }

    final func comeBack(_ execution: SQLiteExecution) {
        guard execution.isAway else { return }
        execution.isAway = false
        if let index = away.firstIndex(where: { $0 === execution }) { away.remove(at: index) }
    }

    // MARK: Resuming and stopping

    final func resume(_ run: StatementRun) {
        guard let execution = execution(of: run), execution.place == .suspended else { return }
        run.sink.reopen()
        runOnWorker(execution)
    }

    final func stop(_ run: StatementRun, _ reason: StopReason) {
        guard let execution = execution(of: run) else { return }
        run.requestStop(reason)
        switch execution.place {
        case .suspended: end(execution, .stopped(run.stopReason ?? reason))
        case .waitingForLongRead:
            if database.stopWaitingForLongRead(execution) { end(execution, .stopped(reason)) }
        case .waitingForWriter:
            if leaveWriteQueue(execution) {
                end(execution, .stopped(reason))
            } else {
                // Without a connection of its own it is the writer's.
                if let own = execution.interruptTarget { own.interrupt(run) } else { database.interruptWriter(run) }
            }
        case .worker: execution.interruptTarget?.interrupt(run)
        case .loop, .waitingForDatabase, .ended: break
        }
    }

    // MARK: Waiting for the write lock

    /// Queues a ticket, with a limit on the wait.
    final func wait(_ execution: SQLiteExecution, _ ticket: WriteTicket) {
        execution.place = .waitingForWriter
        execution.ticket = ticket
        execution.isBatch = if case .batch = execution.run.kind { true } else { false }
        execution.giveBack()
        lastToken += 1
        waitingWrites[lastToken] = execution
        execution.busyToken = lastToken
        execution.busyTimer = context.loop.schedule(
            self, token: lastToken, at: context.loop.now.advanced(byMilliseconds: database.options.busyMillisecondsMax))
        database.writes.enqueue(ticket)
    }

    /// The wait is over, whatever its outcome.
    final func stopWaiting(_ execution: SQLiteExecution) {
        if waitingWrites.removeValue(forKey: execution.busyToken) != nil, let timer = execution.busyTimer {
            context.loop.cancel(timer)
        }
        execution.busyTimer = nil
    }

    /// Takes a write back that waits, in the queue or in a group that the writer has not come to.
    /// - Returns: false when it was granted or begun already.
    private func leaveWriteQueue(_ execution: SQLiteExecution) -> Bool {
        guard let ticket = execution.ticket else { return execution.isInLine }
        // A session's turn may be on its way here.
        guard database.writes.remove(ticket) || (ticket.execution != nil && execution.withdraw()) else { return false }
        stopWaiting(execution)
        return true
    }

    override func timerFired(_ token: UInt64) {
        guard let execution = waitingWrites[token] else { return }
        execution.busyTimer = nil
        guard leaveWriteQueue(execution) else {
            // It is being run in a group, which may be undone.
            let next = context.loop.now.advanced(byMilliseconds: Self.secondLookMilliseconds)
            execution.busyTimer = context.loop.schedule(self, token: token, at: next)
            return
        }
        end(execution, busyError())
    }

    /// Time between two looks whether a write still waits, once it has waited for too long.
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
