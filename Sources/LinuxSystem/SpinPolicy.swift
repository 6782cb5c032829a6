// When a loop looks for events for a moment before it sleeps. A sleeping thread costs its waker a system call's worth of
// time and itself some 30 µs until it runs, more than a short request takes; a thread that looks costs a core that nobody
// else may want. So it is done only while events keep coming quickly, and not where others want the core.

/// Decides from what the last waits were like.
///
/// - Thread: its loop's.
struct SpinPolicy {
    /// The longest time to look, in nanoseconds; 0: never.
    let nanosecondsMax: Int64
    /// Positive while looking has paid.
    private var score = 0
    private var restUntil = MonotonicInstant(nanoseconds: 0)
    private var restNanoseconds = firstRestNanoseconds

    private static let scoreMax = 8
    /// Longer than a peer's turn, which is what looking makes room for; shorter than the time slice of a program that computes.
    private static let yieldNanosecondsMax: Int64 = 500_000
    private static let firstRestNanoseconds: Int64 = 50_000_000
    private static let restNanosecondsMax: Int64 = 2_000_000_000

    init(nanosecondsMax: Int64) { self.nanosecondsMax = nanosecondsMax }

    /// Whether the next wait begins with looking.
    func isWorthwhile(at now: MonotonicInstant) -> Bool { score > 0 && now >= restUntil }

    /// A wait has ended with an event.
    mutating func waitEnded(after nanoseconds: Int64) {
        // One long wait undoes two short ones: requests that come in pairs are no stream.
        score = nanoseconds <= nanosecondsMax ? min(Self.scoreMax, score + 1) : max(0, score - 2)
    }

    /// The core was offered to others, and came back.
    /// - Returns: false when somebody has used it for so long that sleeping is better: who is woken comes first.
    mutating func yieldReturned(after nanoseconds: Int64, at now: MonotonicInstant) -> Bool {
        if nanoseconds <= Self.yieldNanosecondsMax { return true }
        // Right after a rest means that nothing has changed.
        let isAgain = now.nanoseconds(since: restUntil) < restNanoseconds
        restNanoseconds = isAgain ? min(2 * restNanoseconds, Self.restNanosecondsMax) : Self.firstRestNanoseconds
        restUntil = now.advanced(byNanoseconds: restNanoseconds)
        return false
    }
}
