// A session of a client: a link of its own, on which requests run one after the other.

internal import DatabaseContract
internal import LinuxSystem

/// A client's own link to a database.
///
/// - Thread: its connection's loop.
/// - Source: docs/protocol.md, Requests.
final class Session {
    /// Its name for clients; unique in the daemon.
    let name: String
    let link: any DatabaseLink
    /// The right by which it was opened, according to the present configuration.
    var right: SessionRight
    /// Its client may not use the database any more: it ends when nothing runs in it.
    var isRevoked = false
    /// The running request.
    var active: Operation?
    /// The requests that wait, in order.
    var waiting: [Operation] = []
    /// Set by `db_disconnect`: closes when the requests before it have ended.
    var isClosing = false
    /// Whether it takes requests.
    var isOpen: Bool { !isClosing && !isRevoked }
    /// When its last request ended.
    var lastEnd = MonotonicInstant.now
    /// The client was warned that its transaction is idle.
    var isWarned = false
    /// What others need from it.
    var hold = Hold()
    /// Bytes of its link that its user's account knows of.
    var keptByteCount = 0

    init(name: String, link: any DatabaseLink, right: SessionRight) {
        self.name = name
        self.link = link
        self.right = right
    }

    /// Under which what is done in it is counted.
    var databaseNumber: Int {
        if case .database(let entry, _, _) = right { entry.number } else { DatabaseFigures.adHoc }
    }

    /// Takes the next request if none runs.
    func next() -> Operation? {
        guard active == nil, !waiting.isEmpty, !isRevoked else { return nil }
        let operation = waiting.removeFirst()
        active = operation
        return operation
    }
}

extension Connection {
    /// Ends a session; the only place that does. Its transaction is rolled back. A running request still uses the link,
    /// which is closed afterwards (`goOn`).
    func end(_ session: Session) {
        guard sessions.remove(session) else { return }
        context.statistics.sessionsOpen -= 1
        countSessions(-1)
        context.shared.catalogs.remove(session: session.name)
        if session.active?.link == nil { session.link.close() }
        // Nothing else may come on the connection for long.
        if session.keptByteCount > 0 { settleAccount() }
    }

    /// Ends a session without its client's request, as soon as nothing runs in it: stops what runs, drops what waits.
    func revoke(_ session: Session, _ reason: EndedSession.Reason, stopping stop: (Operation) -> Void) {
        session.isRevoked = true
        sessions.remember(ended: session.name, reason)
        for operation in session.waiting { stop(operation) }
        if let active = session.active { stop(active) } else { endIfUnused(session) }
    }

    /// Ends a revoked session in which nothing runs any more.
    func endIfUnused(_ session: Session) {
        if session.active == nil, session.waiting.isEmpty { end(session) }
    }

    /// The error for a session that does not exist.
    func sessionNotFound(_ name: UnsafeRawBufferPointer) -> RequestError {
        switch sessions.absence(of: name) {
        case .restarted: .sessionGone(name)
        case .ended(.idleTransaction): .sessionExpired(name, limit: context.limits.idleTransactionMillisecondsMax)
        case .ended(.idleHold): .sessionHeld(name, limit: context.limits.idleHoldMillisecondsMax)
        case .ended(.revoked): .sessionRevoked(name)
        case .ended(.terminated): .sessionTerminated(name)
        case .unknown: .sessionNotFound(name)
        }
    }
}

extension TransactionState {
    /// The name in the protocol.
    var name: String {
        switch self {
        case .none: "none"
        case .active: "active"
        case .failed: "failed"
        }
    }
}
