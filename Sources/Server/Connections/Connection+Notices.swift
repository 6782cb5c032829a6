// Messages that answer no request, for clients that know notices.

internal import DatabaseContract
internal import WireProtocol

extension Connection {
    /// Queues a notice.
    func notify(_ notice: NoticeMessage, _ encoding: WireEncoding) {
        reply(notice, NoticeMessage.typeName, id: .none, encoding: encoding)
    }

    /// Sends the database's notices about a request that has ended, before its last reply.
    func tellNotices(of operation: Operation) {
        guard let noticeEncoding else { return }
        for notice in operation.notices.kept { notify(NoticeMessage(notice, of: operation), noticeEncoding) }
        let droppedCount = operation.notices.droppedCount
        guard droppedCount > 0 else { return }
        var notice = NoticeMessage(
            "database_notices_dropped", "There were \(droppedCount) more notices of the database than are told.")
        notice.request = RequestIDField(operation.id)
        notice.count = Int64(droppedCount)
        notify(notice, noticeEncoding)
    }
}

extension NoticeMessage {
    fileprivate init(_ notice: DatabaseNotice, of operation: Operation) {
        self.init("database_notice", notice.message)
        request = RequestIDField(operation.id)
        session = operation.session?.name
        severity = notice.severity
        sqlState = notice.sqlState
        detail = notice.detail
        hint = notice.hint
    }

    /// A warning that something ends unless the client continues it.
    init(_ code: String, _ message: String, endsIn milliseconds: Int64) {
        self.init(code, message)
        endsInMilliseconds = max(0, milliseconds)
    }
}
