// What a connection keeps in memory, and the state of its transaction.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem

extension SQLiteConnection {
    // MARK: Pages in memory

    /// Sets the size of the page cache; pages beyond it are released at once.
    func resizePageCache(_ byteCount: Int) {
        guard byteCount != pageCacheByteCount else { return }
        // Negative: KiB instead of pages (https://sqlite.org/pragma.html#pragma_cache_size). It reads the schema.
        let hadTime = withinLoopBudget { try? execute("PRAGMA cache_size = \(-max(1, byteCount >> 10))") }
        if hadTime { pageCacheByteCount = byteCount }
    }

    /// Whether another connection is opened in less time than the pages of this one are read again: it has many, and no large schema.
    var isWorthKeeping: Bool { schemaWatch?.isLarge != true && hasManyPages }

    /// Whether it has more pages in memory than a small cache keeps.
    private var hasManyPages: Bool {
        guard pageCacheByteCount > SQLiteOptions.smallPageCacheByteCount else { return false }
        var (byteCount, peak) = (Int32(0), Int32(0))
        sqlite3_db_status(handle, SQLITE_DBSTATUS_CACHE_USED, &byteCount, &peak, 0)
        return byteCount > SQLiteOptions.smallPageCacheByteCount
    }

    /// Releases all pages that no statement uses.
    func releasePages() { sqlite3_db_release_memory(handle) }

    // MARK: State

    /// Whether the file has a write-ahead log, so that its readers and writers do not wait for each other.
    var usesWAL: Bool {
        guard let statement = prepareOwn("PRAGMA journal_mode") else { return false }
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW, let mode = sqlite3_column_text(statement, 0) else { return false }
        return String(cString: mode) == "wal"
    }

    /// Prepares a statement of our own, which the caller finalizes.
    func prepareOwn(_ sql: String) -> OpaquePointer? { sql.withCString { prepareOwn($0, -1) } }

    /// The same for a text of so many bytes with its NUL, or up to that: -1.
    func prepareOwn(_ sql: UnsafePointer<CChar>, _ byteCount: Int32) -> OpaquePointer? {
        liftLimits()
        isOwnStatement = true
        defer { isOwnStatement = false }
        var statement: OpaquePointer?
        let result = CountedMemory.withRoomyTables { sqlite3_prepare_v2(handle, sql, byteCount, &statement, nil) }
        return result == SQLITE_OK ? statement : nil
    }

    /// Releases caches when memory is short.
    func releaseMemoryIfShort() {
        if SQLiteMemory.isShort(for: role.account) { sqlite3_db_release_memory(handle) }
    }

    /// State of the transaction as SQLite sees it.
    var transaction: TransactionState { sqlite3_get_autocommit(handle) == 0 ? .active : .none }
    /// Whether it holds the write lock of the main database (https://sqlite.org/c3ref/txn_state.html).
    var holdsWriteLock: Bool { sqlite3_txn_state(handle, "main") == SQLITE_TXN_WRITE }
    /// Whether its transaction has written anything, temporary and attached databases included.
    var hasWritten: Bool { sqlite3_txn_state(handle, nil) == SQLITE_TXN_WRITE }
    /// Whether a transaction has a snapshot of each file, so that only the transaction itself can change a schema.
    var hasSnapshotOfEachFile: Bool {
        var index: Int32 = 0
        while let name = sqlite3_db_name(handle, index) {
            // The second one is "temp", which belongs to the connection.
            if index != 1, sqlite3_txn_state(handle, name) == SQLITE_TXN_NONE { return false }
            index += 1
        }
        return true
    }
}
