// A link to a database that belongs to one caller.

internal import WireProtocol

/// A session of a blocking client: transactions, temporary tables and settings live here.
///
/// Its statements run in order. While a stream of it is open, other statements would wait for its end, so they are
/// refused; read the stream to its end, or drop it. Dropping the session closes it and rolls back.
/// - Thread: the client's.
public final class BlockingSession {
    public let information: SessionInformation
    let client: BlockingClient
    private let name: String
    private var isOpen = true
    private weak var openReply: BlockingReply?

    init(client: BlockingClient, name: String, information: SessionInformation) {
        self.client = client
        self.name = name
        self.information = information
    }

    deinit {
        guard isOpen, let id = try? client.start(.disconnect(session: name), until: .after(BlockingClient.graceTime))
        else { return }
        client.abandonQuietly(id)
    }

    /// Closes the session; an open transaction is rolled back.
    public func close() throws(ClientError) {
        guard isOpen else { return }
        isOpen = false
        _ = try client.reply(to: .disconnect(session: name))
    }

    /// See `BlockingClient.query`; `options.database` has no meaning here.
    public func query(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> QueryResult {
        try client.query(sql, parameters, try target(), options)
    }

    /// See `BlockingClient.execute`.
    @discardableResult
    public func execute(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> StatementSummary {
        try client.execute(sql, parameters, try target(), options)
    }

    /// Runs a statement that may take long, while something else must not lie idle: such as the session of another client, whose
    /// transaction would be rolled back.
    /// - Parameters:
    ///   - sql: the statement.
    ///   - interval: how often `body` is called before the statement has ended.
    ///   - body: it must not use this client.
    /// - Returns: the effects of the statement.
    /// - Throws: the error of the statement; that of `body`, which cancels the statement.
    @discardableResult
    public func execute(
        _ sql: String, each interval: Duration, _ body: () throws(ClientError) -> Void
    ) throws(ClientError) -> StatementSummary {
        try client.execute(sql, try target(), each: interval, body)
    }

    /// See `BlockingClient.stream`.
    public func stream(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> BlockingRows {
        let rows = try client.stream(sql, parameters, try target(), options)
        openReply = rows.reply
        return rows
    }

    /// See `BlockingClient.streamResults`.
    public func streamResults(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> BlockingResults {
        let results = try client.streamResults(sql, parameters, try target(), options)
        openReply = results.reply
        return results
    }

    /// See `BlockingClient.importRows`; within a transaction, the rows are part of it. `options.database` has no meaning here.
    public func importRows(
        from descriptor: Int32, into relation: String, options: ImportOptions = ImportOptions(),
        progress: ((TransferStatus) -> Void)? = nil
    ) throws(ClientError) -> ImportResult {
        try client.importRows(from: descriptor, into: relation, try target(), options, progress)
    }

    /// See `BlockingClient.export`; it reads what the session sees. `options.database` has no meaning here.
    public func export(
        _ sql: String, _ parameters: Parameters = .none, to descriptor: Int32, options: ExportOptions = ExportOptions()
    ) throws(ClientError) -> TransferResult {
        try client.export(sql, parameters, try target(), to: descriptor, options)
    }

    /// See `BlockingClient.batch`.
    public func batch(_ statements: [BatchStatement], isAtomic: Bool = true) throws(ClientError) -> [BatchResult] {
        try client.batch(statements, isAtomic: isAtomic, try target())
    }

    /// See `BlockingClient.describe`.
    public func describe(_ sql: String) throws(ClientError) -> StatementDescription {
        try client.describe(sql, try target())
    }

    /// See `BlockingClient.catalog`: what the session sees. `options.database` is not heeded.
    public func catalog(
        _ level: String, options: CatalogOptions = CatalogOptions()
    ) throws(ClientError) -> CatalogResult {
        try client.catalog(level, try target(), options)
    }

    /// See `BlockingClient.complete`.
    public func complete(_ place: CompletionPlace) throws(ClientError) -> CompletionResult {
        try client.complete(place, try target())
    }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws.
    /// - Throws: what `body` throws, or the `ClientError` of BEGIN or COMMIT.
    public func transaction<Result>(
        _ mode: TransactionMode = .standard, _ body: (BlockingSession) throws -> Result
    ) throws -> Result {
        try execute(mode.rawValue)
        do {
            let result = try body(self)
            try execute("COMMIT")
            return result
        } catch {
            // The first failure is the one to report; without a connection the server rolls back anyway.
            _ = try? execute("ROLLBACK")
            throw error
        }
    }

    func target() throws(ClientError) -> Target {
        guard isOpen else { throw .invalidRequest("the session is closed") }
        if let reply = openReply, !reply.isOver {
            throw .invalidRequest("a stream of this session is still open; read it to its end or drop it first")
        }
        return .session(name)
    }
}
