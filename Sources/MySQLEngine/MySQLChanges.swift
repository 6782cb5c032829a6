// What the daemon's connections have committed to one database, for those who listen (`subscribe`).
//
// What a statement changes is found by its text and the server's definitions (MySQLFacts.swift). Others may change these at any time. So a
// commit is told only when the server has been asked, behind it, whether the definitions are still those by which it was judged: once
// for all commits that have come meanwhile, on a connection and a thread of its own (MySQLChangeWatch.swift).

internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import Synchronization

/// A connection that was lost while it did something that may stay.
struct MySQLLostConnection: Sendable {
    /// What the server calls it; where there are too many, theirs are among those.
    var numbers: ClosedRange<UInt>
    var hostIndex: Int
    var opened: MonotonicInstant

    var isMany: Bool { numbers.count > 1 }

    /// Stands for another one, too.
    mutating func take(_ other: MySQLLostConnection) {
        let bounds = [numbers.lowerBound, numbers.upperBound, other.numbers.lowerBound, other.numbers.upperBound]
        numbers = (bounds.min() ?? 0)...(bounds.max() ?? 0)
        opened = min(opened, other.opened)
    }
}

/// The changes of one database.
///
/// - Thread: any.
final class MySQLChanges: RemoteChanges {
    private struct State {
        var stage = ChangeWatchStage.idle
        var facts: MySQLFacts?
        var hostIndex = 0
        /// Commits that are not told yet.
        var due: [MySQLCommit] = []
        var lost: [MySQLLostConnection] = []
        /// More came than is kept.
        var isOverfull = false
        /// Definitions have changed.
        var areFactsDue = false
        var desertion: MonotonicInstant?
    }

    /// What the thread has to do.
    struct Work {
        var commits: [MySQLCommit]
        var lost: [MySQLLostConnection]
        var areFactsDue: Bool
    }

    let feed = ChangeFeed()
    let place: MySQLLocation
    private let connector: MySQLConnector
    private let state = Mutex(State())
    private let watchNumber = Atomic<UInt64>(0)
    private let lastWatchNumber = Atomic<UInt64>(0)
    private let hasRead = Atomic<Bool>(false)
    private let connected = Atomic<Bool>(false)
    private let readers = Mutex(Readers())
    let bell = Semaphore()

    private struct Readers {
        weak var changes: MySQLReaderChanges?
        /// Those who wait for a look at the rights.
        var waiters: [@Sendable () -> Void] = []
        /// Some have begun to listen during this watch.
        var haveListened = false
    }

    private static let dueCountMax = 1_000
    private static let lostCountMax = 100
    /// After the last listener has gone, for one that comes back, in milliseconds.
    private static let lingerMilliseconds: Int64 = 10_000

    init(_ connector: MySQLConnector) {
        self.connector = connector
        place = connector.place
        feed.setOnDesertion { [weak self] in self?.wasDeserted() }
    }

    var coverage: ChangeCoverage { .daemonWriters }

    var isConnected: Bool {
        get { connected.load(ordering: .relaxed) }
        set { connected.store(newValue, ordering: .relaxed) }
    }

    // MARK: Connections that write

    /// The number of the present watch; 0 while nobody listens.
    ///
    /// Looked at before a statement is sent and behind its answer: whoever begins to listen sets it before anything is read, so either
    /// what was committed is seen by that reading, or this is seen here.
    var epoch: UInt64 { watchNumber.load(ordering: .sequentiallyConsistent) }

    /// The definitions by which a statement is to be judged; `nil` while they are not known.
    func facts(ofHost hostIndex: Int) -> MySQLFacts? { state.withLock { $0.hostIndex == hostIndex ? $0.facts : nil } }

    /// Something was committed.
    func tell(_ commit: MySQLCommit) {
        if commit.isEmpty || epoch == 0 { return }
        // Names are for readers only if they still may read, which is asked for behind the commit, too.
        if commit.facts == nil || commit.gap != nil, commit.relations.isEmpty || !servesReaders {
            if !commit.relations.isEmpty || commit.changesSchema || commit.gap != nil {
                feed.tell(commit.relations, changesSchema: commit.changesSchema, gap: commit.gap)
            }
            guard commit.changesSchema else { return }
            state.withLock { $0.areFactsDue = true }
            return bell.post()
        }
        let mustRing = state.withLock { state -> Bool in
            defer { if state.due.last != commit { state.due.append(commit) } }
            guard state.due.count >= Self.dueCountMax else { return state.due.isEmpty }
            (state.due, state.isOverfull) = ([], true)
            return true
        }
        if mustRing { bell.post() }
    }

    /// A statement was done that only reads, by the definitions that are known.
    func noteRead() {
        if hasRead.load(ordering: .relaxed) { return }
        hasRead.store(true, ordering: .relaxed)
        bell.post()
    }

    /// A connection was lost while it did something that may stay: now, or when the server has ended it.
    func tellLost(_ connection: MySQLLostConnection) {
        if epoch == 0 { return }
        feed.tell(.mayHaveWritten)
        state.withLock { Self.add(connection, to: &$0.lost) }
        bell.post()
    }

    /// Adds one; those beyond what is kept become one with the last of the same host.
    static func add(_ connection: MySQLLostConnection, to lost: inout [MySQLLostConnection]) {
        guard lost.count >= lostCountMax, let place = lost.lastIndex(where: { $0.hostIndex == connection.hostIndex })
        else { return lost.append(connection) }
        lost[place].take(connection)
    }

    // MARK: Readers

    /// Those who read with a login of their own are told of these, too.
    func serve(_ reader: MySQLReaderChanges) { readers.withLock { $0 = Readers(changes: reader) } }

    private var servesReaders: Bool { readers.withLock { $0.haveListened } }

    /// Has the rights of readers looked at, and `done` called then, on the thread.
    func lookAtReaders(_ done: @escaping @Sendable () -> Void) {
        readers.withLock { $0.waiters.append(done) }
        bell.post()
    }

    /// - Thread: one that may block.
    func lookAtWaitingReaders() {
        let (changes, waiters) = readers.withLock { readers in
            defer { readers.waiters = [] }
            return (readers.changes, readers.waiters)
        }
        if waiters.isEmpty { return }
        changes?.look()
        readers.withLock { $0.haveListened = true }
        for waiter in waiters { waiter() }
    }

    /// Definitions were read anew. Nobody asks for the rights of readers who do not listen.
    /// - Thread: one that may block.
    func lookAtListeningReaders() { readers.withLock { $0.haveListened ? $0.changes : nil }?.look() }

    func forgetReaders() { readers.withLock { $0.changes }?.forget() }

    /// A watch begins, and no reader has listened to it.
    func beginWithoutReaders() {
        readers.withLock { $0.haveListened = false }
        forgetReaders()
    }

    // MARK: The thread

    func takeWork() -> Work {
        state.withLock { state in
            defer { (state.due, state.lost, state.isOverfull, state.areFactsDue) = ([], [], false, false) }
            let overfull = state.isOverfull ? [MySQLCommit(gap: .tooMany)] : []
            return Work(commits: overfull + state.due, lost: state.lost, areFactsDue: state.areFactsDue)
        }
    }

    func takeRead() -> Bool { hasRead.exchange(false, ordering: .relaxed) }

    func set(_ facts: MySQLFacts?, hostIndex: Int) { state.withLock { ($0.facts, $0.hostIndex) = (facts, hostIndex) } }

    /// When the thread ends if nobody comes; `nil` while somebody listens.
    var desertion: MonotonicInstant? { state.withLock { $0.desertion } }

    /// Connects with what the password file has now.
    /// - Thread: one that may block.
    func connect() throws(DriverError) -> MySQLConnector.Opened { try connector.open() }

    /// Whether a connection of that time may lead to another server than those that are made now.
    func isOutdated(_ opened: MonotonicInstant) -> Bool { connector.choice?.isOutdated(opened) ?? false }

    /// Whether the server may still do what a lost connection has asked for.
    /// - Thread: one that may block.
    func mayGoOn(_ lost: MySQLLostConnection) throws(DriverError) -> Bool {
        let handle = try connector.reconnect(hostIndex: lost.hostIndex)
        defer { libmariadb.mysql_close(handle) }
        // Of one that was started anew the number is somebody else's.
        guard libmariadb.mysql_thread_id(handle) > lost.numbers.upperBound, connector.mayRun(handle, since: lost.opened)
        else {
            return false
        }
        return try MySQLFactReader(handle, connector.settings).knows(lost.numbers)
    }

    /// Reads definitions over a connection.
    func reader(_ handle: UnsafeMutablePointer<MYSQL>) -> MySQLFactReader {
        MySQLFactReader(handle, connector.settings, database: place.database ?? "")
    }

    // MARK: Beginning and ending

    func begin(_ context: DriverContext, _ done: @escaping @Sendable (DriverError?) -> Void) {
        let next = state.withLock { state in
            state.desertion = nil
            return state.stage.begin(done)
        }
        switch next {
        case .ready: done(nil)
        case .wait: break
        case .start: start()
        }
    }

    private func start() {
        let number = lastWatchNumber.add(1, ordering: .relaxed).newValue
        // From now on connections say what they do; what has begun before is told as such.
        watchNumber.store(number, ordering: .sequentiallyConsistent)
        do throws(Errno) {
            try Thread.start(name: "litebase-watch") { [self] in MySQLChangeWatch(self).run() }
        } catch {
            didBegin(
                DriverError(
                    .connectFailed, "The daemon has no room for a thread: \(error).", hint: "Try again later.",
                    sqlState: "53300"
                ).with { $0.isRetryable = true })
        }
    }

    /// The watch has begun, or could not: then its thread ends.
    func didBegin(_ error: DriverError?) {
        let waiters = state.withLock { state in
            let waiters = state.stage.didBegin(error)
            if error != nil, !waiters.isEmpty { end(&state) }
            return waiters
        }
        for waiter in waiters { waiter(error) }
    }

    private func wasDeserted() {
        state.withLock { $0.desertion = .now.advanced(byMilliseconds: Self.lingerMilliseconds) }
        bell.post()
    }

    /// Nobody has listened for some time.
    /// - Returns: false if the thread has to go on.
    func endIfDeserted() -> Bool {
        let isEnded = state.withLock { state in
            guard let desertion = state.desertion, desertion <= .now, feed.isDeserted, state.stage.isWatching else {
                return false
            }
            state.stage = .idle
            end(&state)
            return true
        }
        if isEnded { feed.pause() }
        return isEnded
    }

    private func end(_ state: inout State) {
        watchNumber.store(0, ordering: .sequentiallyConsistent)
        (state.facts, state.due, state.lost, state.desertion) = (nil, [], [], nil)
        (state.isOverfull, state.areFactsDue) = (false, false)
    }
}
