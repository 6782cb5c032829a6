// Who may write to a database file: one at a time. Users take turns; the writes of one user keep their order.
//
// SQLite allows one writer per file. Inside the daemon nobody gets SQLITE_BUSY because of that: autocommit writes and
// sessions wait here. Consecutive autocommit writes form a group and share one commit (SQLiteWriter.swift).

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// A place in the queue.
final class WriteTicket: Sendable {
    enum Kind: Sendable {
        case autocommit(SQLiteExecution)
        /// Called on any thread when it is this session's turn.
        case session(granted: @Sendable () -> Void)
    }

    let kind: Kind
    let owner: LinkOwner
    /// Whether it is in the queue; read and written under its lock.
    fileprivate let isWaiting = Atomic(false)

    init(_ kind: Kind, _ owner: LinkOwner) {
        self.kind = kind
        self.owner = owner
    }

    /// The write itself; `nil` for a session.
    var execution: SQLiteExecution? {
        if case .autocommit(let execution) = kind { execution } else { nil }
    }

    /// Whether its client has its answer already.
    var isWithdrawn: Bool { execution?.claim.isWithdrawn ?? false }

    /// Whether it was told to stop.
    var isStopped: Bool { execution?.run.stopReason != nil }
}

/// The queue of one database file.
///
/// - Thread: any.
final class WriteQueue: Sendable {
    private struct State {
        /// Those that have left the queue stay until their turn comes, or they are many: nobody searches for one.
        private(set) var waiting = FairQueue<WriteTicket>()
        private(set) var waitingCount = 0
        /// Writes that wait, by client.
        private var writeCounts: [UInt64: Int] = [:]
        var isTaken = false
        /// The writes that have the turn.
        var group: [WriteTicket] = []
        /// The session that holds the lock; `nil` for a group, which is short.
        var holder: (ticket: WriteTicket, since: MonotonicInstant)?

        private static let goneCountMin = 64

        mutating func add(_ ticket: WriteTicket, inFront: Bool = false) {
            if inFront {
                waiting.prepend(ticket, of: ticket.owner.uid)
            } else {
                waiting.append(ticket, of: ticket.owner.uid)
            }
            ticket.isWaiting.store(true, ordering: .relaxed)
            waitingCount += 1
            if ticket.execution != nil { writeCounts[ticket.owner.client, default: 0] += 1 }
        }

        /// The ticket whose turn it is.
        mutating func first() -> WriteTicket? {
            while let ticket = waiting.first {
                if ticket.isWaiting.load(ordering: .relaxed) { return ticket }
                waiting.dropFirst()
            }
            return nil
        }

        /// Takes the ticket that `first` has returned.
        mutating func take(_ first: WriteTicket) {
            _ = waiting.popFirst()
            didLeave(first)
        }

        /// - Returns: whether it was there.
        mutating func remove(_ ticket: WriteTicket) -> Bool {
            guard ticket.isWaiting.load(ordering: .relaxed) else { return false }
            didLeave(ticket)
            if waiting.count > 2 * waitingCount + Self.goneCountMin {
                waiting.keep { $0.isWaiting.load(ordering: .relaxed) }
            }
            return true
        }

        private mutating func didLeave(_ ticket: WriteTicket) {
            ticket.isWaiting.store(false, ordering: .relaxed)
            waitingCount -= 1
            guard ticket.execution != nil else { return }
            let left = writeCounts[ticket.owner.client, default: 1] - 1
            writeCounts[ticket.owner.client] = left > 0 ? left : nil
        }

        func hasWrites(of client: UInt64) -> Bool { writeCounts[client] != nil }
    }

    /// The next action; decided under the lock, carried out outside of it.
    private enum Next {
        case nothing
        case session(@Sendable () -> Void)
        case group([WriteTicket])
    }

    private let state = Mutex(State())
    /// Turns that were taken and given back, together; even while nobody has one.
    private let turnChanges = Atomic<UInt64>(0)
    private let runGroup: @Sendable ([WriteTicket]) -> Void

    /// Autocommit writes that may share one commit.
    private static let groupCountMax = 256

    /// - Parameter runGroup: called on any thread; calls `release` at the end.
    init(runGroup: @escaping @Sendable ([WriteTicket]) -> Void) {
        self.runGroup = runGroup
    }

    func enqueue(_ ticket: WriteTicket) {
        perform(
            state.withLock { state in
                state.add(ticket)
                return next(&state)
            })
    }

    /// Leaves the queue.
    /// - Returns: false if the ticket does not wait any more: it was granted, or is running.
    func remove(_ ticket: WriteTicket) -> Bool {
        state.withLock { $0.remove(ticket) }
    }

    /// Whether a client has a write that is not done.
    func hasWrites(of client: UInt64) -> Bool {
        state.withLock { state in
            state.group.contains { $0.owner.client == client && !$0.isWithdrawn }
                || state.hasWrites(of: client)
        }
    }

    /// Changes whenever a turn begins or ends; `nil` while somebody has one.
    var idleTurn: UInt64? {
        let count = turnChanges.load(ordering: .sequentiallyConsistent)
        return count.isMultiple(of: 2) ? count : nil
    }

    /// Whether somebody writes, or waits for that.
    var isWanted: Bool { state.withLock { $0.isTaken || $0.waitingCount > 0 } }

    /// Writes that wait.
    var waitingCount: Int { state.withLock { $0.waitingCount } }

    /// Ends the turn of a group or of a session.
    /// - Parameter unfinished: those of a group that have to wait for another turn, in order.
    /// - Returns: those of `unfinished` that were stopped meanwhile; they do not wait any more.
    @discardableResult
    func release(unfinished: [WriteTicket] = []) -> [WriteTicket] {
        var stopped: [WriteTicket] = []
        perform(
            state.withLock { state in
                // Only here: a stop looks under this lock whether it waits.
                for ticket in unfinished.reversed() where !ticket.isWithdrawn {
                    if ticket.isStopped {
                        stopped.append(ticket)
                    } else {
                        state.add(ticket, inFront: true)
                    }
                }
                if state.isTaken { turnChanges.add(1, ordering: .sequentiallyConsistent) }
                state.isTaken = false
                state.group = []
                state.holder = nil
                return next(&state)
            })
        return stopped
    }

    /// The session that holds the lock now.
    var holder: LockHolder? {
        state.withLock { state in
            state.holder.map {
                LockHolder(uid: $0.ticket.owner.uid, pid: $0.ticket.owner.pid, sinceNanoseconds: $0.since.nanoseconds)
            }
        }
    }

    private func perform(_ next: Next) {
        switch next {
        case .nothing: break
        case .session(let granted): granted()
        case .group(let tickets): runGroup(tickets)
        }
    }

    private func next(_ state: inout State) -> Next {
        guard !state.isTaken, let first = state.first() else { return .nothing }
        state.isTaken = true
        turnChanges.add(1, ordering: .sequentiallyConsistent)
        if case .session(let granted) = first.kind {
            state.take(first)
            state.holder = (first, .now)
            return .session(granted)
        }
        var group: [WriteTicket] = []
        while group.count < Self.groupCountMax, let ticket = state.first(), ticket.execution != nil {
            group.append(ticket)
            state.take(ticket)
        }
        state.group = group
        return .group(group)
    }
}
