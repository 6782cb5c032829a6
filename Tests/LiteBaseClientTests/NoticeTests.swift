import LinuxSystem
import Synchronization
import Testing

@testable import LiteBaseClient

@Suite(.timeLimit(.minutes(1))) struct NoticeTests {
    static func notice(_ message: String) -> [(String, StructuredValue)] {
        [("code", .value("database_notice")), ("message", .value(.text(message))), ("severity", .value("WARNING"))]
    }

    /// Expects the introduction, and answers one query with notices around its rows.
    static func answer(_ server: ServerEnd, count: Int = 2) {
        guard let hello = server.receive(), let request = server.receive() else { return }
        #expect(hello.type == "hello")
        #expect(hello.data["notices"]?.bool == true)
        server.reply(hello.id, "hello_response", [])
        server.send(ServerEnd.rows(request.id, [1], isFirst: true, more: true))
        for number in 0..<count { server.reply(nil, "notice", notice("\(number)")) }
        server.send(ServerEnd.rows(request.id, [2], isFirst: false, more: false))
    }

    @Test func allFieldsArrive() throws {
        let client = try blockingClient { server in
            guard let hello = server.receive(), let request = server.receive() else { return }
            server.reply(hello.id, "hello_response", [])
            server.reply(
                nil, "notice",
                [
                    ("code", .value("database_notice")), ("message", .value("m")), ("session", .value("s1")),
                    ("severity", .value("NOTICE")), ("sqlstate", .value("01000")), ("detail", .value("d")),
                    ("hint", .value("h")), ("request", .value(7)),
                ])
            server.reply(nil, "notice", [("code", .value("idle_transaction")), ("ends_in_ms", .value(1500))])
            server.reply(nil, "notice", [("code", .value("database_notices_dropped")), ("count", .value(3))])
            // What nobody knows yet, and what makes no sense.
            server.reply(nil, "notice", [("code", .value(5)), ("message", .array([]))])
            server.reply(request.id, "health_response", BlockingClientTests.health)
        }
        var found: [Notice] = []
        try client.receiveNotices { found.append($0) }
        _ = try client.ping()
        #expect(found.map(\.code) == [.databaseNotice, .idleTransaction, .databaseNoticesDropped, .init(rawValue: "")])
        #expect(found[0].message == "m" && found[0].session == "s1" && found[0].severity == "NOTICE")
        #expect(found[0].sqlState == "01000" && found[0].detail == "d" && found[0].hint == "h")
        #expect(found[1].endsIn == .milliseconds(1500))
        #expect(found[2].droppedCount == 3)
    }

    @Test func aBlockingClientHasThemBeforeTheEndOfTheResult() throws {
        let client = try blockingClient { Self.answer($0) }
        var found: [String] = []
        try client.receiveNotices { found.append($0.message) }
        let rows = try client.stream("SELECT")
        #expect(try rows.next()?[0].integer == 1)
        #expect(try rows.next()?[0].integer == 2)
        #expect(found == ["0", "1"])
    }

    /// Between requests nothing is read but by `takeNotices`.
    @Test func noticesBetweenRequestsAreTakenWithoutWaiting() throws {
        let client = try blockingClient { server in
            guard let hello = server.receive(), let second = server.receive(), let request = server.receive() else {
                return
            }
            #expect(hello.data["client"]?.text == "a test" && hello.data["notices"]?.bool == false)
            #expect(second.data["client"]?.text == "a test" && second.data["notices"]?.bool == true)
            server.reply(request.id, "health_response", BlockingClientTests.health)
            server.reply(nil, "notice", Self.notice("late"))
            _ = server.receive()
        }
        var found: [String] = []
        try client.introduce(as: "a test")
        try client.receiveNotices { found.append($0.message) }
        _ = try client.ping()
        let deadline = MonotonicInstant.after(.seconds(10))
        while found.isEmpty, let deadline, .now < deadline { client.takeNotices() }
        #expect(found == ["late"])
        client.takeNotices()
    }

    @Test func anAsynchronousClientHasAStream() async throws {
        let client = try client { Self.answer($0) }
        let notices = try client.notices()
        #expect(try await client.query("SELECT").rows.count == 2)
        client.close()
        var found: [String] = []
        for await notice in notices { found.append(notice.message) }
        #expect(found == ["0", "1"])
    }

    /// Who does not read them is not drowned in them.
    @Test func theNewestAreKept() async throws {
        let client = try client { Self.answer($0, count: 250) }
        let notices = try client.notices()
        _ = try await client.query("SELECT")
        client.close()
        var found: [String] = []
        for await notice in notices { found.append(notice.message) }
        #expect(found == (150..<250).map { "\($0)" })
    }

    @Test func aNewStreamEndsTheFormer() async throws {
        let client = try client { server in
            while server.receive() != nil {}
        }
        let former = try client.notices()
        let latter = try client.notices()
        for await _ in former { Issue.record("nobody sent a notice") }
        client.close()
        for await _ in latter { Issue.record("nobody sent a notice") }
        #expect(throws: ClientError.self) { try client.notices() }
    }
}
