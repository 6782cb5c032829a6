// The thread of an asynchronous client: reads the socket, hands events to tasks, watches the deadlines.

internal import ByteBuffers
internal import Glibc
internal import LinuxSystem
internal import Synchronization

extension Connection {
    private struct Interest {
        var events: Polling.Readiness
        var deadline: MonotonicInstant?
    }

    /// What only the thread knows.
    private struct Own: ~Copyable {
        var question: LaneQuestion?
        /// The last signal beside a lane.
        var farewell: LaneSignals?
    }

    /// The thread's life: until the connection fails or is closed.
    func run() {
        var own = Own()
        while let interest = prepare(&own) {
            // A socket that nothing is wanted from must not wake the thread by its hang-up.
            let number = interest.events.isEmpty ? -1 : socket.number
            let (ready, isWoken) = Polling.wait((number, interest.events), wakeUp.number, until: interest.deadline)
            if isWoken { wakeUp.drain() }
            if ready.contains(.writable) {
                sendQuestion(&own.question)
                resumeWriting()
            }
            if ready.contains(.readable) { receive(&own) }
            expireWaiters()
        }
        Sockets.shutdownBoth(socket)
    }

    /// Does what can be done without waiting.
    /// - Returns: what to wait for; `nil` once the connection is over.
    private func prepare(_ own: inout Own) -> Interest? {
        switch state.withLock({ $0.lane }) {
        case .none: return socketInterest()
        case .wanted:
            if own.question == nil {
                own.question = laneQuestion()
                sendQuestion(&own.question)
            }
            return own.question?.unsent.isEmpty == false ? socketInterest(.writable) : socketInterest()
        case .open, .leaving: return prepareLane(&own)
        }
    }

    private func socketInterest(_ more: Polling.Readiness = []) -> Interest? {
        state.withLock { state in
            if state.failure != nil { return nil }
            var events = more
            // Backpressure: while too much waits for slow consumers, the server has to wait, too.
            if !state.router.isFull { events.insert(.readable) }
            if state.isWriteBlocked { events.insert(.writable) }
            return Interest(events: events, deadline: state.earliestDeadline)
        }
    }

    private func prepareLane(_ own: inout Own) -> Interest? {
        // The daemon, or whoever else writes there, has broken the rules.
        if let error = state.withLock({ $0.writeError }) { fail(.disconnected(error)) }
        if case .leave(let messages)? = own.farewell {
            guard state.withLock({ $0.takeBothWays() }) else { return besideInterest(hearsSignals: false) }
            own.farewell = nil
            leaveLane(messages)
            return socketInterest()
        }
        let turn = readLane()
        if turn == .none { return besideInterest(hearsSignals: false) }
        // Behind its last byte: what has no room yet is read before.
        if let farewell = own.farewell, turn == .dry { fail(.disconnected(farewell.error)) }
        if state.withLock({ $0.isWriteBlocked }), outgoing.hasNewRoom { resumeWriting() }
        var interest = besideInterest(hearsSignals: own.farewell == nil)
        // Only looks at the others.
        if turn == .more { interest?.deadline = .now }
        return interest
    }

    private func besideInterest(hearsSignals: Bool) -> Interest? {
        state.withLock { state in
            if state.failure != nil { return nil }
            // A signal may tell of room for requests, too.
            let isHeard = hearsSignals && (!state.router.isFull || state.isWriteBlocked)
            return Interest(events: isHeard ? .readable : [], deadline: state.earliestDeadline)
        }
    }

    private func resumeWriting() {
        let isMine = state.withLock { state in
            defer { state.isWriteBlocked = false }
            return state.isWriteBlocked
        }
        if isMine { sendAll() }
    }

    private func receive(_ own: inout Own) {
        switch state.withLock({ $0.lane }) {
        case .none: receiveFromSocket()
        case .wanted: if own.question == nil { receiveFromSocket() } else { receiveAnswer(&own.question) }
        case .open, .leaving:
            switch LaneSignals.receive(socket) {
            case .rings: break
            case let farewell: own.farewell = farewell
            }
        }
    }

    private func receiveFromSocket() {
        switch SystemCalls.read(socket, into: incoming.buffer.writable(65536)) {
        case .bytes(let count):
            incoming.buffer.commit(count)
            dispatchFrames()
        case .wouldBlock:
            if let error = state.withLock({ $0.writeError }) { fail(.disconnected(error)) }
        case .endOfStream: fail(.disconnected(nil))
        case .failed(let error): fail(.disconnected(error))
        }
    }

    private func expireWaiters() {
        let expired = state.withLock { $0.takeExpired(at: .now) }
        if expired.isEmpty { return }
        flush()
        for waiter in expired { waiter.continuation.resume(throwing: ClientError.timedOut) }
    }
}

extension Connection.State {
    /// Cancels the requests whose waiters have waited until their deadline. A request that has got its event before stays: its next
    /// wait has a deadline of its own.
    /// - Returns: the waiters, to be told so.
    mutating func takeExpired(at now: MonotonicInstant) -> [Connection.Waiter] {
        guard let earliest = earliestDeadline, earliest <= now else { return [] }
        let expired = waiters.filter { $1.deadline.map { $0 <= now } ?? false }
        for id in expired.keys {
            waiters[id] = nil
            // The thread looks itself whether it may read again.
            _ = abandon(id, isCancelled: true)
        }
        earliestDeadline = waiters.values.compactMap(\.deadline).min()
        return Array(expired.values)
    }
}

/// Wakes a thread that waits in poll(2): a pair of sockets, for signals that may come from any thread.
struct WakeUp: ~Copyable, Sendable {
    private let reader: OwnedDescriptor
    private let writer: OwnedDescriptor

    var number: Int32 { reader.number }

    init() throws(Errno) {
        var pair: (Int32, Int32) = (-1, -1)
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let result = withUnsafeMutablePointer(to: &pair) {
            $0.withMemoryRebound(to: Int32.self, capacity: 2) { socketpair(AF_UNIX, type, 0, $0) }
        }
        if result != 0 { throw Errno.current }
        reader = OwnedDescriptor(pair.0)
        writer = OwnedDescriptor(pair.1)
    }

    /// A full pair means that the thread is about to wake up anyway.
    borrowing func signal() {
        withUnsafeBytes(of: UInt8(1)) { _ = SystemCalls.send(writer, $0) }
    }

    borrowing func drain() {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { _ = SystemCalls.read(reader, into: $0) }
    }
}
