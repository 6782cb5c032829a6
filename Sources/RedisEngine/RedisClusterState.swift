// What the daemon knows of a cluster: the newest map, the nodes that it names, and when they may be asked again.

internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A primary, and the pool of connections to it.
final class RedisClusterNode: Sendable {
    let place: RedisClusterPlace
    let database: RemoteDatabase

    init(_ place: RedisClusterPlace, _ database: RemoteDatabase) {
        self.place = place
        self.database = database
    }
}

/// A cluster as it was at one moment.
final class RedisClusterView: Sendable {
    /// Higher than that of every earlier one.
    let number: UInt64
    let map: RedisSlotMap
    /// In the order of the map.
    let nodes: [RedisClusterNode]
    let routing: RedisRouting
    /// Of the server that was asked.
    let version: String
    private let made = MonotonicInstant.now

    /// While it is used, a map is asked for that often, in milliseconds.
    private static let ageMillisecondsMax: Int64 = 10_000

    init(
        number: UInt64, _ map: RedisSlotMap, _ nodes: [RedisClusterNode], _ routing: RedisRouting, version: String
    ) {
        self.number = number
        self.map = map
        self.nodes = nodes
        self.routing = routing
        self.version = version
    }

    func isOld(at now: MonotonicInstant) -> Bool { now >= made.advanced(byMilliseconds: Self.ageMillisecondsMax) }

    /// The node of a slot. Where there is none, or nobody has it, `turn` chooses among those that have slots and can be reached: one
    /// that has none may have been taken out, and what is published there nobody hears.
    func node(of slot: UInt16?, turn: Int) -> RedisClusterNode {
        if let owner = slot.flatMap({ map.primary(of: $0) }) { return nodes[owner] }
        let serving = map.serving
        let others = (0..<serving.count).lazy.map { [nodes] in nodes[serving[(turn + $0) % serving.count]] }
        return others.first { $0.database.serverState?.isReachable != false } ?? nodes[serving[turn % serving.count]]
    }

    /// The loads of the nodes that are not among those.
    func loads(without others: [RedisClusterNode]) -> [PoolLoad] {
        nodes.filter { node in !others.contains { $0 === node } }.compactMap(\.database.poolLoad)
    }
}

/// Which servers are asked for a map, one after the other, until one has it: a value of the attempt's number.
///
/// The nodes of the map come first, those of the URL have places behind them in each attempt: whatever a map says, and however many
/// servers of it do not answer, the URL's own are asked. Within both, each attempt begins with another one, so that none that is behind is
/// believed for long; and a few begin with one of the URL, since the servers of a map may all be of another cluster by now, and say so.
/// What is reached by its address is asked before what has a name, since nothing limits how long asking for that takes.
enum RedisAskingOrder {
    /// Servers of one attempt.
    static let countMax = 16
    /// Of these, places for the URL's own.
    static let seedCountMin = 4
    /// The last one of so many attempts begins with a server of the URL.
    static let attemptsPerSeed: UInt = 8

    static func servers(
        known: [RedisLocation.Server], seeds: [RedisLocation.Server], attempt: UInt
    ) -> [RedisLocation.Server] {
        let near = rotated(known.filter(\.isAddress), attempt - attempt / attemptsPerSeed)
        let first = near.prefix(countMax - min(seeds.count, seedCountMin))
        let second = rotated(seeds, attempt).filter { !first.contains($0) }.prefix(countMax - first.count)
        let rest = near.dropFirst(first.count) + known.filter { !$0.isAddress }
        let all = first + second + rest.filter { !second.contains($0) }
        guard attempt % attemptsPerSeed == attemptsPerSeed - 1,
            let seed = rotated(seeds, attempt / attemptsPerSeed).first
        else { return Array(all.prefix(countMax)) }
        return [seed] + all.filter { $0 != seed }.prefix(countMax - 1)
    }

    private static func rotated(_ servers: [RedisLocation.Server], _ attempt: UInt) -> [RedisLocation.Server] {
        guard !servers.isEmpty else { return [] }
        let start = Int(attempt % UInt(servers.count))
        return Array(servers[start...] + servers[..<start])
    }
}

/// When the nodes are asked for a new map: a value that knows no clock and no lock.
///
/// Whatever clients and servers do, they are asked once at a time, and not more often than once in `restMilliseconds`.
struct RedisClusterRefresh {
    /// What whoever needs a newer map has to do.
    enum Outcome {
        case wait
        /// The caller has a worker ask, at that time.
        case begin(at: MonotonicInstant)
        case failed(DriverError)
    }

    private var isUnderWay = false
    private var lastEnd: MonotonicInstant?
    private var failure: (error: DriverError, until: MonotonicInstant)?
    private var failureCount = 0

    static let restMilliseconds: Int64 = 1_000
    private static let firstBackoffMilliseconds: Int64 = 100
    private static let backoffMillisecondsMax: Int64 = 5_000

    mutating func want(at now: MonotonicInstant) -> Outcome {
        if isUnderWay { return .wait }
        if let failure, now < failure.until { return .failed(Self.told(failure, now)) }
        isUnderWay = true
        guard failure == nil, let lastEnd else { return .begin(at: now) }
        return .begin(at: max(now, lastEnd.advanced(byMilliseconds: Self.restMilliseconds)))
    }

    private static func told(
        _ failure: (error: DriverError, until: MonotonicInstant), _ now: MonotonicInstant
    ) -> DriverError {
        let milliseconds = max(1, failure.until.nanoseconds(since: now) / 1_000_000)
        return failure.error.with { $0.retryAfterMilliseconds = milliseconds }
    }

    /// Somebody was asked for it.
    /// - Returns: the error, with the time of the next attempt.
    @discardableResult
    mutating func didEnd(_ error: DriverError?, at now: MonotonicInstant) -> DriverError? {
        isUnderWay = false
        lastEnd = now
        guard let error else {
            failure = nil
            failureCount = 0
            return nil
        }
        failureCount += 1
        let doubled = Self.firstBackoffMilliseconds << Int64(min(failureCount - 1, 10))
        let failure = (error, now.advanced(byMilliseconds: min(doubled, Self.backoffMillisecondsMax)))
        self.failure = failure
        return Self.told(failure, now)
    }
}
