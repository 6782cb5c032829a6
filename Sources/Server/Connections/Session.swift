// A session of a client: a link of its own, on which requests run one after the other.

internal import DatabaseDrivers
internal import LinuxSystem

/// A pinned connection to a database.
///
/// - Thread: its connection's loop.
/// - Source: docs/protocol.md, Requests.
final class Session {
    /// What clients call it; unique in the daemon.
    let name: String
    let link: any DatabaseLink
    /// By what it was opened; of a configured database, as it is configured now.
    var right: SessionRight
    /// Its client may not use the database any more: it ends when nothing of it runs.
    var isRevoked = false
    /// The request that runs.
    var active: Operation?
    /// Requests behind it, first come first served.
    var waiting: [Operation] = []
    /// Set by `db_disconnect`: closes when the requests before it have ended.
    var isClosing = false
    /// Whether it takes requests.
    var isOpen: Bool { !isClosing && !isRevoked }
    /// When a request of it ended last.
    var lastEnd = MonotonicInstant.now
    /// The client was told that its transaction is idle.
    var isWarned = false
    /// What others need of it.
    var hold = Hold()

    init(name: String, link: any DatabaseLink, right: SessionRight) {
        self.name = name
        self.link = link
        self.right = right
    }

    /// Takes the next request if none runs.
    func next() -> Operation? {
        guard active == nil, !waiting.isEmpty, !isRevoked else { return nil }
        let operation = waiting.removeFirst()
        active = operation
        return operation
    }
}

/// A session that the daemon ended by itself.
struct EndedSession {
    enum Reason { case idleTransaction, revoked, idleHold }

    var name: String
    var reason: Reason
}

extension Connection {
    /// Names that are remembered for their client.
    private static var endedSessionCountMax: Int { 64 }

    func remember(ended name: String, _ reason: EndedSession.Reason) {
        endedSessions.append(EndedSession(name: name, reason: reason))
        if endedSessions.count > Self.endedSessionCountMax { endedSessions.removeFirst() }
    }
}

extension TransactionState {
    /// The protocol's word.
    var name: StaticString {
        switch self {
        case .none: "none"
        case .active: "active"
        case .failed: "failed"
        }
    }
}
