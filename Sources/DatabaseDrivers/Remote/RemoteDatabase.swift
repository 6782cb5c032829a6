// A database on a server, whatever its engine.

internal import LinuxSystem
internal import Synchronization

/// A database with its pool of connections.
///
/// - Thread: any.
public final class RemoteDatabase: Database {
    let driver: any RemoteDriver
    let settings: RemoteSettings
    let pool: ConnectionPool
    /// Threads of this database alone: a server that does not answer must keep no other database waiting.
    let connectors: WorkerPool
    let cancellers = WorkerPool(threadCountMax: 4)
    private let name: String
    private let onChange: @Sendable (ServerChange) -> Void
    private let lanes = Mutex<[ObjectIdentifier: ConnectionPool.LaneReference]>([:])
    private let watch = Mutex(ServerWatch())

    public var engine: Engine { driver.engine }
    public var location: DatabaseLocation { driver.location }
    public let isReadOnly: Bool
    public var isVolatile: Bool { false }
    public var poolLoad: PoolLoad? { pool.load }
    public var serverState: ServerState? { watch.withLock { $0.state } }
    /// What the log calls it.
    var label: String { name.isEmpty ? driver.label : name }

    /// - Parameters:
    ///   - name: as clients call it; empty for an ad-hoc URL.
    ///   - location: where it is.
    ///   - isReadOnly: whether no client may write.
    ///   - settings: limits of its connections, and what they need to be let in.
    ///   - onChange: told when the server becomes reachable, or is not any more; on any thread.
    public init(
        name: String, location: RemoteLocation, isReadOnly: Bool, settings: RemoteSettings,
        onChange: @escaping @Sendable (ServerChange) -> Void
    ) {
        self.name = name
        driver = location.makeDriver(settings)
        self.isReadOnly = isReadOnly
        self.settings = settings
        self.onChange = onChange
        pool = ConnectionPool(connectionCountMax: settings.connectionCountMax)
        connectors = WorkerPool(threadCountMax: min(32, settings.connectionCountMax))
    }

    public func makeSharedLink(_ context: DriverContext) -> any DatabaseLink { PooledLink(lane(for: context)) }

    public func openSession(
        _ request: SessionRequest, _ context: DriverContext,
        done: @escaping (Result<any DatabaseLink, DriverError>) -> Void
    ) {
        PooledSessionLink.open(request, lane(for: context), done: done)
    }

    /// Nothing waits in the daemon to be written.
    public func checkpoint(done: @escaping @Sendable () -> Void) { done() }

    private func lane(for context: DriverContext) -> PoolLane {
        let key = ObjectIdentifier(context.loop.mailbox)
        if let known = lanes.withLock({ $0[key] })?.here {
            known.reopen()
            return known
        }
        // Only this loop's thread makes this lane.
        let lane = PoolLane(self, context)
        let reference = ConnectionPool.LaneReference(lane)
        lanes.withLock { $0[key] = reference }
        return lane
    }

    /// An attempt to connect has ended. Tells when the server becomes reachable, or is not any more; not every attempt.
    func noteOpened(_ error: DriverError?) {
        if let change = watch.withLock({ $0.note(error, at: .now) }) { onChange(change) }
    }

    public func tellServerChange() {
        if let change = watch.withLock({ $0.takeNews(at: .now) }) { onChange(change) }
    }
}
