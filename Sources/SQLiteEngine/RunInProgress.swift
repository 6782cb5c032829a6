// What belongs to one run on a connection, and is replaced as a whole by the next one.

internal import DatabaseContract
internal import LinuxSystem

/// The run for which a connection works, from `SQLiteConnection.begin` to `end`.
struct RunInProgress {
    /// Its stop flag counts. Not retained: the caller of `begin` holds it until `end`.
    unowned(unsafe) let run: StatementRun
    /// The statement that is stepped; `nil` while one is prepared.
    let stepped: OpaquePointer?
    let writes: Bool
    /// It checkpoints the log: it does what it can, and does not make writers wait for readers.
    let isCheckpoint: Bool
    /// When the allocation guard learned that it has to stop.
    var stoppedSince: MonotonicInstant?

    init(_ run: StatementRun, _ statement: CachedStatement?) {
        self.run = run
        stepped = statement?.handle
        writes = statement.map { !$0.isReadOnly } ?? false
        isCheckpoint = statement?.isCheckpoint ?? false
    }
}

/// The time that something has on its thread.
struct ThreadBudget {
    /// On a loop: when it has to leave it. Elsewhere: never, but for what a writer prepares.
    var deadline = MonotonicInstant.distantFuture
    /// It was interrupted because of that.
    var isSpent = false
    /// The computing time of the thread when the deadline was first found to have passed.
    var computedAtDeadline: Int64?
}

/// Whether a statement inserts rows with a rowid into its table.
struct InsertWatch {
    var hasInserted = false
    var target = ""
    /// Whether SQLite calls the hook.
    var isInstalled = false
}
