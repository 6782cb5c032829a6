// The life of requests that need a database: start, rows, end, stop.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection {
    /// Makes an operation of the request in `context.body` and takes its bytes over, so views into them stay valid.
    func makeOperation(_ request: ReceivedRequest) -> Operation {
        fill(context.takeOperation(request.encoding, stream.framing, request.row), request)
    }

    /// The same for one whose data go into a file.
    func makeOperation(_ request: ReceivedRequest, _ transfer: Transfer) -> Operation {
        fill(context.makeOperation(request.encoding, stream.framing, request.row, transfer), request)
    }

    private func fill(_ operation: Operation, _ request: ReceivedRequest) -> Operation {
        swap(&operation.storage, &context.body)
        operation.id = request.head.id
        operation.connection = self
        operation.wantsNotices = noticeEncoding != nil
        operation.clock.start(at: .now)
        operation.serial = inFlight.nextSerial()
        return operation
    }

    /// Starts an operation, or queues it behind the others of its session.
    func submit(_ operation: Operation) -> RequestOutcome {
        if let session = operation.session { submit(operation, in: session) } else { start(operation) }
        return .pending
    }

    private func submit(_ operation: Operation, in session: Session) {
        precondition(operation.row.traits.contains(.mayQueue), "a request of this type has no turn in a session")
        session.waiting.append(operation)
        let isNext = session.active == nil && session.waiting.count == 1
        // The type of a long request is known only now: the output may be full by then.
        if isNext, flow.mayProduce(outputByteCount: stream.output.count) { return startNext(of: session) }
        operation.progress = .queued
        operation.clock.suspend()
        track(operation)
        if isNext { flow.requestWasHeld() }
    }

    /// Starts waiting requests of a session until they have taken the time of a turn.
    ///
    /// A client that does not read gets no further results produced, and others on the loop get their turn.
    func startNext(of session: Session) {
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        while flow.mayProduce(outputByteCount: stream.output.count) {
            guard let operation = session.next() else { return }
            start(operation)
            if session.active == nil, !session.waiting.isEmpty, deadline < .now { break }
        }
        if session.active == nil, !session.waiting.isEmpty { flow.requestWasHeld() }
    }

    /// Continues sessions that had to wait for the output or for others' turns.
    func continueSessions() {
        for session in sessions.open where session.active == nil && !session.waiting.isEmpty { startNext(of: session) }
    }

    /// Stops queries whose next page nobody can request any more: the client has closed its end, or the daemon reads no more.
    func stopUnfetchablePages() {
        let reason = phase == .draining ? StopReason.shuttingDown : .cancelled
        for operation in inFlight.operations where operation.progress == .waitingForFetch { stop(operation, reason) }
    }

    private func start(_ operation: Operation) {
        // After others of its session, its time starts when theirs has ended; that needs no system call.
        if operation.progress == .queued, let session = operation.session {
            operation.clock.resume(at: max(context.loop.now, session.lastEnd))
        }
        move(operation, to: .starting)
        if operation.session != nil {
            operation.decodeParameters()
            if operation.isTracked { inFlight.charge(operation, holding: operation.startedByteCount) }
        }
        // Asked before it is handed over: a worker that decodes parameters changes what it holds.
        let heldByteCount = operation.startedByteCount
        // Without a link there is nothing to run: it was to wait for its turn.
        let outcome = operation.link?.start(operation, for: owner) ?? .ended
        if follow(operation, outcome) { return release(operation) }
        if operation.progress == .starting { move(operation, to: .running) }
        if operation.isTracked { armTimer(operation) } else { track(operation, holding: heldByteCount) }
    }

    /// Does what has come of a run's call, and calls again for as long as there is room for rows.
    /// - Returns: whether the operation has ended; it is answered then, and not released.
    private func follow(_ operation: Operation, _ first: RunOutcome) -> Bool {
        var outcome = first
        while true {
            switch outcome {
            case .pending: return false
            case .filled: outcome = operation.transfer == nil ? takeFrame(operation) : passOn(operation)
            case .ended:
                if operation.transfer != nil, !endTransfer(operation) { return false }
                finish(operation)
                return true
            }
        }
    }

    /// What was pending has come.
    func operationDidGoOn(_ operation: Operation, _ outcome: RunOutcome) {
        withOutputStorage {
            if follow(operation, outcome) { release(operation, of: operation.session) }
            finishTurn()
        }
    }

    /// Records the progress of an operation.
    func move(_ operation: Operation, to progress: Operation.Progress) {
        let (former, stage) = (operation.progress.stage, progress.stage)
        operation.progress = progress
        if operation.isTracked, former != stage { flow.requestDidMove(from: former, to: stage) }
    }

    // MARK: Operations that outlive their turn

    /// Adds an operation that nobody works on yet to those in flight, until it ends.
    func track(_ operation: Operation) { track(operation, holding: operation.heldByteCount) }

    private func track(_ operation: Operation, holding heldByteCount: Int) {
        guard !operation.isTracked else { return }
        flow.requestDidBegin(operation.progress.stage)
        inFlight.add(operation, holding: heldByteCount)
        watch.setCount(inFlight.count)
        account.requestsInFlight.add(1)
        context.statistics.requestsInFlight += 1
        context.statistics.notePeak(.requestsInFlight, inFlight.count)
        // Nothing more is read from this connection until some have ended.
        if inFlight.count == context.limits.requestsInFlightMax { hit(.requestsInFlight) }
        context.shared.requestsInFlight.add(1, ordering: .relaxed)
        armTimer(operation)
    }

    /// Arms the timer of the time limit. While the operation's clock stands still (the client's time is not the
    /// statement's), no timer is needed; resuming the clock calls this. A timer that fires too early is armed again.
    func armTimer(_ operation: Operation) {
        guard operation.timer == nil, let deadline = operation.clock.deadline else { return }
        operation.timer = context.loop.schedule(self, token: operation.serial, at: deadline)
    }

    func disarmTimer(_ operation: Operation) {
        if let timer = operation.timer { context.loop.cancel(timer) }
        operation.timer = nil
    }

    /// Removes an operation that has ended.
    func release(_ operation: Operation) {
        if operation.isTracked {
            flow.requestDidEnd(operation.progress.stage)
            inFlight.remove(operation)
            watch.setCount(inFlight.count)
            account.requestsInFlight.add(-1)
            context.statistics.requestsInFlight -= 1
            context.shared.requestsInFlight.subtract(1, ordering: .relaxed)
            disarmTimer(operation)
            if isClosed { settleAccount() }
        }
        context.recycle(operation)
    }

    // MARK: Rows

    /// A frame of rows is complete.
    private func takeFrame(_ operation: Operation) -> RunOutcome {
        if refuseResult(of: operation) {
            move(operation, to: .running)
            return operation.link?.stop(operation, .cancelled) ?? .ended
        }
        operation.hasSentRows = true
        if !isClosed { sendRows(of: operation) }
        operation.rows.buffer.removeAll()
        return continueRows(operation)
    }

    /// Appends produced rows to the output; many bytes are not copied.
    func sendRows(of operation: Operation) {
        let rows = operation.rows
        if operation.databaseNumber >= 0 {
            context.statistics.count(database: operation.databaseNumber, bytes: rows.buffer.count)
        }
        if rows.buffer.count >= Self.movedByteCountMin {
            stream.output.take(over: &rows.buffer)
        } else {
            stream.output.append(rows.buffer.readable)
        }
    }

    private static let movedByteCountMin = 256 << 10

    /// Has the run go on, if there is room for its rows and somebody wants them.
    func continueRows(_ operation: Operation) -> RunOutcome {
        if operation.rows.isPageComplete, let pageRowCount = operation.pageRowCount {
            guard operation.fetchCredit > 0 else {
                move(operation, to: .waitingForFetch)
                operation.waitingSince = context.loop.now
                context.housekeeper.watch(self)
                // The client's time does not count.
                operation.clock.stop(at: .now)
                disarmTimer(operation)
                return .pending
            }
            operation.fetchCredit -= 1
            operation.rows.allowPage(pageRowCount)
        }
        if flow.mayProduce(outputByteCount: stream.output.count) {
            move(operation, to: .running)
            return operation.link?.resume(operation) ?? .pending
        }
        move(operation, to: .waitingForOutput)
        operation.waitingSince = context.loop.now
        operation.clock.stop(at: .now)
        return .pending
    }

    /// The client has read: rows may be produced again.
    /// - Returns: whether one of the runs had a frame or its end at once, so that the output has changed.
    func resumeRows() -> Bool {
        var hasChanged = false
        for operation in inFlight.operations where operation.progress == .waitingForOutput {
            move(operation, to: .running)
            operation.clock.resume(at: .now)
            armTimer(operation)
            let outcome = operation.link?.resume(operation) ?? .pending
            if outcome == .pending { continue }
            hasChanged = true
            if follow(operation, outcome) { release(operation, of: operation.session) }
        }
        return hasChanged
    }

    // MARK: The end

    /// An operation has ended.
    func operationDidEnd(_ operation: Operation) { operationDidGoOn(operation, .ended) }

    /// The run has ended: reply.
    private func finish(_ operation: Operation) {
        move(operation, to: .ended)
        record(operation)
        noteChange(by: operation)
        _ = refuseResult(of: operation)
        if !isClosed {
            if !operation.notices.isEmpty { tellNotices(of: operation) }
            replyEnd(operation)
        }
        if !operation.cancels.isEmpty { answerCancels(of: operation) }
        let session = operation.session
        if let session { sessions.noteKept(session) }
        if session?.active === operation { session?.active = nil }
        if let session, !isClosed, session.isIdleInTransaction {
            session.isWarned = false
            context.housekeeper.watch(self)
        }
    }

    /// Forgets an operation that has ended, and lets its session go on.
    private func release(_ operation: Operation, of session: Session?) {
        release(operation)
        if let session { goOn(session) }
    }

    /// Starts the next request of a session, or closes it if its client is gone and nothing uses it any more.
    private func goOn(_ session: Session) {
        if !isClosed { return session.isRevoked ? endIfUnused(session) : startNext(of: session) }
        if session.active == nil { session.link.close() }
    }

    private func replyEnd(_ operation: Operation) {
        if let refusal = operation.refusal {
            // No error may claim that a statement did nothing if it has changed something.
            let hasChanged = operation.error == nil && operation.summary.rowsAffected > 0
            if hasChanged { return replyError(operation, .doneWithoutRows(refusal)) }
            if operation.error?.code != .outcomeUnknown {
                return replyError(operation, operation.link is ImportLink ? refusal.counting(operation.error) : refusal)
            }
        }
        if operation.hasError, let error = operation.error { return replyError(operation, failure(operation, error)) }
        operation.row.content.writeReply(of: operation, on: self)
    }

    /// The error that a client gets for a driver's error; counts the limit that was reached.
    private func failure(_ operation: Operation, _ error: DriverError) -> RequestError {
        // Pools count their own.
        if let name = error.details.limit.flatMap(LimitName.init), name != .poolConnections { hit(name) }
        let limit = operation.timeLimit
        guard error.code == .timeout, limit > 0, operation.clock.timeoutMilliseconds == limit else {
            return RequestError(error)
        }
        hit(.statementTime)
        return RequestError(error).with {
            $0.message = "The statement ran longer than \(limit) ms, the limit (statement_time_ms_max)."
            $0.hint = "Make the statement do less, or ask an administrator to raise the limit."
            $0.limit = LimitReport(name: LimitName.statementTime.name, value: limit)
        }
    }

    /// Ends an operation with an error.
    func replyError(_ operation: Operation, _ error: RequestError) {
        if operation.hasSentRows {
            operation.rows.closeForError(keepingRows: true)
            sendRows(of: operation)
        }
        reply(
            error, id: operation.id, encoding: operation.encoding,
            transaction: operation.session?.link.transaction.name)
    }

    // MARK: Stopping

    /// Makes an operation end soon.
    func stop(_ operation: Operation, _ reason: StopReason) {
        if operation.transfer?.isDriverDone == true {
            stopTransfer(operation, reason)
        } else if operation.progress == .queued {
            operation.session?.waiting.removeAll { $0 === operation }
            operation.error = .stopped(reason)
            operationDidEnd(operation)
        } else if operation.link?.stop(operation, reason) == .ended {
            operationDidEnd(operation)
        }
    }

    func operationTimedOut(_ serial: UInt64) {
        guard let operation = inFlight.operation(serial: serial) else { return }
        operation.timer = nil
        guard let deadline = operation.clock.deadline else { return }
        if deadline > .now { armTimer(operation) } else { stop(operation, .timeout) }
    }

    /// Stops everything; for a connection that is gone.
    func abandonRequests() {
        for operation in inFlight.operations { stop(operation, .disconnected) }
        for session in sessions.open { end(session) }
    }
}
