// Batches: statement after statement, those of one text by one prepared statement.

/// How far a batch is.
struct MySQLBatch {
    let isAtomic: Bool
    /// Within a transaction of the session: a savepoint stands for it.
    var isSavepoint = false
    /// The last word is planned: commit, or rollback.
    var isFinishing = false
    /// That word is rollback.
    var isUndone = false

    init(isAtomic: Bool) { self.isAtomic = isAtomic }
}

extension MySQLConnection {
    func beginBatch(_ run: StatementRun) throws(DriverError) {
        run.batchSummaries = []
        run.rewindBatch()
        guard batch?.isAtomic == true else { return }
        if transaction == .none {
            add(.own(mode.isReadOnly ? Self.beginReadOnly : "START TRANSACTION"))
        } else {
            batch?.isSavepoint = true
            add(.own("SAVEPOINT litebase_batch"))
        }
    }

    /// Everything that was planned is done.
    /// - Returns: true when more was planned.
    func continueBatch() -> Bool {
        guard let batch, !batch.isUndone else { return false }
        // What it ended with may have failed, too.
        guard let run, failure == nil else { return undoBatch() }
        if batch.isFinishing { return false }
        var position: BatchPosition?
        do throws(DriverError) {
            if batch.isAtomic, let reason = run.stopReason { throw .stopped(reason) }
            guard let next = try run.nextBatchStatement() else { return commitBatch() }
            position = next
            // Those before it have taken effect: it is named.
            if let reason = run.stopReason { throw .stopped(reason) }
            try MySQLDriver.check(run.sql, run.parameters, mode, isInAtomicBatch: batch.isAtomic)
            try addStatement(run, next)
            return true
        } catch {
            note(position.map { error.at($0) } ?? error)
            return undoBatch()
        }
    }

    private func commitBatch() -> Bool {
        batch?.isFinishing = true
        guard batch?.isAtomic == true else { return false }
        if batch?.isSavepoint == true {
            mayHaveTakenEffect = mayHaveTakenEffect || !mode.isReadOnly
            add(.own("RELEASE SAVEPOINT litebase_batch"))
        } else {
            mayHaveCommitted = mayHaveCommitted || !mode.isReadOnly
            add(.own("COMMIT"))
        }
        return true
    }

    /// Ends the transaction, or goes back to where it was, after a failure.
    private func undoBatch() -> Bool {
        batch?.isFinishing = true
        batch?.isUndone = true
        guard batch?.isAtomic == true else { return false }
        if batch?.isSavepoint == true {
            // A deadlock has ended the whole transaction, and the savepoint with it.
            add(.attempt("ROLLBACK TO SAVEPOINT litebase_batch"))
            add(.attempt("RELEASE SAVEPOINT litebase_batch"))
        } else {
            add(.attempt("ROLLBACK"))
        }
        return true
    }
}
