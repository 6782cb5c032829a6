// The bytes that a connection holds are charged to its user.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection {
    /// A smaller request does not hit the limit, so health checks and cancels get through.
    private static let smallByteCount = 64 << 10

    /// Why this many more bytes may not be held; `nil` if they may.
    func refusal(ofBytes byteCount: Int) -> RequestError? {
        guard byteCount > Self.smallByteCount else { return nil }
        settleAccount()
        return refusal(ofMore: byteCount)
    }

    /// The same for a request that may have to wait, with many others. A small one gets through beyond the limit too,
    /// up to a point.
    func refusal(of operation: Operation) -> RequestError? {
        let limit = context.limits.bufferedByteCountPerUserMax
        let used = account.bufferedBytes.count
        // The usual case: for a request that the loop has decoded itself, the exact sum is not worth its cost.
        if !decoding.isDecoded, used < limit / 2 { return nil }
        return refusal(ofRequest: operation.heldByteCount, used, limit)
    }

    private func refusal(ofRequest byteCount: Int, _ used: Int, _ limit: Int) -> RequestError? {
        let used = used + byteCount
        guard used > (byteCount > Self.smallByteCount ? limit : limit + limit / 2) else { return nil }
        settleAccount()
        return refusal(ofMore: byteCount)
    }

    private func refusal(ofMore byteCount: Int) -> RequestError? {
        let limit = context.limits.bufferedByteCountPerUserMax
        let used = account.bufferedBytes.count
        return used + byteCount > limit ? exhaustion(by: byteCount, used) : nil
    }

    private func exhaustion(by byteCount: Int, _ used: Int) -> RequestError {
        let limit = context.limits.bufferedByteCountPerUserMax
        // A request that is larger than the limit would be refused again.
        return refusal(
            .bufferedBytesPerUser, used: used,
            "Requests and replies of \(account.name) hold \(used) bytes in the daemon, and this needs \(byteCount) more; "
                + "the limit is \(limit) (buffered_bytes_per_user_max).",
            hint: "Read the replies that are due, and send and ask for less at a time.", isRetryable: byteCount <= limit
        )
    }

    /// The error of a limit that is reached; counts it.
    func refusal(
        _ name: LimitName, used: Int, _ message: String, hint: String, isRetryable: Bool = false,
        isLogged: Bool = false
    ) -> RequestError {
        hit(name)
        if isLogged { observeExhaustion(of: name) }
        account.refusalCount.add(1, ordering: .relaxed)
        let limit = LimitReport(name: name.name, value: name.value(context.limits), used: Int64(used), account: account)
        return RequestError(.limitExceeded, message, hint: hint).with {
            $0.limit = limit
            $0.isRetryable = isRetryable
        }
    }

    /// Counts a request that was refused, ended or delayed because of a limit.
    func hit(_ name: LimitName) { context.shared.limitHits.add(name) }

    /// Refuses what would be one request in flight too many of this user.
    func checkRequestCount() throws(RequestError) {
        try checkRoom()
        let (used, limit) = (account.requestsInFlight.count, context.limits.requestsInFlightPerUserMax)
        guard used >= limit else { return }
        throw refusal(
            .requestsInFlightPerUser, used: used,
            "\(account.name.capitalizedFirst) has \(used) unfinished requests, the limit of one user being \(limit) "
                + "(requests_in_flight_per_user_max).",
            hint: "Wait for replies before you send more.", isRetryable: true, isLogged: true)
    }

    /// Refuses what would be one request in flight too many of this connection. Usually it is not even read then; see
    /// `FlowControl`.
    func checkRoom() throws(RequestError) {
        let (used, limit) = (inFlight.count, context.limits.requestsInFlightMax)
        guard used >= limit else { return }
        throw refusal(
            .requestsInFlight, used: used,
            "This connection has \(used) unfinished requests, which all wait for pages to be fetched; the limit is \(limit) "
                + "(requests_in_flight_max).",
            hint: "Fetch the pages, or cancel their queries, before you send more.", isRetryable: true)
    }

    /// Keeps the account of sessions; those that are being opened count.
    func countSessions(_ change: Int) { account.sessions.add(change) }

    /// Refuses an incomplete request that grows beyond the user's limit: the connection closes after the reply, because
    /// the start of the next request would be lost with the dropped bytes.
    func refuseGrowth() {
        guard !isLeaving, stream.input.count > Self.smallByteCount else { return }
        settleAccount()
        guard let error = refusal(ofMore: 0) else { return }
        observeExhaustion(of: .bufferedBytesPerUser)
        reply(error, id: .none, encoding: stream.plainEncoding)
        context.dispose(of: &stream.input)
        closeSoon()
    }

    /// Ends a request whose result may not be held.
    /// - Returns: false if it may.
    func refuseResult(of operation: Operation) -> Bool {
        // The rows of a statement that has changed something are bounded anyway, and no error may say that it did
        // nothing.
        guard operation.summary.rowsAffected == 0 else {
            operation.rows.discharge()
            return false
        }
        if operation.rows.isUserExhausted, operation.error?.code == .limitExceeded {
            let wanted = operation.rows.chargedByteCount
            operation.rows.discharge()
            operation.refusal = exhaustion(by: wanted, account.bufferedBytes.count)
            observeExhaustion(of: .bufferedBytesPerUser)
            return true
        }
        // From now on the connection is charged for them.
        operation.rows.discharge()
        let byteCount = operation.rows.buffer.count
        guard !isClosed, stream.output.count + byteCount > FlowControl.outputHighWaterByteCount,
            let error = refusal(ofBytes: byteCount)
        else { return false }
        observeExhaustion(of: .bufferedBytesPerUser)
        operation.rows.closeForError(keepingRows: false)
        context.dispose(of: &operation.rows.buffer)
        operation.refusal = error
        return true
    }

    private func observeExhaustion(of name: LimitName) {
        context.observer.observe(
            .userExhausted(limitName: name.name, limit: Int(name.value(context.limits)), peer: peer))
    }
}
