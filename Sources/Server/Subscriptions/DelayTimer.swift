// The time for which changes are gathered.

internal import LinuxSystem

/// A timer that is started where it does not run yet.
///
/// - Thread: its loop's.
final class DelayTimer: EventSource {
    private let body: () -> Void
    private var timer: (id: TimerID, loop: EventLoop)?

    /// - Parameter body: called when the time is over.
    init(_ body: @escaping () -> Void) { self.body = body }

    /// Starts it, unless it runs.
    func start(on loop: EventLoop, at deadline: MonotonicInstant) {
        guard timer == nil else { return }
        timer = (loop.schedule(self, at: deadline), loop)
    }

    func cancel() {
        if let (id, loop) = timer { loop.cancel(id) }
        timer = nil
    }

    override func timerFired(_ token: UInt64) {
        timer = nil
        body()
    }
}
