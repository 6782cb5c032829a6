// Who listens to which channels: random orders of events against a naive model.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import RemoteDatabases

private let now = MonotonicInstant(nanoseconds: 1_000_000_000)
private let later = now.advanced(byMilliseconds: ChannelBook.lingerMilliseconds)

private func name(_ text: String) -> ChannelName { ChannelName(text.utf8) }

private func expectAdded(
    _ book: inout ChannelBook, _ names: [ChannelName], for uid: UInt32, isPossible: Bool = true
) {
    let isAdded = book.add(names, for: uid)
    #expect(isAdded == isPossible)
}

struct ChannelBookTests {
    @Test func aNameIsHeardAsLongAsSomebodyWantsIt() {
        var book = ChannelBook()
        expectAdded(&book, [name("a"), name("b")], for: 1)
        expectAdded(&book, [name("a")], for: 2)
        let change1 = book.takeChange(at: now)
        #expect(Set(change1.beginning) == [name("a"), name("b")])
        #expect(book.completeSince([name("a")]) == nil)
        book.didBegin([name("a"), name("b")], number: 7)
        let change2 = book.takeChange(at: now)
        #expect(change2.isEmpty)
        #expect(book.completeSince([name("a"), name("b")]) == 7)
        book.remove([name("a")], for: 2, at: now)
        let change3 = book.takeChange(at: later)
        #expect(change3.isEmpty)
        book.remove([name("a"), name("b")], for: 1, at: now)
        #expect(!book.isUsed && !book.isEmpty)
        let change4 = book.takeChange(at: now)
        #expect(change4.isEmpty)
        #expect(book.nextEnd == later)
        let change5 = book.takeChange(at: later)
        #expect(Set(change5.ending) == [name("a"), name("b")])
        #expect(book.isEmpty)
    }

    @Test func whoComesBackInTimeHasMissedNothing() {
        var book = ChannelBook()
        expectAdded(&book, [name("a")], for: 1)
        book.didBegin(book.takeChange(at: now).beginning, number: 3)
        book.remove([name("a")], for: 1, at: now)
        expectAdded(&book, [name("a")], for: 1)
        #expect(book.nextEnd == nil)
        let change6 = book.takeChange(at: later)
        #expect(change6.isEmpty)
        #expect(book.completeSince([name("a")]) == 3)
    }

    @Test func aLostConnectionBeginsAllThatIsWantedAgain() {
        var book = ChannelBook()
        expectAdded(&book, [name("a"), name("b")], for: 1)
        book.didBegin(book.takeChange(at: now).beginning, number: 3)
        book.remove([name("b")], for: 1, at: now)
        #expect(book.isPromised)
        book.didLose()
        #expect(!book.isHeard(name("a")))
        let change7 = book.takeChange(at: now)
        #expect(change7 == ChannelBook.Change(beginning: [name("a")], ending: []))
        book.didBegin([name("a")], number: 9)
        // What is missing is in the feed, as a gap.
        #expect(book.completeSince([name("a")]) == 3)
        #expect(book.completeSince([name("b")]) == nil)
    }

    @Test func aUserHasSoManyNames() {
        var book = ChannelBook()
        let names = (0..<ChannelBook.countPerUserMax).map { name("\($0)") }
        expectAdded(&book, names, for: 1)
        expectAdded(&book, [name("one more")], for: 1, isPossible: false)
        expectAdded(&book, [name("one more")], for: 2)
        book.remove(names, for: 1, at: now)
        expectAdded(&book, [name("one more")], for: 1)
    }

    @Test func whatNobodyWantsIsKeptWithinABound() {
        var book = ChannelBook()
        for round in 0..<5 {
            let names = (0..<1_000).map { name("\(round) \($0)") }
            expectAdded(&book, names, for: 1)
            book.didBegin(book.takeChange(at: now).beginning, number: 1)
            book.remove(names, for: 1, at: now)
        }
        let change8 = book.takeChange(at: now)
        #expect(change8.ending.count == 1_000, "those of the round before have ended")
        let change9 = book.takeChange(at: later)
        #expect(change9.ending.count == ChannelBook.unusedCountMax)
        #expect(book.isEmpty)
    }

    @Test func whatIsGivenUpMeanwhileEndsAtOnce() {
        var book = ChannelBook()
        expectAdded(&book, [name("a")], for: 1)
        let change = book.takeChange(at: now)
        book.remove([name("a")], for: 1, at: now)
        #expect(book.isEmpty)
        book.didBegin(change.beginning, number: 1)
        let change10 = book.takeChange(at: now)
        #expect(change10.ending == [name("a")])
        #expect(book.isEmpty)
    }

    @Test(arguments: 0..<200)
    func anyOrderOfEvents(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var book = ChannelBook()
        var wanted: [ChannelName: Int] = [:]
        var heard: Set<ChannelName> = []
        var time = now
        let all = (0..<6).map { name("\($0)") }
        for _ in 0..<300 {
            let some = all.filter { _ in Bool.random(using: &random) }
            switch Int.random(in: 0..<8, using: &random) {
            case 0, 1:
                expectAdded(&book, some, for: 1)
                for name in some { wanted[name, default: 0] += 1 }
            case 2, 3:
                let own = some.filter { wanted[$0, default: 0] > 0 }
                book.remove(own, for: 1, at: time)
                for name in own { wanted[name, default: 0] -= 1 }
            case 4:
                book.didLose()
                heard = []
            case 5: time = time.advanced(byMilliseconds: .random(in: 0...12_000, using: &random))
            default:
                let change = book.takeChange(at: time)
                for name in change.ending {
                    #expect(heard.contains(name) && wanted[name, default: 0] == 0, "seed \(seed)")
                }
                for name in change.beginning {
                    #expect(!heard.contains(name) && wanted[name, default: 0] > 0, "seed \(seed)")
                }
                heard.subtract(change.ending)
                // The server may refuse some.
                let begun = change.beginning.filter { _ in Int.random(in: 0..<4, using: &random) > 0 }
                book.didBegin(begun, number: 1)
                heard.formUnion(begun)
            }
            for name in all { #expect(book.isHeard(name) == heard.contains(name), "seed \(seed)") }
        }
        for (name, count) in wanted { book.remove(Array(repeating: name, count: count), for: 1, at: time) }
        _ = book.takeChange(at: time.advanced(byMilliseconds: ChannelBook.lingerMilliseconds))
        #expect(book.isEmpty && !book.isUsed && book.nextEnd == nil, "seed \(seed)")
    }
}

struct ChannelFeedTests {
    private func message(_ text: String, byteCount: Int = 0) -> ChannelEvent {
        .message(
            ChannelMessage(
                name("a"), channel: Array("a".utf8),
                payload: Array(text.utf8) + Array(repeating: 0, count: byteCount)))
    }

    private func texts(_ events: [ChannelEvent]) -> [String] {
        events.map { event in
            guard case .message(let message) = event else { return "gap" }
            return String(decoding: message.payload, as: UTF8.self)
        }
    }

    @Test func aListenerTakesEachOnceAndInOrder() {
        let feed = ChannelFeed()
        feed.tell([message("before")])
        let (listener, number) = feed.add {}
        #expect(number == 1)
        feed.tell((0..<10).map { message("\($0)") })
        let first = feed.take(for: listener, countMax: 4)
        #expect(texts(first.events) == ["0", "1", "2", "3"] && first.firstNumber == 2 && first.hasMore)
        let second = feed.take(for: listener, countMax: 100)
        #expect(texts(second.events) == ["4", "5", "6", "7", "8", "9"] && !second.hasMore && !second.isIncomplete)
        #expect(texts(feed.events(since: 0, upTo: 2) ?? []) == ["before", "0"])
    }

    @Test(arguments: [(100_000, 0), (200, 1 << 20)])
    func itIsBoundedAndSaysWhatIsForgotten(count: Int, byteCount: Int) {
        let feed = ChannelFeed()
        let (listener, _) = feed.add {}
        let position = feed.position(0)
        #expect(feed.number(at: position) == 0 && feed.hasRoom)
        for _ in 0..<count { feed.tell(CollectionOfOne(message("", byteCount: byteCount))) }
        #expect(!feed.hasRoom && feed.number(at: position) == nil && feed.events(since: 0, upTo: 1) == nil)
        let portion = feed.take(for: listener, countMax: .max)
        #expect(portion.isIncomplete && !portion.hasMore)
        #expect(portion.firstNumber + UInt64(portion.events.count) == UInt64(count) + 1)
        #expect(portion.events.count * (128 + byteCount) < 20 << 20 && portion.events.count <= 16_384)
        #expect(feed.hasRoom)
        #expect(feed.number(at: "1.\(count)") == nil && feed.number(at: feed.position(UInt64(count))) == UInt64(count))
    }
}
