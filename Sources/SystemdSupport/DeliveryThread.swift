// Delivery to a receiver that may block.

internal import LinuxSystem
internal import Synchronization

/// A bounded queue with a thread of its own, which delivers in order and may be blocked forever.
///
/// libsystemd's calls wait without a limit for room in the receiver's queue. Here they block only this thread: a caller
/// waits only if it asks to, for a limited time, and after one wait in vain nobody waits again until the receiver has
/// taken something. What does not fit is dropped and counted.
///
/// - Thread: any.
final class DeliveryThread: Sendable {
    private struct State {
        var queue: [(deliver: @Sendable () -> Void, byteCount: Int)] = []
        var waitingByteCount = 0
        var acceptedCount: UInt64 = 0
        var deliveredCount: UInt64 = 0
        var lostCount = 0
        /// Threads that wait for the next delivery.
        var waiterCount = 0
        var isWanted = false
        var isStarted = false
        var isAsleep = false
        /// A caller has waited in vain, and nothing was taken since.
        var isStuck = false

        /// An element that is being delivered counts until it is taken.
        var waitingCount: Int { Int(acceptedCount - deliveredCount) }

        func hasRoom(_ byteCount: Int, _ countMax: Int, _ byteCountMax: Int) -> Bool {
            waitingCount == 0 || (waitingCount < countMax && byteCount <= byteCountMax - waitingByteCount)
        }

        mutating func append(_ deliver: @escaping @Sendable () -> Void, byteCount: Int) {
            queue.append((deliver, byteCount))
            waitingByteCount += byteCount
            acceptedCount += 1
        }
    }

    private let name: String
    private let byteCountMax: Int
    private let reportLoss: (@Sendable (Int) -> Void)?
    private let state = Mutex(State())
    private let filled = Semaphore()
    private let progress = Semaphore()

    /// - Parameters:
    ///   - name: the thread's.
    ///   - byteCountMax: the most bytes that may wait.
    ///   - reportLoss: called on the thread with the number of dropped elements, in their place in the order; `nil`
    ///     leaves it to `lostCount`.
    init(name: String, byteCountMax: Int, reportLoss: (@Sendable (Int) -> Void)? = nil) {
        self.name = name
        self.byteCountMax = byteCountMax
        self.reportLoss = reportLoss
    }

    /// Dropped elements that were not reported yet.
    var lostCount: Int { state.withLock { $0.lostCount } }

    /// Starts to deliver. Elements that were posted before wait.
    /// - Returns: false if no thread can be created; the next caller tries again.
    @discardableResult
    func start() -> Bool {
        let isFirst = state.withLock { state in
            defer { (state.isWanted, state.isStarted) = (true, true) }
            return !state.isStarted
        }
        guard isFirst else { return true }
        do throws(Errno) {
            try Thread.start(name: name) { [self] in run() }
            return true
        } catch {
            state.withLock { $0.isStarted = false }
            return false
        }
    }

    /// Adds an element to the queue.
    ///
    /// - Parameters:
    ///   - byteCount: its size.
    ///   - countMax: the most that may wait, including this one.
    ///   - patienceMilliseconds: how long to wait for room.
    ///   - deliver: delivers it.
    /// - Returns: false if it was dropped.
    @discardableResult
    func post(
        byteCount: Int = 0, countMax: Int, patienceMilliseconds: Int64 = 0, _ deliver: @escaping @Sendable () -> Void
    ) -> Bool {
        let byteCountMax = byteCountMax
        if patienceMilliseconds > 0 {
            _ = wait(milliseconds: patienceMilliseconds) { $0.hasRoom(byteCount, countMax, byteCountMax) }
        }
        let (isTaken, wakes, lacksThread) = state.withLock { state -> (Bool, Bool, Bool) in
            let lacksThread = state.isWanted && !state.isStarted
            guard state.hasRoom(byteCount, countMax, byteCountMax) else {
                state.lostCount += 1
                return (false, false, lacksThread)
            }
            appendLossReport(&state)
            state.append(deliver, byteCount: byteCount)
            defer { state.isAsleep = false }
            return (true, state.isAsleep, lacksThread)
        }
        if wakes { filled.post() }
        if lacksThread { start() }
        return isTaken
    }

    /// Waits until everything posted before is delivered.
    ///
    /// - Parameters:
    ///   - milliseconds: how long at most.
    ///   - evenIfStuck: also if others have waited in vain.
    /// - Returns: false if it was not.
    @discardableResult
    func flush(milliseconds: Int64, evenIfStuck: Bool = false) -> Bool {
        let count = state.withLock { $0.acceptedCount }
        return wait(milliseconds: milliseconds, evenIfStuck: evenIfStuck) { $0.deliveredCount >= count }
    }

    /// Waits until everything is delivered, as long as the receiver takes something from time to time.
    func finish(patienceMilliseconds: Int64) {
        while true {
            let (isDone, count) = state.withLock { state in
                (state.waitingCount == 0 && (state.lostCount == 0 || reportLoss == nil), state.deliveredCount)
            }
            if isDone { return }
            // The process is about to end: without a thread, this one may block.
            guard start() else { return deliver(nextBatch()) }
            let goesOn = wait(milliseconds: patienceMilliseconds, evenIfStuck: true) { $0.deliveredCount > count }
            if !goesOn { return }
        }
    }

    private func wait(milliseconds: Int64, evenIfStuck: Bool = false, until isMet: (State) -> Bool) -> Bool {
        let deadline = MonotonicInstant.now.advanced(byMilliseconds: milliseconds)
        while true {
            let restNanoseconds = deadline.nanoseconds(since: .now)
            let verdict = state.withLock { state -> Bool? in
                if isMet(state) { return true }
                if !state.isStarted || (state.isStuck && !evenIfStuck) { return false }
                if restNanoseconds <= 0 {
                    state.isStuck = true
                    return false
                }
                state.waiterCount += 1
                return nil
            }
            if let verdict { return verdict }
            // A wake-up that comes too late stays: the next waiter wakes once more than necessary.
            _ = progress.wait(milliseconds: (restNanoseconds + 999_999) / 1_000_000)
        }
    }

    // MARK: The thread

    private func run() {
        while true {
            let batch = nextBatch()
            if batch.isEmpty {
                filled.wait()
            } else {
                deliver(batch)
            }
        }
    }

    /// The waiting elements; none if the thread may sleep.
    private func nextBatch() -> [(deliver: @Sendable () -> Void, byteCount: Int)] {
        state.withLock { state in
            if state.queue.isEmpty { appendLossReport(&state) }
            state.isAsleep = state.queue.isEmpty
            defer { state.queue = [] }
            return state.queue
        }
    }

    private func deliver(_ batch: [(deliver: @Sendable () -> Void, byteCount: Int)]) {
        for (deliver, byteCount) in batch {
            deliver()
            let waiterCount = state.withLock { state in
                state.deliveredCount += 1
                state.waitingByteCount -= byteCount
                state.isStuck = false
                defer { state.waiterCount = 0 }
                return state.waiterCount
            }
            for _ in 0..<waiterCount { progress.post() }
        }
    }

    private func appendLossReport(_ state: inout State) {
        guard state.lostCount > 0, let reportLoss else { return }
        let count = state.lostCount
        state.lostCount = 0
        state.append({ reportLoss(count) }, byteCount: 0)
    }
}
