// COPY FROM STDIN of rows that the daemon has: in libpq it does not exist in pipeline mode, which the connection leaves for it.
//
// Source: https://www.postgresql.org/docs/15/libpq-copy.html

internal import ByteBuffers
internal import CPostgreSQL
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A COPY that is under way.
struct PostgreSQLCopy: ~Copyable {
    let load: RowLoad
    fileprivate var text = CopyText()
    fileprivate var sentCount = 0
    fileprivate var phase = Phase.asked

    fileprivate enum Phase {
        /// The server has not said yet that it takes rows.
        case asked
        case sending
        case sent
    }

    /// Bytes that libpq is given at a time: its buffer does not grow beyond twice that.
    fileprivate static let pieceByteCount = 64 << 10
    /// Rows of which the text is so long are sent by a worker.
    fileprivate static let loopByteCountMax = 32 << 10

    init(_ load: RowLoad) {
        self.load = load
        text.append(load)
    }
}

extension PostgreSQLConnection {
    func sendCopy(_ run: StatementRun) throws(DriverError) {
        guard case .load(let load) = run.kind else { preconditionFailure("a run without rows is no COPY") }
        load.restart()
        guard libpq.PQexitPipelineMode(handle) == 1 else { throw lostError }
        current.effect.noteSent(transaction == .none ? .commits : .changes)
        parameters.fill([])
        guard parameters.send(handle, run.sql) == 1 else { throw lostError }
        copy = PostgreSQLCopy(load)
        mustFlush = flush() != 0
    }

    /// Goes on with the COPY that is under way.
    func advanceCopy() -> Progress {
        while true {
            if let progress = putRows() { return progress }
            if libpq.PQisBusy(handle) != 0 {
                if libpq.PQstatus(handle) != CONNECTION_OK { return lost() }
                dropNotifications()
                return .waiting(mustFlush ? [.readable, .writable] : .readable)
            }
            input.noteMessage()
            guard let result = libpq.PQgetResult(handle) else { return endCopy() }
            defer { libpq.PQclear(result) }
            switch libpq.PQresultStatus(result) {
            case PGRES_COPY_IN: copy?.phase = .sending
            case PGRES_COMMAND_OK: takeCopyEnd(result)
            default: if let progress = take(result) { return progress }
            }
        }
    }

    /// Gives libpq the rows, piece by piece.
    /// - Returns: what is to be waited for.
    private func putRows() -> Progress? {
        while case .sending? = copy?.phase {
            if mustFlush { return .waiting([.readable, .writable]) }
            let (sent, count) = (copy?.sentCount ?? 0, copy?.text.bytes.count ?? 0)
            if !absence.isAway, count - sent > PostgreSQLCopy.loopByteCountMax { return .heavy }
            if run?.stopReason != nil || sent == count {
                // The server undoes what it has if it is told of an error.
                let isWhole = sent == count
                guard libpq.PQputCopyEnd(handle, isWhole ? nil : "stopped") == 1 else { return lost() }
                copy?.phase = .sent
            } else {
                let piece = min(PostgreSQLCopy.pieceByteCount, count - sent)
                guard put(sent, piece) else { return lost() }
                copy?.sentCount += piece
            }
            let state = flush()
            if state < 0 { return lost() }
            mustFlush = state > 0
        }
        return nil
    }

    private func put(_ start: Int, _ count: Int) -> Bool {
        guard let base = copy?.text.bytes.readable.baseAddress else { return true }
        let piece = (base + start).assumingMemoryBound(to: CChar.self)
        return libpq.PQputCopyData(handle, piece, Int32(count)) == 1
    }

    private func takeCopyEnd(_ result: OpaquePointer) {
        let tag = CommandTag(libpq.PQcmdStatus(result))
        if transaction == .none { current.effect.confirm() }
        var summary = StatementSummary()
        summary.rowsAffected = tag.count
        if let load = copy?.load { load.doneCount = load.rows.count }
        needsReset = true
        noteDone(summary, nil)
    }

    private func endCopy() -> Progress {
        copy = nil
        guard libpq.PQenterPipelineMode(handle) == 1 else { return lost() }
        finishRun()
        return .ended
    }
}
