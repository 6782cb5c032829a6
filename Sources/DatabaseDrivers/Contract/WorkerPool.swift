// Threads for statements that outgrow the loop: writes, long reads, anything that may wait for the disk.

internal import LinuxSystem
internal import Synchronization

/// A pool of threads that grows on demand and shrinks when idle. Jobs start in the order of submission.
///
/// - Thread: `submit` from any.
public final class WorkerPool: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        var head = 0
        var threadCount = 0
        var idleCount = 0
        /// True while a caller does the work, since there is no thread.
        var hasSubstitute = false
    }

    private static let idleSecondsMax: Int32 = 10

    private let state = Mutex(State())
    /// Counts submitted jobs.
    private let available = Semaphore()
    private let threadCountMax: Int

    public init(threadCountMax: Int) {
        self.threadCountMax = max(1, threadCountMax)
    }

    /// Runs `job` on a thread of the pool.
    public func submit(_ job: @escaping @Sendable () -> Void) {
        let mustGrow = state.withLock { state in
            state.jobs.append(job)
            guard state.jobs.count - state.head > state.idleCount, state.threadCount < threadCountMax else {
                return false
            }
            state.threadCount += 1
            return true
        }
        available.post()
        if mustGrow { startThread() }
    }

    private func startThread() {
        do throws(Errno) {
            try Thread.start(name: "litebase-worker") { [self] in work() }
        } catch {
            // No thread to be had (ulimit, TasksMax): those that exist do the work; without any, this caller does, for all
            // (a loop: statements that take long end with an error there, see SQLiteExecution.advance).
            let isSubstitute = state.withLock { state in
                state.threadCount -= 1
                if state.threadCount > 0 || state.hasSubstitute { return false }
                state.hasSubstitute = true
                return true
            }
            if isSubstitute { workAsSubstitute() }
        }
    }

    /// Does what is there; a job that submits another one does not get here again, so the stack does not grow.
    private func workAsSubstitute() {
        var isDone = false
        while !isDone {
            takeJob()?()
            isDone = state.withLock { state in
                if state.head < state.jobs.count { return false }
                state.hasSubstitute = false
                return true
            }
        }
    }

    private func work() {
        Thread.mayBlock = true
        while waitForJob() {
            takeJob()?()
        }
    }

    private func takeJob() -> (@Sendable () -> Void)? {
        state.withLock { state in
            guard state.head < state.jobs.count else { return nil }
            let job = state.jobs[state.head]
            // What a job holds goes with it, not here: under the lock, its end must not submit another one.
            state.jobs[state.head] = {}
            state.head += 1
            if state.head == state.jobs.count {
                state.jobs.removeAll(keepingCapacity: true)
                state.head = 0
            } else if state.head >= 1024 {
                state.jobs.removeFirst(state.head)
                state.head = 0
            }
            return job
        }
    }

    /// - Returns: false when the thread was idle for too long and has signed off.
    private func waitForJob() -> Bool {
        state.withLock { $0.idleCount += 1 }
        let hasJob = available.wait(seconds: Self.idleSecondsMax)
        return state.withLock { state in
            state.idleCount -= 1
            if hasJob || state.head < state.jobs.count { return true }
            state.threadCount -= 1
            return false
        }
    }
}
