// COPY FROM STDIN, of rows that the daemon has or of bytes as they come: in libpq it does not exist in pipeline mode, which the
// connection leaves for it.
//
// It is sent as a simple query. Behind one of the extended protocol libpq sends a Sync, and another one behind the data; a server
// that fails before it has read the first (a trigger before the statement, a cancel) answers both, and the second answer would be
// taken for that of the next statement. A text of a client's is prepared first, which the server does with a single statement only.
//
// Source: https://www.postgresql.org/docs/15/libpq-copy.html

internal import ByteBuffers
internal import CPostgreSQL
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import Tabular

/// A COPY that is under way.
struct PostgreSQLCopy: ~Copyable {
    private enum Origin {
        case rows(RowLoad)
        /// Bytes of a client, a piece at a time.
        case input(CopyInput)
    }

    private let origin: Origin
    fileprivate var text = CopyText()
    fileprivate var sentCount = 0
    fileprivate var phase = Phase.asked
    /// A second statement looks whether the columns have the types that the rows were made for.
    fileprivate let isChecked: Bool
    /// Rows that are in the table, as the server says.
    fileprivate var rowCount: Int64?

    fileprivate enum Phase {
        /// The server has not said yet that the text is a single statement.
        case preparing
        case prepared
        /// The server has not said yet that it takes rows.
        case asked
        case sending
        case sent
    }

    /// Bytes that libpq is given at a time: its buffer does not grow beyond twice that. They are sent as one piece, and a Unix socket
    /// takes more only when three quarters of its room are free (unix_writable in net/unix/af_unix.c): of long pieces, none may be left
    /// by then, and the server would wait.
    fileprivate static let pieceByteCount = 16 << 10
    /// Rows of which the text is so long are sent by a worker.
    fileprivate static let loopByteCountMax = 32 << 10

    init(_ load: RowLoad) {
        origin = .rows(load)
        load.restart()
        let made = load.encoded as? CopyRows
        isChecked = made?.statement != nil
        if let made { made.take(&text, load.block) } else { text.append(load.block.view, load.rows) }
    }

    init(_ input: CopyInput) {
        origin = .input(input)
        isChecked = false
        phase = .preparing
        takeInput()
    }

    /// Whether nothing follows the bytes that it has.
    fileprivate var isLast: Bool {
        switch origin {
        case .rows: true
        case .input(let input): input.isLast && input.bytes.isEmpty
        }
    }

    /// Takes what its owner has put there; what it had was sent.
    fileprivate mutating func takeInput() {
        guard case .input(let input) = origin else { return }
        swap(&text.bytes, &input.bytes)
        input.bytes.removeAll()
        sentCount = 0
    }

    fileprivate var hasInput: Bool {
        if case .input(let input) = origin { !input.bytes.isEmpty } else { false }
    }

    /// - Parameter count: rows that are in the table, as the server says.
    fileprivate func noteDone(_ count: Int64) {
        if case .rows(let load) = origin { load.noteAll(written: count) }
    }
}

extension PostgreSQLConnection {
    func sendCopy(_ run: StatementRun, _ copy: consuming PostgreSQLCopy) throws(DriverError) {
        guard libpq.PQexitPipelineMode(handle) == 1 else { throw lostError }
        parameters.fill([])
        if case .preparing = copy.phase {
            guard parameters.sendPrepare(handle, run.sql) == 1 else { throw lostError }
        } else {
            guard sendCopyStatement(run) else { throw lostError }
        }
        self.copy = .some(copy)
        mustFlush = flush() != 0
    }

    /// - Returns: false if the connection is lost.
    private func sendCopyStatement(_ run: StatementRun) -> Bool {
        current.effect.noteSent(transaction == .none ? .commits : .changes)
        parameters.fill([])
        return parameters.sendSimple(handle, run.sql) == 1
    }

    /// The text is a single statement: sends it.
    /// - Returns: what is to be waited for.
    private func beginPreparedCopy() -> Progress? {
        guard let run, run.stopReason == nil else {
            if let reason = run?.stopReason { exchange.note(.stopped(reason)) }
            return endCopy()
        }
        copy?.phase = .asked
        guard sendCopyStatement(run) else { return lost() }
        let state = flush()
        if state < 0 { return lost() }
        mustFlush = state > 0
        return nil
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
            guard let result = libpq.PQgetResult(handle) else {
                guard case .prepared? = copy?.phase else { return endCopy() }
                if let progress = beginPreparedCopy() { return progress }
                continue
            }
            defer { libpq.PQclear(result) }
            switch (libpq.PQresultStatus(result), copy?.phase) {
            case (PGRES_COMMAND_OK, .preparing?): copy?.phase = .prepared
            // A server that is past the order of things is none to rely on.
            case (PGRES_COMMAND_OK, .prepared?), (PGRES_COPY_IN, .preparing?), (PGRES_COPY_IN, .prepared?):
                return lost()
            case (PGRES_COMMAND_OK, _): takeCopyTag(result)
            // Of the second statement: its row says nothing, but that there is one.
            case (PGRES_SINGLE_TUPLE, .sent?) where copy?.rowCount != nil: break
            case (PGRES_TUPLES_OK, .sent?) where copy?.rowCount != nil: copyDidEnd()
            case (PGRES_COPY_IN, _): copy?.phase = .sending
            default: if let progress = take(result) { return progress }
            }
        }
    }

    /// Gives libpq the rows, piece by piece.
    /// - Returns: what is to be waited for.
    private func putRows() -> Progress? {
        while case .sending? = copy?.phase {
            if mustFlush { return .waiting([.readable, .writable]) }
            if copy?.sentCount == copy?.text.bytes.count, copy?.hasInput == true { copy?.takeInput() }
            let (sent, count) = (copy?.sentCount ?? 0, copy?.text.bytes.count ?? 0)
            // Of a run that nobody waits for nothing more is wanted.
            let isStopped = run.map { $0.stopReason != nil } ?? true
            if !isStopped, sent == count, copy?.isLast == false { return .full }
            if !absence.isAway, count - sent > PostgreSQLCopy.loopByteCountMax { return .heavy }
            if isStopped || sent == count {
                // The server undoes what it has if it is told of an error.
                guard libpq.PQputCopyEnd(handle, isStopped ? "stopped" : nil) == 1 else { return lost() }
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

    private func takeCopyTag(_ result: OpaquePointer) {
        copy?.rowCount = CommandTag(libpq.PQcmdStatus(result)).count
        // Both statements are one transaction: if the second one fails, nothing is done.
        if copy?.isChecked == false { copyDidEnd() }
    }

    private func copyDidEnd() {
        let count = copy?.rowCount ?? 0
        if transaction == .none { current.effect.confirm() }
        var summary = StatementSummary()
        summary.rowsAffected = count
        copy?.noteDone(count)
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
