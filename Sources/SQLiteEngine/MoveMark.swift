// A database that `litebase move` has closed: what writes into it is refused, and not only what its triggers can refuse.
//
// The move makes triggers `litebase_moved_…` in the transaction of its end: they refuse INSERT, UPDATE and DELETE whoever opens the
// file. Triggers know nothing of ALTER TABLE and DROP TABLE, virtual tables can have none, and a restore takes them away. What
// waited for the lock of the move, and would have been acknowledged without being in PostgreSQL, is refused by the daemon here.
//
// Whoever makes the triggers through this database has them looked for again. Others may make them, too: another daemon, or this one by
// another name of the same file. So before what triggers cannot refuse, it is asked for the first of them, which takes microseconds
// however large the schema is. Files that a session has attached are asked each time.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem
internal import SQLText
internal import Synchronization

/// Whether a database has such triggers.
/// - Thread: any.
final class MoveMark: Sendable {
    /// Somebody has to look: nobody has yet, or such a trigger was made or dropped.
    fileprivate let isUnknown = Atomic(true)
    fileprivate let isThere = Atomic(false)

    static let prefix = "litebase_moved_"
    /// The one that every move makes.
    fileprivate static let first = prefix + "0_insert"
    fileprivate static let main = "main"
}

extension SQLiteConnection {
    /// Refuses a statement that changes a closed database, or commits what has changed it.
    /// - Throws: `.movedAway`. On a loop that has to look first, with `mustPrepareOnWorker` set.
    func refuseIfMoved(_ statement: CachedStatement) throws(DriverError) {
        if statement.mayCommit {
            let changes = uncommitted.changes
            if holdsWriteLock, !changes.isEmpty, !changes.areOfMoveMark { try refuseIfMoved() }
            return
        }
        if statement.isReadOnly { return }
        for schema in statement.attachedWrites { try refuseIfMoved(attached: schema) }
        let changes = statement.changes
        if changes.areOfMoveMark {
            hasChangedMoveMark = true
            return options.moveMark.isUnknown.store(true, ordering: .releasing)
        }
        if changes.changesSchema || statement.changesNumbers || !changes.isEmpty && statement.mayUseVirtualTables {
            try refuseIfMovedByAnybody()
        } else if !changes.isEmpty {
            try refuseIfMoved()
        }
    }

    /// The same for what changes all of it, and whatever its triggers cannot refuse.
    func refuseIfMovedByAnybody() throws(DriverError) {
        let mark = options.moveMark
        if !options.isMemory, !mark.isUnknown.load(ordering: .relaxed), !mark.isThere.load(ordering: .relaxed) {
            try leaveLoop()
            if hasFirstTrigger(of: MoveMark.main) { mark.isUnknown.store(true, ordering: .releasing) }
        }
        try refuseIfMoved()
    }

    private func refuseIfMoved() throws(DriverError) {
        let mark = options.moveMark
        // Somebody else may have dropped them: they are looked for again before anything is refused.
        let isKnown = !mark.isUnknown.load(ordering: .acquiring)
        guard !isKnown || mark.isThere.load(ordering: .relaxed) else { return }
        // To look would begin the snapshot of a transaction that has none yet, and somebody else's commit would keep it from writing
        // then. It is looked for before it commits.
        if transaction == .active, !holdsWriteLock {
            if isKnown { try leaveLoop() }
            let mayLook = mayBlock || Thread.mayBlock
            if mayLook, isKnown || hasFirstTrigger(of: MoveMark.main), hasMoveMark(MoveMark.main) { throw .movedAway }
            return
        }
        try leaveLoop()
        let isThere = hasMoveMark(MoveMark.main)
        if isLastWord {
            mark.isThere.store(isThere, ordering: .relaxed)
            mark.isUnknown.store(false, ordering: .releasing)
        }
        if isThere { throw .movedAway }
    }

    /// Whether what it sees is what everybody sees from now on, and not what its own transaction may take back.
    private var isLastWord: Bool {
        if transaction == .none { hasChangedMoveMark = false }
        if case .writer = role { return true }
        return !hasChangedMoveMark
    }

    /// The same for a file that the session has attached, of which nothing is kept: it may be anybody's.
    private func refuseIfMoved(attached schema: String) throws(DriverError) {
        try leaveLoop()
        if hasFirstTrigger(of: schema), hasMoveMark(schema) { throw .movedAway }
    }

    /// A loop does not look: a schema may have to be read.
    private func leaveLoop() throws(DriverError) {
        if mayBlock || Thread.mayBlock { return }
        mustPrepareOnWorker = true
        throw .movedAway
    }

    /// Whether a file may have the first trigger; it may have been dropped since its schema was read.
    ///
    /// For one that is missing, SQLite compares the schema in memory with the file, and begins no snapshot that stays.
    /// - Source: sqlite3DropTrigger in src/trigger.c, schemaIsValid in src/prepare.c of SQLite 3.40
    private func hasFirstTrigger(of schema: String) -> Bool {
        // It is not run.
        let statement = prepareOwn("DROP TRIGGER \(Self.quoted(schema)).\(MoveMark.first)")
        defer { sqlite3_finalize(statement) }
        return statement != nil
    }

    /// Looks into a schema.
    private func hasMoveMark(_ schema: String) -> Bool {
        let statement = prepareOwn(
            "SELECT 1 FROM \(Self.quoted(schema)).sqlite_schema "
                + "WHERE type = 'trigger' AND name GLOB '\(MoveMark.prefix)*' LIMIT 1")
        defer { sqlite3_finalize(statement) }
        return sqlite3_step(statement) == SQLITE_ROW
    }

    private static func quoted(_ name: String) -> String { String(quoting: name, by: UInt8(ascii: "\"")) }
}

extension DriverError {
    fileprivate static let movedAway = DriverError(
        .readOnly, "The database was moved to PostgreSQL, and this file takes no more writes.",
        hint:
            "Ask an administrator for the database that has taken its place. To write into this one again, drop its triggers "
            + "\(MoveMark.prefix)… first.", sqlState: "25006")
}
