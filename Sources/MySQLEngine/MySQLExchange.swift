// What a run on a MySQL server needs, step by step, and what the server's answers mean: a value that is told what happens and says
// what comes next. It knows no libmariadb and no socket, so that it can be tried in any order of events.

internal import DatabaseContract
internal import RemoteDatabases
internal import SQLText

/// The steps of one connection.
struct MySQLExchange: BatchExchange {
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

    /// What the server says of its state in each answer.
    struct Status {
        var isInTransaction = false
        var isTransactionReadOnly = false
    }

    /// What is known of the present run: replaced as a whole when the next one begins.
    private struct RunState {
        var isReadOnly = false
        var isSession = false
        /// The statements of a batch have their own, one after the other.
        var kind = MySQLStatementKind.transaction
        /// BEGIN was sent by us.
        var ownsTransaction = false
        /// The present statement was sent in a transaction of the session's.
        var isInClientsTransaction = false
        /// The next step of ours changes the session's mode.
        var isStrictDue = false
        /// It was changed, and has to be given back.
        var isStrict = false
        /// The statement was sent anew, since its table has changed.
        var wasRepeated = false
        /// Where in the text `failure` is was not looked for yet.
        var isPlaceDue = false
    }

    private var plan: [Step] = []
    private var nextStep = 0
    private(set) var step: Step?
    private var current = RunState()
    /// What went wrong first in this run.
    var failure: DriverError?
    var batch: BatchController?

    /// Nothing more can come over the connection.
    private(set) var isLost = false
    /// Nothing was sent since the reset.
    private(set) var isFresh = false
    /// Transactions of this connection are read-only where nothing else is said.
    private var isSealed = false
    /// A KILL QUERY may have come after the statement that it was meant for: it would hit the next one.
    private var mayBeKilled = false
    /// The server has rolled back the session's transaction by itself: COMMIT will find none.
    private var hasLostTransaction = false

    var kind: MySQLStatementKind { current.kind }

    // MARK: Planning

    /// A run begins, of which nothing is sent yet; `kind` is that of its one statement.
    mutating func beginRun(isReadOnly: Bool, isSession: Bool, kind: MySQLStatementKind?) {
        failure = nil
        batch = nil
        current = RunState(isReadOnly: isReadOnly, isSession: isSession, kind: kind ?? .transaction)
    }

    /// What goes before everything else.
    mutating func planBeginning() {
        forgetKill()
        // MariaDB ends a read-only transaction before it creates, alters or drops something: this one refuses then, too.
        guard current.isReadOnly, !isSealed else { return }
        isSealed = true
        add(.own("SET SESSION TRANSACTION READ ONLY"))
    }

    // The server forgets a KILL only with the statement that it has hit.
    private mutating func forgetKill() {
        if mayBeKilled { add(.attempt("DO 0")) }
        mayBeKilled = false
    }

    mutating func planDescription() { add(.describe) }

    /// Plans one statement with what its mode puts around it.
    mutating func planStatement(
        _ sql: UnsafeRawBufferPointer, _ position: BatchPosition?, isInTransaction: Bool
    ) {
        let kind = MySQLStatementKind(sql)
        guard current.isReadOnly, !isInTransaction, batch?.isAtomic != true, kind != .transaction else {
            return add(.statement(position))
        }
        if kind == .beginTransaction {
            // The client's own words might say READ WRITE, by a way that is not thought of here.
            let isSnapshot = LeadingWords.mayContain(sql, ["SNAPSHOT"])
            return add(.own(isSnapshot ? Self.beginSnapshot : Self.beginReadOnly))
        }
        current.ownsTransaction = true
        add(.own(Self.beginReadOnly))
        add(.statement(position))
        add(.own("COMMIT"))
    }

    /// Plans one that writes, and to which the server refuses what it would otherwise change without a word.
    ///
    /// MariaDB could do so by SET STATEMENT and MySQL by a hint, which takes no expression: this they do alike. The variable is set just
    /// before it is needed, whatever anybody has put into it.
    /// - Source: https://dev.mysql.com/doc/refman/8.4/en/sql-mode.html#sql-mode-strict
    mutating func planStrictStatement() {
        current.isStrictDue = true
        add(.own(Self.beStrict))
        add(.statement(nil))
        add(.attempt(Self.beAsBefore))
    }

    private static let beStrict: StaticString = """
        SET @litebase_import_sql_mode = @@SESSION.sql_mode, \
        SESSION sql_mode = CONCAT_WS(',', NULLIF(@@SESSION.sql_mode, ''), 'STRICT_ALL_TABLES')
        """
    private static let beAsBefore: StaticString = "SET SESSION sql_mode = @litebase_import_sql_mode"

    private static let beginReadOnly: StaticString = "START TRANSACTION READ ONLY"
    private static let beginSnapshot: StaticString = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"

    /// Plans what makes the connection as good as new.
    ///
    /// COM_RESET_CONNECTION would be cheaper, and keeps the current database (or none, if it was dropped) and the role.
    /// - Source: THD::change_user and COM_CHANGE_USER in sql/sql_class.cc and sql/sql_parse.cc of MariaDB
    mutating func planReset(hasRole: Bool) {
        failure = nil
        forgetKill()
        add(.reset)
        if hasRole { add(.role) }
    }

    /// Begins an atomic batch: a transaction, or a savepoint in that of the session.
    mutating func planBatchBegin() {
        if batch?.isNested == true { return add(.own("SAVEPOINT litebase_batch")) }
        add(.own(current.isReadOnly ? Self.beginReadOnly : "START TRANSACTION"))
    }

    mutating func planBatchCommit() {
        add(.own(batch?.isNested == true ? "RELEASE SAVEPOINT litebase_batch" : "COMMIT"))
    }

    /// Ends the transaction, or goes back to where it was.
    mutating func planBatchUndo() {
        guard batch?.isNested == true else { return add(.attempt("ROLLBACK")) }
        // A deadlock has ended the whole transaction, and the savepoint with it.
        add(.attempt("ROLLBACK TO SAVEPOINT litebase_batch"))
        add(.attempt("RELEASE SAVEPOINT litebase_batch"))
    }

    private mutating func add(_ step: Step) {
        // A step that is under way may have to be repeated.
        if nextStep == plan.count, self.step == nil {
            plan.removeAll(keepingCapacity: true)
            nextStep = 0
        }
        plan.append(step)
    }

    /// Steps that were planned and not begun yet.
    var unansweredCount: Int { plan.count - nextStep }

    // MARK: Steps

    /// - Returns: the next step, which begins; `nil` when there is none.
    mutating func beginNext() -> Step? {
        guard nextStep < plan.count else { return nil }
        let next = plan[nextStep]
        nextStep += 1
        step = next
        switch next {
        case .own, .attempt: isFresh = false
        default: break
        }
        return next
    }

    /// The client's statement of the present step begins.
    /// - Returns: what it may do there.
    mutating func beginStatement(_ kind: MySQLStatementKind, isInTransaction: Bool) -> StatementEffect.Nature {
        isFresh = false
        current.kind = kind
        let isAtomic = batch?.isAtomic == true
        current.isInClientsTransaction =
            isInTransaction && !current.ownsTransaction && (!isAtomic || batch?.isNested == true)
        // Within a transaction that is rolled back with the connection, only what commits it may stay.
        let isAlone = !isAtomic && !isInTransaction
        if kind == .select { return isAlone ? .calls : .reads }
        if isAlone || kind != .write { return .commits }
        return isAtomic ? .reads : .changes
    }

    /// The step has succeeded, or came to an end that is told otherwise.
    mutating func stepDidEnd() {
        if current.isStrictDue, case .own = step {
            current.isStrictDue = false
            current.isStrict = true
        }
        step = nil
    }

    /// What is left of the plan would make no sense; a transaction of ours is rolled back.
    mutating func stepDidFail(isInTransaction: Bool) {
        let isAttempt = if case .attempt = step { true } else { false }
        step = nil
        if isAttempt { return }
        plan.removeAll(keepingCapacity: true)
        nextStep = 0
        // What became of the transaction is to be known before anything else is said of it.
        defer { if current.isStrict { add(.attempt(Self.beAsBefore)) } }
        if current.ownsTransaction {
            current.ownsTransaction = false
            add(.attempt("ROLLBACK"))
        } else if isInTransaction || !current.kind.isHarmless {
            // Errors do not tell what became of the transaction; a deadlock has ended it, for example.
            add(.attempt("DO 0"))
        }
    }

    /// Does the step once more, from its beginning.
    private mutating func repeatStep() {
        nextStep -= 1
        stepDidEnd()
    }

    /// The table has other columns than when the statement was prepared.
    /// - Returns: false when it is not sent again: it may have done something, or that came of it before.
    mutating func repeatsStatement() -> Bool {
        guard current.kind == .select, !current.wasRepeated else { return false }
        current.wasRepeated = true
        repeatStep()
        return true
    }

    /// The server has refused what the step has sent, or is lost.
    mutating func fail(_ error: DriverError, isInTransaction: Bool) {
        if let number = error.details.vendorCode, MySQLErrors.isFatal(UInt32(bitPattern: number)) { isLost = true }
        let isAttempt = if case .attempt = step { true } else { false }
        // A KILL that was meant for the statement before has hit it.
        if isAttempt, error.details.vendorCode == Self.wasKilled, !isLost { return repeatStep() }
        if !isAttempt { note(error) }
        stepDidFail(isInTransaction: isInTransaction)
    }

    private static let wasKilled: Int32 = 1317

    /// The server knows the daemon anew, and nothing of what was before.
    mutating func didLogIn() {
        isFresh = true
        isSealed = false
        hasLostTransaction = false
        stepDidEnd()
    }

    /// A statement of the client's has succeeded, as far as the server says.
    /// - Returns: whether it has.
    mutating func statementDidEnd(_ sql: UnsafeRawBufferPointer?, _ status: Status) -> Bool {
        current.wasRepeated = false
        var error = escaped(status)
        if error == nil { error = commitOfNothing(sql, status) }
        guard let error else { return true }
        note(error)
        return false
    }

    /// Whether the statement has ended a transaction that was not its own.
    private mutating func escaped(_ status: Status) -> DriverError? {
        if failure != nil { return nil }
        if current.isReadOnly, status.isInTransaction || !current.kind.controlsTransaction,
            !status.isTransactionReadOnly
        {
            if status.isInTransaction { add(.attempt("ROLLBACK")) }
            return DriverError(
                .readOnly, "The statement has ended the read-only transaction in which it ran.",
                hint: "Open the database for writing.", sqlState: "25006")
        }
        if batch?.isAtomic == true, !status.isInTransaction {
            return DriverError(
                .databaseError,
                "The statement has committed the transaction of the atomic batch, with the statements before it.",
                hint: "Set atomic to false, or leave such statements out.", sqlState: "25000")
        }
        return nil
    }

    /// COMMIT of a transaction that the server had ended by itself, which succeeds all the same.
    private mutating func commitOfNothing(_ sql: UnsafeRawBufferPointer?, _ status: Status) -> DriverError? {
        guard hasLostTransaction, let sql else { return nil }
        var words = LeadingWords(sql, .mysql)
        let word = current.kind == .transaction ? words.next() : ""
        let ends = word == "COMMIT" || (word == "ROLLBACK" && !LeadingWords.mayContain(sql, ["TO"]))
        // The transaction of an atomic batch, or of ours, is not a new one of the session's.
        let hasBegun = status.isInTransaction && batch?.isAtomic != true && !current.ownsTransaction
        if ends || hasBegun { hasLostTransaction = false }
        return word == "COMMIT" ? .rolledBackBefore : nil
    }

    // MARK: Errors

    /// What goes wrong first is what the client is told, with the place in its batch.
    mutating func note(_ error: DriverError) {
        guard failure == nil else { return }
        failure = if case .statement(let position?) = step { error.at(position) } else { error }
        current.isPlaceDue = isPlaceTold(error)
    }

    /// Of a batch only the statement's index is told: its text is gone.
    private func isPlaceTold(_ error: DriverError) -> Bool {
        if case .own = step { return false }
        return batch == nil && MySQLErrors.hasPlace(error)
    }

    /// The failure whose place in the text is to be looked for.
    var unlocatedFailure: DriverError? { current.isPlaceDue ? failure : nil }

    mutating func didLocate(_ failure: DriverError) {
        current.isPlaceDue = false
        self.failure = failure
    }

    /// A cancel will be sent.
    /// - Returns: false when it must not be: a number of a server that was started anew may be somebody else's by now.
    mutating func beginKill() -> Bool {
        if isLost { return false }
        mayBeKilled = true
        return true
    }

    // MARK: The end

    /// Everything was answered.
    /// - Returns: the run's error.
    mutating func end(_ status: Status) -> DriverError? {
        defer {
            failure = nil
            batch = nil
        }
        let (isSession, isOpen) = (current.isSession, status.isInTransaction)
        guard let failure else { return isSession || !isOpen ? nil : MySQLDriver.needsSession }
        // Neither of these can commit it.
        if current.isInClientsTransaction, !isOpen, current.kind == .select || current.kind == .write {
            hasLostTransaction = true
        }
        return failure
    }

    func lostError(_ effect: StatementEffect) -> DriverError {
        let wasTold = failure?.details.sqlState == "57P01"
        let mayStay = effect.mayStay(connectionIsLost: true)
        if let failure, wasTold || (failure.code == .limitExceeded && !mayStay) { return failure }
        return .lost(effect, isSession: current.isSession)
    }
}
