// The owner of one `sqlite3 *`: opening, settings, limits, interruption. Statements are in CachedStatement.swift, what a
// statement may do is in SQLiteAuthorizer.swift.

internal import CSQLite
internal import LinuxSystem
internal import Synchronization

/// What a connection is for; decides what its statements may do.
enum SQLiteRole {
    /// Autocommit reads of any client; opened read-only.
    case reader
    /// Autocommit writes of any client.
    case writer
    /// One client's session.
    case session(LinkOwner, isReadOnly: Bool)

    /// For whom it works.
    var uid: UInt32 {
        if case .session(let owner, _) = self { owner.uid } else { LinkOwner.daemon.uid }
    }
}

/// How to open connections to one database.
struct SQLiteOptions: Sendable {
    /// Path, or the name of a shared memory database.
    var path: String
    var isMemory: Bool
    var mode: SQLiteLocation.Mode
    /// Whether the file is ours to switch to WAL.
    var usesWAL: Bool
    var busyMillisecondsMax: Int64
    var statementCountMax: Int
    var valueByteCountMax: Int
    /// Pages that a loop's reader keeps in memory, in bytes.
    var pageCacheByteCountMax: Int

    /// Pages that every other connection keeps in memory, in bytes: SQLite's own default.
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
    var authorization = SQLiteAuthorization()
    /// True while a statement of the daemon's own is prepared, which may do anything.
    private(set) var isOwnStatement = false

    /// On a loop: when the statement has to leave it. Elsewhere: never.
    var budgetDeadline = MonotonicInstant.distantFuture
    /// True when the statement was interrupted for its budget.
    var isBudgetSpent = false
    /// True while a client's statement is prepared.
    var isPreparing = false
    /// Which opening of the database it belongs to; a writer to none.
    var generation: SQLiteGeneration?
    /// True after it met a damaged file: what it keeps of the file must not be used again.
    var hasMetDamage = false
    private var isClosed = false
    /// False on a loop: then a lock of another process ends the statement instead of being waited for.
    var mayBlock: Bool
    /// The run whose stop flag counts; set while one of its statements runs. Not counted: whoever calls `begin` has the
    /// run until `end`.
    private unowned(unsafe) var current: StatementRun?
    /// That statement is one that writes.
    private var runWrites = false
    private var busySince: MonotonicInstant?
    /// The transaction that short reads share; `nil` until there are many, or when there can be none.
    var snapshot: HeldSnapshot?
    private var pageCacheByteCount = SQLiteOptions.smallPageCacheByteCount
    /// The runs for which a transaction is begun: the wait for a lock ends when all were told to stop.
    var group: [StatementRun] = []
    /// Whom other threads may interrupt: taken under the lock, so that a late interrupt finds somebody else or nobody.
    private let interruptible = Mutex<ObjectIdentifier?>(nil)

    /// Virtual-machine steps between two looks at the clock and the stop flag: 10 to 20 µs.
    private static let progressStepCount: Int32 = 1000

    /// Opens a connection.
    /// - Throws: `DriverError` with code `connectFailed`, or what SQLite says.
    init(_ options: SQLiteOptions, role: SQLiteRole, mayBlock: Bool = true) throws(DriverError) {
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
        self.role = role
        self.options = options
        self.mayBlock = mayBlock
        statements = StatementCache(countMax: options.statementCountMax)
        do throws(DriverError) {
            try configure()
        } catch {
            statements.removeAll()
            sqlite3_close_v2(opened)
            throw error
        }
        installCallbacks()
    }

    deinit { close() }

    /// Closes it before its last reference is gone; it must not be used afterwards.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        snapshot = nil
        statements.removeAll()
        sqlite3_close_v2(handle)
    }

    private static func openFlags(_ options: SQLiteOptions, _ role: SQLiteRole) -> Int32 {
        let access =
            switch (role, options.mode) {
            case (_, .readOnly): SQLITE_OPEN_READONLY
            // A shared memory database exists as long as a connection does; reading connections may have to create it.
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

    /// Settings of https://sqlite.org/security.html and of the design: durable, foreign keys on, no surprises.
    private func configure() throws(DriverError) {
        for (option, value) in [
            (SQLITE_DBCONFIG_DEFENSIVE, 1), (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
            (SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0), (SQLITE_DBCONFIG_ENABLE_FKEY, 1),
            (SQLITE_DBCONFIG_DQS_DML, 0), (SQLITE_DBCONFIG_DQS_DDL, 0),
        ] as [(Int32, Int32)] {
            _ = litebase_sqlite3_db_config_bool(handle, option, value)
        }
        sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, Int32(clamping: options.valueByteCountMax))
        sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, Int32(clamping: options.valueByteCountMax))
        for limit in SQLiteLimit.all { sqlite3_limit(handle, limit.id, limit.value) }
        installBusyHandler()
        if isWriting && options.usesWAL && !options.isMemory { try execute("PRAGMA journal_mode = WAL") }
        if isWriting { try execute("PRAGMA journal_size_limit = \(SQLiteDatabase.logByteCountMax)") }
        try execute("PRAGMA synchronous = FULL")
        if !isWriting { try execute("PRAGMA query_only = ON") }
    }

    /// Runs a statement of our own without results.
    func execute(_ sql: String) throws(DriverError) {
        isOwnStatement = true
        defer { isOwnStatement = false }
        let result = sqlite3_exec(handle, sql, nil, nil, nil)
        if result != SQLITE_OK { throw SQLiteErrors.error(handle, result) }
    }

    /// Remembers that the file is damaged, if that is what `result` says.
    func noteDamage(_ result: Int32) {
        if result & 0xff == SQLITE_CORRUPT || result & 0xff == SQLITE_NOTADB { hasMetDamage = true }
    }

    // MARK: Interruption

    /// Makes `run` the one whose stop flag is looked at, until `end`.
    func begin(_ run: StatementRun, writes: Bool, budgetDeadline: MonotonicInstant = .distantFuture) {
        current = run
        runWrites = writes
        isBudgetSpent = false
        self.budgetDeadline = budgetDeadline
        if budgetDeadline == .distantFuture { interruptible.withLock { $0 = ObjectIdentifier(run) } }
    }

    /// Ends what `begin` began; afterwards no interrupt meant for that run can reach another.
    func end() {
        if budgetDeadline == .distantFuture { interruptible.withLock { $0 = nil } }
        current = nil
        budgetDeadline = .distantFuture
        busySince = nil
    }

    /// Interrupts the statement of `run` if it is running now (https://sqlite.org/c3ref/interrupt.html).
    /// - Thread: any.
    func interrupt(_ run: StatementRun) {
        interruptible.withLock { running in
            if running == ObjectIdentifier(run) { sqlite3_interrupt(handle) }
        }
    }

    private func installCallbacks() {
        let context = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_progress_handler(
            handle, Self.progressStepCount,
            { context in
                guard let context else { return 0 }
                return Unmanaged<SQLiteConnection>.fromOpaque(context)._withUnsafeGuaranteedRef {
                    $0.mustStop() ? 1 : 0
                }
            }, context)
        sqlite3_set_authorizer(handle, sqliteAuthorizerCallback, context)
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

    /// Whether the write that runs has committed, and what remains of it is to return. SQLite asks once more there, and
    /// would call a statement interrupted that has taken effect.
    /// - Source: vdbe_return in src/vdbe.c of SQLite 3.40
    private var hasCommitted: Bool { runWrites && sqlite3_txn_state(handle, nil) == SQLITE_TXN_NONE }

    private func mustStop() -> Bool {
        if current?.stopReason != nil { return !hasCommitted }
        if budgetDeadline < .now {
            isBudgetSpent = true
            return true
        }
        return false
    }

    /// Another process holds the lock: wait a little, on a worker thread only.
    /// - Returns: 1 to try again, 0 to give up (https://sqlite.org/c3ref/busy_handler.html).
    private func waitForLock(_ attempt: Int32) -> Int32 {
        guard mayBlock else {
            isBudgetSpent = true
            return 0
        }
        if current?.stopReason != nil { return 0 }
        if budgetDeadline < .now { return 0 }
        if !group.isEmpty, group.allSatisfy({ $0.stopReason != nil }) { return 0 }
        let now = MonotonicInstant.now
        if attempt == 0 || busySince == nil { busySince = now }
        let since = busySince ?? now
        if now.nanoseconds(since: since) > options.busyMillisecondsMax * 1_000_000 { return 0 }
        Process.sleep(microseconds: attempt < 10 ? 1_000 : 10_000)
        return 1
    }

    // MARK: Pages in memory

    /// Sets how many bytes of pages are kept in memory; beyond, they are given back at once.
    func resizePageCache(_ byteCount: Int) {
        guard byteCount != pageCacheByteCount else { return }
        pageCacheByteCount = byteCount
        // Negative: KiB instead of pages (https://sqlite.org/pragma.html#pragma_cache_size).
        try? execute("PRAGMA cache_size = \(-max(1, byteCount >> 10))")
    }

    /// Gives all pages back that no statement uses.
    func releasePages() { sqlite3_db_release_memory(handle) }

    // MARK: State

    /// Whether the file has a write-ahead log, so that its readers and writers do not keep each other waiting.
    var usesWAL: Bool {
        guard let statement = prepareOwn("PRAGMA journal_mode") else { return false }
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW, let mode = sqlite3_column_text(statement, 0) else { return false }
        return String(cString: mode) == "wal"
    }

    /// Prepares a statement of our own, which the caller finalizes.
    func prepareOwn(_ sql: String) -> OpaquePointer? {
        isOwnStatement = true
        defer { isOwnStatement = false }
        var statement: OpaquePointer?
        return sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK ? statement : nil
    }

    /// Gives up what is cached, when memory is short.
    func releaseMemoryIfShort() {
        if SQLiteMemory.isShort { sqlite3_db_release_memory(handle) }
    }

    /// State of the transaction as SQLite sees it.
    var transaction: TransactionState { sqlite3_get_autocommit(handle) == 0 ? .active : .none }
    /// Whether it holds the write lock of the main database (https://sqlite.org/c3ref/txn_state.html).
    var holdsWriteLock: Bool { sqlite3_txn_state(handle, "main") == SQLITE_TXN_WRITE }
}

extension String {
    /// The text with a small first letter, for use inside of a sentence.
    var lowercasedFirst: String { (first.map { $0.lowercased() } ?? "") + dropFirst() }
}
