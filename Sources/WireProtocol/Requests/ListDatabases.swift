// `list_databases`: the databases that the caller may open.

/// `list_databases`.
public struct ListDatabasesRequest: EmptyRequest {
    public typealias Reply = ListDatabasesReply
    public static var type: RequestType { RequestType("list_databases", reply: "list_databases_response") }

    public init() {}
}

/// The databases that the caller may open.
public struct ListDatabasesReply: ReplyData {
    public var databases: [Database] = []

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("databases", &databases)
    }

    /// A configured database, with the caller's access.
    public struct Database: ReplyData {
        public var name = ""
        public var engine = ""
        /// "read_write" or "read_only"; "none" for a monitor.
        public var access = ""
        public var isDefault = false
        /// Absent if not.
        public var isDisabled: Bool?
        public var server: Server?

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("name", &name)
            visitor.field("engine", &engine)
            visitor.field("access", &access)
            visitor.field("default", &isDefault)
            visitor.optional("disabled", &isDisabled)
            visitor.optional("server", &server)
        }
    }

    /// The state of a database's server, as requests have found it.
    public struct Server: ReplyData {
        /// `nil` before the first attempt to connect.
        public var isReachable: Bool?
        public var sinceMilliseconds: Int64?
        public var attemptMilliseconds: Int64?
        public var lastError: String?
        public var lastErrorMilliseconds: Int64?
        /// Of several servers the one that is in use.
        public var host: String?
        public var pool: Pool?

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("reachable", &isReachable)
            visitor.optional("since_ms", &sinceMilliseconds)
            visitor.optional("attempt_ms", &attemptMilliseconds)
            visitor.optional("last_error", &lastError)
            visitor.optional("last_error_ms", &lastErrorMilliseconds)
            visitor.optional("host", &host)
            visitor.optional("pool", &pool)
        }
    }

    /// The load of the caller's connection pool.
    public struct Pool: ReplyData {
        /// The limit, open connections, those in use, and waiting requests.
        public var value: Int64 = 0
        public var open: Int64 = 0
        public var used: Int64 = 0
        public var waiting: Int64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("value", &value)
            visitor.field("open", &open)
            visitor.field("used", &used)
            visitor.field("waiting", &waiting)
        }
    }
}
