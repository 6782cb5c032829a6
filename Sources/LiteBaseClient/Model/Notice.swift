// Messages that the server sends without a request.

/// A message that answers no request: a database's message besides a result, or the server's about a session.
/// - Source: protocol.md, "Sessions and transactions"
public struct Notice: Hashable, Sendable {
    /// A stable name of the subject. Servers may have more than these; `message` can always be shown.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public var description: String { rawValue }
    }

    public let code: Code
    public let message: String
    /// The session that it is about; `nil` for a statement on its own.
    public let session: String?
    /// The database's word for how serious it is, such as "NOTICE" or "WARNING"; `nil` when the server itself speaks.
    public let severity: String?
    public let sqlState: String?
    public let detail: String?
    public let hint: String?
    /// Until the session or the query ends, of `idleTransaction`, `idleSession` and `idleQuery`.
    public let endsIn: Duration?
    /// For `databaseNoticesDropped`: the number of notices that were not sent.
    public let droppedCount: Int64?
}

extension Notice.Code {
    /// The database said something about a statement.
    public static let databaseNotice = Self(rawValue: "database_notice")
    /// The database had more notices than were sent.
    public static let databaseNoticesDropped = Self(rawValue: "database_notices_dropped")
    /// A session's transaction is idle, and will be rolled back.
    public static let idleTransaction = Self(rawValue: "idle_transaction")
    /// A session is idle while others need what it holds, and will be ended.
    public static let idleSession = Self(rawValue: "idle_session")
    /// Somebody has ended the connection; replies to what ran come, then it is closed.
    public static let terminated = Self(rawValue: "terminated")
    /// The rows of a query are not read while others need what it holds; it will be ended.
    public static let idleQuery = Self(rawValue: "idle_query")
}

/// The client's introduction in `hello`.
struct Introduction: Sendable {
    var name: String?
    var wantsNotices = false
    var sendsDescriptors = false
    /// Only in the request for it.
    var wantsSharedMemory = false
}
