// One connection to a server: what it does at the moment, how a run is begun, suspended, stopped and ended. What goes over
// the socket is the subclass's.
//
//     idle ── start ──▶ running ◀──▶ suspended
//      ▲                   │ ended
//      │                   ├─ a cancel is still under way, or its run could not wait: settling
//      └───────────────────┴─ reset, before somebody else gets it: resetting
//
// A server's cancel is a message by another connection that names the backend and not the statement. It may arrive late
// and hit the next one. So nothing is started before both the statement has ended and the cancel has been delivered.

internal import LinuxSystem

/// Whoever keeps a connection: a lane of the pool, or a session.
protocol ConnectionHolder: AnyObject {
    /// It has nothing to do any more, and may be used again.
    func connectionDidSettle(_ connection: ServerConnection)
    /// It is lost, and closed already.
    func connectionDidBreak(_ connection: ServerConnection)
}

/// A connection to a server.
///
/// - Thread: the loop that it is attached to; between loops it is detached.
class ServerConnection: EventSource {
    enum Phase { case idle, running, suspended, settling, resetting, broken }

    /// What came of looking at the socket.
    enum Progress {
        case waiting(Readiness)
        /// There is more to do at once, but others are to have their turn.
        case yielding
        /// The sink has a complete frame.
        case full
        /// Everything that was sent has been answered.
        case ended
        case broken(DriverError)
    }

    private final class Socket {
        let descriptor: OwnedDescriptor

        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    private(set) final var phase = Phase.idle
    private(set) final var run: StatementRun?
    private(set) final var mode = RunMode(isReadOnly: false, isSession: false)
    final var holder: (any ConnectionHolder)?
    /// The pool's number for it.
    final var slot = 0
    final let opened = MonotonicInstant.now
    final var idleSince = MonotonicInstant(nanoseconds: 0)
    /// Who has a place in the pool for it.
    final var user: UInt32?
    /// The user for whom it worked last.
    final var lastUID: UInt32?
    /// It holds more memory than is to be kept, or cannot be trusted, and is closed when it is given back.
    final var isWorn = false
    /// What statements have left must be cleared before the next one.
    final var needsReset = false
    /// It was used since it was opened or cleared: what the server calls by itself may have left something.
    private final var isUnproven = false
    private final var lastCleared = MonotonicInstant.now
    /// A run without a session that has ended, and whose client is answered when nothing of it is left.
    private final var finished: StatementRun?
    /// Rows are dropped, because the run is being stopped.
    private(set) final var isDiscarding = false
    /// Rows that the run should have got were dropped.
    final var hasDroppedRows = false
    /// One of them was larger than a reply may be.
    final var hasOverflown = false
    /// The server has said that the statement is done.
    final var isDone = false

    private var context: DriverContext?
    private var socket: Socket?
    private var interest: Readiness = []
    private var isPumping = false
    private var isStopping = false
    private var isCancelPending = false
    private var cancellers: WorkerPool?
    private var timers: [TimerToken: TimerID] = [:]

    private enum TimerToken: UInt64 { case goOn = 1, grace, settle, cancelAgain }

    /// Longest time that something may stay which no text of a statement shows; nobody but its user finds it until then.
    static let unprovenMillisecondsMax: Int64 = 1_000
    /// Time that the loop gives to a result before others get their turn.
    private static let turnNanoseconds: Int64 = 1_000_000
    /// Time that a run which is to stop waits for the server's word.
    private static let graceMilliseconds: Int64 = 80
    /// Time after which the server is told once more: a cancel that overtakes its statement stops nothing.
    private static let cancelAgainMilliseconds: Int64 = 100
    /// Cancels of a database that wait for a thread to deliver them.
    private static let waitingCancelCountMax = 64
    /// Time after which a connection that does not settle is closed.
    private static let settleMillisecondsMax: Int64 = 5_000

    // MARK: What the engines do

    /// The number of the socket; the subclass owns it.
    var socketNumber: Int32 { -1 }
    var transaction: TransactionState { .none }
    var serverVersion: String { "" }
    /// Queues and sends what the run needs.
    /// - Throws: when nothing was sent and nothing happened.
    func send(_ run: StatementRun) throws(DriverError) {}
    /// Sends what makes the connection as good as new.
    func sendReset() -> Bool { false }
    /// Sends for whom a session works, which `sendReset` undoes.
    /// - Returns: false when nothing was sent, because the engine does not show it or cannot take it.
    func sendIntroduction(_ clientName: String) -> Bool { false }
    /// Takes what the server has sent, as far as it is there and the sink has room; fills in the run at the end.
    func advance(isReadable: Bool) -> Progress { .ended }
    /// What makes the server stop what it does; may block, but not for ever. `nil` when it cannot be made.
    ///
    /// It returns false when the cancel may still arrive, at whatever the connection does then: it is not used any more.
    func makeCancel() -> (@Sendable () -> Bool)? { nil }
    /// The error of a run that was to stop and whose end nobody could wait for, or of which the connection is lost.
    func errorOfDetachedRun(_ reason: StopReason, isLost: Bool) -> DriverError { .stopped(reason) }
    /// Whether the run provably changes nothing, so that rows which nobody wants any more may be dropped. The rows of others go
    /// on when it is to stop: what has taken effect is told with what it returned.
    var readsOnly: Bool { true }
    /// Parts of the run may stay although the server has ended it before its end.
    var isDivisible: Bool { false }
    /// Whether an error of the run is what became of it by being stopped.
    func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool { error.code != .outcomeUnknown }
    /// Whether the server still holds its side, for an idle connection.
    func isAlive() -> Bool { true }
    /// Whether an idle connection of the pool may be used: the server has said nothing since its last answer.
    func isQuiet() -> Bool { isAlive() }
    /// Whether statements can leave anything that the daemon does not see.
    var mayRemember: Bool { true }
    /// Closes the engine's side.
    func finish() {}

    // MARK: What is left

    /// When it is to be cleared although nothing is known to be left; `nil` where it is clean.
    final var clearingDue: MonotonicInstant? {
        isUnproven && mayRemember ? lastCleared.advanced(byMilliseconds: Self.unprovenMillisecondsMax) : nil
    }

    // MARK: Loops

    /// - Throws: `Errno` when the loop or the process has no room.
    final func attach(_ context: DriverContext, cancellers: WorkerPool) throws(Errno) {
        let descriptor = try OwnedDescriptor.duplicate(of: socketNumber)
        let socket = Socket(descriptor)
        try context.loop.register(self, socket.descriptor, for: .readable)
        interest = .readable
        self.socket = socket
        self.context = context
        self.cancellers = cancellers
    }

    /// Leaves its loop; it must be idle.
    final func detach() {
        cancelTimers()
        if let context, let socket { context.loop.deregister(self, socket.descriptor) }
        socket = nil
        context = nil
    }

    private func setInterest(_ wanted: Readiness) {
        guard wanted != interest, let context, let socket else { return }
        interest = wanted
        context.loop.setInterest(self, socket.descriptor, wanted)
    }

    private func setTimer(_ token: TimerToken, milliseconds: Int64) {
        guard let context, timers[token] == nil else { return }
        timers[token] = context.loop.schedule(
            self, token: token.rawValue, at: context.loop.now.advanced(byMilliseconds: milliseconds))
    }

    private func cancelTimer(_ token: TimerToken) {
        if timers.isEmpty { return }
        if let timer = timers.removeValue(forKey: token) { context?.loop.cancel(timer) }
    }

    private func cancelTimers() {
        for timer in timers.values { context?.loop.cancel(timer) }
        timers.removeAll()
    }

    final override func handle(_ readiness: Readiness) {
        switch phase {
        case .idle: if !isAlive() { lose(nil) }
        // There is only the cancel to be waited for; a server that hangs up meanwhile must not be looked at all the time.
        case .settling where !isAnswerMissing: if !isAlive() { lose(nil) }
        case .running, .settling, .resetting:
            pump(isReadable: !readiness.isDisjoint(with: [.readable, .failed, .hangUp]))
        // What is lost is found out when the run goes on.
        case .suspended, .broken: setInterest([])
        }
    }

    final override func timerFired(_ token: UInt64) {
        guard let token = TimerToken(rawValue: token), timers.removeValue(forKey: token) != nil else { return }
        switch token {
        case .goOn: if phase == .running || phase == .settling || phase == .resetting { pump(isReadable: false) }
        case .grace: detachRun()
        case .settle: lose(nil)
        case .cancelAgain: if isStopping, isAnswerMissing || run != nil { sendCancel() }
        }
    }

    /// A client library's buffers grow to the longest message, and keep that size as long as the connection lives.
    final func noteMessageSize(_ byteCount: Int) {
        if byteCount > Self.keptMessageByteCountMax { isWorn = true }
    }

    private static let keptMessageByteCountMax = 1 << 20

    // MARK: Runs

    /// Runs a statement or batch; it must be idle.
    final func start(_ run: StatementRun, _ mode: RunMode, for owner: LinkOwner) {
        precondition(phase == .idle && !isCancelPending, "a connection to a server has two runs")
        phase = .running
        self.run = run
        self.mode = mode
        lastUID = owner.uid
        isUnproven = true
        run.execution = self
        isDiscarding = false
        hasDroppedRows = false
        hasOverflown = false
        isDone = false
        do throws(DriverError) {
            try send(run)
        } catch {
            run.error = error
            return didEnd()
        }
        pump(isReadable: false)
    }

    /// Goes on after `runDidFill`.
    final func resume(_ run: StatementRun) {
        guard self.run === run, phase == .suspended else { return }
        run.sink.reopen()
        phase = .running
        // Within `runDidFill` the loop over the results goes on by itself.
        if !isPumping { setTimer(.goOn, milliseconds: 0) }
    }

    /// Makes the run end soon.
    final func stop(_ run: StatementRun, _ reason: StopReason) {
        if finished === run { return answerFinished() }
        guard self.run === run, phase == .running || phase == .suspended else { return }
        run.requestStop(reason)
        abort(droppingRows: readsOnly)
        setTimer(.grace, milliseconds: Self.graceMilliseconds)
        if !isDiscarding { run.sink.ignorePages() }
        if phase == .suspended {
            if !isDiscarding { run.sink.reopen() }
            phase = .running
            if !isPumping { setTimer(.goOn, milliseconds: 0) }
        }
    }

    /// Makes the server stop.
    final func abort(droppingRows: Bool = true) {
        if isStopping { return }
        isStopping = true
        isDiscarding = droppingRows
        sendCancel()
    }

    /// A row is larger than a reply may be: makes the server stop, and drops what still comes.
    final func abortForOverflow() {
        hasDroppedRows = true
        hasOverflown = true
        isDiscarding = true
        abort()
    }

    private func sendCancel() {
        guard !isCancelPending, let context, let cancellers else { return }
        setTimer(.cancelAgain, milliseconds: Self.cancelAgainMilliseconds)
        // Where the server answers none of them, they would become more and more.
        guard cancellers.load.waitingCount < Self.waitingCancelCountMax, let cancel = makeCancel() else { return }
        isCancelPending = true
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        cancellers.submit(for: LinkOwner.daemon.uid) {
            let isOver = cancel()
            mailbox.submit { if isOver { here.wrapped.cancelDidReturn() } }
        }
    }

    private func cancelDidReturn() {
        isCancelPending = false
        if isStopping, isAnswerMissing || run != nil {
            setTimer(.cancelAgain, milliseconds: Self.cancelAgainMilliseconds)
        }
        guard phase == .settling, !isAnswerMissing else { return }
        settle()
    }

    /// In `settling`: the server has not answered everything yet.
    private var isAnswerMissing = false

    // The client gets its answer; the connection goes on by itself.
    private func detachRun() {
        guard let run, let reason = run.stopReason else { return }
        self.run = nil
        phase = .settling
        isAnswerMissing = true
        setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
        if run.error == nil { run.error = errorOfDetachedRun(reason, isLost: false) }
        end(run)
    }

    private func end(_ run: StatementRun) {
        run.execution = nil
        run.runDidEnd()
    }

    private func answerFinished() {
        guard let run = finished else { return }
        finished = nil
        end(run)
    }

    /// Makes the connection as good as new; its holder is told when it is.
    final func reset() {
        precondition(phase == .idle, "a connection in use cannot be reset")
        phase = .resetting
        setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
        guard sendReset() else { return lose(nil) }
        pump(isReadable: false)
    }

    /// Tells the server the name of the client for whom a session works. Its holder is told when that is done.
    final func introduce(_ clientName: String) {
        precondition(phase == .idle, "a connection in use cannot be introduced")
        guard sendIntroduction(clientName) else { return }
        phase = .settling
        isAnswerMissing = true
        setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
        pump(isReadable: false)
    }

    /// Looks at the socket until there is nothing more to do.
    private func pump(isReadable: Bool) {
        if isPumping { return }
        isPumping = true
        let deadline = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        var isReadable = isReadable
        while true {
            let progress = advance(isReadable: isReadable)
            isReadable = false
            switch progress {
            case .waiting(let wanted):
                isPumping = false
                return setInterest(wanted)
            case .yielding:
                isPumping = false
                setInterest([])
                return setTimer(.goOn, milliseconds: 0)
            case .ended:
                isPumping = false
                return didEnd()
            case .broken(let error):
                isPumping = false
                return lose(error)
            case .full:
                phase = .suspended
                run?.runDidFill()
                if phase == .running, MonotonicInstant.now < deadline { continue }
                isPumping = false
                setInterest([])
                if phase == .running { setTimer(.goOn, milliseconds: 0) }
                return
            }
        }
    }

    /// Everything has been answered.
    private func didEnd() {
        let ended = run
        run = nil
        if let ended { ended.error = errorOfEnded(ended) }
        cancelTimer(.grace)
        cancelTimer(.cancelAgain)
        let wasReset = phase == .resetting
        isAnswerMissing = false
        setInterest(.readable)
        if isCancelPending {
            phase = .settling
            setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
        } else {
            if wasReset {
                // Who is in a transaction all the same answers something else than what was asked.
                guard transaction == .none else { return lose(nil) }
                needsReset = false
                lastUID = nil
                isUnproven = false
                lastCleared = .now
            } else if let ended, mustClear(behind: ended) {
                // A lock that it has taken must be gone for everybody when its client learns that it has ended.
                finished = ended
                phase = .idle
                return reset()
            }
            // The next run may begin within `settle`, and end there, to be cleared behind as well.
            let cleared = finished.take()
            settle()
            if let cleared { end(cleared) }
        }
        answerFinished()
        if let ended { end(ended) }
    }

    /// What is told of a run whose end the server has told: whether it took effect is not guessed from how it was stopped.
    private func errorOfEnded(_ run: StatementRun) -> DriverError? {
        if isDone, hasOverflown, !readsOnly { return .doneWithoutRows("one of them is larger than a reply may be") }
        guard let reason = run.stopReason else { return run.error }
        guard let error = run.error else {
            if !hasDroppedRows { return nil }
            return readsOnly ? .stopped(reason) : .doneWithoutRows("it was to stop meanwhile")
        }
        guard isOfStop(error, reason) else { return error }
        return (isDivisible ? DriverError.stoppedInTheMiddle : .stopped(reason)).with {
            $0.statementIndex = error.details.statementIndex
            $0.rowIndex = error.details.rowIndex
        }
    }

    private func mustClear(behind run: StatementRun) -> Bool {
        !mode.isSession && (needsReset || transaction != .none) && run.stopReason == nil && !isStopping
    }

    private func settle() {
        cancelTimer(.settle)
        cancelTimer(.goOn)
        cancelTimer(.cancelAgain)
        if isStopping { needsReset = true }
        isStopping = false
        isDiscarding = false
        phase = .idle
        holder?.connectionDidSettle(self)
    }

    // MARK: The end

    /// The server or the network has ended it.
    private func lose(_ error: DriverError?) {
        guard phase != .broken else { return }
        let ended = run
        run = nil
        close()
        if let ended {
            ended.error = ended.stopReason.map { errorOfDetachedRun($0, isLost: true) } ?? error ?? Self.lost
        }
        let holder = holder
        self.holder = nil
        holder?.connectionDidBreak(self)
        answerFinished()
        if let ended { end(ended) }
    }

    /// Closes it; its holder knows.
    final func close() {
        guard phase != .broken else { return }
        phase = .broken
        detach()
        finish()
    }

    private static let lost = DriverError(
        .connectFailed, "The connection to the database was lost.", hint: "Try again.", sqlState: "08006"
    ).with { $0.isRetryable = true }
}
