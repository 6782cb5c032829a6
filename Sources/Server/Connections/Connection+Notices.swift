// What the database says besides the result, for clients that know notices.

internal import ByteBuffers
internal import DatabaseDrivers
internal import WireProtocol

extension Connection {
    /// Sends the notices of a request that has ended, before its last reply.
    func tellNotices(of operation: Operation) {
        guard let noticeEncoding else { return }
        for notice in operation.notices.kept { tell(notice, of: operation, noticeEncoding) }
        let droppedCount = operation.notices.droppedCount
        guard droppedCount > 0 else { return }
        reply("notice", id: .none, encoding: noticeEncoding) { writer, output in
            writer.key("code", into: &output)
            writer.text("database_notices_dropped", into: &output)
            writer.key("message", into: &output)
            writer.text("There were \(droppedCount) more notices of the database than are told.", into: &output)
            writer.key("request", into: &output)
            writer.id(operation.id, into: &output)
            writer.key("count", into: &output)
            writer.integer(Int64(droppedCount), into: &output)
        }
    }

    private func tell(_ notice: DatabaseNotice, of operation: Operation, _ encoding: WireEncoding) {
        reply("notice", id: .none, encoding: encoding) { writer, output in
            writer.key("code", into: &output)
            writer.text("database_notice", into: &output)
            writer.key("message", into: &output)
            writer.text(notice.message, into: &output)
            writer.key("request", into: &output)
            writer.id(operation.id, into: &output)
            for (key, text) in [
                ("session", operation.session?.name), ("severity", notice.severity), ("sqlstate", notice.sqlState),
                ("detail", notice.detail), ("hint", notice.hint),
            ] as [(StaticString, String?)] {
                guard let text else { continue }
                writer.key(key, into: &output)
                writer.text(text, into: &output)
            }
        }
    }
}
