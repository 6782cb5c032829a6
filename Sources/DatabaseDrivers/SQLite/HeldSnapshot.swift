// One read transaction for many short reads, as long as nobody commits.

internal import CSQLite

/// Keeps a connection's read transaction open from one statement to the next.
///
/// Each autocommit read must see whatever was committed before its request was sent. SQLite therefore begins a
/// transaction for each: it compares the header of the write-ahead log's index, in shared memory, with the one that it
/// knows, and takes a lock with fcntl(2). Every commit changes that header before it returns
/// (https://sqlite.org/walformat.html#the_wal_index_file_format, "iChange"). So while the header is the one with which a
/// transaction began, a new transaction would see just the same, and the old one can be used on.
///
/// An open transaction keeps a checkpoint from finishing and the log from beginning anew: whoever holds one lets it go
/// after a few milliseconds.
/// - Thread: that of its connection.
final class HeldSnapshot {
    /// A statement that stands at its only row: as long as it does, SQLite ends no read transaction of its connection,
    /// and yet is not within BEGIN (https://sqlite.org/lang_transaction.html#implicit_versus_explicit_transactions).
    private let holder: OpaquePointer
    /// The index's header, in memory that belongs to the connection and is mapped until it closes.
    private let header: UnsafeRawPointer
    @exclusivity(unchecked) private var known = litebase_wal_header()
    @exclusivity(unchecked) private(set) var isHeld = false

    /// - Returns: `nil` when the file has no write-ahead log, or its index cannot be seen.
    init?(_ connection: SQLiteConnection) {
        // Asking a file without a log for the log's index would make one.
        guard !connection.options.isMemory, connection.usesWAL,
            let header = litebase_sqlite3_wal_header(connection.handle),
            let holder = connection.prepareOwn("PRAGMA schema_version")
        else { return nil }
        self.header = UnsafeRawPointer(header)
        self.holder = holder
    }

    deinit { sqlite3_finalize(holder) }

    /// Begins a transaction that lasts until `release`. Where that fails, or somebody commits just then, nothing is held.
    func take() {
        let before = litebase_wal_header_copy(header)
        isHeld = sqlite3_step(holder) == SQLITE_ROW
        known = before
        if !isCurrent { release() }
    }

    /// Whether nobody has committed since `take`. False means: release it before the next statement.
    var isCurrent: Bool { litebase_wal_header_equals(header, &known) != 0 }

    /// Ends the transaction, or lets the statement that still runs end it.
    func release() {
        sqlite3_reset(holder)
        isHeld = false
    }
}
