// `activity`: the present work of the daemon.

/// `activity`.
public struct ActivityRequest: EmptyRequest {
    public typealias Reply = ActivityReply
    public static var type: RequestType { RequestType("activity", reply: "activity_response") }

    public init() {}
}

/// Requests in flight and idle sessions, the oldest first.
public struct ActivityReply: ReplyData {
    public var entries: [Entry] = []
    /// Whether there were more than are reported.
    public var isTruncated = false

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("entries", &entries)
        visitor.field("truncated", &isTruncated)
    }

    /// A request in flight, or a session without one.
    public struct Entry: ReplyData {
        public var connection: UInt64 = 0
        /// Of the request on its connection, never used again; `nil` for a session without one.
        public var number: UInt64?
        /// "socket" or "shared_memory".
        public var transport = ""
        public var uid: Int64?
        public var pid: Int64?
        public var user: String?
        public var session: String?
        public var database: String?
        public var type = ""
        public var sql: String?
        public var state = ""
        public var transaction = ""
        public var ageMilliseconds: Int64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("connection", &connection)
            visitor.field("number", &number)
            visitor.field("transport", &transport)
            visitor.field("uid", &uid)
            visitor.field("pid", &pid)
            visitor.field("user", &user)
            visitor.field("session", &session)
            visitor.field("database", &database)
            visitor.field("type", &type)
            visitor.field("sql", &sql)
            visitor.field("state", &state)
            visitor.field("transaction", &transaction)
            visitor.field("age_ms", &ageMilliseconds)
        }
    }
}
