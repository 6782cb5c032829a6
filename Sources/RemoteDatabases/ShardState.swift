// One loop's part of a pool, as a value: which idle connections may be used and for how long, and what its requests wait for. It
// knows no socket, loop or clock, so tests can try events in any order.

internal import DatabaseContract
internal import LinuxSystem

/// The idle connections and the requests of one loop.
///
/// Generic over both, of which it only knows the identity.
/// - Thread: that of its owner.
struct ShardState<Connection: AnyObject, Request: AnyObject> {
    /// Time limits, from the settings of the database.
    struct Limits {
        /// Of the wait for a connection.
        var waitMilliseconds: Int64
        /// Of connecting, to all servers together.
        var connectMilliseconds: Int64
        var idleMilliseconds: Int64
        /// 0 means none.
        var lifetimeMilliseconds: Int64
    }

    /// What a user of a connection has left.
    struct Condition {
        var opened: MonotonicInstant
        /// It holds more memory than may be kept, or cannot be trusted.
        var isWorn = false
        /// It has state that must be cleared.
        var needsReset = false
        /// When it has to be reset although no state is known; `nil` if it is clean.
        var clearingDue: MonotonicInstant?
        /// Its last user, since it was reset.
        var lastUID: UInt32?

        /// Whether it has no state of another user, or of a statement that left some.
        func isClean(for uid: UInt32) -> Bool { !needsReset && (lastUID == nil || lastUID == uid) }
    }

    /// What to do with a connection that was returned.
    enum Return {
        case close
        case reset
        /// It is offered to those who wait, and kept if nobody does.
        case offer
    }

    /// What to do with a connection for a request.
    enum Delivery {
        /// Nobody waits for it any more.
        case release
        /// It has to be reset first.
        case reset
        case lend(Request)
    }

    /// Why the time of a request has run out.
    enum Expiry { case connecting, waiting }

    /// What is due at some time, once for all connections.
    enum Alarm: UInt64, CaseIterable { case sweep, clearing, retry }

    private struct Idle {
        var connection: Connection
        var condition: Condition
        var since: MonotonicInstant
    }

    private struct Entry {
        var request: Request
        /// A connection is being opened for it.
        var isOpening = false
        /// A timer is set for it.
        var isTimed = false
    }

    private let limits: Limits
    /// The most recently used is at the end and is used first: the others may become old and be closed.
    private var idle: [Idle] = []
    /// Requests that have no connection yet.
    private var requests: [UInt64: Entry] = [:]
    /// Connections that are being reset for a request.
    private var promised: [ObjectIdentifier: UInt64] = [:]
    private var lastNumber: UInt64 = 0
    private var alarms: [Alarm: MonotonicInstant] = [:]
    /// The database is not used on this loop any more.
    private(set) var isClosed = false

    init(_ limits: Limits) { self.limits = limits }

    // MARK: Requests

    /// - Returns: the number of the request.
    mutating func add(_ request: Request) -> UInt64 {
        lastNumber += 1
        requests[lastNumber] = Entry(request: request)
        return lastNumber
    }

    func request(_ number: UInt64) -> Request? { requests[number]?.request }

    /// The request asks the pool, for the first time or anew: what was opened for it is lost.
    mutating func willAsk(_ number: UInt64) { requests[number]?.isOpening = false }

    /// The request waits.
    /// - Returns: when its wait ends, if no timer is set for it. One that was set may have fired while a connection was on its
    ///   way, which then did not arrive.
    mutating func beginWait(_ number: UInt64, now: MonotonicInstant) -> MonotonicInstant? {
        guard requests[number]?.isTimed == false else { return nil }
        requests[number]?.isTimed = true
        return now.advanced(byMilliseconds: limits.waitMilliseconds)
    }

    /// A connection is being opened for the request.
    /// - Returns: when that has to be done, instead of the end of the wait.
    mutating func beginOpening(_ number: UInt64, now: MonotonicInstant) -> MonotonicInstant? {
        guard requests[number] != nil else { return nil }
        requests[number]?.isOpening = true
        requests[number]?.isTimed = true
        return now.advanced(byMilliseconds: limits.connectMilliseconds)
    }

    /// The timer of a request has fired.
    /// - Returns: why its time has run out; `nil` if it is gone. It stays until it is removed: a connection may be on its way.
    mutating func expire(_ number: UInt64) -> Expiry? {
        guard let entry = requests[number] else { return nil }
        requests[number]?.isTimed = false
        return entry.isOpening ? .connecting : .waiting
    }

    /// The request has its answer, or does not want one any more.
    @discardableResult
    mutating func remove(_ number: UInt64) -> Request? { requests.removeValue(forKey: number)?.request }

    /// A connection is there for a user's request.
    mutating func deliver(
        _ connection: Connection, _ condition: Condition, to number: UInt64, of uid: UInt32
    ) -> Delivery {
        guard requests[number] != nil else { return .release }
        guard condition.isClean(for: uid) else {
            promised[ObjectIdentifier(connection)] = number
            return .reset
        }
        guard let request = remove(number) else { return .release }
        return .lend(request)
    }

    /// A connection is reset, or lost.
    /// - Returns: the request for which it was being reset; that may be gone.
    mutating func takePromise(of connection: Connection) -> UInt64? {
        promised.removeValue(forKey: ObjectIdentifier(connection))
    }

    // MARK: Idle connections

    var idleCount: Int { idle.count }

    /// Whether the connection that would be used next is clean for that user.
    func isNextClean(for uid: UInt32) -> Bool { idle.last?.condition.isClean(for: uid) == true }

    /// Takes the connection that is used next.
    mutating func takeNext() -> Connection? { idle.popLast()?.connection }

    /// Takes the connection that is used next by that user: a clean one, if there is one.
    mutating func takeNext(for uid: UInt32) -> Connection? {
        let position = idle.lastIndex { $0.condition.isClean(for: uid) } ?? idle.indices.last
        return position.map { idle.remove(at: $0).connection }
    }

    /// - Returns: whether that connection was idle.
    mutating func removeIdle(_ connection: Connection) -> Bool {
        guard let position = idle.firstIndex(where: { $0.connection === connection }) else { return false }
        idle.remove(at: position)
        return true
    }

    /// A connection is returned.
    func returned(_ condition: Condition, now: MonotonicInstant) -> Return {
        if isClosed || condition.isWorn || isTooOld(condition, now) { return .close }
        let isDue = condition.clearingDue.map { $0 <= now } ?? false
        return condition.needsReset || isDue ? .reset : .offer
    }

    private func isTooOld(_ condition: Condition, _ now: MonotonicInstant) -> Bool {
        let limit = limits.lifetimeMilliseconds
        return limit > 0 && now.nanoseconds(since: condition.opened) > limit * 1_000_000
    }

    /// Keeps a connection that nobody waits for.
    mutating func keep(_ connection: Connection, _ condition: Condition, now: MonotonicInstant) {
        idle.append(Idle(connection: connection, condition: condition, since: now))
    }

    /// Takes a connection that was idle for too long, if the pool agrees.
    mutating func takeUnused(now: MonotonicInstant, if mayTake: () -> Bool) -> Connection? {
        guard let oldest = idle.first, sweepDue(oldest) <= now, mayTake() else { return nil }
        return idle.removeFirst().connection
    }

    private func sweepDue(_ oldest: Idle) -> MonotonicInstant {
        oldest.since.advanced(byMilliseconds: limits.idleMilliseconds)
    }

    /// Takes a connection that has to be reset by now, if the pool agrees.
    mutating func takeUnproven(now: MonotonicInstant, if mayTake: () -> Bool) -> Connection? {
        let position = idle.firstIndex { $0.condition.clearingDue.map { $0 <= now } ?? false }
        guard let position, mayTake() else { return nil }
        return idle.remove(at: position).connection
    }

    /// Closes the shard: what is idle is closed now, and what is in use when it is returned.
    mutating func close() { isClosed = true }

    mutating func reopen() { isClosed = false }

    // MARK: Time

    /// The alarm that has to be set for the idle connections, if it is not set or set too late.
    /// - Returns: when it has to ring.
    mutating func nextAlarm(_ alarm: Alarm) -> MonotonicInstant? {
        switch alarm {
        case .sweep: idle.first.flatMap { set(alarm, at: sweepDue($0)) }
        case .clearing: idle.compactMap(\.condition.clearingDue).min().flatMap { set(alarm, at: $0) }
        case .retry: nil
        }
    }

    /// An attempt to connect is due at that time.
    mutating func setRetry(at instant: MonotonicInstant) -> MonotonicInstant? { set(.retry, at: instant) }

    private mutating func set(_ alarm: Alarm, at instant: MonotonicInstant) -> MonotonicInstant? {
        if let present = alarms[alarm], present <= instant { return nil }
        alarms[alarm] = instant
        return instant
    }

    mutating func didRing(_ alarm: Alarm) { alarms[alarm] = nil }
}
