// The service as its owner sees it: create, add listeners, reload, drain.

internal import DatabaseContract
public import LinuxSystem
internal import Synchronization

/// Serves the protocol on listening sockets.
///
/// - Thread: all methods are called on the thread of `controlLoop`, which accepts; connections live on loops of their own.
public final class Server {
    private var configuration: ServerConfiguration
    let controlLoop: EventLoop
    private let observer: Observer
    let shared: SharedState
    private var databases: ConfiguredDatabases
    private var listeners: [Listener] = []
    private var nextLoop = 0
    private var lastConnectionNumber: UInt64 = 0
    private let keeper: ConnectionKeeper?
    private var drain: Drain?
    private let waitingUsers: WaitingUsers
    /// What a former process has left, until it is gone on with.
    private var former: FormerProcess?

    /// Connections beyond the limit that get an error; further ones are closed without a reply.
    private static let refusedCountMax = 64

    /// Starts the loops that serve connections.
    ///
    /// - Parameters:
    ///   - configuration: databases, limits and facts about the daemon.
    ///   - controlLoop: accepts connections and runs what belongs to no connection; the caller runs it.
    ///   - observer: receives all observations.
    ///   - store: keeps connections, so that they outlive this process; `nil` without one.
    ///   - kept: what a former process left in the store; see `goOnWithFormerConnections`.
    /// - Throws: `Errno` when threads or descriptors cannot be had.
    public convenience init(
        configuration: ServerConfiguration, controlLoop: EventLoop, observer: Observer,
        store: (any DescriptorStore)? = nil, kept: [NamedDescriptor] = []
    ) throws(Errno) {
        try self.init(
            configuration: configuration, controlLoop: controlLoop, observer: observer, store: store, kept: kept,
            requests: RequestTable.standard, formats: .standard)
    }

    /// The same, with the types of requests that are served, and how clients may speak.
    init(
        configuration: ServerConfiguration, controlLoop: EventLoop, observer: Observer,
        store: (any DescriptorStore)?, kept: [NamedDescriptor], requests: [RequestRow],
        formats: FormatList
    ) throws(Errno) {
        configuration.engines.adopt(configuration.limits.ofEngines)
        let former = FormerProcess(kept, formats.makeTable())
        let handover = try Self.handover(
            store, former, slotCount: configuration.limits.keptConnectionCountMax, controlLoop.mailbox)
        self.configuration = configuration
        self.controlLoop = controlLoop
        self.observer = observer
        let longReadWorkers = WorkerPool(threadCountMax: configuration.limits.workerThreadCountMax)
        let promptWorkers = WorkerPool(threadCountMax: configuration.limits.workerThreadCountMax)
        shared = SharedState(
            observer: observer, longReadWorkers: longReadWorkers, promptWorkers: promptWorkers,
            version: configuration.version,
            engines: configuration.engines, activation: configuration.activation, handover: handover,
            watch: Self.watch(store, kept), requestRows: requests, formats: formats,
            laneLoops: LaneLoops(coreCount: Process.coreCount, looks: configuration.spinMicrosecondsMax > 0))
        waitingUsers = WaitingUsers(controlLoop, shared)
        // With a limit of 0, connections of the former process are served, and no others are kept.
        let isKeeping = configuration.limits.keptConnectionCountMax > 0
        keeper = (isKeeping ? handover : nil).map { [shared] in
            ConnectionKeeper($0, shared: shared, controlLoop: controlLoop)
        }
        databases = ConfiguredDatabases(
            configuration,
            DatabaseEnvironment(
                engines: configuration.engines, loopCount: configuration.loopCount, promptWorkers: promptWorkers,
                observer: observer),
            earlier: nil)
        try Memory.startReturning()
        tellOfCrash()
        for index in 0..<max(1, configuration.loopCount) { try startLoop(index) }
        self.former = former
    }

    private static func handover(
        _ store: (any DescriptorStore)?, _ former: FormerProcess, slotCount: Int, _ mailbox: LoopMailbox
    ) throws(Errno) -> Handover? {
        guard let store, slotCount > 0 || !former.connections.isEmpty else { return nil }
        if let table = former.table { return Handover(store: store, table: table, mailbox: mailbox) }
        let table = try HandoverTable(slotCount: min(slotCount, HandoverTable.slotCountMax))
        // A table that this version cannot read is removed.
        store.forget(name: KeptName.table.text)
        store.keep(table.memory.descriptorNumber, name: KeptName.table.text, isWatched: true)
        return Handover(store: store, table: table, mailbox: mailbox)
    }

    /// The memory in which running requests are recorded.
    private static func watch(_ store: (any DescriptorStore)?, _ kept: [NamedDescriptor]) -> RequestWatch? {
        guard let store else { return nil }
        if let file = kept.first(where: { KeptName($0.name) == .requests })?.take() {
            if let known = RequestWatch(formerProcess: file) { return known }
            store.forget(name: KeptName.requests.text)
        }
        guard let watch = try? RequestWatch() else { return nil }
        store.keep(watch.memory.descriptorNumber, name: KeptName.requests.text, isWatched: true)
        return watch
    }

    /// Logs the users whose requests ran when the former process died, and makes those wait who also had requests at
    /// earlier crashes.
    private func tellOfCrash() {
        guard let watch = shared.watch else { return }
        let killCount = ControlGroups.own?.outOfMemoryKillCount
        let end = watch.end(killCount: killCount)
        let requests = watch.takeCutOff(types: shared.requestRows)
        if end != .inOrder {
            for request in requests.prefix(Self.cutOffCountMax) { observer.observe(.requestCutOff(request)) }
        }
        if end.isItsOwnDoing {
            let uids = Set(requests.compactMap { $0.peer?.uid })
            for (uid, count) in watch.count(uids, at: MonotonicInstant.now.nanoseconds / 1_000_000_000) {
                let seconds = RequestWatch.waitSeconds(crashCount: count)
                guard seconds > 0, waitingUsers.hold(uid, seconds: seconds) else { continue }
                observer.observe(.userWaits(uid: uid, crashCount: count, seconds: seconds))
            }
        }
        watch.begin(killCount: killCount)
    }

    private static let cutOffCountMax = 100

    /// Serves the connections that a former process has left. To be called once, when this one is ready: until then the store has
    /// them as they were left, whatever becomes of this process.
    public func goOnWithFormerConnections() {
        guard let former else { return }
        self.former = nil
        for name in former.obsolete { shared.handover?.forget(name) }
        lastConnectionNumber = former.lastConnectionNumber
        guard let table = former.table, shared.handover != nil else { return }
        let restored = Set(former.connections.map(\.slot.index))
        for index in 0..<table.slotCount where !restored.contains(index) {
            if let slot = table.slot(index) { table.free(slot) }
        }
        for connection in former.connections {
            guard let socket = connection.socket.take() else { continue }
            shared.connections.add(1)
            let client = shared.users.admit(socket).client
            client.account.keptConnections.add(1)
            let (descriptor, number, slot) = (socket.release(), connection.number, connection.slot)
            let leftover = connection.leftover
            hand(descriptor, client) { context, descriptor in
                context.reopen(descriptor, number: number, client: client, slot, leftover)
            }
        }
        let count = former.connections.count
        if count + former.closedCount == 0 { return }
        observer.observe(.restored(connectionCount: count, closedCount: former.closedCount))
    }

    private func pickLoop() -> LoopMember {
        let loops = shared.loops
        nextLoop = (nextLoop + 1) % loops.count
        return loops[nextLoop]
    }

    private func startLoop(_ index: Int) throws(Errno) {
        let (shared, limits, databases) = (shared, configuration.limits, databases)
        // A loop must be created and run by its own thread; only that thread uses the context.
        let loop = try EventLoop(spinNanosecondsMax: Int64(configuration.spinMicrosecondsMax) * 1000)
        let context = LoopContext(loop: loop, shared: shared, limits: limits, databases: databases)
        let bound = LoopBound(context, loop.mailbox)
        shared.join(LoopMember(mailbox: loop.mailbox, context: bound))
        let mailbox = loop.mailbox
        let running = UncheckedLoop(loop: loop)
        try Thread.start(name: "litebase-loop-\(index)", stackByteCount: 8 << 20) {
            mailbox.submit {}
            running.loop.run()
        }
    }

    /// Carries a loop to the thread that runs it.
    private struct UncheckedLoop: @unchecked Sendable {
        let loop: EventLoop
    }

    /// Whether a descriptor with this name was kept by a former process, for `init(kept:)`.
    public static func isKept(_ name: String) -> Bool { KeptName(name) != nil }

    /// Accepts connections from a socket that is listening already.
    ///
    /// - Parameters:
    ///   - socket: non-blocking and listening; closed with the server, never unlinked.
    ///   - address: for the log, `unix:/path` or `tcp:127.0.0.1:port`.
    ///   - inherited: whether systemd owns the socket.
    ///   - isForMonitors: whether its clients may only watch the daemon, whoever they are.
    /// - Throws: `Errno` when the socket cannot be watched.
    public func addListener(
        _ socket: consuming OwnedDescriptor, address: String, inherited: Bool, isForMonitors: Bool = false
    ) throws(Errno) {
        Sockets.refuseDescriptors(socket)
        let listener = Listener(socket, loop: controlLoop, observer: observer) { [unowned self] connection in
            adopt(connection, isFromMonitorSocket: isForMonitors)
        }
        try listener.start()
        listeners.append(listener)
        observer.observe(.listening(address: address, inherited: inherited))
    }

    private func adopt(_ socket: consuming OwnedDescriptor, isFromMonitorSocket: Bool) {
        let (client, ofUser) = shared.users.admit(socket, isFromMonitorSocket: isFromMonitorSocket)
        let count = shared.connections.add(1)
        let refusal = refusal(count, ofUser, client.account)
        if let refusal {
            let limit = refusal.limit(configuration.limits)
            shared.limitHits.add(refusal.name)
            client.account.refusalCount.add(1, ordering: .relaxed)
            observer.observe(.connectionRefused(limitName: refusal.limitName, limit: limit, peer: client.peer))
            if max(count - configuration.limits.connectionCountMax, ofUser - limit) > Self.refusedCountMax {
                shared.connections.add(-1)
                client.account.connections.add(-1)
                if Sockets.mayBringDescriptors(socket.number) { Sockets.endInput(socket) }
                return
            }
        }
        lastConnectionNumber += 1
        acceptedCount += 1
        let number = lastConnectionNumber
        shared.handover?.table.lastConnectionNumber = number
        let isKept = refusal == nil && !isFromMonitorSocket
        let slot = isKept ? keeper?.keepAccepted(socket, number: number, of: client.account) : nil
        let descriptor = socket.release()
        hand(descriptor, client) { context, descriptor in
            context.open(descriptor, number: number, client: client, slot: slot, refusal: refusal)
        }
    }

    /// Gives a connection to a loop, now or when its user's wait is over.
    private func hand(
        _ descriptor: Int32, _ client: Client, _ open: @escaping @Sendable (LoopContext, Int32) -> Void
    ) {
        guard waitingUsers.mustWait(client) else { return pickLoop().submit { open($0, descriptor) } }
        waitingUsers.add(OwnedDescriptor(descriptor), client) { [unowned self] descriptor in
            pickLoop().submit { open($0, descriptor) }
        }
    }

    private func refusal(_ count: Int, _ ofUser: Int, _ account: UserAccount) -> ConnectionRefusal? {
        if count > configuration.limits.connectionCountMax { return .total }
        return !account.isAdministrator && ofUser > configuration.limits.connectionCountPerUserMax ? .ofUser : nil
    }

    /// Takes over changed databases and limits; loops and activation stay. `completion` is called on the control loop's
    /// thread when every loop uses them.
    public func reload(_ configuration: ServerConfiguration, completion: @escaping () -> Void) {
        self.configuration = configuration
        databases = ConfiguredDatabases(
            configuration,
            DatabaseEnvironment(
                engines: configuration.engines, loopCount: shared.loops.count, promptWorkers: shared.promptWorkers,
                observer: observer),
            earlier: databases)
        let (databases, limits) = (databases, configuration.limits)
        for pool in [shared.longReadWorkers, shared.promptWorkers] { pool.threadCountMax = limits.workerThreadCountMax }
        configuration.engines.adopt(limits.ofEngines)
        visitLoops({ $0.adopt(databases, limits) }, completion)
        observer.observe(.reloaded(databaseCount: databases.entries.count))
    }

    /// Stops accepting, lets running requests end within `Limits.drainTimeMillisecondsMax`, cancels the rest, rolls back,
    /// checkpoints and calls `completion` on the control loop's thread. A second call cancels at once.
    public func drain(completion: @escaping () -> Void) {
        if let drain { return drain.hurry() }
        for listener in listeners { listener.stop() }
        observer.observe(.draining(connectionCount: connectionCount, requestCount: requestsInFlight))
        waitingUsers.discardAll()
        let watch = shared.watch
        let drain = Drain(
            shared: shared, databases: databases, controlLoop: controlLoop, keeper: keeper
        ) {
            watch?.isAtWork = false
            completion()
        }
        self.drain = drain
        drain.start(milliseconds: configuration.limits.drainTimeMillisecondsMax)
    }

    /// Connections ever accepted; a change means that somebody was here.
    public private(set) var acceptedCount: UInt64 = 0
    /// Connections that are open.
    public var connectionCount: Int { shared.connections.count }
    /// Requests that are running or waiting.
    public var requestsInFlight: Int { shared.requestsInFlight.load(ordering: .relaxed) }

    /// Calls `completion` on the control loop when every loop has had a turn; never, if one hangs.
    public func visitLoops(_ completion: @escaping () -> Void) {
        visitLoops({ _ in }, completion)
    }

    private func visitLoops(_ body: @escaping @Sendable (LoopContext) -> Void, _ completion: @escaping () -> Void) {
        let mailbox = controlLoop.mailbox
        let here = LoopBound(completion, mailbox)
        let gathering = Gathering((), missing: shared.loops.count)
        for loop in shared.loops {
            loop.submit { context in
                body(context)
                if gathering.add({ _ in }) != nil { mailbox.submit { here.wrapped() } }
            }
        }
    }

    private static let namedCountMax = 3

    private var disabledText: String {
        let disabled = databases.disabled
        if disabled.isEmpty { return "" }
        let names = disabled.prefix(Self.namedCountMax).map(\.configuration.name).joined(separator: ", ")
        return ", \(disabled.count) disabled (\(names)\(disabled.count > Self.namedCountMax ? ", …" : ""))"
    }

    /// Databases whose servers were unreachable at the last attempt.
    private var lostDatabaseCount: Int {
        databases.entries.count { $0.databases.contains { $0.serverState?.isReachable == false } }
    }

    /// Logs changes of servers that were held back because there were too many; to be called every few seconds.
    public func tellServerChanges() {
        for database in databases.entries.flatMap(\.databases) { database.tellServerChange() }
    }

    /// One line for `STATUS=` (sd_notify(3)).
    public var statusLine: String {
        "Serving \(counted(databases.entries.count - databases.disabled.count, "database"))\(disabledText)"
            + (lostDatabaseCount == 0 ? "; " : ", \(lostDatabaseCount) cannot be reached; ")
            + "\(counted(connectionCount, "connection")), \(counted(requestsInFlight, "request")) running"
    }

    /// Stops watching the listeners, without closing them, and checks once more whether a connection waits.
    /// - Returns: false if one waits; then the listeners are watched again and it is served.
    public func pauseAcceptingIfQuiet() -> Bool {
        for listener in listeners { listener.pause() }
        let acceptedCount = listeners.reduce(0) { $0 + $1.acceptWaiting() }
        if acceptedCount == 0 && connectionCount == 0 { return true }
        for listener in listeners { listener.resume() }
        return false
    }
}
