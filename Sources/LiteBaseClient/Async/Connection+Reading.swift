// Who reads an asynchronous client's connection, and hands events to tasks: its thread, or, through a lane, a task that looks
// for its own reply.

internal import ByteBuffers
internal import LinuxSystem
internal import Synchronization

/// What is read. Unchecked, because it is used only by whoever has set `State.isReading`.
final class Incoming: @unchecked Sendable {
    var buffer = ByteBuffer()
    var lane: LaneInput?
    var looker = LaneLooker()

    /// Whether there is something in the lane that was not read.
    var hasNews: Bool { lane?.hasNews ?? false }

    func look(until deadline: MonotonicInstant) -> Bool {
        looker.look(until: deadline) { hasNews }
    }

    /// The daemon has to ring from now on; whoever says so looks once more.
    func announceSleep() { lane?.announceSleep() }

    /// The daemon need not ring.
    func wakeUp() { lane?.wakeUp() }
}

// The task that looks.
extension Connection {
    /// Looks for an event in the lane for a short time, and hands to others what is theirs.
    /// - Returns: `nil` if it has to be waited for.
    func look(for id: Int64, from began: MonotonicInstant, until deadline: MonotonicInstant?) -> ReplyEvent? {
        let isMine = state.withLock { state in
            // A full ring is the thread's, and so is what nobody reads for now.
            guard state.lane == .open, !state.isReading, !state.isWriteBlocked, !state.router.isFull,
                state.failure == nil
            else { return false }
            state.isReading = true
            return true
        }
        guard isMine else { return nil }
        let end = min(began.advanced(byNanoseconds: LaneLooker.nanosecondsMax), deadline ?? .distantFuture)
        incoming.wakeUp()
        var event: ReplyEvent?
        while event == nil, incoming.look(until: end), receiveFromLane() {
            event = takeNow(id)
            if MonotonicInstant.now >= end { break }
        }
        endLooking()
        return event
    }

    private func endLooking() {
        incoming.announceSleep()
        // The thread need not wake up for what is there already, unless there is ever more.
        if incoming.hasNews, receiveFromLane() { incoming.announceSleep() }
        let isMore = incoming.hasNews
        if endReading() || isMore { wakeUp.signal() }
    }

    /// - Returns: whether the thread waits for that.
    private func endReading() -> Bool {
        state.withLock { state in
            state.isReading = false
            defer { state.isReaderWanted = false }
            return state.isReaderWanted
        }
    }
}

// The thread's turns.
extension Connection {
    /// What a turn of the thread has come to.
    enum LaneTurn {
        /// A task reads, and wakes the thread when it has done.
        case none
        /// Something is left, since too much waits to be taken already.
        case full
        /// Something is left for the next turn: a stream may flow for ever, and there are deadlines and writes beside it.
        case more
        /// There was nothing more.
        case dry
    }

    private static let readCountOfTurn = 4

    /// Reads the lane until there is nothing more in it, or nobody wants it, or others have their turn, and has the daemon ring for
    /// what comes.
    func readLane() -> LaneTurn {
        let isMine = state.withLock { state in
            state.isReaderWanted = state.isReading
            if state.isReading { return false }
            state.isReading = true
            return true
        }
        guard isMine else { return .none }
        var restCount = Self.readCountOfTurn
        repeat {
            incoming.wakeUp()
            while restCount > 0, receiveFromLane() { restCount -= 1 }
            incoming.announceSleep()
        } while restCount > 0 && incoming.hasNews && mayRead
        let isDry = !incoming.hasNews
        _ = endReading()
        if isDry { return .dry }
        return mayRead ? .more : .full
    }

    private var mayRead: Bool { state.withLock { !$0.router.isFull && $0.failure == nil } }

    /// Reads once, for the reader.
    /// - Returns: false if there is nothing, or nobody wants it now.
    private func receiveFromLane() -> Bool {
        guard mayRead, let outcome = incoming.lane?.read(into: incoming.buffer.writable(65536)) else { return false }
        if incoming.lane?.mustRing() == true { LaneSignals.ring(socket) }
        switch outcome {
        case .bytes(let count):
            incoming.buffer.commit(count)
            dispatchFrames()
            return true
        case .wouldBlock, .endOfStream: return false
        case .failed(let error):
            fail(.disconnected(error))
            wakeUp.signal()
            return false
        }
    }

    /// Hands out the whole frames that were received, for the reader.
    func dispatchFrames() {
        do throws(ClientError) {
            while let body = try Frames.first(in: incoming.buffer.readable) {
                try dispatch(Reply(body), byteCount: body.count)
                incoming.buffer.consume(4 + body.count)
            }
        } catch {
            fail(error)
            wakeUp.signal()
        }
    }

    func dispatch(_ reply: Reply, byteCount: Int) throws(ClientError) {
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
        for (waiter, event) in ready {
            if incoming.lane != nil { incoming.looker.waited(since: waiter.began) }
            waiter.continuation.resume(returning: event)
        }
    }
}
