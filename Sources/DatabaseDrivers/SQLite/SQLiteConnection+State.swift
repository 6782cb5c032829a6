// What a connection keeps in memory, and what its transaction is.

internal import CSQLite
internal import LinuxSystem

extension SQLiteConnection {
    // MARK: Pages in memory

    /// Sets how many bytes of pages are kept in memory; beyond, they are given back at once.
    func resizePageCache(_ byteCount: Int) {
        guard byteCount != pageCacheByteCount else { return }
        // Negative: KiB instead of pages (https://sqlite.org/pragma.html#pragma_cache_size). It reads the schema.
        let hadTime = withinLoopBudget { try? execute("PRAGMA cache_size = \(-max(1, byteCount >> 10))") }
        if hadTime { pageCacheByteCount = byteCount }
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
        liftLimits()
        isOwnStatement = true
        defer { isOwnStatement = false }
        var statement: OpaquePointer?
        return sqlite3_prepare_v2(handle, sql, -1, &statement, nil) == SQLITE_OK ? statement : nil
    }

    /// Gives up what is cached, when memory is short.
    func releaseMemoryIfShort() {
        if SQLiteMemory.isShort(for: role.account) { sqlite3_db_release_memory(handle) }
    }

    /// State of the transaction as SQLite sees it.
    var transaction: TransactionState { sqlite3_get_autocommit(handle) == 0 ? .active : .none }
    /// Whether it holds the write lock of the main database (https://sqlite.org/c3ref/txn_state.html).
    var holdsWriteLock: Bool { sqlite3_txn_state(handle, "main") == SQLITE_TXN_WRITE }
}
