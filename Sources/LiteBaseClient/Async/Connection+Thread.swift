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

    /// The thread's life: until the connection fails or is closed.
    func run() {
        var input = ByteBuffer()
        while let interest = interest() {
            // A socket that nothing is wanted from must not wake the thread by its hang-up.
            let number = interest.events.isEmpty ? -1 : socket.number
            let (ready, isWoken) = Polling.wait((number, interest.events), wakeUp.number, until: interest.deadline)
            if isWoken { wakeUp.drain() }
            if ready.contains(.writable) { resumeWriting() }
            if ready.contains(.readable) { receive(&input) }
            expireWaiters()
        }
        Sockets.shutdownBoth(socket)
    }

    /// What to wait for; `nil` once the connection is over.
    private func interest() -> Interest? {
        state.withLock { state in
            if state.failure != nil { return nil }
            var events: Polling.Readiness = []
            // Backpressure: while too much waits for slow consumers, the server has to wait, too.
            if !state.router.isFull { events.insert(.readable) }
            if state.isWriteBlocked { events.insert(.writable) }
            return Interest(events: events, deadline: state.earliestDeadline)
        }
    }

    private func resumeWriting() {
        let isMine = state.withLock { state in
            defer { state.isWriteBlocked = false }
            return state.isWriteBlocked
        }
        if isMine { sendAll() }
    }

    private func receive(_ input: inout ByteBuffer) {
        switch SystemCalls.read(socket, into: input.writable(65536)) {
        case .bytes(let count):
            input.commit(count)
            dispatchFrames(&input)
        case .wouldBlock:
            if let error = state.withLock({ $0.writeError }) { fail(.disconnected(error)) }
        case .endOfStream: fail(.disconnected(nil))
        case .failed(let error): fail(.disconnected(error))
        }
    }

    private func dispatchFrames(_ input: inout ByteBuffer) {
        do throws(ClientError) {
            while let body = try Frames.first(in: input.readable) {
                try dispatch(Reply(body), byteCount: body.count)
                input.consume(4 + body.count)
            }
        } catch {
            fail(error)
        }
    }

    private func dispatch(_ reply: Reply, byteCount: Int) throws(ClientError) {
        if reply.isNotice {
            // The stream has a lock of its own.
            _ = state.withLock({ $0.notices })?.yield(Notice(reply.data))
            return
        }
        let result = state.withLock { state -> Result<[(Waiter, ReplyEvent)], ClientError> in
            do throws(ClientError) {
                let news = try state.router.receive(reply, byteCount: byteCount)
                state.appendDueDisconnects()
                guard let id = news else { return .success([]) }
                let ready = state.takeReady(CollectionOfOne(id))
                state.appendDueFetch(id)
                return .success(ready)
            } catch {
                return .failure(error)
            }
        }
        let ready = try result.get()
        flush()
        for (waiter, event) in ready { waiter.continuation.resume(returning: event) }
    }

    private func expireWaiters() {
        let expired = state.withLock { state -> [Int64] in
            guard let earliest = state.earliestDeadline, earliest <= .now else { return [] }
            let now = MonotonicInstant.now
            state.earliestDeadline = state.waiters.values.compactMap(\.deadline).filter { $0 > now }.min()
            return state.waiters.filter { $1.deadline.map { $0 <= now } ?? false }.map(\.key)
        }
        for id in expired { give(up: id, because: ClientError.timedOut) }
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
