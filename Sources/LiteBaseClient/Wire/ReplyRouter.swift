// Which reply belongs to which request, and how much of it waits to be taken. No input or output, no threads.
//
// Both clients drive it: bytes in by `receive`, events out by `take`, and the requests that flow control asks for
// (`fetch`, `cancel`) as return values.

internal import ByteBuffers
internal import WireProtocol

/// The events of a request.
enum ReplyEvent: Sendable {
    case rows(RowBatch)
    /// The present result has ended; another one may begin.
    case resultEnd(ResultEnd)
    /// How far a transfer is.
    case progress(StructuredValue)
    /// What a subscription has told.
    case change(StructuredValue)
    /// The terminal frame of success.
    case finished(FinishedReply)
    /// The terminal frame of failure, or the end of the connection.
    case failed(ClientError)

    /// Whether nothing more comes of its request.
    var isLast: Bool {
        switch self {
        case .rows, .resultEnd, .progress, .change: false
        case .finished, .failed: true
        }
    }
}

/// The terminal frame.
struct FinishedReply: Sendable {
    let columns: Columns
    let data: StructuredValue
}

/// The requests in flight on one connection.
///
/// Of a paged query at most two pages wait here. All that waits is counted in `bufferedByteCount`; above
/// `bufferedByteCountMax` the connection is not read until some of it is taken.
struct ReplyRouter {
    /// Bytes of row frames that may wait for their consumers; one frame may exceed it.
    static let bufferedByteCountMax = 8 << 20

    private struct Exchange {
        /// Rows of a page; `nil` when the server sends all without being asked.
        var pageRows: Int64?
        /// The columns of the present result.
        var columns: Columns?
        var inbox: [(event: ReplyEvent, byteCount: Int)] = []
        /// Rows in the inbox.
        var waitingRowCount: Int64 = 0
        /// Rows received of the current page.
        var pageRowCount: Int64 = 0
        /// Whether the server waits for a `fetch`.
        var isPageComplete = false
        /// The id of the last `fetch`; an error may carry it.
        var fetchID: Int64?
        /// Nobody wants the rest.
        var isAbandoned = false
        /// The terminal frame is here.
        var isOver = false
    }

    private var exchanges: [Int64: Exchange] = [:]
    /// Requests whose answer nobody waits for, and that have none yet.
    private(set) var unanswered: Set<Int64> = []
    private var nextID: Int64 = 1
    private(set) var bufferedByteCount = 0
    /// Sessions that were opened for a caller who has given up waiting for them.
    private var strandedSessions: [String] = []

    var isFull: Bool { bufferedByteCount >= Self.bufferedByteCountMax }
    var inFlight: Int { exchanges.count }
    /// Whether no reply is to come, or to be taken.
    var isIdle: Bool { exchanges.isEmpty && unanswered.isEmpty }
    /// Whether those of `unanswered` have their replies now.
    func haveReplies(_ ids: Set<Int64>) -> Bool { unanswered.isDisjoint(with: ids) }

    private mutating func nextNumber() -> Int64 {
        defer { nextID += 1 }
        return nextID
    }

    /// A new id, for a request whose answer nobody waits for.
    mutating func makeID() -> Int64 {
        let id = nextNumber()
        unanswered.insert(id)
        return id
    }

    /// Whether a reply is that of a request of `makeID`.
    mutating func wasAnswered(_ reply: Reply, _ id: Int64) -> Bool {
        reply.id == id && unanswered.remove(id) != nil
    }

    /// Expects the replies of a new request.
    /// - Parameter pageRows: rows of a page, for a paged query.
    /// - Returns: its id.
    mutating func open(pageRows: Int64? = nil) -> Int64 {
        let id = nextNumber()
        exchanges[id] = Exchange(pageRows: pageRows)
        return id
    }

    /// Whether events of the request are still to be taken or to come.
    func isOpen(_ id: Int64) -> Bool {
        exchanges[id].map { !$0.isAbandoned } ?? false
    }

    /// Forgets a request that was not sent.
    mutating func forget(_ id: Int64) {
        unanswered.remove(id)
        guard let exchange = exchanges.removeValue(forKey: id) else { return }
        for (_, byteCount) in exchange.inbox { bufferedByteCount -= byteCount }
    }

    /// Takes one frame.
    /// - Parameters:
    ///   - reply: its content.
    ///   - byteCount: length of its body.
    /// - Returns: the request that has news; `nil` if nobody waits for this frame.
    /// - Throws: `ClientError` if the connection cannot be used any more.
    mutating func receive(_ reply: Reply, byteCount: Int) throws(ClientError) -> Int64? {
        guard let id = owner(of: reply) else {
            // An error without an id is about the connection, such as one too many.
            if reply.isError, reply.id == nil { throw .server(ServerError(reply.data)) }
            if let id = reply.id { unanswered.remove(id) }
            return nil
        }
        // There is none after its last frame; if a broken server sends one anyway, nobody would ever take it.
        guard exchanges[id]?.isOver == false, var exchange = exchanges.removeValue(forKey: id) else { return nil }
        let isLast = reply.isError || !(reply.data.member(QueryFrame.more)?.bool ?? false)
        if exchange.isAbandoned {
            if !isLast { exchanges[id] = exchange } else if !reply.isError { strandSession(of: reply.data) }
            return nil
        }
        do throws(ClientError) {
            try deliver(reply, isLast: isLast, byteCount: byteCount, to: &exchange)
        } catch {
            exchanges[id] = exchange
            throw error
        }
        exchanges[id] = exchange
        return id
    }

    private func owner(of reply: Reply) -> Int64? {
        guard let id = reply.id else { return nil }
        if exchanges[id] != nil { return id }
        // A `fetch` that is refused ends its query; anything else under such an id is of no interest.
        return reply.isError ? exchanges.first { $0.value.fetchID == id }?.key : nil
    }

    private mutating func deliver(
        _ reply: Reply, isLast: Bool, byteCount: Int, to exchange: inout Exchange
    ) throws(ClientError) {
        if reply.isError {
            exchange.isOver = true
            exchange.inbox.append((.failed(.server(ServerError(reply.data))), 0))
            return
        }
        // After the end of a result; otherwise they are the known columns.
        if exchange.columns == nil, let columns = reply.columns { exchange.columns = Columns(columns) }
        let columns = exchange.columns ?? Columns([])
        if let rows = reply.rows {
            guard rows.columnCount == columns.count || rows.rowCount == 0 else {
                throw .protocolViolation("rows of \(rows.columnCount) values for \(columns.count) columns")
            }
            let batch = RowBatch(columns: columns, rows.values, count: rows.rowCount)
            exchange.inbox.append((.rows(batch), byteCount))
            bufferedByteCount += byteCount
            exchange.waitingRowCount += Int64(rows.rowCount)
            exchange.pageRowCount += Int64(rows.rowCount)
            if let pageRows = exchange.pageRows, exchange.pageRowCount >= pageRows { exchange.isPageComplete = true }
        }
        if let end = reply.data.member(QueryFrame.resultEnd) {
            exchange.inbox.append((.resultEnd(ResultEnd(QueryResultEnd(end))), 0))
            exchange.columns = nil
        }
        // Only the last one matters.
        if !isLast, reply.data.member("bytes") != nil, exchange.inbox.isEmpty {
            exchange.inbox.append((.progress(reply.data), 0))
        }
        if !isLast, reply.data.member("position") != nil {
            exchange.inbox.append((.change(reply.data), byteCount))
            bufferedByteCount += byteCount
        }
        if isLast {
            exchange.isOver = true
            exchange.isPageComplete = false
            exchange.inbox.append((.finished(FinishedReply(columns: columns, data: reply.data)), 0))
        }
    }
}

// Calls of the requester.
extension ReplyRouter {
    /// The next event of a request; `nil` while there is none. After the last one the request is forgotten.
    mutating func take(_ id: Int64) -> ReplyEvent? {
        guard let index = exchanges.index(forKey: id), !exchanges.values[index].inbox.isEmpty else { return nil }
        let (event, byteCount) = exchanges.values[index].inbox.removeFirst()
        bufferedByteCount -= byteCount
        switch event {
        case .rows(let batch): exchanges.values[index].waitingRowCount -= Int64(batch.count)
        case .resultEnd, .progress, .change: break
        case .finished, .failed: exchanges.remove(at: index)
        }
        return event
    }

    /// The event that `take` would return.
    func peek(_ id: Int64) -> ReplyEvent? { exchanges[id]?.inbox.first?.event }

    /// Asks for the next page of a query when the last one is complete and at most one page waits to be taken.
    /// - Returns: the id of the `fetch` to send, `nil` when none is due.
    mutating func nextFetch(for id: Int64) -> Int64? {
        guard let exchange = exchanges[id], let pageRows = exchange.pageRows, exchange.isPageComplete,
            exchange.waitingRowCount <= pageRows
        else { return nil }
        // It has no reply of its own, but maybe an error.
        let fetchID = nextNumber()
        exchanges[id]?.isPageComplete = false
        exchanges[id]?.pageRowCount = 0
        exchanges[id]?.fetchID = fetchID
        return fetchID
    }

    /// Drops what waits for a request, and all that is still to come.
    /// - Returns: whether a `cancel` makes sense; false when the request is over anyway. Its id is made by whoever sends it: one
    ///   that is never sent would have no answer for ever.
    mutating func abandon(_ id: Int64) -> Bool {
        // What was abandoned before stays, until its last frame.
        guard exchanges[id]?.isAbandoned == false, var exchange = exchanges.removeValue(forKey: id) else {
            return false
        }
        var isOver = false
        for (event, byteCount) in exchange.inbox {
            bufferedByteCount -= byteCount
            switch event {
            case .rows, .resultEnd, .progress, .change: break
            case .finished(let reply):
                strandSession(of: reply.data)
                isOver = true
            case .failed: isOver = true
            }
        }
        if isOver { return false }
        exchange.inbox = []
        exchange.isAbandoned = true
        exchanges[id] = exchange
        return true
    }

    /// `db_connect` cannot be cancelled: the session would stay open as long as the connection.
    private mutating func strandSession(of data: StructuredValue) {
        let name = ConnectReply(data).session
        if !name.isEmpty { strandedSessions.append(name) }
    }

    /// A session that the requester has to close because its caller has given up; `nil` if there is none.
    mutating func takeStrandedSession() -> String? { strandedSessions.popLast() }

    /// Ends everything: the connection is gone. What has arrived can still be taken.
    mutating func fail(_ error: ClientError) {
        for (id, exchange) in exchanges {
            if exchange.isAbandoned {
                exchanges[id] = nil
                continue
            }
            let isOver: Bool =
                switch exchange.inbox.last?.event {
                case .finished, .failed: true
                case .rows, .resultEnd, .progress, .change, nil: false
                }
            if !isOver { exchanges[id]?.inbox.append((.failed(error), 0)) }
        }
    }
}

/// Cuts the bytes of a connection into frames.
enum Frames {
    /// The body of the first frame in `bytes`; `nil` while it is not complete.
    /// - Throws: `ClientError.protocolViolation` for a length that no frame has, or for an answer in plain text.
    static func first(in bytes: UnsafeRawBufferPointer) throws(ClientError) -> UnsafeRawBufferPointer? {
        guard bytes.count >= 4 else { return nil }
        let byteCount = Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        guard byteCount <= WireLimits.frameByteCountCeiling else { throw notOurProtocol }
        guard bytes.count - 4 >= byteCount else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[4..<4 + byteCount])
    }

    /// How many bytes there have to be more, for the first frame or to know its length.
    /// - Throws: as `first`.
    static func missingByteCount(in bytes: UnsafeRawBufferPointer) throws(ClientError) -> Int {
        guard bytes.count >= 4 else { return 4 - bytes.count }
        let byteCount = Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        guard byteCount <= WireLimits.frameByteCountCeiling else { throw notOurProtocol }
        return 4 + byteCount - bytes.count
    }

    private static let notOurProtocol = ClientError.protocolViolation("it does not speak the LiteBase protocol")
}
