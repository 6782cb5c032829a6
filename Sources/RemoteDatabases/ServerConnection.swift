// One connection to a server: the socket on a loop, and the actions that its state (ConnectionState.swift) asks for.
// The subclass knows the protocol.

public import DatabaseContract
public import LinuxSystem
internal import SQLText

/// Owns a connection: a shard of the pool, or a session.
protocol ConnectionHolder: AnyObject {
    /// The connection has nothing left to do, and may be used again or given away; it does nothing after this call.
    func connectionDidSettle(_ connection: ServerConnection)
    /// The connection is lost and closed.
    func connectionDidBreak(_ connection: ServerConnection)
}

/// A connection to a server.
///
/// - Thread: the loop that it is attached to; between loops it is detached.
open class ServerConnection: EventSource {
    private final class Socket {
        let descriptor: OwnedDescriptor

        init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
    }

    private final var state = ConnectionState<StatementRun>()
    package final var current = RunProgress()
    final var holder: (any ConnectionHolder)?
    /// The pool's number for it.
    final var slot = 0
    package final let opened = MonotonicInstant.now
    /// The user who has a place in the pool for it.
    package final var user: UInt32?
    /// The user for whom it worked last.
    final var lastUID: UInt32?
    /// It holds more memory than may be kept, or cannot be trusted, and is closed when it is returned.
    package final var isWorn = false
    /// It must be reset before the next statement.
    package final var needsReset = false
    /// It was used since it was opened or reset: code that the server runs by itself may have left some state.
    private final var isUnproven = false
    private final var lastCleared = MonotonicInstant.now
    /// Set while a worker does what is `heavy`, and then holds what the loop has to do (ServerConnection+Away.swift).
    package final var absence = Absence()
    final var closing = Closing()
    final var buffers = Buffers()

    private var context: DriverContext?
    private var socket: Socket?
    private var interest: Readiness = []
    /// When others get their turn, of what is done at present.
    final var turnEnd = MonotonicInstant(nanoseconds: 0)
    private var cancellers: WorkerPool?
    private var timers: [TimerToken: TimerID] = [:]

    /// Longest time that state may stay which no statement's text shows; until then only the same user can see it.
    static let unprovenMillisecondsMax: Int64 = 1_000
    /// Time that the loop gives to a result before others get their turn.
    private static let turnNanoseconds: Int64 = 1_000_000
    /// Time that a run which has to stop waits for the server's report.
    private static let graceMilliseconds: Int64 = 80
    /// Time after which the cancel is repeated: one that arrives before its statement stops nothing.
    private static let cancelAgainMilliseconds: Int64 = 100
    /// Cancels of a database that may wait for a thread.
    private static let waitingCancelCountMax = 64
    /// Time after which a connection that does not settle is closed.
    private static let settleMillisecondsMax: Int64 = 5_000

    public override init() { super.init() }

    // MARK: What the engines do

    // An engine overrides the first three; the defaults of the others hold for a server without the feature.

    /// The descriptor of the socket; the subclass owns it.
    open var socketNumber: Int32 { Self.isMissing() }
    /// Queues and sends what the run needs.
    /// - Throws: when nothing was sent and nothing happened.
    /// - Thread: a worker's, if the run is long: it may use nothing that belongs to the loop.
    open func send(_ run: StatementRun) throws(DriverError) { Self.isMissing() }
    /// Takes what the server has sent, while the sink has room; completes the run at its end.
    open func advance(isReadable: Bool) -> Progress { Self.isMissing() }

    open var transaction: TransactionState { .none }
    open var serverVersion: String { "" }
    /// Sends what resets the connection to its initial state.
    open func sendReset() -> Bool { false }
    /// Sends the name of the session's client, which `sendReset` undoes.
    /// - Returns: false if nothing was sent, because the engine does not show it or cannot take it.
    open func sendIntroduction(_ clientName: String) -> Bool { false }
    /// Does what is `heavy`.
    /// - Thread: a worker's; its loop does not use the connection meanwhile, and nothing that belongs to the loop may
    ///   be used.
    open func advanceAway() -> Progress { advanceAndRead() }
    /// Makes a function that cancels the server's work; it may block for a limited time. `nil` if it cannot be made.
    ///
    /// It returns false if the cancel may still arrive later, whatever the connection does then: the connection is not
    /// used again.
    open func makeCancel() -> (@Sendable () -> Bool)? { nil }
    /// The error of a run that had to stop and whose end nobody could wait for, or whose connection was lost.
    open func errorOfDetachedRun(_ reason: StopReason, isLost: Bool) -> DriverError {
        .detached(reason, current.effect, connectionIsLost: isLost)
    }
    /// Whether the run provably changes nothing, so that its rows may be dropped when nobody wants them. Other runs
    /// continue to deliver rows when they have to stop: an effect is reported with the rows that it returned.
    open var readsOnly: Bool { current.effect.readsOnly }
    /// Whether an error of the run is the result of stopping it.
    open func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool { error.code != .outcomeUnknown }
    /// Whether the server still keeps its end open, for an idle connection.
    open func isAlive() -> Bool { true }
    /// Whether an idle connection of the pool may be used: the server has sent nothing since its last answer.
    open func isQuiet() -> Bool { isAlive() }
    /// Which server it leads to, as people write it; `nil` where the URL names no more than one.
    open var serverName: String? { nil }
    /// Whether its server is not the wanted one any more, so that it is used for nothing new.
    open var isOutdated: Bool { false }
    /// Whether statements can leave state that the daemon does not see.
    open var mayRemember: Bool { true }
    /// Ends the engine's calls that are under way, before `finish`.
    open func abandonCalls() {}
    /// Closes the engine's side.
    /// - Thread: its loop's; a worker's if the connection is worn: then there is much to free.
    open func finish() {}

    private static func isMissing() -> Never { preconditionFailure("\(self) lacks an override") }

    // MARK: What it does

    package final var phase: Phase {
        switch state.phase {
        case .idle: .idle
        case .running: .running
        case .suspended: .suspended
        case .unanswered, .awaitingCancel: .settling
        case .resetting: .resetting
        case .broken: .broken
        }
    }
    /// The run that the server works for.
    package final var run: StatementRun? { state.run }
    package final var mode: RunMode { current.mode }
    /// Rows are dropped, because the run is being stopped.
    package final var isDiscarding: Bool { state.isDiscarding }

    // MARK: What is left

    /// When it has to be reset although no state is known; `nil` if it is clean.
    final var clearingDue: MonotonicInstant? {
        isUnproven && mayRemember ? lastCleared.advanced(byMilliseconds: Self.unprovenMillisecondsMax) : nil
    }

    // MARK: Loops

    /// - Throws: `Errno` if the loop or the process has no room.
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

    final func setTimer(_ token: TimerToken, milliseconds: Int64) {
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

    public final override func handle(_ readiness: Readiness) {
        switch state.phase {
        // Of the cancel alone that is to be waited for nothing comes: a server that hangs up meanwhile must not be looked at
        // all the time.
        case .idle, .awaitingCancel: if !isAlive() { lose(nil).tell() }
        case .running, .unanswered, .resetting:
            pump(isReadable: !readiness.isDisjoint(with: [.readable, .failed, .hangUp])).tell()
        // What is lost is found out when the run goes on.
        case .suspended, .broken: setInterest([])
        }
    }

    public final override func timerFired(_ token: UInt64) {
        guard let token = TimerToken(rawValue: token), timers.removeValue(forKey: token) != nil else { return }
        if absence.isAway { return absence.dueTimers.append(token) }
        switch token {
        case .goOn: if state.isAtWork { pump(isReadable: false).tell() }
        case .grace: detachRun().tell()
        case .settle: lose(nil).tell()
        case .cancelAgain: if state.isCancelDue { sendCancel() }
        }
    }

    // MARK: Runs

    /// Runs a statement or batch; it must be idle. `driver` has not checked a long run yet.
    package final func start(
        _ run: StatementRun, _ mode: RunMode, for owner: LinkOwner, by driver: (any RemoteDriver)? = nil
    ) -> RunOutcome {
        state.start(run)
        current = RunProgress(
            mode: mode,
            effect: StatementEffect(isReadOnly: mode.isReadOnly, isDescription: run.kind.isDescription))
        lastUID = owner.uid
        isUnproven = true
        run.execution = self
        absence.hasBeen = false
        if TextBound.isLong(run) {
            absence.sending = Absence.Sending(driver: driver)
            return goOn(after: .heavy).outcome(for: run)
        }
        do throws(DriverError) {
            try send(run)
        } catch {
            run.error = error
            return didEnd().outcome(for: run)
        }
        return pump(isReadable: false).outcome(for: run)
    }

    /// Goes on after a frame: at once while this is its turn.
    final func resume(_ run: StatementRun) -> RunOutcome {
        guard state.resume(run) else { return .pending }
        run.sink.reopen()
        if MonotonicInstant.now < turnEnd { return goOn(after: advance(isReadable: false)).outcome(for: run) }
        setInterest([])
        setTimer(.goOn, milliseconds: 0)
        return .pending
    }

    /// Makes the run end soon.
    package final func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome {
        if state.run === run {
            run.requestStop(reason)
            if absence.isAway {
                absence.isStopDue = true
                return .pending
            }
        }
        switch state.stop(run, droppingRows: readsOnly) {
        case .nothing: break
        case .told(let ended): return Self.end(ended).outcome(for: run)
        case .goesOn(let wasSuspended, let sendsCancel):
            if sendsCancel { sendCancel() }
            setTimer(.grace, milliseconds: Self.graceMilliseconds)
            if !isDiscarding { run.sink.ignorePages() }
            guard wasSuspended else { break }
            if !isDiscarding { run.sink.reopen() }
            setTimer(.goOn, milliseconds: 0)
        }
        return .pending
    }

    /// A row is larger than a reply may be: makes the server stop, and drops the rest.
    package final func abortForOverflow() {
        current.hasDroppedRows = true
        current.hasOverflown = true
        state.discard()
        if state.abort(droppingRows: true) { sendCancel() }
    }

    final func sendCancel() {
        if absence.isAway {
            absence.isCancelDue = true
            return
        }
        guard state.cancel == .wanted, let context, let cancellers else { return }
        setTimer(.cancelAgain, milliseconds: Self.cancelAgainMilliseconds)
        // If the server answers none of them, their number would grow without limit.
        guard cancellers.load.waitingCount < Self.waitingCancelCountMax, let cancel = makeCancel() else { return }
        guard state.beginCancel() else { return }
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        cancellers.submit(for: LinkOwner.daemon.uid) {
            let isOver = cancel()
            mailbox.submit { if isOver { here.wrapped.cancelDidReturn() } }
        }
    }

    private func cancelDidReturn() {
        let ending = state.cancelReturned()
        if state.isCancelDue { setTimer(.cancelAgain, milliseconds: Self.cancelAgainMilliseconds) }
        if let ending { follow(ending).tell() }
    }

    // The client gets its answer; the connection goes on by itself.
    private func detachRun() -> RunEvent {
        guard let reason = run?.stopReason, let run = state.detach() else { return .none }
        setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
        if run.error == nil { run.error = errorOfDetachedRun(reason, isLost: false) }
        return Self.end(run)
    }

    /// A run has left its connection.
    private static func end(_ run: StatementRun) -> RunEvent {
        run.execution = nil
        return .ended(run)
    }

    /// Makes the connection as good as new; its holder is told when it is, and not before this returns.
    package final func reset() {
        state.reset()
        setTimer(beginReset() ? .goOn : .settle, milliseconds: 0)
    }

    /// Sends what resets the connection, and limits the time for it.
    /// - Returns: false if the connection is lost.
    private func beginReset() -> Bool {
        absence.hasBeen = false
        guard sendReset() else { return false }
        setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
        return true
    }

    /// Sends the name of the session's client to the server. Its holder is notified afterwards.
    final func introduce(_ clientName: String) {
        precondition(state.isIdle, "a connection in use cannot be introduced")
        guard sendIntroduction(clientName) else { return }
        state.introduce()
        setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
        pump(isReadable: false).tell()
    }

    /// Looks at the socket.
    private func pump(isReadable: Bool) -> RunEvent {
        if absence.isAway { return .none }
        beginTurn()
        return goOn(after: advance(isReadable: isReadable))
    }

    final func beginTurn() { turnEnd = .now.advanced(byNanoseconds: Self.turnNanoseconds) }

    /// Does what the last look at the socket asks for.
    final func goOn(after progress: Progress) -> RunEvent {
        switch progress {
        case .waiting(let wanted): setInterest(wanted)
        case .yielding:
            setInterest([])
            setTimer(.goOn, milliseconds: 0)
        case .heavy:
            setInterest([])
            if let context { leaveLoop(context) }
        case .ended: return didEnd()
        case .broken(let error): return lose(error)
        case .full:
            state.fill()
            if let run { return .filled(run) }
            setInterest([])
        }
        return .none
    }

    /// Everything has been answered.
    private func didEnd() -> RunEvent {
        let run = run
        if let run { run.error = errorOfEnded(run) }
        cancelTimer(.grace)
        cancelTimer(.cancelAgain)
        setInterest(.readable)
        if state.isResetting {
            // A connection that is in a transaction here has answered something other than the request.
            guard transaction == .none else { return lose(nil) }
            needsReset = false
            lastUID = nil
            isUnproven = false
            lastCleared = .now
        }
        return state.end(clearing: run.map(mustClear) ?? false).map(follow) ?? .none
    }

    private func mustClear(behind run: StatementRun) -> Bool {
        !mode.isSession && (needsReset || transaction != .none) && run.stopReason == nil
    }

    private func follow(_ ending: ConnectionState<StatementRun>.Ending) -> RunEvent {
        switch ending {
        // A lock that it has taken must be gone for everybody when its client learns that it has ended.
        case .clears: return beginReset() ? pump(isReadable: false) : lose(nil)
        case .awaitsCancel(let told):
            setTimer(.settle, milliseconds: Self.settleMillisecondsMax)
            return told.map(Self.end) ?? .none
        case .settled(let told, let needsReset):
            cancelTimer(.settle)
            cancelTimer(.goOn)
            cancelTimer(.cancelAgain)
            if needsReset { self.needsReset = true }
            // The holder may give it away, to another loop too: nothing of it is used after this call, and a run that
            // ends then was taken out of it before.
            holder?.connectionDidSettle(self)
            return told.map(Self.end) ?? .none
        }
    }

    // MARK: The end

    /// The server or the network has ended it.
    private func lose(_ error: DriverError?) -> RunEvent {
        guard let lost = state.lose() else { return .none }
        leave()
        if let run = lost.run {
            run.error = run.stopReason.map { errorOfDetachedRun($0, isLost: true) } ?? error ?? Self.lost
        }
        let holder = holder
        self.holder = nil
        holder?.connectionDidBreak(self)
        // One of them at most: behind a run that has ended, nothing runs.
        return (lost.run ?? lost.ended).map(Self.end) ?? .none
    }

    /// Closes it; its holder knows already.
    package final func close() {
        if state.lose() != nil { leave() }
    }

    private func leave() {
        let context = isWorn ? context : nil
        detach()
        abandonCalls()
        guard let context else { return finish() }
        closing.isUnderWay = true
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let parcel = HandedOver(self)
        context.promptWorkers.submit(for: LinkOwner.daemon.uid) {
            parcel.value.finish()
            mailbox.submit { here.wrapped.didClose() }
        }
    }

    /// Threads for work that takes a loop too long.
    final var promptWorkers: WorkerPool? { context?.promptWorkers }
}
