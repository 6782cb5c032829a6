// Every limit that `stats` shows with its use, named as in the configuration.

internal import DatabaseContract
internal import Synchronization

/// A limit that clients can hit.
enum LimitName: Int, CaseIterable, Sendable {
    case frameBytes, rowBytes
    case connections, connectionsPerUser, bufferedBytesPerUser, requestsInFlightPerUser, sessionsPerUser, lanesPerUser
    case keptConnections
    case requestsInFlight, sessionsPerConnection, pagedQueriesPerConnection
    case readersPerDatabase, workerThreads, sqliteMemoryBytes, sqliteMemoryBytesPerUser, temporaryBytesPerUser
    case catalogBytes
    case poolConnections, poolWait
    case statementTime, idleTransaction, idleHold, writeStall, busyTime

    var name: StaticString {
        switch self {
        case .frameBytes: "frame_bytes_max"
        case .rowBytes: "row_bytes_max"
        case .connections: "connections_max"
        case .connectionsPerUser: "connections_per_user_max"
        case .bufferedBytesPerUser: "buffered_bytes_per_user_max"
        case .requestsInFlightPerUser: "requests_in_flight_per_user_max"
        case .sessionsPerUser: "sessions_per_user_max"
        case .lanesPerUser: "lanes_per_user_max"
        case .keptConnections: "kept_connections_max"
        case .requestsInFlight: "requests_in_flight_max"
        case .sessionsPerConnection: "sessions_per_connection_max"
        case .pagedQueriesPerConnection: "paged_queries_per_connection_max"
        case .readersPerDatabase: "readers_per_database_max"
        case .workerThreads: "worker_threads_max"
        case .sqliteMemoryBytes: "sqlite_memory_bytes_max"
        case .sqliteMemoryBytesPerUser: "sqlite_memory_bytes_per_user_max"
        case .temporaryBytesPerUser: "temporary_bytes_per_user_max"
        case .catalogBytes: "catalog_bytes_max"
        case .poolConnections: "pool_connections_max"
        case .poolWait: "pool_wait_ms_max"
        case .statementTime: "statement_time_ms_max"
        case .idleTransaction: "idle_transaction_ms_max"
        case .idleHold: "idle_hold_ms_max"
        case .writeStall: "write_stall_ms_max"
        case .busyTime: "busy_time_ms_max"
        }
    }

    /// The configured value.
    func value(_ limits: Limits) -> Int64 {
        switch self {
        case .frameBytes: Int64(limits.frameByteCountMax)
        case .rowBytes: Int64(limits.rowByteCountMax)
        case .connections: Int64(limits.connectionCountMax)
        case .connectionsPerUser: Int64(limits.connectionCountPerUserMax)
        case .bufferedBytesPerUser: Int64(limits.bufferedByteCountPerUserMax)
        case .requestsInFlightPerUser: Int64(limits.requestsInFlightPerUserMax)
        case .sessionsPerUser: Int64(limits.sessionsPerUserMax)
        case .lanesPerUser: Int64(limits.lanesPerUserMax)
        case .keptConnections: Int64(limits.keptConnectionCountMax)
        case .requestsInFlight: Int64(limits.requestsInFlightMax)
        case .sessionsPerConnection: Int64(limits.sessionsPerConnectionMax)
        case .pagedQueriesPerConnection: Int64(limits.pagedQueriesPerConnectionMax)
        case .readersPerDatabase: Int64(limits.readersPerDatabaseMax)
        case .workerThreads: Int64(limits.workerThreadCountMax)
        case .sqliteMemoryBytes: Int64(limits.sqliteMemoryByteCountMax)
        case .sqliteMemoryBytesPerUser: Int64(limits.ofEngines.memoryOfUser)
        case .temporaryBytesPerUser: Int64(limits.temporaryByteCountPerUserMax)
        case .catalogBytes: Int64(limits.catalogByteCountMax)
        case .poolConnections: Int64(limits.poolConnectionCountMax)
        case .poolWait: limits.poolWaitMillisecondsMax
        case .statementTime: limits.statementTimeMillisecondsMax
        case .idleTransaction: limits.idleTransactionMillisecondsMax
        case .idleHold: limits.idleHoldMillisecondsMax
        case .writeStall: limits.writeStallMillisecondsMax
        case .busyTime: limits.busyTimeMillisecondsMax
        }
    }

    /// The limit that a driver names.
    init?(_ limit: DriverLimit) {
        guard let known = Self.allCases.first(where: { "\($0.name)" == "\(limit.name)" }) else { return nil }
        self = known
    }
}

/// The use of a limit, and how often it was reached.
struct LimitUse: Sendable {
    /// In use now; `nil` if nothing can be counted, as with times.
    var used: Int64?
    /// The most that was in use since the start.
    var peak: Int64?
    /// How often a request was refused, ended or delayed because of it.
    var hitCount: UInt64 = 0

    /// The same limit elsewhere, such as on another connection.
    mutating func merge(used: Int64, peak: Int64) {
        self.used = max(self.used ?? 0, used)
        self.peak = max(self.peak ?? 0, peak, used)
    }
}

/// A limit as an error reports it.
struct LimitReport: Sendable {
    var name: StaticString
    var value: Int64
    /// In use now.
    var used: Int64?
    /// The user whose limit it is, if any.
    var account: UserAccount?
}

/// How often limits were reached, over all loops. That is rare.
///
/// - Thread: any.
final class LimitHits: Sendable {
    private let counts = Mutex([UInt64](repeating: 0, count: LimitName.allCases.count))

    func add(_ name: LimitName) { counts.withLock { $0[name.rawValue] += 1 } }

    var all: [UInt64] { counts.withLock { $0 } }
}
