// Deadlines of one loop, soonest first.

/// Identifies a scheduled timer for cancelling; never reused.
public struct TimerID: Equatable, Sendable {
    let sequence: UInt64
}

/// A binary heap of deadlines. Cancelled timers stay until they surface, so cancelling is O(1) amortised.
///
/// - Thread: its loop's.
struct TimerQueue {
    struct Entry {
        var deadline: MonotonicInstant
        var sequence: UInt64
        var token: UInt64
        var source: EventSource
    }

    private var heap: [Entry] = []
    private var cancelled: Set<UInt64> = []
    /// Number of the timer that was scheduled last.
    private(set) var lastSequence: UInt64 = 0

    /// When the loop must wake up for a timer; `nil` without timers.
    var nextDeadline: MonotonicInstant? { heap.first?.deadline }

    mutating func schedule(_ source: EventSource, token: UInt64, at deadline: MonotonicInstant) -> TimerID {
        lastSequence += 1
        heap.append(Entry(deadline: deadline, sequence: lastSequence, token: token, source: source))
        siftUp(heap.count - 1)
        return TimerID(sequence: lastSequence)
    }

    /// Forgets a timer that has not fired.
    mutating func cancel(_ timer: TimerID) {
        cancelled.insert(timer.sequence)
        // Long-lived deadlines that are cancelled early must not pile up.
        if cancelled.count > 64 && cancelled.count > heap.count / 2 { removeCancelled() }
    }

    /// Takes the next timer that is due and not younger than `lastSequence`: one that is set for "now" while timers fire
    /// waits for the next turn, so that it cannot keep the loop from everything else.
    mutating func popDue(_ now: MonotonicInstant, upTo lastSequence: UInt64 = .max) -> Entry? {
        while let first = heap.first, first.deadline <= now, first.sequence <= lastSequence {
            let entry = removeFirst()
            if cancelled.remove(entry.sequence) == nil { return entry }
        }
        return nil
    }

    private mutating func removeCancelled() {
        let kept = heap.filter { !cancelled.contains($0.sequence) }
        cancelled.removeAll()
        heap.removeAll(keepingCapacity: true)
        for entry in kept {
            heap.append(entry)
            siftUp(heap.count - 1)
        }
    }

    private mutating func removeFirst() -> Entry {
        heap.swapAt(0, heap.count - 1)
        let entry = heap.removeLast()
        siftDown()
        return entry
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (heap[left].deadline, heap[left].sequence) < (heap[right].deadline, heap[right].sequence)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0, isBefore(index, (index - 1) / 2) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func siftDown() {
        var index = 0
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && isBefore(child, smallest) {
                smallest = child
            }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
