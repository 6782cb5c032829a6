// Which of several servers connections lead to, and which connections are not used any more.

import LinuxSystem
import Testing

@testable import RemoteDatabases

struct ServerChoiceTests {
    @Test func anotherServerLeavesTheConnectionsToTheFormerOne() {
        let choice = ServerChoice(isExclusive: true)
        #expect(choice.current == nil)
        choice.take("a")
        let former = MonotonicInstant.now
        choice.take("a")
        #expect(!choice.isOutdated(former) && choice.current == "a")
        choice.take("b")
        #expect(choice.isOutdated(former) && choice.current == "b")
        #expect(!choice.isOutdated(.now))
    }

    @Test func whereAnyServerWillDoNoneIsLeft() {
        let choice = ServerChoice(isExclusive: false)
        choice.take("a")
        let former = MonotonicInstant.now
        choice.take("b")
        #expect(!choice.isOutdated(former) && choice.current == "b")
    }

    @Test func aLossIsOfAllConnectionsAndDoesNotComeTooOften() {
        let choice = ServerChoice(isExclusive: false)
        let first = MonotonicInstant.now
        choice.noteLoss()
        #expect(choice.isOutdated(first))
        let second = MonotonicInstant.now
        choice.noteLoss()
        #expect(!choice.isOutdated(second))
    }
}
