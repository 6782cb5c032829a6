// Who may use which connection to a server: counting and queueing, for all loops of the process together.
//
// The pool holds no connection. Idle ones lie in the lanes, one lane for each loop, registered with that loop's epoll, so
// that a request takes one without a system call and a server that hangs up is noticed at once. What the pool knows of
// them is how many each lane has; a number that was taken away from a lane is a promise that it will give one.

internal import LinuxSystem
internal import Synchronization

/// The book of the connections to one database, under a lock.
///
/// - Thread: any.
final class ConnectionPool: Sendable {
    /// A lane as the other loops know it. Whoever waits, and whatever is idle, keeps its lane; so one that is gone has
    /// nothing to do any more.
    struct LaneReference: Sendable {
        let mailbox: LoopMailbox
        private let lane: LoopBound<WeakLane>

        init(_ lane: PoolLane) {
            mailbox = lane.context.loop.mailbox
            self.lane = LoopBound(WeakLane(lane), mailbox)
        }

        /// The lane, on its own loop.
        var here: PoolLane? { lane.wrapped.lane }

        /// Runs `body` on that loop.
        func submit(_ body: @escaping @Sendable (PoolLane) -> Void) {
            let lane = lane
            mailbox.submit { if let lane = lane.wrapped.lane { body(lane) } }
        }
    }

    private struct WeakLane {
        weak let lane: PoolLane?

        init(_ lane: PoolLane) { self.lane = lane }
    }

    private struct State {
        var book: PoolBook
        var lanes: [LaneReference] = []
        /// When those who hold connections may be told again that somebody waits.
        var nextTelling = MonotonicInstant(nanoseconds: 0)
    }

    private static let tellingMilliseconds: Int64 = 100

    private let state: Mutex<State>
    let connectionCountMax: Int

    init(connectionCountMax: Int) {
        let book = PoolBook(placeCountMax: connectionCountMax)
        self.connectionCountMax = book.placeCountMax
        state = Mutex(State(book: book))
    }

    /// - Returns: the index of the lane.
    func join(_ lane: LaneReference) -> Int {
        state.withLock { state in
            state.lanes.append(lane)
            return state.book.addLane()
        }
    }

    func lane(_ index: Int) -> LaneReference { state.withLock { $0.lanes[index] } }

    /// Reads or changes the book.
    func update<Value: Sendable>(_ body: (inout PoolBook) -> sending Value) -> sending Value {
        state.withLock { body(&$0.book) }
    }

    /// Notes who has a connection now.
    func note(_ slot: Int, _ owner: LinkOwner, since: MonotonicInstant) {
        let holder = LockHolder(uid: owner.uid, pid: owner.pid, sinceNanoseconds: since.nanoseconds)
        state.withLock { $0.book.note(slot, holder) }
    }

    /// Whether anybody but that user waits.
    func isWanted(byOthersThan uid: UInt32) -> Bool { state.withLock { $0.book.isWanted(byOthersThan: uid) } }

    /// Has every loop look at who holds connections without using them.
    func tellHolders(now: MonotonicInstant) {
        let lanes = state.withLock { state -> [LaneReference] in
            guard now >= state.nextTelling else { return [] }
            state.nextTelling = now.advanced(byMilliseconds: Self.tellingMilliseconds)
            return state.lanes
        }
        for lane in lanes { lane.submit { $0.context.onContention?() } }
    }

    // MARK: Observation

    /// The error of a failed attempt to connect, with the time of the next one.
    func dated(_ error: DriverError, now: MonotonicInstant) -> DriverError {
        guard let failure = state.withLock({ $0.book.failure }), now < failure.until else { return error }
        return error.retryable(at: failure.until, now)
    }

    /// The error of a request that has waited too long.
    func exhausted(waitMilliseconds: Int64, now: MonotonicInstant) -> DriverError {
        let (openCount, inUseCount, waiterCount, oldest, failure) = state.withLock { state in
            state.book.noteTimeout()
            let oldest = state.book.holders.compactMap { $0 }.min { $0.sinceNanoseconds < $1.sinceNanoseconds }
            let load = state.book.load
            return (load.openCount, load.inUseCount, load.waitingCount, oldest, state.book.failure)
        }
        // There was room, but no connection could be made: that is what is wrong.
        if openCount < connectionCountMax, let failure { return failure.told(now) }
        let others = waiterCount == 1 ? "1 other request waits" : "\(waiterCount) other requests wait"
        return DriverError(
            .busy,
            "No connection to the database became free within \(waitMilliseconds) ms: \(inUseCount) of "
                + "\(connectionCountMax) (pool_connections_max) are in use, \(others).",
            hint: "Try again; close sessions that are not needed, or raise limits.pool_connections_max.",
            sqlState: "53300"
        ).with {
            $0.isRetryable = true
            $0.holder = oldest
            $0.limit = DriverLimit(name: "pool_connections_max", value: Int64(connectionCountMax))
        }
    }

    /// How busy it is.
    var load: PoolLoad { state.withLock { $0.book.load } }
}

extension DriverError {
    /// The error with the time when the next attempt is due.
    func retryable(at instant: MonotonicInstant, _ now: MonotonicInstant) -> DriverError {
        with { $0.retryAfterMilliseconds = max(1, instant.nanoseconds(since: now) / 1_000_000) }
    }
}
