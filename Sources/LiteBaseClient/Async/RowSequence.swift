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
    private let stream: RowStream

    /// Waits for the first frame.
    init(client: Client, id: Int64, timeout: Duration?) async throws {
        let stream = RowStream(client: client, id: id, timeout: timeout)
        columns = try await stream.start()
        self.stream = stream
    }

    /// What the statement did; `nil` before the end of the rows.
    public var summary: StatementSummary? { stream.summary }

    /// Whether the statement has ended.
    var isFinished: Bool { stream.isFinished }
    var handle: RowStream { stream }

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(stream: stream)
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let stream: RowStream
        private var batch: RowBatch?
        private var rowIndex = 0

        init(stream: RowStream) {
            self.stream = stream
        }

        /// The next row; `nil` after the last.
        /// - Throws: `ClientError.server` when the statement fails on its way, `.disconnected`, `.timedOut`;
        ///   `CancellationError`.
        public mutating func next() async throws -> Row? {
            try await next(isolation: nil)
        }

        /// The next row, without leaving the caller's actor while rows are at hand.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Row? {
            while true {
                if let batch, rowIndex < batch.count {
                    rowIndex += 1
                    return batch[rowIndex - 1]
                }
                guard let next = try await stream.nextBatch() else { return nil }
                batch = next
                rowIndex = 0
            }
        }
    }
}

/// The one owner of a streamed request, shared by the sequence and its iterator.
final class RowStream: Sendable {
    private struct State {
        /// Came with the columns.
        var firstEvent: ReplyEvent?
        var isOver = false
        var summary: StatementSummary?
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

    /// Waits for the first frame.
    func start() async throws -> Columns {
        let event = try await nextEvent()
        state.withLock { $0.firstEvent = event }
        switch event {
        case .rows(let batch): return batch.columns
        case .finished(let reply): return reply.columns
        case .failed(let error):
            state.withLock { $0.isOver = true }
            throw error
        }
    }

    /// The next rows, at least one; `nil` after the last.
    func nextBatch() async throws -> RowBatch? {
        while !isFinished {
            // Rows at hand do not keep a cancelled task going.
            if Task.isCancelled {
                state.withLock { $0.isOver = true }
                client.connection.give(up: id, because: CancellationError())
                throw CancellationError()
            }
            switch try await nextEvent() {
            case .rows(let batch):
                if !batch.isEmpty { return batch }
            case .finished(let reply):
                state.withLock {
                    $0.isOver = true
                    $0.summary = StatementSummary(reply.data)
                }
            case .failed(let error):
                state.withLock { $0.isOver = true }
                throw error
            }
        }
        return nil
    }

    private func nextEvent() async throws -> ReplyEvent {
        let first = state.withLock { state in
            defer { state.firstEvent = nil }
            return state.firstEvent
        }
        if let first { return first }
        do {
            return try await client.connection.next(id, until: .after(timeout))
        } catch {
            state.withLock { $0.isOver = true }
            throw error
        }
    }
}
