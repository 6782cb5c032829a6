// The time of a loop is shared by users, not by connections: a user with a hundred connections does not get a hundred
// times as much.

internal import LinuxSystem

/// The share of one user in one loop.
///
/// - Thread: its loop's.
final class LoopShare {
    /// Parts of a turn of the loop. Each has its own time, so that new requests cannot delay forever those that were
    /// received already.
    enum Part { case arrivals, continuations }

    private struct Slice {
        var turn: UInt64 = 0
        var usedNanoseconds: Int64 = 0
    }

    /// The time of one user in each part while others use the loop, in nanoseconds: the turns of a few connections.
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
