// What commits of the daemon's own connections have changed, for those who listen (`subscribe`).
//
// Which relations a statement changes, SQLite tells while it prepares it (SQLiteAuthorizer.swift): those of its triggers and of
// foreign keys, too, virtual tables by their own names, and whether the whole schema changes. That costs nothing for each row,
// and it may name a relation of which no row was touched, which harms nobody. The update hook would miss tables WITHOUT ROWID and
// truncating deletes (https://sqlite.org/c3ref/update_hook.html), and the pre-update hook virtual tables; it has DELETE without
// WHERE visit each row, too.
//
// Commits of other programs are found by SQLiteChangeWatch.swift.

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import Glibc
internal import LinuxSystem
internal import Synchronization

/// What one statement changes, or those of a transaction, of the main database. Names are as long as a client likes: with many
/// bytes of them it is only known that there are too many.
struct StatementChanges {
    private(set) var relations: [String] = []
    private(set) var changesSchema = false
    private(set) var areTooMany = false
    /// Makes or drops a trigger by which a database is closed (MoveMark.swift).
    private var changesMoveMark = false
    private var changesElse = false
    private var byteCount = 0

    /// Of names, in bytes.
    private static let byteCountMax = 16 << 10

    var isEmpty: Bool { relations.isEmpty && !changesSchema && !areTooMany }
    /// Whether it does nothing but that.
    var areOfMoveMark: Bool { changesMoveMark && !changesElse }

    /// Rows of a table are inserted, updated or deleted.
    mutating func note(rowsOf table: UnsafePointer<CChar>?, _ schema: UnsafePointer<CChar>?) {
        guard let table, Self.isMain(schema), strncasecmp(table, "sqlite_", 7) != 0 else { return }
        changesElse = true
        add(table)
    }

    /// The schema is changed, by an action of the authorizer.
    mutating func note(
        schemaChange action: Int32, _ first: UnsafePointer<CChar>?, _ second: UnsafePointer<CChar>?,
        _ schema: UnsafePointer<CChar>?
    ) {
        // https://sqlite.org/c3ref/c_alter_table.html
        let (relation, schema) =
            switch action {
            case SQLITE_ALTER_TABLE: (second, first)
            case SQLITE_CREATE_INDEX, SQLITE_CREATE_TRIGGER, SQLITE_DROP_INDEX, SQLITE_DROP_TRIGGER: (second, schema)
            case SQLITE_REINDEX: (nil, schema)
            default: (first, schema)
            }
        guard Self.isMain(schema) else { return }
        if Self.isOfMoveMark(action, first) {
            changesMoveMark = true
        } else {
            changesElse = true
        }
        // New statistics change no definition.
        if action != SQLITE_ANALYZE, action != SQLITE_REINDEX { changesSchema = true }
        if let relation, changesSchema, strncasecmp(relation, "sqlite_", 7) != 0 { add(relation) }
    }

    /// Whether a change of the schema makes or drops such a trigger.
    static func isOfMoveMark(_ action: Int32, _ first: UnsafePointer<CChar>?) -> Bool {
        guard action == SQLITE_CREATE_TRIGGER || action == SQLITE_DROP_TRIGGER, let first else { return false }
        return strncasecmp(first, MoveMark.prefix, MoveMark.prefix.utf8.count) == 0
    }

    mutating func add(_ more: StatementChanges) {
        changesSchema = changesSchema || more.changesSchema
        changesMoveMark = changesMoveMark || more.changesMoveMark
        changesElse = changesElse || more.changesElse
        if more.areTooMany { giveUp() }
        for relation in more.relations { add(relation) }
    }

    mutating func removeAll() {
        relations.removeAll(keepingCapacity: true)
        changesSchema = false
        areTooMany = false
        changesMoveMark = false
        changesElse = false
        byteCount = 0
    }

    private mutating func giveUp() {
        areTooMany = true
        relations = []
    }

    private mutating func add(_ relation: String) {
        guard !areTooMany, relations.last != relation, !relations.contains(relation) else { return }
        byteCount += MemoryLayout<String>.stride + relation.utf8.count
        if byteCount > Self.byteCountMax { giveUp() } else { relations.append(relation) }
    }

    private static func isMain(_ schema: UnsafePointer<CChar>?) -> Bool {
        schema.map { strcasecmp($0, "main") == 0 } ?? true
    }

    /// SQLite asks for each column.
    private mutating func add(_ name: UnsafePointer<CChar>) {
        if areTooMany { return }
        if boundedByteCount(of: name, Self.byteCountMax) == Self.byteCountMax {
            giveUp()
        } else {
            add(String(cString: name))
        }
    }
}

/// What a connection's open transaction has changed so far.
struct UncommittedChanges {
    var changes = StatementChanges()
    /// Why it is not known what all has changed.
    var gap: ChangeGap?

    mutating func removeAll() {
        if !changes.isEmpty { changes.removeAll() }
        gap = nil
    }
}

extension SQLiteConnection {
    /// A statement is about to run on a worker.
    func noteChanges(by statement: CachedStatement) {
        guard let changes = options.changes, !statement.isReadOnly else { return }
        guard changes.isWatched else {
            uncommitted.gap = .begunBefore
            return
        }
        // What is found while SQLite prepares it again is added to an empty list.
        authorization.changes.removeAll()
        statement.preparationCountBefore = statement.preparationCount
        uncommitted.changes.add(statement.changes)
    }

    /// It has ended, or paused.
    func tellChanges(by statement: CachedStatement, since commitCount: UInt64) {
        guard options.changes != nil else { return }
        if !statement.isReadOnly, statement.preparationCount != statement.preparationCountBefore {
            statement.add(authorization.changes)
            uncommitted.changes.add(authorization.changes)
        }
        tellChanges(since: commitCount)
    }

    /// Tells what was committed since this thread had made that many commits.
    func tellChanges(since commitCount: UInt64) {
        guard let changes = options.changes else { return }
        // A database in memory has no log: what it told of a transaction that was rolled back is told too much.
        let committedCount = options.isMemory ? 0 : litebase_sqlite3_commits() &- commitCount
        let isOver = transaction == .none
        guard committedCount > 0 || isOver else { return }
        if committedCount > 0 || options.isMemory { changes.tell(uncommitted, committedCount, on: self) }
        uncommitted.removeAll()
    }

    /// How many transactions were committed to the file, by whomever; `nil` without a write-ahead log.
    var changeCounter: UInt32? {
        litebase_sqlite3_wal_header(handle).map { litebase_wal_changes(UnsafeRawPointer($0)) }
    }

    /// Whether other files than its own are attached, whose commits count as well.
    var hasAttachedFiles: Bool { sqlite3_db_name(handle, 2) != nil }
}

/// The changes of one database.
///
/// - Thread: any.
final class SQLiteChanges: ChangeSource {
    let feed = ChangeFeed()
    private let watched = Atomic<Bool>(false)
    private let state = Mutex(State())

    private struct State {
        weak var database: SQLiteDatabase?
        var stage = ChangeWatchStage.idle
        /// Commits to the file that are accounted for; `nil` while nobody counts.
        var counter: UInt32?
    }

    init() {}

    /// To be called once, by the database.
    func belong(to database: SQLiteDatabase) { state.withLock { $0.database = database } }

    var coverage: ChangeCoverage { .allWriters }

    /// Whether connections have to note what they write.
    ///
    /// Asked after a commit: whoever begins to listen sets it before anything is read, so either the commit is seen by that
    /// reading, or this is seen here.
    var isWatched: Bool { watched.load(ordering: .sequentiallyConsistent) }

    // MARK: Commits of our own

    /// A connection has committed those changes, in so many transactions.
    func tell(_ changes: UncommittedChanges, _ commitCount: UInt64, on connection: SQLiteConnection) {
        guard isWatched else { return }
        var gap = changes.gap
        if let counter = connection.changeCounter {
            let isAlone = state.withLock { state in
                guard let known = state.counter else { return true }
                state.counter = counter
                return counter == known &+ UInt32(truncatingIfNeeded: commitCount)
            }
            if !isAlone || connection.hasAttachedFiles { gap = gap ?? .otherProgram }
        }
        if changes.changes.areTooMany { gap = gap ?? .tooMany }
        guard gap != nil || !changes.changes.isEmpty else { return }
        feed.tell(changes.changes.relations, changesSchema: changes.changes.changesSchema, gap: gap)
    }

    // MARK: Commits of others

    /// From now on commits are counted.
    func startCounting(_ counter: UInt32?) {
        watched.store(true, ordering: .sequentiallyConsistent)
        state.withLock { $0.counter = counter }
    }

    /// The files are not the same any more.
    func stopCounting() { state.withLock { $0.counter = nil } }

    /// Compares what was counted with what is in the file; while nobody of ours writes.
    func compare(_ counter: UInt32) {
        let isKnown = state.withLock { state in
            guard let known = state.counter else { return true }
            state.counter = counter
            return known == counter
        }
        if !isKnown { feed.tell(.otherProgram) }
    }

    // MARK: Beginning and ending

    func begin(_ context: DriverContext, _ done: @escaping @Sendable (DriverError?) -> Void) {
        let (next, database) = state.withLock { ($0.stage.begin(done), $0.database) }
        switch next {
        case .ready: done(nil)
        case .wait: break
        case .start:
            guard let database else { return didBegin(.databaseReplaced) }
            SQLiteChangeWatch.start(self, database, context)
        }
    }

    /// The watch has begun, or could not.
    func didBegin(_ error: DriverError?) {
        let waiters = state.withLock { $0.stage.didBegin(error) }
        if error != nil { watched.store(false, ordering: .sequentiallyConsistent) }
        for waiter in waiters { waiter(error) }
    }

    /// Nobody listens any more.
    /// - Returns: false if somebody does.
    func endIfDeserted() -> Bool {
        let isEnded = state.withLock { state in
            guard feed.isDeserted, state.stage.isWatching else { return false }
            state.stage = .idle
            state.counter = nil
            return true
        }
        guard isEnded else { return false }
        watched.store(false, ordering: .sequentiallyConsistent)
        feed.pause()
        return true
    }
}
