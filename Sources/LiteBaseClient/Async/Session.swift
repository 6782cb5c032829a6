// A link to a database that belongs to one caller, for tasks.

internal import Synchronization
internal import WireProtocol

/// A session of a client: transactions, temporary tables and settings live here.
///
/// Its statements run in the order in which they were sent. While a stream of it is open, other statements would wait
/// for its end, so they are refused; read the stream to its end, or drop it. Dropping the session closes it and rolls
/// back.
/// - Thread: any; but two tasks that share a session share its transaction.
public final class Session: Sendable {
    private struct State {
        var isOpen = true
        weak var openStream: RowStream?
    }

    public let information: SessionInformation
    private let client: Client
    private let name: String
    private let state = Mutex(State())

    init(client: Client, name: String, information: SessionInformation) {
        self.client = client
        self.name = name
        self.information = information
    }

    deinit {
        guard state.withLock({ $0.isOpen }), let id = try? client.connection.start(.disconnect(session: name)) else {
            return
        }
        client.connection.abandonQuietly(id)
    }

    /// Closes the session; an open transaction is rolled back.
    public func close() async throws {
        let wasOpen = state.withLock { state in
            defer { state.isOpen = false }
            return state.isOpen
        }
        if wasOpen { _ = try await client.reply(to: .disconnect(session: name)) }
    }

    /// See `Client.query`; `options.database` has no meaning here.
    public func query(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> QueryResult {
        try await client.query(sql, parameters, try target(), options)
    }

    /// See `Client.execute`.
    @discardableResult
    public func execute(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> StatementSummary {
        try await client.execute(sql, parameters, try target(), options)
    }

    /// See `Client.stream`.
    public func stream(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> RowSequence {
        let rows = try await client.stream(sql, parameters, try target(), options)
        state.withLock { $0.openStream = rows.stream }
        return rows
    }

    /// See `Client.streamResults`.
    public func streamResults(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> ResultSequence {
        let results = try client.streamResults(sql, parameters, try target(), options)
        state.withLock { $0.openStream = results.stream }
        return results
    }

    /// See `Client.batch`.
    public func batch(_ statements: [BatchStatement], isAtomic: Bool = true) async throws -> [BatchResult] {
        try await client.batch(statements, isAtomic: isAtomic, try target())
    }

    /// See `Client.describe`.
    public func describe(_ sql: String) async throws -> StatementDescription {
        try await client.describe(sql, try target())
    }

    /// See `Client.complete`.
    public func complete(_ place: CompletionPlace) async throws -> CompletionResult {
        try await client.complete(place, try target())
    }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws or its task is cancelled.
    /// - Throws: what `body` throws, or the `ClientError` of BEGIN or COMMIT.
    public func transaction<Result>(
        _ mode: TransactionMode = .standard, isolation: isolated (any Actor)? = #isolation,
        _ body: (Session) async throws -> Result
    ) async throws -> Result {
        try await execute(mode.rawValue)
        do {
            let result = try await body(self)
            try await execute("COMMIT")
            return result
        } catch {
            // In a task of its own, because a cancelled one could not send it. The first failure is the one to report;
            // without a connection the server rolls back anyway.
            await Task { _ = try? await self.execute("ROLLBACK") }.value
            throw error
        }
    }

    private func target() throws(ClientError) -> Target {
        let (isOpen, stream) = state.withLock { ($0.isOpen, $0.openStream) }
        guard isOpen else { throw .invalidRequest("the session is closed") }
        if let stream, !stream.isFinished {
            throw .invalidRequest("a stream of this session is still open; read it to its end or drop it first")
        }
        return .session(name)
    }
}
