// Records the results of attempts to connect, and decides what to log. It knows no locks and no clock, so tests can try
// events in any order.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// The state of a server, as one login has found it.
///
/// - Thread: that of its owner.
struct ServerWatch {
    private(set) var state = ServerState()

    /// An attempt to connect has ended; `server`: the one of several that was taken.
    mutating func note(_ error: DriverError?, server: String? = nil, at now: MonotonicInstant) {
        state.lastAttempt = now
        if let server { state.host = server }
        if let error { state.lastFailure = (error, now) }
        if state.isReachable == (error == nil) { return }
        state.isReachable = error == nil
        state.since = now
    }
}

/// What the log reports about a server that several logins use, such as that of readers beside the one that writes:
/// that it is lost or back, once for all of them.
///
/// Each change is reported at once, up to `burstCount` in a row; then one in `tellingMilliseconds`. The report is the
/// state of that moment, so the last message is true, however often the server goes and comes back.
/// - Thread: that of its owner.
struct ServerNews {
    static let burstCount: Int64 = 6
    static let tellingMilliseconds: Int64 = 30_000

    private(set) var isReachable: Bool?
    /// Logins whose last attempt has failed.
    private var failed: Set<Int> = []
    /// Of several servers the one that each login has taken last, and the one that was reported.
    private var hosts: [Int: (now: String, told: String)] = [:]
    /// The one that was taken by the last success; `nil` where that does not say it.
    private var lastHost: String?
    private var lastError: DriverError?
    /// When the present state began.
    private var since = MonotonicInstant(nanoseconds: 0)
    /// The state in the last message; `nil` before the first.
    private var told: Bool?
    private var lost = MonotonicInstant(nanoseconds: 0)
    private var changeCount = 0
    /// When the messages so far no longer count, each after `tellingMilliseconds`.
    private var settled = MonotonicInstant(nanoseconds: 0)

    /// Whether the state differs from the last message.
    private var isNews: Bool { isReachable != nil && isReachable != told }

    /// An attempt to connect has ended.
    ///
    /// A login that fails makes the server unreachable, since somebody cannot use it. A login that had failed and now
    /// succeeds makes it reachable again; if another login still fails, its own next attempt reports that. A login that
    /// has succeeded all the time says nothing about another one that fails.
    /// - Parameters:
    ///   - error: why it has failed; `nil` if it has not.
    ///   - server: the one of several that was taken.
    ///   - login: who has tried.
    ///   - now: the time.
    /// - Returns: the change to log now.
    mutating func note(
        _ error: DriverError?, server: String? = nil, of login: Int, at now: MonotonicInstant
    ) -> ServerChange? {
        // The first one is reported with the server as a whole.
        if let server { hosts[login] = (server, hosts[login]?.told ?? server) }
        if error == nil { lastHost = server }
        if let error {
            lastError = error
            failed.insert(login)
        } else if failed.contains(login) {
            failed.removeAll()
        }
        if isReachable != failed.isEmpty {
            isReachable = failed.isEmpty
            since = now
            changeCount += 1
        }
        return takeNews(at: now)
    }

    /// A login is not used any more, so its result is forgotten.
    mutating func forget(_ login: Int) {
        hosts[login] = nil
        if failed.remove(login) != nil, failed.isEmpty { isReachable = nil }
    }

    /// A change that was held back, when its time has come.
    mutating func takeNews(at now: MonotonicInstant) -> ServerChange? {
        guard isNews || moved != nil, let isReachable else { return nil }
        let start = max(settled, now)
        guard start.nanoseconds(since: now) <= (Self.burstCount - 1) * Self.tellingMilliseconds * 1_000_000 else {
            return nil
        }
        settled = start.advanced(byMilliseconds: Self.tellingMilliseconds)
        guard isNews else { return takeMove() }
        var change = ServerChange(
            error: isReachable ? nil : lastError, isFirst: told == nil, untoldCount: changeCount - 1)
        if isReachable {
            change.lostMilliseconds = since.nanoseconds(since: lost) / 1_000_000
            change.host = lastHost
            if lastHost != nil { for login in hosts.keys { didTell(login) } }
        } else {
            lost = since
        }
        told = isReachable
        changeCount = 0
        return change
    }

    /// A login that has taken another server than was reported. While some server cannot be reached, that is what is reported.
    private var moved: Int? { isReachable == true ? hosts.first { $0.value.now != $0.value.told }?.key : nil }

    private mutating func takeMove() -> ServerChange? {
        guard let login = moved, let host = hosts[login] else { return nil }
        didTell(login)
        var change = ServerChange(error: nil, isFirst: false, untoldCount: 0)
        (change.host, change.formerHost) = (host.now, host.told)
        return change
    }

    private mutating func didTell(_ login: Int) {
        if let host = hosts[login] { hosts[login] = (host.now, host.now) }
    }
}

/// Logs the state of a server, for all logins of a database on it.
///
/// - Thread: any.
final class ServerLog: Sendable {
    private let news = Mutex((value: ServerNews(), loginCount: 0))
    private let onChange: @Sendable (ServerChange) -> Void

    /// - Parameter onChange: called when the server becomes reachable or unreachable; on any thread.
    init(onChange: @escaping @Sendable (ServerChange) -> Void) { self.onChange = onChange }

    /// One more login.
    func join() -> Int {
        news.withLock {
            $0.loginCount += 1
            return $0.loginCount
        }
    }

    func leave(_ login: Int) { news.withLock { $0.value.forget(login) } }

    func note(_ error: DriverError?, server: String? = nil, of login: Int) {
        if let change = news.withLock({ $0.value.note(error, server: server, of: login, at: .now) }) {
            onChange(change)
        }
    }

    func tell() {
        if let change = news.withLock({ $0.value.takeNews(at: .now) }) { onChange(change) }
    }
}
