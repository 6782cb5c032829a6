// A loop's own reader of a file. A held snapshot and a page cache make many short reads cheap.

internal import DatabaseContract
internal import LinuxSystem

/// The connection that a loop keeps for its short reads.
///
/// While they are frequent, they share a transaction as long as nobody commits (`HeldSnapshot`), for 10 ms at most.
/// - Thread: the loop of its context.
final class LoopReader: EventSource {
    private let database: SQLiteDatabase
    private let context: DriverContext
    @exclusivity(unchecked) private var own: SQLiteConnection?
    /// Reads since the window began.
    @exclusivity(unchecked) private var readCount = 0
    @exclusivity(unchecked) private var windowStart = MonotonicInstant.now
    @exclusivity(unchecked) private var isWindowTimerSet = false
    /// Whether there was a read since the last check for idleness.
    @exclusivity(unchecked) private var wasUsed = false
    @exclusivity(unchecked) private var isIdleTimerSet = false

    private static let windowNanoseconds: Int64 = 10_000_000
    /// Number of reads in a window from which a held snapshot saves more than it costs.
    private static let holdReadCountMin = 32
    /// Time after which pages are released, in milliseconds, and the interval of checks for idleness.
    private static let pageMillisecondsMax: Int64 = 10_000
    /// How long there was no read.
    private var idleMilliseconds: Int64 = 0
    private static let windowToken: UInt64 = 0
    private static let idleToken: UInt64 = 1

    init(_ database: SQLiteDatabase, _ context: DriverContext) {
        self.database = database
        self.context = context
    }

    // MARK: Lending

    /// The reader for a statement on the loop; to be called after the statement's request was read, not before.
    func take() throws(DriverError) -> SQLiteConnection {
        let reader = if let own = own.take() { own } else { try open() }
        noteRead(reader)
        return reader
    }

    private func open() throws(DriverError) -> SQLiteConnection {
        let reader = if let idle = database.idleReader() { idle } else { try database.openReader(mayBlock: false) }
        reader.resizePageCache(database.options.pageCacheByteCountMax)
        return reader
    }

    /// A reader for a statement on a worker, if one is open: the loop's own reader only if it is not worth keeping for short reads.
    func takeForWorker() -> SQLiteConnection? {
        let reader = if let idle = database.idleReader() { idle } else { takeUnlessKept() }
        if let reader { prepareForWorker(reader) }
        return reader
    }

    private func takeUnlessKept() -> SQLiteConnection? {
        own?.isWorthKeeping == true ? nil : own.take()
    }

    /// Prepares a reader for a long read, which a loop or a worker continues.
    func prepareForWorker(_ reader: SQLiteConnection) {
        reader.snapshot?.release()
        // A scan would fill the cache with pages that nobody needs again.
        reader.resizePageCache(SQLiteOptions.smallPageCacheByteCount)
    }

    func takeBack(_ reader: consuming SQLiteConnection) {
        if own == nil {
            reader.resizePageCache(database.options.pageCacheByteCountMax)
            own = reader
        } else {
            giveBack(reader)
        }
    }

    private func giveBack(_ reader: SQLiteConnection) {
        prepareForWorker(reader)
        database.returnReader(reader)
    }

    /// Closes the reader.
    func discard() { own = nil }

    /// Closes the reader if the files that it reads are not at their paths any more.
    func discardIfReplaced() {
        if own?.generation?.number != database.currentGeneration { discard() }
    }

    /// Releases the reader; the next read opens a new one.
    func close() {
        if let own = own.take() { giveBack(own) }
    }

    // MARK: The snapshot

    private func noteRead(_ reader: SQLiteConnection) {
        noteUse()
        readCount &+= 1
        if let snapshot = reader.snapshot, snapshot.isHeld {
            if !snapshot.isCurrent { snapshot.release() }
        } else if readCount >= Self.holdReadCountMin {
            holdIfFrequent(reader)
        }
    }

    /// Records that somebody uses the database, without this reader.
    func noteUse() {
        wasUsed = true
        if !isIdleTimerSet { setIdleTimer() }
    }

    private func holdIfFrequent(_ reader: SQLiteConnection) {
        let now = context.loop.now
        let isFrequent = now.nanoseconds(since: windowStart) < Self.windowNanoseconds
        windowStart = now
        readCount = 0
        guard isFrequent else { return }
        reader.mayBlock = false
        _ = reader.withinLoopBudget {
            if reader.snapshot == nil { reader.snapshot = HeldSnapshot(reader) }
            reader.snapshot?.take()
        }
        if !isWindowTimerSet { setWindowTimer() }
    }

    private func setWindowTimer() {
        isWindowTimerSet = true
        let end = context.loop.now.advanced(byNanoseconds: Self.windowNanoseconds)
        context.loop.schedule(self, token: Self.windowToken, at: end)
    }

    override func timerFired(_ token: UInt64) {
        if token == Self.idleToken { return lookAtIdleness() }
        isWindowTimerSet = false
        // A reader that is not here has left the loop, and its snapshot was released.
        guard let own, let snapshot = own.snapshot, snapshot.isHeld else { return }
        snapshot.release()
        if readCount >= Self.holdReadCountMin { holdIfFrequent(own) }
    }

    // MARK: Idleness

    private var lookMilliseconds: Int64 {
        let idle = database.options.idleMillisecondsMax
        return idle > 0 ? min(idle, Self.pageMillisecondsMax) : Self.pageMillisecondsMax
    }

    private func setIdleTimer() {
        isIdleTimerSet = true
        wasUsed = false
        context.loop.schedule(
            self, token: Self.idleToken, at: context.loop.now.advanced(byMilliseconds: lookMilliseconds))
    }

    private func lookAtIdleness() {
        isIdleTimerSet = false
        if wasUsed {
            idleMilliseconds = 0
            return setIdleTimer()
        }
        let wasIdle = idleMilliseconds
        idleMilliseconds += lookMilliseconds
        if wasIdle < Self.pageMillisecondsMax, idleMilliseconds >= Self.pageMillisecondsMax {
            own?.releasePages()
            context.longReadWorkers.submit(for: LinkOwner.daemon.uid) { Memory.trim() }
        }
        guard database.options.idleMillisecondsMax > 0, !database.options.isMemory else { return }
        if idleMilliseconds < database.options.idleMillisecondsMax { return setIdleTimer() }
        idleMilliseconds = 0
        rest()
    }

    /// Closes the reader, and with it the database unless others use it.
    private func rest() {
        let (database, reader) = (database, own.take())
        context.promptWorkers.submit(for: LinkOwner.daemon.uid) {
            reader?.close()
            database.restIfUnused()
        }
    }
}
