// Counters of one loop; `stats` adds them up over the loops.

internal import LinuxSystem
internal import WireProtocol

/// What one loop has counted since the start.
///
/// - Thread: its loop's; copies are passed around.
struct LoopStatistics: Sendable {
    var connectionsOpened: UInt64 = 0
    var connectionsOpen: Int = 0
    var lanesOpened: UInt64 = 0
    var lanesOpen: Int = 0
    var sessionsOpened: UInt64 = 0
    var sessionsOpen: Int = 0
    var requestsInFlight: Int = 0
    /// By type.
    var requests: [UInt64]
    var errors = [UInt64](repeating: 0, count: ErrorCode.allCases.count)
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    var rowsSent: UInt64 = 0
    /// Limits that apply to each connection: the present maximum over connections (when asked), and the peak.
    var uses = [LimitUse](repeating: LimitUse(), count: LimitName.allCases.count)
    /// Microseconds by type of request.
    var latency: [LatencyHistogram]
    /// By the number of a database.
    private(set) var databases: [DatabaseFigures] = []

    /// Empty counters for that number of request types.
    init(typeCount: Int) {
        requests = [UInt64](repeating: 0, count: typeCount)
        latency = [LatencyHistogram](repeating: LatencyHistogram(), count: typeCount)
    }

    /// Makes room for databases with numbers up to `greatest`.
    mutating func makeRoom(forDatabasesUpTo greatest: Int) {
        while databases.count <= greatest { databases.append(DatabaseFigures()) }
    }

    /// Counts a request on a database that has ended.
    @inline(__always)
    mutating func count(database number: Int, rows: UInt64, microseconds: UInt64, isError: Bool) {
        databases[number].requests &+= 1
        databases[number].rows &+= rows
        databases[number].microseconds &+= microseconds
        if isError { databases[number].errors &+= 1 }
    }

    /// Counts bytes of rows.
    @inline(__always)
    mutating func count(database number: Int, bytes: Int) { databases[number].bytes &+= UInt64(bytes) }

    /// Counts what a database is used for at present.
    mutating func use(database number: Int, sessions: Int = 0, requests: Int = 0) {
        guard databases.indices.contains(number) else { return }
        databases[number].sessionsOpen += sessions
        databases[number].requestsInFlight += requests
    }

    /// Records the use of a limit by a connection.
    mutating func notePeak(_ name: LimitName, _ count: Int) {
        if count > uses[name.rawValue].peak ?? 0 { uses[name.rawValue].peak = Int64(count) }
    }

    mutating func add(_ other: LoopStatistics) {
        connectionsOpened += other.connectionsOpened
        connectionsOpen += other.connectionsOpen
        lanesOpened += other.lanesOpened
        lanesOpen += other.lanesOpen
        sessionsOpened += other.sessionsOpened
        sessionsOpen += other.sessionsOpen
        requestsInFlight += other.requestsInFlight
        for index in requests.indices { requests[index] += other.requests[index] }
        for index in errors.indices { errors[index] += other.errors[index] }
        bytesReceived += other.bytesReceived
        bytesSent += other.bytesSent
        rowsSent += other.rowsSent
        for index in uses.indices {
            guard let peak = other.uses[index].peak else { continue }
            uses[index].merge(used: other.uses[index].used ?? 0, peak: peak)
        }
        for index in latency.indices { latency[index].add(other.latency[index]) }
        makeRoom(forDatabasesUpTo: other.databases.count - 1)
        for index in other.databases.indices { databases[index].add(other.databases[index]) }
    }
}
