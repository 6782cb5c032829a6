// Who gets the observations.

public import LinuxSystem
internal import Synchronization

/// Receives observations and filters them by level.
///
/// - Thread: any.
public final class Observer: Sendable {
    private let level: Atomic<Int>
    private let receive: @Sendable (Observation) -> Void

    /// `receive` is called on the thread where something happened; it must not block for long.
    public init(level: LogLevel, receive: @escaping @Sendable (Observation) -> Void) {
        self.level = Atomic(level.rawValue)
        self.receive = receive
    }

    /// Least severe level that is wanted.
    public func setLevel(_ level: LogLevel) { self.level.store(level.rawValue, ordering: .relaxed) }

    /// True when observations of this level are wanted; asked before costly ones are made.
    public func wants(_ level: LogLevel) -> Bool { level.rawValue <= self.level.load(ordering: .relaxed) }

    public func observe(_ observation: Observation) { receive(observation) }
}
