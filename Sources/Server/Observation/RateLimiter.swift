// Keeps what clients can cause at will from flooding the log. Pure: time comes from the caller, `Observer`.

internal import LinuxSystem

/// Lets a burst of each kind of message through in each interval, and counts the rest.
struct RateLimiter {
    /// Messages of one kind in one interval.
    static let burstCount = 100
    static let intervalMilliseconds: Int64 = 30_000

    private struct Window {
        var end: MonotonicInstant
        var level: LogLevel
        var count = 0

        var suppressedCount: Int { max(0, count - RateLimiter.burstCount) }
    }

    private var windows: [MessageID: Window] = [:]

    /// Counts a message.
    ///
    /// - Parameters:
    ///   - id: its kind.
    ///   - level: its severity; what is said about those that are kept back gets the same.
    ///   - now: the time.
    /// - Returns: whether it may be written, and what an interval that ended before it has kept back.
    mutating func admit(_ id: MessageID, _ level: LogLevel, at now: MonotonicInstant)
        -> (passes: Bool, ended: SuppressedMessages?)
    {
        var ended: SuppressedMessages?
        var window =
            windows[id] ?? Window(end: now.advanced(byMilliseconds: Self.intervalMilliseconds), level: level)
        if window.end <= now {
            ended = Self.summary(id, window)
            window = Window(end: now.advanced(byMilliseconds: Self.intervalMilliseconds), level: level)
        }
        window.count += 1
        windows[id] = window
        return (window.count <= Self.burstCount, ended)
    }

    /// What was kept back, of the intervals that have ended.
    mutating func takeEnded(at now: MonotonicInstant) -> [SuppressedMessages] {
        let ended = windows.filter { $0.value.end <= now }
        for id in ended.keys { windows[id] = nil }
        return MessageID.allCases.compactMap { id in ended[id].flatMap { Self.summary(id, $0) } }
    }

    private static func summary(_ id: MessageID, _ window: Window) -> SuppressedMessages? {
        guard window.suppressedCount > 0 else { return nil }
        return SuppressedMessages(id: id, level: window.level, count: window.suppressedCount)
    }
}

/// How many messages of a kind were not written.
public struct SuppressedMessages: Sendable, Equatable {
    var id: MessageID
    var level: LogLevel
    var count: Int

    var text: String {
        "\(count) messages suppressed: \(id.plural), more than \(RateLimiter.burstCount) "
            + "in \(RateLimiter.intervalMilliseconds / 1000) s"
    }

    var fields: [(name: String, value: String)] {
        [("LITEBASE_SUPPRESSED", "\(count)"), ("LITEBASE_SUPPRESSED_ID", id.rawValue)]
    }
}
