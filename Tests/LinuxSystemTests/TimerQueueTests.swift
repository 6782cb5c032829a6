// The timer queue against a sorted list.

import LiteBaseTesting
import Testing

@testable import LinuxSystem

@Suite struct TimerQueueTests {
    private struct Planned {
        var id: TimerID
        var deadline: Int64
        var token: UInt64
    }

    @Test func firesInTheOrderOfDeadlinesAndOfScheduling() {
        var random = SeededGenerator.fresh
        for round in 0..<200 {
            var queue = TimerQueue()
            var planned: [Planned] = []
            let source = EventSource()
            for token in 0..<UInt64.random(in: 0...200, using: &random) {
                // Few distinct deadlines, so that many are equal.
                let deadline = Int64.random(in: 0..<40, using: &random)
                let id = queue.schedule(source, token: token, at: MonotonicInstant(nanoseconds: deadline))
                planned.append(Planned(id: id, deadline: deadline, token: token))
                if let victim = planned.indices.randomElement(using: &random), Bool.random(using: &random) {
                    _ = queue.cancel(planned.remove(at: victim).id)
                }
            }
            var now: Int64 = -1
            var fired: [UInt64] = []
            var expected: [UInt64] = []
            while now < 45 {
                now += Int64.random(in: 1...9, using: &random)
                let due = planned.filter { $0.deadline <= now }.sorted {
                    ($0.deadline, $0.token) < ($1.deadline, $1.token)
                }
                expected += due.map(\.token)
                planned.removeAll { $0.deadline <= now }
                while let entry = queue.popDue(MonotonicInstant(nanoseconds: now)) { fired.append(entry.token) }
            }
            #expect(fired == expected, "seed \(random.seed), round \(round)")
            #expect(queue.nextDeadline == nil)
        }
    }

    @Test func cancelledTimersDoNotPileUp() {
        var queue = TimerQueue()
        let source = EventSource()
        for token in 0..<100_000 as Range<UInt64> {
            _ = queue.cancel(queue.schedule(source, token: token, at: .distantFuture))
        }
        // What is left keeps at most as many entries as the threshold of the clean-up.
        #expect(queue.entryCount <= 200)
    }

    /// What a source holds may be a database in memory, and the deadline an hour away.
    @Test func aCancelledTimerHoldsNothing() throws {
        final class Holder: EventSource {
            var onEnd: () -> Void = {}
            deinit { onEnd() }
        }
        let loop = try EventLoop()
        var holder: Holder? = Holder()
        weak let held = holder
        let other = loop.schedule(EventSource(), at: .distantFuture)
        // Whoever goes with its last reference cancels timers of its own.
        holder?.onEnd = { loop.cancel(other) }
        let timer = try loop.schedule(#require(holder), at: .distantFuture)
        holder = nil
        #expect(held != nil)
        loop.cancel(timer)
        #expect(held == nil)
    }
}

extension TimerQueue {
    fileprivate var entryCount: Int {
        Mirror(reflecting: self).descendant("heap").map { Mirror(reflecting: $0).children.count } ?? .max
    }
}
