// Keeps what attempts to connect have shown, and decides what of that the log is told. It knows no locks and no clock, so that
// it can be tried in any order of events.

internal import LinuxSystem

/// The state of a server, and the log's idea of it.
///
/// Each change is told at once, until there were `burstCount` in a row; then one in `tellingMilliseconds`. What is told is the
/// state of that moment, so that the last message is true in the end, however the server comes and goes.
/// - Thread: that of its owner.
struct ServerWatch {
    static let burstCount: Int64 = 6
    static let tellingMilliseconds: Int64 = 30_000

    private(set) var state = ServerState()
    /// The state of the last message; `nil` before the first.
    private var told: Bool?
    private var lost = MonotonicInstant(nanoseconds: 0)
    private var changeCount = 0
    /// When the messages so far are worn off, each in `tellingMilliseconds`.
    private var settled = MonotonicInstant(nanoseconds: 0)

    /// Whether the log has another idea than `state`.
    private var isNews: Bool { state.isReachable != nil && state.isReachable != told }

    /// An attempt to connect has ended.
    /// - Returns: what the log is to be told now.
    mutating func note(_ error: DriverError?, at now: MonotonicInstant) -> ServerChange? {
        state.lastAttempt = now
        if let error { state.lastFailure = (error, now) }
        if state.isReachable != (error == nil) {
            state.isReachable = error == nil
            state.since = now
            changeCount += 1
        }
        return takeNews(at: now)
    }

    /// What was kept back, when it is time to tell it.
    mutating func takeNews(at now: MonotonicInstant) -> ServerChange? {
        guard isNews, let isReachable = state.isReachable else { return nil }
        let start = max(settled, now)
        guard start.nanoseconds(since: now) <= (Self.burstCount - 1) * Self.tellingMilliseconds * 1_000_000 else {
            return nil
        }
        settled = start.advanced(byMilliseconds: Self.tellingMilliseconds)
        var change = ServerChange(
            error: isReachable ? nil : state.lastFailure?.error, isFirst: told == nil, untoldCount: changeCount - 1)
        if isReachable {
            change.lostMilliseconds = state.since.nanoseconds(since: lost) / 1_000_000
        } else {
            lost = state.since
        }
        told = isReachable
        changeCount = 0
        return change
    }
}
