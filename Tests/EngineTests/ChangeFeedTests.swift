import Synchronization
import Testing

@testable import DatabaseContract

/// What listeners are told of commits, and what is forgotten.
@Suite struct ChangeFeedTests {
    @Test func whoIsUpToDateIsToldNothing() {
        let feed = ChangeFeed()
        #expect(feed.news(since: feed.number) == nil)
        feed.tell(["a"], changesSchema: false)
        #expect(feed.news(since: feed.number) == nil)
    }

    @Test func commitsAreToldTogether() throws {
        let feed = ChangeFeed()
        let start = feed.number
        feed.tell(["a"], changesSchema: false)
        let middle = feed.number
        feed.tell(["b", "a"], changesSchema: true)
        let all = try #require(feed.news(since: start))
        #expect(Set(all.relations) == ["a", "b"] && all.relations.count == 2)
        #expect(all.changesSchema && all.gap == nil && all.number == feed.number)
        let last = try #require(feed.news(since: middle))
        #expect(Set(last.relations) == ["a", "b"])
        feed.tell(.otherProgram)
        #expect(feed.news(since: last.number)?.gap == .otherProgram)
        #expect(feed.news(since: start)?.gap == .otherProgram)
    }

    @Test func oneTableTakesNoRoom() throws {
        let feed = ChangeFeed()
        let start = feed.number
        for _ in 0..<100_000 { feed.tell(["a"], changesSchema: false) }
        let news = try #require(feed.news(since: start))
        #expect(news.relations == ["a"] && news.gap == nil)
        // Of the middle of such commits, too.
        #expect(feed.news(since: start + 50_000)?.relations == ["a"])
    }

    @Test func whoIsTooFarBehindIsToldSo() throws {
        let feed = ChangeFeed()
        let start = feed.number
        for number in 0..<2_000 { feed.tell(["t\(number % 7)"], changesSchema: false) }
        #expect(feed.news(since: start)?.gap == .positionUnknown)
        #expect(feed.number(at: feed.position(start)) == nil)
        let recent = feed.number - 100
        #expect(feed.news(since: recent)?.relations.count == 7)
        #expect(feed.number(at: feed.position(recent)) == recent)
    }

    @Test func namesTakeBoundedMemory() throws {
        let feed = ChangeFeed()
        let start = feed.number
        for number in 0..<400 {
            feed.tell([String(repeating: "n", count: 15_000) + "\(number)"], changesSchema: false)
        }
        #expect(feed.news(since: start)?.gap == .positionUnknown)
        let kept = (0..<400).filter { feed.number(at: feed.position(feed.number - UInt64($0))) != nil }.count
        #expect(kept > 10 && kept < 80)
    }

    @Test func manyNamesAreToldAsTooMany() throws {
        let feed = ChangeFeed()
        let start = feed.number
        for number in 0..<200 {
            feed.tell((0..<10).map { "t\(number)_\($0)" }, changesSchema: false)
        }
        let news = try #require(feed.news(since: start))
        #expect(news.gap == .tooMany && news.relations.isEmpty)
    }

    @Test func whatIsMissedIsToldAsThat() {
        let feed = ChangeFeed()
        feed.tell(["a"], changesSchema: false)
        let position = feed.position(feed.number)
        #expect(feed.number(at: position) != nil)
        feed.pause()
        #expect(feed.number(at: position) == nil)
        #expect(feed.number(at: feed.position(feed.number)) != nil)
    }

    @Test(arguments: ["", ".", "x.1", "1", "1.x", "1.2.3", ".1", "1.", "18446744073709551616.1"])
    func nonsenseIsNoPosition(text: String) {
        #expect(ChangeFeed().number(at: text) == nil)
    }

    @Test func positionsOfAnotherFeedAreUnknown() {
        #expect(ChangeFeed().number(at: ChangeFeed().position(0)) == nil)
    }

    @Test func listenersAreWokenUntilTheyLeave() {
        let feed = ChangeFeed()
        let (woken, deserted) = (Counter(), Counter())
        feed.setOnDesertion { deserted.add() }
        let listener = feed.add { woken.add() }
        feed.tell(["a"], changesSchema: false)
        #expect(woken.value == 1 && deserted.value == 0 && !feed.isDeserted)
        feed.remove(listener)
        feed.tell(["a"], changesSchema: false)
        #expect(woken.value == 1 && deserted.value == 1 && feed.isDeserted)
    }

    private final class Counter: Sendable {
        private let count = Atomic<Int>(0)
        var value: Int { count.load(ordering: .relaxed) }
        func add() { count.add(1, ordering: .relaxed) }
    }
}
