// The pool's rules against every order of events: nobody is kept out by what others hold, and nothing is lost.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import MySQLEngine
@testable import RemoteDatabases

/// A pool as its shards play it, with connections that are nothing but numbers.
private struct PoolPlay {
    struct Lent {
        var slot: Int
        var shard: Int
        var uid: UInt32
    }

    /// Those who ask.
    static let uids: Range<UInt32> = 1..<8

    var book: PoolBook
    var generator: SeededGenerator
    var idle: [[Int]]
    var lent: [Lent] = []
    var opening: [Lent] = []
    var clearing: [(slot: Int, shard: Int)] = []
    var waiting: [PoolWaiter] = []
    var now = MonotonicInstant(nanoseconds: 1)
    private var lastNumber: UInt64 = 0

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        book = PoolBook(placeCountMax: Int.random(in: 1...5, using: &generator))
        let shardCount = Int.random(in: 1...3, using: &generator)
        idle = Array(repeating: [], count: shardCount)
        for _ in 0..<shardCount { _ = book.addShard() }
    }

    mutating func ask(_ uid: UInt32) {
        lastNumber += 1
        let shard = Int.random(in: 0..<idle.count, using: &generator)
        let waiter = PoolWaiter(number: lastNumber, shardIndex: shard, uid: uid, since: now)
        switch book.acquire(waiter, now: now) {
        case .idle: lent.append(Lent(slot: idle[shard].removeLast(), shard: shard, uid: uid))
        case .open(let slot): opening.append(Lent(slot: slot, shard: shard, uid: uid))
        case .donation(let donor): lent.append(Lent(slot: idle[donor].removeLast(), shard: shard, uid: uid))
        case .queuedBehind(let first, let slot):
            waiting.append(waiter)
            begin(first, slot)
        case .queued: waiting.append(waiter)
        case .failed: break
        }
    }

    private mutating func begin(_ waiter: PoolWaiter, _ slot: Int) {
        served(waiter)
        opening.append(Lent(slot: slot, shard: waiter.shardIndex, uid: waiter.uid))
    }

    private mutating func served(_ waiter: PoolWaiter) {
        let first = waiting.firstIndex { $0.uid == waiter.uid }
        #expect(first.map { waiting[$0] } == waiter, "the requests of a user keep their order")
        if let first { waiting.remove(at: first) }
    }

    mutating func follow(_ aftermath: PoolBook.Aftermath) {
        switch aftermath {
        case .nothing, .retry: break
        case .open(let waiter, let slot): begin(waiter, slot)
        case .donate(let waiter, let donor):
            served(waiter)
            lent.append(Lent(slot: idle[donor].removeLast(), shard: waiter.shardIndex, uid: waiter.uid))
        case .fail(let all, _): waiting.removeAll { all.contains($0) }
        }
    }

    mutating func release(_ slot: Int, _ shard: Int, _ uid: UInt32?) {
        switch book.release(slot, shard, of: uid) {
        case .keep: idle[shard].append(slot)
        case .handOver(let waiter):
            served(waiter)
            lent.append(Lent(slot: slot, shard: waiter.shardIndex, uid: waiter.uid))
        case .close: follow(book.discard(slot, of: nil, now: now))
        }
    }

    mutating func opened(_ index: Int, fails: Bool) {
        let done = opening.remove(at: index)
        if fails {
            let error = DriverError(.connectFailed, "no")
            return follow(book.openFailed(done.slot, of: done.uid, error, now: now))
        }
        book.openSucceeded()
        follow(book.serveNext(now: now))
        lent.append(done)
    }

    mutating func step(mayFail: Bool) {
        let choice = Int.random(in: 0..<100, using: &generator)
        now = now.advanced(byMilliseconds: Int64.random(in: 0...300, using: &generator))
        switch choice {
        case 0..<40: ask(UInt32.random(in: Self.uids, using: &generator))
        case 40..<60:
            guard let index = opening.indices.randomElement(using: &generator) else { return }
            opened(index, fails: mayFail && Bool.random(using: &generator))
        case 60..<80:
            guard let index = lent.indices.randomElement(using: &generator) else { return }
            let given = lent.remove(at: index)
            release(given.slot, given.shard, given.uid)
        case 80..<85:
            guard let index = lent.indices.randomElement(using: &generator) else { return }
            let lost = lent.remove(at: index)
            follow(book.discard(lost.slot, of: lost.uid, now: now))
        case 85..<90:
            let shard = Int.random(in: 0..<idle.count, using: &generator)
            guard !idle[shard].isEmpty, book.withdrawIdle(shard) else { return }
            clearing.append((idle[shard].removeFirst(), shard))
        case 90..<95:
            guard let done = clearing.popLast() else { return }
            release(done.slot, done.shard, nil)
        default:
            guard let index = waiting.indices.randomElement(using: &generator) else { return }
            let leaving = waiting.remove(at: index)
            let isThere = book.withdraw(leaving.number, leaving.shardIndex)
            #expect(isThere)
        }
    }

    mutating func setLimit(_ count: Int) {
        book.setPlaceCountMax(count)
        for shard in idle.indices {
            while book.withdrawIdleBeyond(shard) { follow(book.discard(idle[shard].removeFirst(), of: nil, now: now)) }
        }
    }

    mutating func giveBackAll() {
        while !(lent.isEmpty && opening.isEmpty && clearing.isEmpty) {
            if let given = lent.popLast() { release(given.slot, given.shard, given.uid) }
            if let done = clearing.popLast() { release(done.slot, done.shard, nil) }
            if !opening.isEmpty { opened(0, fails: false) }
            serveAll()
        }
    }

    /// After a failure, each attempt that succeeds is followed by the next one.
    mutating func serveAll() {
        while true {
            let next = book.serveNext(now: now)
            switch next {
            case .nothing: return
            case .retry(let instant):
                #expect(instant > now && !waiting.isEmpty, "it is tried again later, for somebody")
                return
            default: follow(next)
            }
        }
    }

    func check(_ seed: UInt64) {
        if let fault { Issue.record("seed \(seed): \(fault)") }
    }

    /// What is wrong. (Counted in one pass and without `#expect`, since it follows each of 400,000 steps of a debug build.)
    private var fault: String? {
        let limit = book.placeCountMax
        let places = lent.count + opening.count
        var owned = [Int](repeating: 0, count: Int(Self.uids.upperBound))
        var waits = [Bool](repeating: false, count: Int(Self.uids.upperBound))
        for one in lent { owned[Int(one.uid)] += 1 }
        for one in opening { owned[Int(one.uid)] += 1 }
        for waiter in waiting { waits[Int(waiter.uid)] = true }
        var idleCount = 0
        for slots in idle { idleCount += slots.count }
        if book.places.count != places { return "\(book.places.count) places are counted, of \(places)" }
        if book.openCount != places + clearing.count + idleCount { return "\(book.openCount) are counted as open" }
        if book.openCount > 2 * limit { return "\(book.openCount) are open, with a limit of \(limit)" }
        for uid in Self.uids {
            let own = owned[Int(uid)]
            if own > limit && places > limit { return "user \(uid) has \(own), more than all may" }
            guard waits[Int(uid)] else { continue }
            if own != book.places.count(of: uid) { return "user \(uid) has \(own), not \(book.places.count(of: uid))" }
            if own > 0 { continue }
            if let failure = book.failure, now < failure.until { continue }
            // What is being cleared comes back, or leaves its room.
            if places < 2 * limit && (clearing.isEmpty || places >= limit && book.openCount < 2 * limit) {
                return "user \(uid), who has none, waits"
            }
        }
        return nil
    }
}

@Suite struct PoolBookTests {
    /// What is open beyond a lower limit is closed when it is idle or comes back; with a higher one, those who wait are served.
    @Test(arguments: 0..<50 as Range<UInt64>) func limitsChange(seed: UInt64) {
        var play = PoolPlay(seed: seed)
        for _ in 0..<30 {
            for _ in 0..<60 {
                play.step(mayFail: false)
                play.serveAll()
            }
            let limit = Int.random(in: 1...5, using: &play.generator)
            play.setLimit(limit)
            play.serveAll()
            #expect(play.idle.joined().isEmpty || play.book.openCount <= play.book.placeCountMax, "seed \(seed)")
            play.giveBackAll()
            #expect(play.waiting.isEmpty && play.book.openCount <= play.book.placeCountMax, "seed \(seed)")
        }
    }

    @Test(arguments: 0..<200 as Range<UInt64>) func nobodyIsKeptOut(seed: UInt64) {
        var play = PoolPlay(seed: seed)
        for _ in 0..<2_000 {
            play.step(mayFail: seed % 4 == 0)
            play.serveAll()
            play.check(seed)
        }
        // When everything is given back, everybody has had a turn.
        for _ in 0..<10_000 where !(play.waiting.isEmpty && play.lent.isEmpty && play.opening.isEmpty) {
            play.now = play.now.advanced(byMilliseconds: 6_000)
            play.serveAll()
            while !play.opening.isEmpty { play.opened(0, fails: false) }
            while let done = play.clearing.popLast() { play.release(done.slot, done.shard, nil) }
            if let given = play.lent.popLast() { play.release(given.slot, given.shard, given.uid) }
        }
        #expect(play.waiting.isEmpty && play.lent.isEmpty, "seed \(seed)")
        #expect(play.book.openCount <= play.book.placeCountMax, "seed \(seed): what is kept is the usual number")
    }

    @Test func oneUserHasAllThatIsForAll() {
        var play = PoolPlay(seed: 1)
        for _ in 0..<100 { play.ask(1) }
        #expect(play.opening.count == play.book.placeCountMax)
        play.ask(2)
        #expect(play.opening.count == play.book.placeCountMax + 1)
        #expect(play.waiting.allSatisfy { $0.uid == 1 })
    }
}
