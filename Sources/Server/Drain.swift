// The orderly end: requests finish or are cancelled, transactions are rolled back, write-ahead logs are checkpointed.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// Runs once, at the end.
///
/// - Thread: the control loop's.
final class Drain: EventSource {
    private let shared: SharedState
    private let databases: ConfiguredDatabases
    private let controlLoop: EventLoop
    private let keeper: ConnectionKeeper?
    private let completion: () -> Void
    private var deadline = MonotonicInstant.distantFuture
    private var isCancelling = false
    private var isCheckpointing = false
    private var checkpointsLeft = 0
    private var isFinished = false

    /// Time for the checkpoints; a write that does not end must not delay the end.
    private static let checkpointMillisecondsMax: Int64 = 3_000
    /// Interval of checking what is left.
    private static let pollMilliseconds: Int64 = 5

    init(
        shared: SharedState, databases: ConfiguredDatabases, controlLoop: EventLoop, keeper: ConnectionKeeper?,
        completion: @escaping () -> Void
    ) {
        self.shared = shared
        self.keeper = keeper
        self.databases = databases
        self.controlLoop = controlLoop
        self.completion = completion
    }

    func start(milliseconds: Int64) {
        deadline = MonotonicInstant.now.advanced(byMilliseconds: milliseconds)
        let shared = shared
        let begin = { for loop in shared.loops { loop.submit { $0.beginDrain() } } }
        if let keeper { keeper.keepAll(begin) } else { begin() }
        scheduleLook()
    }

    /// Cancels everything that still runs.
    func hurry() {
        deadline = .now
    }

    private func scheduleLook() {
        controlLoop.schedule(self, at: MonotonicInstant.now.advanced(byMilliseconds: Self.pollMilliseconds))
    }

    override func timerFired(_ token: UInt64) {
        if isFinished { return }
        if isCheckpointing {
            if deadline <= .now { return finish() }
            return scheduleLook()
        }
        if shared.connections.count == 0 { return checkpoint() }
        if !isCancelling, deadline <= .now {
            isCancelling = true
            for loop in shared.loops { loop.submit { $0.cancelForDrain() } }
            // A client that does not read its last replies does not delay the end.
            deadline = MonotonicInstant.now.advanced(byMilliseconds: 1_000)
        } else if isCancelling, deadline <= .now {
            deadline = .distantFuture
            for loop in shared.loops { loop.submit { $0.disconnectAll() } }
        }
        scheduleLook()
    }

    private func checkpoint() {
        guard !isCheckpointing else { return }
        isCheckpointing = true
        for loop in shared.loops { loop.submit { $0.closeLinks() } }
        checkpointsLeft = databases.entries.count
        deadline = MonotonicInstant.now.advanced(byMilliseconds: Self.checkpointMillisecondsMax)
        let here = LoopBound(self, controlLoop.mailbox)
        let mailbox = controlLoop.mailbox
        for entry in databases.entries {
            entry.database.checkpoint { mailbox.submit { here.wrapped.checkpointed() } }
        }
        if checkpointsLeft == 0 { finish() } else { scheduleLook() }
    }

    private func checkpointed() {
        checkpointsLeft -= 1
        if checkpointsLeft == 0 { finish() }
    }

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        completion()
    }
}

extension LoopContext {
    /// Starts serving a connection that the control loop has accepted.
    func open(_ descriptor: Int32, number: UInt64, client: Client, slot: HandoverSlot?, refusal: ConnectionRefusal?) {
        let connection = makeConnection(OwnedDescriptor(descriptor), number: number, client, refusal: refusal)
        connection.handover = HandoverRecord(slot)
        connection.open()
        if isDraining { connection.beginDrain() }
    }

    func makeConnection(
        _ socket: consuming OwnedDescriptor, number: UInt64, _ client: Client, refusal: ConnectionRefusal?
    ) -> Connection {
        if client.peer == nil { Sockets.setNoDelay(socket) }
        if observer.wants(.debug) { observer.observe(.connectionOpened(connection: number, peer: client.peer)) }
        return Connection(socket, number: number, client: client, refusal: refusal, context: self)
    }

    /// Connections leave when their requests have ended: to the descriptor store, or by closing.
    func beginDrain() {
        isDraining = true
        for connection in Array(connections.values) { connection.beginDrain() }
    }

    func cancelForDrain() {
        isCancelling = true
        for connection in Array(connections.values) { connection.stopAll(.shuttingDown) }
    }

    func disconnectAll() {
        for connection in Array(connections.values) { connection.handOver() }
    }
}

extension Connection {
    /// Ends all requests.
    func stopAll(_ reason: StopReason) {
        withOutputStorage {
            for operation in inFlight.operations { stop(operation, reason) }
            finishTurn()
        }
    }
}
