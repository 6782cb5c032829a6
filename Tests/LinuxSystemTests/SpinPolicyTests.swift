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

    // MARK: Trials

    /// What changes within an expectation.
    private final class Waiter {
        var value: SpinPolicy
        init(_ value: SpinPolicy) { self.value = value }

        func beginWait(at now: MonotonicInstant) -> SpinPolicy.Start { value.beginWait(at: now) }
        func waitEnded(after nanoseconds: Int64) { value.waitEnded(after: nanoseconds) }
    }

    /// Both sides sleep, so each wait has two wake-ups in it; without them it would be short.
    @Test func aPeerThatIsQuickButForTheWakeUpsIsFound() {
        let policy = Waiter(SpinPolicy(nanosecondsMax: 50_000))
        var now = start
        var sleepCount = 0
        for _ in 0..<10 {
            let way = policy.beginWait(at: now)
            if way == .sleep { sleepCount += 1 }
            let nanoseconds: Int64 = way == .sleep ? 90_000 : 35_000
            now = now.advanced(byNanoseconds: nanoseconds)
            policy.waitEnded(after: nanoseconds)
        }
        #expect(sleepCount == 1)
        #expect(policy.value.isWorthwhile(at: now))
    }

    /// What a client does for a while says nothing of what it does later.
    @Test func aPeerThatBecomesQuickIsFoundSoon() {
        let policy = Waiter(SpinPolicy(nanosecondsMax: 50_000))
        var now = start
        for round in 0..<20_000 {
            _ = policy.beginWait(at: now)
            let nanoseconds: Int64 = round % 3 == 0 ? 5_000_000 : 300_000
            now = now.advanced(byNanoseconds: nanoseconds)
            policy.waitEnded(after: nanoseconds)
        }
        let change = now
        while !policy.value.isWorthwhile(at: now), now.nanoseconds(since: change) < 1_000_000_000 {
            let nanoseconds: Int64 = policy.beginWait(at: now) == .sleep ? 90_000 : 35_000
            now = now.advanced(byNanoseconds: nanoseconds)
            policy.waitEnded(after: nanoseconds)
        }
        #expect(now.nanoseconds(since: change) < 400_000_000)
    }

    /// A hundredth of the time at most, and hardly any where trials fail.
    @Test(arguments: [50_000, 1_000_000] as [Int64])
    func trialsThatFailCostNextToNothing(_ nanosecondsMax: Int64) {
        let policy = Waiter(SpinPolicy(nanosecondsMax: nanosecondsMax))
        var (now, spent, trialCount) = (start, Int64(0), 0)
        let end = start.advanced(byMilliseconds: 100_000)
        while now < end {
            let wait = nanosecondsMax + 100_000
            switch policy.beginWait(at: now) {
            case .sleep: break
            case .pollOnTrial:
                trialCount += 1
                spent += nanosecondsMax
            case .poll: Issue.record("it has never paid off")
            }
            now = now.advanced(byNanoseconds: wait)
            policy.waitEnded(after: wait)
            #expect(spent * 100 <= now.nanoseconds(since: start) + nanosecondsMax * 100)
        }
        #expect(trialCount > 10, "it never gives up")
        #expect(spent * 1_000 < now.nanoseconds(since: start), "a tenth of a per cent")
    }

    @Test func aTrialThatSucceedsIsRepeatedSoon() {
        let policy = Waiter(policy(after: 90_000))
        #expect(policy.beginWait(at: start) == .pollOnTrial)
        policy.waitEnded(after: 90_000)
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 4)) == .sleep)
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 5)) == .pollOnTrial)
        policy.waitEnded(after: 90_000)
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 14)) == .sleep, "twice as long")
        policy.waitEnded(after: 30_000)
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 14)) == .poll)
        policy.waitEnded(after: 90_000)
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 15)) == .pollOnTrial)
        policy.waitEnded(after: 90_000)
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 20)) == .pollOnTrial, "as at first")
    }

    @Test func whoIsIdleTriesNothing() {
        let policy = Waiter(SpinPolicy(nanosecondsMax: 50_000))
        #expect(policy.beginWait(at: start) == .sleep, "nothing is known")
        var now = start
        for wait in [500_000, 1_000_000, 60_000_000_000] as [Int64] {
            policy.waitEnded(after: wait)
            now = now.advanced(byNanoseconds: wait)
            #expect(policy.beginWait(at: now) == .sleep)
        }
    }

    @Test func nobodyTriesWhereOthersWantTheCore() {
        let policy = Waiter(policy(after: 10))
        _ = policy.value.yieldReturned(after: 3_000_000, at: start)
        for _ in 0..<5 { policy.waitEnded(after: 90_000) }
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 49)) == .sleep)
        #expect(policy.beginWait(at: start.advanced(byMilliseconds: 51)) == .pollOnTrial)
    }

    @Test func whoMayNotPollNeverDoes() {
        let policy = Waiter(SpinPolicy(nanosecondsMax: 0))
        for wait in [1, 50_000, 90_000] as [Int64] {
            policy.waitEnded(after: wait)
            #expect(policy.beginWait(at: start) == .sleep)
        }
    }
}
