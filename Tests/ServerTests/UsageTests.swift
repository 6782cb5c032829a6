// Numbers in use that several loops change at once.

import Synchronization
import Testing

@testable import Server

@Suite struct UsageTests {
    private final class Shared: Sendable {
        let usage = Usage()
        let granted = Atomic(0)
        let most = Atomic(0)
    }

    /// All ask at the same time, and so many get it.
    @Test func aLimitHoldsForAllLoops() async {
        let shared = Shared()
        let limit = 3
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<5_000 where shared.usage.claim(below: limit) {
                        shared.most.max(shared.usage.count, ordering: .relaxed)
                        shared.granted.add(1, ordering: .relaxed)
                        shared.usage.add(-1)
                    }
                }
            }
        }
        let (grantedCount, mostCount) = (
            shared.granted.load(ordering: .relaxed), shared.most.load(ordering: .relaxed)
        )
        let (left, peak) = (shared.usage.count, shared.usage.peak)
        #expect(grantedCount > 0 && left == 0)
        #expect(mostCount <= limit && peak <= limit)
    }

    @Test func whatIsUsedUpIsRefused() {
        let usage = Usage()
        let claims = (0..<5).map { _ in usage.claim(below: 2) }
        #expect(claims == [true, true, false, false, false])
        let (count, peak) = (usage.count, usage.peak)
        #expect(count == 2 && peak == 2)
        usage.add(-1)
        let (isAgain, isBelowNone) = (usage.claim(below: 2), usage.claim(below: 0))
        #expect(isAgain && !isBelowNone)
    }
}
