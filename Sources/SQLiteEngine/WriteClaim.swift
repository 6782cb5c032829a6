// Who owns a write while it is in a group of the writer: its loop, which may withdraw it, or the writer, who runs it.

internal import Synchronization

/// The claim on one execution. One that the writer has begun cannot be withdrawn, and one that its link has withdrawn is
/// not begun: the writer then uses neither it nor its run.
///
/// - Thread: any.
struct WriteClaim: ~Copyable {
    private let state = Atomic<State.RawValue>(State.none.rawValue)

    private enum State: UInt8 {
        case none
        case begun
        /// The writer has finished it without doing anything, because the database has to be opened again.
        case undone
        case withdrawn
    }

    private var current: State.RawValue { state.load(ordering: .acquiring) }

    private func take(_ wanted: State) -> Bool {
        state.compareExchange(
            expected: State.none.rawValue, desired: wanted.rawValue, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Claims it for the writer.
    /// - Returns: false if it was withdrawn.
    /// - Thread: the writer's.
    func begin() -> Bool { take(.begun) }

    /// What was begun has had no effect, and has to start again.
    /// - Thread: the writer's.
    func undo() { state.store(State.undone.rawValue, ordering: .releasing) }

    /// Nothing of it was done, or it was undone: it may be withdrawn again.
    /// - Thread: its owner's: the writer's or, before it is in the queue, its loop's.
    func release() { state.store(State.none.rawValue, ordering: .releasing) }

    /// Takes it out of its group; it has then ended for everybody, and is not used again.
    /// - Returns: false if the writer has begun it.
    /// - Thread: its loop's.
    func withdraw() -> Bool { take(.withdrawn) }

    var isWithdrawn: Bool { current == State.withdrawn.rawValue }

    /// Whether the writer has finished it; for the writer.
    var isFinished: Bool { current == State.begun.rawValue || isUndone }

    /// Whether it has to start again; for its loop, when the writer has finished it.
    var isUndone: Bool { current == State.undone.rawValue }
}
