// A connection to PostgreSQL by libpq, without ever waiting for it: PQsocket is watched by the loop.
//
// It is in pipeline mode all the time, so that what belongs together goes out at once and costs one round trip: a
// read-only statement with the transaction around it, the statements of a batch. `steps` mirrors libpq's queue of
// commands: each result that comes belongs to its first one. Rows come one by one (single-row mode), and when the sink has
// no room the socket is not read: the server waits.
//
// Source: https://www.postgresql.org/docs/15/libpq-pipeline-mode.html, -async.html, -single-row-mode.html

internal import CPostgreSQL
internal import LinuxSystem

/// A connection to a PostgreSQL server.
///
/// - Thread: that of its loop.
final class PostgreSQLConnection: ServerConnection {
    /// What was sent and not answered yet.
    enum Step {
        /// A statement of ours around the client's.
        case own
        /// Fails when a read-only transaction has written.
        case check
        /// The client's, or one of its batch.
        case statement(BatchPosition?)
        case description
        case typeNames
        case sync
    }

    let handle: OpaquePointer
    let types: PostgreSQLTypes
    private let place: PostgreSQLLocation
    private var steps: [Step] = []
    private var nextStep = 0
    var parameters = PostgreSQLParameters()
    private var rows = PostgreSQLRows()
    private var mustFlush = false
    private var hasColumns = false
    /// A result whose row waits for room; its columns are known.
    private var rowCountLeft = Int64.max

    /// What went wrong first in this run.
    var failure: DriverError?
    /// The run may have changed something that stays, even if nothing more is heard of it.
    var mayHaveCommitted = false
    /// It reads, but functions that it calls may have changed something.
    private var mayHaveCalled = false
    var batch: PostgreSQLBatch?

    init(_ handle: OpaquePointer, _ types: PostgreSQLTypes, _ place: PostgreSQLLocation) {
        self.handle = handle
        self.types = types
        self.place = place
        version = pq_parameterStatus(handle, "server_version").map { String(cString: $0) } ?? ""
        super.init()
    }

    private let version: String

    override var serverVersion: String { version }
    override var socketNumber: Int32 { pq_socket(handle) }

    override var transaction: TransactionState {
        switch pq_transactionStatus(handle) {
        case PQ_TRANS_INTRANS, PQ_TRANS_ACTIVE: .active
        case PQ_TRANS_INERROR: .failed
        default: .none
        }
    }

    override func finish() { pq_finish(handle) }

    override func isAlive() -> Bool { pq_consumeInput(handle) == 1 && pq_status(handle) == PQ_CONNECTION_OK }

    /// Says nothing, as an idle server should: its last word before it hangs up would be taken for the next one's answer.
    override func isQuiet() -> Bool { !Sockets.hasInput(socketNumber) }

    // MARK: Sending

    /// Sends a statement of ours.
    func sendOwn(_ sql: StaticString, as step: Step = .own) throws(DriverError) {
        let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
        guard pq_sendQueryParams(handle, text, 0, nil, nil, nil, nil, 0) == 1 else { throw notSent }
        steps.append(step)
    }

    /// Sends a statement of the client's.
    func sendStatement(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ position: BatchPosition?
    ) throws(DriverError) {
        guard self.parameters.send(handle, sql, parameters) == 1 else { throw notSent }
        steps.append(.statement(position))
    }

    /// Ends what stands or falls together, and sends it.
    func sync() throws(DriverError) {
        guard pq_pipelineSync(handle) == 1 else { throw notSent }
        steps.append(.sync)
        mustFlush = pq_flush(handle) != 0
    }

    /// Makes the server send what it has, before the end of the pipeline.
    func requestAnswers() throws(DriverError) {
        guard pq_sendFlushRequest(handle) == 1 else { throw notSent }
        mustFlush = pq_flush(handle) != 0
    }

    var isSendingDelayed: Bool { mustFlush }
    var unansweredCount: Int { steps.count - nextStep }

    /// libpq took nothing: the connection is lost, or the statement has too many parameters.
    private var notSent: DriverError {
        if pq_status(handle) != PQ_CONNECTION_OK { return lostError() }
        let message = pq_errorMessage(handle).map { String(cString: $0) } ?? ""
        return DriverError(
            .badRequest,
            "The statement cannot be sent: \(place.withoutSecrets(message.split(separator: "\n").joined())).",
            sqlState: "54000")
    }

    override func send(_ run: StatementRun) throws(DriverError) {
        failure = nil
        hasColumns = false
        mayHaveCommitted = false
        mayHaveCalled = false
        rowCountLeft = run.rowCountMax
        // Commands before this one have all been answered; libpq tells a server that has hung up meanwhile.
        guard isAlive() else { throw lostError() }
        switch run.kind {
        case .statement: try send(run.sql, run.parameters, nil)
        case .describe: try sendDescribe(run)
        case .batch(let isAtomic):
            batch = PostgreSQLBatch(isAtomic: isAtomic)
            try beginBatch(run)
        }
        activate()
    }

    /// Sends one statement with what its mode puts around it.
    func send(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ position: BatchPosition?
    ) throws(DriverError) {
        let kind = StatementKind(sql)
        let isAlone = transaction == .none
        if mode.isReadOnly, kind.controlsTransaction { return try sendReadOnlyControl(sql, parameters, position) }
        guard mode.isReadOnly, isAlone else {
            try sendStatement(sql, parameters, position)
            mayHaveCommitted = !mode.isReadOnly && (isAlone || kind.controlsTransaction) && kind != .select
            mayHaveCalled = !mode.isReadOnly && isAlone && kind == .select
            return try sync()
        }
        try beginReadOnly()
        try sendStatement(sql, parameters, position)
        try sendCheck()
        try sync()
        // After an error this rolls back.
        try sendOwn("COMMIT")
        try sync()
    }

    /// Begins a transaction that cannot be made one that writes: that is refused after the first snapshot.
    /// - Source: check_transaction_read_only in src/backend/commands/variable.c
    func beginReadOnly() throws(DriverError) {
        try sendOwn("BEGIN READ ONLY")
        try sendOwn("SELECT")
    }

    /// Before PostgreSQL 16 there are holes in a read-only transaction: RESET transaction_read_only and
    /// set_config(…, NULL, …) open it, and lo_create writes all the same. Whatever has written has a transaction id.
    func sendCheck() throws(DriverError) {
        try sendOwn("SELECT 1 / (pg_catalog.txid_current_if_assigned() IS NULL)::int", as: .check)
    }

    /// BEGIN and its like in a read-only session: whatever transaction there is afterwards is read-only, and has a snapshot.
    private func sendReadOnlyControl(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ position: BatchPosition?
    ) throws(DriverError) {
        var words = SQLWords(sql)
        if transaction == .active, ["COMMIT", "END", "PREPARE"].contains(words.next()) { try sendCheck() }
        try sendStatement(sql, parameters, position)
        // Outside of a transaction this is a warning.
        try sendOwn("SET TRANSACTION READ ONLY")
        try sendOwn("SELECT")
        try sync()
    }

    private func sendDescribe(_ run: StatementRun) throws(DriverError) {
        guard parameters.sendPrepare(handle, run.sql) == 1 else { throw notSent }
        steps.append(.own)
        guard pq_sendDescribePrepared(handle, "") == 1 else { throw notSent }
        steps.append(.description)
        try sync()
    }

    override func sendReset() -> Bool {
        failure = nil
        do throws(DriverError) {
            if pq_transactionStatus(handle) != PQ_TRANS_IDLE {
                try sendOwn("ROLLBACK")
                try sync()
            }
            try sendOwn("DISCARD ALL")
            try sync()
            if !rows.unknownTypes.isEmpty { try sendTypeQuery() }
            activate()
            return true
        } catch {
            return false
        }
    }

    private func sendTypeQuery() throws(DriverError) {
        let list = rows.unknownTypes.map { "\($0)" }.joined(separator: ", ")
        rows.forgetUnknownTypes()
        let sent = (PostgreSQLTypes.query + " WHERE oid IN (\(list))").withCString {
            pq_sendQueryParams(handle, $0, 0, nil, nil, nil, nil, 0)
        }
        guard sent == 1 else { throw notSent }
        steps.append(.typeNames)
        try sync()
    }

    // MARK: Receiving

    /// The next step is the first one that has no answer: its rows are to come one by one. This must be said before
    /// libpq has looked at any of them.
    private func activate() {
        guard nextStep < steps.count, case .statement = steps[nextStep] else { return }
        _ = pq_setSingleRowMode(handle)
    }

    private func stepIsAnswered() {
        nextStep += 1
        if nextStep == steps.count {
            steps.removeAll(keepingCapacity: true)
            nextStep = 0
        }
        activate()
    }

    override func advance(isReadable: Bool) -> Progress {
        if isReadable, pq_consumeInput(handle) == 0 { return lost() }
        if mustFlush {
            let state = pq_flush(handle)
            if state < 0 { return lost() }
            mustFlush = state > 0
        }
        while true {
            while nextStep < steps.count {
                if pq_isBusy(handle) != 0 {
                    if pq_status(handle) != PQ_CONNECTION_OK { return lost() }
                    continueBatchWhileWaiting()
                    return .waiting(mustFlush ? [.readable, .writable] : .readable)
                }
                guard let result = pq_getResult(handle) else {
                    if pq_status(handle) != PQ_CONNECTION_OK { return lost() }
                    stepIsAnswered()
                    continue
                }
                defer { pq_clear(result) }
                if let progress = take(result) { return progress }
            }
            guard continueBatch() else { break }
            activate()
        }
        if run == nil, failure != nil, phase == .resetting { return lost() }
        finishRun()
        return .ended
    }

    private func note(_ error: DriverError) {
        if failure == nil { failure = error }
    }

    private func take(_ result: OpaquePointer) -> Progress? {
        switch pq_resultStatus(result) {
        case PQ_SINGLE_TUPLE: return takeRow(result)
        case PQ_TUPLES_OK, PQ_COMMAND_OK: takeEnd(result)
        case PQ_EMPTY_QUERY:
            note(
                located(
                    DriverError(
                        .badRequest, "The SQL text holds no statement.", hint: "Send one statement in sql.",
                        sqlState: "42601")))
        case PQ_PIPELINE_SYNC: stepIsAnswered()
        case PQ_PIPELINE_ABORTED, PQ_NONFATAL_ERROR: break
        case PQ_FATAL_ERROR, PQ_BAD_RESPONSE: takeError(result)
        default:
            // COPY is refused before it is sent; a server that speaks it all the same is not understood.
            return .broken(
                DriverError(
                    .databaseError, "The server began a COPY, which the protocol does not support.", sqlState: "0A000"))
        }
        return nil
    }

    private var step: Step { nextStep < steps.count ? steps[nextStep] : .sync }

    private func located(_ error: DriverError) -> DriverError {
        guard case .statement(let position?) = step else { return error }
        return error.with {
            $0.statementIndex = position.statementIndex
            $0.rowIndex = position.rowIndex
        }
    }

    private func takeError(_ result: OpaquePointer) {
        if case .check = step { return note(Self.hasWritten) }
        var sql = UnsafeRawBufferPointer(start: nil, count: 0)
        // Positions in a batch are of a statement that is gone: only its index is told.
        if batch == nil, let run { sql = run.sql }
        note(located(PostgreSQLErrors.error(result, sql: sql).told(isSession: mode.isSession)))
    }

    // MARK: Rows

    private func takeRow(_ result: OpaquePointer) -> Progress? {
        guard let run, batch == nil, case .statement = step else { return nil }
        if isDiscarding {
            hasDroppedRows = true
            return nil
        }
        beginColumns(result, run)
        guard rowCountLeft > 0 else {
            run.isTruncated = true
            return nil
        }
        rowCountLeft -= 1
        switch rows.push(result, row: 0, into: run.sink) {
        case .open: run.rowCount += 1
        case .full:
            run.rowCount += 1
            return .full
        case .overflow:
            note(Self.rowTooLarge)
            hasDroppedRows = true
            abort()
        }
        return nil
    }

    private func beginColumns(_ result: OpaquePointer, _ run: StatementRun) {
        if hasColumns { return }
        hasColumns = true
        run.sink.begin(ColumnSet(rows.columns(result, types)))
        if !rows.unknownTypes.isEmpty { needsReset = true }
    }

    private static let hasWritten = DriverError(
        .readOnly, "The statement wrote in a read-only transaction, which was therefore not committed.",
        hint: "Open the database for writing.", sqlState: "25006")

    private static let rowTooLarge = DriverError(
        .limitExceeded, "A row is larger than a reply may be (row_bytes_max).",
        hint: "Select fewer or smaller columns, or parts of them with substr().", sqlState: "54000")

    /// The end of a statement that succeeded.
    private func takeEnd(_ result: OpaquePointer) {
        switch step {
        case .own, .check, .sync: return
        case .typeNames: types.take(result)
        case .description: takeDescription(result)
        case .statement(let position):
            var summary = StatementSummary()
            let tag = pq_cmdStatus(result).map { String(cString: $0) } ?? ""
            let command = tag.prefix { $0 != " " }
            if Self.changing.contains(command), let text = pq_cmdTuples(result) {
                summary.rowsAffected = Int64(String(cString: text)) ?? 0
            }
            if !Self.harmless.contains(command) { needsReset = true }
            if batch != nil { return addToBatch(summary, position) }
            guard let run else { return }
            run.summary = summary
            // A stop that came too late has dropped nothing.
            if !hasDroppedRows { beginColumns(result, run) }
        }
    }

    private static let changing: Set<Substring> = ["INSERT", "UPDATE", "DELETE", "MERGE"]
    /// Statements that leave nothing on their connection; functions that they call may, for the same user only.
    private static let harmless: Set<Substring> = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "SHOW", "EXPLAIN"]

    private func takeDescription(_ result: OpaquePointer) {
        guard let run else { return }
        run.description = StatementDescription(
            columns: rows.columns(result, types),
            parameters: [String?](repeating: nil, count: Int(pq_nparams(result))),
            isReadOnly: mode.isReadOnly || StatementKind(run.sql) == .select)
    }

    // MARK: The end

    private func finishRun() {
        defer {
            batch = nil
            failure = nil
        }
        while let notification = pq_notifies(handle) { pq_freemem(notification) }
        guard let run else { return }
        run.error = failure
        run.summary.transaction = transaction
        guard failure == nil, !mode.isSession, transaction != .none else { return }
        // Reset ends it.
        run.error = PostgreSQLDriver.needsSession
    }

    private func lost() -> Progress {
        // What the server said last may be there still.
        var count = 0
        while count < 100, pq_status(handle) != PQ_CONNECTION_OK || pq_isBusy(handle) == 0,
            let result = pq_getResult(handle)
        {
            if pq_resultStatus(result) == PQ_FATAL_ERROR { takeError(result) }
            pq_clear(result)
            count += 1
        }
        return .broken(lostError())
    }

    private func lostError() -> DriverError {
        let wasTold = failure?.details.sqlState.map { $0 == "57P01" } ?? false
        if mayHaveCommitted, !wasTold { return Self.unknownOutcome("The connection to the database was lost") }
        if let failure, wasTold { return failure }
        let message =
            mode.isSession
            ? "The connection to the database was lost; an open transaction was rolled back."
            : "The connection to the database was lost while the statement ran."
        return DriverError(.connectFailed, message, hint: "Try again.", sqlState: "08006").with {
            $0.isRetryable = !mode.isSession && !mayHaveCalled
            if mayHaveCalled { $0.detail = Self.calledFunctions }
        }
    }

    private static let calledFunctions = "If it calls functions that write, whether these took effect is not known."

    private static func unknownOutcome(_ cause: String) -> DriverError {
        DriverError(
            .outcomeUnknown, "\(cause) while the statement ran; whether it took effect is not known.",
            hint: "Look whether its change is there before you send it again.", sqlState: "08007")
    }

    override func errorOfDetachedRun(_ reason: StopReason) -> DriverError {
        if mayHaveCommitted { return Self.unknownOutcome("The server did not confirm the cancelling") }
        return DriverError.stopped(reason).with { if mayHaveCalled { $0.detail = Self.calledFunctions } }
    }

    // MARK: Cancelling

    override func makeCancel() -> (@Sendable () -> Void)? {
        guard let key = pq_getCancel(handle) else { return nil }
        let parcel = HandedOver(key)
        return {
            var message: [CChar] = Array(repeating: 0, count: 256)
            // Where it fails, the connection is closed when it does not settle.
            _ = pq_cancel(parcel.value, &message, Int32(message.count))
            pq_freeCancel(parcel.value)
        }
    }
}

extension DriverError {
    /// What a state of the connection means to somebody who has none.
    fileprivate func told(isSession: Bool) -> DriverError {
        guard !isSession, details.sqlState == "25P01" else { return self }
        return PostgreSQLDriver.needsSession.with { $0.detail = details.message }
    }
}
