// Deadlines of one loop, soonest first.

/// Identifies a scheduled timer for cancelling; never reused.
public struct TimerID: Equatable, Sendable {
    let sequence: UInt64
}

/// A binary heap of deadlines. Those of cancelled timers stay until they reach the top, so cancelling is O(1)
/// amortised; their sources, with everything that they hold, are released at once.
///
///
/// - Thread: its loop's.
struct TimerQueue {
    /// A timer that is due.
    struct Due {
        var token: UInt64
        var source: EventSource
    }

    private struct Entry {
        var deadline: MonotonicInstant
        var sequence: UInt64
        var token: UInt64
    }

    private var heap: [Entry] = []
    /// The sources of timers that were not cancelled, by number.
    private var sources: [UInt64: EventSource] = [:]
    /// Number of the latest timer.
    private(set) var lastSequence: UInt64 = 0

    /// When the loop must wake up for a timer; `nil` without timers.
    var nextDeadline: MonotonicInstant? { heap.first?.deadline }

    mutating func schedule(_ source: EventSource, token: UInt64, at deadline: MonotonicInstant) -> TimerID {
        lastSequence += 1
        heap.append(Entry(deadline: deadline, sequence: lastSequence, token: token))
        sources[lastSequence] = source
        siftUp(heap.count - 1)
        return TimerID(sequence: lastSequence)
    }

    /// Removes a timer that has not fired.
    /// - Returns: its source: releasing the last reference may use the queue, which is in use until this returns.
    mutating func cancel(_ timer: TimerID) -> EventSource? {
        let source = sources.removeValue(forKey: timer.sequence)
        // Long-lived deadlines that are cancelled early must not accumulate.
        let cancelledCount = heap.count - sources.count
        if cancelledCount > 64 && cancelledCount > heap.count / 2 { removeCancelled() }
        return source
    }

    /// Removes all timers.
    /// - Returns: their sources, for the same reason.
    mutating func removeAll() -> [EventSource] {
        defer { (heap, sources) = ([], [:]) }
        return Array(sources.values)
    }

    /// Takes the next due timer that is not younger than `lastSequence`: one that is set for "now" while timers fire
    /// waits for the next turn, so that it cannot block everything else.
    mutating func popDue(_ now: MonotonicInstant, upTo lastSequence: UInt64 = .max) -> Due? {
        while let first = heap.first, first.deadline <= now, first.sequence <= lastSequence {
            let entry = removeFirst()
            guard let source = sources.removeValue(forKey: entry.sequence) else { continue }
            return Due(token: entry.token, source: source)
        }
        return nil
    }

    private mutating func removeCancelled() {
        let kept = heap.filter { sources[$0.sequence] != nil }
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
