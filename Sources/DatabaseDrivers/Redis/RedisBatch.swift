// Batches: commands go out before those in front of them are answered. An atomic batch is a transaction: MULTI, EXEC.

internal import LinuxSystem

/// How far a batch is.
struct RedisBatch {
    let isAtomic: Bool
    /// No statement is left to be sent, or none is to be sent any more.
    var isExhausted = false
    /// One more than the index of the last statement.
    private(set) var statementCount = 0
    /// Commands that were sent.
    private var elementCount = 0
    /// Where in the reply to EXEC the commands of a statement begin, and its first one.
    private var starts: [(element: Int, position: BatchPosition)] = []

    init(isAtomic: Bool) { self.isAtomic = isAtomic }

    mutating func add(_ position: BatchPosition) {
        if isAtomic, starts.last?.position.statementIndex != position.statementIndex {
            starts.append((elementCount, position))
        }
        statementCount = position.statementIndex + 1
        elementCount += 1
    }

    /// Whose result an element of the reply to EXEC is.
    func position(ofElement element: Int) -> BatchPosition? {
        guard let start = starts.last(where: { $0.element <= element }) else { return nil }
        var position = start.position
        position.rowIndex = position.rowIndex.map { $0 + element - start.element }
        return position
    }
}

extension RedisConnection {
    /// Commands on their way at a time.
    private static let unansweredCountMax = 1024
    /// Bytes that wait to be sent.
    private static let unsentByteCountMax = 64 << 10

    func beginBatch(_ run: StatementRun) throws(DriverError) {
        run.batchSummaries = []
        run.rewindBatch()
        guard batch?.isAtomic == true else { return goOnWithBatch() }
        guard transaction == .none else {
            batch = nil
            throw DriverError(
                .badRequest, "A transaction is open, and Redis cannot nest an atomic batch in it.",
                hint: "Set atomic to false, or end the transaction first.", sqlState: "25001")
        }
        queueOwn(["MULTI"], Step(effect: .begin))
        goOnWithBatch()
    }

    /// Sends as many statements as may be on their way; behind the last one, what makes them take effect.
    private func goOnWithBatch() {
        guard let run, let batch, !batch.isExhausted else { return }
        // Within a transaction, whatever fails makes all of it fail; without, each stands for itself.
        if batch.isAtomic, failure != nil { return undoBatch() }
        var position: BatchPosition?
        do throws(DriverError) {
            while unansweredCount < Self.unansweredCountMax, unsentByteCount < Self.unsentByteCountMax {
                position = nil
                if let reason = run.stopReason { throw .stopped(reason) }
                guard let next = try run.nextBatchStatement() else { return commitBatch() }
                position = next
                let command = try RedisCommand(run.sql, run.parameters)
                try RedisDriver.check(command, isSession: mode.isSession, isInAtomicBatch: batch.isAtomic)
                try queueStatement(run.sql, run.parameters, command, next)
                self.batch?.add(next)
            }
        } catch {
            note(position.map { error.at($0) } ?? error)
            undoBatch()
        }
    }

    private func commitBatch() {
        batch?.isExhausted = true
        guard batch?.isAtomic == true else { return }
        mayHaveChanged = !mode.isReadOnly
        queueOwn(["EXEC"], Step(kind: .commit, effect: .execute))
    }

    /// Sends nothing more; what was queued in a transaction is not executed.
    private func undoBatch() {
        batch?.isExhausted = true
        if batch?.isAtomic == true { queueOwn(["DISCARD"], Step(effect: .discard)) }
    }

    /// While earlier statements are under way.
    func continueBatchWhileWaiting() {
        if batch != nil, unansweredCount < Self.unansweredCountMax / 2 { goOnWithBatch() }
    }

    /// Everything that was sent is answered.
    /// - Returns: true when more was sent.
    func continueBatch() -> Bool {
        guard let batch, !batch.isExhausted else { return false }
        if run == nil { undoBatch() } else { goOnWithBatch() }
        return unansweredCount > 0
    }
}
