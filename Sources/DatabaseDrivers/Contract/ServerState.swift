// What is known of a database's server: what requests have seen of it.

public import LinuxSystem

/// Whether the server of a database can be reached, as the attempts to connect have shown. Nobody tries but requests.
public struct ServerState: Sendable {
    /// Whether the last attempt to connect succeeded; `nil` before the first.
    public internal(set) var isReachable: Bool?
    /// Since when that is so.
    public internal(set) var since = MonotonicInstant(nanoseconds: 0)
    /// When the last attempt ended.
    public internal(set) var lastAttempt = MonotonicInstant(nanoseconds: 0)
    /// Why the last attempt failed that did, and when that was; as every request was told, so that it has no secret.
    public internal(set) var lastFailure: (error: DriverError, at: MonotonicInstant)?

    init() {}
}

/// A server was lost, or is back: for the log.
public struct ServerChange: Sendable {
    /// Why it cannot be reached; `nil` when it can.
    public var error: DriverError?
    /// Nothing was told before.
    public var isFirst = false
    /// Of one that is back: for how long it could not be reached.
    public var lostMilliseconds: Int64 = 0
    /// Changes before this one that were not told, because there were too many.
    public var untoldCount = 0
}
