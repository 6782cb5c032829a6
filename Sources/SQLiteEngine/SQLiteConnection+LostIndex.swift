// Indexes of logs (-shm) that somebody has truncated while they were mapped, or for which the disk has no room
// (IndexMappings.c in CSQLiteFiles). What a connection has read since may be wrong. So after each piece of work the
// connection is asked whether its index is lost, before anything is answered; GuardedMethods.c decides what it may have
// committed.

internal import CSQLiteFiles
internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

extension SQLiteConnection {
    /// Whether the index is lost; if not, everything that was read until now was in the file.
    /// - Cost: two comparisons, while none is lost in this process.
    var hasLostIndex: Bool { litebase_sqlite3_losses() != knownLossCount ? findsLoss() : isIndexLost }

    /// The same after an error: a connection may also have met an index that others had lost before.
    @inline(never)
    func findsLoss() -> Bool {
        knownLossCount = litebase_sqlite3_losses()
        if !isIndexLost, litebase_sqlite3_has_lost_index(handle) != 0 { isIndexLost = true }
        if isIndexLost { generation?.isIndexLost.store(true, ordering: .relaxed) }
        return isIndexLost
    }

    /// A prepared statement, unless SQLite's knowledge of the schema may be wrong.
    func soundStatement(for run: StatementRun, isUnfitForLoop: Bool) throws(DriverError) -> CachedStatement {
        do throws(DriverError) {
            return try statement(for: run, isUnfitForLoop: isUnfitForLoop)
        } catch {
            throw findsLoss() && run.reasonBesidesReplacement == nil ? .indexLost(options.path) : error
        }
    }

    /// SQLite's error with a lost index may be anything.
    /// - Parameters:
    ///   - error: SQLite's error.
    ///   - commitCount: of this thread, before SQLite was called.
    /// - Returns: the error, or that the index is lost.
    func explain(_ error: DriverError, commitCountBefore commitCount: UInt64) -> DriverError {
        guard findsLoss() else { return error }
        return commitCount == litebase_sqlite3_commits() ? .indexLost(options.path) : .writtenWithLostIndex
    }
}

extension StatementRun {
    /// Why its client, or the daemon, stops it, apart from the replacement of the database.
    fileprivate var reasonBesidesReplacement: StopReason? { stopReason.flatMap { $0 == .databaseReplaced ? nil : $0 } }
}

extension SQLiteExecution {
    /// Ends what was done on a lost index, or resets it to its start.
    /// - Parameters:
    ///   - connection: on which it ran.
    ///   - mode: how it ran.
    ///   - commitCount: of this thread, before.
    ///   - wasBegun: whether its client may have some of its rows.
    ///   - outcome: its outcome on the lost index.
    /// - Returns: its final outcome.
    @inline(never)
    func lose(
        _ connection: SQLiteConnection, _ mode: AdvanceMode, _ commitCount: UInt64, wasBegun: Bool,
        _ outcome: AdvanceOutcome
    ) -> AdvanceOutcome {
        if commitCount != litebase_sqlite3_commits() {
            // It has read everything before the loss.
            if run.error != nil { run.error = .writtenWithLostIndex }
            return outcome
        }
        if run.error != nil, let reason = run.reasonBesidesReplacement {
            run.error = .stopped(reason)
            return outcome
        }
        // A write is undone by the owner of the write turn.
        let isWrite = if case .buffered = mode { true } else { false }
        guard wasBegun || isWrite else {
            rewind()
            releaseStatement()
            return .needsDatabase
        }
        run.error = .indexLost(connection.options.path)
        releaseStatement()
        run.summary.transaction = connection.transaction
        return .ended
    }

    /// Whether it can run again when the database is open again: a write on a lost index has left nothing.
    var mayStartAgain: Bool {
        if case .batch(isAtomic: false) = run.kind { return false }
        return run.error?.isReplacement == true
    }
}

extension SQLiteDatabase {
    /// Whether the links are notified because of the index.
    var hasLeftIndex: Bool { wasIndexLost.load(ordering: .relaxed) }

    /// Leaves the files if a connection has found their index to be lost.
    func noteLoss(_ connection: SQLiteConnection?) {
        guard let connection, let generation = connection.generation else { return }
        if connection.isIndexLost { generation.isIndexLost.store(true, ordering: .relaxed) }
        _ = isInPlace(generation)
    }

    /// Another database of this process has lost the index of its log; it is this one's as well if they are the same
    /// file with two names. Then neither can be opened again before both are closed: SQLite maps the index of a file
    /// only once.
    fileprivate func lookForLoss() {
        guard let generation, generation.files?.isIndexLost == true else { return }
        generation.isIndexLost.store(true, ordering: .relaxed)
        _ = isInPlace(generation)
    }

    /// Waits, for a second, for databases that have the same file under another name.
    func openFirstAfterLoss() throws(DriverError) -> Opening {
        for _ in 0..<50 {
            do throws(DriverError) {
                return try openFirst()
            } catch {
                guard error.isReplacement else { throw error }
                Process.sleep(microseconds: 20_000)
            }
        }
        return try openFirst()
    }
}

/// The databases whose index may be lost.
///
/// - Thread: any.
enum SQLiteLosses {
    private struct Watched: Sendable {
        weak var database: SQLiteDatabase?
    }

    private static let watched = Mutex<[ObjectIdentifier: Watched]>([:])

    static func watch(_ database: SQLiteDatabase) {
        watched.withLock { $0[ObjectIdentifier(database)] = Watched(database: database) }
    }

    static func forget(_ database: SQLiteDatabase) {
        watched.withLock { _ = $0.removeValue(forKey: ObjectIdentifier(database)) }
    }

    /// Has all others check.
    static func tell(of loser: SQLiteDatabase) {
        let others = watched.withLock { $0.values.compactMap(\.database) }
        for other in others where other !== loser { other.lookForLoss() }
    }
}
