// Threads for statements that take too long for a loop: writes, long reads, anything that may wait for the disk.

internal import LinuxSystem
internal import Synchronization

/// A pool of threads that grows on demand and shrinks when idle.
///
/// Users take turns; the jobs of one user start in the order of submission. A user without a running job gets a thread
/// beyond the limit if others have taken all.
///
/// - Thread: `submit` from any.
public final class WorkerPool: Sendable {
    private struct Job {
        var uid: UInt32
        var work: @Sendable () -> Void
    }

    private struct State {
        var jobs = FairQueue<Job>()
        var running = UserShares()
        var threadCountMax: Int
        var threadCount = 0
        /// Threads that wait to be woken.
        var idleCount = 0
        /// Wake-ups that were sent and not received yet.
        var wakeUpCount = 0
        /// True while a caller does the work because no thread can be created.
        var hasSubstitute = false
        var peak = 0
        var delayedCount: UInt64 = 0

        /// Finds threads for the jobs that the limit lets start: idle ones first, then new ones.
        mutating func employ() -> (wakeUps: Int, newThreads: Int) {
            let wanted = max(0, min(jobs.count, threadCountMax - running.count))
            let wakeUps = min(wanted, max(0, idleCount - wakeUpCount))
            let newThreads = max(0, min(wanted - wakeUps, threadCountMax - threadCount))
            wakeUpCount += wakeUps
            threadCount += newThreads
            return (wakeUps, newThreads)
        }

        /// Finds a thread for a job that may start, if there is one: an idle thread first, then a new one.
        mutating func engage() -> Need {
            let (running, limit) = (running, threadCountMax)
            guard jobs.hasUser(where: { running.mayBegin($0, limit: limit) }) else { return .nothing }
            if idleCount > wakeUpCount {
                wakeUpCount += 1
                return .wakeUp
            }
            if threadCount >= limit {
                guard threadCount < 2 * limit, jobs.hasUser(where: { running.count(of: $0) == 0 }) else {
                    return .nothing
                }
            }
            threadCount += 1
            return .thread
        }

        /// Takes a job that may run now.
        mutating func begin() -> Job? {
            let limit = threadCountMax
            let job =
                running.count < limit
                ? jobs.popFirst() : jobs.popFirst { running.mayBegin($0, limit: limit) }
            if let job {
                running.begin(job.uid)
                peak = max(peak, running.count)
            }
            return job
        }

        /// The same for a caller that replaces a thread; it stops doing so when there is nothing to do.
        mutating func beginAsSubstitute() -> Job? {
            let job = begin()
            if job == nil { hasSubstitute = false }
            return job
        }

        /// The same for a thread, which becomes idle if there is no job: in one step, so that no job is submitted in
        /// between.
        mutating func beginOrIdle() -> Job? {
            let job = begin()
            if job == nil { idleCount += 1 }
            return job
        }
    }

    /// What is needed for a new job.
    private enum Need { case nothing, wakeUp, thread }

    private static let idleMillisecondsMax: Int64 = 10_000
    /// Enough for SQLite's recursions that do not allocate (SQLiteBudget.schemaTextByteCountMax); only used pages are
    /// resident.
    private static let stackByteCount = 4 << 20

    private let state: Mutex<State>
    private let wakeUps = Semaphore()
    private let prefersLatency: Bool

    /// - Parameters:
    ///   - threadCountMax: the most threads, apart from those for users without another.
    ///   - prefersLatency: its jobs are short, and clients wait for them (`Thread.preferLatency`).
    public init(threadCountMax: Int, prefersLatency: Bool = false) {
        self.prefersLatency = prefersLatency
        state = Mutex(State(threadCountMax: max(1, threadCountMax)))
    }

    /// The most threads, apart from those for users without another.
    ///
    /// Threads beyond a new limit end after their jobs.
    public var threadCountMax: Int {
        get { state.withLock { $0.threadCountMax } }
        set {
            let (wakeUpCount, missingCount) = state.withLock { state in
                state.threadCountMax = max(1, newValue)
                return state.employ()
            }
            for _ in 0..<wakeUpCount { wakeUps.post() }
            for _ in 0..<missingCount { startThread() }
        }
    }

    /// Threads that work, and jobs that wait for a thread.
    public var load: (busyCount: Int, waitingCount: Int) {
        state.withLock { ($0.running.count, $0.jobs.count) }
    }

    /// How long a job of `uid` that has computed for `nanoseconds` should pause now: the kernel shares processors
    /// between threads, and one user may have many. Nobody pauses while no other user has a job.
    /// - Thread: any; takes a lock, so not for each step of a job.
    package func rest(of uid: UInt32, after nanoseconds: Int64) -> Int64 {
        let (userCount, ownCount) = state.withLock { ($0.running.userCount, $0.running.count(of: uid)) }
        let share = max(1, Process.coreCount / max(1, userCount))
        guard userCount > 1, ownCount > share else { return 0 }
        return nanoseconds * Int64(ownCount - share) / Int64(share)
    }

    /// The most threads that have worked at a time, and the number of jobs that had to wait.
    public var history: (peak: Int, delayedCount: UInt64) { state.withLock { ($0.peak, $0.delayedCount) } }

    /// Runs `job` on a thread of the pool when it is this user's turn.
    public func submit(for uid: UInt32, _ job: @escaping @Sendable () -> Void) {
        let need = state.withLock { state -> Need in
            state.jobs.append(Job(uid: uid, work: job), of: uid)
            let need = state.engage()
            // Otherwise a working thread takes it when its job is done.
            if case .nothing = need { state.delayedCount += 1 }
            return need
        }
        meet(need)
    }

    private func meet(_ need: Need) {
        switch need {
        case .nothing: break
        case .wakeUp: wakeUps.post()
        case .thread: startThread()
        }
    }

    private func startThread() {
        do throws(Errno) {
            try Thread.start(name: "litebase-worker", stackByteCount: Self.stackByteCount) { [self] in work() }
        } catch {
            // No thread can be created (ulimit, TasksMax): existing threads do the work; without any, this caller does
            // it for all. If that is a loop, long statements end there with an error (SQLiteExecution.advance).
            let isSubstitute = state.withLock { state in
                state.threadCount -= 1
                if state.threadCount > 0 || state.hasSubstitute { return false }
                state.hasSubstitute = true
                return true
            }
            if isSubstitute { workAsSubstitute() }
        }
    }

    /// Does all waiting jobs; a job that submits another does not get here again, so the stack does not grow.
    private func workAsSubstitute() {
        while let job = state.withLock({ $0.beginAsSubstitute() }) {
            job.work()
            state.withLock { $0.running.end(job.uid) }
        }
    }

    private func work() {
        Thread.mayBlock = true
        if prefersLatency { Thread.preferLatency() }
        var job = begin(after: nil)
        while true {
            if let current = job {
                job = nil
                current.work()
                job = begin(after: current)
            } else {
                guard isWorthWaiting() else { return }
                job = begin(after: nil)
            }
        }
    }

    /// Takes the next job. The end of the last one may also let another user's job start, for which no thread was found
    /// when it was submitted.
    private func begin(after last: Job?) -> Job? {
        let (job, need) = state.withLock { state -> (Job?, Need) in
            if let last { state.running.end(last.uid) }
            let job = state.beginOrIdle()
            return (job, job == nil ? .nothing : state.engage())
        }
        meet(need)
        return job
    }

    /// Waits to be woken; the thread was counted as idle before.
    /// - Returns: false if the thread was idle for too long and has left the pool.
    private func isWorthWaiting() -> Bool {
        let wasWoken = wakeUps.wait(milliseconds: Self.idleMillisecondsMax)
        return state.withLock { state in
            state.idleCount -= 1
            if wasWoken {
                state.wakeUpCount -= 1
                return true
            }
            // A wake-up that came too late for this thread stays in the semaphore: the next thread that waits gets it
            // and finds nothing to do.
            if !state.jobs.isEmpty { return true }
            state.threadCount -= 1
            return false
        }
    }
}
