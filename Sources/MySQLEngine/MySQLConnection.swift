// A connection to MySQL or MariaDB by libmariadb's non-blocking calls: its socket is watched by the loop.
//
// What a run needs is a plan: steps that are taken one after the other, each a round trip or more (MySQLExchange.swift). The
// connection has libmariadb's handle and statements, and does the steps. Statements without
// parameters go by the protocol of text. Those with parameters are prepared, executed and closed each time: what is kept
// prepared keeps also the database, the sql_mode and the names of columns of that moment. Rows come one by one and are never
// stored: when the sink has no room the socket is not read, and the server waits.

internal import ByteBuffers
internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import SQLText

/// A connection to a MySQL or MariaDB server.
///
/// - Thread: that of its loop.
final class MySQLConnection: ServerConnection {
    /// What is known of the server since connecting.
    struct Context {
        var hostIndex: Int
        /// max_allowed_packet: the server hangs up on a longer message.
        var packetByteCountMax: Int
        var canceller: MySQLCanceller
        /// `nil` where the password is not known to the daemon, but to the library only.
        var login: MySQLLogin?
        var roleStatement: String?
        /// What connections know of several servers.
        var choice: ServerChoice?
        var serverName: String?
        /// Its server was taken because it takes writes.
        var mustTakeWrites = false
        /// Where it tells what it commits.
        let changes: MySQLChanges
    }

    /// What of a result is the client's.
    struct Delivery {
        /// The client has the columns; results that follow are dropped.
        var hasColumns = false
        var isDropping = false
        var rowCountLeft = Int64.max
        var returnedRowCount: Int64 = 0
    }

    let handle: UnsafeMutablePointer<MYSQL>
    let context: Context
    private let version: String
    var calls: MySQLCalls
    var exchange = MySQLExchange()
    /// Of the present run: replaced as a whole when the next one begins.
    var delivery = Delivery()
    var text = ByteBuffer()
    /// A call for which `text` is to be filled by a worker, since it is long.
    var dueCall: MySQLOperation?
    /// A statement whose many parameters a worker is to bind.
    var dueBinding: MySQLStatement?
    /// A statement whose long values are being sent, piece by piece, before it is executed.
    var dueExecution: MySQLStatement?
    var parameters = MySQLParameters()
    var rows = MySQLRows()
    var statementInUse: MySQLStatement?
    /// That of an atomic batch whose rows are being sent.
    var rowStatement: MySQLStatement?
    /// Prepared statements that are of no use any more.
    var surplus: [MySQLStatement] = []
    /// What reads the result that is under way, and goes on when the sink has room.
    var reading: MySQLOperation?
    /// A result of text that is not freed yet.
    var result: UnsafeMutablePointer<MYSQL_RES>?
    /// The server has refused to stop what the connection does.
    private let killRefusal = MySQLKillRefusal()
    /// What is to be told of what it commits.
    var changing = MySQLChanging()

    private static let keptTextByteCountMax = 64 << 10
    /// Rows between two looks at the clock.
    private static let rowCountBetweenLooks = 64
    private static let turnNanoseconds: Int64 = 2_000_000

    init(_ handle: UnsafeMutablePointer<MYSQL>, _ context: Context) {
        self.handle = handle
        self.context = context
        calls = MySQLCalls(handle)
        version = libmariadb.mysql_get_server_info(handle).map { String(cString: $0) } ?? ""
        super.init()
    }

    override var serverVersion: String { version }
    override var socketNumber: Int32 { libmariadb.mysql_get_socket(handle) }
    override var serverName: String? { context.serverName }
    override var isOutdated: Bool { context.choice?.isOutdated(opened) ?? false }

    /// The server's status after its last answer; libmariadb does not take it over from the answer to a reset.
    private var status: Int32 {
        if exchange.isFresh { return SERVER_STATUS_AUTOCOMMIT }
        var flags: UInt32 = 0
        _ = libmariadb.mariadb_get_info(handle, MARIADB_CONNECTION_SERVER_STATUS, &flags)
        return Int32(bitPattern: flags)
    }
    var transactionStatus: MySQLExchange.Status {
        let status = status
        return MySQLExchange.Status(
            isInTransaction: status & SERVER_STATUS_IN_TRANS != 0,
            isTransactionReadOnly: status & SERVER_STATUS_IN_TRANS_READONLY != 0)
    }
    var isInTransaction: Bool { status & SERVER_STATUS_IN_TRANS != 0 }
    override var transaction: TransactionState { isInTransaction ? .active : .none }

    /// An idle server says nothing but that it hangs up.
    override func isAlive() -> Bool { !Sockets.hasInput(socketNumber) }

    override func abandonCalls() {
        calls.abandon()
        if phaseWasBusy { cmariadb_shutdown(handle) }
    }

    override func finish() {
        tellChangesOfEnd()
        freeResult()
        let prepared = surplus + [statementInUse, rowStatement].compactMap(\.self)
        surplus = []
        statementInUse = nil
        rowStatement = nil
        libmariadb.mysql_close(handle)
        // libmariadb has told them that their connection is gone: only memory is given back.
        for statement in prepared { _ = libmariadb.mysql_stmt_close(statement.handle) }
    }

    /// Something was under way when the connection was closed.
    private var phaseWasBusy: Bool { run != nil || exchange.step != nil || calls.waits != 0 }

    // MARK: Sending

    override func send(_ run: StatementRun) throws(DriverError) {
        let kind: MySQLStatementKind? = if case .statement = run.kind { MySQLStatementKind(run.sql) } else { nil }
        exchange.beginRun(isReadOnly: mode.isReadOnly, isSession: mode.isSession, kind: kind)
        if kind == .select, !readsOnly, PlainStatement.isPlain(run.sql, .mysql) { current.effect.noteHarmless() }
        delivery = Delivery(rowCountLeft: run.rowCountMax)
        killRefusal.clear()
        guard isAlive() else { throw lostError() }
        exchange.planBeginning()
        switch run.kind {
        case .statement where run.refusesMisfits && !mode.isReadOnly: exchange.planStrictStatement()
        case .statement: exchange.planStatement(run.sql, nil, isInTransaction: isInTransaction)
        case .describe: exchange.planDescription()
        case .batch(let isAtomic): try beginBatch(run, isAtomic: isAtomic)
        case .backup: throw .noFileToCopy
        case .restore: throw .noFileToRestore
        case .copy: throw .noCopy
        case .load: throw .noTables
        }
    }

    override func sendReset() -> Bool {
        guard context.login != nil else { return false }
        exchange.planReset(hasRole: context.roleStatement != nil)
        return true
    }

    // MARK: Going on

    override func advance(isReadable: Bool) -> Progress {
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        var countLeft = Self.rowCountBetweenLooks
        calls.proceed()
        while true {
            if calls.waits != 0 { return .waiting(calls.readiness) }
            if let dueCall {
                if let progress = start(due: dueCall) { return progress }
            } else if dueBinding != nil {
                return .heavy
            } else if let operation = calls.take() {
                if let progress = didEnd(operation) { return progress }
            } else if let statement = dueExecution {
                if MonotonicInstant.now > deadline { return .yielding }
                dueExecution = nil
                goOnExecuting(statement)
            } else if let reading {
                countLeft -= 1
                if countLeft <= 0 {
                    if MonotonicInstant.now > deadline { return .yielding }
                    countLeft = Self.rowCountBetweenLooks
                }
                self.reading = nil
                calls.start(reading)
            } else if !beginNext() {
                break
            }
        }
        if run == nil, failure != nil, phase == .resetting { return .broken(lostError()) }
        if let progress = locateFailure() { return progress }
        finishRun()
        return .ended
    }

    /// No more than the row, the copy of a text, a search in it, or the binding of parameters: libmariadb's calls stay on one thread, since one that waits keeps the address of
    /// that thread's errno on a stack of its own.
    override func advanceAway() -> Progress {
        if dueCall != nil {
            if let run { text.append(run.sql) }
            findDueChanges()
            return .yielding
        }
        if let statement = dueBinding.take() {
            bind(statement)
            return .yielding
        }
        return reading == nil ? locateFailure() ?? .yielding : pushLongRow()
    }

    /// - Returns: false when there is nothing more to do.
    private func beginNext() -> Bool {
        if let statement = surplus.popLast() {
            calls.start(.close(statement))
            return true
        }
        if exchange.unansweredCount == 0, !continueBatch() {
            closeRowStatement()
            return !surplus.isEmpty
        }
        guard let next = exchange.beginNext() else { return false }
        switch next {
        case .own(let sql), .attempt(let sql):
            noteChanges(byOwn: sql)
            calls.start(.query, UnsafeRawBufferPointer(start: sql.utf8Start, count: sql.utf8CodeUnitCount))
        case .statement: beginStatement()
        case .describe: if let run { prepare(run.sql) } else { stepDidFail() }
        case .role:
            text.removeAll()
            text.append(context.roleStatement ?? "")
            calls.start(.query, text.readable)
        case .reset: if let login = context.login { calls.start(.login(login)) } else { stepDidFail() }
        }
        return true
    }

    func stepDidEnd() {
        tellChanges()
        exchange.stepDidEnd()
        trimText()
    }

    /// Nothing of the step was sent to the server, or nothing comes of it.
    func stepDidFail() {
        changing.tracker.forget()
        changing.madeTemporary = nil
        exchange.stepDidFail(isInTransaction: isInTransaction)
        trimText()
    }

    func trimText() {
        if text.capacity > Self.keptTextByteCountMax { giveBack(&text) }
    }

    // MARK: Cancelling

    override func makeCancel() -> (@Sendable () -> Bool)? {
        guard exchange.beginKill() else { return nil }
        let target = MySQLCanceller.Target(
            number: libmariadb.mysql_thread_id(handle), hostIndex: context.hostIndex, opened: opened)
        let (canceller, refusal) = (context.canceller, killRefusal)
        return {
            canceller.kill(target, noting: refusal)
            return true
        }
    }

    // MARK: The end

    private func finishRun() {
        if status & SERVER_STATUS_AUTOCOMMIT == 0, !mode.isSession { needsReset = true }
        let hasFailed = failure != nil
        let error = exchange.end(transactionStatus)
        guard let run else { return }
        // BEGIN of a read-only session is not the client's own.
        if !hasFailed, !delivery.hasColumns, case .statement = run.kind { run.sink.begin(ColumnSet([])) }
        run.error = error
        run.summary.transaction = transaction
    }

    func lostError() -> DriverError { exchange.lostError(current.effect) }

    override func errorOfDetachedRun(_ reason: StopReason, isLost: Bool) -> DriverError {
        let error = super.errorOfDetachedRun(reason, isLost: isLost)
        return killRefusal.wasNoted && !isLost ? error.with { $0.detail = MySQLKillRefusal.detail } : error
    }

    override func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool {
        [.cancelled, .timeout, DriverError.stopped(reason).code].contains(error.code)
    }
}
