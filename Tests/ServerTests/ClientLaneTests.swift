// The stream of a client's bytes that has a lane, and the one whose former process had one.

import ByteBuffers
import CLinux
import Glibc
import LinuxSystem
import LiteBaseTesting
import Testing
import WireProtocol

@testable import Server

/// The client: its end of the socket and, once it has been told, of the lane.
private final class LaneClient {
    let socket: OwnedDescriptor
    var rings: LaneRings?

    init(_ number: Int32) { socket = OwnedDescriptor(number) }

    func signal(_ bytes: [UInt8]) { _ = Glibc.send(socket.number, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }

    /// What is on the socket; takes the lane that comes with it.
    func receive() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        var arrived: [Int32] = []
        let outcome = bytes.withUnsafeMutableBytes {
            Sockets.receive(socket, into: $0) { numbers, _ in arrived += numbers }
        }
        for number in arrived { rings = try? LaneRings(mapping: OwnedDescriptor(number)) }
        guard case .bytes(let count) = outcome else { return [] }
        return Array(bytes[..<count])
    }

    func write(_ bytes: [UInt8]) { _ = bytes.withUnsafeBytes { rings?.write($0) } }

    func read() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        guard case .bytes(let count) = bytes.withUnsafeMutableBytes({ rings?.read(into: $0) }) else { return [] }
        return Array(bytes[..<count])
    }
}

/// The daemon's side, for one client.
private final class LaneServer {
    var stream: ClientStream
    let loop: EventLoop
    let source = EventSource()

    init(_ socket: Int32) throws {
        loop = try EventLoop()
        stream = ClientStream(
            OwnedDescriptor(socket), mayBringDescriptors: true, frameByteCountMax: 1 << 20, formats: .all)
        try stream.register(source, loop)
    }

    func receive() -> (IOOutcome?, [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let outcome = bytes.withUnsafeMutableBytes { stream.receive(into: $0) }
        if case .bytes(let count) = outcome { return (outcome, Array(bytes[..<count])) }
        return (outcome, [])
    }

    func send(_ bytes: [UInt8]) -> ClientStream.Sent {
        bytes.withUnsafeBytes { stream.output.append($0) }
        return flush()
    }

    func flush() -> ClientStream.Sent {
        var sentByteCount: UInt64 = 0
        return stream.send(at: .now, &sentByteCount) { $0.releaseStorage() }
    }
}

@Suite struct ClientLaneTests {
    private static func pair() throws -> (LaneServer, LaneClient) {
        var numbers: [Int32] = [-1, -1]
        let result = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &numbers)
        precondition(result == 0, "no sockets can be had")
        return (try LaneServer(numbers[0]), LaneClient(numbers[1]))
    }

    /// Both know of a lane.
    private static func laned() throws -> (LaneServer, LaneClient) {
        let (server, client) = try pair()
        try open(server)
        _ = server.flush()
        #expect(client.receive() == [7, 8, 9])
        return (server, client)
    }

    private static func open(_ server: LaneServer, canPass: Bool = true) throws {
        [UInt8]([7, 8, 9]).withUnsafeBytes { server.stream.output.append($0) }
        let rings = try LaneRings(LaneRings.Sizes(request: 4_096, reply: 4_096))
        if !canPass { rings.closeDescriptor() }
        server.stream.open(rings, refusal: [5, 6], server.source, server.loop)
        server.stream.setInterest([.readable], server.source, server.loop)
    }

    @Test func theReplyThatTellsOfALaneBringsIt() throws {
        let (server, client) = try Self.pair()
        try Self.open(server)
        let isOpening = server.stream.isOpeningLane
        #expect(isOpening)
        guard case .all = server.send([1, 2]) else {
            Issue.record("there is room for all")
            return
        }
        let isStillOpening = server.stream.isOpeningLane
        #expect(!isStillOpening)
        #expect(client.receive() == [7, 8, 9])
        let sizes = client.rings?.sizes
        #expect(sizes == LaneRings.Sizes(request: 4_096, reply: 4_096))
        #expect(client.read() == [1, 2], "what is behind it comes through the lane")
        client.write([3])
        #expect(server.receive().1 == [3])
        #expect(client.receive().isEmpty)
    }

    /// The kernel refuses to pass the descriptor.
    @Test func whoCannotGetTheMemoryIsToldNothingOfIt() throws {
        let (server, client) = try Self.pair()
        try Self.open(server, canPass: false)
        guard case .laneRefused = server.flush() else {
            Issue.record("it was sent without its descriptor")
            return
        }
        let refusal = server.stream.laneRefusal
        #expect(client.receive().isEmpty)
        let memory = server.stream.closeLane()
        #expect(memory != nil)
        server.stream.output.removeAll { $0.releaseStorage() }
        guard case .all = server.send(refusal) else {
            Issue.record("there is room for all")
            return
        }
        #expect(client.receive() == [5, 6])
        client.signal([0x7b])
        #expect(server.receive().1 == [0x7b], "messages, not signals")
    }

    @Test func whoIsGoneIsNotRefused() throws {
        let (server, client) = try Self.pair()
        try Self.open(server)
        shutdown(client.socket.number, Int32(SHUT_RDWR))
        guard case .failed(.brokenPipe) = server.flush() else {
            Issue.record("nobody is there")
            return
        }
    }

    @Test func theClientIsRungWhenItSleeps() throws {
        let (server, client) = try Self.laned()
        client.rings?.wait(forInput: true, forRoom: false)
        _ = server.send([1])
        server.stream.ring()
        #expect(client.receive().isEmpty, "it is awake")
        _ = client.read()
        let sleeps = client.rings?.fallAsleep()
        #expect(sleeps == true)
        _ = server.send([1])
        server.stream.ring()
        server.stream.ring()
        #expect(client.receive() == [LaneSignal.ring.rawValue])
    }

    @Test(arguments: [[2], [4], [255], [1, 1, 0x7b]] as [[UInt8]])
    func otherBytesThanSignalsEndIt(_ bytes: [UInt8]) throws {
        let (server, client) = try Self.laned()
        client.signal([1, 0])
        var isLane = server.stream.noteSignals()
        #expect(isLane && server.receive().0 == .wouldBlock)
        client.signal(bytes)
        isLane = server.stream.noteSignals()
        #expect(server.receive().0 == .failed(.protocolViolation))
    }

    @Test func whoEndsItsSendingIsGone() throws {
        let (server, client) = try Self.laned()
        shutdown(client.socket.number, Int32(SHUT_WR))
        let isLane = server.stream.noteSignals()
        #expect(isLane && server.receive().0 == .failed(.brokenPipe))
    }

    @Test func theEndComesBehindTheRequests() throws {
        let (server, client) = try Self.laned()
        client.write([1, 2])
        client.signal([LaneSignal.end.rawValue])
        let isLane = server.stream.noteSignals()
        #expect(isLane && server.receive().1 == [1, 2])
        let (hasNews, hasReadEnd) = (server.stream.hasNews, server.stream.hasReadEnd)
        #expect(hasNews && !hasReadEnd)
        #expect(server.receive().0 == .endOfStream)
        let mayReceive = server.stream.mayReceive
        #expect(!mayReceive)
    }

    @Test func aFullRingHoldsUpTheOutput() throws {
        let (server, client) = try Self.laned()
        guard case .blocked(isFirst: true) = server.send([UInt8](repeating: 5, count: 5_000)) else {
            Issue.record("the ring has taken more than it can")
            return
        }
        server.stream.setInterest([.writable], server.source, server.loop)
        var hasNews = server.stream.hasNews
        #expect(!hasNews)
        #expect(client.read().count == 4_096)
        hasNews = server.stream.hasNews
        #expect(hasNews)
        guard case .all = server.flush() else {
            Issue.record("there is room for the rest")
            return
        }
        #expect(client.read().count == 904)
    }

    @Test func memoryIsCharged() throws {
        let (server, _) = try Self.laned()
        let held = server.stream.heldByteCount
        #expect(held == 3 * 4_096)
        let memory = server.stream.closeLane()
        let (left, state) = (server.stream.heldByteCount, server.stream.laneState)
        #expect(memory != nil && left == 0 && state == .none)
    }

    // MARK: Behind the lane of a former process

    @Test(arguments: [false, true]) func theNextProcessWaitsUntilTheClientHasLeft(_ isTold: Bool) throws {
        let (server, client) = try Self.pair()
        server.stream.leaveLane(isTold: isTold)
        _ = server.send([5])
        #expect(client.receive() == (isTold ? [5] : [LaneSignal.leave.rawValue, 5]))
        client.signal([1, 0, 1, 3])
        #expect(server.receive().0 == .wouldBlock)
        var state = server.stream.laneState
        #expect(state == .leaving)
        client.signal([1, LaneSignal.leave.rawValue, 1, 0, 2])
        #expect(server.receive().1 == [1, 0, 2], "these are messages")
        state = server.stream.laneState
        #expect(state == .none)
        client.signal([2])
        #expect(server.receive().1 == [2])
    }

    @Test func theMarkMayComeAlone() throws {
        let (server, client) = try Self.pair()
        server.stream.leaveLane(isTold: true)
        client.signal([LaneSignal.leave.rawValue])
        #expect(server.receive().0 == .wouldBlock)
        client.signal([9])
        #expect(server.receive().1 == [9])
    }

    @Test func messagesBeforeTheMarkEndIt() throws {
        let (server, client) = try Self.pair()
        server.stream.leaveLane(isTold: true)
        client.signal([1, 0x7b, 2])
        #expect(server.receive().0 == .failed(.protocolViolation))
    }
}
