// A session: one connection that belongs to one client, with its transaction, temporary tables and settings.

internal import CSQLite
public import DatabaseContract
internal import LinuxSystem
internal import SQLText

/// The link of a session to its database.
///
/// The server starts one run at a time.
/// - Thread: the loop of its context.
public final class SQLiteSessionLink: DatabaseLink {
    private let link: Implementation

    /// Opens the database if necessary, then a connection for the session.
    static func open(
        _ request: SessionRequest, _ database: SQLiteDatabase, _ context: DriverContext,
        done: @escaping (SessionOpening) -> Void
    ) {
        open(request, database, context, attemptCount: 3, done: done)
    }

    private static func open(
        _ request: SessionRequest, _ database: SQLiteDatabase, _ context: DriverContext, attemptCount: Int,
        done: @escaping (SessionOpening) -> Void
    ) {
        let bound = LoopBound((context: context, done: done), context.loop.mailbox)
        let mailbox = context.loop.mailbox
        let workers = context.promptWorkers
        database.whenOpen { failure in
            if let failure { return mailbox.submit { bound.wrapped.done(.failure(failure)) } }
            // Opening uses the disk.
            workers.submit(for: request.owner.uid) {
                let role = SQLiteRole.session(request.owner, isReadOnly: request.isReadOnly || database.isReadOnly)
                do throws(DriverError) {
                    let connection = try database.openConnection(role)
                    mailbox.submit {
                        bound.wrapped.done(.success(SQLiteSessionLink(database, bound.wrapped.context, connection)))
                    }
                } catch {
                    mailbox.submit {
                        let (context, done) = bound.wrapped
                        guard error.isReplacement, attemptCount > 1 else { return done(.failure(error)) }
                        open(request, database, context, attemptCount: attemptCount - 1, done: done)
                    }
                }
            }
        }
    }

    private init(_ database: SQLiteDatabase, _ context: DriverContext, _ connection: SQLiteConnection) {
        link = Implementation(database, context, connection)
    }

    public func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome {
        link.begin(link.execution(for: run, owner))
    }
    public func resume(_ run: StatementRun) -> RunOutcome { link.resume(run) }
    public func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome { link.stop(run, reason) }
    public var databaseName: String { link.database.label }
    public var engine: Engine { .sqlite }
    public var serverVersion: String { SQLiteLibrary.version }
    public var transaction: TransactionState { link.lastTransaction }
    public func pressure(on uid: UInt32) -> LinkPressure {
        guard link.hasSnapshot else { return .none }
        return switch link.database.pressure(ofSnapshotOf: uid) {
        case .log: .log
        case .lock: link.holdsUpWriters ? .none : .lock
        case .place, .none: .none
        }
    }
    public func close() { link.close() }

    private final class Implementation: SQLiteLink {
        /// `nil` if its file was deleted or replaced: the session cannot be used any more.
        private var connection: SQLiteConnection?
        private let isReadOnly: Bool
        /// True while this session has the turn to write.
        private var hasWriteTurn = false
        private var isClosed = false
        /// True while a run has the connection.
        private var isInUse = false
        /// Whether SQLite may have to read the schema in the middle of a transaction: none is read yet, others have
        /// changed it, or a part of the transaction was rolled back. If that takes too long, a loop ends it by a failed
        /// allocation, and SQLite then rolls back everything (sqlite3VdbeHalt in src/vdbeaux.c): the statement, started
        /// again on a worker, would be committed on its own. So such statements are prepared on a worker. After the
        /// first one, a snapshot keeps the schema.
        private var isSchemaInDoubt = true
        /// The state after the last run; a worker may be using the connection itself.
        private(set) var lastTransaction = TransactionState.none

        /// Whether a transaction or a statement is open.
        var hasSnapshot: Bool { isInUse || lastTransaction != .none }

        init(_ database: SQLiteDatabase, _ context: DriverContext, _ connection: SQLiteConnection) {
            self.connection = connection
            isReadOnly = if case .session(_, let isReadOnly) = connection.role { isReadOnly } else { false }
            super.init(database, context)
            generation = connection.generation?.number ?? 0
        }

        /// The session's connection, unless its file is known to be gone.
        func usableConnection() -> SQLiteConnection? {
            if connection != nil, !isCurrent { discardStaleConnections() }
            return connection
        }

        override func begin(_ execution: SQLiteExecution) -> RunOutcome {
            guard let connection = usableConnection() else { return end(execution, .sessionReplaced) }
            isInUse = true
            switch execution.run.kind {
            case .batch(let isAtomic):
                execution.connection = connection
                return isReadOnly ? runBatch(execution, connection, isAtomic) : enqueueWrite(execution)
            case .load:
                execution.connection = connection
                return isReadOnly ? end(execution, .sessionReadOnly) : enqueueWrite(execution)
            case .restore: return end(execution, .restoreInSession)
            case .copy: return end(execution, .noCopy)
            case .statement, .describe, .backup: break
            }
            if lastTransaction != .none, isSchemaInDoubt || !connection.hasSnapshotOfEachFile {
                isSchemaInDoubt = SQLiteText.mayControlTransaction(execution.run.sql)
                execution.connection = connection
                return prepareOnWorker(execution)
            }
            if execution.run.sql.count > Self.loopSQLByteCountMax {
                execution.connection = connection
                return prepareOnWorker(execution)
            }
            // They free memory and files, some while they are prepared; and a transaction may have written much of what is temporary.
            if SQLiteText.isAdministration(execution.run.sql)
                || !hasWriteTurn && SQLiteText.mayControlTransaction(execution.run.sql) && connection.hasWritten
            {
                execution.connection = connection
                return prepareOnWorker(execution)
            }
            if case .describe = execution.run.kind {
                connection.mayBlock = false
                execution.connection = connection
                if isKeptFromLoop(execution, connection) { return prepareOnWorker(execution) }
                execution.describe(on: connection)
                notePreparation(execution, connection)
                return connection.mustPrepareOnWorker ? prepareOnWorker(execution) : end(execution)
            }
            let statement: CachedStatement
            switch prepareOnLoop(execution, connection) {
            case .prepared(let made): statement = made
            case .not(let outcome): return outcome
            }
            if statement.controlsTransaction { isSchemaInDoubt = true }
            // See SQLiteSharedLink: this reference of the statement must not outlive the stay of the connection on the loop.
            if !statement.isReadOnly && !isReadOnly {
                _ = consume statement
                return enqueueWrite(execution)
            }
            // COMMIT waits for the disk.
            if statement.controlsTransaction && hasWriteTurn {
                _ = consume statement
                return runWriteOnWorker(execution)
            }
            // The file does not show how large temporary and attached tables are.
            if startsOnWorker(execution, statement, connection, mayCountRows: false) {
                _ = consume statement
                return runOnWorker(execution)
            }
            return runOnLoop(execution, connection, consume statement)
        }

        /// A transaction that was lost on the loop all the same is told: what comes behind it would be committed by itself.
        override func reserveWorker(_ execution: SQLiteExecution) -> RunOutcome? {
            guard lastTransaction == .active, connection?.transaction == TransactionState.none else { return nil }
            isSchemaInDoubt = true
            return end(execution, .transactionLost)
        }

        /// Without a log, who reads waits for whoever writes, and all threads for long reads may be taken by those who do.
        override var holdsUpWriters: Bool { hasWriteTurn }

        override func needsNoWriteTurn(_ execution: SQLiteExecution) -> Bool { isReadOnly || hasWriteTurn }

        override func enqueueWrite(_ execution: SQLiteExecution) -> RunOutcome {
            execution.interruptTarget = connection
            if hasWriteTurn { return runWrite(execution) }
            let link = LoopBound(self, context.loop.mailbox)
            let database = database
            wait(
                execution,
                WriteTicket(
                    .session(granted: {
                        execution.continueOnLoop { link.wrapped.granted(execution, database) }
                    }), execution.owner))
            return .pending
        }

        private func granted(_ execution: SQLiteExecution, _ database: SQLiteDatabase) -> RunOutcome {
            stopWaiting(execution)
            hasWriteTurn = true
            if generation != database.currentGeneration { return end(execution, .sessionReplaced) }
            if let reason = execution.run.stopReason {
                execution.run.error = .stopped(reason)
                return end(execution)
            }
            return runWrite(execution)
        }

        private func runWrite(_ execution: SQLiteExecution) -> RunOutcome {
            guard let connection else { return runWriteOnWorker(execution) }
            switch execution.run.kind {
            case .batch(let isAtomic): return runBatch(execution, connection, isAtomic)
            case .load(let load):
                return runAsWriter(execution, connection, in: context.promptWorkers) {
                    SQLiteLoad(execution, connection, load).run()
                }
            case .statement, .describe, .backup, .restore, .copy: return runWriteOnWorker(execution)
            }
        }

        private func runBatch(
            _ execution: SQLiteExecution, _ connection: SQLiteConnection, _ isAtomic: Bool
        ) -> RunOutcome {
            // A read-only session may take any time, and no writer should wait for it.
            runAsWriter(execution, connection, in: isReadOnly ? context.longReadWorkers : context.promptWorkers) {
                connection.mayBlock = true
                SQLiteBatch(execution, connection).run(isAtomic: isAtomic)
            }
        }

        private func runAsWriter(
            _ execution: SQLiteExecution, _ connection: SQLiteConnection, in pool: WorkerPool,
            _ work: @escaping @Sendable () -> Void
        ) -> RunOutcome {
            move(execution, to: .worker)
            execution.interruptTarget = connection
            let link = LoopBound(self, context.loop.mailbox)
            let database = database
            pool.submit(for: execution.owner.uid) {
                database.write(execution, work)
                execution.continueOnLoop { link.wrapped.end(execution) }
            }
            return .pending
        }

        override func takeBack(_ connection: consuming SQLiteConnection) {
            connection.releaseMemoryIfShort()
            isInUse = false
            if connection.isIndexLost { database.noteLoss(connection) }
            if generation != database.currentGeneration { return discardStaleConnections() }
            lastTransaction = connection.transaction
            if hasWriteTurn && !connection.holdsWriteLock { giveUpWriteTurn() }
        }

        private func giveUpWriteTurn() {
            hasWriteTurn = false
            database.writes.release()
        }

        func close() {
            guard !isClosed else { return }
            isClosed = true
            disconnect()
        }

        override var replacedError: DriverError {
            database.hasLeftIndex ? .sessionIndexLost(database.options.path) : .sessionReplaced
        }

        override func discardStaleConnections() {
            if !isInUse { disconnect() }
        }

        /// Rolls back and closes the connection.
        private func disconnect() {
            guard let connection else { return }
            let (database, hadWriteTurn) = (database, hasWriteTurn)
            self.connection = nil
            hasWriteTurn = false
            lastTransaction = .none
            // A rollback may have much to undo.
            RestTimer.start(database, context)
            context.promptWorkers.submit(for: connection.role.uid) {
                if connection.transaction == .active { try? connection.execute("ROLLBACK") }
                connection.close()
                if hadWriteTurn { database.writes.release() }
            }
        }
    }
}

extension SQLiteExecution {
    /// Describes a statement without running it. A loop may find that a worker has to do it
    /// (`SQLiteConnection.mustPrepareOnWorker`).
    func describe(on connection: SQLiteConnection) {
        run.error = nil
        owner.account.charge()
        do throws(DriverError) {
            connection.lookAtSchema(for: run)
            let statement = try connection.soundStatement(for: run, isUnfitForLoop: isUnfitForLoop)
            if !connection.mayBlock, statement.parameterCount > SQLiteBudget.loopNamedParameterCountMax {
                connection.mustPrepareOnWorker = true
                return statement.release()
            }
            run.description = StatementDescription(
                columns: statement.columns.columns, parameters: statement.parameterNames(.max),
                isReadOnly: statement.isReadOnly)
            statement.release()
            if connection.hasLostIndex { run.error = .indexLost(connection.options.path) }
        } catch {
            run.error = error
        }
    }
}

extension DriverError {
    fileprivate static let sessionReadOnly = DriverError(
        .readOnly, "The session is read-only, and this is for writing.", sqlState: "25006")
}
