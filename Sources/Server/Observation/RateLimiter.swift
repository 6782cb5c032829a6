// Limits the messages that clients can cause at will. Pure: the time comes from the caller, `Observer`.

internal import LinuxSystem

/// Lets a burst of each kind of message and user through in each interval, and counts the rest.
///
/// Each user has a limit of its own, so that one user's messages do not hide another's.
struct RateLimiter {
    /// Messages of one kind and user in one interval.
    static let burstCount = 100
    static let intervalMilliseconds: Int64 = 30_000

    /// Messages that are limited together.
    private struct Subject: Hashable {
        var id: MessageID
        /// `nil`: without a user, or beyond `subjectCountMax`.
        var uid: UInt32?
    }

    /// Subjects in one interval; others are limited by their kind only.
    private static let subjectCountMax = 1_024

    private struct Window {
        var end: MonotonicInstant
        var level: LogLevel
        var count = 0

        var suppressedCount: Int { max(0, count - RateLimiter.burstCount) }
    }

    private var windows: [Subject: Window] = [:]

    /// Counts a message.
    ///
    /// - Parameters:
    ///   - id: its kind.
    ///   - uid: the user who has caused it, if any.
    ///   - level: its severity; the report about suppressed ones gets the same.
    ///   - now: the time.
    /// - Returns: whether it may be written, and what an interval that has ended suppressed.
    mutating func admit(_ id: MessageID, of uid: UInt32? = nil, _ level: LogLevel, at now: MonotonicInstant)
        -> (passes: Bool, ended: SuppressedMessages?)
    {
        let subject = subject(id, uid)
        var ended: SuppressedMessages?
        var window =
            windows[subject] ?? Window(end: now.advanced(byMilliseconds: Self.intervalMilliseconds), level: level)
        if window.end <= now {
            ended = Self.summary(subject, window)
            window = Window(end: now.advanced(byMilliseconds: Self.intervalMilliseconds), level: level)
        }
        window.count += 1
        windows[subject] = window
        return (window.count <= Self.burstCount, ended)
    }

    private func subject(_ id: MessageID, _ uid: UInt32?) -> Subject {
        let own = Subject(id: id, uid: uid)
        return windows[own] != nil || windows.count < Self.subjectCountMax ? own : Subject(id: id, uid: nil)
    }

    /// The suppressed messages of intervals that have ended.
    mutating func takeEnded(at now: MonotonicInstant) -> [SuppressedMessages] {
        let ended = windows.filter { $0.value.end <= now }
        for subject in ended.keys { windows[subject] = nil }
        return ended.compactMap { Self.summary($0.key, $0.value) }
            .sorted { ("\($0.id.plural)", $0.uid ?? .max) < ("\($1.id.plural)", $1.uid ?? .max) }
    }

    private static func summary(_ subject: Subject, _ window: Window) -> SuppressedMessages? {
        guard window.suppressedCount > 0 else { return nil }
        return SuppressedMessages(
            id: subject.id, uid: subject.uid, level: window.level, count: window.suppressedCount)
    }
}

/// How many messages of a kind were not written.
public struct SuppressedMessages: Sendable, Equatable {
    var id: MessageID
    /// The user who has caused them, if there is only one.
    var uid: UInt32?
    var level: LogLevel
    var count: Int

    var text: String {
        "\(count) messages suppressed: \(id.plural)\(uid.map { " of uid \($0)" } ?? ""), more than \(RateLimiter.burstCount) "
            + "in \(RateLimiter.intervalMilliseconds / 1000) s"
    }

    var fields: [(name: String, value: String)] {
        [("LITEBASE_SUPPRESSED", "\(count)"), ("LITEBASE_SUPPRESSED_ID", id.rawValue)]
            + (uid.map { [("LITEBASE_PEER_UID", "\($0)")] } ?? [])
    }
}
