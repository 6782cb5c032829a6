// How long somebody looks at a lane before he sleeps.

internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Looks at memory for a short time, as long as that pays off, and now and then to learn whether it would.
///
/// - Thread: its owner's.
struct LaneLooker {
    private var policy = SpinPolicy(nanosecondsMax: Process.coreCount > 1 ? nanosecondsMax : 0)

    /// How long it looks: a little longer than a short request takes.
    static let nanosecondsMax: Int64 = 50_000
    /// Loads between two looks at the clock.
    private static let loadCount = 64

    /// Looks, if that has paid off or on trial. Others get the core in between: one of them may be the daemon.
    /// - Parameters:
    ///   - deadline: when to give up, at the latest.
    ///   - hasNews: a few loads.
    /// - Returns: whether there is news.
    mutating func look(until deadline: MonotonicInstant?, for hasNews: () -> Bool) -> Bool {
        if hasNews() { return true }
        let start = MonotonicInstant.now
        let way = policy.beginWait(at: start)
        if way == .sleep { return false }
        let end = min(start.advanced(byNanoseconds: policy.nanosecondsMax), deadline ?? .distantFuture)
        var before = start
        while before < end {
            for _ in 0..<Self.loadCount {
                if hasNews() {
                    policy.waitEnded(after: before.nanoseconds(since: start))
                    return true
                }
                clinux_relax()
            }
            if way == .poll { sched_yield() }
            let after = MonotonicInstant.now
            guard policy.yieldReturned(after: after.nanoseconds(since: before), at: after) else { return false }
            before = after
        }
        return false
    }

    /// Something has come that was waited for in another way.
    mutating func waited(since began: MonotonicInstant) {
        policy.waitEnded(after: MonotonicInstant.now.nanoseconds(since: began))
    }
}
