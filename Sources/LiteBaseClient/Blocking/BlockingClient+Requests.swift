// The requests of a blocking client and a blocking session.

internal import LinuxSystem
internal import WireProtocol

extension BlockingClient {
    /// Waits for the one reply of a request.
    func reply(to request: Request) throws(ClientError) -> FinishedReply {
        let deadline = MonotonicInstant.after(timeout)
        return try collect(try start(request, until: deadline), until: deadline) { _ in }
    }

    /// Takes all events of a request.
    private func collect(
        _ id: Int64, until deadline: MonotonicInstant?, _ body: (RowBatch) -> Void
    ) throws(ClientError) -> FinishedReply {
        while true {
            switch try next(id, until: deadline) {
            case .rows(let batch): body(batch)
            case .resultEnd, .progress, .change: break
            case .finished(let reply): return reply
            case .failed(let error): throw error
            }
        }
    }

    /// How long to wait for a statement's next frame.
    func waitTime(_ options: QueryOptions) -> Duration? {
        options.timeout.map(Self.withGrace) ?? timeout
    }

    func query(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) throws(ClientError) -> QueryResult {
        let deadline = MonotonicInstant.after(waitTime(options))
        let id = try start(.query(sql: sql, parameters, target, options, isPaged: false), until: deadline)
        var rows: [Row] = []
        let reply = try collect(id, until: deadline) { rows += $0 }
        return QueryResult(columns: reply.columns, rows: rows, summary: StatementSummary(reply.data))
    }

    func stream(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) throws(ClientError) -> BlockingRows {
        try BlockingRows(open(.query(sql: sql, parameters, target, options, isPaged: true), options))
    }

    func streamResults(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) throws(ClientError) -> BlockingResults {
        BlockingResults(
            try open(
                .query(sql: sql, parameters, target, options, isPaged: true, wantsAllResults: true), options))
    }

    private func open(_ request: Request, _ options: QueryOptions) throws(ClientError) -> BlockingReply {
        let id = try start(request, pageRows: options.pageRows, until: .after(waitTime(options)))
        return BlockingReply(client: self, id: id, timeout: waitTime(options))
    }

    func execute(
        _ sql: String, _ parameters: Parameters, _ target: Target, _ options: QueryOptions
    ) throws(ClientError) -> StatementSummary {
        let deadline = MonotonicInstant.after(waitTime(options))
        let id = try start(.query(sql: sql, parameters, target, options, isPaged: false), until: deadline)
        return StatementSummary(try collect(id, until: deadline) { _ in }.data)
    }

    func execute(
        _ sql: String, _ target: Target, each interval: Duration, _ body: () throws(ClientError) -> Void
    ) throws(ClientError) -> StatementSummary {
        let id = try start(.query(sql: sql, .none, target, QueryOptions(), isPaged: false), until: .after(timeout))
        while !hasEvent(id, until: .now.advanced(byMilliseconds: max(1, interval.milliseconds))) {
            do throws(ClientError) { try body() } catch {
                abandon(id)
                throw error
            }
        }
        return StatementSummary(try collect(id, until: nil) { _ in }.data)
    }

    func batch(
        _ statements: [BatchStatement], isAtomic: Bool, _ target: Target
    ) throws(ClientError) -> [BatchResult] {
        BatchResult.all(in: try reply(to: .batch(statements, isAtomic: isAtomic, target)).data)
    }

    func catalog(_ level: String, _ target: Target, _ options: CatalogOptions) throws(ClientError) -> CatalogResult {
        let deadline = MonotonicInstant.after(options.timeout.map(Self.withGrace) ?? timeout)
        let id = try start(.catalog(level: level, target, options), until: deadline)
        var rows: [Row] = []
        let reply = try collect(id, until: deadline) { rows += $0 }
        return CatalogResult(reply, rows)
    }

    func describe(_ sql: String, _ target: Target) throws(ClientError) -> StatementDescription {
        StatementDescription(try reply(to: .describe(sql: sql, target)))
    }

    func complete(_ place: CompletionPlace, _ target: Target) throws(ClientError) -> CompletionResult {
        CompletionResult(try reply(to: .complete(place, target)).data)
    }
}

extension BlockingClient {
    /// Asks whether the daemon is well.
    public func ping() throws(ClientError) -> Health {
        Health(try reply(to: .healthCheck).data)
    }

    /// Asks a database for an answer, as a statement would, connecting to its server if necessary.
    ///
    /// - Parameters:
    ///   - database: its name.
    ///   - timeout: the daemon gives up after that time, with the error `timeout`.
    /// - Returns: the database that has answered, and the time that it took.
    /// - Throws: `ClientError.server` with the error that a statement would get.
    public func ping(database: String, timeout: Duration? = nil) throws(ClientError) -> DatabaseHealth {
        try DatabaseHealth(try reply(to: .databaseCheck(database, timeout: timeout)).data)
    }

    /// The databases that the caller may open.
    public func listDatabases() throws(ClientError) -> [DatabaseInformation] {
        DatabaseInformation.all(in: try reply(to: .listDatabases).data)
    }

    /// The server's counters; which ones there are grows with the server.
    public func stats() throws(ClientError) -> StructuredValue {
        try reply(to: .stats).data
    }

    /// Requests in flight and sessions of the caller's user; an administrator sees those of all users.
    public func activity() throws(ClientError) -> Activity {
        Activity(try reply(to: .activity).data)
    }

    /// Ends a request, a session or a connection of the caller's user; an administrator, of anybody.
    /// - Throws: `ClientError.server` with the code `targetNotFound` if there is none that the caller may end.
    @discardableResult
    public func terminate(_ target: TerminationTarget) throws(ClientError) -> TerminationResult {
        TerminationResult(try reply(to: .terminate(target)).data)
    }

    /// Makes the daemon read its configuration again; returns when the new one is in force. For administrators.
    /// - Throws: `ClientError.server` with the code `configurationInvalid`, and all that is wrong in its `detail`.
    @discardableResult
    public func reload() throws(ClientError) -> ReloadResult {
        ReloadResult(try reply(to: .reload).data)
    }

    /// Runs a statement by itself and returns its whole result.
    ///
    /// The result is kept in memory; for large ones use `stream`.
    /// - Throws: `ClientError.server` with the database's error.
    public func query(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> QueryResult {
        try query(sql, parameters, .database(options.database), options)
    }

    /// Runs a statement by itself for its changes; rows are not kept.
    @discardableResult
    public func execute(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> StatementSummary {
        try execute(sql, parameters, .database(options.database), options)
    }

    /// Runs a statement on its own and returns when the first rows are there.
    ///
    /// The server sends about as fast as rows are taken; at most two pages wait in memory.
    public func stream(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> BlockingRows {
        try stream(sql, parameters, .database(options.database), options)
    }

    /// Runs a statement on its own that may have several results, such as a call of a MySQL procedure. All of them come, one
    /// after the other, each as a stream.
    public func streamResults(
        _ sql: String, _ parameters: Parameters = .none, options: QueryOptions = QueryOptions()
    ) throws(ClientError) -> BlockingResults {
        try streamResults(sql, parameters, .database(options.database), options)
    }

    /// Runs statements in one request and, if atomic, in one transaction: all or nothing.
    public func batch(
        _ statements: [BatchStatement], isAtomic: Bool = true, database: String? = nil
    ) throws(ClientError) -> [BatchResult] {
        try batch(statements, isAtomic: isAtomic, .database(database))
    }

    /// Describes the parameters and columns of a statement, without running it.
    public func describe(_ sql: String, database: String? = nil) throws(ClientError) -> StatementDescription {
        try describe(sql, .database(database))
    }

    /// Asks what may come next in a statement. No database is asked: the daemon answers from memory.
    public func complete(_ place: CompletionPlace, database: String? = nil) throws(ClientError) -> CompletionResult {
        try complete(place, .database(database))
    }

    /// What is in a database: the rows of one level, such as "relations" or "columns".
    public func catalog(
        _ level: String, options: CatalogOptions = CatalogOptions()
    ) throws(ClientError) -> CatalogResult {
        try catalog(level, .database(options.database), options)
    }

    /// Opens a session: a link of its own to a database, for transactions, temporary tables and settings.
    public func openSession(_ options: SessionOptions = SessionOptions()) throws(ClientError) -> BlockingSession {
        let opened = try OpenedSession(try reply(to: .connect(options)).data)
        return BlockingSession(client: self, name: opened.name, information: opened.information)
    }
}
