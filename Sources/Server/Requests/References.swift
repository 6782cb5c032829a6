// `fetch` and `cancel`, which refer to an earlier request.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension FetchRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.fetch(request)
    }
}

extension CancelRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.cancel(request)
    }
}

extension Connection {
    /// Continues a paged query.
    func fetch(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let reference = try content(FetchRequest.self, of: request.head)
        guard let operation = inFlight.pagedQuery(reference.request), let pageRowCount = operation.pageRowCount else {
            throw RequestError(
                .badRequest, "No paged query with this id waits for a fetch.",
                hint: "Send page_rows with the query, and fetch until more is false.")
        }
        guard operation.progress == .waitingForFetch else {
            operation.fetchCredit += 1
            return .passedOn
        }
        operation.clock.startPage(at: .now)
        armTimer(operation)
        operation.rows.allowPage(pageRowCount)
        operationDidGoOn(operation, continueRows(operation))
        return .passedOn
    }

    func cancel(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let reference = try content(CancelRequest.self, of: request.head)
        let wanted = inFlight.stoppable(reference.request)
        guard let first = wanted.first else { return reply(CancelReply(), to: request) }
        // Whether it came in time is known when the request has ended: it may just have finished.
        let operation = makeOperation(request)
        operation.progress = .running
        track(operation)
        first.cancels.append(operation)
        for operation in wanted { stop(operation, .cancelled) }
        return .pending
    }

    /// Answers the `cancel` requests for an operation that has ended now.
    func answerCancels(of operation: Operation) {
        for cancel in operation.cancels {
            if !isClosed {
                var answer = CancelReply()
                answer.wasCancelled = operation.error?.code == .cancelled
                reply(answer, to: cancel)
            }
            release(cancel)
        }
        operation.cancels.removeAll()
    }
}
