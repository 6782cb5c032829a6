// What every engine offers to the server.
//
// The contract fits engines that work by function calls (SQLite: on the loop, then on worker threads) and those that
// work by a socket of a client library (libpq: PQsocket and PQconsumeInput; libmariadb: the _start/_cont pairs; hiredis:
// redisAsyncContext): in all of them a run is started, fills the sink, waits for room, and ends, and the loop is told.

public import LinuxSystem

/// What a driver needs from its surroundings: the loop of the caller, and threads for what takes longer.
public final class DriverContext {
    public let loop: EventLoop
    /// For long reads.
    public let workers: WorkerPool
    /// For writes, opening and rolling back: long reads must not keep these waiting.
    public let writers: WorkerPool
    /// Users who have held the loop for too long.
    let slowUsers = SlowUsers()
    /// Called on the loop, now and then, when somebody waits for what the loop's links hold.
    public var onContention: (() -> Void)?

    public init(loop: EventLoop, workers: WorkerPool, writers: WorkerPool) {
        self.loop = loop
        self.workers = workers
        self.writers = writers
    }
}

/// Identity of the client for which a link works, for lock holders and the log.
public struct LinkOwner: Sendable {
    public var uid: UInt32
    public var pid: Int32
    /// Whether this client may name files of its own choice (ad-hoc URLs, ATTACH, VACUUM INTO).
    public var mayOpenFiles: Bool
    /// Tells the clients of a loop apart, for what keeps the order of one.
    public var client: UInt64
    /// Who pays for what an engine within the process takes.
    let account: MemoryAccount

    public init(uid: UInt32, pid: Int32, mayOpenFiles: Bool, client: UInt64 = 0) {
        self.init(uid: uid, pid: pid, mayOpenFiles: mayOpenFiles, client: client, MemoryAccount(uid: uid))
    }

    private init(uid: UInt32, pid: Int32, mayOpenFiles: Bool, client: UInt64, _ account: MemoryAccount) {
        self.client = client
        self.uid = uid
        self.pid = pid
        self.mayOpenFiles = mayOpenFiles
        self.account = account
    }

    /// For what the daemon does by itself.
    static let daemon = LinkOwner(uid: 0, pid: 0, mayOpenFiles: false, client: 0, .nobody)
}

/// A way to a database: shared by the autocommit requests of a loop, or pinned to one session.
///
/// - Thread: the loop of its context.
public protocol DatabaseLink: AnyObject {
    /// Starts a run; its callbacks may come before this returns.
    func start(_ run: StatementRun, for owner: LinkOwner)
    /// Goes on after `runDidFill`.
    func resume(_ run: StatementRun)
    /// Makes a run end soon, with the error of `reason`, whatever it waits for.
    func stop(_ run: StatementRun, _ reason: StopReason)
    /// What the database is called in the log: its name, or where a client's URL leads.
    var databaseName: String { get }
    var engine: Engine { get }
    /// Version of the engine; empty while it is not known.
    var serverVersion: String { get }
    /// State of the transaction; `none` for a shared link.
    var transaction: TransactionState { get }
    /// What others need of it, when its user leaves it idle.
    func pressure(on uid: UInt32) -> LinkPressure
    /// Rolls back and gives back what it holds; no run may be in flight.
    func close()
}

/// What somebody who holds a link without asking for anything keeps from others.
public enum LinkPressure: Sendable {
    case none
    /// Other users wait for a connection.
    case place
    /// What has been committed since is kept in a log that cannot begin anew, and has become long.
    case log
}
