// Ending the work of others, and what came of it.

/// What is to be ended, by the numbers and names of `Activity`.
public enum TerminationTarget: Hashable, Sendable {
    /// A connection with its sessions and requests.
    case connection(Int64)
    /// One request; it ends with the error `cancelled`.
    case request(Int64, connection: Int64)
    /// A session with its requests; its open transaction is rolled back.
    case session(String)
}

/// What was told to end, and whose it was.
public struct TerminationResult: Sendable {
    public let connection: Int64
    /// `nil` over TCP.
    public let uid: Int64?
    public let pid: Int64?
    public let user: String?
    /// Requests that were told to end. One that had taken effect by then is answered as ever.
    public let requestCount: Int64
    /// Sessions that end.
    public let sessionCount: Int64
    /// Whether the connection is closed.
    public let isClosed: Bool
}
