// Who may use which connection to a server: counting and queueing, for all loops of the process together.
//
// The pool holds no connection. Idle ones lie in the lanes, one lane for each loop, registered with that loop's epoll, so
// that a request takes one without a system call and a server that hangs up is noticed at once. What the pool knows of
// them is how many each lane has; a number that was taken away from a lane is a promise that it will give one.

internal import LinuxSystem
internal import Synchronization

/// The book of the connections to one database.
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

    /// A request for a connection. Users take turns over all loops; each user's requests keep their order.
    struct Waiter: Sendable {
        let number: UInt64
        let laneIndex: Int
        let uid: UInt32
        let since: MonotonicInstant
    }

    enum Acquisition {
        /// One of the caller's lane.
        case idle
        /// The caller opens a new one.
        case open(slot: Int)
        /// One of another lane, which is to bring it.
        case donation(LaneReference)
        /// The caller waits; there is room for a new connection, which is for the one who waits the longest.
        case queuedBehind(Waiter, slot: Int)
        /// The caller waits; where there is a time, an attempt to connect is due then.
        case queued(retry: MonotonicInstant?)
        case failed(DriverError)
    }

    /// What follows when a connection is free.
    enum Release {
        case keep
        case handOver(Waiter)
    }

    /// What follows when a connection is gone.
    enum Aftermath {
        case nothing
        /// The first waiter opens a new one.
        case open(Waiter, slot: Int)
        /// Nobody has a connection, and none can be had.
        case fail([Waiter], DriverError)
        /// Somebody waits, and an attempt to connect is due then.
        case retry(MonotonicInstant)
    }

    private struct State {
        var lanes: [LaneReference] = []
        var idleCounts: [Int] = []
        var openCount = 0
        var freeSlots: [Int] = []
        var slotCount = 0
        /// By slot; `nil` while nobody uses it.
        var holders: [LockHolder?] = []
        var waiters = FairQueue<Waiter>()
        var failure: Failure?
        var failureCount = 0
        var load = PoolLoad()

        var idleCount: Int { idleCounts.reduce(0, +) }

        mutating func append(_ waiter: Waiter) {
            waiters.append(waiter, of: waiter.uid)
            load.delayedCount += 1
            load.waitingPeak = max(load.waitingPeak, waiters.count)
        }

        /// Whose turn it is.
        mutating func popWaiter() -> Waiter? {
            guard let waiter = waiters.popFirst() else { return nil }
            noteWait(of: waiter)
            return waiter
        }

        mutating func noteWait(of waiter: Waiter) {
            let milliseconds = MonotonicInstant.now.nanoseconds(since: waiter.since) / 1_000_000
            load.waitMillisecondsPeak = max(load.waitMillisecondsPeak, milliseconds)
        }

        mutating func noteUse() { load.inUsePeak = max(load.inUsePeak, openCount - idleCount) }
    }

    /// Why the last attempt to connect failed, and when the next one is due.
    private struct Failure {
        var error: DriverError
        var until: MonotonicInstant
    }

    let connectionCountMax: Int
    private let state = Mutex(State())

    private static let firstBackoffMilliseconds: Int64 = 100
    private static let backoffMillisecondsMax: Int64 = 5_000

    init(connectionCountMax: Int) { self.connectionCountMax = max(1, connectionCountMax) }

    /// - Returns: the index of the lane.
    func join(_ lane: LaneReference) -> Int {
        state.withLock { state in
            state.lanes.append(lane)
            state.idleCounts.append(0)
            return state.lanes.count - 1
        }
    }

    func lane(_ index: Int) -> LaneReference { state.withLock { $0.lanes[index] } }

    // MARK: Taking

    /// Takes one of the lane's own, when nobody waits.
    func takeIdle(_ laneIndex: Int) -> Bool {
        state.withLock { state in
            guard state.waiters.isEmpty, state.idleCounts[laneIndex] > 0 else { return false }
            state.idleCounts[laneIndex] -= 1
            state.noteUse()
            return true
        }
    }

    func acquire(_ waiter: Waiter, now: MonotonicInstant) -> Acquisition {
        state.withLock { state in
            defer { state.noteUse() }
            if state.waiters.isEmpty, state.idleCounts[waiter.laneIndex] > 0 {
                state.idleCounts[waiter.laneIndex] -= 1
                return .idle
            }
            if let failure = state.failure, now < failure.until {
                if state.openCount == 0 { return .failed(failure.error.retryable(at: failure.until, now)) }
            } else if state.openCount < connectionCountMax {
                // Nobody is overtaken.
                guard let first = state.popWaiter() else { return .open(slot: Self.takeSlot(&state)) }
                state.append(waiter)
                return .queuedBehind(first, slot: Self.takeSlot(&state))
            }
            if state.waiters.isEmpty, let donor = state.idleCounts.firstIndex(where: { $0 > 0 }) {
                state.idleCounts[donor] -= 1
                return .donation(state.lanes[donor])
            }
            state.append(waiter)
            return .queued(retry: state.openCount < connectionCountMax ? state.failure?.until : nil)
        }
    }

    /// An attempt to connect may be due, or another connection wanted: for whose turn it is.
    func openForWaiter(now: MonotonicInstant) -> Aftermath {
        state.withLock { state in
            if let failure = state.failure, now < failure.until { return .nothing }
            guard state.openCount < connectionCountMax, let waiter = state.popWaiter() else { return .nothing }
            return .open(waiter, slot: Self.takeSlot(&state))
        }
    }

    /// Leaves the queue.
    /// - Returns: false when the waiter is not in it any more: a connection is on its way.
    func withdraw(_ number: UInt64, _ laneIndex: Int) -> Bool {
        state.withLock { state in
            let waiter = state.waiters.remove { $0.number == number && $0.laneIndex == laneIndex }
            guard let waiter else { return false }
            state.noteWait(of: waiter)
            return true
        }
    }

    /// Notes who has a connection now.
    func note(_ slot: Int, _ owner: LinkOwner, since: MonotonicInstant) {
        let holder = LockHolder(uid: owner.uid, pid: owner.pid, sinceNanoseconds: since.nanoseconds)
        state.withLock { $0.holders[slot] = holder }
    }

    private static func takeSlot(_ state: inout State) -> Int {
        state.openCount += 1
        if let slot = state.freeSlots.popLast() { return slot }
        state.slotCount += 1
        state.holders.append(nil)
        return state.slotCount - 1
    }

    // MARK: Giving back

    func release(_ slot: Int, _ laneIndex: Int) -> Release {
        state.withLock { state in
            state.holders[slot] = nil
            if let waiter = state.popWaiter() { return .handOver(waiter) }
            state.idleCounts[laneIndex] += 1
            return .keep
        }
    }

    /// One of the lane's idle connections is lost or too old.
    /// - Returns: false when it is promised to somebody, who will find it missing.
    func withdrawIdle(_ laneIndex: Int) -> Bool {
        state.withLock { state in
            guard state.idleCounts[laneIndex] > 0 else { return false }
            state.idleCounts[laneIndex] -= 1
            return true
        }
    }

    /// A connection was closed.
    func discard(_ slot: Int, now: MonotonicInstant) -> Aftermath {
        state.withLock { state in
            Self.free(slot, &state)
            if let failure = state.failure, now < failure.until { return Self.failAll(&state, failure, now) }
            guard let waiter = state.popWaiter() else { return .nothing }
            return .open(waiter, slot: Self.takeSlot(&state))
        }
    }

    /// A connection could not be made.
    func openFailed(_ slot: Int, _ error: DriverError, now: MonotonicInstant) -> Aftermath {
        state.withLock { state in
            Self.free(slot, &state)
            // Several attempts at once count as one.
            if state.failure.map({ $0.until <= now }) ?? true { state.failureCount += 1 }
            let doubled = Self.firstBackoffMilliseconds << Int64(min(state.failureCount - 1, 10))
            let failure = Failure(
                error: error, until: now.advanced(byMilliseconds: min(doubled, Self.backoffMillisecondsMax)))
            state.failure = failure
            return Self.failAll(&state, failure, now)
        }
    }

    /// The error of a failed attempt to connect, with the time of the next one.
    func dated(_ error: DriverError, now: MonotonicInstant) -> DriverError {
        guard let failure = state.withLock({ $0.failure }), now < failure.until else { return error }
        return error.retryable(at: failure.until, now)
    }

    func openSucceeded() {
        state.withLock { state in
            state.failure = nil
            state.failureCount = 0
        }
    }

    private static func free(_ slot: Int, _ state: inout State) {
        state.openCount -= 1
        state.freeSlots.append(slot)
        state.holders[slot] = nil
    }

    // Who waits for a connection that somebody else has may still get it.
    private static func failAll(_ state: inout State, _ failure: Failure, _ now: MonotonicInstant) -> Aftermath {
        guard !state.waiters.isEmpty else { return .nothing }
        guard state.openCount == 0 else { return .retry(failure.until) }
        var waiters: [Waiter] = []
        while let waiter = state.popWaiter() { waiters.append(waiter) }
        return .fail(waiters, failure.error.retryable(at: failure.until, now))
    }

    // MARK: Observation

    /// The error of a request that has waited too long.
    func exhausted(waitMilliseconds: Int64, now: MonotonicInstant) -> DriverError {
        let (openCount, waiterCount, oldest, failure) = state.withLock { state in
            state.load.timeoutCount += 1
            let oldest = state.holders.compactMap { $0 }.min { $0.sinceNanoseconds < $1.sinceNanoseconds }
            return (state.openCount, state.waiters.count, oldest, state.failure)
        }
        // There was room, but no connection could be made: that is what is wrong.
        if openCount < connectionCountMax, let failure { return failure.error.retryable(at: failure.until, now) }
        let others = waiterCount == 1 ? "1 other request waits" : "\(waiterCount) other requests wait"
        return DriverError(
            .busy,
            "No connection to the database became free within \(waitMilliseconds) ms: \(openCount) of "
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
    var load: PoolLoad {
        state.withLock { state in
            var load = state.load
            load.connectionCountMax = connectionCountMax
            load.openCount = state.openCount
            load.inUseCount = state.openCount - state.idleCount
            load.waitingCount = state.waiters.count
            return load
        }
    }
}

extension DriverError {
    /// The error with the time when the next attempt is due.
    func retryable(at instant: MonotonicInstant, _ now: MonotonicInstant) -> DriverError {
        with { $0.retryAfterMilliseconds = max(1, instant.nanoseconds(since: now) / 1_000_000) }
    }
}
