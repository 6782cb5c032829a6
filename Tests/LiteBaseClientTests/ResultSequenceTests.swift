// Statements with several results: each has its own columns and end, for both clients.

import LinuxSystem
import Testing

@testable import LiteBaseClient

/// Results as the server sends them: frames of the results, and the last one.
private struct Procedure {
    /// Of each result, its frames; of each frame, its rows.
    var results: [[[Int64]]]
    /// The last frame has no rows, as behind those of a procedure.
    var hasStatus = true

    func send(_ server: ServerEnd, _ id: Int64) {
        for (number, frames) in results.enumerated() {
            for (index, rows) in frames.enumerated() {
                let isLast = !hasStatus && number == results.count - 1 && index == frames.count - 1
                server.send(
                    Self.frame(
                        id, rows, columns: index == 0 ? ["r\(number)"] : nil,
                        end: index == frames.count - 1 ? Int64(frames.joined().count) : nil,
                        total: isLast ? rowCount : nil))
            }
        }
        if hasStatus { server.send(Self.frame(id, [], columns: results.isEmpty ? [] : nil, end: nil, total: rowCount)) }
    }

    private var rowCount: Int64 { Int64(results.joined().joined().count) }

    static func frame(_ id: Int64, _ rows: [Int64], columns: [String]?, end: Int64?, total: Int64?) -> [UInt8] {
        var data: [(String, StructuredValue)] = []
        if let columns {
            data.append(("columns", .array(columns.map { .map([("name", .value(.text($0)))]) })))
        }
        data.append(("rows", .array(rows.map { .array([.value(.integer($0))]) })))
        data.append(("more", .value(.bool(total == nil))))
        if let end {
            data.append(
                ("result_end", .map([("row_count", .value(.integer(end))), ("truncated", .value(.bool(end == 3)))])))
        }
        if let total {
            data.append(("row_count", .value(.integer(total))))
            data.append(("rows_affected", .value(7)))
        }
        return ServerEnd.frame(id, "query_response", data)
    }
}

/// What a client made of it.
private struct Taken: Equatable {
    var columns: [[String]] = []
    var rows: [[Int64]] = []
    var ends: [Int64] = []
    var areCut: [Bool] = []
}

@Suite struct ResultSequenceTests {
    private static let procedures = [
        Procedure(results: []), Procedure(results: [[[1]]]), Procedure(results: [[[1]]], hasStatus: false),
        Procedure(results: [[[1], [2], []], [[]], [[3, 4, 5]], [[6]]]), Procedure(results: [[[]], [[]]]),
    ]

    private static func expected(_ procedure: Procedure) -> Taken {
        var taken = Taken()
        for (number, frames) in procedure.results.enumerated() {
            taken.columns.append(["r\(number)"])
            taken.rows.append(Array(frames.joined()))
            taken.ends.append(Int64(frames.joined().count))
            taken.areCut.append(frames.joined().count == 3)
        }
        return taken
    }

    @Test(arguments: procedures.indices)
    func blockingClientsTakeEveryResult(_ index: Int) throws {
        let procedure = Self.procedures[index]
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            #expect(request.data["result_sets"]?.bool == true)
            procedure.send(server, request.id)
            if let next = server.receive() { server.reply(next.id, "health_response", []) }
        }
        let results = try client.streamResults("CALL p()")
        var taken = Taken()
        while let rows = try results.next() {
            #expect(rows.end == nil)
            taken.columns.append(rows.columns.names)
            taken.rows.append([])
            while let row = try rows.next() { taken.rows[taken.rows.count - 1].append(row[0].integer ?? -1) }
            taken.ends.append(rows.end?.rowCount ?? -1)
            taken.areCut.append(rows.end?.isTruncated ?? false)
        }
        #expect(taken == Self.expected(procedure))
        #expect(results.summary?.rowsAffected == 7)
        #expect(results.endsWithoutRows == procedure.hasStatus)
        #expect(try results.next() == nil)
        _ = try client.ping()
    }

    @Test(arguments: procedures.indices)
    func tasksTakeEveryResult(_ index: Int) async throws {
        let procedure = Self.procedures[index]
        let client = try client { server in
            guard let request = server.receive() else { return }
            procedure.send(server, request.id)
            if let next = server.receive() { server.reply(next.id, "health_response", []) }
        }
        let results = try await client.streamResults("CALL p()")
        var taken = Taken()
        for try await rows in results {
            taken.columns.append(rows.columns.names)
            taken.rows.append([])
            for try await row in rows { taken.rows[taken.rows.count - 1].append(row[0].integer ?? -1) }
            taken.ends.append(rows.end?.rowCount ?? -1)
            taken.areCut.append(rows.end?.isTruncated ?? false)
        }
        #expect(taken == Self.expected(procedure))
        #expect(results.summary?.rowsAffected == 7)
        _ = try await client.ping()
    }

    @Test func whatIsLeftOfAResultIsSkipped() async throws {
        let script: @Sendable (ServerEnd) -> Void = { server in
            while let request = server.receive() {
                Procedure(results: [[[1, 2], [3, 4]], [[5, 6]], [[7]]]).send(server, request.id)
            }
        }
        let blocking = try blockingClient(script).streamResults("CALL p()")
        let former = try #require(try blocking.next())
        #expect(try former.next()?[0] == 1)
        #expect(try blocking.next()?.next()?[0] == 5)
        // Of what was left behind, what is here is still given, and nothing of another result.
        #expect(try former.nextBatch() == nil)
        #expect(try blocking.next()?.next()?[0] == 7)
        #expect(try blocking.next() == nil)

        let client = try client(script)
        var iterator = try await client.streamResults("CALL p()").makeAsyncIterator()
        let first = try #require(try await iterator.next())
        var rows = first.makeAsyncIterator()
        #expect(try await rows.next()?[0] == 1)
        let second = try #require(try await iterator.next())
        var others = second.makeAsyncIterator()
        #expect(try await others.next()?[0] == 5)
        #expect(try await rows.next()?[0] == 2)
        #expect(try await rows.next() == nil)
        #expect(try await others.next()?[0] == 6)
    }

    @Test func aServerThatKnowsOneResultOnly() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            server.send(ServerEnd.rows(request.id, [1, 2], isFirst: true, more: true))
            server.send(ServerEnd.rows(request.id, [3], isFirst: false, more: false))
        }
        let results = try client.streamResults("SELECT")
        let rows = try #require(try results.next())
        var numbers: [Int64?] = []
        while let row = try rows.next() { numbers.append(row[0].integer) }
        #expect(numbers == [1, 2, 3])
        #expect(rows.end != nil)
        #expect(try results.next() == nil)
        #expect(!results.endsWithoutRows)
    }

    @Test func rowsWithoutColumnsBehindAResultAreRefused() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            server.send(Procedure.frame(request.id, [1], columns: ["a"], end: 1, total: nil))
            server.send(Procedure.frame(request.id, [2], columns: nil, end: nil, total: 2))
        }
        let results = try client.streamResults("CALL p()")
        let error = #expect(throws: ClientError.self) {
            while let rows = try results.next() { while try rows.next() != nil {} }
        }
        guard case .protocolViolation = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
    }

    @Test func aSessionWaitsForAllResults() throws {
        let client = try blockingClient { server in
            while let request = server.receive() {
                switch request.type {
                case "db_connect": server.reply(request.id, "db_connect_response", [("session", .value("s1"))])
                case "query": Procedure(results: [[[1]], [[2]]]).send(server, request.id)
                default: server.reply(request.id, "db_disconnect_response", [])
                }
            }
        }
        let session = try client.openSession()
        let results = try session.streamResults("CALL p()")
        let first = try #require(try results.next())
        while try first.next() != nil {}
        #expect(throws: ClientError.self) { try session.query("SELECT 1") }
        while try results.next() != nil {}
        #expect(try session.query("SELECT 1").rows.count == 2)
    }

    @Test func whatWasNotAskedForIsCounted() throws {
        let client = try blockingClient { server in
            guard let request = server.receive() else { return }
            #expect(request.data["result_sets"] == nil)
            server.reply(
                request.id, "query_response",
                [
                    ("columns", .array([.map([("name", .value("a"))])])), ("rows", .array([])), ("more", .value(false)),
                    ("result_sets_dropped", .value(4)),
                ])
        }
        #expect(try client.query("CALL p()").summary.droppedResultCount == 4)
    }
}
