// The events of one request as a blocking client takes them.

/// One request whose rows are read while they arrive, shared by all that reads them. Dropping it before its end cancels the
/// statement.
///
/// - Thread: the client's.
final class BlockingReply {
    /// The summary of the statement; `nil` before its end.
    private(set) var summary: StatementSummary?
    /// Whether the statement has ended.
    private(set) var isOver = false

    private let client: BlockingClient
    private let id: Int64
    /// For each wait: while the consumer is busy, the server does not count either.
    private let timeout: Duration?
    /// An event that was peeked at and is still to be taken.
    private var held: ReplyEvent?

    init(client: BlockingClient, id: Int64, timeout: Duration?) {
        self.client = client
        self.id = id
        self.timeout = timeout
    }

    deinit {
        if !isOver { client.abandon(id) }
    }

    /// The next event, which stays the next one.
    func peek() throws(ClientError) -> ReplyEvent {
        let event = try next()
        held = event
        return event
    }

    /// Takes the next event.
    /// - Throws: the error of the statement or of the connection.
    func next() throws(ClientError) -> ReplyEvent {
        if let event = held {
            held = nil
            return event
        }
        let event: ReplyEvent
        do throws(ClientError) {
            event = try client.next(id, until: .after(timeout))
        } catch {
            isOver = true
            throw error
        }
        switch event {
        case .rows, .resultEnd, .progress, .change: break
        case .finished(let reply):
            isOver = true
            summary = StatementSummary(reply.data)
        case .failed(let error):
            isOver = true
            throw error
        }
        return event
    }
}
