// An asynchronous client and shared memory: many tasks on one lane, who reads it, and the way back to the socket.

import Glibc
import LinuxSystem
import LiteBaseTesting
import Synchronization
import Testing

@testable import LiteBaseClient

@Suite(.timeLimit(.minutes(1))) struct AsyncSharedMemoryTests {
    private static func answer(_ request: ReceivedRequest) -> [UInt8] {
        ServerEnd.frame(request.id, "health_response", BlockingClientTests.health)
    }

    /// The row that a query has as its parameter.
    private static func echo(_ request: ReceivedRequest) -> [UInt8] {
        let number = request.data["params"]?.elements?.first?.integer ?? -1
        return ServerEnd.rows(request.id, [number], isFirst: true, more: false)
    }

    /// The lane that the client asks for with its next message.
    private static func grant(_ server: ServerEnd) -> LaneEnd? {
        guard let hello = server.receive() else { return nil }
        #expect(hello.type == "hello" && hello.data["transport"]?.text == "shared_memory")
        return try? LaneEnd(server, hello.id)
    }

    @Test func requestsGoThroughTheMemory() async throws {
        let client = try client(transport: .sharedMemory) { Self.grant($0)?.serve(Self.answer) }
        #expect(!client.usesSharedMemory)
        for _ in 0..<300 { #expect(try await client.ping().pid == 42) }
        #expect(client.usesSharedMemory)
    }

    @Test func itAsksWhenRequestsFollowEachOther() async throws {
        let client = try client { server in
            var count = 0
            while let request = server.receive() {
                guard request.type == "hello" else {
                    server.send(Self.answer(request))
                    count += 1
                    continue
                }
                #expect((count + 1) % LaneUpgrade.requestCount == 0)
                (try? LaneEnd(server, request.id))?.serve(Self.answer)
                return
            }
        }
        // A busy machine needs more than a quarter of a second for so many at times.
        for _ in 0..<100 * LaneUpgrade.requestCount where !client.usesSharedMemory {
            #expect(try await client.ping().pid == 42)
        }
        #expect(client.usesSharedMemory)
        #expect(try await client.ping().pid == 42)
    }

    /// The tasks send and read at once, both sides sleep whenever they can, and the rings are full at times.
    @Test func manyTasksShareTheLane() async throws {
        let client = try client(transport: .sharedMemory) { Self.grant($0)?.serve(Self.echo) }
        let (taskCount, requestCount) = (16, 100)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<taskCount {
                group.addTask {
                    for number in 0..<requestCount {
                        let wanted = Int64(task * requestCount + number)
                        let row = try await client.query("SELECT ?", [.integer(wanted)]).rows[0][0]
                        #expect(row == .integer(wanted))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(client.usesSharedMemory)
    }

    /// More requests than the ring holds before the server reads any.
    @Test func aFullRingIsWaitedFor() async throws {
        let text = String(repeating: "x", count: 1_000)
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server) else { return }
            // Nothing is read before that.
            #expect(lane.waitForRequests(byteCount: 4_096))
            lane.serve(Self.echo)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { _ = try await client.execute(text) } }
            try await group.waitForAll()
        }
    }

    /// Frames that are larger than the rings, in both directions at once.
    @Test func largeFramesFit() async throws {
        let text = String(repeating: "long ", count: 20_000)
        let client = try client(transport: .sharedMemory) { server in
            Self.grant(server)?.serve { request in
                #expect(request.data["sql"]?.text == text)
                return ServerEnd.rows(request.id, Array(0..<50_000), isFirst: true, more: false)
            }
        }
        #expect(try await client.query(text).rows.count == 50_000)
    }

    @Test func aRefusalIsNoError() async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let hello = server.receive() else { return }
            server.reply(hello.id, "hello_response", [("version", .value("9")), ("protocol", .value(1))])
            for _ in 0..<20 {
                guard let request = server.receive() else { return }
                #expect(request.type == "health_check", "it does not ask again at once")
                server.send(Self.answer(request))
            }
        }
        for _ in 0..<20 { #expect(try await client.ping().pid == 42) }
        #expect(!client.usesSharedMemory)
    }

    /// Nothing may be beside the question: the introduction is answered before, and what tasks send meanwhile waits.
    @Test func theQuestionIsAlone() async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let first = server.receive() else { return }
            #expect(first.data["client"]?.text == "who" && first.data["transport"] == nil)
            #expect(!server.hasMore(within: 20), "nothing comes before the reply")
            server.reply(first.id, "hello_response", [("version", .value("9")), ("protocol", .value(1))])
            guard let hello = server.receive() else { return }
            #expect(hello.data["client"]?.text == "who" && hello.data["transport"]?.text == "shared_memory")
            #expect(!server.hasMore(within: 20), "nothing comes before the reply")
            guard let lane = try? LaneEnd(server, hello.id) else { return }
            lane.serve(Self.answer)
        }
        try client.introduce(as: "who")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let health = try await client.ping()
                    #expect(health.pid == 42)
                }
            }
            try await group.waitForAll()
        }
        #expect(client.usesSharedMemory)
    }

    /// Leaves the lane as a new process does, and goes on over the socket.
    private static func leave(_ lane: LaneEnd, _ server: ServerEnd) {
        guard lane.leave() else { return }
        while let request = server.receive() {
            if request.type == "hello" {
                server.reply(request.id, "hello_response", [("version", .value("9")), ("protocol", .value(1))])
            } else {
                server.send(echo(request))
            }
        }
    }

    private static func query(_ client: Client, _ numbers: Range<Int64>) async throws -> Set<Int64?> {
        try await withThrowingTaskGroup(of: Int64?.self) { group in
            for number in numbers {
                group.addTask { try await client.query("SELECT ?", [.integer(number)]).rows[0][0].integer }
            }
            return try await group.reduce(into: Set()) { $0.insert($1) }
        }
    }

    /// The former process has not read the second and third request, and has answered the first one.
    @Test func whatWasNotReadIsSentAgain() async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), let first = lane.receive() else { return }
            let firstByteCount = Int(lane.word(256))
            lane.send(Self.echo(first))
            #expect(lane.waitForRequests(byteCount: 2 * firstByteCount))
            Self.leave(lane, server)
        }
        #expect(try await Self.query(client, 0..<1) == [0])
        #expect(client.usesSharedMemory)
        #expect(try await Self.query(client, 1..<3) == [1, 2])
        #expect(!client.usesSharedMemory)
        #expect(try await Self.query(client, 3..<9) == [3, 4, 5, 6, 7, 8])
    }

    /// The lane ends while tasks write into it, read from it, and wait for room in it.
    @Test(arguments: [1, 7, 40, 150])
    func tasksGoOnWithoutTheLane(_ count: Int) async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server) else { return }
            for _ in 0..<count {
                guard let request = lane.receive() else { return }
                lane.send(Self.echo(request))
            }
            Self.leave(lane, server)
        }
        // More than the ring holds.
        let text = "SELECT ? -- " + String(repeating: "x", count: 300)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<20 as Range<Int64> {
                group.addTask {
                    for number in 100 * task..<100 * task + 10 {
                        let row = try await client.query(text, [.integer(number)]).rows[0][0]
                        #expect(row == .integer(number))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(!client.usesSharedMemory)
    }

    @Test(arguments: [[0], [7], [2, 0xff, 0xff, 0xff, 0xff]] as [[UInt8]])
    func whatIsNoSignalEndsTheConnection(_ bytes: [UInt8]) async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), lane.receive() != nil else { return }
            server.send(bytes)
            while !server.receiveBytes().isEmpty {}
        }
        await #expect(throws: ClientError.self) { try await client.ping() }
    }

    @Test func positionsThatCannotBeEndTheConnection() async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), lane.receive() != nil else { return }
            var position = UInt64.max / 2
            _ = pwrite(lane.rings.descriptorNumber, &position, 8, 384)
            server.send([1])
            while !server.receiveBytes().isEmpty {}
        }
        await #expect(throws: ClientError.self) { try await client.ping() }
    }

    @Test func repliesBeforeTheEndAreRead() async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), let request = lane.receive() else { return }
            lane.send(Self.answer(request))
        }
        #expect(try await client.ping().pid == 42)
        await #expect(throws: ClientError.self) { try await client.ping() }
    }

    @Test func repliesBeforeAResetAreRead() async throws {
        let client = try client(transport: .sharedMemory) { Self.grant($0)?.answerBeforeReset(Self.answer) }
        #expect(try await client.ping().pid == 42)
        #expect(try await client.ping().pid == 42)
        await #expect(throws: ClientError.self) { try await client.ping() }
    }

    /// It sleeps while it waits, and is woken.
    @Test func aLongWaitIsSlept() async throws {
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server) else { return }
            for _ in 0..<20 {
                guard let request = lane.receive() else { return }
                #expect(lane.waitUntilClientSleeps())
                lane.send(Self.answer(request))
            }
        }
        for _ in 0..<20 { #expect(try await client.ping().pid == 42) }
    }

    @Test func aCancelledRequestLeavesTheLaneUsable() async throws {
        let hasArrived = Mutex(false)
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), let request = lane.receive() else { return }
            hasArrived.withLock { $0 = true }
            guard let cancel = lane.receive() else { return }
            #expect(cancel.type == "cancel" && cancel.data["request"]?.integer == request.id)
            lane.send(ServerEnd.frame(cancel.id, "cancel_response", [("cancelled", .value(true))]))
            lane.send(ServerEnd.rows(request.id, [1], isFirst: true, more: false))
            lane.serve(Self.answer)
        }
        let task = Task { try await client.query("SELECT 1") }
        while !hasArrived.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await client.ping().pid == 42)
        #expect(client.usesSharedMemory)
    }

    @Test func aRequestWithoutAnAnswerTimesOut() async throws {
        let client = try client(timeout: .milliseconds(50), transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), let request = lane.receive() else { return }
            while let other = lane.receive(), other.type != "cancel" {}
            lane.send(Self.answer(request))
        }
        let error = await #expect(throws: ClientError.self) { try await client.ping() }
        guard case .timedOut = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
    }

    /// The thread read as long as there was something, and did nothing else.
    @Test func deadlinesPassWhileAStreamFlows() async throws {
        let isOver = Mutex(false)
        let hasDriedUp = Mutex(false)
        let client = try client(timeout: .milliseconds(100), transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), let request = lane.receive() else { return }
            let frame = ServerEnd.rows(request.id, Array(0..<200), isFirst: false, more: true)
            var rest = frame[...]
            let end = ContinuousClock.now + .seconds(10)
            while !isOver.withLock({ $0 }) {
                if ContinuousClock.now > end {
                    hasDriedUp.withLock { $0 = true }
                    return
                }
                if rest.isEmpty { rest = frame[...] }
                if case .bytes(let count) = rest.withUnsafeBytes({ lane.rings.write($0) }) {
                    rest = rest.dropFirst(count)
                }
                lane.ring()
            }
        }
        // Its rows are dropped as they come: they never fill the memory.
        client.connection.abandonQuietly(try client.connection.start(.healthCheck))
        let error = await #expect(throws: ClientError.self) { try await client.ping() }
        #expect(!hasDriedUp.withLock { $0 }, "it ended only with the stream")
        isOver.withLock { $0 = true }
        client.close()
        guard case .timedOut = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
    }

    @Test func closingEndsTheWait() async throws {
        let hasArrived = Mutex(false)
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), lane.receive() != nil else { return }
            hasArrived.withLock { $0 = true }
            #expect(server.receiveBytes().allSatisfy { $0 == 1 })
        }
        let task = Task { try await client.ping() }
        while !hasArrived.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
        client.close()
        await #expect(throws: ClientError.self) { try await task.value }
    }

    /// The client takes in no more than its limit, a frame and the ring, whatever the server sends.
    @Test func aSlowConsumerStopsTheServer() async throws {
        let accepted = Mutex<Int?>(nil)
        let client = try client(transport: .sharedMemory) { server in
            guard let lane = Self.grant(server), let request = lane.receive() else { return }
            lane.send(ServerEnd.rows(request.id, [0], isFirst: true, more: true))
            let frame = ServerEnd.rows(request.id, Array(repeating: .max, count: 5_000), isFirst: false, more: true)
            var (total, idleCount, rest) = (0, 0, frame[...])
            while idleCount < 500 * Patience.factor {
                if rest.isEmpty { rest = frame[...] }
                if case .bytes(let count) = rest.withUnsafeBytes({ lane.rings.write($0) }) {
                    (total, idleCount, rest) = (total + count, 0, rest.dropFirst(count))
                } else {
                    idleCount += 1
                    usleep(1_000)
                }
                lane.ring()
            }
            accepted.withLock { $0 = total }
            // The rest of the frame that was cut, and the end.
            lane.send(Array(rest))
            lane.send(ServerEnd.rows(request.id, [], isFirst: false, more: false))
            while !server.receiveBytes().isEmpty {}
        }
        let rows = try await client.stream("SELECT", options: QueryOptions(pageRows: nil))
        while accepted.withLock({ $0 }) == nil { try await Task.sleep(for: .milliseconds(10)) }
        let count = try #require(accepted.withLock { $0 })
        #expect(count >= ReplyRouter.bufferedByteCountMax)
        #expect(count < ReplyRouter.bufferedByteCountMax + (2 << 20))
        var rowCount = 0
        for try await _ in rows { rowCount += 1 }
        #expect(rowCount > 5_000, "it goes on")
    }
}
