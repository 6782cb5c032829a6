// One client connection: its socket, its buffers, its requests in flight. What the bytes mean is in
// Connection+Requests.swift; what requests do is in the files behind that.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

/// A client.
///
/// - Thread: its loop's.
final class Connection: EventSource {
    let number: UInt64
    let context: LoopContext
    let peer: PeerCredentials?
    let owner: LinkOwner
    /// Why the first request is told that there are too many connections; `nil` for all others.
    let refusal: ConnectionRefusal?
    let account: UserAccount
    /// When it was accepted, or taken over from a former process.
    let opened: MonotonicInstant
    /// Groups of the client; asked for when a rule looks at them.
    private(set) lazy var groupIDs: [UInt32] = {
        guard let peer else { return [] }
        return withSocket { Sockets.groups(of: $0, peer) } ?? []
    }()
    /// What its user has of the loop; `nil` while it is not served.
    @exclusivity(unchecked) private(set) var share: LoopShare?
    /// `nil` when it is closed: requests of a gone client end after that.
    @exclusivity(unchecked) private var socket: OwnedDescriptor?
    /// Descriptors may come over the socket, or have come.
    let mayBringDescriptors: Bool

    @exclusivity(unchecked) var decoder: FrameDecoder
    /// Bytes of requests that are not complete, or wait for their turn.
    @exclusivity(unchecked) var input = ByteBuffer()
    @exclusivity(unchecked) var output = ByteBuffer()
    @exclusivity(unchecked) var int64Style = Int64Style.tagged
    @exclusivity(unchecked) var inFlight: [Operation] = []
    /// The greatest number among the ids that were ever in flight: a greater one is new.
    @exclusivity(unchecked) var greatestID = Int64.min
    @exclusivity(unchecked) var sessions: [Session] = []
    @exclusivity(unchecked) var requestCount: UInt64 = 0
    @exclusivity(unchecked) var lastSerial: UInt64 = 0
    /// Bytes that the user's account knows of.
    @exclusivity(unchecked) var chargedByteCount = 0
    /// Bytes of the requests in flight.
    @exclusivity(unchecked) var inFlightByteCount = 0
    /// Where the input has a request that is too long to be decoded on the loop.
    @exclusivity(unchecked) var longFrame: LongFrame?
    /// One that a worker decodes; those behind it wait.
    @exclusivity(unchecked) var longRequest: LongRequest?
    /// The request that is being looked at, if a worker has decoded it.
    @exclusivity(unchecked) var decodedRequest: LongRequest?
    /// Since when the client has taken none of its output; `nil` when there is none.
    @exclusivity(unchecked) private(set) var stalledSince: MonotonicInstant?
    @exclusivity(unchecked) private var queuedByteCount = 0
    /// The last sessions that the daemon ended by itself.
    var endedSessions: [EndedSession] = []
    /// Encoding of messages that the client did not ask for; `nil` when it does not know them.
    var noticeEncoding: WireEncoding?
    /// What the client calls itself (`hello`); not known to a later process.
    var clientName: String?
    private(set) var lastSession: UInt64 = 0
    @exclusivity(unchecked) private var interest: Readiness = []
    /// Where a later process reads how far this connection came; `nil` when the descriptor store does not keep it.
    @exclusivity(unchecked) var slot: HandoverSlot?
    /// Where the next process reads what ran when this one died.
    @exclusivity(unchecked) var watch: WatchSlot?
    /// The database whose name is there.
    @exclusivity(unchecked) var watchedEntry: ObjectIdentifier?
    /// It is on its way to the descriptor store.
    var isOffered = false
    /// Sessions that a former process had opened for this client.
    var restoredSessionCount: UInt64 = 0 {
        didSet { lastSession = restoredSessionCount }
    }

    /// The client has said that it sends nothing more.
    @exclusivity(unchecked) private(set) var hasReadEnd = false
    /// What may go on, and what waits for what.
    @exclusivity(unchecked) var flow = FlowControl()
    /// Close as soon as the output is flushed.
    @exclusivity(unchecked) var isClosing = false
    /// The daemon stops: close when nothing runs any more.
    @exclusivity(unchecked) var isDraining = false
    @exclusivity(unchecked) private(set) var isClosed = false
    /// Requests are being looked at: nothing may flush, close, or touch the bytes below them.
    @exclusivity(unchecked) var isProcessing = false
    /// The request that is being looked at is the last one of all that was read.
    @exclusivity(unchecked) var isLastFrame = false

    /// Token of the timer that continues with requests that are already here.
    private static let continuationToken: UInt64 = 0

    init(
        _ socket: consuming OwnedDescriptor, number: UInt64, client: Client, refusal: ConnectionRefusal?,
        context: LoopContext
    ) {
        mayBringDescriptors = client.peer != nil && Sockets.mayBringDescriptors(socket.number)
        self.socket = consume socket
        self.number = number
        peer = client.peer
        self.refusal = refusal
        self.context = context
        account = client.account
        opened = context.loop.now
        decoder = FrameDecoder(frameByteCountMax: context.limits.frameByteCountMax)
        let isOwnUser = peer.map { $0.uid == Process.effectiveUID || $0.uid == 0 } ?? false
        owner = LinkOwner(
            uid: UserAccount.number(of: peer?.uid), pid: peer?.pid ?? 0, mayOpenFiles: isOwnUser, client: number)
    }

    /// Starts serving.
    func open() {
        do throws(Errno) {
            try withSocket { (socket) throws(Errno) in try context.loop.register(self, socket, for: .readable) }
            interest = .readable
            watch = context.shared.watch?.take(number: number, peer: peer)
            context.connections[number] = self
            share = context.takeShare(of: owner.uid)
            context.statistics.connectionsOpened += 1
            context.statistics.connectionsOpen += 1
        } catch {
            isClosed = true
            endKeeping()
            socket = nil
            context.shared.connections.add(-1)
            account.connections.add(-1)
        }
    }

    /// A client that reads a little makes no room for long: the kernel tells only when a good part of its queue is free
    /// (unix_writable), so the queue itself is looked at.
    func noticeReading(at now: MonotonicInstant) {
        guard stalledSince != nil, let byteCount = withSocket({ Sockets.queuedByteCount($0) }) else { return }
        if byteCount != queuedByteCount { stalledSince = now }
        queuedByteCount = byteCount
    }

    /// A second descriptor, which the caller must close; `nil` when there are none left.
    func duplicateSocket() -> Int32? {
        withSocket { try? $0.duplicate().release() } ?? nil
    }

    /// Lends the socket to `body`.
    /// - Returns: `nil` when it is closed.
    private func withSocket<Result, Failure: Error>(
        _ body: (borrowing OwnedDescriptor) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        switch socket {
        case .some(let socket): try body(socket)
        case .none: nil
        }
    }

    func nextSessionName() -> String {
        lastSession += 1
        return "s\(number)-\(lastSession)"
    }

    // MARK: Readiness

    override func handle(_ readiness: Readiness) {
        // EPOLLHUP on a Unix socket: the peer has closed, not only shut down its side (unix_stream_poll in the kernel).
        if !readiness.isDisjoint(with: [.hangUp, .failed]) { return disconnect() }
        withOutputStorage {
            if readiness.contains(.writable) { finishTurn() }
            guard readiness.contains(.readable), !isClosed else { return }
            // What is not read now is told again.
            _ = context.takeTurn(.arrivals, of: self) { receive() }
        }
    }

    override func timerFired(_ token: UInt64) {
        if isClosed { return }
        withOutputStorage {
            if token == Self.continuationToken {
                flow.continuationDidBegin()
                continueTurn()
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
        if output.capacity == 0 { swap(&output, &context.spareOutput) }
        body()
        if output.isEmpty, output.capacity > 0 {
            if context.spareOutput.capacity == 0, output.capacity <= LoopContext.spareOutputByteCountMax {
                swap(&output, &context.spareOutput)
            } else {
                context.dispose(of: &output)
            }
        }
    }

    // MARK: Input

    func receive() {
        guard !hasReadEnd, interest.contains(.readable) else { return }
        slot?.markUnknown()
        let outcome = withSocket {
            mayBringDescriptors
                ? Sockets.receiveWithoutDescriptors($0, into: context.receiveBuffer)
                : SystemCalls.receive($0, into: context.receiveBuffer)
        }
        switch outcome {
        case .none: return
        case .bytes(let count):
            context.statistics.bytesReceived += UInt64(count)
            take(UnsafeRawBufferPointer(rebasing: context.receiveBuffer[..<count]))
        case .endOfStream:
            hasReadEnd = true
            processInput()
        case .wouldBlock: return recordPosition()
        case .failed: return disconnect()
        }
        finishTurn()
    }

    /// Looks at new bytes where they are; only what is left of them is copied.
    private func take(_ bytes: UnsafeRawBufferPointer) {
        if input.isEmpty {
            let consumed = process(bytes)
            if consumed < bytes.count { input.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...])) }
            if longFrame != nil { startLongRequest() }
        } else {
            input.append(bytes)
            processInput()
        }
        refuseGrowth()
    }

    /// Looks at requests that are already here.
    func processInput() {
        let consumed = process(input.readable)
        input.consume(consumed)
        if longFrame != nil { startLongRequest() }
        if input.isEmpty { context.dispose(of: &input) }
    }

    /// Lets other connections have the loop before the next requests of this one.
    private func scheduleContinuation() {
        context.loop.schedule(self, token: Self.continuationToken, at: context.loop.now)
    }

    /// Whether requests may be looked at now.
    var mayProcess: Bool {
        mayLook
            && flow.mayLook(outputByteCount: output.count, requestsInFlightMax: context.limits.requestsInFlightMax)
    }

    /// What a kept connection does not begin any more is for the next process.
    private var mayLook: Bool { !isClosing && !isClosed && !(slot != nil && context.isCancelling) }

    // MARK: Output

    /// After anything that may have changed the output or the requests in flight.
    func finishTurn() {
        // A request may end others at once (`cancel`); whoever looks at the requests finishes the turn.
        if isClosed || isProcessing { return }
        if hasReadEnd || isClosing || isDraining { stopUnfetchablePages() }
        flush()
        if isClosed { return }
        if hasEnded { return disconnect() }
        if isDraining, isQuiet, !hasMoreToRead { return handOver() }
        followFlow()
        recordPosition()
        settleAccount()
    }

    /// The client is done.
    private var hasEnded: Bool {
        output.isEmpty && inFlight.isEmpty && longRequest == nil && (isClosing || (hasReadEnd && input.isEmpty))
    }

    /// Nothing is left to do for what was read; what the process may not start any more is for the next one, or for nobody.
    private var isQuiet: Bool {
        output.isEmpty && inFlight.isEmpty && longRequest == nil && (!flow.isInputReady || context.isCancelling)
    }

    /// What came before the drain deserves a reply, however many reads it takes; for a kept connection the next process
    /// gives it.
    private var hasMoreToRead: Bool {
        guard slot == nil, mayRead, !context.isCancelling else { return false }
        return withSocket { Sockets.unreadByteCount($0) > 0 } ?? false
    }

    private func flush() {
        if output.isEmpty { return }
        slot?.markUnknown()
        while !output.isEmpty, let outcome = withSocket({ SystemCalls.send($0, output.readable) }) {
            switch outcome {
            case .bytes(let count):
                context.statistics.bytesSent += UInt64(count)
                output.consume(count)
                stalledSince = nil
            case .wouldBlock:
                if stalledSince == nil {
                    stalledSince = context.loop.now
                    context.housekeeper.watch(self)
                }
                return
            case .failed, .endOfStream:
                return disconnect()
            }
        }
    }

    /// Does what the flow control has decided at the end of a turn.
    private func followFlow() {
        let actions = flow.turnDidEnd(
            FlowControl.Turn(
                outputByteCount: output.count, inputByteCount: input.count, inputByteCountMax: inputByteCountMax,
                requestsInFlightMax: context.limits.requestsInFlightMax, mayRead: mayRead, mayLook: mayLook))
        if actions.contains(.resumeRows) { resumeRows() }
        if actions.contains(.goOn) { scheduleContinuation() }
        var wanted: Readiness = []
        if actions.contains(.read) { wanted.insert(.readable) }
        if actions.contains(.write) { wanted.insert(.writable) }
        guard wanted != interest, !isClosed else { return }
        interest = wanted
        withSocket { context.loop.setInterest(self, $0, wanted) }
    }

    // What a kept connection has not sent yet is for the next process.
    private var mayRead: Bool { !hasReadEnd && !isClosing && !(isDraining && slot != nil) }

    /// One frame and its length may have to be kept.
    private var inputByteCountMax: Int { context.limits.frameByteCountMax + (128 << 10) }

    // MARK: The end

    /// Closes at once and cancels what runs.
    func disconnect() {
        guard !isClosed else { return }
        // Before anybody else may have the last reference to it, the service manager above all.
        if mayBringDescriptors { withSocket { Sockets.endInput($0) } }
        endKeeping()
        detach()
    }

    // The store's duplicate, if there is one, would keep the client waiting for the end.
    private func endKeeping() {
        guard let handover = context.shared.handover else { return }
        withSocket { Sockets.shutdownBoth($0) }
        if let slot { handover.release(slot, of: account) }
        slot = nil
    }

    /// Forgets the connection; a duplicate that the descriptor store keeps stays open.
    func detach() {
        isClosed = true
        slot = nil
        withSocket { context.loop.deregister(self, $0) }
        socket = nil
        context.connections[number] = nil
        if let share { context.releaseShare(share) }
        share = nil
        if let watch { context.shared.watch?.free(watch) }
        watch = nil
        context.statistics.connectionsOpen -= 1
        context.shared.connections.add(-1)
        context.dispose(of: &output)
        context.dispose(of: &input)
        settleAccount()
        account.connections.add(-1)
        abandonRequests()
        if context.observer.wants(.debug) {
            context.observer.observe(.connectionClosed(connection: number, peer: peer, requestCount: requestCount))
        }
    }
}
