// The bytes of a connection: through its socket, or through a lane while it has one.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// A connected socket, and the lane that the daemon has granted.
///
/// Whoever uses it reads, writes and waits as with a socket. When the daemon is replaced, the lane is left by itself, and what the
/// former process had not read is sent again over the socket (docs/protocol.md, "Fast lane").
///
/// - Thread: one at a time.
struct Channel: ~Copyable {
    let socket: OwnedDescriptor
    private var lane: Lane?
    /// Received, and to be read before anything else.
    private var ahead = ByteBuffer()
    /// To be sent over the socket before anything else.
    private var owed = OwedOutput()
    /// The connection is of no use any more, for this reason; nothing more comes.
    private var ending: IOOutcome?

    init(_ socket: consuming OwnedDescriptor) { self.socket = socket }

    /// Whether messages go through shared memory now.
    var usesSharedMemory: Bool { lane != nil }

    /// Goes over to a lane: neither side has anything on the socket.
    mutating func open(_ rings: consuming LaneRings) { lane = Lane(rings) }
}

// Reading and writing.
extension Channel {
    /// Reads what is there.
    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome {
        if !ahead.isEmpty {
            let count = min(buffer.count, ahead.count)
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: ahead.readable[..<count]))
            ahead.consume(count)
            return .bytes(count)
        }
        guard let lane else { return ending ?? SystemCalls.receive(socket, into: buffer) }
        let outcome = lane.rings.read(into: buffer)
        // Behind the last byte of the ring, the end of the socket is the end.
        if case .wouldBlock = outcome, let ending { return ending }
        if lane.rings.mustRing() { ring() }
        return outcome
    }

    /// Writes as much as there is room for.
    mutating func send(_ bytes: UnsafeRawBufferPointer) -> IOOutcome {
        guard let lane else {
            if let problem = sendOwed() { return problem }
            if let passed = owed.takePassed() {
                return Sockets.send(socket, bytes, descriptor: passed.descriptor.number)
            }
            return SystemCalls.send(socket, bytes)
        }
        if let ending { return ending }
        let outcome = lane.rings.write(bytes)
        if lane.rings.mustRing() { ring() }
        return outcome
    }

    /// The same for the beginning of a request, with a descriptor that the caller may close then.
    mutating func send(_ bytes: UnsafeRawBufferPointer, descriptor: Int32) -> IOOutcome {
        guard let lane else {
            if let problem = sendOwed() { return problem }
            return Sockets.send(socket, bytes, descriptor: descriptor)
        }
        if let ending { return ending }
        if lane.passed == nil {
            do throws(Errno) {
                let passed = PassedDescriptor(
                    try OwnedDescriptor.duplicate(of: descriptor), start: lane.rings.writtenByteCount,
                    byteCount: bytes.count)
                let outcome = LaneSignal.descriptor.withBytes { Sockets.send(socket, $0, descriptor: descriptor) }
                guard case .bytes = outcome else { return outcome }
                lane.passed = passed
            } catch {
                return .failed(error)
            }
        }
        let outcome = send(bytes)
        if case .bytes = outcome { lane.requestOfPassedWasWritten() }
        return outcome
    }

    /// The request of the descriptor that was passed is answered: nothing of it has to be sent again.
    func forgetPassed() { lane?.forgetPassed() }

    private func ring() { LaneSignals.ring(socket) }

    /// What was to be sent before anything else.
    /// - Returns: `nil` when all of it was sent.
    private mutating func sendOwed() -> IOOutcome? {
        owed.isEmpty ? nil : owed.send(socket)
    }
}

// Waiting.
extension Channel {
    /// Waits until there is something to read, or room to write, or a second descriptor can be read.
    /// - Parameters:
    ///   - events: what to wait for; the end counts as both.
    ///   - second: a descriptor to read from, −1 for none.
    ///   - deadline: when to give up; `nil` for never.
    /// - Returns: which of it is there; nothing after the deadline, or for no reason at all.
    mutating func wait(
        _ events: Polling.Readiness, _ second: Int32, until deadline: MonotonicInstant?
    ) -> (first: Polling.Readiness, second: Bool) {
        if !ahead.isEmpty, events.contains(.readable) { return (.readable, false) }
        if ending != nil { return (events, false) }
        guard let lane else { return waitForSocket(events, second, until: deadline) }
        lane.wait(for: events)
        if lane.rings.mustRing() { ring() }
        if lane.look(until: deadline) {
            // Where there is always news, the second descriptor is looked at now and then.
            let isSecond = second >= 0 && lane.isTurnOfOthers && Polling.wait((-1, []), second, until: .now).second
            return (lane.news, isSecond)
        }
        guard lane.rings.fallAsleep() else { return (lane.news, false) }
        let began = MonotonicInstant.now
        let (ready, isSecond) = Polling.wait((socket.number, .readable), second, until: deadline)
        lane.rings.wakeUp()
        lane.slept(from: began)
        if ready.contains(.readable) { takeSignals(lane) }
        if ending != nil { return (events, isSecond) }
        guard usesSharedMemory else { return (ahead.isEmpty ? [] : .readable.intersection(events), isSecond) }
        return (lane.news, isSecond)
    }

    private mutating func waitForSocket(
        _ events: Polling.Readiness, _ second: Int32, until deadline: MonotonicInstant?
    ) -> (first: Polling.Readiness, second: Bool) {
        if owed.isEmpty { return Polling.wait((socket.number, events), second, until: deadline) }
        var (ready, isSecond) = Polling.wait(
            (socket.number, events.union(.writable)), second, until: deadline)
        if ready.contains(.writable), sendOwed() != nil { ready.remove(.writable) }
        return (ready.intersection(events), isSecond)
    }

    /// Receives what the daemon has to say beside the lane.
    private mutating func takeSignals(_ lane: Lane) {
        switch LaneSignals.receive(socket) {
        case .rings: break
        case .leave(let messages): messages.withUnsafeBytes { leave(lane, $0) }
        case .end(let outcome): ending = outcome
        }
    }

    /// Goes back to the socket: what is in the ring is read first, and what the former process has not read is sent again.
    private mutating func leave(_ lane: Lane, _ messages: UnsafeRawBufferPointer) {
        self.lane = nil
        while case .bytes(let count) = lane.rings.read(into: ahead.writable(64 << 10)) { ahead.commit(count) }
        ahead.append(messages)
        if !owed.fill(from: lane) { ending = .failed(.protocolViolation) }
        if let problem = sendOwed(), case .failed = problem { ending = problem }
    }
}
