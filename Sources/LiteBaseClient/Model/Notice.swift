// What the server says without being asked.

/// A message that is the answer to no request: what a database says besides a result, or what the server says of a session.
/// - Source: protocol.md, "Sessions and transactions"
public struct Notice: Hashable, Sendable {
    /// A stable name of what it is about. Servers may know more than these; `message` can always be shown.
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
    /// How many are not told, of `databaseNoticesDropped`.
    public let droppedCount: Int64?
}

extension Notice.Code {
    /// The database said something about a statement.
    public static let databaseNotice = Self(rawValue: "database_notice")
    /// It said more than is told.
    public static let databaseNoticesDropped = Self(rawValue: "database_notices_dropped")
    /// A session's transaction is idle, and will be rolled back.
    public static let idleTransaction = Self(rawValue: "idle_transaction")
    /// A session is idle while others need what it holds, and will be ended.
    public static let idleSession = Self(rawValue: "idle_session")
    /// The rows of a query are not taken while others need what it holds; it will be ended.
    public static let idleQuery = Self(rawValue: "idle_query")
}

extension Notice {
    init(_ data: StructuredValue) {
        code = Code(rawValue: data["code"]?.text ?? "")
        message = data["message"]?.text ?? ""
        session = data["session"]?.text
        severity = data["severity"]?.text
        sqlState = data["sqlstate"]?.text
        detail = data["detail"]?.text
        hint = data["hint"]?.text
        endsIn = data.duration("ends_in_ms", Duration.milliseconds)
        droppedCount = data["count"]?.integer
    }
}

/// What a client says of itself in `hello`.
struct Introduction: Sendable {
    var name: String?
    var wantsNotices = false
}
