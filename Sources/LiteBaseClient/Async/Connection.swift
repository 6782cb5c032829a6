// The asynchronous client's connection: shared state, and how tasks send and wait.
//
// Who reads is in Connection+Reading.swift, the thread in Connection+Thread.swift, the way to a lane and back in
// Connection+Lane.swift; what can be asked is in Client.swift.

internal import ByteBuffers
internal import LinuxSystem
internal import Synchronization

/// One connection that many tasks use at once.
///
/// Tasks write to the socket, or into the lane, themselves if it takes the bytes at once, one of them for all; a thread reads,
/// and writes what was not taken. A task that waits for a reply through a lane looks for it there for a short time before it is
/// suspended. No task is ever blocked, and the lock is never held across a system call.
/// - Thread: any. The thread of the connection keeps the object alive until `close()`.
final class Connection: Sendable {
    struct Waiter {
        let continuation: CheckedContinuation<ReplyEvent, any Error>
        let deadline: MonotonicInstant?
        let began: MonotonicInstant
    }

    /// The way to a lane, and back.
    enum LanePhase: Equatable {
        /// Everything goes over the socket.
        case none
        /// The thread is to ask for it as soon as these requests have their replies; nobody else sends anything until it has
        /// its own.
        case wanted(behind: Set<Int64>)
        case open
        /// The daemon leaves it; the thread does as soon as nobody else reads or writes.
        case leaving
    }

    struct State: ~Copyable {
        var router = ReplyRouter()
        var waiters: [Int64: Waiter] = [:]
        /// Not later than the first deadline of a waiter.
        var earliestDeadline: MonotonicInstant?
        var output = OutgoingBytes()
        var beingSent = OutgoingBytes()
        /// Whether a task writes `output`; others only append to it.
        var isSending = false
        /// Whether the socket is full and the thread has to continue writing.
        var isWriteBlocked = false
        /// Whether somebody reads, who alone may use `incoming`.
        var isReading = false
        /// Whether the thread wants to when he has done.
        var isReaderWanted = false
        var lane = LanePhase.none
        var upgrade: LaneUpgrade
        /// Writing failed; earlier replies of the server can still be read.
        var writeError: Errno?
        /// Set once the connection is of no further use.
        var failure: ClientError?
        var introduction = Introduction()
        /// Where notices go.
        var notices: AsyncStream<Notice>.Continuation?

        init(_ transport: Transport) { upgrade = LaneUpgrade(transport) }
    }

    let socket: OwnedDescriptor
    let wakeUp: WakeUp
    let state: Mutex<State>
    let incoming = Incoming()
    let outgoing = Outgoing()

    /// Takes over a connected, non-blocking stream socket and starts the thread.
    init(socket: consuming OwnedDescriptor, transport: Transport) throws(Errno) {
        self.socket = socket
        wakeUp = try WakeUp()
        state = Mutex(State(transport))
        try Thread.start(name: "litebase-client") { self.run() }
    }

    /// Ends the connection and fails the requests in flight.
    func close() {
        fail(.disconnected(nil))
        wakeUp.signal()
    }

    /// Fails the connection: every waiter gets the error.
    func fail(_ error: ClientError) {
        let (waiters, notices) = state.withLock { state in
            guard state.failure == nil else {
                return ([(Waiter, ReplyEvent)](), nil as AsyncStream<Notice>.Continuation?)
            }
            state.failure = error
            state.output.buffer.removeAll()
            state.router.fail(error)
            return (state.takeReady(state.waiters.keys.sorted()), state.notices.take())
        }
        notices?.finish()
        for (waiter, event) in waiters { waiter.continuation.resume(returning: event) }
    }
}

extension Connection.State {
    /// The waiters of these requests that have an event, and it.
    mutating func takeReady(_ ids: some Sequence<Int64>) -> [(Connection.Waiter, ReplyEvent)] {
        var ready: [(Connection.Waiter, ReplyEvent)] = []
        for id in ids {
            guard let waiter = waiters[id], let event = router.take(id) else { continue }
            waiters[id] = nil
            ready.append((waiter, event))
        }
        return ready
    }

    /// Appends a small request whose failure shows in the replies.
    mutating func appendQuietly(_ request: Request, id: Int64) {
        if failure == nil { try? request.encode(id: id, into: &output.buffer) }
    }

    /// Takes the next event of a request.
    /// - Returns: it, and whether the thread has to be woken: it does not read while too much waits to be taken.
    mutating func take(_ id: Int64) -> (event: ReplyEvent?, isReaderDue: Bool) {
        let wasFull = router.isFull
        let event = router.take(id)
        if event != nil { appendDueFetch(id) }
        return (event, wasFull && !router.isFull)
    }

    /// Drops what waits for a request, and cancels it or lets it run to its end.
    /// - Returns: whether the thread has to be woken, as `take` says.
    mutating func abandon(_ id: Int64, isCancelled: Bool) -> Bool {
        let wasFull = router.isFull
        if router.abandon(id), isCancelled { appendQuietly(.cancel(id: id), id: router.makeID()) }
        appendDueDisconnects()
        return wasFull && !router.isFull
    }

    /// Closes sessions that nobody waits for any more.
    mutating func appendDueDisconnects() {
        while let name = router.takeStrandedSession() { appendQuietly(.disconnect(session: name), id: router.makeID()) }
    }

    mutating func appendDueFetch(_ id: Int64) {
        if let fetchID = router.nextFetch(for: id) { appendQuietly(.fetch(id: id), id: fetchID) }
    }
}

// What tasks do.
extension Connection {
    /// Sends a request.
    /// - Returns: its id, to be waited for or abandoned.
    func start(_ request: Request, pageRows: Int64? = nil) throws(ClientError) -> Int64 {
        let (result, isLaneWanted) = state.withLock { state -> (Result<Int64, ClientError>, Bool) in
            if let failure = state.failure { return (.failure(failure), false) }
            let isLaneWanted = state.wantLane()
            let id = state.router.open(pageRows: pageRows)
            do throws(ClientError) {
                try request.encode(id: id, into: &state.output.buffer)
            } catch {
                state.router.forget(id)
                return (.failure(error), isLaneWanted)
            }
            return (.success(id), isLaneWanted)
        }
        if isLaneWanted { wakeUp.signal() }
        let id = try result.get()
        flush()
        return id
    }

    /// Waits for the next event of a request.
    ///
    /// When the task is cancelled, so is the request, and the wait ends at once.
    /// - Throws: `CancellationError`, `ClientError.timedOut`; a connection that ends is an event.
    func next(_ id: Int64, until deadline: MonotonicInstant?) async throws -> ReplyEvent {
        if let event = takeNow(id) { return event }
        let began = MonotonicInstant.now
        if let event = look(for: id, from: began, until: deadline) { return event }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                wait(for: id, Waiter(continuation: continuation, deadline: deadline, began: began))
            }
        } onCancel: {
            give(up: id, because: CancellationError())
        }
    }

    func takeNow(_ id: Int64) -> ReplyEvent? {
        let (event, isReaderDue) = state.withLock { $0.take(id) }
        if event != nil { flush() }
        if isReaderDue { wakeUp.signal() }
        return event
    }

    /// Ends the wait with the next event of a request, at once if it is there.
    func wait(for id: Int64, _ waiter: Waiter) {
        enum Step {
            case event(ReplyEvent, isReaderDue: Bool)
            case over
            case wait(isEarliest: Bool)
        }
        let step = state.withLock { state -> Step in
            let taken = state.take(id)
            if let event = taken.event { return .event(event, isReaderDue: taken.isReaderDue) }
            guard state.router.isOpen(id) else { return .over }
            state.waiters[id] = waiter
            guard let deadline = waiter.deadline else { return .wait(isEarliest: false) }
            let isEarliest = state.earliestDeadline.map { deadline < $0 } ?? true
            if isEarliest { state.earliestDeadline = deadline }
            return .wait(isEarliest: isEarliest)
        }
        switch step {
        case .event(let event, let isReaderDue):
            flush()
            if isReaderDue { wakeUp.signal() }
            waiter.continuation.resume(returning: event)
        case .over:
            // Cancelled between the first look and this one.
            waiter.continuation.resume(throwing: CancellationError())
        case .wait(let isEarliest):
            if isEarliest { wakeUp.signal() }
        }
    }

    /// Gives up a request: it is cancelled at the server, and whatever it still answers is dropped.
    func give(up id: Int64, because error: any Error) {
        let (waiter, isReaderDue) = state.withLock { state in
            let isReaderDue = state.abandon(id, isCancelled: true)
            return (state.waiters.removeValue(forKey: id), isReaderDue)
        }
        flush()
        if isReaderDue { wakeUp.signal() }
        waiter?.continuation.resume(throwing: error)
    }

    /// Lets a request run to its end without waiting for its answer.
    func abandonQuietly(_ id: Int64) {
        let isReaderDue = state.withLock { $0.abandon(id, isCancelled: false) }
        flush()
        if isReaderDue { wakeUp.signal() }
    }

    /// Writes the output, unless another task does.
    func flush() {
        let isMine = state.withLock { state in
            if state.isSending || state.output.buffer.isEmpty { return false }
            state.isSending = true
            return true
        }
        if isMine { sendAll() }
    }

    /// Writes until nothing is left or nothing more is taken; called by whoever has set `isSending`.
    func sendAll() {
        while true {
            guard let bytes = takeOutput() else { return }
            switch send(&bytes.buffer) {
            case nil: continue
            case .wouldBlock?:
                state.withLock { state in
                    // Others may have appended meanwhile; theirs comes later.
                    bytes.buffer.append(state.output.buffer.readable)
                    state.output.buffer.removeAll()
                    swap(&state.output, &state.beingSent)
                    state.isWriteBlocked = true
                }
            case .some(let error):
                state.withLock { $0.writeError = error }
            }
            wakeUp.signal()
            return
        }
    }

    /// The output to write, for the sender alone; `nil` if there is none, and then the caller is not the sender any more.
    private func takeOutput() -> OutgoingBytes? {
        let (bytes, isThreadNext) = state.withLock { state -> (OutgoingBytes?, Bool) in
            if state.lane == .leaving {
                // What comes now goes another way.
                state.isWriteBlocked = true
                return (nil, true)
            }
            state.isSending = !state.output.buffer.isEmpty
            guard state.isSending else { return (nil, false) }
            swap(&state.output, &state.beingSent)
            return (state.beingSent, false)
        }
        if isThreadNext { wakeUp.signal() }
        return bytes
    }

    private func send(_ bytes: inout ByteBuffer) -> Errno? {
        while !bytes.isEmpty {
            switch outgoing.send(bytes.readable, socket) {
            case .bytes(let count): bytes.consume(count)
            case .wouldBlock: return .wouldBlock
            case .endOfStream: return .brokenPipe
            case .failed(let error): return error
            }
        }
        return nil
    }
}

/// The way that bytes go. Unchecked, because it is used only by whoever has set `State.isSending`.
final class Outgoing: @unchecked Sendable {
    var lane: LaneOutput?

    func send(_ bytes: UnsafeRawBufferPointer, _ socket: borrowing OwnedDescriptor) -> IOOutcome {
        guard let outcome = lane?.write(bytes) else { return SystemCalls.send(socket, bytes) }
        if lane?.mustRing() == true { LaneSignals.ring(socket) }
        return outcome
    }

    var hasNewRoom: Bool { lane?.hasNewRoom ?? false }
}

/// Bytes on their way.
///
/// Unchecked, because the compiler cannot see the rule: `State.output` is used under the lock only, and
/// `State.beingSent` only by the task that set `isSending`.
final class OutgoingBytes: @unchecked Sendable {
    var buffer = ByteBuffer()
}
