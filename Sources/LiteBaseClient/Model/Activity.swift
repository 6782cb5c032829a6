// The present work of the daemon, as `activity` reports it.

/// Requests in flight and idle sessions, the oldest first.
public struct Activity: Sendable {
    public let entries: [Entry]
    /// Whether there were more than the server reports.
    public let isTruncated: Bool

    /// A request in flight, or a session without one.
    public struct Entry: Sendable {
        /// Number of the connection.
        public let connection: Int64
        /// Of the request on its connection; `nil` for a session without one, and of a server that cannot end requests.
        public let number: Int64?
        public let uid: Int64?
        public let pid: Int64?
        public let user: String?
        public let session: String?
        public let database: String?
        /// The request's type; "session" for a session without a request.
        public let type: String
        /// The statement, cut, without its parameters.
        public let sql: String?
        /// "running", "queued", "waiting_for_client" or "idle"; servers may know more.
        public let state: String
        public let transaction: TransactionState?
        /// How long the request is there, or the session without one.
        public let age: Duration
    }
}
