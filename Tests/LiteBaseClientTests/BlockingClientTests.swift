import Glibc
import LinuxSystem
import Testing

@testable import LiteBaseClient

@Suite struct BlockingClientTests {
    static let health: [(String, StructuredValue)] = [
        ("status", .value("healthy")), ("version", .value("9.9")), ("protocol", .value(1)), ("pid", .value(42)),
        ("uptime_ms", .value(61_000)), ("activation", .value("socket")),
    ]

    @Test func pingReadsTheHealth() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            #expect(request.type == "health_check")
            server.reply(request.id, "health_response", Self.health)
        }
        let health = try client.ping()
        #expect(health.status == "healthy")
        #expect(health.version == "9.9")
        #expect(health.pid == 42)
        #expect(health.uptime == .seconds(61))
        #expect(health.activation == "socket")
    }

    /// A reply that arrives one byte at a time, for a query with every kind of value.
    @Test func tornFramesAreJoined() throws {
        let values: [Value] = [
            .null, true, .integer(.min), .integer(.max), .unsigned(.max), .real(-0.0), .real(.infinity), "Zürich\u{0}",
            .blob([0xff, 0]),
        ]
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            let columns = StructuredValue.array(values.indices.map { .map([("name", .value(.text("c\($0)")))]) })
            let frame = ServerEnd.frame(
                request.id, "query_response",
                [
                    ("columns", columns), ("rows", .array([.array(values.map { .value($0) })])),
                    ("more", .value(false)), ("row_count", .value(1)),
                ])
            for byte in frame { server.send([byte]) }
        }
        let result = try client.query("SELECT 1")
        #expect(result.columns.names == values.indices.map { "c\($0)" })
        #expect(result.rows.map(Array.init) == [values])
        #expect(result.rows[0][5].real?.sign == .minus)
        #expect(result.rows[0]["c7"] == "Zürich\u{0}")
        #expect(result.rows[0]["nothing"] == nil)
    }

    @Test func parametersAndOptionsAreSent() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            #expect(request.type == "query")
            #expect(request.data["sql"]?.text == "SELECT ?")
            #expect(request.data["database"]?.text == "geo")
            #expect(request.data["timeout_ms"]?.integer == 1)
            #expect(request.data["max_rows"]?.integer == 5)
            #expect(request.data["page_rows"] == nil)
            #expect(request.data["params"]?.elements?.compactMap(\.value) == [1, .real(2), "x", .blob([1])])
            server.send(ServerEnd.rows(request.id, [], isFirst: true, more: false))
        }
        let options = QueryOptions(database: "geo", timeout: .microseconds(10), maxRows: 5)
        _ = try client.query("SELECT ?", [1, 2.0, "x", .blob([1])], options: options)
    }

    @Test func namedParametersAreAMap() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            #expect(request.data["params"]?["city"]?.text == "Oslo")
            #expect(request.data["params"]?["n"]?.integer == 7)
            server.send(ServerEnd.rows(request.id, [], isFirst: true, more: false))
        }
        _ = try client.query("SELECT :city, :n", ["city": "Oslo", "n": 7])
    }

    @Test func serverErrorsKeepTheirFields() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            server.reply(
                request.id, "error",
                [
                    ("code", .value("busy")), ("message", .value("Locked.")), ("hint", .value("Wait.")),
                    ("sqlstate", .value("55P03")), ("vendor_code", .value(5)), ("retryable", .value(true)),
                    ("retry_after_ms", .value(250)), ("transaction", .value("failed")),
                    ("position", .map([("offset", .value(3)), ("line", .value(1)), ("column", .value(4))])),
                    ("holder", .map([("uid", .value(1000)), ("pid", .value(7)), ("since_ms", .value(1500))])),
                ])
        }
        let error = try #require(throws: ClientError.self) { try client.query("x") }
        let server = try #require(error.serverError)
        #expect(server.code == .busy)
        #expect(server.message == "Locked.")
        #expect(server.hint == "Wait.")
        #expect(server.sqlState == "55P03")
        #expect(server.vendorCode == 5)
        #expect(server.isRetryable)
        #expect(server.retryAfter == .milliseconds(250))
        #expect(server.transaction == .failed)
        #expect(server.position?.offset == 3)
        #expect(server.position?.column == 4)
        #expect(server.holder?.pid == 7)
        #expect(server.holder?.age == .milliseconds(1500))
    }

    @Test func rowsComeBeforeTheError() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            server.send(ServerEnd.rows(request.id, [1, 2], isFirst: true, more: true))
            server.reply(request.id, "error", [("code", .value("database_error")), ("message", .value("Overflow."))])
        }
        let rows = try client.stream("SELECT")
        #expect(try rows.next()?[0] == 1)
        #expect(try rows.next()?[0] == 2)
        let error = #expect(throws: ClientError.self) { try rows.next() }
        #expect(error?.serverError?.code == .databaseError)
        #expect(try rows.next() == nil)
    }

    @Test func aServerThatClosesInTheMiddleIsAnError() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            server.send(ServerEnd.rows(request.id, [1], isFirst: true, more: true))
            server.send(ServerEnd.rows(request.id, [2], isFirst: false, more: true).dropLast(3))
        }
        let rows = try client.stream("SELECT")
        #expect(try rows.next()?[0] == 1)
        guard case .disconnected = try #require(throws: ClientError.self, performing: { try rows.next() }) else {
            Issue.record("another error")
            return
        }
        #expect(throws: ClientError.self) { try client.ping() }
    }

    /// Two streams, read alternately, and a request between: pages keep them apart.
    @Test func streamsInterleave() throws {
        let client = try blockingClient { server in
            var pages: [Int64: Int64] = [:]
            while let request = server.receive() {
                switch request.type {
                case "query":
                    #expect(request.data["page_rows"]?.integer == 2)
                    pages[request.id] = 0
                    server.send(ServerEnd.rows(request.id, [0, 1], isFirst: true, more: true))
                case "fetch":
                    guard let id = request.data["request"]?.integer, let page = pages[id] else { return }
                    pages[id] = page + 1
                    let first = (page + 1) * 2
                    server.send(ServerEnd.rows(id, [first, first + 1], isFirst: false, more: page < 8))
                default:
                    server.reply(request.id, "health_response", Self.health)
                }
            }
        }
        let options = QueryOptions(pageRows: 2)
        let left = try client.stream("SELECT", options: options)
        let right = try client.stream("SELECT", options: options)
        for expected in 0..<20 {
            #expect(try left.next()?[0] == .integer(Int64(expected)))
            _ = try client.ping()
            #expect(try right.next()?[0] == .integer(Int64(expected)))
        }
        #expect(try left.next() == nil)
        #expect(try right.next() == nil)
        #expect(left.summary != nil)
    }

    /// A result that nobody reads fills the memory: the other request fails, it neither hangs nor eats all memory.
    @Test func unreadRowsAreBounded() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            server.send(ServerEnd.rows(request.id, [0], isFirst: true, more: true))
            let frame = ServerEnd.rows(request.id, Array(repeating: .max, count: 5000), isFirst: false, more: true)
            while server.sendUntilBlocked(frame, milliseconds: 2000) == Int.max {}
        }
        let rows = try client.stream("SELECT", options: QueryOptions(pageRows: nil))
        #expect(try rows.next()?[0] == 0)
        guard case .invalidRequest = try #require(throws: ClientError.self, performing: { try client.ping() }) else {
            Issue.record("another error")
            return
        }
    }

    @Test func droppedRowsAreCancelled() throws {
        let client = try blockingClient { server in
            guard let query = server.receive() else { return }
            server.send(ServerEnd.rows(query.id, [1], isFirst: true, more: true))
            guard let cancel = server.receive() else { return }
            #expect(cancel.type == "cancel")
            #expect(cancel.data["request"]?.integer == query.id)
            server.send(ServerEnd.rows(query.id, [2], isFirst: false, more: true))
            server.reply(query.id, "error", [("code", .value("cancelled"))])
            server.reply(cancel.id, "cancel_response", [("cancelled", .value(true))])
            while let ping = server.receive() { server.reply(ping.id, "health_response", Self.health) }
        }
        do {
            let rows = try client.stream("SELECT")
            #expect(try rows.next()?[0] == 1)
        }
        #expect(try client.ping().status == "healthy")
        #expect(try client.ping().status == "healthy")
    }

    @Test func theCancellationDescriptorCancels() throws {
        let client = try blockingClient { server in
            guard let query = server.receive() else { return }
            guard let cancel = server.receive() else { return }
            #expect(cancel.data["request"]?.integer == query.id)
            server.reply(query.id, "error", [("code", .value("cancelled")), ("message", .value("Cancelled."))])
        }
        let wakeUp = try WakeUp()
        wakeUp.signal()
        client.cancellationDescriptor = wakeUp.number
        let error = #expect(throws: ClientError.self) { try client.query("SELECT") }
        #expect(error?.serverError?.code == .cancelled)
    }

    @Test func aSilentServerTimesOut() throws {
        let client = try blockingClient { server in
            while server.receive() != nil {}
        }
        client.timeout = .milliseconds(20)
        guard case .timedOut = try #require(throws: ClientError.self, performing: { try client.ping() }) else {
            Issue.record("another error")
            return
        }
    }

    @Test func somethingElseOnTheSocketIsNamed() throws {
        let client = try blockingClient { server in
            _ = server.receive()
            server.send("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        }
        guard case .protocolViolation = try #require(throws: ClientError.self, performing: { try client.ping() })
        else {
            Issue.record("another error")
            return
        }
    }

    @Test func anErrorWithoutAnIdEndsTheConnection() throws {
        let client = try blockingClient { server in
            server.reply(nil, "error", [("code", .value("limit_exceeded")), ("message", .value("Too many."))])
        }
        let error = #expect(throws: ClientError.self) { try client.ping() }
        #expect(error?.serverError?.code == .limitExceeded)
    }

    @Test func transactionsCommitAndRollBack() throws {
        let client = try blockingClient { server in
            var log: [String] = []
            while let request = server.receive() {
                switch request.type {
                case "db_connect":
                    server.reply(
                        request.id, "db_connect_response", [("session", .value("s1")), ("engine", .value("e"))])
                case "query":
                    #expect(request.data["session"]?.text == "s1")
                    log.append(request.data["sql"]?.text ?? "")
                    server.send(ServerEnd.rows(request.id, [], isFirst: true, more: false))
                default:
                    server.reply(request.id, "x", [])
                }
            }
            #expect(log == ["BEGIN", "a", "COMMIT", "BEGIN IMMEDIATE", "b", "ROLLBACK"])
        }
        struct Stop: Error {}
        let session = try client.openSession()
        let result = try session.transaction { session in
            try session.execute("a")
            return 7
        }
        #expect(result == 7)
        #expect(throws: Stop.self) {
            try session.transaction(.immediate) { session in
                try session.execute("b")
                throw Stop()
            }
        }
        try session.close()
        #expect(throws: ClientError.self) { try session.execute("c") }
    }

    @Test func aSessionRefusesStatementsWhileItStreams() throws {
        let client = try blockingClient { server in
            while let request = server.receive() {
                if request.type == "db_connect" {
                    server.reply(request.id, "db_connect_response", [("session", .value("s1"))])
                } else if request.type == "query" {
                    server.send(ServerEnd.rows(request.id, [1], isFirst: true, more: false))
                }
            }
        }
        let session = try client.openSession()
        let rows = try session.stream("SELECT")
        #expect(throws: ClientError.self) { try session.execute("x") }
        while try rows.next() != nil {}
        try session.execute("x")
    }
}
