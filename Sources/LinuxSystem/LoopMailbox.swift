// Jobs from other threads for a loop.

internal import CLinux
internal import Glibc
internal import Synchronization

/// A queue of jobs with an eventfd that wakes the loop up.
///
/// - Thread: `submit` from any; jobs run on the loop's thread, in order.
/// - Source: eventfd(2).
public final class LoopMailbox: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        /// The loop has ended, and nobody runs them.
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wakeUp: OwnedDescriptor
    private let ownerThread = Atomic<UInt>(0)

    init() throws(Errno) {
        wakeUp = OwnedDescriptor(Int32(try SystemCalls.call(.eventfd) { Int(clinux_eventfd()) }))
    }

    var descriptorNumber: Int32 { wakeUp.number }

    func bindToCurrentThread() {
        ownerThread.store(UInt(pthread_self()), ordering: .relaxed)
    }

    /// True on the thread that runs the loop.
    public var isCurrent: Bool { ownerThread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// Runs `job` on the loop's thread, soon; or not at all, if the loop has ended.
    /// - Cost: one allocation for the closure, and one write(2) when the queue was empty.
    public func submit(_ job: @escaping @Sendable () -> Void) {
        let wasEmpty = state.withLock { state in
            if state.isClosed { return false }
            state.jobs.append(job)
            return state.jobs.count == 1
        }
        guard wasEmpty else { return }
        // The counter cannot overflow: it is drained in each turn; EAGAIN would mean that a wake-up is pending anyway.
        var one: UInt64 = 1
        _ = Glibc.write(wakeUp.number, &one, MemoryLayout<UInt64>.size)
    }

    func runJobs() {
        var count: UInt64 = 0
        _ = Glibc.read(wakeUp.number, &count, MemoryLayout<UInt64>.size)
        let jobs = state.withLock { state in
            let jobs = state.jobs
            state.jobs = []
            return jobs
        }
        for job in jobs { job() }
    }

    /// Drops the jobs that have not run, and all that come later: they hold what the loop has served.
    func close() {
        let jobs = state.withLock { state in
            state.isClosed = true
            defer { state.jobs = [] }
            return state.jobs
        }
        // Releasing them may submit others.
        withExtendedLifetime(jobs) {}
    }
}

/// A value that belongs to one loop, passed through other threads that do not use it.
///
/// - Thread: created and read on the loop's thread; any other use traps.
public struct LoopBound<Value>: @unchecked Sendable {
    private let value: Value
    private let mailbox: LoopMailbox

    public init(_ value: Value, _ mailbox: LoopMailbox) {
        self.value = value
        self.mailbox = mailbox
    }

    /// The value.
    public var wrapped: Value {
        precondition(mailbox.isCurrent, "a loop's value was touched by another thread")
        return value
    }
}
