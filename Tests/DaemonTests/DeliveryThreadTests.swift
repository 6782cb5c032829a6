// What waits for a receiver that does not take it: order, limits, and what is said about losses.

import Glibc
import LinuxSystem
import Synchronization
import Testing

@testable import SystemdSupport

/// Takes records when it is told to.
private final class Receiver: Sendable {
    private let turns = Semaphore()
    private let taken = Mutex<[String]>([])
    /// Lets everything through.
    let isOpen = Atomic(false)

    func take(_ text: String) {
        if !isOpen.load(ordering: .relaxed) { turns.wait() }
        taken.withLock { $0.append(text) }
    }

    func allow(_ count: Int) { for _ in 0..<count { turns.post() } }

    func open() {
        isOpen.store(true, ordering: .relaxed)
        turns.post()
    }

    var texts: [String] { taken.withLock { $0 } }

    func wait(for count: Int) -> [String] {
        for _ in 0..<10_000 where texts.count < count { usleep(1_000) }
        return texts
    }
}

@Suite struct DeliveryThreadTests {
    private static func writer(_ receiver: Receiver) -> JournalWriter {
        JournalWriter(lossReport: { LogRecord(.warning, "lost \($0)") }, deliver: { receiver.take($0.message) })
    }

    private static func milliseconds(_ body: () -> Void) -> Int64 {
        let begun = MonotonicInstant.now
        body()
        return MonotonicInstant.now.nanoseconds(since: begun) / 1_000_000
    }

    @Test func recordsComeInTheirOrderAlsoThoseBeforeTheStart() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        receiver.open()
        for number in 0..<100 { writer.write(LogRecord(.info, "\(number)")) }
        usleep(10_000)
        #expect(receiver.texts.isEmpty)
        writer.start()
        for number in 100..<500 { writer.write(LogRecord(number % 2 == 0 ? .info : .debug, "\(number)")) }
        writer.finish()
        #expect(receiver.texts == (0..<500).map(String.init))
    }

    @Test func finishBeginsByItself() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        receiver.open()
        writer.write(LogRecord(.error, "the start failed"))
        writer.finish()
        #expect(receiver.texts == ["the start failed"])
    }

    @Test func lossesAreCountedWhereTheyHappened() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        writer.start()
        for number in 0..<1_500 { writer.write(LogRecord(.info, "\(number)")) }
        receiver.allow(500)
        #expect(receiver.wait(for: 500).count == 500)
        // The report takes a place as well.
        writer.write(LogRecord(.info, "later"))
        receiver.open()
        writer.finish()
        #expect(receiver.texts == (0..<1_024).map(String.init) + ["lost 476", "later"])
    }

    @Test func theLastLossIsToldWithoutAnotherRecord() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        writer.start()
        for number in 0..<1_030 { writer.write(LogRecord(.info, "\(number)")) }
        receiver.open()
        #expect(receiver.wait(for: 1_025).last == "lost 6")
    }

    @Test func nobodyWaitsForMoreThanDebugging() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        writer.start()
        #expect(Self.milliseconds { for _ in 0..<2_000 { writer.write(LogRecord(.warning, "w")) } } < 90)
    }

    @Test func debuggingWaitsOnceAndLeavesRoom() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        writer.start()
        let waited = Self.milliseconds { for _ in 0..<400 { writer.write(LogRecord(.debug, "d")) } }
        // A hundred times less than if each that is lost had waited.
        #expect((90..<1_000).contains(waited))
        for _ in 0..<100 { writer.write(LogRecord(.error, "e")) }
        receiver.open()
        writer.finish()
        #expect(receiver.texts == Array(repeating: "d", count: 256) + ["lost 144"] + Array(repeating: "e", count: 100))
    }

    @Test func aReceiverThatTakesSlowlyLosesNothingOfDebugging() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        writer.start()
        try? Thread.start(name: "slow") { for _ in 0..<600 { usleep(200); receiver.allow(1) } }
        for number in 0..<600 { writer.write(LogRecord(.debug, "\(number)")) }
        writer.finish()
        #expect(receiver.texts == (0..<600).map(String.init))
    }

    @Test func bytesAreLimitedToo() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        writer.start()
        let large = String(repeating: "x", count: 1 << 20)
        for _ in 0..<10 { writer.write(LogRecord(.info, large)) }
        receiver.open()
        #expect(receiver.wait(for: 4).dropFirst(3).first == "lost 7")
    }

    @Test func theEndWaitsAsLongAsSomethingIsTaken() {
        let receiver = Receiver()
        let writer = Self.writer(receiver)
        writer.start()
        for number in 0..<3 { writer.write(LogRecord(.info, "\(number)")) }
        try? Thread.start(name: "slow") { for _ in 0..<3 { usleep(600_000); receiver.allow(1) } }
        writer.finish()
        #expect(receiver.texts == ["0", "1", "2"])
        writer.write(LogRecord(.info, "never"))
        #expect((900..<3_000).contains(Self.milliseconds { writer.finish() }))
        receiver.open()
    }

    @Test func whatWasPostedIsWaitedFor() throws {
        let receiver = Receiver()
        let thread = DeliveryThread(name: "test", byteCountMax: 100)
        thread.start()
        #expect(thread.flush(milliseconds: 0))
        thread.post(countMax: 10) { receiver.take("a") }
        #expect(!thread.flush(milliseconds: 20))
        // Nobody waits a second time, unless it must.
        #expect(Self.milliseconds { _ = thread.flush(milliseconds: 10_000) } < 1_000)
        #expect(!thread.flush(milliseconds: 20, evenIfStuck: true))
        receiver.allow(1)
        #expect(thread.flush(milliseconds: 10_000, evenIfStuck: true))
        thread.post(countMax: 10) { receiver.take("b") }
        try Thread.start(name: "later") {
            usleep(50_000); receiver.allow(1)
        }
        #expect(thread.flush(milliseconds: 10_000))
        #expect(receiver.texts == ["a", "b"])
    }
}
