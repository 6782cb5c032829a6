// The client for programs with tasks.

internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

/// A connection to the daemon that many tasks share.
///
/// Requests are pipelined: each is sent at once, replies find their request by id, and the server answers in the order
/// that suits it (within a session, in order). When a task is cancelled, its request is cancelled at the server, the
/// call throws `CancellationError` at once, and the connection stays usable.
///
/// Dropping the client and all that came from it closes the connection.
/// - Thread: any.
public final class Client: Sendable {
    let connection: Connection
    let timeout: Duration?

    /// Takes over a connected, non-blocking stream socket.
    init(
        socket: consuming OwnedDescriptor, timeout: Duration? = nil, transport: Transport = .automatic
    ) throws(Errno) {
        connection = try Connection(socket: socket, transport: transport)
        self.timeout = timeout
    }

    private convenience init(
        socket: consuming OwnedDescriptor, _ endpoint: Endpoint, timeout: Duration?, _ transport: Transport
    ) throws(ClientError) {
        do throws(Errno) {
            try self.init(socket: socket, timeout: timeout, transport: endpoint.isLocal ? transport : .socket)
        } catch {
            throw .cannotConnect(endpoint, error)
        }
    }

    deinit {
        connection.close()
    }

    /// Connects.
    /// - Parameters:
    ///   - endpoint: where; `nil` finds the daemon by `Endpoint.discover()`.
    ///   - connectTimeout: how long to keep trying while the daemon's queue is full.
    ///   - requestTimeout: how long to wait for an answer that has no time limit of its own; `nil`: without a limit.
    ///   - trusted: the users whose daemon is trusted.
    ///   - transport: how messages get there. Over TCP it is always the socket.
    /// - Returns: the connected client.
    /// - Throws: `ClientError.noSocket`, `.cannotConnect`, `.untrusted`; `CancellationError`.
    public static func connect(
        to endpoint: Endpoint? = nil, connectTimeout: Duration = .seconds(10), requestTimeout: Duration? = nil,
        trusting trusted: TrustedUsers = .standard, transport: Transport = .automatic
    ) async throws -> Client {
        let endpoint = if let endpoint { endpoint } else { try Endpoint.discover() }
        let deadline = ContinuousClock.now + connectTimeout
        var backoff = Connecting.Backoff()
        while true {
            do throws(ClientError) {
                return try Client(
                    socket: try Connecting.attempt(endpoint, trusting: trusted), endpoint, timeout: requestTimeout,
                    transport)
            } catch {
                guard case .cannotConnect(_, .wouldBlock) = error, ContinuousClock.now < deadline else { throw error }
            }
            try await Task.sleep(for: backoff.next())
        }
    }

    /// Connects to a Unix socket.
    public static func connect(path: String) async throws -> Client {
        try await connect(to: .unix(path: path))
    }

    /// Whether messages go through memory that the daemon shares with this client, at the moment.
    public var usesSharedMemory: Bool { connection.state.withLock { $0.lane == .open } }

    /// Closes the connection; requests in flight fail with `ClientError.disconnected`.
    public func close() {
        connection.close()
    }
}

// The machinery of requests, for the client and its sessions.
extension Client {
    /// How long to wait for a statement's next frame.
    func waitTime(_ options: QueryOptions) -> Duration? {
        options.timeout.map(BlockingClient.withGrace) ?? timeout
    }

    /// Waits for the one reply of a request.
    func reply(to request: Request) async throws -> FinishedReply {
        try Task.checkCancellation()
        return try await collect(try connection.start(request), until: .after(timeout)) { _ in }
    }

    private func collect(
        _ id: Int64, until deadline: MonotonicInstant?, _ body: (RowBatch) -> Void
    ) async throws -> FinishedReply {
        while true {
            switch try await connection.next(id, until: deadline) {
            case .rows(let batch): body(batch)
            case .resultEnd, .progress, .change: break
            case .finished(let reply): return reply
            case .failed(let error): throw error
            }
        }
    }

    func query(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) async throws -> QueryResult {
        try Task.checkCancellation()
        let id = try connection.start(.query(sql: sql, parameters, target, options, isPaged: false))
        var rows: [Row] = []
        let reply = try await collect(id, until: .after(waitTime(options))) { rows += $0 }
        return QueryResult(columns: reply.columns, rows: rows, summary: StatementSummary(reply.data))
    }

    func execute(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) async throws -> StatementSummary {
        try Task.checkCancellation()
        let id = try connection.start(.query(sql: sql, parameters, target, options, isPaged: false))
        return StatementSummary(try await collect(id, until: .after(waitTime(options))) { _ in }.data)
    }

    func stream(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) async throws -> RowSequence {
        try Task.checkCancellation()
        return try await RowSequence(open(.query(sql: sql, parameters, target, options, isPaged: true), options))
    }

    func streamResults(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) throws -> ResultSequence {
        try Task.checkCancellation()
        let request = Request.query(sql: sql, parameters, target, options, isPaged: true, wantsAllResults: true)
        return ResultSequence(try open(request, options))
    }

    private func open(_ request: Request, _ options: QueryOptions) throws(ClientError) -> RowStream {
        let id = try connection.start(request, pageRows: options.pageRows)
        return RowStream(client: self, id: id, timeout: waitTime(options))
    }

    func batch(_ statements: [BatchStatement], isAtomic: Bool, _ target: Target) async throws -> [BatchResult] {
        let data = try await reply(to: .batch(statements, isAtomic: isAtomic, target)).data
        return BatchResult.all(in: data)
    }

    func catalog(_ level: String, _ target: Target, _ options: CatalogOptions) async throws -> CatalogResult {
        try Task.checkCancellation()
        let id = try connection.start(.catalog(level: level, target, options))
        var rows: [Row] = []
        let limit = options.timeout.map(BlockingClient.withGrace) ?? timeout
        let reply = try await collect(id, until: .after(limit)) { rows += $0 }
        return CatalogResult(reply, rows)
    }

    func describe(_ sql: String, _ target: Target) async throws -> StatementDescription {
        StatementDescription(try await reply(to: .describe(sql: sql, target)))
    }

    func complete(_ place: CompletionPlace, _ target: Target) async throws -> CompletionResult {
        CompletionResult(try await reply(to: .complete(place, target)).data)
    }
}

extension Client {
    /// Asks whether the daemon is well.
    public func ping() async throws -> Health {
        Health(try await reply(to: .healthCheck).data)
    }

    /// Asks a database for an answer, as a statement would, connecting to its server if necessary.
    ///
    /// - Parameters:
    ///   - database: its name.
    ///   - timeout: the daemon gives up after that time, with the error `timeout`.
    /// - Returns: the database that has answered, and the time that it took.
    /// - Throws: `ClientError.server` with the error that a statement would get.
    public func ping(database: String, timeout: Duration? = nil) async throws -> DatabaseHealth {
        try DatabaseHealth(try await reply(to: .databaseCheck(database, timeout: timeout)).data)
    }

    /// The databases that the caller may open.
    public func listDatabases() async throws -> [DatabaseInformation] {
        let data = try await reply(to: .listDatabases).data
        return DatabaseInformation.all(in: data)
    }

    /// The server's counters; which ones there are grows with the server.
    public func stats() async throws -> StructuredValue {
        try await reply(to: .stats).data
    }

    /// Requests in flight and sessions of the caller's user; an administrator sees those of all users.
    public func activity() async throws -> Activity {
        Activity(try await reply(to: .activity).data)
    }

    /// Ends a request, a session or a connection of the caller's user; an administrator, of anybody.
    /// - Throws: `ClientError.server` with the code `targetNotFound` if there is none that the caller may end.
    @discardableResult
    public func terminate(_ target: TerminationTarget) async throws -> TerminationResult {
        TerminationResult(try await reply(to: .terminate(target)).data)
    }

    /// Makes the daemon read its configuration again; returns when the new one is in force. For administrators.
    /// - Throws: `ClientError.server` with the code `configurationInvalid`, and all that is wrong in its `detail`.
    @discardableResult
    public func reload() async throws -> ReloadResult {
        ReloadResult(try await reply(to: .reload).data)
    }

    /// Runs a statement by itself and returns its whole result.
    ///
    /// The result is kept in memory; for large ones use `stream`.
    /// - Throws: `ClientError.server` with the database's error; `CancellationError`.
    public func query(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> QueryResult {
        try await query(sql, parameters, .database(options.database), options)
    }

    /// Runs a statement by itself for its changes; rows are not kept.
    @discardableResult
    public func execute(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> StatementSummary {
        try await execute(sql, parameters, .database(options.database), options)
    }

    /// Runs a statement on its own and returns when the first rows are there.
    ///
    /// The server sends about as fast as rows are taken; see `QueryOptions.pageRows`.
    public func stream(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> RowSequence {
        try await stream(sql, parameters, .database(options.database), options)
    }

    /// Runs a statement on its own that may have several results, such as a call of a MySQL procedure. All of them come, one
    /// after the other, each as a stream.
    public func streamResults(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) async throws -> ResultSequence {
        try streamResults(sql, parameters, .database(options.database), options)
    }

    /// Runs statements in one request and, if atomic, in one transaction: all or nothing.
    public func batch(
        _ statements: [BatchStatement], isAtomic: Bool = true, database: String? = nil
    ) async throws -> [BatchResult] {
        try await batch(statements, isAtomic: isAtomic, .database(database))
    }

    /// Describes the parameters and columns of a statement, without running it.
    public func describe(_ sql: String, database: String? = nil) async throws -> StatementDescription {
        try await describe(sql, .database(database))
    }

    /// Asks what may come next in a statement. No database is asked: the daemon answers from memory.
    public func complete(_ place: CompletionPlace, database: String? = nil) async throws -> CompletionResult {
        try await complete(place, .database(database))
    }

    /// What is in a database: the rows of one level, such as "relations" or "columns".
    public func catalog(_ level: String, options: CatalogOptions = CatalogOptions()) async throws -> CatalogResult {
        try await catalog(level, .database(options.database), options)
    }

    /// Opens a session: a link of its own to a database, for transactions, temporary tables and settings.
    public func openSession(_ options: SessionOptions = SessionOptions()) async throws -> Session {
        let opened = try OpenedSession(try await reply(to: .connect(options)).data)
        return Session(client: self, name: opened.name, information: opened.information)
    }
}
