// What waits for one subscription to channels: all of it in order, or a gap in place of what is missing.

import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import Server

private func message(_ number: UInt64, byteCount: Int = 0) -> ChannelEvent {
    let payload = Array("\(number)".utf8) + Array(repeating: 0, count: byteCount)
    return .message(ChannelMessage(ChannelName("a".utf8), channel: Array("a".utf8), payload: payload))
}

private func taken(_ queue: inout ChannelQueue) -> [String] {
    var found: [String] = []
    while let item = queue.next() {
        switch item.event {
        case .message: found.append("\(item.number)")
        case .gap(let gap): found.append("\(gap.rawValue) \(item.number)")
        case .refused: found.append("refused \(item.number)")
        }
    }
    return found
}

struct ChannelQueueTests {
    @Test func itKeepsTheOrder() {
        var queue = ChannelQueue()
        queue.append(message(1), 1) { _ in true }
        queue.append(.gap(.connectionLost), 2) { _ in true }
        queue.append(message(3), 3) { _ in true }
        let told = taken(&queue)
        #expect(told == ["1", "connection_lost 2", "3"])
        #expect(queue.isEmpty && queue.byteCount == 0)
    }

    @Test(arguments: [(ChannelQueue.countMax, 0), (63, 64 << 10)])
    func whatIsTooMuchIsOneGap(count: Int, byteCount: Int) {
        var queue = ChannelQueue()
        for number in 1...UInt64(count) { queue.append(message(number, byteCount: byteCount), number) { _ in true } }
        #expect(queue.byteCount <= ChannelQueue.byteCountMax)
        for number in UInt64(count + 1)...UInt64(count + 9) {
            queue.append(message(number, byteCount: byteCount), number) { _ in true }
        }
        #expect(queue.byteCount == 0)
        queue.append(.gap(.connectionLost), UInt64(count + 10)) { _ in true }
        let told2 = taken(&queue)
        #expect(told2 == ["too_many \(count + 10)"])
        queue.append(message(1), UInt64(count + 11)) { _ in true }
        let told3 = taken(&queue)
        #expect(told3 == ["\(count + 11)"])
    }

    /// For who does not read, a connection that is lost again and again is one gap.
    @Test func gapsBehindEachOtherAreOne() {
        var queue = ChannelQueue()
        queue.append(message(1), 1) { _ in true }
        for number: UInt64 in 2...100_000 { queue.append(.gap(.connectionLost), number) { _ in true } }
        let told = taken(&queue)
        #expect(told == ["1", "connection_lost 100000"])
    }

    @Test func aUserWithoutRoomMissesThem() {
        var queue = ChannelQueue()
        queue.append(message(1), 1) { _ in true }
        queue.append(message(2), 2) { _ in false }
        let told4 = taken(&queue)
        #expect(told4 == ["too_many 2"])
    }

    @Test func aRefusalIsToldBehindWhatCameBefore() {
        var queue = ChannelQueue()
        let refusal = DriverError(.permissionDenied, "No.")
        queue.append(message(1), 1) { _ in true }
        queue.append(.refused(ChannelName("a".utf8), refusal), 2) { _ in true }
        #expect(queue.refusalIsNext == nil)
        _ = queue.next()
        #expect(queue.refusalIsNext?.code == .permissionDenied)
        queue.append(message(3), 3) { _ in false }
        #expect(queue.refusalIsNext == nil, "the gap comes first")
        _ = queue.next()
        #expect(queue.refusalIsNext != nil)
    }

    @Test(arguments: 0..<100)
    func anyOrderOfEvents(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var queue = ChannelQueue()
        var waiting: [String] = []
        var number: UInt64 = 0
        var dropped = false
        for _ in 0..<5_000 {
            if Int.random(in: 0..<10, using: &random) < 6 {
                number += 1
                let hasRoom = Int.random(in: 0..<200, using: &random) > 0
                queue.append(message(number), number) { _ in hasRoom }
                if dropped || !hasRoom {
                    (dropped, waiting) = (true, ["too_many \(number)"])
                } else {
                    waiting.append("\(number)")
                }
            } else if let item = queue.next() {
                let expected = waiting.removeFirst()
                let told = if case .gap = item.event { "too_many \(item.number)" } else { "\(item.number)" }
                #expect(told == expected, "seed \(seed)")
                dropped = false
            } else {
                #expect(waiting.isEmpty, "seed \(seed)")
            }
        }
        let told5 = taken(&queue)
        #expect(told5 == waiting && queue.byteCount == 0, "seed \(seed)")
    }
}
