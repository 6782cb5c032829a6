// The state of a database's server, as requests have found it.

public import LinuxSystem

/// Whether the server of a database is reachable, according to attempts to connect. Only requests attempt it.
public struct ServerState: Sendable {
    /// Whether the last attempt to connect succeeded; `nil` before the first.
    public package(set) var isReachable: Bool?
    /// When that state began.
    public package(set) var since = MonotonicInstant(nanoseconds: 0)
    /// When the last attempt ended.
    public package(set) var lastAttempt = MonotonicInstant(nanoseconds: 0)
    /// The last failed attempt: its error, as requests were told, so without secrets, and its time.
    public package(set) var lastFailure: (error: DriverError, at: MonotonicInstant)?

    /// Of several servers the one to which a connection was made last; `nil` where there is one, or none was reached.
    public package(set) var host: String?

    package init() {}
}

/// A server was lost, is back, or has another one in its place; for the log.
public struct ServerChange: Sendable {
    /// Why it cannot be reached; `nil` when it can.
    public var error: DriverError?
    /// The first report about this server.
    public var isFirst = false
    /// If it is back: how long it was unreachable.
    public var lostMilliseconds: Int64 = 0
    /// Changes before this one that were not reported, because there were too many.
    public var untoldCount = 0
    /// Of several servers the one that is in use.
    public var host: String?
    /// The one that was in use before, where nothing else has changed.
    public var formerHost: String?

    package init(error: DriverError?, isFirst: Bool, untoldCount: Int) {
        self.error = error
        self.isFirst = isFirst
        self.untoldCount = untoldCount
    }
}
