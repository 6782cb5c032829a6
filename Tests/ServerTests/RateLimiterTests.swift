// The limit of the log's rate, on a clock of the test's own.

import LinuxSystem
import Synchronization
import Testing

@testable import Server

@Suite struct RateLimiterTests {
    private static let interval = RateLimiter.intervalMilliseconds
    private let start = MonotonicInstant(nanoseconds: 1_000_000_000)

    private func passed(_ limiter: inout RateLimiter, _ id: MessageID, _ count: Int, at now: MonotonicInstant) -> Int {
        (0..<count).count { _ in limiter.admit(id, .info, at: now).passes }
    }

    @Test func aBurstPassesAndTheRestIsCounted() {
        var limiter = RateLimiter()
        #expect(passed(&limiter, .protocolViolation, 250, at: start) == RateLimiter.burstCount)
        #expect(limiter.takeEnded(at: start.advanced(byMilliseconds: Self.interval - 1)).isEmpty)
        let ended = limiter.takeEnded(at: start.advanced(byMilliseconds: Self.interval))
        #expect(ended == [SuppressedMessages(id: .protocolViolation, level: .info, count: 150)])
        #expect(ended.first?.text == "150 messages suppressed: protocol violations, more than 100 in 30 s")
        #expect(limiter.takeEnded(at: .distantFuture).isEmpty, "told once")
    }

    @Test func theNextMessageTellsWhatWasKeptBack() {
        var limiter = RateLimiter()
        _ = passed(&limiter, .slowStatement, 101, at: start)
        let verdict = limiter.admit(.slowStatement, .notice, at: start.advanced(byMilliseconds: Self.interval))
        #expect(verdict.passes)
        #expect(verdict.ended == SuppressedMessages(id: .slowStatement, level: .info, count: 1))
    }

    @Test func kindsDoNotShareALimit() {
        var limiter = RateLimiter()
        _ = passed(&limiter, .protocolViolation, 1_000, at: start)
        #expect(passed(&limiter, .databaseTrouble, 100, at: start) == 100)
        #expect(limiter.takeEnded(at: .distantFuture).map(\.id) == [.protocolViolation])
    }

    @Test func usersDoNotShareALimit() {
        var limiter = RateLimiter()
        for _ in 0..<1_000 { _ = limiter.admit(.protocolViolation, of: 1, .info, at: start) }
        #expect((0..<100).allSatisfy { _ in limiter.admit(.protocolViolation, of: 2, .info, at: start).passes })
        let ended = limiter.takeEnded(at: .distantFuture)
        #expect(ended == [SuppressedMessages(id: .protocolViolation, uid: 1, level: .info, count: 900)])
        #expect(ended.first?.text == "900 messages suppressed: protocol violations of uid 1, more than 100 in 30 s")
    }

    @Test func moreUsersThanCanBeToldApartShareALimit() {
        var limiter = RateLimiter()
        for uid: UInt32 in 0..<1_024 { #expect(limiter.admit(.protocolViolation, of: uid, .info, at: start).passes) }
        for uid: UInt32 in 2_000..<2_100 {
            #expect(limiter.admit(.protocolViolation, of: uid, .info, at: start).passes)
        }
        #expect(!limiter.admit(.protocolViolation, of: 3_000, .info, at: start).passes)
        #expect(limiter.admit(.protocolViolation, of: 5, .info, at: start).passes, "known before")
        #expect(limiter.takeEnded(at: .distantFuture).map(\.uid) == [nil])
    }

    @Test func aBurstThatFitsIsNotMentioned() {
        var limiter = RateLimiter()
        #expect(passed(&limiter, .connectionRefused, 100, at: start) == 100)
        #expect(limiter.takeEnded(at: .distantFuture).isEmpty)
    }

    /// Through the observer, as clients cause it.
    @Test func theObserverLimitsAllButDebugging() {
        let messages = Mutex<[String]>([])
        let observer = Observer(level: .debug) { observation in
            messages.withLock { $0.append(observation.record.message) }
        }
        for _ in 0..<300 {
            observer.observe(.protocolViolation(connection: 1, peer: nil, reason: "noise"))
            observer.observe(.connectionOpened(connection: 1, peer: nil))
        }
        observer.reportSuppressed(isLast: true)
        let seen = messages.withLock { $0 }
        #expect(seen.count { $0.hasSuffix("noise") } == 100)
        #expect(seen.count { $0.hasSuffix("opened") } == 300)
        #expect(seen.last == "200 messages suppressed: protocol violations, more than 100 in 30 s")
    }

    @Test func whatNobodyWantsIsNotCounted() {
        let count = Atomic<Int>(0)
        let observer = Observer(level: .warning) { _ in count.add(1, ordering: .relaxed) }
        for _ in 0..<300 { observer.observe(.protocolViolation(connection: 1, peer: nil, reason: "noise")) }
        observer.reportSuppressed(isLast: true)
        #expect(count.load(ordering: .relaxed) == 0)
    }
}
