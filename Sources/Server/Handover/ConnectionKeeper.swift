// Which connections the descriptor store keeps. HandoverSlot.swift has what a kept connection records;
// Connection+Handover.swift has how it leaves and returns.

internal import LinuxSystem

/// How connections get to another process.
struct Handover: Sendable {
    let store: any DescriptorStore
    let table: HandoverTable
    /// The loop that talks to the store, which may block: not one that serves.
    let mailbox: LoopMailbox

    /// A kept connection has ended.
    ///
    /// The store would notice the end of the socket by itself, but systemd handles that after all messages: in a storm
    /// of connections the dead ones would pile up, and each would make the next message cost more.
    func release(_ slot: HandoverSlot, of account: UserAccount) {
        let name = KeptName.client(slot: slot.index, number: slot.number)
        table.free(slot)
        account.keptConnections.add(-1)
        forget(name)
    }

    /// Whether one more connection of a user may have a place.
    ///
    /// A user must have fewer than are free: one user alone gets half of the table, and the next user finds free
    /// places, however many the others have. Administrators may have all.
    ///
    /// - Parameters:
    ///   - account: the user's.
    ///   - offeredCount: places that are promised, in all and to this user.
    /// - Returns: whether there is one for this user.
    func mayKeep(_ account: UserAccount, offeredCount: (all: Int, ofUser: Int) = (0, 0)) -> Bool {
        let freeCount = table.freeCount - offeredCount.all
        if account.isAdministrator { return freeCount > 0 }
        return account.keptConnections.count + offeredCount.ofUser < freeCount
    }

    /// Removes an entry from the store.
    func forget(_ name: KeptName) {
        let store = store
        mailbox.submit { store.forget(name: name.text) }
    }
}

/// Puts client connections into the descriptor store, so that they outlive the process.
///
/// New connections are kept at once as long as that does not keep the service manager busy; beyond that, those that
/// stay are kept a little later.
///
/// - Thread: the control loop's.
final class ConnectionKeeper: EventSource {
    private let handover: Handover
    private let shared: SharedState
    private let controlLoop: EventLoop
    private var budget = KeepBudget()
    private var isSweepScheduled = false

    private static let sweepMilliseconds: Int64 = 250

    init(_ handover: Handover, shared: SharedState, controlLoop: EventLoop) {
        self.handover = handover
        self.shared = shared
        self.controlLoop = controlLoop
    }

    /// Keeps a connection that was just accepted.
    /// - Returns: its slot; `nil` if it must wait, or if its user has no place left.
    func keepAccepted(_ socket: borrowing OwnedDescriptor, number: UInt64, of account: UserAccount) -> HandoverSlot? {
        guard budget.take(at: controlLoop.now, keptCount: handover.table.takenCount) else {
            scheduleSweep()
            return nil
        }
        if let slot = keep(socket.number, number: number, of: account) { return slot }
        // Its user may have closed others just now, of which their loops do not know yet.
        scheduleSweep()
        return nil
    }

    // Only this thread takes places, so none is taken between the check and the use.
    private func keep(_ descriptor: Int32, number: UInt64, of account: UserAccount) -> HandoverSlot? {
        guard handover.mayKeep(account), let slot = handover.table.take(number: number) else { return nil }
        account.keptConnections.add(1)
        // Closing the last reference also closes the descriptors in the socket; this process must be the one to do it,
        // because a client could make the service manager block there (Sockets+Descriptors.swift).
        let name = KeptName.client(slot: slot.index, number: number).text
        handover.store.keep(descriptor, name: name, isWatched: !Sockets.mayBringDescriptors(descriptor))
        // A connection is served only after a kill would leave it open.
        handover.store.flush()
        return slot
    }

    // MARK: Connections that were not kept at once

    private func scheduleSweep() {
        guard !isSweepScheduled else { return }
        isSweepScheduled = true
        controlLoop.schedule(self, at: controlLoop.now.advanced(byMilliseconds: Self.sweepMilliseconds))
    }

    override func timerFired(_ token: UInt64) {
        isSweepScheduled = false
        // A full table has room again when a connection ends; the next new connection that finds none starts the next sweep.
        let freeCount = handover.table.freeCount
        if freeCount == 0 { return }
        let count = min(budget.available(at: controlLoop.now, keptCount: handover.table.takenCount), freeCount)
        if count == 0 { return scheduleSweep() }
        sweep(countMax: max(1, count / shared.loops.count)) { [weak self] missedCount in
            if missedCount > 0 { self?.scheduleSweep() }
        }
    }

    /// Keeps everything that is open, whatever the rate, then calls `completion` on the control loop.
    func keepAll(_ completion: @escaping () -> Void) {
        sweep(countMax: handover.table.freeCount) { _ in completion() }
    }

    // Asks every loop for descriptors of connections that are not kept; `completion` gets the number that had to be
    // left out.
    private func sweep(countMax: Int, _ completion: @escaping (Int) -> Void) {
        let loops = shared.loops
        let here = LoopBound((self, completion), controlLoop.mailbox)
        let mailbox = controlLoop.mailbox
        let gathering = Gathering(0, missing: loops.count)
        for loop in loops {
            loop.submit { context in
                let missedCount = context.offerUnkept(countMax: countMax) { descriptor, number, account in
                    mailbox.submit { here.wrapped.0.keepOffered(descriptor, number, account, loop) }
                }
                guard let total = gathering.add({ $0 += missedCount }) else { return }
                mailbox.submit { here.wrapped.1(total) }
            }
        }
    }

    private func keepOffered(_ descriptor: Int32, _ number: UInt64, _ account: UserAccount, _ loop: LoopMember) {
        let socket = OwnedDescriptor(descriptor)
        _ = budget.take(at: controlLoop.now, keptCount: handover.table.takenCount)
        let slot = keep(socket.number, number: number, of: account)
        // Until the connection records its position.
        slot?.markUnknown()
        let handover = handover
        loop.submit { context in
            if let connection = context.connections[number] { return connection.adopt(slot) }
            // Gone in the meantime.
            if let slot { handover.release(slot, of: account) }
        }
    }
}

/// A token bucket of the service manager's time: how many connections may be kept at the moment.
///
/// systemd 252 compares each new descriptor with all that it has (kcmp(2), about 2 µs each), and needs some 100 µs for
/// the two messages of a connection.
struct KeepBudget {
    /// Share of the service manager's time, in microseconds for each second.
    static let microsecondsPerSecond: Int64 = 30_000
    static let burstMicroseconds: Int64 = 300_000
    static let baseMicroseconds: Int64 = 100
    static let comparisonMicroseconds: Int64 = 2
    private var nanoseconds = burstMicroseconds * 1_000
    private var last: MonotonicInstant?

    private mutating func refill(at now: MonotonicInstant) {
        if let last {
            let elapsed = min(max(0, now.nanoseconds(since: last)), 60_000_000_000)
            let earned = elapsed * Self.microsecondsPerSecond / 1_000_000
            nanoseconds = min(Self.burstMicroseconds * 1_000, nanoseconds + earned)
        }
        last = now
    }

    private static func cost(_ keptCount: Int) -> Int64 {
        (baseMicroseconds + comparisonMicroseconds * Int64(keptCount)) * 1_000
    }

    /// Takes the time for one more connection; false if there is not enough.
    mutating func take(at now: MonotonicInstant, keptCount: Int) -> Bool {
        refill(at: now)
        guard nanoseconds >= Self.cost(keptCount) else { return false }
        nanoseconds -= Self.cost(keptCount)
        return true
    }

    /// The number of connections for which there is time.
    mutating func available(at now: MonotonicInstant, keptCount: Int) -> Int {
        refill(at: now)
        return Int(nanoseconds / Self.cost(keptCount))
    }
}

extension LoopContext {
    /// Duplicates the descriptors of connections that the store does not keep yet and whose users have places.
    ///
    /// - Parameters:
    ///   - countMax: the most.
    ///   - offer: gets each duplicate, which it must close, with the connection's number and its user.
    /// - Returns: how many had to be left out, apart from those whose users have no place.
    fileprivate func offerUnkept(countMax: Int, _ offer: (Int32, UInt64, UserAccount) -> Void) -> Int {
        guard let handover = shared.handover else { return 0 }
        var count = 0
        var missedCount = 0
        var countsByUser: [UInt32?: Int] = [:]
        for connection in connections.values where connection.isKeepable {
            let account = connection.account
            let ofUser = countsByUser[account.uid, default: 0]
            guard handover.mayKeep(account, offeredCount: (count, ofUser)) else { continue }
            if count < countMax, let descriptor = connection.duplicateSocket() {
                count += 1
                countsByUser[account.uid] = ofUser + 1
                connection.handover.offer()
                offer(descriptor, connection.number, account)
            } else {
                missedCount += 1
            }
        }
        return missedCount
    }
}
