// For how long those are kept away whose statements have held a loop.

import LinuxSystem
import Testing

@testable import DatabaseContract

@Suite struct SlowUsersTests {
    private static let uid: UInt32 = 7

    /// Each time that preparing has held the loop counts twice as much as the time before, up to a minute.
    @Test func preparingThatHoldsKeepsAwayForTwiceAsLong() {
        let users = SlowUsers()
        var now = MonotonicInstant(nanoseconds: 1)
        for seconds: Int64 in [1, 2, 4, 8, 16, 32, 64, 64] {
            users.notePreparation(Self.uid, computed: 20_000_001, now: now)
            let before = now.advanced(byMilliseconds: seconds * 1_000 - 1)
            #expect(users.preparesSlowly(Self.uid, now: before), "for \(seconds) s")
            #expect(!users.isSlow(Self.uid, now: before), "what is prepared may run on the loop")
            #expect(!users.preparesSlowly(Self.uid + 1, now: before), "others are as before")
            now = now.advanced(byMilliseconds: seconds * 1_000)
            #expect(!users.preparesSlowly(Self.uid, now: now), "after \(seconds) s")
        }
    }

    @Test func preparingThatIsQuickKeepsNobodyAway() {
        let users = SlowUsers()
        let now = MonotonicInstant(nanoseconds: 1)
        users.notePreparation(Self.uid, computed: 20_000_000, now: now)
        #expect(!users.preparesSlowly(Self.uid, now: now))
    }
}
