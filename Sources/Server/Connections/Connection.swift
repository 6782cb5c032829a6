// One client connection, composed of its byte stream, its sessions, its requests in flight, and the records for a later
// process. Connection+Requests.swift decodes the bytes; ../Requests has the handlers.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

/// The client of a connection.
struct ConnectedClient {
    /// Of the connection; unique in the daemon.
    let number: UInt64
    /// `nil` over TCP.
    let peer: PeerCredentials?
    let account: UserAccount
    let owner: LinkOwner
    /// Why the first request is refused because of too many connections; `nil` for all other connections.
    let refusal: ConnectionRefusal?
    /// It came over the socket for monitors.
    let isFromMonitorSocket: Bool
    /// When it was accepted, or taken over from a former process.
    let opened: MonotonicInstant

    /// The same, for another connection object.
    var client: Client { Client(peer: peer, account: account, isFromMonitorSocket: isFromMonitorSocket) }

    init(_ client: Client, number: UInt64, refusal: ConnectionRefusal?, at now: MonotonicInstant) {
        self.number = number
        peer = client.peer
        account = client.account
        self.refusal = refusal
        isFromMonitorSocket = client.isFromMonitorSocket
        opened = now
        let isOwnUser = client.peer.map { $0.uid == Process.effectiveUID || $0.uid == 0 } ?? false
        owner = LinkOwner(
            uid: UserAccount.number(of: client.peer?.uid), pid: client.peer?.pid ?? 0, mayOpenFiles: isOwnUser,
            client: number)
    }
}

/// A client.
///
/// - Thread: its loop's.
final class Connection: EventSource {
    let context: LoopContext
    let client: ConnectedClient
    /// Whether it may only watch the daemon; decided when it is opened, and at each reload.
    @exclusivity(unchecked) var isMonitor = false
    /// Groups of the client; looked up when a rule first needs them.
    private(set) lazy var groupIDs: [UInt32] = {
        guard let peer else { return [] }
        return stream.withSocket { Sockets.groups(of: $0, peer) } ?? []
    }()
    /// Its user's share of the loop; `nil` while it is not served.
    @exclusivity(unchecked) private(set) var share: LoopShare?
    @exclusivity(unchecked) private(set) var phase = ConnectionPhase.open
    @exclusivity(unchecked) var stream: ClientStream
    @exclusivity(unchecked) var preferences = ClientPreferences()
    @exclusivity(unchecked) var sessions: SessionTable
    @exclusivity(unchecked) var inFlight = RequestsInFlight()
    /// What the request that is being handled has taken.
    @exclusivity(unchecked) var passedFiles: [PassedFile] = []
    @exclusivity(unchecked) var requestCount: UInt64 = 0
    @exclusivity(unchecked) var attention = RequestAttention.none
    @exclusivity(unchecked) var decoding = LongRequestStage.none
    /// Decides what may continue, and knows what waits.
    @exclusivity(unchecked) var flow = FlowControl()
    @exclusivity(unchecked) private var charge = BufferCharge()
    /// Where a later process finds the position of this connection.
    @exclusivity(unchecked) var handover = HandoverRecord.none
    /// Where the next process finds what ran when this one died.
    @exclusivity(unchecked) var watch = CrashRecord()

    /// Token of the timer that continues with requests that were received already.
    private static let continuationToken: UInt64 = 0

    init(
        _ socket: consuming OwnedDescriptor, number: UInt64, client: Client, refusal: ConnectionRefusal?,
        context: LoopContext
    ) {
        let mayBringDescriptors = client.peer != nil && Sockets.mayBringDescriptors(socket.number)
        stream = ClientStream(
            socket, mayBringDescriptors: mayBringDescriptors, frameByteCountMax: context.limits.frameByteCountMax,
            formats: context.formats)
        self.client = ConnectedClient(client, number: number, refusal: refusal, at: context.loop.now)
        sessions = SessionTable(connection: number)
        self.context = context
    }

    var number: UInt64 { client.number }
    var peer: PeerCredentials? { client.peer }
    var account: UserAccount { client.account }
    var owner: LinkOwner { client.owner }
    /// Encoding of notices; `nil` if the client does not know them.
    var noticeEncoding: WireEncoding? { preferences.noticeEncoding }

    var isClosed: Bool { phase == .closed }
    /// No more input of the client is processed.
    var isLeaving: Bool { phase >= .closing }

    /// Closes as soon as the output is flushed.
    func closeSoon() { phase.advance(to: .closing) }

    /// Starts serving.
    func open() {
        do throws(Errno) {
            try stream.register(self, context.loop)
            isMonitor = client.isFromMonitorSocket || isNamedMonitor
            watch.begin(context.shared.watch, number: number, peer)
            context.connections[number] = self
            share = context.takeShare(of: owner.uid)
            context.statistics.connectionsOpened += 1
            context.statistics.connectionsOpen += 1
        } catch {
            phase.advance(to: .closed)
            endKeeping()
            stream.close(self, context.loop)
            context.shared.connections.add(-1)
            account.connections.add(-1)
        }
    }

    /// A second descriptor, which the caller must close; `nil` if there are no descriptors left.
    func duplicateSocket() -> Int32? {
        stream.withSocket { try? $0.duplicate().release() } ?? nil
    }

    // MARK: Turns

    override func handle(_ readiness: Readiness) {
        // EPOLLHUP on a Unix socket: the peer has closed, not only shut down its side (unix_stream_poll in the kernel).
        if !readiness.isDisjoint(with: [.hangUp, .failed]) { return disconnect(clientIsGone: true) }
        withOutputStorage {
            if readiness.contains(.writable) { finishTurn() }
            guard readiness.contains(.readable), !isClosed else { return }
            if stream.noteSignals() { context.loop.heat(self) }
            // Unread bytes are reported again.
            _ = context.takeTurn(.arrivals, of: self) { receive() }
        }
    }

    override var hasNews: Bool { stream.hasNews }
    override func fallAsleep() -> Bool { stream.fallAsleep() }

    override func handleNews() {
        withOutputStorage {
            // What it has no turn for is news again. Room counts too: a client can make it byte by byte, at no cost.
            _ = context.takeTurn(.arrivals, of: self) {
                if stream.interest.contains(.writable) { finishTurn() }
                if !isClosed, stream.hasNews { receive() }
            }
        }
    }

    override func timerFired(_ token: UInt64) {
        if isClosed { return }
        withOutputStorage {
            if token == Self.continuationToken {
                flow.continuationDidBegin()
                continueTurn()
            } else if token == Self.terminationToken {
                disconnect()
            } else {
                operationTimedOut(token)
            }
        }
    }

    private func continueTurn() {
        let isMyTurn = context.takeTurn(.continuations, of: self) {
            if flow.takeHeldRequests() { continueSessions() }
            processInput()
            finishTurn()
        }
        if !isMyTurn, flow.continuationIsDue() { scheduleContinuation() }
    }

    /// Lends the loop's storage to the output for the time of a turn; idle connections own none.
    func withOutputStorage(_ body: () -> Void) {
        if stream.output.tail.capacity == 0 { swap(&stream.output.tail, &context.spareOutput) }
        body()
        if stream.output.tail.isEmpty, stream.output.tail.capacity > 0 {
            if context.spareOutput.capacity == 0,
                stream.output.tail.capacity <= LoopContext.spareOutputByteCountMax
            {
                swap(&stream.output.tail, &context.spareOutput)
            } else {
                context.dispose(of: &stream.output.tail)
            }
        }
    }

    /// Leaves as soon as nothing runs any more.
    func beginDrain() {
        phase.advance(to: .draining)
        withOutputStorage {
            // Requests that arrived unnoticed deserve a reply; for a kept connection the next process gives it.
            if !handover.isKept { receive() }
            for operation in inFlight.operations where operation.row.traits.contains(.isEndless) {
                stop(operation, .shuttingDown)
            }
            finishTurn()
        }
    }

    // MARK: Input

    private func receive() {
        guard stream.mayReceive else {
            if stream.hasSignals { receiveSignals() }
            return
        }
        handover.markUnknown()
        switch stream.receive(into: context.receiveBuffer) {
        case .none: return
        case .bytes(let count):
            context.statistics.bytesReceived += UInt64(count)
            take(UnsafeRawBufferPointer(rebasing: context.receiveBuffer[..<count]))
            if stream.descriptors != nil { refuseDescriptors() }
        case .endOfStream: processInput()
        case .wouldBlock: return recordPosition()
        case .failed(let error): return fail(error)
        }
        finishTurn()
    }

    /// Receives signals of a lane while no requests are read.
    private func receiveSignals() {
        if case .failed(let error) = stream.receiveSignals() { fail(error) } else { finishTurn() }
    }

    /// The client is gone, or does with its lane what nobody may do.
    private func fail(_ error: Errno) {
        if error == .protocolViolation {
            context.observer.observe(
                .protocolViolation(
                    connection: number, peer: peer, reason: "The lane has positions or signals that cannot be."))
        }
        disconnect(clientIsGone: true)
    }

    /// Processes new bytes where they are; only the rest is copied.
    private func take(_ bytes: UnsafeRawBufferPointer) {
        if stream.input.isEmpty {
            let consumed = process(bytes)
            if consumed < bytes.count {
                stream.input.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
            }
            if case .found(let frame) = decoding { startLongRequest(frame) }
        } else {
            stream.input.append(bytes)
            processInput()
        }
        refuseGrowth()
    }

    /// Processes requests that were received already.
    func processInput() {
        let consumed = process(stream.input.readable)
        stream.input.consume(consumed)
        if case .found(let frame) = decoding { startLongRequest(frame) }
        if stream.input.isEmpty { context.dispose(of: &stream.input) }
    }

    /// Lets other connections use the loop before this one's next requests.
    private func scheduleContinuation() {
        context.loop.schedule(self, token: Self.continuationToken, at: context.loop.now)
    }

    /// Whether requests may be processed now.
    var mayProcess: Bool {
        mayLook
            && flow.mayLook(
                outputByteCount: stream.output.count, requestsInFlightMax: context.limits.requestsInFlightMax)
    }

    /// Requests that a kept connection does not start any more are for the next process.
    private var mayLook: Bool { !isLeaving && !(handover.isKept && context.isCancelling) }

    // MARK: The end of a turn

    /// To be called after anything that may have changed the output or the requests in flight.
    func finishTurn() {
        // A request may end others at once (`cancel`); the code that processes the requests then finishes the turn.
        if isClosed || attention != .none { return }
        if stream.hasReadEnd || phase != .open { stopUnfetchablePages() }
        flush()
        if isClosed { return }
        if stream.laneState == .open { stream.ring() }
        if hasEnded { return disconnect() }
        if phase == .draining, isQuiet, !hasMoreToRead { return handOver() }
        followFlow()
        recordPosition()
        settleAccount()
    }

    /// All requests are answered, and the client has taken the replies.
    private var isAnswered: Bool { stream.output.isEmpty && inFlight.isEmpty && !decoding.isRunning }

    /// The client has sent everything, and has all replies.
    private var hasEnded: Bool {
        isAnswered && (phase == .closing || (stream.hasReadEnd && stream.input.isEmpty))
    }

    /// Nothing is left to do for the received bytes; requests that this process may not start any more are for the next
    /// one, or are dropped.
    private var isQuiet: Bool { isAnswered && (!flow.isInputReady || context.isCancelling) }

    /// Requests from before the drain deserve a reply, however many reads that takes; for a kept connection the next
    /// process gives it.
    private var hasMoreToRead: Bool {
        guard !handover.isKept, mayRead, !context.isCancelling else { return false }
        return stream.hasUnreadBytes
    }

    private func flush() {
        if stream.output.isEmpty { return }
        handover.markUnknown()
        let sent = stream.send(at: context.loop.now, &context.statistics.bytesSent) { context.dispose(of: &$0) }
        switch sent {
        case .all: break
        case .blocked(let isFirst): if isFirst { context.housekeeper.watch(self) }
        case .laneRefused:
            refuseLane()
            flush()
        case .failed(let error): fail(error)
        }
    }

    /// Does what the flow control has decided at the end of a turn.
    private func followFlow() {
        let actions = flow.turnDidEnd(
            FlowControl.Turn(
                outputByteCount: stream.output.count, inputByteCount: stream.input.count,
                inputByteCountMax: inputByteCountMax, requestsInFlightMax: context.limits.requestsInFlightMax,
                mayRead: mayRead, mayLook: mayLook))
        if actions.contains(.goOn) { scheduleContinuation() }
        if actions.contains(.resumeRows), resumeRows() {
            // What these actions said of the output is not true any more: rows have come at once.
            return finishTurn()
        }
        var wanted: Readiness = []
        if actions.contains(.read) { wanted.insert(.readable) }
        if actions.contains(.write) { wanted.insert(.writable) }
        if !isClosed, !stream.waits(for: wanted) { stream.setInterest(wanted, self, context.loop) }
    }

    // Input that a kept connection has not read yet is for the next process.
    private var mayRead: Bool {
        !stream.hasReadEnd && !isLeaving && !(phase == .draining && handover.isKept)
    }

    /// One frame and its length may have to be kept.
    private var inputByteCountMax: Int { context.limits.frameByteCountMax + (128 << 10) }

    /// Updates the user's account.
    func settleAccount() {
        // What is free of a large storage was never touched, so that it is no memory yet.
        // Requests of who has hung up are held until whoever works on them has done.
        let held = inFlight.byteCount + (isClosed ? 0 : stream.heldByteCount + sessions.keptByteCount)
        let change = charge.settle(held, connectionCount: account.connections.count)
        guard change != 0 else { return }
        account.bufferedBytes.add(change)
        Memory.note(change)
    }

    // MARK: The end

    /// Closes at once and stops everything that runs.
    /// - Parameter clientIsGone: nobody reads what was sent, or nobody needs to be able to.
    func disconnect(clientIsGone: Bool = false) {
        guard !isClosed else { return }
        closeLane(clientIsGone ? .clientIsGone : .closedHere)
        // Before somebody else may have the last reference to the socket, in particular the service manager.
        stream.endInput(account, context.shared.transfers)
        endKeeping()
        detach()
    }

    // A duplicate in the store would keep the client from seeing the end.
    private func endKeeping() {
        guard let store = context.shared.handover else { return }
        stream.withSocket { Sockets.shutdownBoth($0) }
        if let slot = handover.slot { store.release(slot, of: account) }
        handover.forget()
    }

    /// Releases the connection; a duplicate that the descriptor store keeps stays open.
    func detach() {
        stream.descriptors = nil
        // Only of one that is handed over: `disconnect` has closed any other.
        closeLane(.handedOver)
        stream.close(self, context.loop)
        leaveLoop()
        context.shared.connections.add(-1)
        stream.removeAll { context.dispose(of: &$0) }
        settleAccount()
        account.connections.add(-1)
        abandonRequests()
        if context.observer.wants(.debug) {
            context.observer.observe(.connectionClosed(connection: number, peer: peer, requestCount: requestCount))
        }
    }

    /// The loop does not know the connection any more, whose stream is closed.
    func leaveLoop() {
        phase.advance(to: .closed)
        handover.forget()
        context.connections[number] = nil
        if let share { context.releaseShare(share) }
        share = nil
        watch.end(context.shared.watch)
        context.statistics.connectionsOpen -= 1
    }
}
