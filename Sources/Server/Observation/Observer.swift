// Passes observations to a receiver.

public import LinuxSystem
internal import Synchronization

/// Which statements the log shows, and how much of them.
public struct StatementLog: Sendable, Equatable {
    /// Statements that take at least this long are logged, in milliseconds; 0: none.
    public var slowMilliseconds: Int64 = 1_000
    /// Bytes of their SQL text that are logged; 0: none.
    public var textByteCountMax = 0

    public init() {}
}

/// Receives observations, filters them by level and limits their rate.
///
/// - Thread: any.
public final class Observer: Sendable {
    private let level: Atomic<Int>
    private let slowMicroseconds = Atomic<Int64>(.max)
    private let textByteCount = Atomic<Int>(0)
    private let limiter = Mutex(RateLimiter())
    private let receive: @Sendable (Observation) -> Void

    /// `receive` is called on the thread of the event; it must not block for long.
    public init(
        level: LogLevel, statementLog: StatementLog = StatementLog(), receive: @escaping @Sendable (Observation) -> Void
    ) {
        self.level = Atomic(level.rawValue)
        self.receive = receive
        setStatementLog(statementLog)
    }

    /// Least severe level that is wanted.
    public func setLevel(_ level: LogLevel) { self.level.store(level.rawValue, ordering: .relaxed) }

    /// Sets which statements are slow.
    public func setStatementLog(_ statementLog: StatementLog) {
        let (product, overflow) = statementLog.slowMilliseconds.multipliedReportingOverflow(by: 1000)
        slowMicroseconds.store(product <= 0 || overflow ? .max : product, ordering: .relaxed)
        textByteCount.store(statementLog.textByteCountMax, ordering: .relaxed)
    }

    /// Whether observations of this level are wanted; to be asked before costly ones are made.
    public func wants(_ level: LogLevel) -> Bool { level.rawValue <= self.level.load(ordering: .relaxed) }

    /// True when a statement of that duration is to be logged.
    func isSlow(microseconds: Int64) -> Bool { microseconds >= slowMicroseconds.load(ordering: .relaxed) }

    /// Bytes of a slow statement's text to be logged; 0: none.
    var textByteCountMax: Int { textByteCount.load(ordering: .relaxed) }

    /// Passes an observation to the receiver, unless its level is not wanted or the rate limit suppresses it.
    ///
    /// Debug observations are not limited.
    public func observe(_ observation: Observation) {
        let (level, id) = observation.kind
        guard wants(level) else { return }
        if level != .debug, let id {
            let verdict = limiter.withLock { $0.admit(id, of: observation.peer?.uid, level, at: .now) }
            if let ended = verdict.ended { receive(.suppressed(ended)) }
            guard verdict.passes else { return }
        }
        receive(observation)
    }

    /// Reports what was suppressed; to be called every few seconds, and before the end with `isLast`.
    public func reportSuppressed(isLast: Bool = false) {
        let now = isLast ? MonotonicInstant.distantFuture : .now
        for messages in limiter.withLock({ $0.takeEnded(at: now) }) { receive(.suppressed(messages)) }
    }
}
