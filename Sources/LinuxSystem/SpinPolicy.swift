// When a loop polls for events before it sleeps. Waking a thread costs its waker a system call, and the thread some 30
// µs until it runs: more than a short request takes. Polling costs a core, which somebody else may want. So a loop
// polls only while events arrive quickly, and not while others want the core.

/// Decides according to the last waits.
///
/// - Thread: its owner's.
public struct SpinPolicy {
    /// The longest time to poll, in nanoseconds; 0: never.
    public let nanosecondsMax: Int64
    /// Positive while polling has paid off.
    private var score = 0
    private var restUntil = MonotonicInstant(nanoseconds: 0)
    private var restNanoseconds = firstRestNanoseconds

    private static let scoreMax = 8
    /// Longer than a peer's turn, for which polling makes room; shorter than the time slice of a program that computes.
    private static let yieldNanosecondsMax: Int64 = 500_000
    private static let firstRestNanoseconds: Int64 = 50_000_000
    private static let restNanosecondsMax: Int64 = 2_000_000_000

    public init(nanosecondsMax: Int64) { self.nanosecondsMax = nanosecondsMax }

    /// Whether to poll at the next wait.
    public func isWorthwhile(at now: MonotonicInstant) -> Bool { score > 0 && now >= restUntil }

    /// A wait has ended with an event.
    public mutating func waitEnded(after nanoseconds: Int64) {
        // One long wait cancels two short ones: requests that come in pairs are not a stream.
        score = nanoseconds <= nanosecondsMax ? min(Self.scoreMax, score + 1) : max(0, score - 2)
    }

    /// The core was yielded to others and returned.
    /// - Returns: false if somebody has used it so long that sleeping is better: a woken thread comes first.
    public mutating func yieldReturned(after nanoseconds: Int64, at now: MonotonicInstant) -> Bool {
        if nanoseconds <= Self.yieldNanosecondsMax { return true }
        // Just after a rest, nothing has changed.
        let isAgain = now.nanoseconds(since: restUntil) < restNanoseconds
        restNanoseconds = isAgain ? min(2 * restNanoseconds, Self.restNanosecondsMax) : Self.firstRestNanoseconds
        restUntil = now.advanced(byNanoseconds: restNanoseconds)
        return false
    }
}
