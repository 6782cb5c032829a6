// A run whose table several threads read: the part of the thread that has the run.

internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem

extension SQLiteExecution {
    /// Takes the rows in order until the sink has no room, or there are no more; reads what no helper has begun.
    func advance(_ scan: ParallelScan) -> AdvanceOutcome {
        owner.account.charge()
        let wasBegun = hasBegun
        let connection = scan.leader.connection
        connection.mayBlock = true
        if !hasBegun {
            hasBegun = true
            run.sink.begin(scan.leader.columns)
        }
        var outcome = advanceInOrder(scan)
        // All connections of a file share its log's index.
        litebase_sqlite3_look_at_index(connection.handle)
        if connection.hasLostIndex || (run.hasError && connection.findsLoss()) {
            outcome = lose(connection, .worker, litebase_sqlite3_commits(), wasBegun: wasBegun, outcome)
        }
        if case .ended = outcome { releaseStatement() }
        return outcome
    }

    private func advanceInOrder(_ scan: ParallelScan) -> AdvanceOutcome {
        while true {
            if let reason = run.stopReason { return fail(.stopped(reason)) }
            scan.engage()
            guard run.sink.hasRoom else { return .filled }
            var failure: ScanReader.Failure?
            switch scan.next() {
            case .append(let result):
                run.sink.append(result.part.sink)
                run.rowCount += result.rowCount
                failure = result.failure
                scan.giveBack(result.part)
            case .readFirst(let chunk): failure = readFirst(chunk, scan)
            case .read(let chunk, let part):
                scan.end(chunk, part, scan.leader.read(chunk.rows, into: part.sink, for: run))
            case .wait: scan.waitForHelper()
            case .ended:
                run.summary.transaction = .none
                return .ended
            }
            switch failure {
            case nil: break
            case .overflow: return fail(Self.rowTooLarge(run.sink.rowByteCountMax))
            case .sqlite(let error): return fail(error)
            }
        }
    }

    /// Reads the rows whose turn it is without a part. After the first ones the sink knows enough to be divided.
    private func readFirst(_ chunk: ScanChunks.Chunk, _ scan: ParallelScan) -> ScanReader.Failure? {
        let before = run.sink.pendingByteCount
        let read = scan.leader.read(chunk.rows, into: run.sink, for: run)
        run.rowCount += read.count
        run.sink.endPart()
        scan.endFirst(chunk, read, byteCount: run.sink.pendingByteCount - before)
        scan.divide(run.sink)
        return read.failure
    }
}
