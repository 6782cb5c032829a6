// Who may write to a database file: one at a time, in the order of asking.
//
// SQLite allows one writer per file. Inside the daemon nobody finds that out by SQLITE_BUSY: autocommit writes and
// sessions queue here. Neighbouring autocommit writes are handed out as a group and share one commit (SQLiteWriter.swift).

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

    init(_ kind: Kind, _ owner: LinkOwner) {
        self.kind = kind
        self.owner = owner
    }
}

/// The queue of one database file.
///
/// - Thread: any.
final class WriteQueue: Sendable {
    private struct State {
        var waiting: [WriteTicket] = []
        var isTaken = false
        /// The session that holds the lock; `nil` for a group, which is short.
        var holder: (ticket: WriteTicket, since: MonotonicInstant)?
    }

    /// What is done next; computed under the lock, carried out outside of it.
    private enum Next {
        case nothing
        case session(@Sendable () -> Void)
        case group([SQLiteExecution])
    }

    private let state = Mutex(State())
    private let runGroup: @Sendable ([SQLiteExecution]) -> Void

    /// Autocommit writes that may share one commit.
    private static let groupCountMax = 256

    /// - Parameter runGroup: called on any thread; calls `release` in the end.
    init(runGroup: @escaping @Sendable ([SQLiteExecution]) -> Void) {
        self.runGroup = runGroup
    }

    func enqueue(_ ticket: WriteTicket) {
        perform(
            state.withLock { state in
                state.waiting.append(ticket)
                return Self.next(&state)
            })
    }

    /// Leaves the queue.
    /// - Returns: false when the ticket does not wait any more: it was granted, or is being run.
    func remove(_ ticket: WriteTicket) -> Bool {
        state.withLock { state in
            guard let index = state.waiting.firstIndex(where: { $0 === ticket }) else { return false }
            state.waiting.remove(at: index)
            return true
        }
    }

    /// Ends the turn of a group or of a session.
    func release() {
        perform(
            state.withLock { state in
                state.isTaken = false
                state.holder = nil
                return Self.next(&state)
            })
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
        case .group(let executions): runGroup(executions)
        }
    }

    private static func next(_ state: inout State) -> Next {
        guard !state.isTaken, let first = state.waiting.first else { return .nothing }
        state.isTaken = true
        if case .session(let granted) = first.kind {
            state.waiting.removeFirst()
            state.holder = (first, .now)
            return .session(granted)
        }
        var group: [SQLiteExecution] = []
        for ticket in state.waiting.prefix(groupCountMax) {
            guard case .autocommit(let execution) = ticket.kind else { break }
            group.append(execution)
        }
        state.waiting.removeFirst(group.count)
        return .group(group)
    }
}
