// How the commits of other programs are noticed, without looking at the file all the time.
//
// The kernel tells when the log is written (inotify). That is before the commit can be seen: the writer then changes the header of
// the index, in shared memory, of which nobody tells, and gives back its lock. So after each event it is asked whether another
// process holds that lock, with growing pauses until none does. By then the counter in the header is right: it counts commits, of
// which those of our own are known. While nobody writes nothing is done at all.

internal import CSQLite
internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem

/// Watches the files of one database for as long as somebody listens to its changes.
///
/// - Thread: its loop's.
final class SQLiteChangeWatch: EventSource {
    private let changes: SQLiteChanges
    private let database: SQLiteDatabase
    private let context: DriverContext
    private var files: OpenFiles?
    private var pause = Pause()

    /// What is open between two replacements of the files.
    private struct OpenFiles {
        /// Keeps the files open and the index mapped; `nil` in memory.
        let reader: SQLiteConnection
        let generation: UInt64
        let watch: FileWatch
    }

    /// The time until somebody else is asked again.
    private struct Pause {
        private var microseconds = first
        private static let first: Int64 = 250
        private static let last: Int64 = 32_000

        mutating func next() -> Int64 {
            defer { microseconds = min(2 * microseconds, Self.last) }
            return microseconds * 1_000
        }

        mutating func reset() { microseconds = Self.first }
    }

    private enum Token {
        static let look: UInt64 = 0
        static let open: UInt64 = 1
        static let rest: UInt64 = 2
    }

    private var isLookDue = false
    private var isRestDue = false
    private var isEnded = false

    /// After the last listener has gone, for one that comes back, in milliseconds.
    private static let lingerMilliseconds: Int64 = 10_000
    /// Between two attempts to open what is not there, in milliseconds.
    private static let attemptMilliseconds: Int64 = 1_000

    private init(_ changes: SQLiteChanges, _ database: SQLiteDatabase, _ context: DriverContext) {
        self.changes = changes
        self.database = database
        self.context = context
    }

    /// Begins to watch, and tells the changes so.
    static func start(_ changes: SQLiteChanges, _ database: SQLiteDatabase, _ context: DriverContext) {
        let watch = SQLiteChangeWatch(changes, database, context)
        let mailbox = context.loop.mailbox
        let here = LoopBound(watch, mailbox)
        changes.feed.setOnDesertion { mailbox.submit { here.wrapped.wasDeserted() } }
        watch.open(isFirst: true)
    }

    // MARK: Opening

    private func open(isFirst: Bool) {
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let (database, workers) = (database, context.promptWorkers)
        let done: @Sendable (SQLiteConnection?, DriverError?) -> Void = { reader, error in
            mailbox.submit { here.wrapped.opened(reader, error, isFirst: isFirst) }
        }
        database.whenOpen { failure in
            if failure != nil || database.options.isMemory { return done(nil, failure) }
            workers.submit(for: LinkOwner.daemon.uid) {
                do throws(DriverError) {
                    let reader = try database.openReader(mayBlock: true)
                    let hasLog = reader.usesWAL && reader.changeCounter != nil
                    done(reader, hasLog ? nil : Self.noLog)
                } catch {
                    done(nil, error)
                }
            }
        }
    }

    private func opened(_ reader: SQLiteConnection?, _ failure: DriverError?, isFirst: Bool) {
        var failure = failure
        if isEnded { return reader.map(database.dispose) ?? () }
        if failure == nil {
            do throws(DriverError) { try watch(reader) } catch { failure = error }
        }
        if failure != nil, let reader { database.dispose(of: reader) }
        if isFirst { return changes.didBegin(failure) }
        if failure == nil {
            // What was written meanwhile is not known.
            changes.feed.tell(.replaced)
        } else {
            context.loop.schedule(
                self, token: Token.open, at: MonotonicInstant.now.advanced(byMilliseconds: Self.attemptMilliseconds))
        }
    }

    private func watch(_ reader: SQLiteConnection?) throws(DriverError) {
        guard let reader else { return changes.startCounting(nil) }
        guard let generation = reader.generation else { throw .databaseReplaced }
        let files: FileWatch
        do throws(Errno) {
            files = try FileWatch(reader.watchedPaths, on: context.loop) { [weak self] in self?.filesDidChange() }
        } catch {
            throw Self.notWatched(error)
        }
        self.files = OpenFiles(reader: reader, generation: generation.number, watch: files)
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        database.register(ObjectIdentifier(self)) { mailbox.submit { here.wrapped.filesDidLeave() } }
        // Whoever commits from now on is noticed.
        changes.startCounting(reader.changeCounter)
        if generation.number != database.currentGeneration { filesDidLeave() }
    }

    private func close() {
        guard let files = files.take() else { return }
        changes.stopCounting()
        files.watch.end()
        database.unregister(ObjectIdentifier(self))
        database.dispose(of: files.reader)
    }

    /// Other files are there, or none.
    private func filesDidLeave() {
        guard files != nil else { return }
        close()
        changes.feed.tell(.replaced)
        open(isFirst: false)
    }

    // MARK: Looking

    private func filesDidChange() {
        pause.reset()
        look()
    }

    private func look() {
        guard let files, database.isInPlace(files.generation) else { return }
        // In this order: a turn of ours that ends meanwhile has counted its commits.
        let turn = database.writes.idleTurn
        guard let turn, litebase_sqlite3_is_written_elsewhere(files.reader.handle) == 0,
            let counter = files.reader.changeCounter, database.writes.idleTurn == turn
        else { return lookAgain() }
        changes.compare(counter)
    }

    private func lookAgain() {
        guard !isLookDue else { return }
        isLookDue = true
        context.loop.schedule(
            self, token: Token.look, at: MonotonicInstant.now.advanced(byNanoseconds: pause.next()))
    }

    override func timerFired(_ token: UInt64) {
        switch token {
        case Token.look:
            isLookDue = false
            look()
        case Token.open: open(isFirst: false)
        default:
            isRestDue = false
            guard changes.endIfDeserted() else { return }
            isEnded = true
            close()
        }
    }

    private func wasDeserted() {
        guard !isRestDue else { return }
        isRestDue = true
        context.loop.schedule(
            self, token: Token.rest, at: MonotonicInstant.now.advanced(byMilliseconds: Self.lingerMilliseconds))
    }

    // MARK: Errors

    private static let noLog = DriverError(
        .badRequest, "The database has no write-ahead log, without which commits of other programs cannot be noticed.",
        hint: "A database that the daemon may write has one; for another: PRAGMA journal_mode = WAL.", sqlState: "0A000"
    )

    private static func notWatched(_ error: Errno) -> DriverError {
        DriverError(
            .databaseError, "The files of the database cannot be watched: \(error).",
            hint: "An administrator may raise fs.inotify.max_user_instances, or max_user_watches.", sqlState: "58030")
    }
}

extension SQLiteConnection {
    /// Its file and the log of that: SQLite finds the log where a symbolic link leads.
    fileprivate var watchedPaths: [String] {
        let resolved = sqlite3_db_filename(handle, "main").map { String(cString: $0) } ?? options.path
        return [options.path, resolved + "-wal"]
    }
}
