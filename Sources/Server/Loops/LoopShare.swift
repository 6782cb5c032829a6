// The time of a loop is shared by users, not by connections: who has a hundred of them gets no hundredfold.

internal import LinuxSystem

/// What one user has of one loop.
///
/// - Thread: its loop's.
final class LoopShare {
    /// Parts of a turn of the loop. Each has its own time, so that new requests cannot keep those waiting for ever that are
    /// here already.
    enum Part { case arrivals, continuations }

    private struct Slice {
        var turn: UInt64 = 0
        var usedNanoseconds: Int64 = 0
    }

    /// What one user may have of each part while others are on the loop, in nanoseconds: the turns of a few connections.
    private static let nanosecondsMax: Int64 = 1_000_000

    let uid: UInt32
    var connectionCount = 0
    private var arrivals = Slice()
    private var continuations = Slice()

    init(uid: UInt32) { self.uid = uid }

    func isUsedUp(_ part: Part, in turn: UInt64) -> Bool {
        let slice = part == .arrivals ? arrivals : continuations
        return slice.turn == turn && slice.usedNanoseconds >= Self.nanosecondsMax
    }

    func use(_ nanoseconds: Int64, of part: Part, in turn: UInt64) {
        switch part {
        case .arrivals: Self.use(nanoseconds, &arrivals, turn)
        case .continuations: Self.use(nanoseconds, &continuations, turn)
        }
    }

    private static func use(_ nanoseconds: Int64, _ slice: inout Slice, _ turn: UInt64) {
        if slice.turn != turn { slice = Slice(turn: turn) }
        slice.usedNanoseconds += nanoseconds
    }
}
