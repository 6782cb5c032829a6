// Answers of all loops to one question.

internal import Synchronization

/// Adds up what the loops tell.
final class Gathering: Sendable {
    private let state: Mutex<(total: Int, missing: Int)>

    /// - Parameter missing: how many will tell.
    init(missing: Int) { state = Mutex((0, missing)) }

    /// Adds one loop's count.
    /// - Returns: the sum for the last loop, `nil` for the others.
    func add(_ count: Int) -> Int? {
        state.withLock { state in
            state.total += count
            state.missing -= 1
            return state.missing == 0 ? state.total : nil
        }
    }
}
