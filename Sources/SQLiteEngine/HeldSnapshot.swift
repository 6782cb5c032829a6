// One read transaction for many short reads, until somebody commits.

internal import CSQLite
internal import DatabaseContract

/// Keeps a connection's read transaction open from one statement to the next.
///
/// Each autocommit read must see everything that was committed before its request was sent. So SQLite starts a
/// transaction for each: it compares the header of the write-ahead log's index, in shared memory, with the one that it
/// knows, and takes a lock with fcntl(2). Every commit changes that header before it returns
/// (https://sqlite.org/walformat.html#the_wal_index_file_format, "iChange"). So while the header is the one at the
/// start of a transaction, a new transaction would see the same, and the old one can be used again.
///
/// An open transaction keeps a checkpoint from finishing and the log from restarting, so it is ended after a few
/// milliseconds.
/// - Thread: that of its connection.
final class HeldSnapshot {
    /// A statement that has stepped to its only row: until it is reset, SQLite ends no read transaction of its
    /// connection, although the connection is not within BEGIN
    /// (https://sqlite.org/lang_transaction.html#implicit_versus_explicit_transactions).
    private let holder: OpaquePointer
    /// The index's header, in memory that belongs to the connection and is mapped until it closes.
    private let header: UnsafeRawPointer
    @exclusivity(unchecked) private var known = litebase_wal_header()
    @exclusivity(unchecked) private(set) var isHeld = false
    /// The version of the schema in the transaction that is held.
    @exclusivity(unchecked) private(set) var schemaVersion: Int32 = 0

    /// - Returns: `nil` if the file has no write-ahead log, or its index is not accessible.
    init?(_ connection: SQLiteConnection) {
        // Asking for the index of the log would create one for a file without a log.
        guard !connection.options.isMemory, connection.usesWAL,
            let header = litebase_sqlite3_wal_header(connection.handle),
            let holder = connection.prepareOwn("PRAGMA schema_version")
        else { return nil }
        self.header = UnsafeRawPointer(header)
        self.holder = holder
    }

    deinit { sqlite3_finalize(holder) }

    /// Starts a transaction that lasts until `release`. If that fails, or if somebody commits at that moment, nothing
    /// is held.
    func take() {
        let before = litebase_wal_header_copy(header)
        isHeld = sqlite3_step(holder) == SQLITE_ROW
        known = before
        schemaVersion = isHeld ? sqlite3_column_int(holder, 0) : 0
        if !isCurrent { release() }
    }

    /// Whether nobody has committed since `take`. If somebody has, release it before the next statement.
    var isCurrent: Bool { litebase_wal_header_equals(header, &known) != 0 }

    /// Ends the transaction, or lets the statement that is running end it.
    func release() {
        sqlite3_reset(holder)
        isHeld = false
    }
}
