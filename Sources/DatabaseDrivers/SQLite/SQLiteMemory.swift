// The memory of the library, over all connections. SQLite's own limit (sqlite3_hard_heap_limit64) needs its statistics, which
// take a global lock for each allocation.

internal import CSQLite
internal import LinuxSystem
internal import Synchronization

/// What SQLite has allocated, and may.
///
/// - Thread: any.
public enum SQLiteMemory {
    private static let limit = Atomic<Int>(0)

    /// Hands SQLite our functions; before it is initialized (https://sqlite.org/c3ref/mem_methods.html).
    static func install() {
        var methods = sqlite3_mem_methods(
            xMalloc: { CountedMemory.allocate($0) }, xFree: { CountedMemory.free($0) },
            xRealloc: { CountedMemory.resize($0, $1) }, xSize: { CountedMemory.size($0) },
            xRoundup: { ($0 + 7) & ~7 }, xInit: { _ in SQLITE_OK }, xShutdown: { _ in }, pAppData: nil)
        _ = litebase_sqlite3_config_memory(&methods)
    }

    /// The most that may be in use, in bytes; 0: no limit.
    public static func setLimit(_ byteCount: Int) {
        limit.store(byteCount, ordering: .relaxed)
        CountedMemory.setLimit(byteCount)
    }

    public static var usedByteCount: Int64 { CountedMemory.byteCount }
    public static var peakByteCount: Int64 { CountedMemory.peakByteCount }
    /// Allocations that were refused for the limit.
    public static var refusalCount: UInt64 { CountedMemory.refusalCount }

    /// Whether more than half of it is in use: connections that rest give up their caches then.
    static var isShort: Bool {
        let limit = limit.load(ordering: .relaxed)
        return limit > 0 && usedByteCount > limit / 2
    }

    /// Whether the limit was the reason why this thread got no memory.
    static func takeRefusal() -> Bool { CountedMemory.takeRefusal() }

    /// Says so in an error.
    static func explain(_ details: inout DriverError.Details) {
        let value = Int64(limit.load(ordering: .relaxed))
        details.code = .limitExceeded
        details.message =
            "SQLite may use \(value) bytes of memory in all (sqlite_memory_bytes_max), and this needs more."
        details.hint = "Ask for smaller values and fewer groups at a time, close sessions, or raise the limit."
        details.isRetryable = true
        details.limit = DriverLimit(name: "sqlite_memory_bytes_max", value: value)
    }
}
