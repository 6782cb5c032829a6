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

    private struct Subscription {
        var names: [ChannelName]
        var uid: UInt32
    }

    private typealias Done = @Sendable (Outcome) -> Void

    private struct State {
        var book = ChannelBook()
        var subscriptions: [UInt64: Subscription] = [:]
        var lastNumber: UInt64 = 0
        /// Those that are not told anything yet.
        var waiters: [UInt64: Done] = [:]
        var hasThread = false
        /// Has the thread look at the book, once it has begun.
        var wake: (@Sendable () -> Void)?
        weak var database: RemoteDatabase?

        mutating func takeWaiters() -> [Done] {
            defer { waiters = [:] }
            return Array(waiters.values)
        }

        /// Those who wait for nothing more, and what they are told.
        mutating func takeReady(_ refusals: [ChannelName: DriverError], _ number: UInt64) -> [(Done, Outcome)] {
            var ready: [(Done, Outcome)] = []
            for (waiter, done) in waiters {
                guard let names = subscriptions[waiter]?.names else { continue }
                if let refusal = names.lazy.compactMap({ refusals[$0] }).first {
                    ready.append((done, .failure(refusal)))
                } else if let since = book.completeSince(names) {
                    ready.append((done, .success(ChannelStart(number: number, completeSince: since))))
                } else {
                    continue
                }
                waiters[waiter] = nil
            }
            return ready
        }
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
    ) throws(DriverError) -> UInt64 {
        enum Next { case refuse, start, wake(@Sendable () -> Void), wait }
        let (next, number) = state.withLock { state -> (Next, UInt64) in
            guard state.book.add(names, for: uid) else { return (.refuse, 0) }
            state.lastNumber += 1
            state.subscriptions[state.lastNumber] = Subscription(names: names, uid: uid)
            state.waiters[state.lastNumber] = done
            if let wake = state.wake { return (.wake(wake), state.lastNumber) }
            defer { state.hasThread = true }
            return (state.hasThread ? .wait : .start, state.lastNumber)
        }
        switch next {
        case .refuse: throw Self.tooMany
        case .start: startThread()
        case .wake(let wake): wake()
        case .wait: break
        }
        return number
    }

    func remove(_ number: UInt64) {
        let wake = state.withLock { state -> (@Sendable () -> Void)? in
            state.waiters[number] = nil
            guard let subscription = state.subscriptions.removeValue(forKey: number) else { return nil }
            state.book.remove(subscription.names, for: subscription.uid, at: .now)
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
            return state.takeWaiters()
        }
        let failure = DriverError(
            .connectFailed, "The daemon has no room for a connection: \(error).", hint: "Try again later.",
            sqlState: "53300"
        ).with { $0.isRetryable = true }
        for done in waiters { done(.failure(failure)) }
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
        let ready = state.withLock { state -> [(Done, Outcome)] in
            let number = feed.number
            state.book.didBegin(names.lazy.filter { refusals[$0] == nil }, number: number)
            return state.takeReady(refusals, number)
        }
        for (done, outcome) in ready { done(outcome) }
    }

    /// There is no connection.
    func fail(_ error: DriverError) {
        for done in state.withLock({ $0.takeWaiters() }) { done(.failure(error)) }
    }

    // MARK: Errors

    private static let tooMany = DriverError(
        .limitExceeded,
        "A user can listen to \(ChannelBook.countPerUserMax) channels of a database, and these would be more.",
        hint: "Cancel subscriptions that are not needed, or use a pattern where the engine has them.", sqlState: "53400"
    )
}
