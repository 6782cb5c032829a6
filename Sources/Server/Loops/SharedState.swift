// What all loops share. Small and constant, or atomic.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// Constants and services for all loops.
///
/// - Thread: any.
final class SharedState: Sendable {
    let observer: Observer
    /// For long reads.
    let longReadWorkers: WorkerPool
    /// For writes, opening, rolling back and checkpoints, and for short work that is too long for a loop: decoding long requests, logging denials.
    let promptWorkers: WorkerPool
    /// For completions: somebody types meanwhile. Few threads, so that they are warm, and none that a statement may hold.
    let completionWorkers = WorkerPool(threadCountMax: Process.coreCount, prefersLatency: true)
    /// For freeing large storage.
    let disposers = WorkerPool(threadCountMax: 1)
    /// For files that clients have passed: writing and closing them takes as long as the client likes.
    let transfers = WorkerPool(threadCountMax: Limits.transferThreadCountMax)
    /// The request types that are served.
    let requestRows: [RequestRow]
    /// How clients may speak.
    let formats: FormatList
    let version: String
    let engines: EngineRegistry
    let activation: Activation
    let started = MonotonicInstant.now
    let pid = Int64(Process.pid)
    let adHocDatabases = AdHocDatabases()
    let users = UserAccounts()
    /// `nil` without a descriptor store: then connections end with the process.
    let handover: Handover?
    /// `nil` without a descriptor store: then nobody could read it.
    let watch: RequestWatch?
    let reloadDesk = ReloadDesk()
    let laneLoops: LaneLoops
    let denials: Denials
    let completionRefreshes = CompletionRefreshes()
    /// What is in databases, as far as somebody has asked.
    let catalogs = CatalogCache()
    /// Open client connections, of all loops.
    let connections = Usage()
    let limitHits = LimitHits()
    /// Requests that did not end in the turn in which they came.
    let requestsInFlight = Atomic<Int>(0)
    /// All loops, for questions to each of them; set once, before any connection.
    private let members = Mutex<[LoopMember]>([])

    init(
        observer: Observer, longReadWorkers: WorkerPool, promptWorkers: WorkerPool, version: String,
        engines: EngineRegistry,
        activation: Activation, handover: Handover?, watch: RequestWatch?, requestRows: [RequestRow],
        formats: FormatList, laneLoops: LaneLoops
    ) {
        self.laneLoops = laneLoops
        self.requestRows = requestRows
        self.formats = formats
        self.watch = watch
        self.handover = handover
        self.observer = observer
        self.longReadWorkers = longReadWorkers
        self.promptWorkers = promptWorkers
        self.version = version
        self.engines = engines
        self.activation = activation
        denials = Denials(workers: promptWorkers, observer: observer)
    }

    func join(_ member: LoopMember) { members.withLock { $0.append(member) } }

    var loops: [LoopMember] { members.withLock { $0 } }
}

/// A loop as the others see it.
struct LoopMember: Sendable {
    let mailbox: LoopMailbox
    let context: LoopBound<LoopContext>

    /// Runs `body` on that loop.
    func submit(_ body: @escaping @Sendable (LoopContext) -> Void) {
        let context = context
        mailbox.submit { body(context.wrapped) }
    }
}
