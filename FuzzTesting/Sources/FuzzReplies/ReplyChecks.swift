// What must hold for any bytes that a server sends. LiteBaseClientTests replays the corpus with this, too.

@testable import LiteBaseClient

/// Traps when something does not hold that must.
enum ReplyChecks {
    /// Frames are cut and read as both clients do; requests with the ids 1 to 4 wait for them.
    static func check(_ bytes: UnsafeRawBufferPointer) {
        var router = ReplyRouter()
        let ids = [router.open(), router.open(pageRows: 2), router.open(), router.open(pageRows: 1)]
        var rest = bytes
        while let body = next(&rest) {
            guard let reply = try? Reply(body) else { break }
            read(reply)
            do throws(ClientError) {
                guard let id = try router.receive(reply, byteCount: body.count) else { continue }
                precondition(ids.contains(id), "replies are those of requests")
                if id == 2 { _ = router.nextFetch(for: id) }
                if id == 3 { drain(&router, id) }
                if id == 4, body.count & 1 == 0 { _ = router.abandon(id) }
            } catch {
                router.fail(error)
                break
            }
            precondition(router.bufferedByteCount >= 0, "bytes are counted")
        }
        for id in ids { drain(&router, id) }
        precondition(router.bufferedByteCount == 0, "what was taken is not counted any more")
    }

    private static func next(_ rest: inout UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard let body = try? Frames.first(in: rest) else { return nil }
        precondition(body.count <= rest.count - 4, "a frame lies in the bytes")
        rest = UnsafeRawBufferPointer(rebasing: rest[(4 + body.count)...])
        return body
    }

    private static func read(_ reply: Reply) {
        if let rows = reply.rows {
            precondition(rows.values.count == rows.rowCount * rows.columnCount, "every row has all its values")
        }
        let data = reply.data
        _ = (Health(data), StatementSummary(data), BatchResult.all(in: data), ReloadResult(data), Activity(data))
        _ = (DatabaseInformation.all(in: data), try? OpenedSession(data), Notice(data), "\(ServerError(data))")
    }

    private static func drain(_ router: inout ReplyRouter, _ id: Int64) {
        while let event = router.take(id) {
            guard case .rows(let batch) = event else { continue }
            for row in batch { precondition(row.count == batch.columns.count, "a row has a value for each column") }
        }
    }
}
