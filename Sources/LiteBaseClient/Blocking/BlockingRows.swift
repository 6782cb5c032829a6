// Rows as a blocking client reads them.

internal import LinuxSystem

/// A result that is read while the server produces it.
///
/// Dropping it before its end cancels the statement.
/// - Thread: the client's.
public final class BlockingRows {
    public let columns: Columns
    /// What the statement did; `nil` before the end of the rows.
    public private(set) var summary: StatementSummary?

    private let client: BlockingClient
    private let id: Int64
    /// For each wait: while the consumer is busy, the server does not count either.
    private let timeout: Duration?
    /// Came with the columns.
    private var firstEvent: ReplyEvent?
    private var batch: RowBatch?
    private var rowIndex = 0
    private var isOver = false
    /// Whether the statement has ended.
    var isFinished: Bool { isOver }

    /// Waits for the first frame.
    init(client: BlockingClient, id: Int64, timeout: Duration?) throws(ClientError) {
        self.client = client
        self.id = id
        self.timeout = timeout
        let event = try client.next(id, until: .after(timeout))
        switch event {
        case .rows(let batch): columns = batch.columns
        case .finished(let reply): columns = reply.columns
        case .failed(let error): throw error
        }
        firstEvent = event
    }

    deinit {
        if !isOver { client.abandon(id) }
    }

    /// The next row; `nil` after the last.
    /// - Throws: `ClientError.server` when the statement fails on its way, `.disconnected`, `.timedOut`.
    public func next() throws(ClientError) -> Row? {
        while true {
            if let batch, rowIndex < batch.count {
                rowIndex += 1
                return batch[rowIndex - 1]
            }
            guard let next = try nextBatch() else { return nil }
            batch = next
            rowIndex = 0
        }
    }

    /// The next rows as they arrived, at least one; `nil` after the last. Do not mix with `next()` within a batch.
    public func nextBatch() throws(ClientError) -> RowBatch? {
        while !isOver {
            switch try nextEvent() {
            case .rows(let batch):
                if !batch.isEmpty { return batch }
            case .finished(let reply):
                isOver = true
                summary = StatementSummary(reply.data)
            case .failed(let error):
                isOver = true
                throw error
            }
        }
        return nil
    }

    private func nextEvent() throws(ClientError) -> ReplyEvent {
        if let event = firstEvent {
            firstEvent = nil
            return event
        }
        do throws(ClientError) {
            return try client.next(id, until: .after(timeout))
        } catch {
            isOver = true
            throw error
        }
    }
}
