// The life of requests that need a database: start, rows, end, stop.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection {
    /// Makes an operation of the request in `context.body`, whose bytes it takes over: views into them stay valid.
    func makeOperation(_ head: RequestHead, _ type: RequestType, _ encoding: WireEncoding) -> Operation {
        let operation = context.takeOperation(encoding)
        swap(&operation.storage, &context.body)
        operation.type = type
        operation.id = head.id
        operation.connection = self
        operation.wantsNotices = noticeEncoding != nil
        operation.startClock(at: .now)
        lastSerial += 1
        operation.serial = lastSerial
        return operation
    }

    /// Starts an operation, or queues it behind the others of its session.
    func submit(_ operation: Operation) {
        guard let session = operation.session else { return start(operation) }
        session.waiting.append(operation)
        let isNext = session.active == nil && session.waiting.count == 1
        // Of a long request, only now is it known what it is: the output may be full by then.
        if isNext, flow.mayProduce(outputByteCount: output.count) { return startNext(of: session) }
        operation.progress = .queued
        operation.suspendClock()
        track(operation)
        if isNext { flow.requestWasHeld() }
    }

    /// Starts what waits in a session until something takes longer than this turn.
    ///
    /// A client that does not read gets no further results made for it, and others on the loop get their turn.
    func startNext(of session: Session) {
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        while flow.mayProduce(outputByteCount: output.count) {
            guard let operation = session.next() else { return }
            start(operation)
            if session.active == nil, !session.waiting.isEmpty, deadline < .now { break }
        }
        if session.active == nil, !session.waiting.isEmpty { flow.requestWasHeld() }
    }

    /// Goes on with sessions that had to wait for the output or for others' turns.
    func continueSessions() {
        for session in sessions where session.active == nil && !session.waiting.isEmpty { startNext(of: session) }
    }

    /// Nobody can ask for the next page any more.
    func stopUnfetchablePages() {
        for operation in inFlight where operation.progress == .waitingForFetch { stop(operation, .cancelled) }
    }

    private func start(_ operation: Operation) {
        // Behind others, its time begins where theirs has ended; that needs no look at the clock.
        if operation.progress == .queued, let session = operation.session {
            operation.resumeClock(at: max(context.loop.now, session.lastEnd))
        }
        move(operation, to: .starting)
        operation.isBeingStarted = true
        if operation.session != nil {
            operation.decodeParameters()
            if operation.isTracked { charge(operation) }
        }
        switch operation.type {
        case .dbDisconnect: endSession(operation)
        default:
            if let link = operation.link { link.start(operation, for: owner) }
        }
        operation.isBeingStarted = false
        if operation.progress == .ended {
            release(operation)
        } else {
            if operation.progress == .starting { move(operation, to: .running) }
            if operation.isTracked { armTimer(operation) } else { track(operation) }
        }
    }

    /// Notes how far an operation is.
    private func move(_ operation: Operation, to progress: Operation.Progress) {
        let (former, stage) = (operation.progress.stage, progress.stage)
        operation.progress = progress
        if operation.isTracked, former != stage { flow.requestDidMove(from: former, to: stage) }
    }

    // MARK: Operations that outlive their turn

    /// Remembers an operation until it ends.
    func track(_ operation: Operation) {
        guard !operation.isTracked else { return }
        operation.isTracked = true
        flow.requestDidBegin(operation.progress.stage)
        inFlight.append(operation)
        watch?.setCount(inFlight.count)
        if case .integer(let id) = operation.id { greatestID = max(greatestID, id) }
        charge(operation)
        account.requestsInFlight.add(1)
        context.statistics.requestsInFlight += 1
        context.statistics.notePeak(.requestsInFlight, inFlight.count)
        // Nothing more is read from this connection until some have ended.
        if inFlight.count == context.limits.requestsInFlightMax { hit(.requestsInFlight) }
        context.shared.requestsInFlight.add(1, ordering: .relaxed)
        armTimer(operation)
    }

    /// Has a timeout noticed. While the clock stands, for the client's time is not the statement's, whoever lets it go on does
    /// this; a timer that is armed already finds out by itself that it has come too early.
    private func armTimer(_ operation: Operation) {
        guard operation.timer == nil, let deadline = operation.deadline else { return }
        operation.timer = context.loop.schedule(self, token: operation.serial, at: deadline)
    }

    func disarmTimer(_ operation: Operation) {
        if let timer = operation.timer { context.loop.cancel(timer) }
        operation.timer = nil
    }

    /// Forgets an operation that has ended.
    func release(_ operation: Operation) {
        if operation.isTracked {
            operation.isTracked = false
            flow.requestDidEnd(operation.progress.stage)
            discharge(operation)
            if let index = inFlight.firstIndex(where: { $0 === operation }) {
                inFlight.swapAt(index, inFlight.count - 1)
                inFlight.removeLast()
                watch?.setCount(inFlight.count)
            }
            account.requestsInFlight.add(-1)
            context.statistics.requestsInFlight -= 1
            context.shared.requestsInFlight.subtract(1, ordering: .relaxed)
            disarmTimer(operation)
        }
        context.recycle(operation)
    }

    // MARK: Rows

    /// A frame of rows is complete.
    func operationDidFill(_ operation: Operation) {
        let isStarting = operation.isBeingStarted
        withOutputStorage {
            if refuseResult(of: operation) {
                // Within its own start, `start` does the rest.
                if !isStarting { move(operation, to: .running) }
                return stop(operation, .cancelled)
            }
            operation.hasSentRows = true
            if !isClosed { send(operation.rows) }
            operation.rows.buffer.removeAll()
            continueRows(operation)
            if !isStarting { finishTurn() }
        }
    }

    /// Puts rows that were made behind the output; many bytes are not copied.
    private func send(_ rows: WireRowSink) {
        if rows.buffer.count >= Self.movedByteCountMin {
            output.take(over: &rows.buffer)
        } else {
            output.append(rows.buffer.readable)
        }
    }

    private static let movedByteCountMin = 256 << 10

    private func continueRows(_ operation: Operation) {
        if operation.rows.isPageComplete, let pageRowCount = operation.pageRowCount {
            guard operation.fetchCredit > 0 else {
                move(operation, to: .waitingForFetch)
                operation.waitingSince = context.loop.now
                context.housekeeper.watch(self)
                // The client's time does not count.
                operation.stopClock(at: .now)
                return disarmTimer(operation)
            }
            operation.fetchCredit -= 1
            operation.rows.allowPage(pageRowCount)
        }
        if flow.mayProduce(outputByteCount: output.count) {
            move(operation, to: .running)
            operation.link?.resume(operation)
        } else {
            move(operation, to: .waitingForOutput)
            operation.waitingSince = context.loop.now
            operation.stopClock(at: .now)
        }
    }

    /// The client has read: rows may be made again.
    func resumeRows() {
        for operation in inFlight where operation.progress == .waitingForOutput {
            move(operation, to: .running)
            operation.resumeClock(at: .now)
            armTimer(operation)
            operation.link?.resume(operation)
        }
    }

    /// Lets a paged query go on.
    func fetch(_ head: RequestHead) throws(RequestError) {
        let reference = try content(RequestReference.self, of: head)
        guard
            let operation = inFlight.first(where: { $0.pageRowCount != nil && $0.id.isEqual(reference.request) }),
            let pageRowCount = operation.pageRowCount
        else {
            throw RequestError(
                .badRequest, "No paged query with this id waits for a fetch.",
                hint: "Send page_rows with the query, and fetch until more is false.")
        }
        guard operation.progress == .waitingForFetch else {
            operation.fetchCredit += 1
            return
        }
        operation.startPage(at: .now)
        armTimer(operation)
        operation.rows.allowPage(pageRowCount)
        continueRows(operation)
    }

    // MARK: The end

    /// The run has ended: reply, and let the session go on.
    func operationDidEnd(_ operation: Operation) {
        let isStarting = operation.isBeingStarted
        move(operation, to: .ended)
        withOutputStorage {
            record(operation)
            _ = refuseResult(of: operation)
            if !isClosed {
                if !operation.notices.isEmpty { tellNotices(of: operation) }
                replyEnd(operation)
            }
            if !operation.cancels.isEmpty { answerCancels(of: operation) }
            let session = operation.session
            if session?.active === operation { session?.active = nil }
            if let session, !isClosed, session.isIdleInTransaction {
                session.isWarned = false
                context.housekeeper.watch(self)
            }
            // Within its own start, `start` and `startNext` do the rest.
            if isStarting { return }
            release(operation)
            if let session { goOn(session) }
            finishTurn()
        }
    }

    /// Starts the next request of a session, or closes it when its client is gone and nothing uses it any more.
    private func goOn(_ session: Session) {
        if !isClosed { return session.isRevoked ? endRevoked(session) : startNext(of: session) }
        if session.active == nil { session.link.close() }
    }

    private func replyEnd(_ operation: Operation) {
        if let refusal = operation.refusal {
            // No error may say that a statement did nothing which has changed something.
            let hasChanged = operation.error == nil && operation.summary.rowsAffected > 0
            if hasChanged { return replyError(operation, .doneWithoutRows(refusal)) }
            if operation.error?.code != .outcomeUnknown { return replyError(operation, refusal) }
        }
        if let error = operation.error { return replyError(operation, failure(operation, error)) }
        switch operation.type {
        case .query: replyQueryEnd(operation)
        case .batch: replyBatch(operation)
        case .describe: replyDescription(operation)
        case .healthCheck: replyDatabaseHealth(operation)
        default: break
        }
    }

    /// What the client is told of a driver's error; counts the limit that it met.
    private func failure(_ operation: Operation, _ error: DriverError) -> RequestError {
        // Pools count their own.
        if let name = error.details.limit.flatMap(LimitName.init), name != .poolConnections { hit(name) }
        let limit = operation.timeLimit
        guard error.code == .timeout, limit > 0, operation.timeoutMilliseconds == limit else {
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
            send(operation.rows)
        }
        reply(
            error, id: operation.id, encoding: operation.encoding, sql: operation.sql,
            transaction: operation.session?.link.transaction.name)
    }

    private func replyQueryEnd(_ operation: Operation) {
        operation.rows.finish { writer, output in
            writer.key("row_count", into: &output)
            writer.integer(operation.rowCount, into: &output)
            operation.summary.write(&writer, &output)
            operation.writeResultSets(&writer, &output)
            if operation.isTruncated || operation.resultSets.isTruncated {
                writer.key("truncated", into: &output)
                writer.bool(true, into: &output)
            }
            writer.key("transaction", into: &output)
            writer.text(operation.transactionName, into: &output)
            writer.key("elapsed_us", into: &output)
            writer.integer(operation.elapsedMicroseconds, into: &output)
        }
        send(operation.rows)
    }

    private func replyBatch(_ operation: Operation) {
        reply(RequestType.batch.replyName, id: operation.id, encoding: operation.encoding) { writer, output in
            writer.key("results", into: &output)
            writer.beginArray(into: &output)
            for index in 0..<operation.batchStatementCount {
                let summaries = operation.batchSummaries
                writer.beginMap(into: &output)
                (index < summaries.count ? summaries[index] : StatementSummary()).write(&writer, &output)
                writer.endMap(into: &output)
            }
            writer.endArray(into: &output)
            writer.key("transaction", into: &output)
            writer.text(operation.transactionName, into: &output)
            writer.key("elapsed_us", into: &output)
            writer.integer(operation.elapsedMicroseconds, into: &output)
        }
    }

    // MARK: Stopping

    /// Makes an operation end soon.
    func stop(_ operation: Operation, _ reason: StopReason) {
        if operation.progress == .queued {
            operation.session?.waiting.removeAll { $0 === operation }
            operation.error = .stopped(reason)
            operationDidEnd(operation)
        } else {
            operation.link?.stop(operation, reason)
        }
    }

    func operationTimedOut(_ serial: UInt64) {
        guard let operation = inFlight.first(where: { $0.serial == serial }) else { return }
        operation.timer = nil
        guard let deadline = operation.deadline else { return }
        if deadline > .now { armTimer(operation) } else { stop(operation, .timeout) }
    }

    func cancel(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let reference = try content(RequestReference.self, of: head)
        let wanted = inFlight.filter { $0.isStoppable && $0.id.isEqual(reference.request) }
        guard let first = wanted.first else { return replyCancel(head.id, encoding, wasCancelled: false) }
        // Whether it was in time is known when the request has ended: it may just have finished.
        let operation = makeOperation(head, .cancel, encoding)
        operation.progress = .running
        track(operation)
        first.cancels.append(operation)
        for operation in wanted { stop(operation, .cancelled) }
    }

    private func replyCancel(_ id: RequestID, _ encoding: WireEncoding, wasCancelled: Bool) {
        reply(RequestType.cancel.replyName, id: id, encoding: encoding) { writer, output in
            writer.key("cancelled", into: &output)
            writer.bool(wasCancelled, into: &output)
        }
    }

    /// Answers those who wanted an operation to be cancelled that has ended now.
    private func answerCancels(of operation: Operation) {
        for cancel in operation.cancels {
            if !isClosed {
                replyCancel(cancel.id, cancel.encoding, wasCancelled: operation.error?.code == .cancelled)
            }
            release(cancel)
        }
        operation.cancels.removeAll()
    }

    /// Stops everything; for a connection that is gone.
    func abandonRequests() {
        for operation in inFlight { stop(operation, .disconnected) }
        for session in sessions where session.active == nil { session.link.close() }
        context.statistics.sessionsOpen -= sessions.count
        countSessions(-sessions.count)
        sessions.removeAll()
    }
}

extension Operation {
    /// Whether `cancel` has an effect: connecting and disconnecting end by themselves.
    var isStoppable: Bool { type == .query || type == .batch || type == .describe || type == .healthCheck }

    fileprivate var transactionName: StaticString { session?.link.transaction.name ?? "none" }

    /// Writes how many results there were, for who has asked for all, or how many were not sent.
    fileprivate func writeResultSets(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        guard wantsResultSets else {
            guard resultSets.droppedCount > 0 else { return }
            writer.key("result_sets_dropped", into: &output)
            return writer.integer(resultSets.droppedCount, into: &output)
        }
        if rows.hasOpenResult { writer.resultEnd(resultEnd, into: &output) }
        writer.key("result_sets", into: &output)
        writer.integer(resultSets.endedCount + (rows.hasOpenResult ? 1 : 0), into: &output)
    }
}

extension StatementSummary {
    /// Writes what was changed.
    fileprivate func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.key("rows_affected", into: &output)
        writer.integer(rowsAffected, into: &output)
        guard let lastInsertID else { return }
        writer.key("last_insert_id", into: &output)
        writer.integer(lastInsertID, into: &output)
    }
}
