// The clock of a request: what counts, and when its timeout is reached.

import LinuxSystem
import Testing

@testable import Server

@Suite struct WorkClockTests {
    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: 1_000_000_000).advanced(byMilliseconds: milliseconds)
    }

    private func milliseconds(_ nanoseconds: Int64) -> Int64 { nanoseconds / 1_000_000 }

    @Test func waitingForTheClientDoesNotCount() {
        var clock = WorkClock()
        clock.timeoutMilliseconds = 100
        clock.start(at: at(0))
        #expect(clock.deadline == at(100))
        #expect(milliseconds(clock.stop(at: at(30))) == 30)
        #expect(clock.deadline == nil)
        clock.resume(at: at(1_000))
        // 30 of the 100 ms are used.
        #expect(clock.deadline == at(1_070))
        #expect(milliseconds(clock.stop(at: at(1_020))) == 50)
    }

    @Test func waitingForItsTurnDoesNotCount() {
        var clock = WorkClock()
        clock.timeoutMilliseconds = 100
        clock.start(at: at(0))
        clock.suspend()
        #expect(clock.deadline == nil)
        #expect(clock.stop(at: at(50)) == 0)
        clock.resume(at: at(60))
        #expect(clock.deadline == at(160))
    }

    @Test func eachPageHasTheWholeTimeout() {
        var clock = WorkClock()
        clock.timeoutMilliseconds = 100
        clock.start(at: at(0))
        clock.stop(at: at(90))
        clock.startPage(at: at(500))
        #expect(clock.started == at(500))
        #expect(clock.deadline == at(600))
        clock.stop(at: at(540))
        clock.resume(at: at(700))
        #expect(clock.deadline == at(760))
        // In all, since the request arrived.
        #expect(milliseconds(clock.stop(at: at(710))) == 140)
    }

    @Test func withoutTimeoutThereIsNoDeadline() {
        var clock = WorkClock()
        clock.start(at: at(0))
        #expect(clock.deadline == nil)
    }

    @Test func theNextRequestBeginsAtZero() {
        var clock = WorkClock()
        clock.start(at: at(0))
        clock.stop(at: at(40))
        clock.startPage(at: at(50))
        clock.start(at: at(100))
        #expect(milliseconds(clock.stop(at: at(107))) == 7)
    }
}
