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
        /// Ours, with which all of a batch stays.
        case commit
        /// Fails when a read-only transaction has written.
        case check
        /// The client's, or one of its batch.
        case statement(BatchPosition?)
        /// Parses the next one, and those with further rows behind it.
        case preparation(BatchPosition?)
        /// Tells the client's name, which nothing depends on.
        case introduction
        case description
        case typeNames
        case sync
    }

    let handle: OpaquePointer
    let types: PostgreSQLTypes
    let place: PostgreSQLLocation
    private let server: PostgreSQLServerFacts
    var steps: [Step] = []
    var nextStep = 0
    private var parameters = PostgreSQLParameters()
    var rows = PostgreSQLRows()
    var mustFlush = false
    /// Those of the result that comes, once they are known.
    var columns: PostgreSQLColumns?
    var rowCountLeft = Int64.max

    /// What went wrong first in this run.
    var failure: DriverError?
    /// The run may have changed something that stays, even if nothing more is heard of it.
    var mayHaveCommitted = false
    /// It reads, but functions that it calls may have changed something.
    var mayHaveCalled = false
    var batch: PostgreSQLBatch?
    /// Types of the parameters with which the statement was parsed whose rows are being sent.
    private var rowTypes: [UInt32]?
    /// No transaction was open when the statement, or the atomic batch, was sent: after an error nothing of it is left.
    var isAlone = false
    /// `failure` is what the server said of this run.
    var isFailureOfServer = false
    /// Why the connection is lost, in the words of who has lost the server.
    var lossDetail: String?
    /// The server has said that the run's changes are to stay.
    var isCommitted = false
    /// libpq has taken the end of the present step's result; nothing more belongs to it.
    var hasEnded = false
    /// The server has said what nobody had asked for, or what makes no sense: what comes next may belong to anything.
    var isOutOfStep = false
    var gathering = PostgreSQLGathering()
    /// A long row that waits for a worker.
    var heldResult: OpaquePointer?

    /// Parts of it may stay although the statement as a whole fails: CALL, DO and others can commit within.
    private var canCommitWithin = false
    /// The run may have changed something, also in a transaction that is still open.
    var mayHaveTakenEffect = false
    private var isPlainRead = false

    init(
        _ handle: OpaquePointer, _ types: PostgreSQLTypes, _ place: PostgreSQLLocation,
        _ server: PostgreSQLServerFacts
    ) {
        self.handle = handle
        self.types = types
        self.place = place
        self.server = server
        super.init()
        // Else libpq draws the place of each error into a copy of the text, character by character, for a message that nobody here
        // reads: 200 ms for 15 MB (reportErrorPosition in fe-protocol3.c).
        _ = pq_setErrorVerbosity(handle, PQ_ERRORS_TERSE)
        // libpq calls back within calls of ours, which end with `finish`.
        cpostgresql_receive_notices(
            handle,
            { argument, notice in
                guard let argument, let notice else { return }
                Unmanaged<PostgreSQLConnection>.fromOpaque(argument).takeUnretainedValue().take(notice: notice)
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// A notice belongs to whatever runs; those of our own statements around it are nobody's.
    private func take(notice: OpaquePointer) {
        gathering.noteMessage()
        // One of libpq's own: it has dropped an answer for which there was no question.
        if PostgreSQLErrors.sqlState(notice) == nil { isOutOfStep = true }
        guard let run, run.wantsNotices else { return }
        switch step {
        case .statement, .preparation, .commit: run.notices.append(PostgreSQLErrors.notice(notice))
        default: break
        }
    }

    override var serverVersion: String { server.version }
    override var socketNumber: Int32 { pq_socket(handle) }

    override var transaction: TransactionState {
        // libpq calls active whatever waits for an answer.
        if case .introduction? = steps.first { return .none }
        return switch pq_transactionStatus(handle) {
        case PQ_TRANS_INTRANS, PQ_TRANS_ACTIVE: .active
        case PQ_TRANS_INERROR: .failed
        default: .none
        }
    }

    override func finish() {
        if let held = heldResult.take() { pq_clear(held) }
        pq_finish(handle)
    }

    /// Notifications are not carried: those of a session that has sent LISTEN must not pile up while it is idle.
    override func isAlive() -> Bool {
        guard case .read = gathering.read(handle) else { return false }
        dropNotifications()
        return pq_status(handle) == PQ_CONNECTION_OK && !isOutOfStep && !gathering.isFruitless
    }

    func dropNotifications() {
        while let notification = pq_notifies(handle) {
            pq_freemem(notification)
            gathering.noteMessage()
        }
    }

    /// Says nothing, as an idle server should: its last word before it hangs up would be taken for the next one's answer.
    override func isQuiet() -> Bool { !Sockets.hasInput(socketNumber) }

    // MARK: Sending

    /// Sends a statement of ours.
    func sendOwn(_ sql: StaticString, as step: Step = .own) throws(DriverError) {
        let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
        guard pq_sendQueryParams(handle, text, 0, nil, nil, nil, nil, 0) == 1 else { throw notSent }
        steps.append(step)
    }

    /// Sends a statement of the client's, whose parameters `takeOver` has. The server parses it at that moment, every time:
    /// what it keeps parsed keeps also what `'now'`, the time zone, `search_path` or a table were when it was, and the types and
    /// names of its result.
    func sendStatement(_ sql: UnsafeRawBufferPointer, _ position: BatchPosition?) throws(DriverError) {
        guard parameters.send(handle, sql) == 1 else { throw notSent }
        steps.append(.statement(position))
        noteMessageSize(parameters.byteCount)
    }

    /// Sends a statement of an atomic batch with one of its rows. It is parsed with the first one if it calls nothing that
    /// could change what it means: within a transaction also `'now'` stays what it is.
    func sendRow(
        _ sql: UnsafeRawBufferPointer, _ kind: StatementKind, _ position: BatchPosition
    ) throws(DriverError) {
        guard let rowIndex = position.rowIndex else { return try sendStatement(sql, position) }
        if rowIndex == 0 { rowTypes = nil }
        if rowTypes == nil || rowTypes != parameters.types {
            guard kind.isPlain, PlainStatement.isPlain(sql, .postgresql) else {
                return try sendStatement(sql, position)
            }
            guard parameters.sendPrepare(handle, sql) == 1 else { throw notSent }
            steps.append(.preparation(position))
            rowTypes = parameters.types
        }
        guard parameters.sendPrepared(handle) == 1 else { throw notSent }
        steps.append(.statement(position))
        noteMessageSize(parameters.byteCount)
    }

    /// Takes over the parameters of the statement that is sent next, and notes what it may leave.
    func takeOver(_ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ kind: StatementKind) {
        self.parameters.fill(parameters)
        // Also where it fails: a lock of the session stays.
        if !mode.isSession, !needsReset { needsReset = !kind.isPlain || !PlainStatement.isPlain(sql, .postgresql) }
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
    /// Of the last statement and its values.
    var sentByteCount: Int { parameters.byteCount }
    var unansweredCount: Int { steps.count - nextStep }

    /// libpq took nothing: the connection is lost, or the statement has too many parameters.
    var notSent: DriverError {
        if pq_status(handle) != PQ_CONNECTION_OK { return lostError() }
        let message = pq_errorMessage(handle).map { String(cString: $0) } ?? ""
        return DriverError(
            .badRequest,
            "The statement cannot be sent: \(place.withoutSecrets(message.split(separator: "\n").joined())).",
            sqlState: "54000")
    }

    override func send(_ run: StatementRun) throws(DriverError) {
        failure = nil
        columns = nil
        mayHaveCommitted = false
        mayHaveCalled = false
        isFailureOfServer = false
        lossDetail = nil
        isCommitted = false
        canCommitWithin = false
        mayHaveTakenEffect = false
        isPlainRead = mode.isReadOnly || run.kind.isDescription
        rowTypes = nil
        rowCountLeft = run.rowCountMax
        gathering = PostgreSQLGathering(rowByteCountMax: run.sink.rowByteCountMax)
        // Commands before this one have all been answered; libpq tells a server that has hung up meanwhile. A connection of
        // the pool was looked at when it was taken.
        guard !mode.isSession || isAlive() else { throw lostError() }
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
        isAlone = transaction == .none
        isCommitted = false
        canCommitWithin =
            isAlone && !mode.isReadOnly && (kind == .other || kind == .preparedTransaction)
            && !StatementKind.isOneTransaction(sql)
        if position == nil, kind == .select, !isPlainRead { isPlainRead = PlainStatement.isPlain(sql, .postgresql) }
        takeOver(sql, parameters, kind)
        if mode.isReadOnly, kind.controlsTransaction { return try sendReadOnlyControl(sql, position) }
        guard mode.isReadOnly, isAlone else {
            try sendStatement(sql, position)
            mayHaveCommitted = !mode.isReadOnly && (isAlone || kind.controlsTransaction) && kind != .select
            mayHaveTakenEffect = !mode.isReadOnly && kind != .select
            mayHaveCalled = !mode.isReadOnly && isAlone && kind == .select
            return try sync()
        }
        try beginReadOnly()
        try sendStatement(sql, position)
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
    private func sendReadOnlyControl(_ sql: UnsafeRawBufferPointer, _ position: BatchPosition?) throws(DriverError) {
        var words = SQLWords(sql)
        if transaction == .active, ["COMMIT", "END", "PREPARE"].contains(words.next()) { try sendCheck() }
        try sendStatement(sql, position)
        // Outside of a transaction this is a warning.
        try sendOwn("SET TRANSACTION READ ONLY")
        try sendOwn("SELECT")
        try sync()
    }

    private func sendDescribe(_ run: StatementRun) throws(DriverError) {
        parameters.fill([])
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
            if needsReset { try sendSeed() }
            if server.watchesClient {
                try sendOwn(PostgreSQLServerFacts.watchStatement)
                try sync()
            }
            if server.isBytewise {
                try sendOwn(PostgreSQLServerFacts.bytewiseStatement)
                try sync()
            }
            if !rows.unknownTypes.isEmpty { try sendTypeQuery() }
            activate()
            return true
        } catch {
            return false
        }
    }

    /// What SET SEED and setseed() leave is the one thing that DISCARD ALL keeps: whoever knows it knows the next random().
    private func sendSeed() throws(DriverError) {
        let sent = "\(Double.random(in: -1...1))".withCString { seed in
            var seed: UnsafePointer<CChar>? = seed
            return pq_sendQueryParams(handle, "SELECT pg_catalog.setseed($1)", 1, nil, &seed, nil, nil, 0)
        }
        guard sent == 1 else { throw notSent }
        steps.append(.own)
        try sync()
    }

    /// A name longer than NAMEDATALEN - 1 would be cut by the server, with a notice.
    private static let nameByteCountMax = 63

    // A pooler may give its connection, with the name, to other clients.
    override func sendIntroduction(_ clientName: String) -> Bool {
        guard !server.isBehindPooler else { return false }
        let own = server.applicationName
        let full = own.isEmpty ? clientName : "\(own): \(clientName)"
        let name = String(full.utf8.prefix(Self.nameByteCountMax)) ?? clientName
        let sent = name.withCString { value in
            var value: UnsafePointer<CChar>? = value
            return pq_sendQueryParams(
                handle, "SELECT pg_catalog.set_config('application_name', $1, false)", 1, nil, &value, nil, nil, 0)
        }
        guard sent == 1 else { return false }
        steps.append(.introduction)
        // A connection that is lost meanwhile says so at its next statement.
        try? sync()
        return true
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

    /// The next step is the first one that has no answer: its rows are to come one by one, those of our own statements too,
    /// however many they are. This must be said before libpq has looked at any of them.
    func activate() {
        if nextStep < steps.count, case .sync = steps[nextStep] { return }
        _ = pq_setSingleRowMode(handle)
    }

    func stepIsAnswered() {
        hasEnded = false
        nextStep += 1
        if nextStep == steps.count {
            steps.removeAll(keepingCapacity: true)
            nextStep = 0
        }
        activate()
    }

    override func advanceAway() -> Progress {
        gathering.beginLook()
        return advanceAndRead()
    }

    override func advance(isReadable: Bool) -> Progress {
        if isReadable {
            switch gathering.read(handle) {
            case .read: noteMessageSize(gathering.byteCount)
            case .failed: return lost()
            case .tooMuch: return .broken(gatheringError())
            }
        }
        if mustFlush {
            let state = pq_flush(handle)
            if state < 0 { return lost() }
            mustFlush = state > 0
        }
        while true {
            while nextStep < steps.count {
                if !absence.isAway, absence.hasBeen || gathering.isLong { return .heavy }
                if let progress = takeHeld() { return progress }
                if pq_isBusy(handle) != 0 {
                    if pq_status(handle) != PQ_CONNECTION_OK { return lost() }
                    dropNotifications()
                    let isOurLook = isReadable || absence.isAway
                    if isOurLook, gathering.isFruitless { return .broken(nonsense("It has too many parameters.")) }
                    continueBatchWhileWaiting()
                    return .waiting(mustFlush ? [.readable, .writable] : .readable)
                }
                gathering.noteMessage()
                // libpq has dropped an answer too many, between two others, if it was there in time.
                if isOutOfStep { return .broken(nonsense("It answers what it was not asked.")) }
                guard let result = pq_getResult(handle) else {
                    if pq_status(handle) != PQ_CONNECTION_OK { return lost() }
                    stepIsAnswered()
                    continue
                }
                if !absence.isAway, pq_resultMemorySize(result) >= Self.heavyByteCountMin {
                    heldResult = result
                    return .heavy
                }
                defer { pq_clear(result) }
                if let progress = take(result) { return progress }
            }
            guard continueBatch() else { break }
            activate()
        }
        if run == nil, failure != nil, phase == .resetting { return lost() }
        finishRun()
        return run == nil && isOutOfStep ? lost() : .ended
    }

    // MARK: The end

    func finishRun() {
        defer {
            batch = nil
            failure = nil
        }
        dropNotifications()
        forgetLateEnd()
        let isUnknown = pq_transactionStatus(handle) == PQ_TRANS_UNKNOWN && pq_status(handle) == PQ_CONNECTION_OK
        if isUnknown { isOutOfStep = true }
        if isOutOfStep { isWorn = true }
        guard let run else { return }
        run.error = failure
        run.summary.transaction = transaction
        guard failure == nil else { return }
        if isUnknown || (isCommitted && !mode.isSession && transaction != .none) {
            run.error = nonsense("It tells a state of the transaction that cannot be.")
        } else if !mode.isSession, transaction != .none {
            // Reset ends it.
            run.error = PostgreSQLDriver.needsSession
        }
    }

    override func errorOfDetachedRun(_ reason: StopReason, isLost: Bool) -> DriverError {
        // With the connection an open transaction is gone.
        let mayStay = mayHaveCommitted || (mayHaveTakenEffect && !isLost)
        return .detached(reason, mayHaveCommitted: mayStay, mayHaveCalled: mayHaveCalled)
    }

    override var readsOnly: Bool { isPlainRead }
    override var isDivisible: Bool { canCommitWithin }

    override func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool {
        [.cancelled, .timeout, DriverError.stopped(reason).code].contains(error.code)
    }

    // MARK: Cancelling

    /// Time in which the server is to take a cancel. It has no use for more: its connection is closed then.
    private static let cancelMillisecondsMax = 5_000

    override func makeCancel() -> (@Sendable () -> Bool)? {
        guard let key = pq_getCancel(handle) else { return nil }
        let parcel = HandedOver(key)
        return {
            // Where it fails, the connection is closed when it does not settle.
            let isOver = cpostgresql_cancel(parcel.value, Self.cancelMillisecondsMax)
            pq_freeCancel(parcel.value)
            return isOver
        }
    }
}
