// A connection to MySQL or MariaDB by libmariadb's non-blocking calls: its socket is watched by the loop.
//
// What a run needs is a plan: steps that are taken one after the other, each a round trip or more. Statements without
// parameters go by the protocol of text. Those with parameters are prepared, executed and closed each time: what is kept
// prepared keeps also the database, the sql_mode and the names of columns of that moment. Rows come one by one and are never
// stored: when the sink has no room the socket is not read, and the server waits.

internal import ByteBuffers
internal import CMariaDB
internal import LinuxSystem

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
    }

    enum Step {
        /// A statement of ours around the client's.
        case own(StaticString)
        /// One whose errors do not matter.
        case attempt(StaticString)
        /// The client's, or one of its batch.
        case statement(BatchPosition?)
        case describe
        case reset
        case role
    }

    let handle: OpaquePointer
    let context: Context
    private let version: String
    var calls: MySQLCalls
    private var plan: [Step] = []
    private var nextStep = 0
    var step: Step?
    private var text = ByteBuffer()
    private var parameters = MySQLParameters()
    var rows = MySQLRows()
    var statementInUse: MySQLStatement?
    /// That of an atomic batch whose rows are being sent.
    private var rowStatement: MySQLStatement?
    /// Prepared statements that are of no use any more.
    var surplus: [MySQLStatement] = []
    /// What reads the result that is under way, and goes on when the sink has room.
    var reading: MySQLOperation?
    /// A result of text that is not freed yet.
    var result: OpaquePointer?
    /// The client has the columns; results that follow are dropped.
    var hasColumns = false
    var isDropping = false
    var rowCountLeft = Int64.max
    var returnedRowCount: Int64 = 0
    var kind = MySQLStatementKind.other
    /// The statement was sent anew, since its table has changed.
    var wasRepeated = false
    /// Nothing more can come over the connection.
    var isLost = false
    /// A KILL QUERY may have come after the statement that it was meant for: it would hit the next one.
    private var mayBeKilled = false
    /// BEGIN was sent by us.
    private var ownsTransaction = false

    /// What went wrong first in this run.
    var failure: DriverError?
    /// The run may have changed something that stays, even if nothing more is heard of it.
    var mayHaveCommitted = false
    /// It reads, but functions that it calls may have changed something.
    var mayHaveCalled = false
    var batch: MySQLBatch?
    /// The run may have changed something, also in a transaction that is still open.
    var mayHaveTakenEffect = false
    private var isPlainRead = false

    private static let keptTextByteCountMax = 64 << 10
    /// Room in a message beside the statement or its parameters.
    private static let messageOverheadByteCount = 1024
    /// Rows between two looks at the clock.
    private static let rowCountBetweenLooks = 64
    private static let turnNanoseconds: Int64 = 2_000_000

    init(_ handle: OpaquePointer, _ context: Context) {
        self.handle = handle
        self.context = context
        calls = MySQLCalls(handle)
        version = my_get_server_info(handle).map { String(cString: $0) } ?? ""
        super.init()
    }

    override var serverVersion: String { version }
    override var socketNumber: Int32 { my_get_socket(handle) }

    /// The server's status after its last answer; libmariadb does not take it over from the answer to a reset.
    var status: Int32 { isFresh ? MY_STATUS_AUTOCOMMIT : Int32(bitPattern: my_server_status(handle)) }
    /// Nothing was sent since the reset.
    var isFresh = false
    /// Transactions of this connection are read-only where nothing else is said.
    var isSealed = false
    override var transaction: TransactionState { status & MY_STATUS_IN_TRANS == 0 ? .none : .active }

    /// An idle server says nothing but that it hangs up.
    override func isAlive() -> Bool { !Sockets.hasInput(socketNumber) }

    override func abandonCalls() {
        calls.abandon()
        if phaseWasBusy { cmariadb_shutdown(handle) }
    }

    override func finish() {
        freeResult()
        let prepared = surplus + [statementInUse, rowStatement].compactMap(\.self)
        surplus = []
        statementInUse = nil
        rowStatement = nil
        my_close(handle)
        // libmariadb has told them that their connection is gone: only memory is given back.
        for statement in prepared { _ = my_stmt_close(statement.handle) }
    }

    /// Something was under way when the connection was closed.
    private var phaseWasBusy: Bool { run != nil || step != nil || calls.waits != 0 }

    // MARK: Plans

    func add(_ step: Step) { plan.append(step) }

    override func send(_ run: StatementRun) throws(DriverError) {
        failure = nil
        hasColumns = false
        mayHaveCommitted = false
        mayHaveCalled = false
        ownsTransaction = false
        mayHaveTakenEffect = false
        isPlainRead = mode.isReadOnly || run.kind.isDescription
        // The statements of a batch have their own, one after the other.
        kind = .transaction
        if case .statement = run.kind {
            kind = MySQLStatementKind(run.sql)
            if kind == .select, !isPlainRead { isPlainRead = PlainStatement.isPlain(run.sql, .mysql) }
        }
        rowCountLeft = run.rowCountMax
        guard isAlive() else { throw lostError() }
        // The server forgets a KILL only with the statement that it has hit.
        if mayBeKilled { add(.attempt("DO 0")) }
        mayBeKilled = false
        // MariaDB ends a read-only transaction before it creates, alters or drops something: this one refuses then, too.
        if mode.isReadOnly, !isSealed {
            isSealed = true
            add(.own("SET SESSION TRANSACTION READ ONLY"))
        }
        switch run.kind {
        case .statement: try addStatement(run, nil)
        case .describe: add(.describe)
        case .batch(let isAtomic):
            batch = MySQLBatch(isAtomic: isAtomic)
            try beginBatch(run)
        }
    }

    /// Plans one statement with what its mode puts around it.
    func addStatement(_ run: StatementRun, _ position: BatchPosition?) throws(DriverError) {
        let kind = MySQLStatementKind(run.sql)
        guard mode.isReadOnly, transaction == .none, batch?.isAtomic != true, kind != .transaction else {
            return add(.statement(position))
        }
        if kind == .beginTransaction {
            // The client's own words might say READ WRITE, by a way that is not thought of here.
            let isSnapshot = MySQLWords.contains(run.sql, ["SNAPSHOT"])
            return add(.own(isSnapshot ? Self.beginSnapshot : Self.beginReadOnly))
        }
        ownsTransaction = true
        add(.own(Self.beginReadOnly))
        add(.statement(position))
        add(.own("COMMIT"))
    }

    static let beginReadOnly: StaticString = "START TRANSACTION READ ONLY"
    private static let beginSnapshot: StaticString = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"

    /// COM_RESET_CONNECTION would be cheaper, and keeps the current database (or none, if it was dropped) and the role.
    /// - Source: THD::change_user and COM_CHANGE_USER in sql/sql_class.cc and sql/sql_parse.cc of MariaDB
    override func sendReset() -> Bool {
        guard context.login != nil else { return false }
        failure = nil
        if mayBeKilled { add(.attempt("DO 0")) }
        mayBeKilled = false
        add(.reset)
        if context.roleStatement != nil { add(.role) }
        return true
    }

    // MARK: Going on

    override func advance(isReadable: Bool) -> Progress {
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        var countLeft = Self.rowCountBetweenLooks
        calls.proceed()
        while true {
            if calls.waits != 0 { return .waiting(calls.readiness) }
            if let operation = calls.take() {
                if let progress = didEnd(operation) { return progress }
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
        finishRun()
        return .ended
    }

    /// No more than the row: libmariadb's calls stay on one thread, since one that waits keeps the address of that thread's errno
    /// on a stack of its own.
    override func advanceAway() -> Progress { pushLongRow() }

    /// - Returns: false when there is nothing more to do.
    private func beginNext() -> Bool {
        if let statement = surplus.popLast() {
            calls.start(.close(statement))
            return true
        }
        if nextStep == plan.count {
            plan.removeAll(keepingCapacity: true)
            nextStep = 0
            guard continueBatch() else {
                closeRowStatement()
                return !surplus.isEmpty || !plan.isEmpty
            }
        }
        guard nextStep < plan.count else { return false }
        let next = plan[nextStep]
        nextStep += 1
        step = next
        switch next {
        case .own(let sql), .attempt(let sql):
            isFresh = false
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
        step = nil
        if text.capacity > Self.keptTextByteCountMax { text.releaseStorage() }
    }

    /// What is left of the plan would make no sense; a transaction of ours is rolled back.
    func stepDidFail() {
        let isAttempt = if case .attempt = step { true } else { false }
        stepDidEnd()
        if isAttempt { return }
        plan.removeAll(keepingCapacity: true)
        nextStep = 0
        if ownsTransaction {
            ownsTransaction = false
            add(.attempt("ROLLBACK"))
        } else if transaction != .none || !kind.isHarmless {
            // Errors do not tell what became of the transaction; a deadlock has ended it, for example.
            add(.attempt("DO 0"))
        }
    }

    /// Sends the statement that is under way once more, from its beginning.
    func repeatStep() {
        nextStep -= 1
        stepDidEnd()
    }

    func note(_ error: DriverError) {
        if failure == nil { failure = error }
    }

    // MARK: Statements

    private func beginStatement() {
        guard let run else { return stepDidFail() }
        isFresh = false
        kind = MySQLStatementKind(run.sql)
        noteConsequences(run.sql)
        isDropping = batch != nil
        returnedRowCount = 0
        if let error = tooLarge(run) {
            note(located(error))
            return stepDidFail()
        }
        guard !run.parameters.isEmpty else {
            copy(run.sql)
            return calls.start(.query, text.readable)
        }
        // Whatever comes for the first row is prepared anew.
        if case .statement(let position) = step, (position?.rowIndex ?? 0) == 0 { closeRowStatement() }
        guard let statement = rowStatement else { return prepare(run.sql) }
        rowStatement = nil
        statementInUse = statement
        execute(statement)
    }

    /// What is to be said when nothing more is heard of the statement.
    private func noteConsequences(_ sql: UnsafeRawBufferPointer) {
        if !kind.isHarmless {
            needsReset = true
            // SHOW PROFILES has the texts of statements, and nothing but a new connection clears it.
            if MySQLWords.contains(sql, ["PROFILING"]) { isWorn = true }
        }
        if !mode.isSession, !needsReset, !PlainStatement.isPlain(sql, .mysql) { needsReset = true }
        if mode.isReadOnly { return }
        // Within a transaction that is rolled back with the connection, only what commits it may stay.
        let isAlone = batch?.isAtomic != true && transaction == .none
        if kind == .select {
            if isAlone { mayHaveCalled = true }
        } else {
            if isAlone || kind != .write { mayHaveCommitted = true }
            if batch?.isAtomic != true { mayHaveTakenEffect = true }
        }
    }

    /// The server hangs up on what is too long, so that it must not be sent.
    private func tooLarge(_ run: StatementRun) -> DriverError? {
        let values = run.parameters.reduce(0) { sum, parameter in
            switch parameter.value {
            case .text(let bytes), .blob(let bytes): sum + bytes.count
            default: sum
            }
        }
        let overhead = Self.messageOverheadByteCount + 16 * run.parameters.count
        guard max(run.sql.count, values) + overhead > context.packetByteCountMax else { return nil }
        return DriverError(
            .limitExceeded, "The statement with its parameters is longer than the server takes (max_allowed_packet).",
            hint: MySQLErrors.packetHint, sqlState: "54000"
        ).with { $0.limit = DriverLimit(name: "max_allowed_packet", value: Int64(context.packetByteCountMax)) }
    }

    /// The run may end before libmariadb has sent its text.
    private func copy(_ sql: UnsafeRawBufferPointer) {
        text.removeAll()
        text.append(sql)
    }

    private func prepare(_ sql: UnsafeRawBufferPointer) {
        guard let made = my_stmt_init(handle) else {
            note(DriverError(.databaseError, "There is no memory for a statement.", sqlState: "53200"))
            return stepDidFail()
        }
        let statement = MySQLStatement(made)
        statementInUse = statement
        copy(sql)
        calls.start(.prepare(statement), text.readable)
    }

    func execute(_ statement: MySQLStatement) {
        // The parameters are those of a run that is there no more.
        guard let run else { return abandon(statement) }
        let count = Int(my_stmt_param_count(statement.handle))
        guard run.parameters.count == count else {
            note(
                located(
                    DriverError(
                        .badRequest, "The statement has \(count) placeholders, and \(run.parameters.count) were sent.",
                        hint: Hint.parameters, sqlState: "07001")))
            return abandon(statement)
        }
        let started: Void? = parameters.bind(run.parameters, to: statement.handle) { calls.start(.execute(statement)) }
        if started == nil {
            note(located(MySQLErrors.error(ofStatement: statement.handle, sql: errorText)))
            abandon(statement)
        }
    }

    private func abandon(_ statement: MySQLStatement) {
        putBack(statement)
        stepDidFail()
    }

    /// A prepared statement has been executed. In an atomic batch it is kept for the next row, if it calls nothing that could
    /// change what it means.
    func putBack(_ statement: MySQLStatement) {
        statementInUse = nil
        if case .statement(let position?) = step, position.rowIndex != nil, batch?.isAtomic == true, let run,
            statement.isPlain ?? (kind.isHarmless && PlainStatement.isPlain(run.sql, .mysql))
        {
            statement.isPlain = true
            rowStatement = statement
        } else {
            surplus.append(statement)
        }
    }

    private func closeRowStatement() {
        if let statement = rowStatement { surplus.append(statement) }
        rowStatement = nil
    }

    // MARK: Cancelling

    override func makeCancel() -> (@Sendable () -> Bool)? {
        // A number of a server that was started anew meanwhile may be somebody else's by now.
        if isLost { return nil }
        mayBeKilled = true
        let (number, hostIndex, canceller) = (my_thread_id(handle), context.hostIndex, context.canceller)
        return {
            canceller.kill(number, hostIndex: hostIndex)
            return true
        }
    }

    // MARK: The end

    private func finishRun() {
        defer {
            batch = nil
            failure = nil
        }
        if status & MY_STATUS_AUTOCOMMIT == 0, !mode.isSession { needsReset = true }
        guard let run else { return }
        // BEGIN of a read-only session is not the client's own.
        if failure == nil, !hasColumns, case .statement = run.kind { run.sink.begin(ColumnSet([])) }
        run.error = failure
        run.summary.transaction = transaction
        guard failure == nil, !mode.isSession, transaction != .none else { return }
        // Reset ends it.
        run.error = MySQLDriver.needsSession
    }

    func lostError() -> DriverError {
        let wasTold = failure?.details.sqlState == "57P01"
        if mayHaveCommitted, !wasTold { return .unknownOutcome("The connection to the database was lost") }
        if let failure, wasTold || failure.code == .limitExceeded { return failure }
        return .lost(isSession: mode.isSession, mayHaveCalled: mayHaveCalled)
    }

    override func errorOfDetachedRun(_ reason: StopReason, isLost: Bool) -> DriverError {
        // With the connection an open transaction is gone.
        let mayStay = mayHaveCommitted || (mayHaveTakenEffect && !isLost)
        return .detached(reason, mayHaveCommitted: mayStay, mayHaveCalled: mayHaveCalled)
    }

    override var readsOnly: Bool { isPlainRead }
    override var isDivisible: Bool { !mode.isReadOnly && !isPlainRead && !kind.isIndivisible }

    override func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool {
        [.cancelled, .timeout, DriverError.stopped(reason).code].contains(error.code)
    }
}
