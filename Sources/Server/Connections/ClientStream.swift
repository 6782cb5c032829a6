// A client's socket, with the received bytes that are not processed and the output that is not sent.

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
    /// Where they wait, for a client that has asked to send some.
    var descriptors: DescriptorInbox?
    var decoder: FrameDecoder
    /// Incomplete requests, and requests that wait for their turn.
    var input = ByteBuffer()
    var output = Output()
    /// The client has shut down its sending side.
    private(set) var hasReadEnd = false
    /// The events that the loop reports.
    private(set) var interest: Readiness = []
    private(set) var stall = StallClock()

    /// The result of sending.
    enum Sent {
        /// Nothing is left.
        case all
        /// The socket takes no more at present.
        case blocked(isFirst: Bool)
        /// The client is gone.
        case failed
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

    /// Bytes in both buffers.
    var heldByteCount: Int { input.count + output.count }

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
    }

    /// Changes the reported events, if they differ.
    mutating func setInterest(_ wanted: Readiness, _ source: EventSource, _ loop: EventLoop) {
        guard wanted != interest else { return }
        interest = wanted
        withSocket { loop.setInterest(source, $0, wanted) }
    }

    /// Whether the kernel has bytes that were not received.
    var hasUnreadBytes: Bool { withSocket { Sockets.unreadByteCount($0) > 0 } ?? false }

    /// Closes the socket without shutting it down; a duplicate of it stays open.
    mutating func close(_ source: EventSource, _ loop: EventLoop) {
        withSocket { loop.deregister(source, $0) }
        socket = nil
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
        let outcome =
            if descriptors != nil {
                withSocketAndDescriptors { $1.receive($0, into: buffer) }
            } else if mayBringDescriptors {
                withSocket { Sockets.receiveWithoutDescriptors($0, into: buffer) }
            } else {
                withSocket { SystemCalls.receive($0, into: buffer) }
            }
        if outcome == .endOfStream { hasReadEnd = true }
        return outcome
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
            switch withSocket({ SystemCalls.send($0, next) }) {
            case .none: return .failed
            case .bytes(let count):
                sentByteCount += UInt64(count)
                if var spent = output.consume(count) { dispose(&spent) }
                stall.outputWasTaken()
            case .wouldBlock: return .blocked(isFirst: stall.outputWasRefused(at: now))
            case .failed, .endOfStream: return .failed
            }
        }
        return .all
    }

    /// A client that reads slowly makes no room for a long time: the kernel reports room only when a good part of its
    /// queue is free (unix_writable), so the queue itself is checked.
    mutating func noticeReading(at now: MonotonicInstant) {
        guard stall.since != nil, let byteCount = withSocket({ Sockets.queuedByteCount($0) }) else { return }
        stall.queueHas(byteCount, at: now)
    }
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
