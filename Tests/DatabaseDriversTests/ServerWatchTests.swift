// What the log is told of a server that comes and goes.

import LinuxSystem
import Testing

@testable import DatabaseDrivers

struct ServerWatchTests {
    private static let lost = DriverError(.connectFailed, "Nobody answers.")

    private static func at(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: (1_000 + seconds) * 1_000_000_000)
    }

    @Test func eachChangeIsToldOnce() throws {
        var watch = ServerWatch()
        #expect(watch.state.isReachable == nil)
        let first = watch.note(nil, at: Self.at(0))
        #expect(first?.isFirst == true && first?.error == nil)
        #expect(watch.note(nil, at: Self.at(1)) == nil)
        let gone = watch.note(Self.lost, at: Self.at(2))
        #expect(gone?.error?.details.message == "Nobody answers." && gone?.isFirst == false)
        #expect(watch.note(Self.lost, at: Self.at(3)) == nil)
        #expect(watch.state.since == Self.at(2) && watch.state.lastAttempt == Self.at(3))
        let told = watch.note(nil, at: Self.at(7))
        let back = try #require(told)
        #expect(back.error == nil && back.lostMilliseconds == 5_000 && back.untoldCount == 0)
        #expect(watch.state.lastFailure?.at == Self.at(3))
    }

    @Test func aServerThatComesAndGoesFillsNoLog() {
        var watch = ServerWatch()
        var told = 0
        var untold = 0
        // Every tenth of a second for an hour.
        for step in 0..<36_000 {
            let now = Self.at(0).advanced(byMilliseconds: Int64(step) * 100)
            guard let change = watch.note(step % 2 == 0 ? Self.lost : nil, at: now) else { continue }
            told += 1
            untold += change.untoldCount
        }
        let most = Int(ServerWatch.burstCount) + 3_600_000 / Int(ServerWatch.tellingMilliseconds) + 1
        #expect(told > most / 2 && told <= most)
        #expect(told + untold <= 36_000 && told + untold > 35_000)
    }

    @Test func theLastMessageIsTrueInTheEnd() {
        var watch = ServerWatch()
        var state: Bool?
        func hear(_ change: ServerChange?) { if let change { state = change.error == nil } }
        for step in 0..<21 { hear(watch.note(step % 2 == 0 ? Self.lost : nil, at: Self.at(0))) }
        #expect(watch.state.isReachable == false)
        // Its burst ended with the other one; nobody tries any more.
        for second in 1..<60 { hear(watch.takeNews(at: Self.at(Int64(second)))) }
        #expect(state == false)
        #expect(watch.takeNews(at: Self.at(600)) == nil)
    }
}
