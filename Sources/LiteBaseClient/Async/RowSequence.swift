// Rows as tasks read them.

internal import LinuxSystem
internal import Synchronization

/// The rows of one result, read while the server produces them. To be iterated once.
///
/// Leaving the loop early, or dropping the sequence, cancels the statement; so does cancelling the task, and the loop
/// then throws `CancellationError`. The connection stays usable.
public struct RowSequence: AsyncSequence, Sendable {
    public typealias Element = Row

    public let columns: Columns
    let stream: RowStream
    /// Which of the stream's results it is.
    private let index: Int

    /// Waits for the first frame.
    init(_ stream: RowStream) async throws {
        columns = try await stream.start()
        index = 0
        self.stream = stream
    }

    /// One of several results, whose first frame is there.
    init(_ stream: RowStream, _ columns: Columns, index: Int) {
        self.columns = columns
        self.index = index
        self.stream = stream
    }

    /// The summary of the statement; `nil` before its end.
    public var summary: StatementSummary? { stream.summary }
    /// The counts of the result; `nil` before the end of its rows, and after the next result has begun.
    public var end: ResultEnd? { stream.end(of: index) }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(stream: stream, index: index)
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: RowStream
        private let index: Int
        private var batch: RowBatch?
        private var rowIndex = 0

        init(stream: RowStream, index: Int) {
            self.stream = stream
            self.index = index
        }

        /// The next row; `nil` after the last.
        /// - Throws: `ClientError.server` when the statement fails on its way, `.disconnected`, `.timedOut`;
        ///   `CancellationError`.
        public mutating func next() async throws -> Row? {
            try await next(isolation: nil)
        }

        /// The next row, without leaving the caller's actor while rows are available.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Row? {
            while true {
                if let batch, rowIndex < batch.count {
                    rowIndex += 1
                    return batch[rowIndex - 1]
                }
                guard let next = try await stream.nextBatch(of: index) else { return nil }
                batch = next
                rowIndex = 0
            }
        }
    }
}

/// The results of a statement that may have several, such as a call of a MySQL procedure, one after the other. To be
/// iterated once.
///
/// Each is a sequence of rows; unread rows of one are skipped when the loop asks for the next. Leaving the loop early
/// cancels the statement.
public struct ResultSequence: AsyncSequence, Sendable {
    public typealias Element = RowSequence

    let stream: RowStream

    init(_ stream: RowStream) { self.stream = stream }

    /// The summary of the statement; `nil` before its end.
    public var summary: StatementSummary? { stream.summary }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: stream) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: RowStream

        /// The next result that has columns; `nil` after the last.
        /// - Throws: `ClientError.server` when the statement fails on its way, `.disconnected`, `.timedOut`;
        ///   `CancellationError`.
        public mutating func next() async throws -> RowSequence? {
            try await stream.nextResult()
        }
    }
}

/// The one owner of a streamed request, shared by the sequences and their iterators.
final class RowStream: Sendable {
    private struct State {
        /// An event that was peeked at and is still to be taken.
        var held: ReplyEvent?
        var isOver = false
        var summary: StatementSummary?
        /// The present result.
        var index = 0
        /// Its counts, after it has ended.
        var end: ResultEnd?
        /// Whether it has begun.
        var isOpen = false
    }

    private let client: Client
    private let id: Int64
    /// For each wait: while the consumer is busy, the server does not count either.
    private let timeout: Duration?
    private let state = Mutex(State())

    init(client: Client, id: Int64, timeout: Duration?) {
        self.client = client
        self.id = id
        self.timeout = timeout
    }

    deinit {
        if !isFinished { client.connection.give(up: id, because: CancellationError()) }
    }

    var summary: StatementSummary? { state.withLock { $0.summary } }
    var isFinished: Bool { state.withLock { $0.isOver } }
    func end(of index: Int) -> ResultEnd? { state.withLock { $0.index == index ? $0.end : nil } }

    /// Waits for the first frame of the only result.
    func start() async throws -> Columns {
        state.withLock { $0.isOpen = true }
        switch try await peek() {
        case .rows(let batch): return batch.columns
        case .finished(let reply): return reply.columns
        case .resultEnd, .progress, .change, .failed: return Columns([])
        }
    }

    /// Goes to the next result; `nil` when there is none.
    func nextResult() async throws -> RowSequence? {
        while try await nextBatch(of: state.withLock { $0.index }) != nil {}
        while !isFinished {
            if case .rows(let batch) = try await peek(), batch.columns.count > 0 {
                let index = state.withLock { state in
                    state.index += 1
                    state.end = nil
                    state.isOpen = true
                    return state.index
                }
                return RowSequence(self, batch.columns, index: index)
            }
            _ = try await nextEvent()
        }
        return nil
    }

    /// The next rows of a result, at least one; `nil` after the last, and when another result was begun.
    func nextBatch(of index: Int) async throws -> RowBatch? {
        while state.withLock({ $0.isOpen && $0.index == index }) {
            switch try await nextEvent() {
            case .rows(let batch):
                if !batch.isEmpty { return batch }
            case .resultEnd(let end):
                state.withLock { state in
                    state.end = end
                    state.isOpen = false
                }
            case .finished, .progress, .change, .failed: break
            }
        }
        return nil
    }

    /// The next event, which stays the next one.
    private func peek() async throws -> ReplyEvent {
        let event = try await nextEvent()
        state.withLock { $0.held = event }
        return event
    }

    private func nextEvent() async throws -> ReplyEvent {
        // Available rows do not keep a cancelled task running.
        if Task.isCancelled, !isFinished {
            close()
            client.connection.give(up: id, because: CancellationError())
            throw CancellationError()
        }
        if let held = state.withLock({ $0.held.take() }) { return held }
        let event: ReplyEvent
        do {
            event = try await client.connection.next(id, until: .after(timeout))
        } catch {
            close()
            throw error
        }
        switch event {
        case .rows, .resultEnd, .progress, .change: break
        case .finished(let reply): finish(StatementSummary(reply.data))
        case .failed(let error):
            close()
            throw error
        }
        return event
    }

    private func close() {
        state.withLock { state in
            state.isOver = true
            state.isOpen = false
        }
    }

    private func finish(_ summary: StatementSummary) {
        state.withLock { state in
            state.summary = summary
            state.isOver = true
            // The server has not announced several.
            if state.isOpen { state.end = ResultEnd(rowCount: summary.rowCount, isTruncated: summary.isTruncated) }
            state.isOpen = false
        }
    }
}
