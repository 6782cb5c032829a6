// One database as all loops share it: how it is opened, its readers, its writer.

public import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// A SQLite database with its connections.
///
/// - Thread: any; a connection is used by one thread at a time.
public final class SQLiteDatabase: Database {
    struct State {
        var opening = Opening.closed
        /// Callbacks that wait for the database to be open.
        var openWaiters: [@Sendable (DriverError?) -> Void] = []
        var idleReaders: [SQLiteConnection] = []
        /// Reads that have left their loop and keep a reader.
        var longReads = UserShares()
        var longReadPeak = 0
        /// How many had to wait.
        var delayedReadCount: UInt64 = 0
        /// Reads that wait to become long ones.
        var longReadWaiters = FairQueue<LongReadWaiter>()
        /// Links to notify when the files are not at their paths any more.
        var links: [ObjectIdentifier: @Sendable () -> Void] = [:]
        var lastGeneration: UInt64 = 0
        /// Closed because nobody used it; opening it again is not reported.
        var hasRested = false
        /// The log of a former file, which could not be moved away from its path.
        var strandedLog: SQLiteFileSet.Companion?
    }

    enum Opening {
        case closed, opening
        case open(SQLiteWriter?, SQLiteGeneration)
        /// The files are not at their paths any more; waits until nobody uses them.
        case leaving(SQLiteWriter?, SQLiteFileSet?)
    }

    struct LongReadWaiter: Sendable {
        var execution: SQLiteExecution
        var granted: @Sendable () -> Void
    }

    /// The name that clients use; empty for an ad-hoc URL.
    public let name: String
    private let file: SQLiteLocation
    public var engine: Engine { .sqlite }
    public var location: any DatabaseLocation { file }
    public let isReadOnly: Bool
    /// `nil` for a database without a name: nobody could ask for it.
    private let changeLog: SQLiteChanges?
    public var changes: (any ChangeSource)? { changeLog }
    public var isVolatile: Bool { options.isMemory }
    /// Its name in the log.
    var label: String {
        if !name.isEmpty { return name }
        return if case .file(let path) = file.place { path } else { ":memory:" }
    }
    let options: SQLiteOptions
    private let readerCountMax: Int
    let promptWorkers: WorkerPool
    private let onOpen: @Sendable (DriverError?) -> Void
    let onReplaced: @Sendable (String) -> Void
    let state = Mutex(State())
    /// Number of the present opening; 0 while it is not open.
    private let openGeneration = Atomic<UInt64>(0)
    /// Whether the last generation ended because of the index of the log.
    let wasIndexLost = Atomic<Bool>(false)
    /// Somebody will check whether it is still used.
    let isRestDue = Atomic<Bool>(false)
    private let writeQueue = Mutex<WriteQueue?>(nil)

    /// Readers that are kept for the next statement when nobody uses them.
    private static let idleReaderCountMin = 4

    /// Opens nothing yet.
    public init(_ location: SQLiteLocation, _ plan: DatabasePlan) {
        let (name, settings) = (plan.name, plan.settings.embedded)
        self.name = name
        file = location
        isReadOnly = plan.isReadOnly || location.mode == .readOnly
        promptWorkers = plan.promptWorkers
        onOpen = plan.onOpen
        onReplaced = plan.onReplaced
        readerCountMax = settings.readerCountMax
        let path: String
        switch location.place {
        case .file(let file): path = file
        // Shared by all connections that open the same name (https://sqlite.org/src/file/src/memdb.c).
        case .memory: path = "/litebase-\(name)-\(Self.nextMemoryNumber())"
        }
        changeLog = plan.isOurs && !name.isEmpty ? SQLiteChanges() : nil
        options = SQLiteOptions(
            path: path, isMemory: location.place == .memory, mode: location.mode,
            usesWAL: plan.isOurs && !plan.isReadOnly,
            busyMillisecondsMax: settings.busyMillisecondsMax, statementCountMax: settings.statementCountMax,
            valueByteCountMax: Int32(clamping: settings.valueByteCountMax),
            pageCacheByteCountMax: max(SQLiteOptions.smallPageCacheByteCount, settings.pageCacheByteCountMax),
            idleMillisecondsMax: settings.idleMillisecondsMax,
            takesDoubleQuotedStrings: settings.takesDoubleQuotedStrings, refusal: plan.refusal, changes: changeLog)
        changeLog?.belong(to: self)
    }

    public func makeSharedLink(_ context: DriverContext) -> any DatabaseLink { SQLiteSharedLink(self, context) }

    public func openSession(
        _ request: SessionRequest, _ context: DriverContext, done: @escaping (SessionOpening) -> Void
    ) -> SessionOpening? {
        SQLiteSessionLink.open(request, self, context, done: done)
        return nil
    }

    deinit { SQLiteLosses.forget(self) }

    private static let memoryNumber = Atomic<Int>(0)
    private static func nextMemoryNumber() -> Int { memoryNumber.add(1, ordering: .relaxed).newValue }

    /// The number of the opening: a file that was replaced is opened again.
    public var contentNumber: UInt64 { openGeneration.load(ordering: .acquiring) }

    /// The queue of this file's writers.
    var writes: WriteQueue {
        writeQueue.withLock { queue in
            if let queue { return queue }
            let made = WriteQueue { [weak self] group in self?.runWrites(group) }
            queue = made
            return made
        }
    }

    // MARK: Opening

    /// True once the first connection has succeeded.
    var isOpen: Bool {
        state.withLock { if case .open = $0.opening { true } else { false } }
    }

    /// Calls `done` when the database is open, or could not be opened; at once if it is open already.
    /// - Thread: `done` is called on the caller's or on a worker's.
    func whenOpen(_ done: @escaping @Sendable (DriverError?) -> Void) {
        enum Action { case callNow, open, wait }
        let action = state.withLock { state -> Action in
            if case .open = state.opening { return .callNow }
            state.openWaiters.append(done)
            guard case .closed = state.opening else { return .wait }
            state.opening = .opening
            return .open
        }
        switch action {
        case .callNow: done(nil)
        case .open: promptWorkers.submit(for: LinkOwner.daemon.uid) { self.open() }
        case .wait: break
        }
    }

    /// Whether there is no file at its path.
    var isMissing: Bool {
        if options.isMemory { return false }
        do throws(Errno) { return try Files.status(options.path) == nil } catch { return false }
    }

    /// Number of the present opening, which a link compares with its own; 0 while the database is not open.
    var currentGeneration: UInt64 { openGeneration.load(ordering: .acquiring) }

    func setCurrentGeneration(_ number: UInt64) { openGeneration.store(number, ordering: .releasing) }

    func open() {
        var failure: DriverError?
        var opened: Opening = .closed
        do throws(DriverError) {
            opened = try openFirstAfterLoss()
        } catch {
            failure = error
        }
        let (waiters, isNews) = state.withLock { state in
            let isNews = failure != nil || !state.hasRested
            state.hasRested = false
            state.opening = opened
            if case .open(_, let generation) = opened { setCurrentGeneration(generation.number) }
            let waiters = state.openWaiters
            state.openWaiters = []
            return (waiters, isNews)
        }
        if isNews { onOpen(failure) }
        for waiter in waiters { waiter(failure) }
    }

    /// Opens the first connection, which determines the identity of the files.
    func openFirst() throws(DriverError) -> Opening {
        if let log = state.withLock({ $0.strandedLog }) {
            if log.isInPlace { throw .logStranded(log.path) }
            state.withLock { $0.strandedLog = nil }
        }
        let first = try SQLiteConnection(options, role: isReadOnly && !options.isMemory ? .reader : .writer)
        let number = state.withLock { state in
            state.lastGeneration += 1
            return state.lastGeneration
        }
        if options.isMemory, !name.isEmpty { try SQLiteMemory.prepareDatabase(first) }
        // A new file has no log until something is read.
        try first.execute("PRAGMA user_version")
        let files = options.isMemory ? nil : SQLiteFileSet(first)
        if files != nil { SQLiteLosses.watch(self) }
        let generation = SQLiteGeneration(number, files) { [weak self] in self?.nobodyIsLeft() }
        guard case .reader = first.role else { return .open(SQLiteWriter(first), generation) }
        first.generation = generation
        state.withLock { $0.idleReaders.append(first) }
        return .open(nil, generation)
    }

    // MARK: Readers: one for each loop, and one for each long read

    /// A new reader.
    /// - Throws: `DriverError`; with `mayBlock` false also `busy` when another process holds a lock.
    func openReader(mayBlock: Bool) throws(DriverError) -> SQLiteConnection {
        try openConnection(.reader, mayBlock: mayBlock)
    }

    /// A reader that nobody uses.
    func idleReader() -> SQLiteConnection? { state.withLock { $0.idleReaders.popLast() } }

    // MARK: Long reads

    /// Makes a read a long one. A user without any does not wait for users who have all places.
    /// - Parameters:
    ///   - waiter: the read.
    ///   - mayTurnOutToWrite: it has to be prepared first: there is one more place for those, so that a write does not wait for
    ///     endless reads.
    /// - Returns: false at the limit: then its reader must be returned, and `waiter` is called when it may start again.
    func beginLongRead(_ waiter: LongReadWaiter, mayTurnOutToWrite: Bool) -> Bool {
        let uid = waiter.execution.owner.uid
        return state.withLock { state in
            if state.longReads.mayBegin(uid, limit: readerCountMax + (mayTurnOutToWrite ? 1 : 0)) {
                state.longReads.begin(uid)
                state.longReadPeak = max(state.longReadPeak, state.longReads.count)
                return true
            }
            state.delayedReadCount += 1
            waiter.execution.longReadTicket = state.longReadWaiters.append(waiter, of: uid)
            return false
        }
    }

    /// Long reads now, their peak, and how many had to wait for a place.
    public var longReadLoad: (count: Int, peak: Int, delayedCount: UInt64) {
        state.withLock { ($0.longReads.count, $0.longReadPeak, $0.delayedReadCount) }
    }

    func endLongRead(of owner: LinkOwner) {
        let (next, surplus) = state.withLock { state -> (LongReadWaiter?, SQLiteConnection?) in
            state.longReads.end(owner.uid)
            let longReads = state.longReads
            let next = state.longReadWaiters.popFirst { longReads.mayBegin($0, limit: readerCountMax) }
            if let next { state.longReads.begin(next.execution.owner.uid) }
            let hasSurplus = state.idleReaders.count > Self.idleReaderCountMax(state)
            return (next, hasSurplus ? state.idleReaders.removeFirst() : nil)
        }
        next?.granted()
        if let surplus { dispose(of: surplus) }
    }

    /// A reader, and a place, for another thread of a long read that has its own, if there are more than one left.
    /// - Returns: `nil` where others may want the place, or no reader can be opened at once.
    /// - Thread: a worker.
    func borrowReader(for owner: LinkOwner) -> SQLiteConnection? {
        let hasPlace = state.withLock { state in
            guard state.longReadWaiters.isEmpty, state.longReads.count + 1 < readerCountMax else { return false }
            state.longReads.begin(owner.uid)
            state.longReadPeak = max(state.longReadPeak, state.longReads.count)
            return true
        }
        guard hasPlace else { return nil }
        let reader = if let idle = idleReader() { idle } else { try? openReader(mayBlock: true) }
        guard let reader else {
            endLongRead(of: owner)
            return nil
        }
        reader.snapshot?.release()
        return reader
    }

    /// Takes back what was borrowed.
    /// - Thread: any.
    func returnBorrowed(_ reader: SQLiteConnection, of owner: LinkOwner) {
        if reader.hasMetDamage || reader.isIndexLost { dispose(of: reader) } else { returnReader(reader) }
        endLongRead(of: owner)
    }

    /// Whether anybody waits for a place.
    var isReadingAwaited: Bool { state.withLock { !$0.longReadWaiters.isEmpty } }

    /// Whether any other user waits for a place.
    func isReadingAwaited(byOthersThan uid: UInt32) -> Bool {
        state.withLock { state in !state.longReadWaiters.isEmpty && state.longReadWaiters.hasUser { $0 != uid } }
    }

    /// Leaves the queue for long reads.
    /// - Returns: false if the execution does not wait any more.
    func stopWaitingForLongRead(_ execution: SQLiteExecution) -> Bool {
        state.withLock { state in
            execution.longReadTicket.map { state.longReadWaiters.remove($0) { $0.execution === execution } != nil }
                ?? false
        }
    }

    /// Returns a reader, which is closed if more are idle than needed.
    func returnReader(_ reader: SQLiteConnection) {
        let isKept = state.withLock { state in
            guard reader.generation?.number == currentGeneration,
                state.idleReaders.count < Self.idleReaderCountMax(state)
            else { return false }
            state.idleReaders.append(reader)
            return true
        }
        if !isKept { dispose(of: reader) }
    }

    /// Number of idle readers to keep: a few, or as many as there are long reads that use them. Opening one takes
    /// longer than most statements.
    private static func idleReaderCountMax(_ state: borrowing State) -> Int {
        max(idleReaderCountMin, state.longReads.count + state.longReadWaiters.count)
    }

    /// Closes an unused reader on a worker: it takes a loop too long.
    func dispose(of reader: SQLiteConnection) {
        promptWorkers.submit(for: LinkOwner.daemon.uid) { reader.close() }
    }

    // MARK: Writing

    /// The connection for autocommit writes; `nil` before the database is open, and for a read-only one.
    private var writer: SQLiteWriter? {
        state.withLock { if case .open(let writer, _) = $0.opening { writer } else { nil } }
    }

    private func runWrites(_ group: [WriteTicket]) {
        promptWorkers.submit(for: group[0].owner.uid) { [self] in
            let executions = group.compactMap(\.execution)
            write(executions)
            let finished = executions.filter { $0.claim.isFinished }
            for ticket in writes.release(unfinished: group.filter { $0.execution?.claim.isFinished == false }) {
                guard let execution = ticket.execution, execution.claim.begin(),
                    let reason = execution.run.stopReason
                else { continue }
                execution.run.error = .stopped(reason)
                execution.mailbox.submit { execution.wait.onWritten?() }
            }
            for execution in finished { execution.mailbox.submit { execution.wait.onWritten?() } }
        }
    }

    /// Checkpoints the write-ahead log when it has the write turn; for the end of the process.
    /// - Parameter done: called on any thread.
    public func checkpoint(done: @escaping @Sendable () -> Void) {
        guard isOpen, options.usesWAL else { return done() }
        let ticket = WriteTicket(
            .session(granted: { [self] in
                promptWorkers.submit(for: LinkOwner.daemon.uid) { [self] in checkpointNow(done) }
            }), .daemon)
        writes.enqueue(ticket)
    }

    private func checkpointNow(_ done: () -> Void) {
        // Closing them is not done under the lock.
        let readers = state.withLock { state in
            defer { state.idleReaders = [] }
            return state.idleReaders
        }
        withExtendedLifetime(readers) {}
        if let connection = writer?.connection {
            // Readers keep part of the log in use; that is no reason to wait.
            _ = connection.checkpoint()
        }
        writes.release()
        done()
    }

    /// Interrupts the writer if it runs `run` now.
    func interruptWriter(_ run: StatementRun) {
        writer?.connection.interrupt(run)
    }
}
