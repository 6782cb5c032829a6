// The library's memory, over all connections, and its temporary files, over all users. SQLite's own limit
// (sqlite3_hard_heap_limit64) needs its statistics, which take a global lock for each allocation, and it knows no
// users.
//
// A thread that runs or prepares for a user sets that first (`MemoryAccount.charge`); from then on its allocations are
// charged to that user. What all users share belongs to nobody: the page caches of readers, and the daemon's own work.

internal import CSQLite
internal import CSQLiteAccounts
public import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// SQLite's memory: its use and its limits.
///
/// - Thread: any.
public enum SQLiteMemory {
    private static let limits = Mutex(EngineLimits(memoryInAll: 0, memoryOfUser: 0, filesOfUser: 0))
    private static let shortInAll = Atomic<Int>(.max)
    private static let shortOfUser = Atomic<Int>(.max)

    /// Installs our functions, before SQLite is initialized (https://sqlite.org/c3ref/mem_methods.html).
    static func install() {
        var methods = sqlite3_mem_methods(
            xMalloc: { CountedMemory.allocate($0) }, xFree: { CountedMemory.free($0) },
            xRealloc: { CountedMemory.resize($0, $1) }, xSize: { CountedMemory.size($0) },
            xRoundup: { ($0 + 7) & ~7 }, xInit: { _ in SQLITE_OK }, xShutdown: { _ in }, pAppData: nil)
        _ = litebase_sqlite3_config_memory(&methods)
        _ = litebase_charge_page_caches()
    }

    /// The same for temporary files, after it is initialized.
    static func installFiles() { _ = litebase_charge_temporary_files() }

    /// Sets the limits, which also apply to memory in use.
    public static func setLimits(_ wanted: EngineLimits) {
        limits.withLock { $0 = wanted }
        shortInAll.store(half(wanted.memoryInAll), ordering: .relaxed)
        shortOfUser.store(half(wanted.memoryOfUser), ordering: .relaxed)
        CountedMemory.setLimits(inAll: wanted.memoryInAll, byOne: wanted.memoryOfUser)
        CountedMemory.setFileLimits(
            byOne: wanted.filesOfUser, countInAll: wanted.fileCountInAll, countByOne: wanted.fileCountOfUser)
    }

    private static func half(_ limit: Int) -> Int { limit > 0 ? limit / 2 : .max }

    /// The most memory of one user, or of one memory database; 0: no limit.
    static var memoryOfUserMax: Int { limits.withLock { $0.memoryOfUser } }

    /// Whether more than half of the limit is in use: then idle connections release their caches.
    static func isShort(for account: MemoryAccount) -> Bool {
        MemoryAccount.memoryInAll.byteCount > shortInAll.load(ordering: .relaxed)
            || account.memory.byteCount > shortOfUser.load(ordering: .relaxed)
    }

    /// Adds the limit because of which this thread got no memory, or no room in a temporary file.
    /// - Returns: false if that was not the reason.
    static func explainRefusal(_ details: inout DriverError.Details) -> Bool {
        guard let refusal = CountedMemory.takeRefusal() else { return false }
        let limits = limits.withLock { $0 }
        let owner = MemoryAccount.current.uid.map(name) ?? "the daemon"
        let smaller = "Ask for smaller values and fewer groups at a time, close sessions"
        switch refusal {
        case .memoryInAll:
            details.limit = DriverLimit(name: "sqlite_memory_bytes_max", value: Int64(limits.memoryInAll))
            details.message =
                "SQLite may use \(limits.memoryInAll) bytes of memory in all (sqlite_memory_bytes_max), and this needs "
                + "more."
            details.hint = "\(smaller), or raise the limit."
        case .memoryOfOne:
            details.limit = DriverLimit(name: "sqlite_memory_bytes_per_user_max", value: Int64(limits.memoryOfUser))
            details.message =
                "SQLite may use \(limits.memoryOfUser) bytes of memory for \(owner) (sqlite_memory_bytes_per_user_max), and "
                + "this needs more."
            details.hint = "\(smaller), drop temporary tables in memory (temp_store), or raise the limit."
        case .filesOfOne:
            details.limit = DriverLimit(name: "temporary_bytes_per_user_max", value: Int64(limits.filesOfUser))
            details.message =
                "SQLite's temporary files may hold \(limits.filesOfUser) bytes for \(owner) (temporary_bytes_per_user_max), "
                + "and this needs more."
            details.hint =
                "Drop temporary tables, sort less at a time (an index may spare it), close sessions, or raise the limit."
        case .fileCount:
            details.message =
                "SQLite may have \(limits.fileCountOfUser) temporary files open for \(owner), and \(limits.fileCountInAll) in "
                + "all, of the files that the daemon may open, and this needs one more."
            details.hint = "Close sessions, detach temporary databases, or raise LimitNOFILE= of the service."
        }
        details.code = .limitExceeded
        details.sqlState = "53000"
        details.isRetryable = true
        return true
    }

    // MARK: Databases in memory, which are nobody's

    /// Sets the size limit of a memory database (https://sqlite.org/c3ref/c_fcntl_begin_atomic_write.html,
    /// SQLITE_FCNTL_SIZE_LIMIT), and reads its first page, so that it is charged to the user for whom this thread
    /// works.
    static func prepareDatabase(_ connection: SQLiteConnection) throws(DriverError) {
        var limit = sqlite3_int64(memoryOfUserMax)
        if limit > 0 { sqlite3_file_control(connection.handle, "main", SQLITE_FCNTL_SIZE_LIMIT, &limit) }
        try connection.execute("PRAGMA user_version = 0")
    }

    /// The size limit of a memory database; `nil` for a file.
    static func databaseLimit(_ handle: OpaquePointer) -> Int64? {
        var limit: sqlite3_int64 = -1
        let result = sqlite3_file_control(handle, "main", SQLITE_FCNTL_SIZE_LIMIT, &limit)
        return result == SQLITE_OK ? limit : nil
    }

    static func explain(databaseLimit limit: Int64, _ details: inout DriverError.Details) {
        details.code = .limitExceeded
        details.sqlState = "53100"
        details.message =
            "A database in memory may hold \(limit) bytes, as one user (sqlite_memory_bytes_per_user_max)."
        details.hint = "Delete what is not needed any more, or raise the limit and restart."
        details.limit = DriverLimit(name: "sqlite_memory_bytes_per_user_max", value: limit)
    }

    private static func name(_ uid: UInt32) -> String {
        if uid == .max { return "TCP clients" }
        return Process.userName(uid: uid).map { "user \($0)" } ?? "uid \(uid)"
    }
}
