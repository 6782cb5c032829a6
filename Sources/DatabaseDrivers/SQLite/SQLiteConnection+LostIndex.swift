// Indexes of logs (-shm) that somebody has truncated while they were mapped, or that the disk cannot hold (IndexMappings.c in
// CSQLiteFiles). What a connection has read since is wrong, perhaps. So after each piece of work it is asked whether its index
// is lost, before anything is told; what it may have committed, GuardedMethods.c decides.

internal import CSQLiteFiles
internal import LinuxSystem
internal import Synchronization

extension SQLiteConnection {
    /// Whether the index is lost; if not, all that was read until now was in the file.
    /// - Cost: two comparisons, as long as none is lost in this process.
    var hasLostIndex: Bool { litebase_sqlite3_losses() != knownLossCount ? findsLoss() : isIndexLost }

    /// The same after an error: a connection may also have met an index that others had lost before.
    @inline(never)
    func findsLoss() -> Bool {
        knownLossCount = litebase_sqlite3_losses()
        if !isIndexLost, litebase_sqlite3_has_lost_index(handle) != 0 { isIndexLost = true }
        if isIndexLost { generation?.isIndexLost.store(true, ordering: .relaxed) }
        return isIndexLost
    }

    /// A prepared statement, unless what SQLite knows of the schema may be wrong.
    func soundStatement(for run: StatementRun, isUnfitForLoop: Bool) throws(DriverError) -> CachedStatement {
        do throws(DriverError) {
            return try statement(for: run, isUnfitForLoop: isUnfitForLoop)
        } catch {
            throw findsLoss() && run.reasonBesidesReplacement == nil ? .indexLost(options.path) : error
        }
    }

    /// What SQLite says when it has a lost index may be anything.
    /// - Parameters:
    ///   - error: what it says.
    ///   - commitCount: of this thread, before SQLite was called.
    /// - Returns: the error, or that the index is lost.
    func explain(_ error: DriverError, commitCountBefore commitCount: UInt64) -> DriverError {
        guard findsLoss() else { return error }
        return commitCount == litebase_sqlite3_commits() ? .indexLost(options.path) : .writtenWithLostIndex
    }
}

extension StatementRun {
    /// Why its client, or the daemon, wants it to end; that the database is left is known.
    fileprivate var reasonBesidesReplacement: StopReason? { stopReason.flatMap { $0 == .databaseReplaced ? nil : $0 } }
}

extension SQLiteExecution {
    /// Ends what was done on a lost index, or takes it back to its start.
    /// - Parameters:
    ///   - connection: on which it was run.
    ///   - mode: how it was run.
    ///   - commitCount: of this thread, before.
    ///   - wasBegun: whether its client may have some of its rows.
    ///   - outcome: what came of it.
    /// - Returns: what comes of it.
    @inline(never)
    func lose(
        _ connection: SQLiteConnection, _ mode: AdvanceMode, _ commitCount: UInt64, wasBegun: Bool,
        _ outcome: AdvanceOutcome
    ) -> AdvanceOutcome {
        if commitCount != litebase_sqlite3_commits() {
            // All that it has read, it has read before.
            if run.error != nil { run.error = .writtenWithLostIndex }
            return outcome
        }
        if run.error != nil, let reason = run.reasonBesidesReplacement {
            run.error = .stopped(reason)
            return outcome
        }
        // A write is taken back by whoever has the turn to write.
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

    /// Whether it can be done once more when the database is open again: of a write on a lost index, nothing is there.
    var mayStartAgain: Bool {
        if case .batch(isAtomic: false) = run.kind { return false }
        return run.error?.isReplacement == true
    }
}

extension SQLiteDatabase {
    /// Whether what its links are told is about the index.
    var hasLeftIndex: Bool { wasIndexLost.load(ordering: .relaxed) }

    /// Leaves the files if a connection has found their index to be lost.
    func noteLoss(_ connection: SQLiteConnection?) {
        guard let connection, let generation = connection.generation else { return }
        if connection.isIndexLost { generation.isIndexLost.store(true, ordering: .relaxed) }
        _ = isInPlace(generation)
    }

    /// Another database of this process has lost the index of its log; it is this one's as well if they are the same file by two
    /// names. Then neither can be opened anew before both are closed: SQLite maps the index of a file only once.
    fileprivate func lookForLoss() {
        guard let generation, generation.files?.isIndexLost == true else { return }
        generation.isIndexLost.store(true, ordering: .relaxed)
        _ = isInPlace(generation)
    }

    /// Waits for those who have the same file by another name, for a second.
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

    /// Has all others look.
    static func tell(of loser: SQLiteDatabase) {
        let others = watched.withLock { $0.values.compactMap(\.database) }
        for other in others where other !== loser { other.lookForLoss() }
    }
}
