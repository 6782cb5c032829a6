// When a loop polls for events before it sleeps. Waking a thread costs its waker a system call, and the thread some 30
// µs until it runs: more than a short request takes. Polling costs a core, which somebody else may want. So a loop
// polls only while events arrive quickly, and not while others want the core.
//
// A wait that ends with a wake-up is longer by that wake-up, and by the other side's where it sleeps too: by itself, a loop that
// sleeps would not learn that events arrive quickly. So it tries to poll now and then, where that could be the reason.

/// Decides according to the last waits.
///
/// States, of which the first that applies counts:
/// - resting: others want the core, until a point in time;
/// - paying: polling has paid off of late, and is done at each wait;
/// - hopeful: the last wait was short but for the wake-ups; one wait is a trial, if the last trial was long enough ago;
/// - idle: nothing comes quickly.
///
/// - Thread: its owner's.
public struct SpinPolicy {
    /// How to begin a wait.
    public enum Start: Equatable {
        case sleep
        /// Polls, and makes room for others in between.
        case poll
        /// Polls and makes no room: whoever computes would keep the core for longer than a trial is worth.
        case pollOnTrial
    }

    /// The longest time to poll, in nanoseconds; 0: never.
    public let nanosecondsMax: Int64
    /// Positive while polling has paid off.
    private var score = 0
    private var restUntil = MonotonicInstant(nanoseconds: 0)
    private var restNanoseconds = firstRestNanoseconds
    /// The last wait may have been long because of wake-ups.
    private var isHopeful = false
    private var nextTrial = MonotonicInstant(nanoseconds: 0)
    /// How often a trial has failed since polling last paid off, up to `failedTrialCountMax`.
    private var failedTrialCount = 0

    private static let scoreMax = 8
    /// Longer than a peer's turn, for which polling makes room; shorter than the time slice of a program that computes.
    private static let yieldNanosecondsMax: Int64 = 500_000
    private static let firstRestNanoseconds: Int64 = 50_000_000
    private static let restNanosecondsMax: Int64 = 2_000_000_000
    /// What the wake-ups of both sides take at most, where they are all that is slow.
    private static let wakeUpsNanosecondsMax: Int64 = 400_000
    /// Trials take at most a hundredth of the time, and after so many failures, each of which doubles their distance, 1/6,400.
    private static let trialDistance: Int64 = 100
    private static let failedTrialCountMax = 6

    public init(nanosecondsMax: Int64) { self.nanosecondsMax = nanosecondsMax }

    /// Whether polling has paid off, and nobody else wants the core.
    func isWorthwhile(at now: MonotonicInstant) -> Bool { score > 0 && now >= restUntil }

    /// A wait begins.
    public mutating func beginWait(at now: MonotonicInstant) -> Start {
        if isWorthwhile(at: now) { return .poll }
        guard isHopeful, nanosecondsMax > 0, now >= restUntil, now >= nextTrial else { return .sleep }
        nextTrial = now.advanced(byNanoseconds: (Self.trialDistance * nanosecondsMax) << Int64(failedTrialCount))
        failedTrialCount = min(failedTrialCount + 1, Self.failedTrialCountMax)
        return .pollOnTrial
    }

    /// A wait has ended with an event.
    public mutating func waitEnded(after nanoseconds: Int64) {
        if nanoseconds <= nanosecondsMax {
            score = min(Self.scoreMax, score + 1)
            failedTrialCount = 0
        } else {
            // One long wait cancels two short ones: requests that come in pairs are not a stream.
            score = max(0, score - 2)
        }
        isHopeful = nanoseconds <= nanosecondsMax + Self.wakeUpsNanosecondsMax
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
