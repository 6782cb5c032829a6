// The state of a pool: how many connections exist, who uses one, who waits. It knows no locks, loops or sockets, so
// tests can try events in any order.

internal import DatabaseContract
internal import LinuxSystem

/// A request for a connection. Users take turns over all loops; each user's requests keep their order.
struct PoolWaiter: Sendable, Equatable {
    let number: UInt64
    let shardIndex: Int
    let uid: UInt32
    let since: MonotonicInstant
}

/// Who may use how many connections, and who gets the next one.
///
/// A place is a connection that is lent, or reserved for a request. `placeCountMax` are for all; a user without any
/// gets one beyond them, up to twice as many: whatever others hold, nobody is excluded.
/// - Thread: that of its owner.
struct PoolBook {
    enum Acquisition {
        /// One of the caller's shard.
        case idle
        /// The caller opens a new one.
        case open(slot: Int)
        /// One of another shard, which has to pass it on.
        case donation(shard: Int)
        /// The caller waits; there is room for a new connection, which belongs to the waiter whose turn it is.
        case queuedBehind(PoolWaiter, slot: Int)
        /// The caller waits; if there is a time, the next attempt to connect is due then.
        case queued(retry: MonotonicInstant?)
        case failed(DriverError, until: MonotonicInstant)
    }

    /// What to do when a connection is free.
    enum Release {
        case keep
        case handOver(PoolWaiter)
        /// There are more than may be kept.
        case close
    }

    /// What to do when a connection is gone.
    enum Aftermath {
        case nothing
        /// A waiter opens a new one.
        case open(PoolWaiter, slot: Int)
        /// A waiter gets an idle one, which its shard has to pass on.
        case donate(PoolWaiter, shard: Int)
        /// There are no connections, and none can be made.
        case fail([PoolWaiter], DriverError)
        /// Somebody waits, and an attempt to connect is due then.
        case retry(MonotonicInstant)
    }

    /// Why the last attempt to connect failed, and when the next one is due.
    struct Failure {
        var error: DriverError
        var until: MonotonicInstant

        func told(_ now: MonotonicInstant) -> DriverError { error.retryable(at: until, now) }
    }

    private(set) var placeCountMax: Int
    private var idleCounts: [Int] = []
    private(set) var openCount = 0
    private var freeSlots: [Int] = []
    private var slotCount = 0
    /// By slot; `nil` for one without a user.
    private(set) var holders: [LockHolder?] = []
    /// Places, by user.
    private(set) var places = UserShares()
    private(set) var waiters = FairQueue<PoolWaiter>()
    private(set) var failure: Failure?
    private var failureCount = 0
    private var statistics = PoolLoad()

    private static let firstBackoffMilliseconds: Int64 = 100
    private static let backoffMillisecondsMax: Int64 = 5_000

    init(placeCountMax: Int) { self.placeCountMax = max(1, placeCountMax) }

    /// With fewer, connections beyond are closed when they are returned, and idle ones are to be closed (`withdrawIdleBeyond`); with
    /// more, those who wait are to be served (`serveAlong`).
    mutating func setPlaceCountMax(_ count: Int) { placeCountMax = max(1, count) }

    private var openCountMax: Int { 2 * placeCountMax }

    /// Beyond the common places only if all are really in use: a connection that is being reset comes back.
    private var mayOpen: Bool {
        openCount < placeCountMax || (places.count >= placeCountMax && openCount < openCountMax)
    }
    var idleCount: Int { idleCounts.reduce(0, +) }

    /// - Returns: the index of a new shard.
    mutating func addShard() -> Int {
        idleCounts.append(0)
        return idleCounts.count - 1
    }

    private func mayHave(_ uid: UInt32) -> Bool { places.mayBegin(uid, limit: placeCountMax) }

    /// Whether taking a connection now would overtake somebody.
    private var mustWaitInTurn: Bool { !waiters.isEmpty && waiters.hasUser(where: mayHave) }

    /// Whether any other user waits.
    func isWanted(byOthersThan uid: UInt32) -> Bool { !waiters.isEmpty && waiters.hasUser { $0 != uid } }

    // MARK: Taking

    /// Takes one of the shard's own.
    mutating func takeIdle(_ shardIndex: Int, for uid: UInt32) -> Bool {
        guard idleCounts[shardIndex] > 0, mayHave(uid), !mustWaitInTurn else { return false }
        idleCounts[shardIndex] -= 1
        begin(uid)
        return true
    }

    mutating func acquire(_ waiter: PoolWaiter, now: MonotonicInstant) -> Acquisition {
        if takeIdle(waiter.shardIndex, for: waiter.uid) { return .idle }
        let isConnectingDue = failure.map { now >= $0.until } ?? true
        if let failure, !isConnectingDue, openCount == 0 { return .failed(failure.error, until: failure.until) }
        if isConnectingDue, openCount < placeCountMax {
            // Nobody is overtaken.
            guard let first = popWaiter() else {
                if mayHave(waiter.uid) { return .open(slot: takeSlot(for: waiter.uid)) }
                append(waiter)
                return .queued(retry: nil)
            }
            append(waiter)
            return .queuedBehind(first, slot: takeSlot(for: first.uid))
        }
        if mayHave(waiter.uid), !mustWaitInTurn {
            if let donor = idleCounts.firstIndex(where: { $0 > 0 }) {
                idleCounts[donor] -= 1
                begin(waiter.uid)
                return .donation(shard: donor)
            }
            if isConnectingDue, mayOpen { return .open(slot: takeSlot(for: waiter.uid)) }
        }
        append(waiter)
        return .queued(retry: openCount < openCountMax ? failure?.until : nil)
    }

    private mutating func append(_ waiter: PoolWaiter) {
        waiters.append(waiter, of: waiter.uid)
        statistics.delayedCount += 1
        statistics.waitingPeak = max(statistics.waitingPeak, waiters.count)
    }

    /// The waiter whose turn it is, among those who may have a place.
    private mutating func popWaiter() -> PoolWaiter? {
        let (places, limit) = (places, placeCountMax)
        guard let waiter = waiters.popFirst(where: { places.mayBegin($0, limit: limit) }) else { return nil }
        noteWait(of: waiter)
        return waiter
    }

    private mutating func noteWait(of waiter: PoolWaiter) {
        let milliseconds = MonotonicInstant.now.nanoseconds(since: waiter.since) / 1_000_000
        statistics.waitMillisecondsPeak = max(statistics.waitMillisecondsPeak, milliseconds)
    }

    private mutating func begin(_ uid: UInt32) {
        places.begin(uid)
        statistics.inUsePeak = max(statistics.inUsePeak, places.count)
    }

    private mutating func takeSlot(for uid: UInt32) -> Int {
        openCount += 1
        begin(uid)
        if let slot = freeSlots.popLast() { return slot }
        slotCount += 1
        holders.append(nil)
        return slotCount - 1
    }

    /// An attempt to connect may be due, or another connection be needed, for the waiter whose turn it is.
    mutating func serveNext(now: MonotonicInstant) -> Aftermath {
        if let donor = idleCounts.firstIndex(where: { $0 > 0 }) {
            guard let waiter = popWaiter() else { return .nothing }
            idleCounts[donor] -= 1
            begin(waiter.uid)
            return .donate(waiter, shard: donor)
        }
        if let failure, now < failure.until { return waiters.isEmpty ? .nothing : .retry(failure.until) }
        guard mayOpen, let waiter = popWaiter() else { return .nothing }
        return .open(waiter, slot: takeSlot(for: waiter.uid))
    }

    /// The same, unless connecting has failed: then attempts come one after the other.
    mutating func serveAlong(now: MonotonicInstant) -> Aftermath { failure == nil ? serveNext(now: now) : .nothing }

    /// Leaves the queue.
    /// - Returns: false if the waiter is not in the queue any more: a connection is on its way.
    mutating func withdraw(_ number: UInt64, _ shardIndex: Int) -> Bool {
        let waiter = waiters.remove { $0.number == number && $0.shardIndex == shardIndex }
        guard let waiter else { return false }
        noteWait(of: waiter)
        return true
    }

    mutating func note(_ slot: Int, _ holder: LockHolder) { holders[slot] = holder }

    // MARK: Giving back

    /// A reserved connection could not be delivered.
    mutating func giveUp(_ uid: UInt32) { places.end(uid) }

    /// A connection is free; `uid` is the user who had it, if any.
    mutating func release(_ slot: Int, _ shardIndex: Int, of uid: UInt32?) -> Release {
        holders[slot] = nil
        if let uid { places.end(uid) }
        if let waiter = popWaiter() {
            begin(waiter.uid)
            return .handOver(waiter)
        }
        // Beyond twice as many is what a higher limit has left.
        if openCount > openCountMax || (openCount > placeCountMax && places.count < placeCountMax) { return .close }
        idleCounts[shardIndex] += 1
        return .keep
    }

    /// One of the shard's idle connections is lost, too old, or has to be reset.
    /// - Returns: false if it is reserved for a waiter, who will notice.
    mutating func withdrawIdle(_ shardIndex: Int) -> Bool {
        guard idleCounts[shardIndex] > 0 else { return false }
        idleCounts[shardIndex] -= 1
        return true
    }

    /// One of the shard's idle connections is to be closed, since there are more than there may be.
    mutating func withdrawIdleBeyond(_ shardIndex: Int) -> Bool {
        openCount > placeCountMax && withdrawIdle(shardIndex)
    }

    /// A connection was closed; `uid` is the user who had it, if any.
    mutating func discard(_ slot: Int, of uid: UInt32?, now: MonotonicInstant) -> Aftermath {
        free(slot, of: uid)
        if let failure, now < failure.until { return failAll(failure, now) }
        return serveNext(now: now)
    }

    /// A connection could not be made.
    mutating func openFailed(_ slot: Int, of uid: UInt32, _ error: DriverError, now: MonotonicInstant) -> Aftermath {
        free(slot, of: uid)
        // Several attempts at once count as one.
        if failure.map({ $0.until <= now }) ?? true { failureCount += 1 }
        let doubled = Self.firstBackoffMilliseconds << Int64(min(failureCount - 1, 10))
        let failure = Failure(
            error: error, until: now.advanced(byMilliseconds: min(doubled, Self.backoffMillisecondsMax)))
        self.failure = failure
        return failAll(failure, now)
    }

    mutating func openSucceeded() {
        failure = nil
        failureCount = 0
    }

    private mutating func free(_ slot: Int, of uid: UInt32?) {
        openCount -= 1
        freeSlots.append(slot)
        holders[slot] = nil
        if let uid { places.end(uid) }
    }

    // A waiter may still get a connection that somebody else returns.
    private mutating func failAll(_ failure: Failure, _ now: MonotonicInstant) -> Aftermath {
        guard !waiters.isEmpty else { return .nothing }
        guard openCount == 0 else { return .retry(failure.until) }
        var all: [PoolWaiter] = []
        while let waiter = waiters.popFirst() {
            noteWait(of: waiter)
            all.append(waiter)
        }
        return .fail(all, failure.told(now))
    }

    // MARK: Observation

    mutating func noteTimeout() { statistics.timeoutCount += 1 }

    /// The load of the pool.
    var load: PoolLoad {
        var load = statistics
        load.connectionCountMax = placeCountMax
        load.openCount = openCount
        load.inUseCount = openCount - idleCount
        load.waitingCount = waiters.count
        return load
    }
}
