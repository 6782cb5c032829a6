// The life of a connection.

/// The phase of a connection. It only moves forward.
enum ConnectionPhase: Int, Comparable {
    case open
    /// The daemon stops: the connection is left to the descriptor store, or closed, when nothing runs any more.
    case draining
    /// Nothing more is read; it closes as soon as the output is flushed.
    case closing
    case closed

    static func < (left: ConnectionPhase, right: ConnectionPhase) -> Bool { left.rawValue < right.rawValue }

    /// Moves to a later phase; a phase that is already later stays.
    mutating func advance(to phase: ConnectionPhase) { self = max(self, phase) }
}
