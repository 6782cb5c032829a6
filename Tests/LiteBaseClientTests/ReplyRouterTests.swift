import Testing

@testable import LiteBaseClient

@Suite struct ReplyRouterTests {
    private static func receive(_ frame: [UInt8], in router: inout ReplyRouter) throws -> Int64? {
        let body = frame.dropFirst(4)
        return try body.withUnsafeBytes { bytes in
            try router.receive(Reply(bytes), byteCount: bytes.count)
        }
    }

    @Test func aSessionThatNobodyWaitsForIsHandedOut() throws {
        var router = ReplyRouter()
        let reply = { (id: Int64) in
            ServerEnd.frame(id, "db_connect_response", [("session", .value(.text("s1-\(id)")))])
        }
        // Given up before the reply, and behind it.
        let (early, late, refused) = (router.open(), router.open(), router.open())
        let isEarlyCancelled = router.abandon(early)
        let isRefusedCancelled = router.abandon(refused)
        #expect(isEarlyCancelled && isRefusedCancelled)
        #expect(try Self.receive(reply(late), in: &router) == late)
        let isLateCancelled = router.abandon(late)
        #expect(!isLateCancelled)
        #expect(router.takeStrandedSession() == "s1-\(late)")
        #expect(try Self.receive(reply(early), in: &router) == nil)
        let error = ServerEnd.frame(refused, "error", [("code", .value(.text("busy")))])
        #expect(try Self.receive(error, in: &router) == nil)
        #expect(router.takeStrandedSession() == "s1-\(early)")
        #expect(router.takeStrandedSession() == nil)
        #expect(router.inFlight == 0)
    }

    /// The second time lost the request: the session that came then was nobody's, and stayed open.
    @Test func aRequestCanBeAbandonedTwice() throws {
        var router = ReplyRouter()
        let id = router.open()
        let isRunning = router.abandon(id)
        let isRunningStill = router.abandon(id)
        #expect(isRunning && !isRunningStill)
        #expect(router.inFlight == 1)
        let reply = ServerEnd.frame(id, "db_connect_response", [("session", .value("s1-1"))])
        #expect(try Self.receive(reply, in: &router) == nil)
        #expect(router.takeStrandedSession() == "s1-1")
        #expect(router.isIdle)
    }

    /// It counted a `cancel` that was never sent as unanswered: the client waited for its reply before it asked for a lane.
    @Test func whatIsAbandonedWithoutACancelLeavesNothingBehind() throws {
        var router = ReplyRouter()
        let id = router.open()
        let isRunning = router.abandon(id)
        #expect(isRunning && !router.isIdle)
        #expect(try Self.receive(ServerEnd.frame(id, "db_disconnect_response", []), in: &router) == nil)
        #expect(router.isIdle && router.unanswered.isEmpty)
    }

    /// It was taken for news of the request, and its bytes were counted for ever: in the end the client read nothing more.
    @Test func aFrameBehindTheLastOneIsDropped() throws {
        var router = ReplyRouter()
        let id = router.open()
        #expect(try Self.receive(ServerEnd.rows(id, [1], isFirst: true, more: false), in: &router) == id)
        #expect(try Self.receive(ServerEnd.rows(id, [2], isFirst: false, more: true), in: &router) == nil)
        guard case .rows(let batch) = router.take(id) else { throw ClientError.timedOut }
        #expect(batch.count == 1)
        guard case .finished = router.take(id) else { throw ClientError.timedOut }
        #expect(router.take(id) == nil)
        #expect(router.bufferedByteCount == 0)
        #expect(router.inFlight == 0)
    }
}
