// Users take turns in queues, and nobody is kept out of a pool by others.

import LinuxSystem
import LiteBaseTesting
import Synchronization
import Testing

@testable import DatabaseContract

@Suite struct FairQueueTests {
    @Test func usersTakeTurns() {
        var queue = FairQueue<String>()
        for name in ["a1", "a2", "a3"] { queue.append(name, of: 1) }
        for name in ["b1", "b2"] { queue.append(name, of: 2) }
        queue.append("c1", of: 3)
        #expect(queue.first == "a1")
        var order: [String] = []
        while let name = queue.popFirst() { order.append(name) }
        #expect(order == ["a1", "b1", "c1", "a2", "b2", "a3"])
        #expect(queue.isEmpty)
    }

    @Test func whoIsNewWaitsForOneTurnOfEachOther() {
        var queue = FairQueue<String>()
        for index in 0..<100 { queue.append("a\(index)", of: 1) }
        _ = queue.popFirst()
        queue.append("b", of: 2)
        #expect(queue.popFirst() == "a1")
        #expect(queue.popFirst() == "b")
        #expect(queue.popFirst() == "a2")
    }

    @Test func whatIsPutBackComesFirstAgain() {
        var queue = FairQueue<String>()
        for name in ["a1", "a2", "a3", "a4"] { queue.append(name, of: 1) }
        let taken = [queue.popFirst(), queue.popFirst(), queue.popFirst()].compactMap { $0 }
        for name in taken.dropFirst().reversed() { queue.prepend(name, of: 1) }
        #expect([queue.popFirst(), queue.popFirst(), queue.popFirst()] == ["a2", "a3", "a4"])
        queue.prepend("a5", of: 1)
        #expect(queue.popFirst() == "a5")
    }

    @Test func someMayHaveNothingTaken() {
        var queue = FairQueue<String>()
        queue.append("a", of: 1)
        queue.append("b", of: 2)
        #expect(queue.popFirst { $0 == 2 } == "b")
        #expect(queue.popFirst { $0 == 2 } == nil)
        #expect(queue.count == 1)
    }

    /// Each of them would be looked for among all others, if it had to be looked for.
    @Test func manyLeaveAtOnce() {
        var queue = FairQueue<Int>()
        let tickets = (0..<100_000).map { queue.append($0, of: 1) }
        let time = ProcessorTime.seconds {
            for (index, ticket) in tickets.enumerated() where index % 1_000 != 0 {
                if queue.remove(ticket, where: { $0 == index }) != index { fatalError("it was there") }
            }
        }
        #expect(queue.count == 100 && time < 2 * Double(Patience.factor))
        #expect((0..<100).allSatisfy { queue.popFirst() == $0 * 1_000 } && queue.popFirst() == nil)
    }

    /// Against a model that is slow and plain.
    @Test(arguments: 0..<20 as Range<UInt64>) func ordersOfEachUserAreKept(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var queue = FairQueue<[Int]>()
        var model: [UInt32: [[Int]]] = [:]
        var serial = 0
        var tickets: [[Int]: FairQueue<[Int]>.Ticket] = [:]
        for _ in 0..<5_000 {
            let uid = UInt32.random(in: 0..<5, using: &generator)
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5:
                serial += 1
                tickets[[Int(uid), serial]] = queue.append([Int(uid), serial], of: uid)
                model[uid, default: []].append([Int(uid), serial])
            case 5:
                serial += 1
                queue.prepend([Int(uid), serial], of: uid)
                model[uid, default: []].insert([Int(uid), serial], at: 0)
            case 6:
                let wanted = model[uid]?.randomElement(using: &generator)
                if let wanted, let ticket = tickets[wanted] {
                    #expect(queue.remove(ticket) { $0 == wanted } == wanted)
                    #expect(queue.remove(ticket) { $0 == wanted } == nil)
                } else {
                    #expect(queue.remove { $0 == wanted } == wanted)
                }
                model[uid]?.removeAll { $0 == wanted }
            case 7:
                let taken = queue.popFirst { $0 == uid }
                #expect(taken == model[uid]?.first)
                if taken != nil { model[uid]?.removeFirst() }
            default:
                let next = queue.first
                let taken = queue.popFirst()
                #expect(taken == next)
                guard let taken else { break }
                #expect(model[UInt32(taken[0])]?.first == taken)
                model[UInt32(taken[0])]?.removeFirst()
            }
            #expect(queue.count == model.values.reduce(0) { $0 + $1.count })
        }
    }
}

@Suite struct WorkerPoolTests {
    /// Occupies threads until it is opened.
    private final class Gate: Sendable {
        private let isOpen = Atomic<Bool>(false)

        func open() { isOpen.store(true, ordering: .relaxed) }
        func wait() { while !isOpen.load(ordering: .relaxed) { Process.sleep(microseconds: 500) } }
    }

    private final class Counter: Sendable {
        private let value = Atomic<Int>(0)

        func add() { value.add(1, ordering: .relaxed) }
        var count: Int { value.load(ordering: .relaxed) }
    }

    private func eventually(seconds: Int = 10, _ condition: () -> Bool) -> Bool {
        for _ in 0..<seconds * 2_000 {
            if condition() { return true }
            Process.sleep(microseconds: 500)
        }
        return false
    }

    @Test func oneWhoHasNoThreadGetsOneBeyondTheLimit() {
        let pool = WorkerPool(threadCountMax: 2)
        let gate = Gate()
        let done = Counter()
        defer { gate.open() }
        for _ in 0..<10 { pool.submit(for: 1) { gate.wait() } }
        #expect(eventually { pool.load == (2, 8) })
        for uid: UInt32 in [2, 3] { pool.submit(for: uid) { done.add() } }
        #expect(eventually { done.count == 2 })
        #expect(pool.load == (2, 8))
        // Not without end.
        for uid: UInt32 in 2..<20 { pool.submit(for: uid) { gate.wait() } }
        #expect(eventually { pool.load == (4, 24) })
        gate.open()
        #expect(eventually { pool.load == (0, 0) })
    }

    /// They would notice by themselves, but not before they have been idle for ten seconds.
    @Test func aRaisedLimitWakesThreadsThatAreThere() {
        let pool = WorkerPool(threadCountMax: 3)
        let (first, second) = (Gate(), Gate())
        defer { second.open() }
        for _ in 0..<3 { pool.submit(for: 1) { first.wait() } }
        #expect(eventually { pool.load == (3, 0) })
        first.open()
        #expect(eventually { pool.load == (0, 0) })
        pool.threadCountMax = 1
        for _ in 0..<3 { pool.submit(for: 1) { second.wait() } }
        #expect(eventually { pool.load == (1, 2) })
        pool.threadCountMax = 3
        #expect(eventually(seconds: 4) { pool.load == (3, 0) })
    }

    @Test func aLimitCanBeRaisedAndLowered() {
        let pool = WorkerPool(threadCountMax: 1)
        let first = Gate()
        for _ in 0..<6 { pool.submit(for: 1) { first.wait() } }
        #expect(eventually { pool.load == (1, 5) })
        pool.threadCountMax = 4
        #expect(eventually { pool.load == (4, 2) })
        first.open()
        #expect(eventually { pool.load == (0, 0) })
        pool.threadCountMax = 2
        let second = Gate()
        for _ in 0..<6 { pool.submit(for: 1) { second.wait() } }
        #expect(eventually { pool.load == (2, 4) })
        Process.sleep(microseconds: 20_000)
        #expect(pool.load == (2, 4))
        second.open()
        #expect(eventually { pool.load == (0, 0) })
    }

    /// The end of one user's job lets another one's begin, for which nobody was engaged when it was put in.
    @Test func aPlaceThatAnotherUserTakesIsMadeUpFor() {
        let pool = WorkerPool(threadCountMax: 2)
        let (endless, short) = (Gate(), Gate())
        let done = Counter()
        defer { endless.open() }
        pool.submit(for: 1) { endless.wait() }
        pool.submit(for: 2) { short.wait() }
        #expect(eventually { pool.load == (2, 0) })
        pool.submit(for: 1) { endless.wait() }
        pool.submit(for: 2) { done.add() }
        short.open()
        #expect(eventually(seconds: 4) { done.count == 1 })
    }

    @Test func noJobIsForgotten() {
        let pool = WorkerPool(threadCountMax: 3)
        let done = Counter()
        for round in 0..<200 {
            for index in 0..<50 {
                pool.submit(for: UInt32((round + index) % 7)) { done.add() }
            }
            #expect(eventually { done.count == (round + 1) * 50 })
        }
    }
}
