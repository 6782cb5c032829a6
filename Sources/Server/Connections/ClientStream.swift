// The bytes of a client: those that were received and not processed, and those that were not sent. Whether they come over
// the socket or through a lane, only this file and ClientLane.swift know.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// The bytes of one client, in both directions. It does not know what they mean.
///
/// Invariants:
/// - Consumed bytes do not come back; `input` begins at the start of a message.
/// - Nothing is read after the client's end of stream, and no bytes move after `close`.
/// - The stall clock runs from the moment when the socket refuses output until the client has taken some of it.
///
/// - Thread: its connection's loop.
struct ClientStream: ~Copyable {
    /// `nil` when closed: requests of a client that is gone end later than its socket.
    private var socket: OwnedDescriptor?
    /// Descriptors may arrive, or have arrived, over the socket.
    private(set) var mayBringDescriptors: Bool
    /// Where the messages are, if they do not come over the socket. Without counting references at each use.
    private var lane: Unmanaged<ClientLane>?
    private var laneOwner: ClientLane?
    private var laneByteCount = 0
    /// Whether the messages go through the lane, or did so in a former process.
    private(set) var laneState = LaneState.none
    /// Where they wait, for a client that has asked to send some.
    var descriptors: DescriptorInbox?
    var decoder: FrameDecoder
    /// Incomplete requests, and requests that wait for their turn.
    var input = ByteBuffer()
    var output = Output()
    /// The client has shut down its sending side.
    private(set) var hasReadEnd = false
    /// What the stream waits for.
    private(set) var interest: Readiness = []
    /// The events of the socket that the loop reports.
    private var socketInterest: Readiness = []
    private(set) var stall = StallClock()

    /// The result of sending.
    enum Sent {
        /// Nothing is left.
        case all
        /// The socket takes no more at present.
        case blocked(isFirst: Bool)
        /// The client cannot get the memory of a lane, and has not been told of it.
        case laneRefused
        /// The client is gone, or breaks the rules of a lane.
        case failed(Errno)
    }

    init(_ socket: consuming OwnedDescriptor, mayBringDescriptors: Bool, frameByteCountMax: Int, formats: WireFormats) {
        self.mayBringDescriptors = mayBringDescriptors
        self.socket = consume socket
        decoder = FrameDecoder(frameByteCountMax: frameByteCountMax, formats: formats)
    }

    /// How messages are told apart; before the first byte, as a person would send them.
    var framing: Framing { decoder.framingOrFirst }

    /// The encoding of what answers no request that could be understood.
    var plainEncoding: WireEncoding { framing.format.plainEncoding }

    /// Bytes in both buffers, and the memory of a lane.
    var heldByteCount: Int { input.count + output.count + laneByteCount }

    // MARK: The socket

    /// Lends the socket to `body`.
    /// - Returns: `nil` when it is closed.
    func withSocket<Result, Failure: Error>(
        _ body: (borrowing OwnedDescriptor) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        switch socket {
        case .some(let socket): try body(socket)
        case .none: nil
        }
    }

    private mutating func withSocketAndDescriptors<Result>(
        _ body: (borrowing OwnedDescriptor, inout DescriptorInbox) -> Result
    ) -> Result? {
        guard var inbox = descriptors.take() else { return nil }
        defer { descriptors = inbox }
        return withSocket { body($0, &inbox) }
    }

    /// Lets descriptors arrive, or not any more.
    mutating func takeDescriptors(_ inbox: DescriptorInbox?) {
        guard (inbox == nil) != (descriptors == nil) else { return }
        descriptors = inbox
        withSocket { Sockets.setDescriptors($0, mayPass: inbox != nil) }
        mayBringDescriptors = true
    }

    /// Ends the client's sending before the socket is closed, which could otherwise wait for what has come over it.
    mutating func endInput(_ account: UserAccount, _ workers: WorkerPool) {
        guard mayBringDescriptors else { return }
        guard descriptors != nil else { return withSocket { Sockets.endInput($0) } ?? () }
        descriptors = nil
        withSocket {
            Sockets.endInput($0) { numbers in
                for number in numbers { _ = DescriptorInbox.adopt(number, account, workers) }
            }
        }
    }

    /// Registers with the loop for events of the socket.
    mutating func register(_ source: EventSource, _ loop: EventLoop) throws(Errno) {
        try withSocket { (socket) throws(Errno) in try loop.register(source, socket, for: .readable) }
        interest = .readable
        socketInterest = .readable
    }

    /// Whether exactly that is waited for.
    @inline(__always)
    func waits(for wanted: Readiness) -> Bool { wanted == interest && (laneState != .open || !hasStaleInterest) }

    /// Changes what the stream waits for, if that differs.
    mutating func setInterest(_ wanted: Readiness, _ source: EventSource, _ loop: EventLoop) {
        if waits(for: wanted) { return }
        interest = wanted
        watch(source, loop)
    }

    @inline(never)
    private mutating func watch(_ source: EventSource, _ loop: EventLoop) {
        var wanted = interest
        if let socketInterest = withLane({ $0.wait(for: wanted) }) {
            // What has come until now rings no more.
            loop.heat(source)
            wanted = socketInterest
        }
        guard wanted != socketInterest else { return }
        socketInterest = wanted
        withSocket { loop.setInterest(source, $0, wanted) }
    }

    /// Whether the client has sent bytes that were not received.
    var hasUnreadBytes: Bool { hasUnreadLaneBytes || withSocket { Sockets.unreadByteCount($0) > 0 } ?? false }

    /// Closes the socket without shutting it down; a duplicate of it stays open.
    mutating func close(_ source: EventSource, _ loop: EventLoop) { _ = release(source, loop) }

    /// Gives the socket away.
    /// - Returns: `nil` when it is closed.
    mutating func release(_ source: EventSource, _ loop: EventLoop) -> OwnedDescriptor? {
        withSocket { loop.deregister(source, $0) }
        return socket.take()
    }

    /// Drops what is in the buffers.
    mutating func removeAll(disposal dispose: (inout ByteBuffer) -> Void) {
        output.removeAll(disposal: dispose)
        dispose(&input)
    }

    // MARK: Receiving

    /// Whether bytes may be received at all.
    var mayReceive: Bool { !hasReadEnd && interest.contains(.readable) }

    /// Receives into a buffer that the caller lends.
    /// - Returns: `nil` when the socket is closed.
    mutating func receive(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome? {
        let outcome = laneState == .none ? receiveFromSocket(into: buffer) : receiveBesideSignals(into: buffer)
        if outcome == .endOfStream { hasReadEnd = true }
        return outcome
    }

    @inline(__always)
    private mutating func receiveFromSocket(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome? {
        if descriptors != nil {
            withSocketAndDescriptors { $1.receive($0, into: buffer) }
        } else if mayBringDescriptors {
            withSocket { Sockets.receiveWithoutDescriptors($0, into: buffer) }
        } else {
            withSocket { SystemCalls.receive($0, into: buffer) }
        }
    }

    // MARK: Sending

    /// Sends as much of the output as the socket takes.
    /// - Parameters:
    ///   - now: starts the stall clock.
    ///   - sentByteCount: increased by the bytes sent.
    ///   - dispose: frees buffers that were sent completely.
    /// - Returns: what remains.
    mutating func send(
        at now: MonotonicInstant, _ sentByteCount: inout UInt64, disposal dispose: (inout ByteBuffer) -> Void
    ) -> Sent {
        while !output.isEmpty {
            let next = output.next
            switch laneState == .open ? sendThroughLane() : withSocket({ SystemCalls.send($0, next) }) {
            case .none, .endOfStream: return .failed(.brokenPipe)
            case .bytes(let count):
                sentByteCount += UInt64(count)
                if var spent = output.consume(count) { dispose(&spent) }
                stall.outputWasTaken()
            case .wouldBlock: return .blocked(isFirst: stall.outputWasRefused(at: now))
            case .failed(let error): return isLaneRefused(error) ? .laneRefused : .failed(error)
            }
        }
        return .all
    }

    /// A client that reads slowly makes no room for a long time: the kernel reports room only when a good part of its
    /// queue is free (unix_writable), so the queue itself is checked.
    mutating func noticeReading(at now: MonotonicInstant) {
        guard stall.since != nil, let byteCount = queuedByteCount else { return }
        stall.queueHas(byteCount, at: now)
    }

    private var queuedByteCount: Int? { laneQueuedByteCount ?? withSocket { Sockets.queuedByteCount($0) } }
}

// MARK: - Lane

extension ClientStream {
    @inline(__always)
    fileprivate func withLane<Result>(_ body: (ClientLane) -> Result) -> Result? {
        lane?._withUnsafeGuaranteedRef(body)
    }

    /// The client has not been told of its lane.
    var isOpeningLane: Bool { withLane { $0.isOpening } ?? false }

    fileprivate var hasStaleInterest: Bool { withLane { $0.hasStaleInterest } == true }
    private var hasUnreadLaneBytes: Bool { withLane { $0.hasUnreadBytes } ?? false }
    private var laneQueuedByteCount: Int? { withLane { $0.queuedByteCount } }

    /// The sizes of the rings; `nil` without a lane.
    var laneSizes: LaneRings.Sizes? { withLane { $0.sizes } }

    /// Everything behind the output that is there now, which tells the client of it, goes through a lane.
    /// `refusal` is sent instead if the client cannot get the memory (`laneRefusal`).
    mutating func open(
        _ rings: consuming LaneRings, refusal: [UInt8], _ source: EventSource, _ loop: EventLoop
    ) {
        precondition(lane == nil, "a connection has two lanes")
        let owner = ClientLane(rings, introductionByteCount: output.count, refusal: refusal)
        laneOwner = owner
        laneByteCount = owner.byteCount
        laneState = .open
        lane = .passUnretained(owner)
        watch(source, loop)
    }

    /// The client has not read all replies, or not received what tells it of its lane.
    var hasUntakenReplies: Bool {
        guard laneState == .open else { return false }
        return laneQueuedByteCount != 0 || hasUntakenIntroduction
    }

    /// The descriptor of the memory may be on its way: it counts among those that the daemon may have so.
    var hasUntakenIntroduction: Bool {
        laneState == .open && withSocket { Sockets.queuedByteCount($0) > 0 } ?? false
    }

    /// The client may have a socket that takes no descriptors (SO_PASSRIGHTS), or too many are on their way (ETOOMANYREFS in
    /// unix(7)).
    @inline(never)
    private func isLaneRefused(_ error: Errno) -> Bool {
        guard error != .brokenPipe, error != .connectionReset else { return false }
        return withLane { $0.unsentDescriptor != nil } ?? false
    }

    /// What is sent in place of the reply that tells the client of its lane.
    var laneRefusal: [UInt8] { withLane { $0.refusal } ?? [] }

    /// Gives up the memory, which takes time to free.
    mutating func closeLane() -> SharedMemory? {
        lane = nil
        laneByteCount = 0
        laneState = .none
        return laneOwner.take()?.memory
    }

    /// Continues behind the lane of a former process: the client is told, and what it sends until it knows is ignored.
    mutating func leaveLane(isTold: Bool) {
        laneState = .leaving
        if !isTold { output.append(LaneSignal.leave) }
    }

    @inline(never)
    private mutating func receiveBesideSignals(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome? {
        if laneState == .open { return receiveFromLane(into: buffer) }
        let outcome = receiveFromSocket(into: buffer)
        if case .bytes(let count) = outcome { return skipSignals(buffer, count) }
        return outcome
    }

    private mutating func receiveFromLane(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome? {
        if hasSignals, case .failed(let error) = receiveSignals() { return .failed(error) }
        return withLane { $0.read(into: buffer) }
    }

    /// The socket is readable.
    /// - Returns: whether that means signals.
    mutating func noteSignals() -> Bool {
        laneState == .open && withLane { $0.noteSignals() } != nil
    }

    /// There are signals to receive.
    var hasSignals: Bool { withLane { $0.mustLookAtSocket } ?? false }

    /// Receives what comes over the socket beside a lane.
    /// - Returns: `.failed` also if there is something else, or if the client is gone.
    mutating func receiveSignals() -> IOOutcome {
        withUnsafeTemporaryAllocation(byteCount: Self.signalCountMax, alignment: 1) { buffer in
            let outcome = receiveFromSocket(into: buffer) ?? .failed(.brokenPipe)
            return withLane { $0.take(outcome, UnsafeRawBufferPointer(buffer)) } ?? outcome
        }
    }

    private static let signalCountMax = 1_024

    private mutating func skipSignals(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int) -> IOOutcome {
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        guard let rest = laneState.skipSignals(bytes) else { return .failed(.protocolViolation) }
        // Those of requests that come again come again too.
        if laneState == .leaving { descriptors?.removeAll() }
        guard !rest.isEmpty else { return .wouldBlock }
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest))
        return .bytes(rest.count)
    }

    @inline(never)
    private func sendThroughLane() -> IOOutcome? {
        let next = output.next
        return withLane { lane in
            guard let introduction = lane.introduction(next) else { return lane.write(next) }
            let descriptor = lane.unsentDescriptor
            let outcome = withSocket { socket in
                if let descriptor { return Sockets.send(socket, introduction, descriptor: descriptor) }
                return SystemCalls.send(socket, introduction)
            }
            if case .bytes(let count) = outcome { lane.introductionWasSent(count) }
            return outcome ?? .failed(.brokenPipe)
        }
    }

    /// Rings, if the client sleeps and something has been done that it may wait for.
    @inline(never)
    func ring() {
        guard withLane({ $0.mustRing() }) == true else { return }
        // Without room there are enough of them.
        withSocket { socket in LaneSignal.ring.withBytes { _ = SystemCalls.send(socket, $0) } }
    }

    /// Whether there is news in the lane.
    var hasNews: Bool { withLane { $0.hasNews } ?? false }

    /// Whether the client has to ring from now on; false if there is news.
    func fallAsleep() -> Bool { withLane { $0.fallAsleep() } ?? true }
}

/// The time since which a client has taken none of its output.
struct StallClock: Equatable {
    /// `nil` if there is no output that it could take.
    private(set) var since: MonotonicInstant?
    private var queuedByteCount = 0

    /// The socket takes no more.
    /// - Returns: whether it did until now.
    mutating func outputWasRefused(at now: MonotonicInstant) -> Bool {
        guard since == nil else { return false }
        since = now
        return true
    }

    /// The socket has taken something.
    mutating func outputWasTaken() { since = nil }

    /// The length of the kernel's queue was read: a change means that the client has read.
    mutating func queueHas(_ byteCount: Int, at now: MonotonicInstant) {
        if since != nil, byteCount != queuedByteCount { since = now }
        queuedByteCount = byteCount
    }
}
