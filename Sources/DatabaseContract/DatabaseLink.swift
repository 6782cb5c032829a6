// What every engine offers to the server.
//
// The contract fits engines that are called as functions (SQLite: on the loop, then on worker threads) and those that
// use the socket of a client library (libpq: PQsocket and PQconsumeInput; libmariadb: the _start/_cont pairs; hiredis:
// redisAsyncContext). In each of them a run starts, fills the sink, waits for room, and ends, and the loop is notified.

public import LinuxSystem

/// What a driver gets from its caller: the loop, and threads for work that takes longer.
public final class DriverContext {
    public let loop: EventLoop
    /// For long reads.
    public let longReadWorkers: WorkerPool
    /// For writes, opening and rolling back, which long reads must not delay, and for short work that is too long for a loop.
    public let promptWorkers: WorkerPool
    /// Users who have held the loop for too long.
    package let slowUsers = SlowUsers()
    /// When a link has last looked at the clock, behind something that it did on the loop.
    public package(set) var workedUntil = MonotonicInstant(nanoseconds: 0)
    /// Called on the loop, now and then, when somebody waits for what the loop's links hold.
    public var onContention: (() -> Void)?

    public init(loop: EventLoop, longReadWorkers: WorkerPool, promptWorkers: WorkerPool) {
        self.loop = loop
        self.longReadWorkers = longReadWorkers
        self.promptWorkers = promptWorkers
    }
}

/// Identity of the client for which a link works, for lock holders and the log.
public struct LinkOwner: Sendable {
    public var uid: UInt32
    public var pid: Int32
    /// Whether this client may name files of its own choice (ad-hoc URLs, ATTACH, VACUUM INTO).
    public var mayOpenFiles: Bool
    /// Identifies a client of the daemon, to keep the order of that client's requests.
    public var client: UInt64
    /// The account that is charged for what an engine in this process allocates.
    package let account: MemoryAccount

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

    /// Nobody.
    package static let nobody = LinkOwner(uid: .max, pid: 0, mayOpenFiles: false, client: 0, .nobody)
    /// For work that the daemon does without a client.
    package static let daemon = LinkOwner(uid: 0, pid: 0, mayOpenFiles: false, client: 0, .nobody)
}

/// A link to a database: shared by the autocommit requests of a loop, or owned by one session.
///
/// - Thread: the loop of its context.
public protocol DatabaseLink: AnyObject {
    /// Starts a run.
    /// - Returns: what has come of it; no callback of the run comes before this returns.
    func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome
    /// Goes on after a frame.
    /// - Returns: as `start` does; `pending`, too, for a run that does not wait for it.
    func resume(_ run: StatementRun) -> RunOutcome
    /// Makes a run end soon, with the error of `reason`, whatever it waits for.
    /// - Returns: `ended`, or `pending`: then its end is told.
    func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome
    /// What the database is called in the log: its name, or where a client's URL leads.
    var databaseName: String { get }
    var engine: Engine { get }
    /// Version of the engine; empty while unknown.
    var serverVersion: String { get }
    /// State of the transaction; `none` for a shared link.
    var transaction: TransactionState { get }
    /// What other users need from this link while its user leaves it idle.
    func pressure(on uid: UInt32) -> LinkPressure
    /// Memory that it keeps between two runs and that nobody else is charged for, in bytes.
    var keptByteCount: Int { get }
    /// Rolls back and gives back what it holds; no run may be in flight.
    func close()
}

extension DatabaseLink {
    public var keptByteCount: Int { 0 }
}

/// What has come of a run by the time that a call returns.
public enum RunOutcome: Sendable {
    /// Nothing yet: `runDidFill` or `runDidEnd` follows.
    case pending
    /// The sink has a complete frame, and the driver waits for `resume`.
    case filled
    /// The run has ended: `error`, or the summaries are set.
    case ended

    /// Tells the run: for what was pending.
    /// - Thread: that of the run's loop.
    package func tell(_ run: StatementRun) {
        switch self {
        case .pending: break
        case .filled: run.runDidFill()
        case .ended: run.runDidEnd()
        }
    }
}

/// What somebody who holds a link without asking for anything keeps from others.
public enum LinkPressure: Sendable {
    case none
    /// Other users wait for a connection.
    case place
    /// The log keeps everything that was committed since its snapshot: it cannot restart, and has become long.
    case log
    /// Without a log, who writes waits until its snapshot ends.
    case lock
}
