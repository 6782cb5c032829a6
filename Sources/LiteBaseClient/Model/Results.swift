// The results of requests.

/// State of a session's transaction.
public enum TransactionState: String, Hashable, Sendable {
    case none, active
    /// A statement failed, and the engine refuses all others until a rollback (PostgreSQL).
    case failed
}

/// Whether the daemon is well, and which one it is.
public struct Health: Sendable {
    /// "healthy" when all is well.
    public let status: String
    public let version: String
    /// Version of the protocol, 1.
    public let protocolVersion: Int64
    public let pid: Int64
    public let uptime: Duration
    /// How it was started: "socket" or "standalone".
    public let activation: String
}

/// A database that has answered.
public struct DatabaseHealth: Hashable, Sendable {
    public let name: String
    /// Such as "redis".
    public let engine: String
    public let serverVersion: String
    /// How long the daemon and the database took, connecting included.
    public let elapsed: Duration
}

/// The result of a reload.
public struct ReloadResult: Hashable, Sendable {
    public let databaseCount: Int64
    /// Settings that were changed and wait for the daemon's next start, such as "socket.path".
    public let restartNeeded: [String]
    /// A line for each database that is not served because the configuration names unknown users or groups.
    public let problems: [String]
}

/// The effects of a statement, besides its rows.
public struct StatementSummary: Hashable, Sendable {
    /// Rows that were sent, over all results.
    public let rowCount: Int64
    /// Rows that an INSERT, UPDATE or DELETE touched.
    public let rowsAffected: Int64
    public let lastInsertID: Int64?
    /// Warnings that the database keeps for the next statement of the session to ask for (MySQL's SHOW WARNINGS).
    public let warningCount: Int64
    /// Whether `maxRows` cut the result.
    public let isTruncated: Bool
    /// Results after the first one that were not requested and not sent; `streamResults` gets all.
    public let droppedResultCount: Int64
    public let transaction: TransactionState?
    /// Time that the server worked on it; the client's reading is not counted.
    public let elapsed: Duration
}

/// What one of several results came to.
public struct ResultEnd: Hashable, Sendable {
    /// Rows that were sent.
    public let rowCount: Int64
    /// Whether `maxRows` cut the result.
    public let isTruncated: Bool
}

/// A whole result.
public struct QueryResult: Sendable {
    public let columns: Columns
    public let rows: [Row]
    public let summary: StatementSummary
}

/// What one statement of a batch did.
public struct BatchResult: Hashable, Sendable {
    public let rowsAffected: Int64
    public let lastInsertID: Int64?
    /// Warnings of all its executions.
    public let warningCount: Int64
}

/// One statement of a batch.
public struct BatchStatement: Sendable {
    enum Binding: Sendable {
        case once(Parameters)
        case forEachRow([[Value]])
    }

    let sql: String
    let binding: Binding

    /// A statement to run once.
    public init(_ sql: String, _ parameters: Parameters = .none) {
        self.sql = sql
        binding = .once(parameters)
    }

    /// A statement to run once for each row of positional parameters.
    public init(_ sql: String, rows: [[Value]]) {
        self.sql = sql
        binding = .forEachRow(rows)
    }
}

/// A database that the caller may open, or, if it may only watch the daemon, any.
public struct DatabaseInformation: Hashable, Sendable {
    public let name: String
    /// Such as "sqlite".
    public let engine: String
    public let isReadOnly: Bool
    /// Whether the caller may open it at all.
    public let mayBeOpened: Bool
    /// Whether it is used where a request names none.
    public let isDefault: Bool
    /// Whether nobody may open it at present, because the configuration names unknown users or groups.
    public let isDisabled: Bool
    /// The state of its server; `nil` if it has none, or the daemon does not report it.
    public let server: ServerState?

    /// Whether the server can be reached, as requests have seen it.
    public struct ServerState: Hashable, Sendable {
        /// `nil` before the first attempt to connect.
        public let isReachable: Bool?
        /// For how long that has been so.
        public let age: Duration?
        /// How long ago the last attempt to connect was.
        public let attemptAge: Duration?
        /// Why the last attempt failed that did, and how long ago.
        public let lastError: String?
        public let lastErrorAge: Duration?
        /// Of several servers the one to which a connection was made last; `nil` where there is one.
        public let host: String?
        /// Connections at most, open, in use, and requests that wait for one.
        public let connectionsMax: Int64
        public let connectionsOpen: Int64
        public let connectionsUsed: Int64
        public let requestsWaiting: Int64
    }
}

/// The parameters and columns of a statement.
public struct StatementDescription: Sendable {
    public let columns: [Column]
    /// One entry for each parameter: its name, `nil` for a positional one.
    public let parameters: [String?]
    public let isReadOnly: Bool
}

/// How a statement is run.
public struct QueryOptions: Sendable {
    /// Name of the database; `nil` is the default one. Not for sessions, which are bound to one.
    public var database: String?
    /// The server ends the statement after that time, with the error `timeout`.
    public var timeout: Duration?
    /// The server ends a result after that many rows; the summary then says `isTruncated`.
    public var maxRows: Int64?
    /// Number of rows that the server sends of a stream before it waits for the consumer, who is at most two pages
    /// behind.
    ///
    /// `nil` lets the server send as fast as the connection takes it. That is the fastest way for a connection that
    /// does nothing else meanwhile; other replies on it wait while the stream is not read. It has no effect on whole
    /// results.
    public var pageRows: Int64?

    public init(
        database: String? = nil, timeout: Duration? = nil, maxRows: Int64? = nil, pageRows: Int64? = 1000
    ) {
        self.database = database
        self.timeout = timeout
        self.maxRows = maxRows
        self.pageRows = pageRows.map { max(1, $0) }
    }
}

extension StatementSummary {
    /// The summary of rows made by the caller.
    public init(rowCount: Int) {
        self.init(ResultEnd(rowCount: Int64(rowCount), isTruncated: false))
    }

    /// The summary of one result of several.
    public init(_ end: ResultEnd) {
        rowCount = end.rowCount
        rowsAffected = 0
        lastInsertID = nil
        warningCount = 0
        isTruncated = end.isTruncated
        droppedResultCount = 0
        transaction = nil
        elapsed = .zero
    }
}
