// A Redis Cluster as one database: which servers it has at the moment, and a pool of connections to each primary.

internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import Synchronization

/// The servers that a URL names of a cluster. They tell of the others.
struct RedisClusterSeeds: Sendable, Equatable {
    var hosts: [RedisLocation.Server]

    static let hostCountMax = 16
}

/// A database whose keys several servers have.
///
/// The nodes are databases of their own, each with its pool; together they have the connections of one database.
/// - Thread: any.
final class RedisCluster: Database {
    private struct State {
        var view: RedisClusterView?
        var refresh = RedisClusterRefresh()
        var waiters: [@Sendable (DriverError?) -> Void] = []
        /// Attempts to get a map (`RedisAskingOrder`).
        var attemptCount = 0
        /// Requests that have waited, and that have waited too long, at nodes that are in no map any more.
        var formerCounts = (delayed: UInt64(0), timeouts: UInt64(0))
    }

    let place: RedisLocation
    private let seeds: RedisClusterSeeds
    private let plan: DatabasePlan
    /// For what any server of the cluster does: messages of channels. It also tells the log whether the cluster is there.
    private let gate: RemoteDatabase
    private let tables = RedisTables(withKeys: true, serverCountMax: RedisSlotMap.primaryCountMax)
    private let state = Mutex(State())
    /// One map at a time is asked for.
    private let workers = WorkerPool(threadCountMax: 1)

    /// Time for all that one of them is asked, in milliseconds: there are others.
    private static let askingMillisecondsMax: Int64 = 2_000

    init(_ place: RedisLocation, _ seeds: RedisClusterSeeds, _ plan: DatabasePlan) {
        self.place = place
        self.seeds = seeds
        self.plan = plan
        gate = RemoteDatabase(place, plan)
    }

    var engine: Engine { .redis }
    var location: any DatabaseLocation { place }
    var isReadOnly: Bool { plan.isReadOnly }
    var isVolatile: Bool { false }
    var channels: (any ChannelSource)? { gate.channels }
    var label: String { plan.name.isEmpty ? place.label : plan.name }

    func makeSharedLink(_ context: DriverContext) -> any DatabaseLink {
        RedisClusterLink(self, context, isReadOnly: isReadOnly, ownsConnections: true)
    }

    /// A session takes no connection: each of its commands goes to the node of its keys (RedisClusterRules).
    func openSession(
        _ request: SessionRequest, _ context: DriverContext, done: @escaping (SessionOpening) -> Void
    ) -> SessionOpening? {
        RedisClusterLink(self, context, isReadOnly: request.isReadOnly || isReadOnly, ownsConnections: false).open(done)
    }

    func checkpoint(done: @escaping @Sendable () -> Void) { done() }

    // MARK: Observation

    private var nodes: [RedisClusterNode] { view?.nodes ?? [] }

    var poolLoad: PoolLoad? {
        var sum = gate.poolLoad ?? PoolLoad()
        let former = state.withLock { $0.formerCounts }
        sum.delayedCount += former.delayed
        sum.timeoutCount += former.timeouts
        for load in nodes.compactMap(\.database.poolLoad) {
            sum.openCount += load.openCount
            sum.inUseCount += load.inUseCount
            sum.inUsePeak += load.inUsePeak
            sum.waitingCount += load.waitingCount
            sum.waitingPeak += load.waitingPeak
            sum.delayedCount += load.delayedCount
            sum.timeoutCount += load.timeoutCount
            sum.waitMillisecondsPeak = max(sum.waitMillisecondsPeak, load.waitMillisecondsPeak)
        }
        return sum
    }

    /// That of the cluster; a primary that cannot be reached makes it unreachable, since some keys are.
    var serverState: ServerState? {
        let own = gate.serverState
        let lost = nodes.lazy.compactMap(\.database.serverState).first { $0.isReachable == false }
        guard own?.isReachable != false, let lost else { return own }
        return lost
    }

    func tellServerChange() {
        gate.tellServerChange()
        for node in nodes { node.database.tellServerChange() }
    }

    // MARK: The map

    /// The newest map; `nil` before the first.
    var view: RedisClusterView? { state.withLock { $0.view } }

    /// A newer map is needed than the one of that number. `done` is called on any thread, with why there is none; only if it is
    /// waited for.
    /// - Returns: nothing if it is waited for, a view that is newer, or why there can be none now.
    func refresh(
        behind number: UInt64, _ done: (@Sendable (DriverError?) -> Void)? = nil
    ) -> Result<RedisClusterView, DriverError>? {
        let now = MonotonicInstant.now
        var begin: MonotonicInstant?
        let known = state.withLock { state -> Result<RedisClusterView, DriverError>? in
            if let view = state.view, view.number > number { return .success(view) }
            switch state.refresh.want(at: now) {
            case .failed(let error): return .failure(error)
            case .begin(let instant): begin = instant
            case .wait: break
            }
            if let done { state.waiters.append(done) }
            return nil
        }
        if let begin { workers.submit(for: LinkOwner.daemon.uid) { [self] in askNodes(at: begin) } }
        return known
    }

    /// - Thread: a worker's.
    private func askNodes(at instant: MonotonicInstant) {
        var failure: DriverError?
        do throws(DriverError) {
            // The pool has no thread, and has a loop do the work.
            guard Thread.mayBlock else { throw Self.noThread }
            let milliseconds = (instant.nanoseconds(since: .now) + 999_999) / 1_000_000
            if milliseconds > 0 { _ = Semaphore().wait(milliseconds: milliseconds) }
            try takeMap()
        } catch {
            failure = error
        }
        let (waiters, told) = state.withLock { state in
            defer { state.waiters = [] }
            return (state.waiters, state.refresh.didEnd(failure, at: .now))
        }
        for waiter in waiters { waiter(told) }
    }

    /// Asks one server after the other for a map, until one has it.
    private func takeMap() throws(DriverError) {
        let password = try plan.password?.read()
        var failures: [(server: String, error: DriverError)] = []
        for server in askingOrder() {
            do throws(DriverError) {
                try RedisLibrary.load()
                let answer = try ask(server, password)
                adopt(answer)
                // Each time it is another one that is asked, which is no news.
                gate.noteOpened(nil)
                return
            } catch {
                failures.append((server.label, error))
            }
        }
        let error = (DriverError.ofServers(failures) ?? Self.unreadable("It has no servers."))
            .hiding([place.password, password].compactMap(\.self))
        gate.noteOpened(error)
        throw error
    }

    private func askingOrder() -> [RedisLocation.Server] {
        let (known, attempt) = state.withLock { state -> ([RedisLocation.Server], UInt) in
            defer { state.attemptCount &+= 1 }
            return (state.view?.nodes.map(\.place.server) ?? [], UInt(bitPattern: state.attemptCount))
        }
        return RedisAskingOrder.servers(known: known, seeds: seeds.hosts, attempt: attempt)
    }

    private struct Answer {
        var map: RedisSlotMap
        var table: RedisCommandTable
        var version: String
    }

    private func ask(_ server: RedisLocation.Server, _ password: String?) throws(DriverError) -> Answer {
        let handshake = try RedisHandshake(server, limitMilliseconds: askingMilliseconds)
        try handshake.greet(user: place.user, password: password ?? place.password)
        let reply = try handshake.ask(["CLUSTER", "NODES"], byteCountMax: RedisSlotMap.byteCountMax)
        if let error = reply.error { throw Self.refused(error) }
        guard let text = reply.text else { throw Self.unreadable("It is no text.") }
        let map: RedisSlotMap
        do throws(RedisSlotMap.Problem) {
            map = try RedisSlotMap(text, from: server)
        } catch {
            throw Self.unreadable(error.sentence)
        }
        // Whose user may not ask for the run of the server is asked for its commands again when it has another version.
        let run = try handshake.runID() ?? "\(server.label) \(handshake.greeting.version)"
        guard let table = try tables.table(handshake, run) else {
            throw handshake.wasBusy ? Self.isBusy : RedisExchange.noCommands
        }
        guard !table.isEmpty else { throw Self.unreadable("It has no commands.") }
        return Answer(map: map, table: table, version: handshake.greeting.version)
    }

    /// Whether a server is still in its cluster: one that was taken out answers all the same, and nobody hears what is published there.
    static func checkMembership(_ handshake: RedisHandshake) throws(DriverError) {
        let reply = try handshake.ask(["CLUSTER", "NODES"], byteCountMax: RedisSlotMap.byteCountMax)
        guard let text = reply.text else { return }
        do throws(RedisSlotMap.Problem) {
            _ = try RedisSlotMap(text, from: handshake.greeting.server)
        } catch .nothingServed {
            throw Self.unreadable(RedisSlotMap.Problem.nothingServed.sentence)
        } catch {
            // Who asks for maps tells.
        }
    }

    /// Takes over a new map. Nodes that were there before keep their connections.
    private func adopt(_ answer: Answer) {
        let count = answer.map.primaries.count
        let share = max(1, (plan.settings.remote.connectionCountMax + count - 1) / count)
        // Whoever has the former view may be using it: it goes with its last user.
        let former = state.withLock { state -> RedisClusterView? in
            let former = state.view
            let nodes = answer.map.primaries.map { place in
                let known = former?.nodes.first { $0.place.isSameAddress(as: place) }
                return known ?? RedisClusterNode(place, makeNode(place, share))
            }
            state.view = RedisClusterView(
                number: (former?.number ?? 0) + 1, answer.map, nodes, RedisRouting(commands: answer.table),
                version: answer.version)
            for load in former?.loads(without: nodes) ?? [] {
                state.formerCounts.delayed += load.delayedCount
                state.formerCounts.timeouts += load.timeoutCount
            }
            return former
        }
        for node in nodes { node.database.setConnectionCountMax(share) }
        withExtendedLifetime(former) {}
    }

    private func makeNode(_ node: RedisClusterPlace, _ share: Int) -> RemoteDatabase {
        var plan = plan
        plan.settings.remote.connectionCountMax = share
        plan.other = nil
        let onChange = plan.onChange
        // That the cluster is there, the gate tells.
        plan.onChange = { change in if !change.isFirst || change.error != nil { onChange(change) } }
        return RemoteDatabase(RedisLocation(node: node.server, of: place), plan)
    }

    // MARK: Errors

    /// Time that a map may take, in milliseconds: servers are asked one after the other.
    var mapMillisecondsMax: Int64 {
        let count = min(RedisAskingOrder.countMax, seeds.hosts.count + nodes.count)
        return RedisClusterRefresh.restMilliseconds + Self.graceMilliseconds + askingMilliseconds * Int64(count)
    }

    /// Time to tell what has come of it.
    private static let graceMilliseconds: Int64 = 500
    private var askingMilliseconds: Int64 {
        min(plan.settings.remote.connectMillisecondsMax, Self.askingMillisecondsMax)
    }

    private static let noThread = DriverError(
        .busy, "The daemon has no thread to ask the Redis Cluster for its servers.",
        hint: "Try again; raise the limit of tasks of the service (TasksMax).", sqlState: "53000"
    ).with { $0.isRetryable = true }

    /// The error of an attempt that took longer.
    var mapTimeout: DriverError {
        DriverError(
            .connectFailed,
            "No server of the Redis Cluster has told within \(mapMillisecondsMax) ms which slots are where.",
            hint: "Check that the servers run and can be reached.", sqlState: "08001"
        ).with { $0.isRetryable = true }
    }

    private static let isBusy = DriverError(
        .busy, "The Redis server runs a script, and does not tell its commands.", hint: "Try again.", sqlState: "55P03"
    ).with { $0.isRetryable = true }

    private static func refused(_ text: String) -> DriverError {
        let isAboutUser = ["NOAUTH", "NOPERM"].contains(where: text.hasPrefix)
        let isNoCluster = text.contains(text: "cluster support disabled")
        return DriverError(
            .connectFailed,
            isNoCluster ? "The Redis server is not part of a cluster." : "The Redis server does not tell its cluster.",
            hint: isNoCluster
                ? "Name it by redis://HOST:PORT." : "Let the user run CLUSTER NODES: ACL SETUSER … +cluster|nodes.",
            sqlState: isAboutUser ? "28000" : "08001"
        ).with {
            $0.detail = text
            $0.isRetryable = !isAboutUser && !isNoCluster
        }
    }

    private static func unreadable(_ detail: String) -> DriverError {
        RedisHandshake.unreadable(
            detail, message: "The Redis server tells of its cluster what is not understood.",
            hint: "Check what CLUSTER NODES says there.")
    }

    /// A cluster that sends a command from node to node, or serves nothing.
    static let isUnsettled = DriverError(
        .busy, "The Redis Cluster is being changed: no node has executed the command.",
        hint: "Try again; redis-cli --cluster check tells what is wrong if that lasts.", sqlState: "55P03"
    ).with { $0.isRetryable = true }
}

extension RedisSlotMap.Problem {
    var sentence: String {
        switch self {
        case .tooLong: "It is too long."
        case .noLine: "A line is none of CLUSTER NODES."
        case .slotTwice: "Two primaries have one slot."
        case .noSlot: "A slot is none from 0 to 16383."
        case .noPrimary: "It has no primary."
        case .nothingServed: "No primary has a slot."
        case .tooManyPrimaries: "It has more than \(RedisSlotMap.primaryCountMax) primaries."
        case .address:
            "The address of a primary is none in numbers, or one of this machine although the URL names another "
                + "(cluster-announce-ip)."
        }
    }
}
