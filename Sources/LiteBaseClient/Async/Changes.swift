// Changes as tasks wait for them.

internal import LinuxSystem
internal import Synchronization

/// What changes in a database, one commit after the other. To be iterated once; it ends with an error only.
///
/// Leaving the loop and dropping the sequence ends the subscription; so does cancelling the task, and the loop then throws
/// `CancellationError`.
public struct Changes: AsyncSequence, Sendable {
    public typealias Element = Change

    /// What is told: "all_writers", "daemon_writers" or "channels".
    public let coverage: String
    private let stream: ChangeStream

    init(_ client: Client, _ id: Int64, until deadline: MonotonicInstant?) async throws {
        stream = ChangeStream(client, id)
        coverage = try await stream.start(until: deadline)
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: stream) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let stream: ChangeStream

        /// The next change.
        /// - Throws: `ClientError.server` when the server ends it, `.disconnected`; `CancellationError`.
        public mutating func next() async throws -> Change? { try await stream.next() }
    }
}

/// The one owner of a subscription, shared by the sequence and its iterators.
private final class ChangeStream: Sendable {
    private let client: Client
    private let id: Int64
    private let state = Mutex(State())

    private struct State {
        var first: Change?
        var isOver = false
    }

    init(_ client: Client, _ id: Int64) {
        self.client = client
        self.id = id
    }

    deinit {
        if !state.withLock({ $0.isOver }) { client.connection.give(up: id, because: CancellationError()) }
    }

    func start(until deadline: MonotonicInstant?) async throws -> String {
        let start = SubscriptionStart(try await data(until: deadline))
        state.withLock { $0.first = start.change }
        return start.coverage
    }

    func next() async throws -> Change {
        if let first = state.withLock({ $0.first.take() }) { return first }
        return Change(try await data(until: nil))
    }

    private func data(until deadline: MonotonicInstant?) async throws -> StructuredValue {
        do {
            switch try await client.connection.next(id, until: deadline) {
            case .change(let data): return data
            case .failed(let error): throw error
            case .rows, .resultEnd, .progress, .finished:
                throw ClientError.protocolViolation("a subscription has ended without a reason")
            }
        } catch {
            state.withLock { $0.isOver = true }
            throw error
        }
    }
}

extension Client {
    /// Listens to what changes in a database. Whoever reads it after this has returned is told of every later commit.
    /// - Parameter options: the database, and what of it.
    /// - Returns: the changes, to be iterated.
    /// - Throws: `ClientError.server`, of a database that does not tell, too; `.disconnected`, `.timedOut`; `CancellationError`.
    public func changes(_ options: SubscriptionOptions = SubscriptionOptions()) async throws -> Changes {
        try Task.checkCancellation()
        let id = try connection.start(.subscribe(options))
        return try await Changes(self, id, until: .after(timeout))
    }
}
