// How connections to Redis are opened, and which commands are refused before one is used.

internal import CHiredis
package import DatabaseContract
internal import LinuxSystem
package import RemoteDatabases
internal import Synchronization

/// The Redis engine.
///
/// - Thread: any.
struct RedisDriver: RemoteDriver {
    let place: RedisLocation
    let settings: RemoteSettings
    private let tables = RedisTables(withKeys: false)
    private let way: Way

    /// How its server is found.
    private enum Way {
        case server(RedisLocation.Server)
        case primary(RedisPrimaryFinder)
        /// Any of them will do. The choice is the one that has answered last.
        case any(RedisClusterSeeds, ServerChoice)
    }

    /// Time limit for sending a cancel to the server, in milliseconds.
    private static let unblockMillisecondsMax: Int64 = 1_000

    init(place: RedisLocation, settings: RemoteSettings) {
        self.place = place
        self.settings = settings
        way =
            switch place.route {
            case .server(let server): .server(server)
            case .sentinels(let sentinels): .primary(RedisPrimaryFinder(sentinels))
            case .cluster(let seeds): .any(seeds, ServerChoice(isExclusive: false))
            }
    }

    var engine: Engine { .redis }
    var location: any DatabaseLocation { place }
    var label: String { place.label }
    private var finder: RedisPrimaryFinder? { if case .primary(let finder) = way { finder } else { nil } }
    /// The Sentinels, and the server that they name.
    var serverCount: Int {
        switch way {
        case .server: 1
        case .primary(let finder): 1 + finder.sentinels.hosts.count
        case .any(let seeds, _): seeds.hosts.count
        }
    }
    var secrets: [String] { [place.password, finder?.sentinels.password].compactMap(\.self) }
    /// Which server is the primary, as far as is known; `nil` where the URL names the one.
    var choice: ServerChoice? { finder?.choice }
    /// Whether there are several servers, of which a connection says which one it leads to.
    var hasSeveralServers: Bool { choice != nil || place.isOfCluster }

    // MARK: Connecting

    func open(password: String?) throws(DriverError) -> HandedOver<ServerConnection> {
        let handshake = try greet(password: password, limit: settings.connectMillisecondsMax)
        if place.database != 0 {
            let reply = try handshake.ask(["SELECT", "\(place.database)"])
            if let error = reply.error { throw handshake.refused(error) }
        }
        var greeting = handshake.greeting
        greeting.serverRun = try handshake.runID()
        greeting.commands = try tables.table(handshake, greeting.serverRun)
        greeting.wasBusy = handshake.wasBusy
        guard let reader = chiredis_reader_create(redisTakeElement) else { throw handshake.failed("Out of memory.") }
        do throws(DriverError) {
            let descriptor = try handshake.release()
            return HandedOver(RedisConnection(descriptor, reader, greeting, self))
        } catch {
            chiredis_reader_free(reader)
            throw error
        }
    }

    /// Connects to the server, or to the one that is the primary now.
    func greet(password: String?, limit: Int64) throws(DriverError) -> RedisHandshake {
        try RedisLibrary.load()
        switch way {
        case .server(let server): return try greet(server, password: password, limit: limit)
        case .primary(let finder):
            return try finder.connect(limit: limit) { server throws(DriverError) in
                try greet(server, password: password, limit: limit)
            }
        case .any(let seeds, let choice): return try greetAny(seeds, choice, password: password, limit: limit)
        }
    }

    private func greetAny(
        _ seeds: RedisClusterSeeds, _ choice: ServerChoice, password: String?, limit: Int64
    ) throws(DriverError) -> RedisHandshake {
        var failures: [(server: String, error: DriverError)] = []
        let last = choice.current
        for server in seeds.hosts.filter({ $0.label == last }) + seeds.hosts.filter({ $0.label != last }) {
            do throws(DriverError) {
                let handshake = try greet(server, password: password, limit: limit)
                try RedisCluster.checkMembership(handshake)
                choice.take(server.label)
                return handshake
            } catch {
                failures.append((server.label, error))
            }
        }
        throw DriverError.ofServers(failures) ?? RedisCluster.isUnsettled
    }

    func greet(
        _ server: RedisLocation.Server, password: String?, limit: Int64
    ) throws(DriverError) -> RedisHandshake {
        do throws(DriverError) {
            let handshake = try RedisHandshake(server, limitMilliseconds: limit)
            try handshake.greet(user: place.user, password: password ?? place.password)
            return handshake
        } catch {
            // Of several nodes it has to be said which.
            guard place.isOfCluster, case .server = way else { throw error }
            throw error.with { $0.detail = "\(server.label): \($0.detail ?? $0.message)" }
        }
    }

    /// Ends what a connection waits for, on another connection.
    /// - Parameter greeting: the connection's. A restarted server numbers its clients from the beginning.
    /// - Thread: one that may block.
    func unblock(_ greeting: RedisGreeting) {
        guard let clientID = greeting.clientID else { return }
        do throws(DriverError) {
            let password = try settings.passwordFile?.read()
            let handshake = try greet(greeting.server, password: password, limit: Self.unblockMillisecondsMax)
            guard try handshake.runID() == greeting.serverRun else { return }
            _ = try handshake.ask(["CLIENT", "UNBLOCK", "\(clientID)", "ERROR"])
        } catch {
            // The connection is closed if it does not settle.
        }
    }

    // MARK: Before anything is sent

    func check(_ run: StatementRun, _ mode: RunMode) throws(DriverError) {
        if case .batch = run.kind { return }
        let command = try RedisCommand(run.sql, run.parameters)
        // Describing changes nothing.
        if case .describe = run.kind { return }
        try Self.check(command, isSession: mode.isSession, isInAtomicBatch: false)
    }

    /// Refuses commands that would change a connection that others will use.
    static func check(_ command: RedisCommand, isSession: Bool, isInAtomicBatch: Bool) throws(DriverError) {
        if command.controlsTransaction, isInAtomicBatch {
            throw DriverError(
                .badRequest, "An atomic batch is a transaction itself and cannot hold transaction commands.",
                hint: "Leave them out, or set atomic to false in a session.", sqlState: "25001")
        }
        switch command.effect {
        case .none: break
        case .session: if !isSession { throw RedisCommand.needsSession }
        case .refused(let error): throw error
        }
    }
}

/// Facts about the server from opening a connection.
struct RedisGreeting {
    let server: RedisLocation.Server
    /// Empty if the user may not ask.
    var version = ""
    /// For CLIENT UNBLOCK; `nil` before Redis 5.
    var clientID: Int64?
    /// Identifies this run of the server; `nil` if the user may not ask.
    var serverRun: String?
    /// `nil` if the user may not ask, or the server was busy.
    var commands: RedisCommandTable?
    /// The server runs a script and does not tell of itself. One can end that script by such a connection, which is not kept.
    var wasBusy = false

    /// Takes the reply to HELLO: names and values in turn.
    mutating func take(_ fields: [RedisReply]) {
        for index in stride(from: 0, to: fields.count - 1, by: 2) {
            switch fields[index].text {
            case "version": version = fields[index + 1].text ?? ""
            case "id": clientID = fields[index + 1].integer
            default: break
            }
        }
    }
}

/// What servers say of their commands: each run of a server is asked once, not for each connection.
///
/// - Thread: any.
final class RedisTables: Sendable {
    private let withKeys: Bool
    private let serverCountMax: Int
    /// By the run of the server. Servers of one version have one table.
    private let known = Mutex<[String: RedisCommandTable]>([:])

    /// Tables that differ; a cluster has one for each version of its servers.
    private static let tableCountMax = 4
    /// Redis 7.0 tells its commands in 190 KB.
    private static let byteCountMax = 8 << 20

    /// - Parameters:
    ///   - withKeys: also which arguments are keys.
    ///   - serverCountMax: runs of servers that are remembered.
    init(withKeys: Bool, serverCountMax: Int = 1) {
        self.withKeys = withKeys
        self.serverCountMax = serverCountMax
    }

    /// The commands of the server at the other end; `nil` if the user may not ask, or the server is busy.
    func table(_ handshake: RedisHandshake, _ server: String?) throws(DriverError) -> RedisCommandTable? {
        if let server, let known = known.withLock({ $0[server] }) { return known }
        guard let reply = try handshake.told(["COMMAND"], byteCountMax: Self.byteCountMax) else { return nil }
        let made = RedisCommandTable(reply, withKeys: withKeys)
        guard let server else { return made }
        return remember(made, of: server)
    }

    /// - Returns: the table that is there already, if it says the same.
    func remember(_ made: RedisCommandTable, of server: String) -> RedisCommandTable {
        known.withLock { known in
            let table = known.values.first { $0.saysTheSame(as: made) } ?? made
            let isNew = !known.values.contains { $0 === table }
            let differing = Set(known.values.map { ObjectIdentifier($0) }).count
            if known.count >= serverCountMax || (isNew && differing >= Self.tableCountMax) { known = [:] }
            known[server] = table
            return table
        }
    }

    var serverCount: Int { known.withLock { $0.count } }
}

extension RedisLocation {
    /// The driver that opens connections to it.
    package func makeDriver(_ settings: RemoteSettings) -> any RemoteDriver {
        RedisDriver(place: self, settings: settings)
    }

    package func makeDatabase(_ plan: DatabasePlan) -> any Database {
        if case .cluster(let seeds) = route { return RedisCluster(self, seeds, plan) }
        return RemoteDatabase(self, plan)
    }
}
