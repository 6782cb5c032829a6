// Batches: statements go out before those in front of them are answered, so that a thousand rows do not cost a thousand
// round trips.

internal import LinuxSystem

/// How far a batch is.
struct PostgreSQLBatch {
    let isAtomic: Bool
    /// Within a transaction of the session: a savepoint stands for it.
    var isSavepoint = false
    /// No statement is left to be sent.
    var isExhausted = false
    /// The last word has been sent: commit, or rollback.
    var isFinishing = false

    init(isAtomic: Bool) { self.isAtomic = isAtomic }
}

extension PostgreSQLConnection {
    /// Statements on their way at a time.
    private static let unansweredCountMax = 128
    /// Bytes of texts and values that are sent in one turn: libpq copies them, and tells only at the end that the socket is full.
    private static let turnByteCountMax = 256 << 10

    func beginBatch(_ run: StatementRun) throws(DriverError) {
        run.batchSummaries = []
        run.rewindBatch()
        guard batch?.isAtomic == true else {
            mayHaveCommitted = !mode.isReadOnly
            return
        }
        isAlone = transaction == .none
        if isAlone {
            if mode.isReadOnly { try beginReadOnly() } else { try sendOwn("BEGIN") }
        } else {
            batch?.isSavepoint = true
            try sendOwn("SAVEPOINT litebase_batch")
        }
        goOnWithBatch()
    }

    /// Sends more; where that cannot be done, what was sent is undone.
    func goOnWithBatch() {
        guard failure == nil, let error = fillBatch() else { return }
        failure = error
        _ = undoBatch()
    }

    /// Sends as many statements as may be on their way; after the last one, what makes them stay.
    /// - Returns: why no more can be sent.
    private func fillBatch() -> DriverError? {
        guard let run, batch?.isAtomic == true, batch?.isExhausted == false else { return nil }
        var position: BatchPosition?
        var byteCount = 0
        do throws(DriverError) {
            while unansweredCount < Self.unansweredCountMax, !isSendingDelayed, byteCount < Self.turnByteCountMax {
                position = nil
                if let reason = run.stopReason { throw .stopped(reason) }
                guard let next = try run.nextBatchStatement() else { return try commitBatch() }
                position = next
                try PostgreSQLDriver.check(run.sql, run.parameters, mode, isInAtomicBatch: true)
                let kind = StatementKind(run.sql)
                takeOver(run.sql, run.parameters, kind)
                try sendRow(run.sql, kind, next)
                byteCount += sentByteCount
            }
            try requestAnswers()
            return nil
        } catch {
            return position.map { error.at($0) } ?? error
        }
    }

    private func commitBatch() throws(DriverError) -> DriverError? {
        batch?.isExhausted = true
        mayHaveTakenEffect = !mode.isReadOnly
        if batch?.isSavepoint == true {
            try sendOwn("RELEASE litebase_batch")
        } else {
            if mode.isReadOnly { try sendCheck() }
            mayHaveCommitted = !mode.isReadOnly
            try sendOwn("COMMIT", as: .commit)
        }
        try sync()
        return nil
    }

    /// While earlier statements are under way.
    func continueBatchWhileWaiting() {
        if batch != nil, unansweredCount < Self.unansweredCountMax / 2 { goOnWithBatch() }
    }

    /// Everything that was sent is answered.
    /// - Returns: true when more was sent.
    func continueBatch() -> Bool {
        guard let batch, !batch.isFinishing else { return false }
        guard let run else { return undoBatch() }
        if batch.isAtomic {
            if failure != nil { return undoBatch() }
            goOnWithBatch()
            return !batch.isExhausted
        }
        return failure == nil && sendNext(run)
    }

    /// One statement of a batch that is not atomic: the next one is sent when it has succeeded.
    private func sendNext(_ run: StatementRun) -> Bool {
        var position: BatchPosition?
        do throws(DriverError) {
            guard let next = try run.nextBatchStatement() else {
                batch?.isFinishing = true
                return false
            }
            position = next
            // Those before it have taken effect: it is named.
            if let reason = run.stopReason { throw .stopped(reason) }
            try PostgreSQLDriver.check(run.sql, run.parameters, mode, isInAtomicBatch: false)
            try send(run.sql, run.parameters, next)
            mayHaveCommitted = !mode.isReadOnly
            return true
        } catch {
            failure = position.map { error.at($0) } ?? error
            return false
        }
    }

    /// Ends the transaction, or goes back to where it was, after a failure.
    private func undoBatch() -> Bool {
        batch?.isFinishing = true
        guard batch?.isAtomic == true else { return false }
        do throws(DriverError) {
            // Statements without an end of their pipeline are waiting in the server.
            if batch?.isExhausted == false { try sync() }
            if batch?.isSavepoint == true {
                try sendOwn("ROLLBACK TO litebase_batch")
                try sendOwn("RELEASE litebase_batch")
            } else {
                try sendOwn("ROLLBACK")
            }
            try sync()
            return true
        } catch {
            return false
        }
    }
}
