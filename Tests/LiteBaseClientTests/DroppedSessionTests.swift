import LinuxSystem
import Synchronization
import Testing

@testable import LiteBaseClient

/// A session that is dropped tells the server so, and nobody waits for the answer.
///
/// Both clients counted a `cancel` that they never sent as unanswered, and waited for its reply before they asked for a lane: nothing
/// was sent any more.
@Suite(.timeLimit(.minutes(1))) struct DroppedSessionTests {
    private final class Lanes: Sendable {
        private let granted = Mutex(0)

        var count: Int { granted.withLock { $0 } }
        func grant() { granted.withLock { $0 += 1 } }
    }

    /// Lanes until the session was not in the way of one.
    private static func laneCount(_ transport: Transport) -> Int { transport == .sharedMemory ? 2 : 1 }

    private static func answer(_ request: ReceivedRequest) -> [UInt8] {
        switch request.type {
        case "db_connect": ServerEnd.frame(request.id, "db_connect_response", [("session", .value("s1-1"))])
        case "health_check": ServerEnd.frame(request.id, "health_response", BlockingClientTests.health)
        default: ServerEnd.frame(request.id, "db_disconnect_response", [])
        }
    }

    /// Grants a lane whenever the client asks for one.
    ///
    /// A client that wants shared memory in any case has it before its session: it loses it when the session was dropped.
    private static func serve(_ server: ServerEnd, _ transport: Transport, _ lanes: Lanes) {
        if transport == .sharedMemory {
            guard let hello = server.receive(), let lane = try? LaneEnd(server, hello.id) else { return }
            lanes.grant()
            for wanted in ["db_connect", "db_disconnect"] {
                guard let request = lane.receive() else { return }
                #expect(request.type == wanted)
                lane.send(answer(request))
            }
            guard lane.leave() else { return }
        }
        while let request = server.receive() {
            guard request.type == "hello" else {
                server.send(answer(request))
                continue
            }
            guard let lane = try? LaneEnd(server, request.id) else { return }
            lanes.grant()
            lane.serve(answer)
            return
        }
    }

    @Test(arguments: [Transport.automatic, .sharedMemory])
    func theAsynchronousClientGoesOn(_ transport: Transport) async throws {
        let lanes = Lanes()
        let client = try client(timeout: .seconds(5), transport: transport) { Self.serve($0, transport, lanes) }
        do { _ = try await client.openSession() }
        // A busy machine needs more than a quarter of a second for so many at times.
        for _ in 0..<100 * LaneUpgrade.requestCount where lanes.count < Self.laneCount(transport) {
            #expect(try await client.ping().pid == 42)
        }
        #expect(lanes.count == Self.laneCount(transport))
        #expect(try await client.ping().pid == 42)
    }

    @Test(arguments: [Transport.automatic, .sharedMemory])
    func theBlockingClientGoesOn(_ transport: Transport) throws {
        let lanes = Lanes()
        let client = try blockingClient(transport: transport) { Self.serve($0, transport, lanes) }
        client.timeout = .seconds(5)
        do { _ = try client.openSession() }
        for _ in 0..<100 * LaneUpgrade.requestCount where lanes.count < Self.laneCount(transport) {
            #expect(try client.ping().pid == 42)
        }
        #expect(lanes.count == Self.laneCount(transport))
        #expect(try client.ping().pid == 42)
    }
}
