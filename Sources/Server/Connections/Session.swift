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
    /// The request that runs.
    var active: Operation?
    /// Requests behind it, first come first served.
    var waiting: [Operation] = []
    /// Set by `db_disconnect`: closes when the requests before it have ended.
    var isClosing = false
    /// When a request of it ended last.
    var lastEnd = MonotonicInstant.now
    /// The client was told that its transaction is idle.
    var isWarned = false

    init(name: String, link: any DatabaseLink) {
        self.name = name
        self.link = link
    }

    /// Takes the next request if none runs.
    func next() -> Operation? {
        guard active == nil, !waiting.isEmpty else { return nil }
        let operation = waiting.removeFirst()
        active = operation
        return operation
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
