// All rows of a table, read by several threads, which see the same snapshot.

internal import CSQLite
internal import DatabaseContract
internal import LinuxSystem
internal import SQLText
internal import Synchronization

/// A read of a whole table into a sink that can be divided (`RowSink.isDivisible`).
///
/// The thread of the run, the leader, takes the rows in order; helpers are threads of the same pool, with a reader each, that read
/// chunks further on into parts of the sink. A helper's job is short, so that other users' jobs have their turns in between. A chunk
/// that no helper has begun is the leader's, so nobody ever waits for a thread that there may not be.
///
/// - Thread: `leader` and `end` that of the run; everything else is under a lock.
final class ParallelScan: @unchecked Sendable {
    /// A part of the sink; one thread has it at a time.
    struct Part: @unchecked Sendable {
        let sink: RowSink
    }

    /// What came of a chunk.
    struct Result {
        var part: Part
        var rowCount: Int64
        var failure: ScanReader.Failure?
    }

    /// What the leader does next.
    enum Step {
        case append(Result)
        case readFirst(ScanChunks.Chunk)
        case read(ScanChunks.Chunk, Part)
        /// The rows whose turn it is are with a helper.
        case wait
        case ended
    }

    private struct State {
        var chunks: ScanChunks
        /// Parts of the sink that nobody has.
        var parts: [Part] = []
        var results: [Int: Result] = [:]
        var idleHelpers: [ScanReader]
        var busyHelpers: [ScanReader] = []
        var isLeaderWaiting = false
        var isOver = false
    }

    let leader: ScanReader
    private let run: StatementRun
    private let owner: LinkOwner
    private let database: SQLiteDatabase
    private let pool: WorkerPool
    private let state: Mutex<State>
    private let chunkIsRead = Semaphore()
    /// There are parts; used by the leader only.
    @exclusivity(unchecked) private var isDivided = false

    /// Bytes that a chunk should give: less than what a part takes, so that few chunks end early.
    private static let chunkByteCount = RowSink.partByteCountMax / 4 * 3
    /// More cores than these are left to others.
    private static let helperCountMax = 3
    /// Of files and tables that are smaller, one thread has read everything before another one has begun.
    static let fileByteCountMin: Int64 = 4 << 20
    /// What a helper's job takes: several chunks, since other threads do not have their memory in the caches.
    private static let turnNanoseconds: Int64 = 20_000_000
    /// Somebody may commit at the very moment when the transactions begin.
    private static let attemptCountMax = 100

    private init(
        _ run: StatementRun, _ owner: LinkOwner, _ database: SQLiteDatabase, _ pool: WorkerPool,
        _ rows: ClosedRange<Int64>, leader: ScanReader, helpers: [ScanReader]
    ) {
        (self.run, self.owner, self.database, self.pool, self.leader) = (run, owner, database, pool, leader)
        state = Mutex(
            State(
                chunks: ScanChunks(rows, byteCountWanted: Self.chunkByteCount),
                idleHelpers: helpers))
    }

    // MARK: Beginning

    /// Begins to read the table of a run, of which nothing was read, with several threads.
    /// - Returns: `nil` where the statement is not a plain one of a table with row numbers, is small, or where there is no reader,
    ///   place or core for another thread; or a session has a transaction: then it is to be read by one.
    /// - Thread: a worker.
    static func begin(
        _ run: StatementRun, _ statement: CachedStatement, _ owner: LinkOwner, on connection: SQLiteConnection,
        of database: SQLiteDatabase, in pool: WorkerPool
    ) -> ParallelScan? {
        guard run.sink.isDivisible, Thread.mayBlock, Process.coreCount > 1,
            // Within BEGIN, a transaction that has begun could not be begun again with what others see.
            connection.transaction == .none, sqlite3_txn_state(connection.handle, nil) == SQLITE_TXN_NONE,
            let table = SQLiteWholeTable(of: run, on: connection), let snapshot = HeldSnapshot(connection)
        else { return nil }
        let program = TableProgram(of: statement, on: connection)
        var helpers: [SQLiteConnection] = []
        while helpers.count < min(helperCountMax, Process.coreCount - 1),
            let helper = database.borrowReader(for: owner)
        {
            helpers.append(helper)
        }
        // A file that was replaced meanwhile has an index of its own, with which the leader's is not compared.
        let haveSameFiles = helpers.allSatisfy { $0.generation?.number == connection.generation?.number }
        guard !helpers.isEmpty, haveSameFiles,
            let made = begin(run, program, owner, connection, snapshot, helpers, table, database, pool)
        else {
            for helper in helpers { database.returnBorrowed(helper, of: owner) }
            return nil
        }
        return made
    }

    private static func begin(
        _ run: StatementRun, _ program: TableProgram?, _ owner: LinkOwner, _ connection: SQLiteConnection,
        _ snapshot: HeldSnapshot, _ helpers: [SQLiteConnection], _ table: SQLiteWholeTable, _ database: SQLiteDatabase,
        _ pool: WorkerPool
    ) -> ParallelScan? {
        let snapshots = [snapshot] + helpers.compactMap { HeldSnapshot($0) }
        guard snapshots.count == helpers.count + 1, hold(snapshots),
            let source = ScanSource(table, run.sql, rootPage: program?.rootPage, on: connection)
        else {
            for snapshot in snapshots { snapshot.release() }
            return nil
        }
        let reader = program.flatMap {
            $0.access == .all ? TableReader($0, connection.pages) : nil
        }
        let readers = zip([connection] + helpers, snapshots).map { ScanReader($0, $1, source.range, reader) }
        guard readers.allSatisfy(\.isReady) else {
            for reader in readers { reader.end() }
            return nil
        }
        return ParallelScan(
            run, owner, database, pool, source.rows, leader: readers[0], helpers: Array(readers.dropFirst()))
    }

    /// Begins read transactions that see the same: nobody commits before all have begun.
    private static func hold(_ snapshots: [HeldSnapshot]) -> Bool {
        for _ in 0..<attemptCountMax {
            for snapshot in snapshots { snapshot.take() }
            if snapshots.allSatisfy({ $0.isHeld && $0.isCurrent }) { return true }
            // It could not be begun, although nobody has committed.
            if snapshots.contains(where: { !$0.isHeld && $0.isCurrent }) { return false }
            for snapshot in snapshots { snapshot.release() }
        }
        return false
    }

    // MARK: The leader

    /// What to do next. `append` is to be followed by `giveBack`, `read` by `end`.
    func next() -> Step {
        state.withLock { state in
            if let id = state.chunks.popFirst() {
                guard let result = state.results.removeValue(forKey: id) else { return .wait }
                return .append(result)
            }
            if state.chunks.isEmpty { return .ended }
            if state.chunks.isFirstLeft, let chunk = state.chunks.take() { return .readFirst(chunk) }
            if let part = state.parts.last, let chunk = state.chunks.take() {
                state.parts.removeLast()
                return .read(chunk, part)
            }
            state.isLeaderWaiting = true
            return .wait
        }
    }

    /// Waits until a helper has read a chunk, or for a moment.
    func waitForHelper() {
        // A stop is noticed by whoever steps; this is for a helper that has failed to come.
        _ = chunkIsRead.wait(milliseconds: Self.waitMilliseconds)
        state.withLock { $0.isLeaderWaiting = false }
    }

    private static let waitMilliseconds: Int64 = 100

    /// The leader has read the first chunk into the sink itself.
    func endFirst(_ chunk: ScanChunks.Chunk, _ read: ScanReader.Rows, byteCount: Int) {
        state.withLock { state in
            state.chunks.end(chunk.id, behind: read.last, byteCount: byteCount)
            _ = state.chunks.popFirst()
        }
    }

    /// A chunk was read into a part.
    func end(_ chunk: ScanChunks.Chunk, _ part: Part, _ read: ScanReader.Rows) {
        part.sink.endPart()
        let byteCount = part.sink.pendingByteCount
        let isAwaited = state.withLock { state in
            state.chunks.end(chunk.id, behind: read.last, byteCount: byteCount)
            state.results[chunk.id] = Result(part: part, rowCount: read.count, failure: read.failure)
            defer { state.isLeaderWaiting = false }
            return state.isLeaderWaiting
        }
        if isAwaited { chunkIsRead.post() }
    }

    /// The sink's rows are taken from a part, which can have others now; or it is a new one.
    func giveBack(_ part: Part) { state.withLock { $0.parts.append(part) } }

    /// Makes the parts of a sink, now that it has rows: each thread reads into one, and one more of each waits for its turn; two more
    /// are for the time in which the leader is away with a full sink.
    ///
    /// As long as it cannot be divided, the leader reads everything.
    func divide(_ sink: RowSink) {
        guard !isDivided else { return }
        let threadCount = state.withLock { $0.idleHelpers.count } + 1
        let parts = sink.makeParts(2 * threadCount + 2).map { Part(sink: $0) }
        isDivided = !parts.isEmpty
        state.withLock { $0.parts = parts }
    }

    // MARK: Helpers

    /// Starts helpers for what can be read further on.
    func engage() {
        while let helper = nextHelper() {
            pool.submit(for: owner.uid) { [self] in help(helper) }
        }
    }

    private func nextHelper() -> ScanReader? {
        state.withLock { state in
            // Each helper on its way needs a part and a chunk, which are taken when its thread has begun.
            guard !state.isOver, state.busyHelpers.count < state.parts.count, state.chunks.hasLeft,
                let helper = state.idleHelpers.popLast()
            else { return nil }
            state.busyHelpers.append(helper)
            return helper
        }
    }

    private func help(_ helper: ScanReader) {
        owner.account.charge()
        helper.connection.share = (pool, owner.uid)
        let turnEnd = MonotonicInstant.now.advanced(byNanoseconds: Self.turnNanoseconds)
        var hasMore = false
        while let (chunk, part) = takeAsHelper() {
            end(chunk, part, helper.read(chunk.rows, into: part.sink, for: run))
            hasMore = turnEnd < .now
            if hasMore { break }
        }
        helper.connection.share = nil
        // Whoever waits for a place gets this one.
        let leaves = database.isReadingAwaited
        let isLeft = state.withLock { state in
            state.busyHelpers.removeAll { $0 === helper }
            if state.isOver || leaves { return true }
            state.idleHelpers.append(helper)
            return false
        }
        if isLeft { return dismiss(helper) }
        if hasMore { engage() }
    }

    private func takeAsHelper() -> (ScanChunks.Chunk, Part)? {
        state.withLock { state in
            guard !state.isOver, let part = state.parts.last, let chunk = state.chunks.take() else { return nil }
            state.parts.removeLast()
            return (chunk, part)
        }
    }

    private func dismiss(_ helper: ScanReader) {
        helper.end()
        database.returnBorrowed(helper.connection, of: owner)
    }

    // MARK: The end

    /// Ends all transactions. Helpers that read are interrupted, and leave by themselves.
    func end() {
        let idle = state.withLock { state in
            state.isOver = true
            for helper in state.busyHelpers { helper.connection.interrupt(run) }
            defer { state.idleHelpers = [] }
            return state.idleHelpers
        }
        for helper in idle { dismiss(helper) }
        leader.end()
    }
}
