// Who may use which connection to a server: counting and queueing, for all loops of the process together.
//
// The pool holds no connections. Idle ones are in the shards, one shard for each loop, registered with that loop's epoll,
// so a request takes one without a system call and a server that hangs up is noticed at once. The pool only knows how
// many each shard has; when it subtracts one, it has reserved a connection of that shard.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// The book of the connections to one database, under a lock.
///
/// - Thread: any.
final class ConnectionPool: Sendable {
    /// A shard as the other loops see it. Waiting requests and idle connections keep their shard alive, so a shard that is
    /// gone has nothing left to do.
    struct ShardReference: Sendable {
        let mailbox: LoopMailbox
        private let shard: LoopBound<WeakShard>

        init(_ shard: PoolShard) {
            mailbox = shard.context.loop.mailbox
            self.shard = LoopBound(WeakShard(shard), mailbox)
        }

        /// The shard; to be used on its own loop.
        var here: PoolShard? { shard.wrapped.shard }

        /// Runs `body` on that loop.
        func submit(_ body: @escaping @Sendable (PoolShard) -> Void) {
            let shard = shard
            mailbox.submit { if let shard = shard.wrapped.shard { body(shard) } }
        }
    }

    private struct WeakShard {
        weak let shard: PoolShard?

        init(_ shard: PoolShard) { self.shard = shard }
    }

    private struct State {
        var book: PoolBook
        var shards: [ShardReference] = []
        /// When holders of connections may be notified again that somebody waits.
        var nextTelling = MonotonicInstant(nanoseconds: 0)
    }

    private static let tellingMilliseconds: Int64 = 100

    private let state: Mutex<State>

    init(connectionCountMax: Int) { state = Mutex(State(book: PoolBook(placeCountMax: connectionCountMax))) }

    func setConnectionCountMax(_ count: Int) {
        let shards = state.withLock { state -> [ShardReference] in
            guard state.book.placeCountMax != count else { return [] }
            state.book.setPlaceCountMax(count)
            return state.shards
        }
        for shard in shards { shard.submit { $0.limitDidChange() } }
    }

    /// - Returns: the index of the shard.
    func join(_ shard: ShardReference) -> Int {
        state.withLock { state in
            state.shards.append(shard)
            return state.book.addShard()
        }
    }

    func shard(_ index: Int) -> ShardReference { state.withLock { $0.shards[index] } }

    /// Reads or changes the book.
    func update<Value: Sendable>(_ body: (inout PoolBook) -> sending Value) -> sending Value {
        state.withLock { body(&$0.book) }
    }

    /// Records the present holder of a connection.
    func note(_ slot: Int, _ owner: LinkOwner, since: MonotonicInstant) {
        let holder = LockHolder(uid: owner.uid, pid: owner.pid, sinceNanoseconds: since.nanoseconds)
        state.withLock { $0.book.note(slot, holder) }
    }

    /// Whether any other user waits.
    func isWanted(byOthersThan uid: UInt32) -> Bool { state.withLock { $0.book.isWanted(byOthersThan: uid) } }

    /// Has every loop check for connections that are held without being used.
    func tellHolders(now: MonotonicInstant) {
        let shards = state.withLock { state -> [ShardReference] in
            guard now >= state.nextTelling else { return [] }
            state.nextTelling = now.advanced(byMilliseconds: Self.tellingMilliseconds)
            return state.shards
        }
        for shard in shards { shard.submit { $0.context.onContention?() } }
    }

    // MARK: Observation

    /// The error of a failed attempt to connect, with the time of the next attempt.
    func dated(_ error: DriverError, now: MonotonicInstant) -> DriverError {
        guard let failure = state.withLock({ $0.book.failure }), now < failure.until else { return error }
        return error.retryable(at: failure.until, now)
    }

    /// The error of a request that has waited too long.
    func exhausted(waitMilliseconds: Int64, now: MonotonicInstant) -> DriverError {
        let (load, oldest, failure) = state.withLock { state in
            state.book.noteTimeout()
            let oldest = state.book.holders.compactMap { $0 }.min { $0.sinceNanoseconds < $1.sinceNanoseconds }
            return (state.book.load, oldest, state.book.failure)
        }
        let (openCount, inUseCount, waiterCount) = (load.openCount, load.inUseCount, load.waitingCount)
        let connectionCountMax = load.connectionCountMax
        // There was room, but connecting failed: that is the reason.
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

    /// The load of the pool.
    var load: PoolLoad { state.withLock { $0.book.load } }
}

extension DriverError {
    /// The error with the time at which the next attempt is due.
    func retryable(at instant: MonotonicInstant, _ now: MonotonicInstant) -> DriverError {
        with { $0.retryAfterMilliseconds = max(1, instant.nanoseconds(since: now) / 1_000_000) }
    }
}
