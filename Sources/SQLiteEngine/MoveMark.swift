// A database that `litebase move` has closed: what writes into it is refused, and not only what its triggers can refuse.
//
// The move makes triggers `litebase_moved_…` in the transaction of its end: they refuse INSERT, UPDATE and DELETE whoever opens the
// file. Triggers know nothing of ALTER TABLE and DROP TABLE, virtual tables can have none, and a restore takes them away. What
// waited for the lock of the move, and would have been acknowledged without being in PostgreSQL, is refused by the daemon here.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// Whether a database has such triggers.
/// - Thread: any.
final class MoveMark: Sendable {
    /// Somebody has to look: nobody has yet, or such a trigger was made or dropped.
    fileprivate let isUnknown = Atomic(true)
    fileprivate let isThere = Atomic(false)

    static let prefix = "litebase_moved_"
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
        let changes = statement.changes
        if changes.areOfMoveMark {
            hasChangedMoveMark = true
            return options.moveMark.isUnknown.store(true, ordering: .releasing)
        }
        if !changes.isEmpty { try refuseIfMoved() }
    }

    /// The same for what changes all of it.
    func refuseIfMoved() throws(DriverError) {
        let mark = options.moveMark
        guard mark.isUnknown.load(ordering: .acquiring) else {
            if mark.isThere.load(ordering: .relaxed) { throw .movedAway }
            return
        }
        // To look would begin the snapshot of a transaction that has none yet, and somebody else's commit would keep it from writing
        // then. It is looked for before it commits.
        if transaction == .active, !holdsWriteLock { return }
        if !mayBlock, !Thread.mayBlock {
            mustPrepareOnWorker = true
            throw .movedAway
        }
        let isThere = hasMoveMark
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

    /// Looks into the schema.
    private var hasMoveMark: Bool {
        let statement = prepareOwn(
            "SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND name GLOB '\(MoveMark.prefix)*' LIMIT 1")
        defer { sqlite3_finalize(statement) }
        return sqlite3_step(statement) == SQLITE_ROW
    }
}

extension DriverError {
    fileprivate static let movedAway = DriverError(
        .readOnly, "The database was moved to PostgreSQL, and this file takes no more writes.",
        hint:
            "Ask an administrator for the database that has taken its place. To write into this one again, drop its triggers "
            + "\(MoveMark.prefix)… first.", sqlState: "25006")
}
