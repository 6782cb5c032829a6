// The owner of one `sqlite3 *`: opening, settings, limits, interruption. CachedStatement.swift has the statements,
// SQLiteAuthorizer.swift decides what they may do.

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// The purpose of a connection, which decides what its statements may do.
enum SQLiteRole {
    /// Autocommit reads of any client; opened read-only.
    case reader
    /// Autocommit writes of any client.
    case writer
    /// One client's session.
    case session(LinkOwner, isReadOnly: Bool)

    /// The user for whom it works.
    var uid: UInt32 {
        if case .session(let owner, _) = self { owner.uid } else { LinkOwner.daemon.uid }
    }

    /// Whether rows may be read from its pages in memory (`TableReader`).
    var showsPages: Bool { if case .writer = self { false } else { true } }

    /// The account that is charged for the connection's own memory, such as its pages; what all users share belongs to
    /// nobody.
    var account: MemoryAccount {
        if case .session(let owner, _) = self { owner.account } else { .nobody }
    }
}

/// How to open connections to one database.
struct SQLiteOptions: Sendable {
    /// Path, or the name of a shared memory database.
    var path: String
    var isMemory: Bool
    var mode: SQLiteLocation.Mode
    /// Whether the daemon may switch the file to WAL.
    var usesWAL: Bool
    var busyMillisecondsMax: Int64
    var statementCountMax: Int
    var valueByteCountMax: Int32
    /// Size of the page cache of a loop's reader, in bytes.
    var pageCacheByteCountMax: Int
    /// Time after which unused connections are closed, in milliseconds; 0: never.
    var idleMillisecondsMax: Int64
    /// Whether clients may write `"text"` for a string; if not, it is a name (SQLiteQuotes.swift).
    var takesDoubleQuotedStrings = true
    /// Returns why a file that was opened may not be used, by its identity; called on any thread.
    var refusal: @Sendable (FileIdentity) -> DriverError? = { _ in nil }
    /// Hears of commits; `nil` for a database that nobody can listen to.
    var changes: SQLiteChanges?
    /// Of all its connections.
    let moveMark = MoveMark()

    /// Size of the page cache of every other connection, in bytes: SQLite's own default.
    static let smallPageCacheByteCount = 2 << 20
}

/// One connection to a database.
///
/// Opened in multi-thread mode (SQLITE_OPEN_NOMUTEX): one thread at a time, handed over by the queues of this module.
/// - Thread: its current owner's; `interrupt` from any.
/// - Source: https://sqlite.org/threadsafe.html
final class SQLiteConnection: @unchecked Sendable {
    let handle: OpaquePointer
    let role: SQLiteRole
    let options: SQLiteOptions
    let statements: StatementCache
    /// The pages that it has in memory; not of a writer.
    let pages = PageView()
    @exclusivity(unchecked) var authorization = SQLiteAuthorization()
    /// True while a statement of the daemon's own is prepared, which may do anything.
    @exclusivity(unchecked) var isOwnStatement = false

    /// The time that what runs now has on its thread.
    @exclusivity(unchecked) private(set) var budget = ThreadBudget()
    /// True while a client's statement is prepared.
    @exclusivity(unchecked) var isPreparing = false
    /// Processor time that a loop has spent to prepare, and that was not looked at.
    @exclusivity(unchecked) var loopPreparationNanoseconds: Int64 = 0
    /// The opening of the database to which it belongs; `nil` for a writer.
    var generation: SQLiteGeneration? {
        didSet {
            oldValue?.connectionCount.subtract(1, ordering: .relaxed)
            generation?.connectionCount.add(1, ordering: .relaxed)
        }
    }
    /// The file that it has open, whatever is at the path now; `nil` in memory.
    let file: FileIdentity?
    /// True after it met a damaged file: what it has cached of the file must not be used again.
    @exclusivity(unchecked) var hasMetDamage = false
    /// True after the index of its log was found to be lost (SQLiteConnection+LostIndex.swift).
    @exclusivity(unchecked) var isIndexLost = false
    /// The number of lost indexes in this process when it was last checked whether one is this connection's.
    @exclusivity(unchecked) var knownLossCount = litebase_sqlite3_losses()
    @exclusivity(unchecked) private var isClosed = false
    /// False on a loop: then a lock of another process ends the statement instead of blocking it.
    @exclusivity(unchecked) var mayBlock: Bool
    /// The run whose stop flag counts, from `begin` to `end`.
    @exclusivity(unchecked) private var current: RunInProgress?
    /// When it began to wait for the lock of another process.
    @exclusivity(unchecked) private var busySince = MonotonicInstant.now
    /// The transaction that short reads share; `nil` until there are many, or if none is possible.
    @exclusivity(unchecked) var snapshot: HeldSnapshot?
    /// Whether the schema is a large one, and still the file's; `nil` until a worker has used the connection.
    @exclusivity(unchecked) var schemaWatch: SchemaWatch?
    /// `nil` until a large program was prepared on a loop.
    @exclusivity(unchecked) var blobWatch: BlobWatch?
    /// A loop could not prepare the last statement: a worker has to.
    @exclusivity(unchecked) var mustPrepareOnWorker = false
    /// Its transaction has made or dropped triggers that close the database (MoveMark.swift).
    @exclusivity(unchecked) var hasChangedMoveMark = false
    /// The largest bound parameter, in bytes.
    @exclusivity(unchecked) var largestParameterByteCount = 0
    /// SQLite's functions that ours replace.
    let originals: SQLiteOriginals
    /// True when SQLite wanted to prepare a statement again on a loop: it has to be prepared again elsewhere.
    @exclusivity(unchecked) var mustPrepareAgain = false
    @exclusivity(unchecked) private var insertWatch = InsertWatch()
    /// The pool and user of the long read that runs, so that it leaves others their share of the processors; only while
    /// it does.
    @exclusivity(unchecked) var share: (pool: WorkerPool, uid: UInt32)?
    @exclusivity(unchecked) private var lastRest = MonotonicInstant.now
    /// The present values of SQLite's limits.
    @exclusivity(unchecked) private var valueByteCountMax: Int32 = 0
    @exclusivity(unchecked) private var patternByteCountMax = SQLiteLimit.patternByteCountMax
    @exclusivity(unchecked) private var stepsBetweenLooks: Int32 = 0
    @exclusivity(unchecked) private var lastLook = MonotonicInstant.now
    @exclusivity(unchecked) var pageCacheByteCount = SQLiteOptions.smallPageCacheByteCount
    /// What the open transaction has written, for those who listen.
    @exclusivity(unchecked) var uncommitted = UncommittedChanges()
    /// The writes for which a transaction is begun: the wait for a lock ends when all were withdrawn.
    var group: [SQLiteExecution] = []
    /// The run that other threads may interrupt: read under the lock, so that a late interrupt finds another run or
    /// none.
    private let interruptible = Mutex<ObjectIdentifier?>(nil)

    /// Opens a connection.
    /// - Throws: `DriverError` with code `connectFailed`, or SQLite's error.
    init(_ options: SQLiteOptions, role: SQLiteRole, mayBlock: Bool = true) throws(DriverError) {
        SQLiteLibrary.configure()
        role.account.charge()
        if role.showsPages { pages.beginOpening() }
        defer { PageView.endOpening() }
        var opened: OpaquePointer?
        let result = sqlite3_open_v2(
            options.path, &opened, Self.openFlags(options, role), options.isMemory ? "memdb" : nil)
        guard result == SQLITE_OK, let opened else {
            let error = SQLiteErrors.error(opened, result)
            sqlite3_close_v2(opened)
            throw error.with {
                $0.code = .connectFailed
                $0.message = "The database file cannot be opened: \($0.message.lowercasedFirst)"
            }
        }
        handle = opened
        file = options.isMemory ? nil : FileIdentity.openedLast ?? FileIdentity(path: options.path)
        self.role = role
        self.options = options
        self.mayBlock = mayBlock
        statements = StatementCache(countMax: options.statementCountMax)
        originals = SQLiteOriginals(valueByteCountMax: options.valueByteCountMax)
        installCallbacks()
        var failure: DriverError?
        let hadTime = withinLoopBudget {
            do throws(DriverError) { try configure() } catch { failure = error }
        }
        guard let failure else { return }
        close()
        throw hadTime ? failure : .tooLongForLoop
    }

    deinit { close() }

    /// Closes it before its last reference is released; it must not be used afterwards.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        snapshot = nil
        schemaWatch = nil
        blobWatch = nil
        statements.removeAll()
        sqlite3_close_v2(handle)
        generation = nil
    }

    private static func openFlags(_ options: SQLiteOptions, _ role: SQLiteRole) -> Int32 {
        let access =
            switch (role, options.mode) {
            case (_, .readOnly): SQLITE_OPEN_READONLY
            // A shared memory database exists while a connection to it does; reading connections may have to create it.
            case (.reader, _): options.isMemory ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY
            case (.session(_, isReadOnly: true), _): options.isMemory ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY
            case (_, .readWrite): SQLITE_OPEN_READWRITE
            case (_, .readWriteCreate): SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            }
        return access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    }

    private var isWriting: Bool {
        switch role {
        case .writer: options.mode != .readOnly
        case .session(_, let isReadOnly): !isReadOnly && options.mode != .readOnly
        case .reader: false
        }
    }

    /// Settings of https://sqlite.org/security.html and of the design: durable, foreign keys on.
    private func configure() throws(DriverError) {
        if let file, let refusal = options.refusal(file) { throw refusal }
        for (option, value) in [
            (SQLITE_DBCONFIG_DEFENSIVE, 1), (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
            (SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0), (SQLITE_DBCONFIG_ENABLE_FKEY, 1),
            // If they were off, they would be off for the triggers and views of the file as well, and for VACUUM.
            (SQLITE_DBCONFIG_DQS_DML, 1), (SQLITE_DBCONFIG_DQS_DDL, 1),
        ] as [(Int32, Int32)] {
            _ = litebase_sqlite3_db_config_bool(handle, option, value)
        }
        liftLimits()
        limitTexts(SQLiteBudget.schemaTextByteCountMax)
        for limit in SQLiteLimit.all { sqlite3_limit(handle, limit.id, limit.value) }
        SQLiteFunctions.restrict(handle)
        SQLiteOwnFunctions.install(on: self)
        SQLiteDefects.install(on: self)
        SQLiteToldColumns.install(on: self)
        installBusyHandler()
        if isWriting && options.usesWAL && !options.isMemory { try execute("PRAGMA journal_mode = WAL") }
        if isWriting { try execute("PRAGMA journal_size_limit = \(SQLiteDatabase.logByteCountMax)") }
        try execute("PRAGMA synchronous = FULL")
        if !isWriting { try execute("PRAGMA query_only = ON") }
        try learnPageSize()
    }

    /// SQLite makes a new page cache when the first read shows another page size than usual. That read is done now, so
    /// that the cache is not charged to the first user who reads. If the file is busy or damaged, that user gets the
    /// error, however.
    private func learnPageSize() throws(DriverError) {
        do throws(DriverError) {
            if case .reader = role, !options.isMemory { try execute("PRAGMA schema_version") }
        } catch {
            if error.code == .busy { throw error }
        }
    }

    /// Runs a statement of our own without results.
    func execute(_ sql: String) throws(DriverError) {
        liftLimits()
        isOwnStatement = true
        defer { isOwnStatement = false }
        let commitCount = litebase_sqlite3_commits()
        // Many a PRAGMA has SQLite read the schema.
        let result = CountedMemory.withRoomyTables { sqlite3_exec(handle, sql, nil, nil, nil) }
        tellChanges(since: commitCount)
        if result != SQLITE_OK { throw explain(SQLiteErrors.error(handle, result), commitCountBefore: commitCount) }
    }

    /// Records that the file is damaged, if `result` says so, or has another text encoding than when it was opened.
    func noteDamage(_ result: Int32) {
        switch result & 0xff {
        case SQLITE_CORRUPT, SQLITE_NOTADB: hasMetDamage = true
        case SQLITE_ERROR where SQLiteErrors.isOfEncoding(handle): hasMetDamage = true
        default: break
        }
    }

    // MARK: Interruption

    /// Makes `run` the one whose stop flag counts, until `end`; `statement` is the one that is stepped, if any.
    func begin(_ run: StatementRun, _ statement: CachedStatement?, budgetDeadline: MonotonicInstant = .distantFuture) {
        current = RunInProgress(run, statement)
        budget = ThreadBudget(deadline: budgetDeadline)
        if !mayBlock { guardReads() }
        if budgetDeadline == .distantFuture {
            interruptible.withLock { $0 = ObjectIdentifier(run) }
            lastLook = .now
        }
        look(each: SQLiteBudget.stepsBetweenLooksAtFirst)
    }

    /// Ends what `begin` began; afterwards no interrupt meant for that run can reach another.
    func end() {
        if budget.deadline == .distantFuture { interruptible.withLock { $0 = nil } }
        ReadGuard.end()
        current = nil
        budget.deadline = .distantFuture
    }

    /// Prepares something beside the steps of the run in progress, whose stop flag counts meanwhile, as does the time that preparing a
    /// text of this length may take.
    func prepareBeside<Result>(_ sqlByteCount: Int, _ body: () -> Result) -> Result {
        let former = (current, budget)
        if let current { self.current = RunInProgress(current.run, nil) }
        budget = ThreadBudget(deadline: preparationDeadline(sqlByteCount))
        isPreparing = true
        let start = mayBlock ? 0 : ThreadClock.nanoseconds
        defer {
            if !mayBlock { loopPreparationNanoseconds += ThreadClock.nanoseconds - start }
            isPreparing = false
            (current, budget) = former
        }
        return body()
    }

    /// Sets the limits for values, and for patterns of LIKE and GLOB. Nearly always they are set already, because a
    /// loop mostly runs one statement again and again.
    /// - Returns: whether they are lower than usual.
    func limit(values byteCount: Int32, patterns patternByteCount: Int32 = SQLiteLimit.patternByteCountMax) -> Bool {
        let byteCount = min(byteCount, options.valueByteCountMax)
        if byteCount != valueByteCountMax {
            valueByteCountMax = byteCount
            sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, byteCount)
            originals.textByteCountMax = byteCount
        }
        if patternByteCount != patternByteCountMax {
            patternByteCountMax = patternByteCount
            sqlite3_limit(handle, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, patternByteCount)
        }
        return byteCount < options.valueByteCountMax || patternByteCount < SQLiteLimit.patternByteCountMax
    }

    func liftLimits() { _ = limit(values: options.valueByteCountMax) }

    /// Sets the limit for texts that SQLite parses.
    func limitTexts(_ byteCount: Int) { sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, Int32(clamping: byteCount)) }

    /// Runs something of the daemon's own that may have to read the schema first, within the time of a loop if this is
    /// one.
    /// - Returns: false if there was not enough time.
    func withinLoopBudget(_ body: () -> Void) -> Bool {
        guard !mayBlock else {
            body()
            return true
        }
        budget = ThreadBudget(deadline: .now.advanced(byNanoseconds: SQLiteBudget.loopPreparationNanoseconds))
        guardReads()
        body()
        ReadGuard.end()
        budget.deadline = .distantFuture
        return !budget.isSpent
    }

    /// True while a client's statement runs on a loop.
    var isOnLoop: Bool { !mayBlock && current != nil }

    /// Interrupts the statement of `run` if it is running now (https://sqlite.org/c3ref/interrupt.html).
    /// - Thread: any.
    func interrupt(_ run: StatementRun) {
        interruptible.withLock { running in
            if running == ObjectIdentifier(run) { sqlite3_interrupt(handle) }
        }
    }

    private func installCallbacks() {
        sqlite3_set_authorizer(handle, sqliteAuthorizerCallback, Unmanaged.passUnretained(self).toOpaque())
        look(each: SQLiteBudget.stepsBetweenLooksAtFirst)
    }

    /// Has SQLite call the handler after that many steps of its virtual machine.
    private func look(each stepCount: Int32) {
        guard stepCount != stepsBetweenLooks else { return }
        stepsBetweenLooks = stepCount
        sqlite3_progress_handler(
            handle, stepCount,
            { context in
                guard let context else { return 0 }
                return Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef {
                    $0.mustStopBetweenSteps() ? 1 : 0
                }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Checks less often if steps are quick, and after a few steps if they are slow: a step can be a function of a
    /// large value.
    func mustStopBetweenSteps() -> Bool {
        if mayBlock {
            let now = MonotonicInstant.now
            let elapsed = now.nanoseconds(since: lastLook)
            lastLook = now
            look(each: SQLiteBudget.stepsBetweenLooks(stepsBetweenLooks, took: elapsed))
            if share != nil, now.nanoseconds(since: lastRest) > SQLiteBudget.workerTurnNanoseconds { rest(now) }
        }
        return !hasHalted && mustStop()
    }

    /// Whether the statement has done everything, including its commit, and only has to return. SQLite calls the
    /// handler once more there, and would call a statement interrupted that has taken effect: COMMIT, or a change
    /// within a transaction.
    /// - Source: OP_Halt, OP_AutoCommit and vdbe_return in src/vdbe.c, sqlite3_stmt_busy in src/vdbeapi.c of SQLite 3.40
    private var hasHalted: Bool { current?.stepped.map { sqlite3_stmt_busy($0) == 0 } ?? false }

    /// Starts to watch whether rows with a rowid are inserted into `table` (https://sqlite.org/c3ref/update_hook.html).
    func watchInserts(into table: String) {
        insertWatch.hasInserted = false
        insertWatch.target = table
        guard !insertWatch.isInstalled else { return }
        insertWatch.isInstalled = true
        sqlite3_update_hook(
            handle,
            { context, operation, _, table, _ in
                guard operation == SQLITE_INSERT, let context, let table else { return }
                Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef { connection in
                    if !connection.hasInserted, connection.insertWatch.target == String(cString: table) {
                        connection.insertWatch.hasInserted = true
                    }
                }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Whether the inserting statement has inserted into its table.
    var hasInserted: Bool { insertWatch.hasInserted }

    /// The next client must not see what the previous one has inserted.
    func forgetInsertID() { sqlite3_set_last_insert_rowid(handle, 0) }

    /// Pauses in pieces, and checks for a stop in between.
    private func rest(_ now: MonotonicInstant) {
        if let share {
            var left = share.pool.rest(of: share.uid, after: now.nanoseconds(since: lastRest))
            while left > 0, !mustStop() {
                Process.sleep(microseconds: UInt32(min(left, SQLiteBudget.workerTurnNanoseconds) / 1000))
                left -= SQLiteBudget.workerTurnNanoseconds
                left = min(left, share.pool.rest(of: share.uid, after: SQLiteBudget.workerTurnNanoseconds))
            }
        }
        lastRest = .now
    }

    /// Has the allocator check, too, until `AllocationGuard.end`: while SQLite prepares it calls nothing else, and
    /// neither do some steps, which prepare what a view or a schema says (PRAGMA table_info as a table, ALTER TABLE).
    func beginGuard() {
        current?.stoppedSince = nil
        AllocationGuard.begin(Unmanaged.passUnretained(self).toOpaque()) { context in
            guard let context else { return false }
            return Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.mustGiveUp() }
        }
    }

    /// Within a step, only if the gentler way has not helped: without memory, SQLite may roll back a whole transaction.
    private func mustGiveUp() -> Bool {
        if isPreparing { return mustStop() }
        guard let current, current.run.stopReason != nil else { return false }
        let now = MonotonicInstant.now
        guard let since = current.stoppedSince else {
            self.current?.stoppedSince = now
            return false
        }
        return now.nanoseconds(since: since) > SQLiteBudget.stopNanoseconds && mustStop()
    }

    /// Has the files check, too, on a loop: following the pages of a large value is one step.
    private func guardReads() {
        ReadGuard.begin(Unmanaged.passUnretained(self).toOpaque()) { context in
            guard let context else { return false }
            return Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.mustStop() }
        }
    }

    private func installBusyHandler() {
        sqlite3_busy_handler(
            handle,
            { context, attempt in
                guard let context else { return 0 }
                return Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef {
                    $0.waitForLock(attempt)
                }
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Whether the running write has committed: then memory is not refused any more.
    private var hasCommitted: Bool { current?.writes == true && sqlite3_txn_state(handle, nil) == SQLITE_TXN_NONE }

    /// Whether the running statement has to stop: it was stopped, or has been on a loop for long enough.
    func mustStop() -> Bool {
        if current?.run.stopReason != nil { return !hasCommitted }
        guard budget.deadline < .now, hasComputedBeyondDeadline() else { return false }
        budget.isSpent = true
        return true
    }

    /// A thread that had no processor for a while looks like one with a slow statement. A loop would pass that
    /// statement to a worker, where it starts again, and lose its pages; a writer would refuse a long statement because
    /// the machine is busy. So after the deadline, the thread's computing time decides.
    private func hasComputedBeyondDeadline() -> Bool {
        if mayBlock && !isPreparing { return true }
        let overtime = mayBlock ? SQLiteBudget.writeOvertimeNanoseconds : SQLiteBudget.loopOvertimeNanoseconds
        let computed = ThreadClock.nanoseconds
        let before = budget.computedAtDeadline ?? computed
        guard computed - before < overtime else { return true }
        budget.computedAtDeadline = before
        budget.deadline = .now.advanced(byNanoseconds: overtime)
        return false
    }

    /// Another process holds the lock: wait a little, on a worker only.
    /// - Returns: 1 to try again, 0 to give up (https://sqlite.org/c3ref/busy_handler.html).
    private func waitForLock(_ attempt: Int32) -> Int32 {
        guard mayBlock else {
            budget.isSpent = true
            return 0
        }
        if let current, current.run.stopReason != nil || current.isCheckpoint { return 0 }
        if budget.deadline < .now { return 0 }
        if !group.isEmpty, group.allSatisfy({ $0.claim.isWithdrawn }) { return 0 }
        let now = MonotonicInstant.now
        if attempt == 0 { busySince = now }
        if now.nanoseconds(since: busySince) > options.busyMillisecondsMax * 1_000_000 { return 0 }
        Process.sleep(microseconds: attempt < 10 ? 1_000 : 10_000)
        return 1
    }
}

extension DriverError {
    /// Opening takes longer than a loop has time for; never sent to a client.
    fileprivate static let tooLongForLoop = DriverError(.busy, "The connection has to be opened on a worker.")
}

extension String {
    /// The text with a lower-case first letter, for use inside a sentence.
    var lowercasedFirst: String { (first.map { $0.lowercased() } ?? "") + dropFirst() }
}
