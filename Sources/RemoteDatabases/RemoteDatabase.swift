// A database on a server, whatever its engine.

public import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// A database with its pool of connections.
///
/// - Thread: any.
public final class RemoteDatabase: Database {
    let driver: any RemoteDriver
    let settings: RemoteSettings
    let pool: ConnectionPool
    /// Threads of this database alone: a server that does not answer must not delay other databases.
    let connectors: WorkerPool
    let cancellers = WorkerPool(threadCountMax: 4)
    private let name: String
    private let log: ServerLog
    /// The number of its login there.
    private let login: Int
    private let shards = Mutex<[ObjectIdentifier: ConnectionPool.ShardReference]>([:])
    private let watch = Mutex(ServerWatch())
    private let messages: RemoteChannels?
    /// Those that another login commits, where this one may only read.
    private let told: (any RemoteChanges)?

    public var engine: Engine { driver.engine }
    public var location: any DatabaseLocation { driver.location }
    public let isReadOnly: Bool
    public var isVolatile: Bool { false }
    public var changes: (any ChangeSource)? { told }
    public var channels: (any ChannelSource)? { messages }
    public var serverState: ServerState? { watch.withLock { $0.state } }
    /// Its name in the log.
    var label: String { name.isEmpty ? driver.label : name }

    /// Does not connect yet.
    package convenience init(_ location: any RemoteLocation, _ plan: DatabasePlan) {
        var settings = plan.settings.remote
        settings.isOfClient = !plan.isOurs
        settings.passwordFile = plan.password
        self.init(location.makeDriver(settings), plan)
    }

    /// With a driver, whose settings are the ones that count.
    init(_ driver: any RemoteDriver, _ plan: DatabasePlan) {
        let settings = driver.settings
        name = plan.name
        self.driver = driver
        isReadOnly = plan.isReadOnly
        self.settings = settings
        // A lost server is lost for both, which is one message in the log.
        if let other = plan.other as? RemoteDatabase, other.driver.label == driver.label {
            log = other.log
        } else {
            log = ServerLog(onChange: plan.onChange)
        }
        login = log.join()
        if let other = plan.other {
            told = (other as? RemoteDatabase).flatMap { driver.changes(of: $0.driver) }
        } else {
            told = driver.changes
        }
        pool = ConnectionPool(connectionCountMax: settings.connectionCountMax)
        connectors = WorkerPool(threadCountMax: Self.connectorCount(settings.connectionCountMax))
        messages = (driver as? any ChannelDriver).map(RemoteChannels.init)
        messages?.belong(to: self)
    }

    deinit { log.leave(login) }

    /// With the connections for those who listen, which are none of the pool's and may be there beyond the limit.
    public var poolLoad: PoolLoad? {
        var load = pool.load
        for isConnected in [messages?.isConnected, driver.changes?.isConnected] where isConnected == true {
            load.openCount += 1
            load.inUseCount += 1
        }
        return load
    }

    public func makeSharedLink(_ context: DriverContext) -> any DatabaseLink { PooledLink(shard(for: context)) }

    /// The same for requests that may only read.
    package func makeSharedLink(_ context: DriverContext, isReadOnly: Bool) -> any DatabaseLink {
        PooledLink(shard(for: context), isReadOnly: isReadOnly)
    }

    /// Changes how many connections there may be. With fewer, those beyond are closed when they are returned.
    package func setConnectionCountMax(_ count: Int) {
        pool.setConnectionCountMax(count)
        connectors.threadCountMax = Self.connectorCount(count)
    }

    /// Threads that open so many connections.
    private static func connectorCount(_ connectionCountMax: Int) -> Int { min(32, connectionCountMax) }

    public func openSession(
        _ request: SessionRequest, _ context: DriverContext, done: @escaping (SessionOpening) -> Void
    ) -> SessionOpening? {
        PooledSessionLink.open(request, shard(for: context), done: done)
    }

    /// Nothing waits in the daemon to be written.
    public func checkpoint(done: @escaping @Sendable () -> Void) { done() }

    private func shard(for context: DriverContext) -> PoolShard {
        let key = ObjectIdentifier(context.loop.mailbox)
        if let known = shards.withLock({ $0[key] })?.here {
            known.reopen()
            return known
        }
        // Only this loop's thread makes this shard.
        let shard = PoolShard(self, context)
        let reference = ConnectionPool.ShardReference(shard)
        shards.withLock { $0[key] = reference }
        return shard
    }

    /// An attempt to connect has ended, at one of several servers if there are some. Reports when the server becomes reachable
    /// or unreachable, not every attempt.
    package func noteOpened(_ error: DriverError?, server: String? = nil) {
        watch.withLock { $0.note(error, server: server, at: .now) }
        log.note(error, server: server, of: login)
    }

    /// Time in which a connection has to be made, to all servers together.
    var connectMillisecondsMax: Int64 { settings.connectMillisecondsMax * Int64(driver.serverCount) }

    /// The error of an attempt that took longer.
    var connectTimeout: DriverError {
        let count = driver.serverCount
        return DriverError(
            .connectFailed,
            "The database server did not answer within \(connectMillisecondsMax) ms (connect_ms_max"
                + (count > 1 ? " for each of \(count))." : ")."),
            hint: "Check that the server runs and can be reached.", sqlState: "08001"
        ).with { $0.isRetryable = true }
    }

    public func tellServerChange() { log.tell() }
}
