// Which of several servers the connections of a database lead to: what one of them has found out is known to all.

package import LinuxSystem
internal import Synchronization

/// The server that was taken last, and since when connections to others are not to be used.
///
/// - Thread: any.
package final class ServerChoice: Sendable {
    private struct State {
        var current: String?
        /// When a server was last found not to be the wanted one any more.
        var lost: MonotonicInstant?
    }

    /// One server at a time is the wanted one: where another one is taken, connections to the former one are left.
    private let isExclusive: Bool
    private let state = Mutex(State())
    /// Connections that were opened before are outdated, in nanoseconds of the monotonic clock. Each request looks at it.
    private let epoch = Atomic<Int64>(0)

    /// Whoever can make an engine report the loss of its role must not have all connections made anew all the time.
    private static let lossMilliseconds: Int64 = 1_000

    package init(isExclusive: Bool) { self.isExclusive = isExclusive }

    /// The server that was taken last.
    package var current: String? { state.withLock { $0.current } }

    /// A server was found to be the wanted one. To be called before its connection is made an object.
    package func take(_ server: String) {
        state.withLock { state in
            if isExclusive, let former = state.current, former != server { beginEpoch(.now) }
            state.current = server
        }
    }

    /// A connection has found that its server is not the wanted one any more: that goes for all connections to it.
    package func noteLoss() {
        state.withLock { state in
            let now = MonotonicInstant.now
            if let lost = state.lost, now.nanoseconds(since: lost) < Self.lossMilliseconds * 1_000_000 { return }
            state.lost = now
            beginEpoch(now)
        }
    }

    private func beginEpoch(_ now: MonotonicInstant) { epoch.store(now.nanoseconds, ordering: .relaxed) }

    /// Whether a connection that was opened then may lead to a server that is not the wanted one any more.
    package func isOutdated(_ opened: MonotonicInstant) -> Bool { opened.nanoseconds < epoch.load(ordering: .relaxed) }
}
