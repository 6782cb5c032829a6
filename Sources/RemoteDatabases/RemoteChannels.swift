// The messages of one database: who listens is known here, and the connection belongs to a thread of its own
// (ChannelListener.swift), which is there as long as somebody listens.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// The channels of one database on a server.
///
/// - Thread: any.
final class RemoteChannels: ChannelSource {
    typealias Outcome = Result<ChannelStart, DriverError>

    private struct Waiter {
        var names: [ChannelName]
        var done: @Sendable (Outcome) -> Void
    }

    private struct State {
        var book = ChannelBook()
        var waiters: [Waiter] = []
        var hasThread = false
        /// Has the thread look at the book, once it has begun.
        var wake: (@Sendable () -> Void)?
        weak var database: RemoteDatabase?
    }

    let feed = ChannelFeed()
    let driver: any ChannelDriver
    private let state = Mutex(State())
    private let connected = Atomic<Bool>(false)

    init(_ driver: any ChannelDriver) { self.driver = driver }

    /// To be called once, by the database.
    func belong(to database: RemoteDatabase) { state.withLock { $0.database = database } }

    /// Whether there is a connection.
    var isConnected: Bool {
        get { connected.load(ordering: .relaxed) }
        set { connected.store(newValue, ordering: .relaxed) }
    }

    /// An attempt to connect has ended.
    func noteOpened(_ error: DriverError?) { state.withLock { $0.database }?.noteOpened(error) }

    // MARK: Listeners

    func check(_ name: ChannelName) throws(DriverError) { try driver.check(name) }

    func add(
        _ names: [ChannelName], for uid: UInt32, _ done: @escaping @Sendable (Outcome) -> Void
    ) throws(DriverError) {
        enum Next { case refuse, start, wake(@Sendable () -> Void), wait }
        let next = state.withLock { state -> Next in
            guard state.book.add(names, for: uid) else { return .refuse }
            state.waiters.append(Waiter(names: names, done: done))
            if let wake = state.wake { return .wake(wake) }
            if state.hasThread { return .wait }
            state.hasThread = true
            return .start
        }
        switch next {
        case .refuse: throw Self.tooMany
        case .start: startThread()
        case .wake(let wake): wake()
        case .wait: break
        }
    }

    func remove(_ names: [ChannelName], for uid: UInt32) {
        let wake = state.withLock { state in
            state.book.remove(names, for: uid, at: .now)
            return state.wake
        }
        wake?()
    }

    // MARK: The thread

    private func startThread() {
        do throws(Errno) {
            try Thread.start(name: "litebase-listen") { [self] in ChannelListener.run(self) }
        } catch {
            threadFailed(error)
        }
    }

    /// There is no thread, or it cannot work.
    func threadFailed(_ error: Errno) {
        let waiters = state.withLock { state in
            (state.hasThread, state.wake) = (false, nil)
            state.book.didLose()
            return state.waiters.takeAll()
        }
        let failure = DriverError(
            .connectFailed, "The daemon has no room for a connection: \(error).", hint: "Try again later.",
            sqlState: "53300"
        ).with { $0.isRetryable = true }
        for waiter in waiters { waiter.done(.failure(failure)) }
    }

    /// The thread works, and `wake` has it look at the book.
    func threadBegan(_ wake: @escaping @Sendable () -> Void) { state.withLock { $0.wake = wake } }

    /// Nobody listens any more, so the thread ends.
    /// - Returns: false if somebody does.
    func endIfUnused() -> Bool {
        state.withLock { state in
            guard state.book.isEmpty, state.waiters.isEmpty else { return false }
            (state.hasThread, state.wake) = (false, nil)
            feed.removeAll()
            return true
        }
    }

    // MARK: What the thread asks and reports

    var isUsed: Bool { state.withLock { $0.book.isUsed } }
    var isPromised: Bool { state.withLock { $0.book.isPromised } }
    var nextEnd: MonotonicInstant? { state.withLock { $0.book.nextEnd } }
    func isHeard(_ name: ChannelName) -> Bool { state.withLock { $0.book.isHeard(name) } }
    func takeChange() -> ChannelBook.Change { state.withLock { $0.book.takeChange(at: .now) } }
    func didLose() { state.withLock { $0.book.didLose() } }

    /// The server sends what is sent to the names that have begun, but for some.
    func didBegin(_ names: [ChannelName], refusals: [ChannelName: DriverError]) {
        let ready = state.withLock { state -> [(Waiter, Outcome)] in
            let number = feed.number
            state.book.didBegin(names.lazy.filter { refusals[$0] == nil }, number: number)
            var ready: [(Waiter, Outcome)] = []
            state.waiters.removeAll { waiter in
                if let refusal = waiter.names.lazy.compactMap({ refusals[$0] }).first {
                    ready.append((waiter, .failure(refusal)))
                } else if let since = state.book.completeSince(waiter.names) {
                    ready.append((waiter, .success(ChannelStart(number: number, completeSince: since))))
                } else {
                    return false
                }
                return true
            }
            return ready
        }
        for (waiter, outcome) in ready { waiter.done(outcome) }
    }

    /// There is no connection.
    func fail(_ error: DriverError) {
        for waiter in state.withLock({ $0.waiters.takeAll() }) { waiter.done(.failure(error)) }
    }

    // MARK: Errors

    private static let tooMany = DriverError(
        .limitExceeded,
        "A user can listen to \(ChannelBook.countPerUserMax) channels of a database, and these would be more.",
        hint: "Cancel subscriptions that are not needed, or use a pattern where the engine has them.", sqlState: "53400"
    )
}

extension Array {
    fileprivate mutating func takeAll() -> [Element] {
        defer { self = [] }
        return self
    }
}
