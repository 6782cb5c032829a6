// How long the daemon has worked on a request: the time in which it waits for its client or its turn does not count.

internal import LinuxSystem

/// Measures the work on one request, page by page, and says when its timeout is reached.
///
/// - Thread: its connection's loop.
struct WorkClock {
    /// When the request arrived, or its last `fetch` did.
    private(set) var started = MonotonicInstant(nanoseconds: 0)
    /// Each page has the whole of it; 0: no timeout.
    var timeoutMilliseconds: Int64 = 0
    /// Since when it runs; the distant future while it stands still.
    private var runningSince = MonotonicInstant.distantFuture
    private var workNanoseconds: Int64 = 0
    /// The work before the last `fetch`.
    private var formerNanoseconds: Int64 = 0

    /// The request arrived.
    mutating func start(at now: MonotonicInstant) {
        started = now
        runningSince = now
        workNanoseconds = 0
        formerNanoseconds = 0
    }

    /// It waits for its turn, and nothing was done for it yet.
    mutating func suspend() { runningSince = .distantFuture }

    /// Continues after `suspend` or `stop`.
    mutating func resume(at now: MonotonicInstant) { runningSince = now }

    /// Stops counting.
    /// - Returns: nanoseconds that the daemon has worked on it in all.
    @discardableResult
    mutating func stop(at now: MonotonicInstant) -> Int64 {
        if runningSince < now { workNanoseconds += now.nanoseconds(since: runningSince) }
        runningSince = .distantFuture
        return workNanoseconds
    }

    /// Its client has requested the next page, and the clock continues.
    mutating func startPage(at now: MonotonicInstant) {
        started = now
        runningSince = now
        formerNanoseconds = workNanoseconds
    }

    /// When the timeout is reached if the clock runs until then; `nil` while it stands still, or without a timeout.
    var deadline: MonotonicInstant? {
        guard timeoutMilliseconds > 0, runningSince != .distantFuture else { return nil }
        return runningSince.advanced(byMilliseconds: timeoutMilliseconds)
            .advanced(byNanoseconds: formerNanoseconds - workNanoseconds)
    }
}
