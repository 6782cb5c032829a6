// Every limit that the configuration sets, with its unit in its name.

internal import WireProtocol

/// Limits that are in force for the whole daemon.
public struct Limits: Sendable, Equatable {
    /// Longest request frame, in bytes; at most 64 MiB so that a length's first byte stays unambiguous (protocol: framing).
    public var frameByteCountMax = 16 << 20
    /// Longest row that is sent, in bytes as encoded. A row is never split over frames.
    public var rowByteCountMax = 64 << 20
    /// Client connections at a time.
    public var connectionCountMax = 10_000
    /// Connections of one Unix user at a time; the daemon's own user and root may have `connectionCountMax`.
    public var connectionCountPerUserMax = 5_000
    /// Bytes of requests and replies that the daemon holds for one Unix user; less where there is little memory (`fitting`).
    public var bufferedByteCountPerUserMax = 256 << 20
    /// Requests of one Unix user that may be unfinished, over all connections.
    public var requestsInFlightPerUserMax = 50_000
    /// Sessions that one Unix user may hold open, over all connections.
    public var sessionsPerUserMax = 1_000
    /// Lanes, which are connections through shared memory, of one Unix user; 0: everybody stays on the socket.
    public var lanesPerUserMax = 128
    /// Longest time that a session may leave its transaction idle, in milliseconds; 0 means no limit. Then it ends.
    public var idleTransactionMillisecondsMax: Int64 = 600_000
    /// Longest time that a session or a reply may be left idle while others need what it holds, in milliseconds; 0 means no
    /// limit. Then it ends.
    public var idleHoldMillisecondsMax: Int64 = 30_000
    /// Longest time that a client may read nothing of waiting output, in milliseconds; 0 means no limit. Then it is
    /// closed.
    public var writeStallMillisecondsMax: Int64 = 1_800_000
    /// Connections that the descriptor store keeps, so that they outlive the process; less than the store's own limit.
    public var keptConnectionCountMax = 1_000
    /// Unfinished requests of one connection; at that number the daemon stops reading from it.
    public var requestsInFlightMax = 1_024
    /// Sessions that one connection may hold open.
    public var sessionsPerConnectionMax = 64
    /// Paged queries that one connection may hold open.
    public var pagedQueriesPerConnectionMax = 16
    /// Long reads of one SQLite database at a time, each on a worker with a connection of its own.
    public var readersPerDatabaseMax = 64
    /// Memory that SQLite may use in all, in bytes; 0 means no limit. Less where there is little memory (`fitting`).
    public var sqliteMemoryByteCountMax = 1 << 30
    /// Memory that SQLite may use for one Unix user, in bytes; 0: half of `sqliteMemoryByteCountMax`.
    public var sqliteMemoryByteCountPerUserMax = 0
    /// Bytes in SQLite's temporary files for one Unix user; 0 means no limit.
    public var temporaryByteCountPerUserMax = 4 << 30
    /// SQLite's temporary files that are open at a time, half of them for one user; 0: no limit. It follows from the
    /// number of files that the process may open (`fitting`).
    public var temporaryFileCountMax = 0
    /// Time after which unused connections to a SQLite file are closed, in milliseconds; 0 means never.
    public var sqliteIdleMillisecondsMax: Int64 = 60_000
    /// Prepared statements kept by each connection to a SQLite file.
    public var statementCacheCountMax = 64
    /// Pages of one database file that the loops together keep in memory for short reads, in bytes.
    public var pageCachePerDatabaseByteCountMax = 128 << 20
    /// Memory for what is in databases (`catalog`), all of them together, in bytes. Less where there is little memory (`fitting`).
    public var catalogByteCountMax = 256 << 20
    /// Connections to one database on a server at a time, sessions included.
    public var poolConnectionCountMax = 10
    /// Time that a request waits for one of them, in milliseconds.
    public var poolWaitMillisecondsMax: Int64 = 5_000
    /// Time after which an unused connection is closed, in milliseconds.
    public var poolIdleMillisecondsMax: Int64 = 300_000
    /// Age at which one is replaced, in milliseconds; 0 means no limit.
    public var poolLifetimeMillisecondsMax: Int64 = 3_600_000
    /// Time that connecting to one database server may take, in milliseconds.
    public var connectMillisecondsMax: Int64 = 5_000
    /// Longest time that a statement may run, in milliseconds; 0 means no limit. A request's `timeout_ms` can only lower it.
    public var statementTimeMillisecondsMax: Int64 = 0
    /// Time that a write waits for another writer before it ends with `busy`, in milliseconds.
    public var busyTimeMillisecondsMax: Int64 = 5_000
    /// Time that running requests get when the daemon stops, in milliseconds; then they are cancelled.
    public var drainTimeMillisecondsMax: Int64 = 5_000
    /// Threads for statements that take too long for a loop.
    public var workerThreadCountMax = 32

    /// Transfers of one user at a time; each has a thread while its file is written, and two buffers.
    public static let transferCountPerUserMax = 8
    /// Descriptors that one user has sent and that are not closed yet.
    static let descriptorCountPerUserMax = 64
    /// Threads that write files of clients; users who have none do not wait for those who have all.
    static let transferThreadCountMax = 16

    /// The highest `frameByteCountMax` that the protocol allows.
    public static let frameByteCountCeiling = WireLimits.frameByteCountCeiling

    public init() {}
}
