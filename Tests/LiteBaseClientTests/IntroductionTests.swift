import Synchronization
import Testing
import WireProtocol

@testable import LiteBaseClient

/// Introductions that are longer than any request.
///
/// One that was refused stayed, and ended the connection when the question for a lane was put together with it.
@Suite(.timeLimit(.minutes(1))) struct IntroductionTests {
    private static let kilobyte = String(repeating: "name", count: 256)
    private static let longName = String(repeating: kilobyte, count: WireLimits.frameByteCountCeiling >> 10)

    private static func answer(_ request: ReceivedRequest) -> [UInt8] {
        request.type == "hello"
            ? ServerEnd.frame(request.id, "hello_response", [("version", .value("9")), ("protocol", .value(1))])
            : ServerEnd.frame(request.id, "health_response", BlockingClientTests.health)
    }

    /// Expects the introduction that was possible, and again with the question for a lane.
    private static func serve(_ server: ServerEnd) {
        guard let first = server.receive() else { return }
        #expect(first.type == "hello" && first.data["client"]?.text == "who" && first.data["transport"] == nil)
        server.send(answer(first))
        guard let question = server.receive() else { return }
        #expect(question.type == "hello" && question.data["client"]?.text == "who")
        #expect(question.data["notices"]?.bool == false && question.data["transport"]?.text == "shared_memory")
        (try? LaneEnd(server, question.id))?.serve(answer)
    }

    /// Expects no question.
    private static func serveWithoutLane(_ server: ServerEnd) {
        while let request = server.receive() {
            #expect(request.type == "health_check")
            server.send(answer(request))
        }
    }

    @Test func theAsynchronousClientKeepsTheFormer() async throws {
        let client = try client(transport: .sharedMemory) { Self.serve($0) }
        try client.introduce(as: "who")
        #expect(throws: ClientError.self) { try client.introduce(as: Self.longName) }
        #expect(try await client.ping().pid == 42)
        #expect(client.usesSharedMemory)
    }

    @Test func theBlockingClientKeepsTheFormer() throws {
        let client = try blockingClient(transport: .sharedMemory) { Self.serve($0) }
        try client.introduce(as: "who")
        #expect(throws: ClientError.self) { try client.introduce(as: Self.longName) }
        #expect(try client.ping().pid == 42)
        #expect(client.usesSharedMemory)
    }

    /// As with a name that leaves no room for the question.
    @Test func theAsynchronousClientDoesWithoutALane() async throws {
        let client = try client(transport: .sharedMemory) { Self.serveWithoutLane($0) }
        client.connection.state.withLock { $0.introduction.name = Self.longName }
        for _ in 0..<3 { #expect(try await client.ping().pid == 42) }
        #expect(!client.usesSharedMemory)
    }

    @Test func theBlockingClientDoesWithoutALane() throws {
        let client = try blockingClient(transport: .sharedMemory) { Self.serveWithoutLane($0) }
        client.introduction.name = Self.longName
        for _ in 0..<3 { #expect(try client.ping().pid == 42) }
        #expect(!client.usesSharedMemory)
    }
}
