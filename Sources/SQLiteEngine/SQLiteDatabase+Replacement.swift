// Files that are deleted or replaced while they are open: how that is noticed, and how all connections get to the new
// files.
//
// Links check at their next request, at most ten times a second; the writer checks before and after each group, and
// sessions before and after a commit. The index of the log (-shm) is one of the files; whoever reads it finds out that
// it was truncated (SQLiteConnection+LostIndex.swift). First all connections to the old files end, then the content of
// their log is written into the file to which it belongs, then the path is opened again: SQLite finds the log by its
// path, and would otherwise play the old log into the new file.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

extension SQLiteExecution {
    /// It was done, but nobody can say in which file.
    func endAsUnknown() {
        run.restart()
        run.batchSummaries = []
        run.error = .writtenIntoReplaced
    }
}

extension SQLiteDatabase {
    /// Registers a link to be notified when the files are gone. `notify` is called on any thread.
    func register(_ link: ObjectIdentifier, notify: @escaping @Sendable () -> Void) {
        state.withLock { $0.links[link] = notify }
    }

    func unregister(_ link: ObjectIdentifier) {
        state.withLock { state in _ = state.links.removeValue(forKey: link) }
    }

    var generation: SQLiteGeneration? {
        state.withLock { if case .open(_, let generation) = $0.opening { generation } else { nil } }
    }

    /// Whether the database is in that opening, and its files are at their paths; if not, all links are notified.
    func isInPlace(_ number: UInt64) -> Bool {
        guard let generation, generation.number == number else { return false }
        return isInPlace(generation)
    }

    /// A longer log is truncated when it restarts, and is a reason to end what keeps it from restarting.
    static let logByteCountMax: Int64 = 64 << 20

    /// What a snapshot of that user withholds from others.
    func pressure(ofSnapshotOf uid: UInt32) -> LinkPressure {
        if let files = generation?.files, files.hasLog {
            if files.logByteCount > Self.logByteCountMax { return .log }
        } else if writes.isWanted {
            return .lock
        }
        return isReadingAwaited(byOthersThan: uid) ? .place : .none
    }

    func isInPlace(_ generation: SQLiteGeneration) -> Bool {
        let isIndexLost = generation.isIndexLost.load(ordering: .relaxed)
        guard let files = generation.files, isIndexLost || !files.areInPlace else {
            return generation.number == currentGeneration
        }
        leave(generation.number, files)
        return false
    }

    /// Opens a connection to the same files as all others.
    /// - Throws: `DriverError.databaseReplaced` if they are not there any more.
    func openConnection(_ role: SQLiteRole, mayBlock: Bool = true) throws(DriverError) -> SQLiteConnection {
        guard let generation, isInPlace(generation) else { throw .databaseReplaced }
        let connection: SQLiteConnection
        do throws(DriverError) {
            connection = try SQLiteConnection(options, role: role, mayBlock: mayBlock)
        } catch {
            if error.isReplacement {
                generation.isIndexLost.store(true, ordering: .relaxed)
                _ = isInPlace(generation)
            }
            throw error
        }
        connection.generation = generation
        // The path may have led elsewhere for a moment.
        guard generation.files?.isOf(connection) ?? true, isInPlace(generation) else { throw .databaseReplaced }
        return connection
    }

    // MARK: Writing

    /// Runs a group of autocommit writes, which get an error if the file was not the one at its path.
    func write(_ group: [SQLiteExecution]) {
        let opening = state.withLock { $0.opening }
        guard case .open(let writer?, let generation) = opening, isInPlace(generation) else {
            for execution in group where execution.claim.begin() { execution.claim.undo() }
            return
        }
        writer.run(group)
        if writer.connection.hasLostIndex {
            generation.isIndexLost.store(true, ordering: .relaxed)
        } else if writer.connection.hasMetDamage {
            replaceWriter(writer, generation)
        }
        // What is acknowledged was in the file at that path after its commit.
        if isInPlace(generation) { return }
        let keepsCommits = generation.files?.keepCommits ?? true
        for execution in group where execution.claim.isFinished {
            if execution.mayStartAgain {
                execution.run.restart()
                execution.claim.undo()
            } else if !keepsCommits, execution.run.error == nil {
                execution.endAsUnknown()
            }
        }
    }

    /// Lets a session write, and gives it an error if the file was not the one at its path.
    func write(_ execution: SQLiteExecution, _ body: () -> Void) {
        guard let connection = execution.connection, let generation = connection.generation else { return body() }
        guard isInPlace(generation) else {
            execution.run.error = .databaseReplaced
            return
        }
        body()
        let isDone = execution.run.error == nil && connection.transaction == .none
        guard isDone || connection.hasLostIndex, !isInPlace(generation) else { return }
        if isDone, generation.files?.keepCommits == false { execution.endAsUnknown() }
    }

    /// After a damaged file was met, nothing that the connection has cached of it is used any more.
    private func replaceWriter(_ former: SQLiteWriter, _ generation: SQLiteGeneration) {
        guard let connection = try? SQLiteConnection(options, role: .writer),
            generation.files?.isOf(connection) ?? true
        else { return }
        state.withLock { state in
            guard case .open(let writer, let current) = state.opening, writer === former, current === generation else {
                return
            }
            state.opening = .open(SQLiteWriter(connection), generation)
        }
    }

    // MARK: Leaving the former files

    private func leave(_ number: UInt64, _ files: SQLiteFileSet) {
        let (change, isIndex) = files.change
        // What is removed from the state is released outside of the lock.
        let left = state.withLock { state -> (SQLiteGeneration, [SQLiteConnection], [@Sendable () -> Void])? in
            guard case .open(let writer, let generation) = state.opening, generation.number == number else {
                return nil
            }
            state.opening = .leaving(writer, generation.files)
            wasIndexLost.store(isIndex, ordering: .relaxed)
            setCurrentGeneration(0)
            let readers = state.idleReaders
            state.idleReaders = []
            return (generation, readers, Array(state.links.values))
        }
        guard let left else { return }
        if isIndex { files.loseIndex() }
        onReplaced(change)
        for notify in left.2 { notify() }
        if isIndex { promptWorkers.submit(for: LinkOwner.daemon.uid) { SQLiteLosses.tell(of: self) } }
    }

    /// All connections to the old files but the writer's are closed.
    func nobodyIsLeft() {
        let ticket = WriteTicket(
            .session(granted: { [self] in promptWorkers.submit(for: LinkOwner.daemon.uid) { [self] in openAnew() } }),
            .daemon
        )
        writes.enqueue(ticket)
    }

    /// Closes the writer, too, and opens the present files if somebody waits for them.
    private func openAnew() {
        let opening = state.withLock { $0.opening }
        if case .leaving(let writer, let files) = opening, let writer {
            let settlement = files?.settle(writer.connection) ?? SQLiteFileSet.Settlement()
            if let trouble = settlement.trouble { onReplaced(trouble) }
            state.withLock { $0.strandedLog = settlement.strandedLog }
            writer.connection.close()
        }
        let isAwaited = state.withLock { state in
            guard case .leaving = state.opening else { return false }
            state.opening = state.openWaiters.isEmpty ? .closed : .opening
            return !state.openWaiters.isEmpty
        }
        writes.release()
        if isAwaited { open() }
    }
}
