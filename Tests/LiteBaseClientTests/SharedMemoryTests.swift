// A blocking client and shared memory: when it asks, that it does without, and that it goes back to the socket in good order.

import Glibc
import LinuxSystem
import Testing

@testable import LiteBaseClient

@Suite struct SharedMemoryTests {
    private static func answer(_ request: ReceivedRequest) -> [UInt8] {
        ServerEnd.frame(request.id, "health_response", BlockingClientTests.health)
    }

    @Test func requestsGoThroughTheMemory() throws {
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive() else { return }
            #expect(hello.type == "hello" && hello.data["transport"]?.text == "shared_memory")
            guard let lane = try? LaneEnd(server, hello.id) else { return }
            for _ in 0..<100 {
                guard let request = lane.receive() else { return }
                lane.send(Self.answer(request))
            }
        }
        #expect(!client.usesSharedMemory)
        for _ in 0..<100 { #expect(try client.ping().pid == 42) }
        #expect(client.usesSharedMemory)
    }

    /// Frames that are larger than the rings, in both directions at once.
    @Test func largeFramesFit() throws {
        let text = String(repeating: "long ", count: 20_000)
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            guard let request = lane.receive() else { return }
            #expect(request.data["sql"]?.text == text)
            lane.send(ServerEnd.rows(request.id, Array(0..<50_000), isFirst: true, more: false))
        }
        #expect(try client.query(text).rows.count == 50_000)
    }

    @Test func aRefusalIsNoError() throws {
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive() else { return }
            server.reply(hello.id, "hello_response", [("version", .value("9")), ("protocol", .value(1))])
            for _ in 0..<20 {
                guard let request = server.receive() else { return }
                #expect(request.type == "health_check", "it does not ask again at once")
                server.send(Self.answer(request))
            }
        }
        for _ in 0..<20 { #expect(try client.ping().pid == 42) }
        #expect(!client.usesSharedMemory)
    }

    /// The former process has not read the second request, and has written the reply to the first one.
    @Test func whatWasNotReadIsSentAgain() throws {
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            guard let first = lane.receive() else { return }
            lane.send(Self.answer(first))
            while !lane.rings.hasUnreadBytes { usleep(200) }
            guard lane.leave() else { return }
            for _ in 0..<2 {
                guard let request = server.receive() else { return }
                if request.type == "hello" {
                    server.reply(request.id, "hello_response", [("version", .value("9")), ("protocol", .value(1))])
                } else {
                    server.send(Self.answer(request))
                }
            }
            guard let last = server.receive() else { return }
            server.send(Self.answer(last))
        }
        #expect(try client.ping().pid == 42)
        #expect(client.usesSharedMemory)
        #expect(try client.ping().pid == 42)
        #expect(!client.usesSharedMemory)
        #expect(try client.ping().pid == 42)
    }

    /// The former process has read all of a large request that was in the ring, and its descriptor is gone with it.
    @Test func theRestOfARequestBringsItsDescriptorAgain() throws {
        var daemon = try LaneRings(LaneRings.Sizes(request: 4_096, reply: 4_096))
        let lane = Lane(try LaneRings(mapping: OwnedDescriptor.duplicate(of: daemon.descriptorNumber)))
        let request = [UInt8](repeating: 7, count: 10_000)
        lane.passed = PassedDescriptor(try OwnedDescriptor.duplicate(of: 0), start: 0, byteCount: request.count)
        let written = request.withUnsafeBytes { lane.rings.write($0) }
        #expect(written == .bytes(4_096))
        lane.requestOfPassedWasWritten()
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let read = bytes.withUnsafeMutableBytes { daemon.read(into: $0) }
        #expect(read == .bytes(4_096))
        let socket = try startServer { _ = $0.receiveBytes() }
        var owed = OwedOutput()
        let isFilled = owed.fill(from: lane)
        #expect(isFilled)
        let isTooEarly = owed.takePassed() != nil
        #expect(!isTooEarly, "the signal comes first")
        let problem = owed.send(socket)
        #expect(problem == nil)
        let isBrought = owed.takePassed() != nil
        let isBroughtTwice = owed.takePassed() != nil
        #expect(isBrought && !isBroughtTwice)
    }

    /// Whoever reads a pipe waits for its end, and the client has kept a copy for the case that the daemon is replaced.
    @Test func whatWasPassedIsClosedWithTheAnswer() throws {
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            while let request = lane.receive() {
                switch request.type {
                case "hello":
                    lane.send(
                        ServerEnd.frame(
                            request.id, "hello_response",
                            [("version", .value("9")), ("protocol", .value(1)), ("descriptors", .value(true))]))
                case "export":
                    // The descriptor that comes with these is dropped.
                    _ = server.receiveBytes()
                    lane.send(
                        ServerEnd.frame(
                            request.id, "export_response",
                            [("bytes", .value(0)), ("row_count", .value(0)), ("more", .value(false))]))
                default: lane.send(Self.answer(request))
                }
            }
        }
        #expect(try client.ping().pid == 42)
        #expect(client.usesSharedMemory)
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        #expect(try client.export("SELECT 1", to: ends[1]).rowCount == 0)
        close(ends[1])
        var entry = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 10_000) == 1 && entry.revents & Int16(POLLHUP) != 0, "the pipe has ended")
        close(ends[0])
    }

    @Test(arguments: [[0], [7], [2, 0xff, 0xff, 0xff, 0xff]] as [[UInt8]])
    func whatIsNoSignalEndsTheConnection(_ bytes: [UInt8]) throws {
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            guard lane.receive() != nil else { return }
            server.send(bytes)
            _ = server.receiveBytes()
        }
        #expect(throws: ClientError.self) { try client.ping() }
    }

    @Test func repliesBeforeTheEndAreRead() throws {
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            guard let request = lane.receive() else { return }
            lane.send(Self.answer(request))
        }
        #expect(try client.ping().pid == 42)
        #expect(throws: ClientError.self) { try client.ping() }
    }

    @Test func repliesBeforeAResetAreRead() throws {
        let client = try blockingClient(transport: .sharedMemory) { server in
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            lane.answerBeforeReset(Self.answer)
        }
        #expect(try client.ping().pid == 42)
        #expect(try client.ping().pid == 42)
        #expect(throws: ClientError.self) { try client.ping() }
    }

    /// What the kernel does not pass is an error of its request alone.
    @Test(arguments: [Transport.socket, .sharedMemory])
    func aDescriptorThatCannotBePassed(_ transport: Transport) throws {
        let client = try blockingClient(transport: transport) { server in
            guard transport == .sharedMemory else {
                while let request = server.receive() { server.send(Self.answer(request)) }
                return
            }
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            lane.serve(Self.answer)
        }
        #expect(try client.ping().pid == 42)
        let error = #expect(throws: ClientError.self) {
            _ = try client.start(.backup(database: nil, progressMilliseconds: nil), passing: -1)
        }
        guard case .invalidRequest(let text) = error, text.contains("not open") else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
        #expect(try client.ping().pid == 42)
        #expect(client.usesSharedMemory == (transport == .sharedMemory))
    }

    @Test func itAsksWhenItPays() {
        var often = LaneUpgrade(.automatic)
        let due = (1...LaneUpgrade.requestCount).map { _ in often.isDue }
        #expect(due.firstIndex(of: true) == LaneUpgrade.requestCount - 1)
        often.wasRefused()
        #expect(!(1...LaneUpgrade.refusedRequestCount).contains { _ in often.isDue })
        var never = LaneUpgrade(.socket)
        #expect(!(1...1_000).contains { _ in never.isDue })
        var always = LaneUpgrade(.sharedMemory)
        let isDueAtOnce = always.isDue
        #expect(isDueAtOnce)
    }

    /// It sleeps at first, since nothing has paid off; a reply that took no longer than two wake-ups makes it try.
    @Test func aClientThatBeganSlowlyLooksOnTrial() {
        let finds = (0..<100).contains { _ in
            var looker = LaneLooker()
            var lookCount = 0
            func look() -> Bool {
                looker.look(until: nil) {
                    lookCount += 1
                    return lookCount > 10
                }
            }
            guard !look(), lookCount == 1 else { return false }
            // Others may take the core meanwhile; then it was longer.
            looker.waited(since: MonotonicInstant.now.advanced(byNanoseconds: -LaneLooker.nanosecondsMax - 50_000))
            return look()
        }
        #expect(finds == (LinuxSystem.Process.coreCount > 1))
    }

    @Test func whoWaitedForLongDoesNotLook() {
        var looker = LaneLooker()
        looker.waited(since: MonotonicInstant.now.advanced(byNanoseconds: -100_000_000))
        var lookCount = 0
        _ = looker.look(until: nil) {
            lookCount += 1
            return false
        }
        #expect(lookCount == 1)
    }
}
