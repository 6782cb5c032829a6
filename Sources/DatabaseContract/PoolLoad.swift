// The load of a connection pool.

/// The connections to one database: their number, and the waiting times since the start.
public struct PoolLoad: Sendable, Equatable {
    /// The limit.
    public var connectionCountMax = 0
    /// Connections that are open or being opened.
    public var openCount = 0
    /// Connections that work for a request or belong to a session.
    public var inUseCount = 0
    public var inUsePeak = 0
    /// Requests that wait for a connection.
    public var waitingCount = 0
    public var waitingPeak = 0
    /// Requests that had to wait.
    public var delayedCount: UInt64 = 0
    /// Requests that ended because they had waited too long.
    public var timeoutCount: UInt64 = 0
    /// The longest waiting time, in milliseconds.
    public var waitMillisecondsPeak: Int64 = 0

    public init() {}
}
