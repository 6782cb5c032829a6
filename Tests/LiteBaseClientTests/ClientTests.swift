import Glibc
import LinuxSystem
import Synchronization
import Testing

@testable import LiteBaseClient

@Suite(.timeLimit(.minutes(1))) struct ClientTests {
    /// 200 requests in flight, answered in reverse.
    @Test func repliesFindTheirRequestsInAnyOrder() async throws {
        let count = 200
        let client = try client { server in
            var requests: [ReceivedRequest] = []
            while requests.count < count, let request = server.receive() { requests.append(request) }
            for request in requests.reversed() {
                let number = request.data["params"]?.elements?.first?.integer ?? -1
                server.send(ServerEnd.rows(request.id, [number], isFirst: true, more: false))
            }
        }
        try await withThrowingTaskGroup(of: (Int64, Value).self) { group in
            for number in 0..<Int64(count) {
                group.addTask { (number, try await client.query("SELECT ?", [.integer(number)]).rows[0][0]) }
            }
            for try await (number, value) in group { #expect(value == .integer(number)) }
        }
    }

    @Test func tornFramesAreJoined() async throws {
        let client = try client { server in
            guard let request = server.receive() else { return }
            for byte in ServerEnd.rows(request.id, [1, 2, 3], isFirst: true, more: true) { server.send([byte]) }
            for byte in ServerEnd.rows(request.id, [4], isFirst: false, more: false) { server.send([byte]) }
        }
        let rows = try await client.stream("SELECT")
        var numbers: [Int64?] = []
        for try await row in rows { numbers.append(row[0].integer) }
        #expect(numbers == [1, 2, 3, 4])
        #expect(rows.summary != nil)
    }

    @Test func aServerThatClosesInTheMiddleIsAnError() async throws {
        let client = try client { server in
            guard let request = server.receive() else { return }
            server.send(ServerEnd.rows(request.id, [1], isFirst: true, more: true))
        }
        let rows = try await client.stream("SELECT")
        var count = 0
        let error = await #expect(throws: ClientError.self) {
            for try await _ in rows { count += 1 }
        }
        guard case .disconnected = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
        #expect(count == 1)
        await #expect(throws: ClientError.self) { try await client.ping() }
    }

    /// The client takes in no more than its limit, a frame and the socket's buffers, whatever the server sends.
    @Test func aSlowConsumerStopsTheServer() async throws {
        let accepted = Mutex<Int?>(nil)
        let client = try client { server in
            guard let request = server.receive() else { return }
            server.send(ServerEnd.rows(request.id, [0], isFirst: true, more: true))
            let frame = ServerEnd.rows(request.id, Array(repeating: .max, count: 5000), isFirst: false, more: true)
            let count = server.sendUntilBlocked(frame, milliseconds: 300)
            accepted.withLock { $0 = count }
            // The rest of the frame that was cut is not needed: the client gives up.
        }
        let rows = try await client.stream("SELECT", options: QueryOptions(pageRows: nil))
        while accepted.withLock({ $0 }) == nil { try await Task.sleep(for: .milliseconds(10)) }
        let count = try #require(accepted.withLock { $0 })
        #expect(count >= ReplyRouter.bufferedByteCountMax)
        #expect(count < ReplyRouter.bufferedByteCountMax + (2 << 20))
        _ = consume rows
    }

    /// The thread does not read while too much waits to be taken. A wait that found its event there, and a request that nobody
    /// waits for any more, made room without telling it.
    @Test(arguments: [true, false])
    func whoeverMakesRoomWakesTheReader(_ isTaken: Bool) async throws {
        let isStopped = Mutex(false)
        // A deadline would wake the thread.
        let client = try client(timeout: nil) { server in
            guard let request = server.receive() else { return }
            server.send(ServerEnd.rows(request.id, [0], isFirst: true, more: true))
            let frame = ServerEnd.rows(request.id, Array(repeating: .max, count: 5000), isFirst: false, more: true)
            let count = server.sendUntilBlocked(frame, milliseconds: 300)
            isStopped.withLock { $0 = true }
            server.send(frame.dropFirst(count % frame.count))
            server.send(ServerEnd.rows(request.id, [], isFirst: false, more: false))
            while server.receive() != nil {}
        }
        let id = try client.connection.start(.healthCheck)
        while !isStopped.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
        #expect(client.connection.state.withLock { $0.router.isFull })
        if isTaken {
            while client.connection.state.withLock({ $0.router.isFull }) {
                let event = try await withCheckedThrowingContinuation {
                    (continuation: CheckedContinuation<ReplyEvent, any Error>) in
                    client.connection.wait(for: id, .init(continuation: continuation, deadline: nil, began: .now))
                }
                #expect(!event.isLast)
            }
        } else {
            client.connection.abandonQuietly(id)
        }
        let hasGoneOn = { client.connection.state.withLock { isTaken ? $0.router.isFull : $0.router.isIdle } }
        let deadline = ContinuousClock.now + .seconds(10)
        while !hasGoneOn(), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        #expect(hasGoneOn())
        client.close()
    }

    /// The window of a paged stream: at most two pages are asked for before rows are taken.
    @Test func pagesAreFetchedAsRowsAreTaken() async throws {
        let fetches = Mutex(0)
        let client = try client { server in
            guard let query = server.receive() else { return }
            server.send(ServerEnd.rows(query.id, Array(0..<10), isFirst: true, more: true))
            var next: Int64 = 10
            while let request = server.receive(), request.type == "fetch" {
                fetches.withLock { $0 += 1 }
                server.send(ServerEnd.rows(query.id, Array(next..<next + 10), isFirst: false, more: next < 90))
                next += 10
            }
        }
        let rows = try await client.stream("SELECT", options: QueryOptions(pageRows: 10))
        try await Task.sleep(for: .milliseconds(50))
        #expect(fetches.withLock { $0 } <= 2)
        var count: Int64 = 0
        for try await row in rows {
            #expect(row[0] == .integer(count))
            count += 1
        }
        #expect(count == 100)
    }

    @Test func cancellingATaskCancelsItsRequest() async throws {
        let client = try client { server in
            guard let query = server.receive(), let cancel = server.receive() else { return }
            #expect(query.type == "query")
            #expect(cancel.type == "cancel")
            #expect(cancel.data["request"]?.integer == query.id)
            // Rows and the terminal frame that were on their way do no harm.
            server.send(ServerEnd.rows(query.id, [1], isFirst: true, more: true))
            server.reply(query.id, "error", [("code", .value("cancelled"))])
            while let ping = server.receive() { server.reply(ping.id, "health_response", BlockingClientTests.health) }
        }
        let task = Task { try await client.query("SELECT") }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await client.ping().status == "healthy")
    }

    /// `db_connect` cannot be cancelled: it opens the session all the same, which would stay as long as the connection.
    @Test func aSessionThatNobodyWaitsForIsClosed() async throws {
        let (closed, continuation) = AsyncStream.makeStream(of: String.self)
        let client = try client { server in
            guard let connect = server.receive(), server.receive()?.type == "cancel" else { return }
            server.reply(connect.id, "db_connect_response", [("session", .value("s1-1"))])
            guard let disconnect = server.receive() else { return }
            continuation.yield("\(disconnect.type) \(disconnect.data["session"]?.text ?? "")")
            server.reply(disconnect.id, "db_disconnect_response", [])
            while let ping = server.receive() { server.reply(ping.id, "health_response", BlockingClientTests.health) }
        }
        let task = Task { try await client.openSession() }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        var names = closed.makeAsyncIterator()
        #expect(await names.next() == "db_disconnect s1-1")
        #expect(try await client.ping().status == "healthy")
    }

    @Test func cancellingATaskEndsItsStream() async throws {
        let client = try client { server in
            guard let query = server.receive() else { return }
            server.send(ServerEnd.rows(query.id, [1], isFirst: true, more: true))
            guard let cancel = server.receive() else { return }
            #expect(cancel.type == "cancel")
            server.reply(query.id, "error", [("code", .value("cancelled"))])
            while let ping = server.receive() { server.reply(ping.id, "health_response", BlockingClientTests.health) }
        }
        let gotRow = Mutex(false)
        let task = Task {
            for try await _ in try await client.stream("SELECT") { gotRow.withLock { $0 = true } }
        }
        while !gotRow.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await client.ping().status == "healthy")
    }

    @Test func leavingTheLoopCancelsTheStatement() async throws {
        let client = try client { server in
            guard let query = server.receive() else { return }
            server.send(ServerEnd.rows(query.id, [1, 2, 3], isFirst: true, more: true))
            guard let cancel = server.receive() else { return }
            #expect(cancel.type == "cancel")
            server.reply(query.id, "error", [("code", .value("cancelled"))])
            while let ping = server.receive() { server.reply(ping.id, "health_response", BlockingClientTests.health) }
        }
        for try await row in try await client.stream("SELECT") where row[0] == 2 { break }
        #expect(try await client.ping().status == "healthy")
    }

    @Test func aSilentServerTimesOut() async throws {
        let client = try client(timeout: .milliseconds(30)) { server in
            while server.receive() != nil {}
        }
        let error = await #expect(throws: ClientError.self) { try await client.ping() }
        guard case .timedOut = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
    }

    /// The deadline of a wait that an event has ended meanwhile cancelled its request all the same.
    @Test func onlyWhoStillWaitsTimesOut() async throws {
        let client = try client(timeout: nil) { server in
            while server.receive() != nil {}
        }
        let taken = try client.connection.start(.healthCheck)
        let late = try client.connection.start(.healthCheck)
        let patient = try client.connection.start(.healthCheck)
        let now = MonotonicInstant.now
        let later = now.advanced(byMilliseconds: 3_600_000)
        let waitForPatient = Task { try await client.connection.next(patient, until: later) }
        while client.connection.state.withLock({ $0.waiters.isEmpty }) { try await Task.sleep(for: .milliseconds(1)) }
        let error = await #expect(throws: ClientError.self) {
            _ = try await withCheckedThrowingContinuation {
                (continuation: CheckedContinuation<ReplyEvent, any Error>) in
                let waiter = Connection.Waiter(continuation: continuation, deadline: now, began: now)
                let expired = client.connection.state.withLock { state -> [Connection.Waiter] in
                    state.waiters[late] = waiter
                    // The first deadline was that of `taken`, whose wait is over.
                    state.earliestDeadline = now
                    return state.takeExpired(at: now)
                }
                for waiter in expired { waiter.continuation.resume(throwing: ClientError.timedOut) }
            }
        }
        guard case .timedOut = error else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
        let open = [taken, late, patient].filter { id in client.connection.state.withLock { $0.router.isOpen(id) } }
        #expect(open == [taken, patient])
        #expect(client.connection.state.withLock { Array($0.waiters.keys) } == [patient])
        #expect(client.connection.state.withLock { $0.earliestDeadline } == later)
        client.close()
        guard case .failed = try await waitForPatient.value else { throw ClientError.timedOut }
    }

    @Test func closingFailsWhatIsInFlight() async throws {
        let client = try client { server in
            while server.receive() != nil {}
        }
        let task = Task { try await client.ping() }
        try await Task.sleep(for: .milliseconds(20))
        client.close()
        await #expect(throws: ClientError.self) { try await task.value }
        await #expect(throws: ClientError.self) { try await client.ping() }
    }

    /// Requests larger than the socket's buffer, to a server that reads late.
    @Test func largeRequestsAreSentInParts() async throws {
        let text = String(repeating: "x", count: 3 << 20)
        let client = try client { server in
            usleep(50_000)
            while let request = server.receive() {
                let count = request.data["params"]?.elements?.first?.text?.utf8.count ?? -1
                server.send(ServerEnd.rows(request.id, [Int64(count)], isFirst: true, more: false))
            }
        }
        try await withThrowingTaskGroup(of: Value.self) { group in
            for _ in 0..<4 { group.addTask { try await client.query("SELECT ?", [.text(text)]).rows[0][0] } }
            for try await value in group { #expect(value == .integer(3 << 20)) }
        }
    }

    @Test func aCancelledTransactionIsRolledBack() async throws {
        let log = Mutex<[String]>([])
        let client = try client { server in
            while let request = server.receive() {
                switch request.type {
                case "db_connect": server.reply(request.id, "r", [("session", .value("s"))])
                case "query":
                    let sql = request.data["sql"]?.text ?? ""
                    log.withLock { $0.append(sql) }
                    if sql != "slow" { server.send(ServerEnd.rows(request.id, [], isFirst: true, more: false)) }
                case "cancel":
                    let id = request.data["request"]?.integer
                    server.reply(id, "error", [("code", .value("cancelled"))])
                default: server.reply(request.id, "r", [])
                }
            }
        }
        let session = try await client.openSession()
        let task = Task {
            try await session.transaction { session in _ = try await session.query("slow") }
        }
        while log.withLock({ $0.count }) < 2 { try await Task.sleep(for: .milliseconds(1)) }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(log.withLock { $0 } == ["BEGIN", "slow", "ROLLBACK"])
    }

    /// Random interleavings of whole results, streams that are left early, and cancelled tasks on one connection.
    @Test func manyTasksShareAConnection() async throws {
        let seed = UInt64.random(in: 1...(.max))
        let client = try client { server in
            while let request = server.receive() {
                guard request.type == "query" else {
                    if request.type == "fetch", let id = request.data["request"]?.integer {
                        server.send(ServerEnd.rows(id, [3, 4], isFirst: false, more: false))
                    }
                    continue
                }
                let isPaged = request.data["page_rows"] != nil
                server.send(ServerEnd.rows(request.id, [1, 2], isFirst: true, more: isPaged))
            }
        }
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<300 {
                let choice = (seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15) >> 60 % 3
                group.addTask {
                    switch choice {
                    case 0:
                        let rows = try? await client.query("SELECT").rows.map { $0[0] }
                        #expect(rows == [1, 2], "seed \(seed)")
                    case 1:
                        var rows: [Value] = []
                        let options = QueryOptions(pageRows: 2)
                        guard let stream = try? await client.stream("SELECT", options: options) else { return }
                        do { for try await row in stream { rows.append(row[0]) } } catch {}
                        #expect(rows == [1, 2, 3, 4], "seed \(seed)")
                    default:
                        let task = Task { try await client.query("SELECT") }
                        task.cancel()
                        _ = try? await task.value
                    }
                }
            }
        }
        #expect(client.connection.state.withLock { $0.waiters.isEmpty })
    }
}
