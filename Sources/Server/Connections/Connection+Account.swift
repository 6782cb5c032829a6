// Bytes that a connection holds are charged to its user.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection {
    /// Charges changes of less than this later.
    private static let chargeByteCountMax = 32 << 10
    /// What all connections of a user may hold in all without being charged.
    private static let unchargedByteCount = 8 << 20
    /// What is smaller does not hit the limit: health checks and cancels get through.
    private static let smallByteCount = 64 << 10

    /// Brings the user's account up to date.
    func settleAccount() {
        // What is free of a large storage was never touched, so that it is no memory yet.
        let held = isClosed ? 0 : input.count + output.count + inFlightByteCount
        let change = held - chargedByteCount
        guard change != 0, held == 0 || isWorthCharging(change) else { return }
        chargedByteCount = held
        account.bufferedBytes.add(change)
        Memory.note(change)
    }

    private func isWorthCharging(_ change: Int) -> Bool {
        let byteCount = abs(change)
        if byteCount >= Self.chargeByteCountMax { return true }
        return byteCount >= Self.unchargedByteCount / max(1, account.connections.count)
    }

    /// Why so many bytes more may not be kept; `nil` when they may.
    func refusal(ofBytes byteCount: Int) -> RequestError? {
        guard byteCount > Self.smallByteCount else { return nil }
        settleAccount()
        return refusal(ofMore: byteCount)
    }

    /// The same for a request that may have to wait, with many others. What is small gets through beyond the limit too, but not
    /// without end.
    func refusal(of operation: Operation) -> RequestError? {
        let limit = context.limits.bufferedByteCountPerUserMax
        let used = account.bufferedBytes.count
        // The usual case: what a loop has decoded itself is not worth the sum then.
        if decodedRequest == nil, used < limit / 2 { return nil }
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
        // What is larger than the limit by itself will be refused again.
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

    /// Something was refused, ended or kept waiting for a limit.
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

    /// Charges what a request holds for as long as it runs; once more when that has changed.
    func charge(_ operation: Operation) {
        inFlightByteCount -= operation.chargedByteCount
        operation.chargedByteCount = operation.heldByteCount
        inFlightByteCount += operation.chargedByteCount
    }

    func discharge(_ operation: Operation) {
        inFlightByteCount -= operation.chargedByteCount
        operation.chargedByteCount = 0
    }

    /// Half a request that grows beyond what the user may have: told, then closed, since where the next one starts is
    /// behind bytes that nobody keeps.
    func refuseGrowth() {
        guard !isClosing, input.count > Self.smallByteCount else { return }
        settleAccount()
        guard let error = refusal(ofMore: 0) else { return }
        observeExhaustion(of: .bufferedBytesPerUser)
        reply(error, id: .none, encoding: decoder.framing == .lengthPrefixed ? .messagePack : .json)
        context.dispose(of: &input)
        isClosing = true
    }

    /// Ends a request whose result may not be kept.
    /// - Returns: false when it may be.
    func refuseResult(of operation: Operation) -> Bool {
        // What a statement that has changed something returns is bounded, and no error may say that it did nothing.
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
        // From here on it is the connection's.
        operation.rows.discharge()
        let byteCount = operation.rows.buffer.count
        guard !isClosed, output.count + byteCount > FlowControl.outputHighWaterByteCount,
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
