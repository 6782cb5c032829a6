// The service as its owner sees it: make it, give it listeners, reload it, drain it.

public import LinuxSystem

/// Serves the protocol on listening sockets.
///
/// - Thread: all methods are called on the thread of `controlLoop`, which accepts; connections live on loops of their own.
public final class Server {
    /// - Parameters:
    ///   - controlLoop: accepts connections and runs what is not per connection; the caller runs it.
    ///   - observer: told about everything worth seeing.
    public init(configuration: ServerConfiguration, controlLoop: EventLoop, observer: Observer) throws(Errno) {}

    /// Accepts connections from a socket that listens already.
    /// - Parameters:
    ///   - address: for the log, `unix:/path` or `tcp:127.0.0.1:port`.
    ///   - inherited: whether systemd owns the socket.
    public func addListener(_ socket: consuming OwnedDescriptor, address: String, inherited: Bool) throws(Errno) {}

    /// Takes over changed databases and limits; loops and activation stay.
    public func reload(_ configuration: ServerConfiguration) {}

    /// Stops accepting, lets running requests end within `Limits.drainTimeMillisecondsMax`, cancels the rest, rolls back,
    /// checkpoints and calls `completion` on the control loop's thread. A second call cancels at once.
    public func drain(completion: @escaping () -> Void) {}

    /// Connections that are open; together with `requestsInFlight` what an idle exit looks at.
    public var connectionCount: Int { 0 }
    public var requestsInFlight: Int { 0 }

    /// One line for `STATUS=` (sd_notify(3)).
    public var statusLine: String { "" }

    /// Stops watching the listeners, without closing them, and looks once more whether a connection waits in a queue.
    /// - Returns: false when there is one; then the listeners are watched again and it is served.
    public func pauseAcceptingIfQuiet() -> Bool { true }
}
