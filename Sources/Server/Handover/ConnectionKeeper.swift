// Which connections the descriptor store keeps. What a kept connection writes down is in HandoverSlot.swift; how it leaves
// and comes back is in Connection+Handover.swift.

internal import LinuxSystem

/// How connections get to another process.
struct Handover: Sendable {
    let store: any DescriptorStore
    let table: HandoverTable
    /// Where the store is spoken to, which may block: not on a loop that serves.
    let mailbox: LoopMailbox

    /// A kept connection has ended.
    ///
    /// The store would notice the end of the socket by itself, but systemd looks at that after all messages: in a storm of
    /// connections the dead ones would pile up, each making the next message cost more.
    func release(_ slot: HandoverSlot) {
        let name = KeptName.client(slot: slot.index, number: slot.number)
        table.free(slot)
        forget(name)
    }

    /// Takes something out of the store.
    func forget(_ name: KeptName) {
        let store = store
        mailbox.submit { store.forget(name: name.text) }
    }
}

/// Puts client connections into the descriptor store, so that they outlive the process.
///
/// New connections are kept at once as long as that does not keep the service manager busy; beyond it, those that stay are
/// kept a little later.
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
    /// - Returns: its slot; `nil` when it must wait, or when the table is full.
    func keepAccepted(_ socket: borrowing OwnedDescriptor, number: UInt64) -> HandoverSlot? {
        guard budget.take(at: controlLoop.now, keptCount: handover.table.takenCount) else {
            scheduleSweep()
            return nil
        }
        return keep(socket.number, number: number)
    }

    private func keep(_ descriptor: Int32, number: UInt64) -> HandoverSlot? {
        guard let slot = handover.table.take(number: number) else { return nil }
        // Who closes the last reference closes what is in the socket with it, and that is to be this process: the service
        // manager would stand still as long as a client likes (Sockets+Descriptors.swift).
        let name = KeptName.client(slot: slot.index, number: number).text
        handover.store.keep(descriptor, name: name, isWatched: !Sockets.mayBringDescriptors(descriptor))
        // A connection that is served is one that a kill leaves open.
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
        // A full table has room again when somebody leaves; whoever comes then brings the next sweep.
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

    // Asks every loop for descriptors of connections that are not kept; `completion` gets the count of those left over.
    private func sweep(countMax: Int, _ completion: @escaping (Int) -> Void) {
        let loops = shared.loops
        let here = LoopBound((self, completion), controlLoop.mailbox)
        let mailbox = controlLoop.mailbox
        let gathering = Gathering(0, missing: loops.count)
        for loop in loops {
            loop.submit { context in
                let missedCount = context.offerUnkept(countMax: countMax) { descriptor, number in
                    mailbox.submit { here.wrapped.0.keepOffered(descriptor, number, loop) }
                }
                guard let total = gathering.add({ $0 += missedCount }) else { return }
                mailbox.submit { here.wrapped.1(total) }
            }
        }
    }

    private func keepOffered(_ descriptor: Int32, _ number: UInt64, _ loop: LoopMember) {
        let socket = OwnedDescriptor(descriptor)
        _ = budget.take(at: controlLoop.now, keptCount: handover.table.takenCount)
        let slot = keep(socket.number, number: number)
        // Until the connection says where it stands.
        slot?.markUnknown()
        let handover = handover
        loop.submit { context in
            if let connection = context.connections[number] { return connection.adopt(slot) }
            // Gone in the meantime.
            if let slot { handover.release(slot) }
        }
    }
}

/// A bucket of the service manager's time: how many connections may be kept at the moment.
///
/// systemd 252 compares each new descriptor with all that are there (kcmp(2), about 2 µs each), and has some 100 µs to do for
/// the two messages that a connection costs.
struct KeepBudget {
    /// Share of its time, in microseconds for each second.
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

    /// Takes the time for one more connection; false when there is not enough.
    mutating func take(at now: MonotonicInstant, keptCount: Int) -> Bool {
        refill(at: now)
        guard nanoseconds >= Self.cost(keptCount) else { return false }
        nanoseconds -= Self.cost(keptCount)
        return true
    }

    /// How many connections there is time for.
    mutating func available(at now: MonotonicInstant, keptCount: Int) -> Int {
        refill(at: now)
        return Int(nanoseconds / Self.cost(keptCount))
    }
}

extension LoopContext {
    /// Duplicates the descriptors of connections that the store does not keep yet.
    ///
    /// - Parameters:
    ///   - countMax: how many at most.
    ///   - offer: gets each duplicate, which it must close, and the connection's number.
    /// - Returns: how many had to be left out.
    fileprivate func offerUnkept(countMax: Int, _ offer: (Int32, UInt64) -> Void) -> Int {
        var count = 0
        var missedCount = 0
        for connection in connections.values where connection.isKeepable {
            if count < countMax, let descriptor = connection.duplicateSocket() {
                count += 1
                connection.isOffered = true
                offer(descriptor, connection.number)
            } else {
                missedCount += 1
            }
        }
        return missedCount
    }
}
