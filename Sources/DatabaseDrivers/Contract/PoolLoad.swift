// How busy a pool of connections to a server is.

/// The connections to one database: how many there are, and what waiting for them was like since the start.
public struct PoolLoad: Sendable, Equatable {
    /// The most that there may be.
    public var connectionCountMax = 0
    /// Those that are open, or on their way.
    public var openCount = 0
    /// Those of them that work for somebody, or belong to a session.
    public var inUseCount = 0
    public var inUsePeak = 0
    /// Requests that wait for one.
    public var waitingCount = 0
    public var waitingPeak = 0
    /// Requests that had to wait.
    public var delayedCount: UInt64 = 0
    /// Requests that have waited too long, and were ended for it.
    public var timeoutCount: UInt64 = 0
    /// The longest time that one has waited, in milliseconds.
    public var waitMillisecondsPeak: Int64 = 0

    public init() {}
}
