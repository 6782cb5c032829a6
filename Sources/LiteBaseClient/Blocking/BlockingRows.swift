// Rows as a blocking client reads them.

/// A result that is read while the server produces it.
///
/// Dropping it before its end cancels the statement, unless it is one of several results.
/// - Thread: the client's.
public final class BlockingRows {
    public let columns: Columns
    /// The summary of the statement; `nil` before its end.
    public var summary: StatementSummary? { reply.summary }
    /// The counts of the result; `nil` before the end of its rows.
    public private(set) var end: ResultEnd?

    let reply: BlockingReply
    private var batch: RowBatch?
    private var rowIndex = 0
    private var isOver = false

    /// Waits for the first frame of the only result.
    init(_ reply: BlockingReply) throws(ClientError) {
        self.reply = reply
        switch try reply.peek() {
        case .rows(let batch): columns = batch.columns
        case .finished(let end): columns = end.columns
        case .resultEnd, .progress, .change, .failed: columns = Columns([])
        }
    }

    /// One of several results, whose first frame is the next event.
    init(_ reply: BlockingReply, _ columns: Columns) {
        self.reply = reply
        self.columns = columns
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
            do throws(ClientError) {
                switch try reply.next() {
                case .rows(let batch):
                    if !batch.isEmpty { return batch }
                case .resultEnd(let end):
                    self.end = end
                    isOver = true
                case .finished:
                    if let summary = reply.summary {
                        end = ResultEnd(rowCount: summary.rowCount, isTruncated: summary.isTruncated)
                    }
                    isOver = true
                case .progress, .change: break
                case .failed: isOver = true
                }
            } catch {
                isOver = true
                throw error
            }
        }
        return nil
    }
}

/// The results of a statement that may have several, such as a call of a MySQL procedure, one after the other.
///
/// Dropping it, and the result that is being read, before the end cancels the statement.
/// - Thread: the client's.
public final class BlockingResults {
    /// The summary of the statement; `nil` before its end.
    public var summary: StatementSummary? { reply.summary }
    /// Whether the statement continued after its last result, or had none: then its changes are reported apart from any
    /// result.
    public private(set) var endsWithoutRows = true

    let reply: BlockingReply
    private var current: BlockingRows?

    init(_ reply: BlockingReply) { self.reply = reply }

    /// The next result that has columns; `nil` after the last. Unread rows of the previous one are skipped.
    /// - Throws: `ClientError.server` if the statement fails, `.disconnected`, `.timedOut`.
    public func next() throws(ClientError) -> BlockingRows? {
        if let former = current {
            current = nil
            while try former.nextBatch() != nil {}
        }
        while !reply.isOver {
            if case .rows(let batch) = try reply.peek(), batch.columns.count > 0 {
                endsWithoutRows = false
                let rows = BlockingRows(reply, batch.columns)
                current = rows
                return rows
            }
            if case .rows = try reply.next() { endsWithoutRows = true }
        }
        return nil
    }
}
