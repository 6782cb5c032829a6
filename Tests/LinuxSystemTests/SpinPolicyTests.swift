// When a loop looks for events instead of sleeping.

import Testing

@testable import LinuxSystem

struct SpinPolicyTests {
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

    private func policy(after waits: Int64...) -> SpinPolicy {
        var policy = SpinPolicy(nanosecondsMax: 50_000)
        for wait in waits { policy.waitEnded(after: wait) }
        return policy
    }

    @Test func looksOnlyWhileEventsComeQuickly() {
        #expect(!policy().isWorthwhile(at: start))
        #expect(policy(after: 50_000).isWorthwhile(at: start))
        #expect(!policy(after: 50_001).isWorthwhile(at: start))
        #expect(!policy(after: 1, 1_000_000).isWorthwhile(at: start))
    }

    @Test func requestsThatComeInPairsAreNoStream() {
        var policy = SpinPolicy(nanosecondsMax: 50_000)
        for _ in 0..<1_000 {
            policy.waitEnded(after: 5_000)
            policy.waitEnded(after: 900_000)
            #expect(!policy.isWorthwhile(at: start))
        }
    }

    @Test func aStreamSurvivesAPauseNotAnEnd() {
        var policy = SpinPolicy(nanosecondsMax: 50_000)
        for _ in 0..<1_000 { policy.waitEnded(after: 10_000) }
        policy.waitEnded(after: 1_000_000)
        #expect(policy.isWorthwhile(at: start))
        for _ in 0..<4 { policy.waitEnded(after: 1_000_000) }
        #expect(!policy.isWorthwhile(at: start))
    }

    @Test func restsWhereOthersWantTheCore() {
        var policy = policy(after: 10, 10, 10)
        let goesOn = policy.yieldReturned(after: 100_000, at: start)
        #expect(goesOn)
        #expect(policy.isWorthwhile(at: start))
        let isWanted = policy.yieldReturned(after: 3_000_000, at: start)
        #expect(!isWanted)
        #expect(!policy.isWorthwhile(at: start))
        #expect(!policy.isWorthwhile(at: start.advanced(byMilliseconds: 49)))
        #expect(policy.isWorthwhile(at: start.advanced(byMilliseconds: 51)))
    }

    @Test func restsLongerWhereTheyStillWantIt() {
        var policy = policy(after: 10, 10, 10)
        var now = start
        for milliseconds: Int64 in [50, 100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let goesOn = policy.yieldReturned(after: 3_000_000, at: now)
            #expect(!goesOn)
            #expect(!policy.isWorthwhile(at: now.advanced(byMilliseconds: milliseconds - 1)))
            now = now.advanced(byMilliseconds: milliseconds + 1)
            #expect(policy.isWorthwhile(at: now))
        }
        // Quiet for long: it begins anew.
        now = now.advanced(byMilliseconds: 60_000)
        let goesOn = policy.yieldReturned(after: 3_000_000, at: now)
        #expect(!goesOn)
        #expect(policy.isWorthwhile(at: now.advanced(byMilliseconds: 51)))
    }
}
