// The stream of a client's bytes, on one end of a pair of sockets.

import ByteBuffers
import Glibc
import LinuxSystem
import LiteBaseTesting
import Testing

@testable import Server

/// The other end.
private final class Peer {
    private var number: Int32

    init(_ number: Int32) { self.number = number }
    deinit { hangUp() }

    func send(_ bytes: [UInt8]) { _ = Glibc.send(number, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
    func endSending() { _ = shutdown(number, Int32(SHUT_WR)) }
    func hangUp() {
        if number >= 0 { close(number) }
        number = -1
    }

    func receive(_ byteCount: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: byteCount)
        let count = recv(number, &bytes, byteCount, Int32(MSG_DONTWAIT))
        return Array(bytes.prefix(max(0, count)))
    }
}

@Suite struct ClientStreamTests {
    private static func pair() -> (socket: Int32, peer: Peer) {
        var numbers: [Int32] = [-1, -1]
        let result = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &numbers)
        precondition(result == 0, "no sockets can be had")
        return (numbers[0], Peer(numbers[1]))
    }

    private static func stream(_ socket: Int32) -> ClientStream {
        ClientStream(OwnedDescriptor(socket), mayBringDescriptors: false, frameByteCountMax: 1 << 20, formats: .all)
    }

    private static func receive(_ stream: inout ClientStream) -> (IOOutcome?, [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: 100)
        let outcome = bytes.withUnsafeMutableBytes { stream.receive(into: $0) }
        if case .bytes(let count) = outcome { return (outcome, Array(bytes[..<count])) }
        return (outcome, [])
    }

    @Test func nothingIsReadBehindTheEnd() throws {
        let (socket, peer) = Self.pair()
        let loop = try EventLoop()
        let source = EventSource()
        var stream = Self.stream(socket)
        var mayReceive = stream.mayReceive
        #expect(!mayReceive, "it is not registered yet")
        try stream.register(source, loop)
        mayReceive = stream.mayReceive
        #expect(mayReceive)
        var received = Self.receive(&stream)
        #expect(received.0 == .wouldBlock)
        peer.send([1, 2, 3])
        var hasUnread = stream.hasUnreadBytes
        #expect(hasUnread)
        received = Self.receive(&stream)
        #expect(received.1 == [1, 2, 3])
        hasUnread = stream.hasUnreadBytes
        #expect(!hasUnread)
        peer.endSending()
        received = Self.receive(&stream)
        #expect(received.0 == .endOfStream)
        mayReceive = stream.mayReceive
        let hasReadEnd = stream.hasReadEnd
        #expect(!mayReceive && hasReadEnd)
        stream.close(source, loop)
        received = Self.receive(&stream)
        #expect(received.0 == nil, "it is closed")
    }

    @Test func theStallClockRunsWhileTheClientTakesNothing() throws {
        let (socket, peer) = Self.pair()
        var stream = Self.stream(socket)
        let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 % 251) }
        bytes.withUnsafeBytes { stream.output.append($0) }
        var buffer = ByteBuffer()
        buffer.append(bytes)
        stream.output.take(over: &buffer)
        let start = MonotonicInstant(nanoseconds: 1_000)
        var sentByteCount: UInt64 = 0
        var spentCount = 0
        func send(_ stream: inout ClientStream, at now: MonotonicInstant) -> ClientStream.Sent {
            stream.send(at: now, &sentByteCount) { spent in
                spentCount += 1
                spent.releaseStorage()
            }
        }
        guard case .blocked(isFirst: true) = send(&stream, at: start) else {
            Issue.record("the socket has taken everything, or nothing")
            return
        }
        var since = stream.stall.since
        #expect(since == start)
        let later = MonotonicInstant(nanoseconds: 2_000)
        guard case .blocked(isFirst: false) = send(&stream, at: later) else {
            Issue.record("the socket has taken more")
            return
        }
        since = stream.stall.since
        #expect(since == start)
        // The first look tells how much there is; the second, that it is less.
        stream.noticeReading(at: later)
        let first = peer.receive(1_000)
        stream.noticeReading(at: MonotonicInstant(nanoseconds: 3_000))
        var received = first
        loop: while true {
            received += peer.receive(1 << 20)
            switch send(&stream, at: later) {
            case .all: break loop
            case .blocked: continue
            case .laneRefused, .failed:
                Issue.record("the peer is there")
                break loop
            }
        }
        received += peer.receive(1 << 22)
        while received.count < 2 * bytes.count {
            let more = peer.receive(1 << 20)
            if more.isEmpty { break }
            received += more
        }
        #expect(received == bytes + bytes)
        since = stream.stall.since
        #expect(sentByteCount == UInt64(2 * bytes.count) && since == nil)
        #expect(spentCount >= 1)
    }

    @Test func sendingFailsWhenThePeerIsGone() {
        let (socket, peer) = Self.pair()
        var stream = Self.stream(socket)
        var sentByteCount: UInt64 = 0
        stream.output.tail.append([1] as [UInt8])
        peer.endSending()
        let first = stream.send(at: MonotonicInstant(nanoseconds: 1), &sentByteCount) { _ in }
        guard case .all = first else {
            Issue.record("it only sends no more")
            return
        }
        peer.hangUp()
        stream.output.tail.append([2] as [UInt8])
        let second = stream.send(at: MonotonicInstant(nanoseconds: 1), &sentByteCount) { _ in }
        guard case .failed = second else {
            Issue.record("nobody is there")
            return
        }
        #expect(sentByteCount == 1)
    }
}

@Suite struct StallClockTests {
    private let first = MonotonicInstant(nanoseconds: 1)
    private let second = MonotonicInstant(nanoseconds: 2)
    private let third = MonotonicInstant(nanoseconds: 3)

    @Test func itBeginsWithTheFirstRefusal() {
        var clock = StallClock()
        #expect(clock.since == nil)
        var isFirst = clock.outputWasRefused(at: first)
        #expect(isFirst)
        isFirst = clock.outputWasRefused(at: second)
        #expect(!isFirst && clock.since == first)
        clock.outputWasTaken()
        #expect(clock.since == nil)
        isFirst = clock.outputWasRefused(at: third)
        #expect(isFirst && clock.since == third)
    }

    @Test func itBeginsAnewWhenTheQueueChanges() {
        var clock = StallClock()
        clock.queueHas(10, at: first)
        #expect(clock.since == nil, "nothing waits")
        _ = clock.outputWasRefused(at: first)
        clock.queueHas(10, at: second)
        #expect(clock.since == first)
        clock.queueHas(9, at: second)
        #expect(clock.since == second)
        clock.queueHas(9, at: third)
        #expect(clock.since == second)
    }
}
