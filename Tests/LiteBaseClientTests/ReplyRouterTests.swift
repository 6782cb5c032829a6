import Testing

@testable import LiteBaseClient

@Suite struct ReplyRouterTests {
    private static func receive(_ frame: [UInt8], in router: inout ReplyRouter) throws -> Int64? {
        let body = frame.dropFirst(4)
        return try body.withUnsafeBytes { bytes in
            try router.receive(Reply(bytes), byteCount: bytes.count)
        }
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
