// How far the watch of a source of changes has come, as a value.

/// Whether a source is watched, and who waits until it is.
package enum ChangeWatchStage: Sendable {
    /// Called once, with the reason why the watch could not begin.
    package typealias Waiter = @Sendable (DriverError?) -> Void

    case idle
    case starting([Waiter])
    case watching

    /// What is to be done for somebody who wants to listen.
    package enum Next: Sendable {
        /// It is watched: he can be told at once.
        case ready
        /// He is told with those who came before.
        case wait
        /// The watch has to be started.
        case start
    }

    /// Somebody wants to listen.
    package mutating func begin(_ waiter: @escaping Waiter) -> Next {
        switch self {
        case .watching: return .ready
        case .starting(let waiters):
            self = .starting(waiters + [waiter])
            return .wait
        case .idle:
            self = .starting([waiter])
            return .start
        }
    }

    /// The watch has begun, or could not.
    /// - Returns: those who are to be told; none if it was not being started.
    package mutating func didBegin(_ error: DriverError?) -> [Waiter] {
        guard case .starting(let waiters) = self else { return [] }
        self = error == nil ? .watching : .idle
        return waiters
    }

    package var isWatching: Bool { if case .watching = self { true } else { false } }
}
