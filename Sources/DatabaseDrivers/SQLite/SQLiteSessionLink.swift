// A session: one connection that belongs to one client, with its transaction, temporary tables and settings.

internal import CSQLite
internal import LinuxSystem

/// A session's way to its database.
///
/// The server starts one run at a time.
/// - Thread: the loop of its context.
public final class SQLiteSessionLink: DatabaseLink {
    private let link: Implementation

    /// Opens the database if need be, then a connection for the session.
    static func open(
        _ request: SessionRequest, _ database: SQLiteDatabase, _ context: DriverContext,
        done: @escaping (Result<any DatabaseLink, DriverError>) -> Void
    ) {
        open(request, database, context, attemptCount: 3, done: done)
    }

    private static func open(
        _ request: SessionRequest, _ database: SQLiteDatabase, _ context: DriverContext, attemptCount: Int,
        done: @escaping (Result<any DatabaseLink, DriverError>) -> Void
    ) {
        let bound = LoopBound((context: context, done: done), context.loop.mailbox)
        let mailbox = context.loop.mailbox
        let writers = context.writers
        database.whenOpen { failure in
            if let failure { return mailbox.submit { bound.wrapped.done(.failure(failure)) } }
            // Opening touches the disk.
            writers.submit(for: request.owner.uid) {
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

    public func start(_ run: StatementRun, for owner: LinkOwner) { link.begin(link.execution(for: run, owner)) }
    public func resume(_ run: StatementRun) { link.resume(run) }
    public func stop(_ run: StatementRun, _ reason: StopReason) { link.stop(run, reason) }
    public var databaseName: String { link.database.label }
    public var engine: Engine { .sqlite }
    public var serverVersion: String { SQLiteLibrary.version }
    public var transaction: TransactionState { link.lastTransaction }
    public func pressure(on uid: UInt32) -> LinkPressure {
        link.hasSnapshot && link.database.pressure(ofSnapshotOf: uid) == .log ? .log : .none
    }
    public func close() { link.close() }

    private final class Implementation: SQLiteLink {
        /// `nil` when its file was deleted or replaced: the session is of no use any more.
        private var connection: SQLiteConnection?
        private let isReadOnly: Bool
        /// True while this session has the turn to write.
        private var hasWriteTurn = false
        private var isClosed = false
        /// True while a run has the connection.
        private var isInUse = false
        /// As the last run left it; the connection itself may be in use by a worker.
        private(set) var lastTransaction = TransactionState.none

        /// A transaction is open, or a statement.
        var hasSnapshot: Bool { isInUse || lastTransaction != .none }

        init(_ database: SQLiteDatabase, _ context: DriverContext, _ connection: SQLiteConnection) {
            self.connection = connection
            isReadOnly = if case .session(_, let isReadOnly) = connection.role { isReadOnly } else { false }
            super.init(database, context)
            generation = connection.generation?.number ?? 0
        }

        /// The session's connection, unless its file is known to be gone.
        func usableConnection() -> SQLiteConnection? {
            if connection != nil, !isCurrent { giveUpConnections() }
            return connection
        }

        override func begin(_ execution: SQLiteExecution) {
            guard let connection = usableConnection() else { return end(execution, .sessionReplaced) }
            isInUse = true
            if case .batch = execution.run.kind {
                execution.connection = connection
                return isReadOnly ? runBatch(execution, connection) : enqueueWrite(execution)
            }
            if case .describe = execution.run.kind {
                connection.mayBlock = false
                execution.connection = connection
                execution.describe(on: connection)
                return connection.mustPrepareOnWorker ? prepareOnWorker(execution) : end(execution)
            }
            if execution.run.sql.count > Self.loopSQLByteCountMax {
                execution.connection = connection
                return prepareOnWorker(execution)
            }
            guard let statement = prepareOnLoop(execution, connection) else { return }
            if !statement.isReadOnly && !isReadOnly { return enqueueWrite(execution) }
            // COMMIT waits for the disk.
            if statement.controlsTransaction && hasWriteTurn { return runWriteOnWorker(execution) }
            // How large temporary and attached tables are, the file does not tell.
            if startsOnWorker(execution, statement, connection, mayCountRows: false) { return runOnWorker(execution) }
            runOnLoop(execution, connection, statement)
        }

        override func mayWriteOnWorker(_ execution: SQLiteExecution) -> Bool { isReadOnly || hasWriteTurn }

        override func enqueueWrite(_ execution: SQLiteExecution) {
            execution.interruptTarget = connection
            if hasWriteTurn { return runWrite(execution) }
            let link = LoopBound(self, context.loop.mailbox)
            let database = database
            wait(
                execution,
                WriteTicket(
                    .session(granted: {
                        execution.mailbox.submit { link.wrapped.granted(execution, database) }
                    }), execution.owner))
        }

        private func granted(_ execution: SQLiteExecution, _ database: SQLiteDatabase) {
            stopWaiting(execution)
            hasWriteTurn = true
            if generation != database.currentGeneration { return end(execution, .sessionReplaced) }
            if let reason = execution.run.stopReason {
                execution.run.error = .stopped(reason)
                return end(execution)
            }
            runWrite(execution)
        }

        private func runWrite(_ execution: SQLiteExecution) {
            if case .batch = execution.run.kind, let connection { return runBatch(execution, connection) }
            runWriteOnWorker(execution)
        }

        private func runBatch(_ execution: SQLiteExecution, _ connection: SQLiteConnection) {
            guard case .batch(let isAtomic) = execution.run.kind else { return }
            leaveLoop(execution)
            execution.interruptTarget = connection
            let link = LoopBound(self, context.loop.mailbox)
            let database = database
            // One that only reads may take for ever, which nobody who writes is to wait for.
            let pool = isReadOnly ? context.workers : context.writers
            pool.submit(for: execution.owner.uid) {
                database.write(execution) { SQLiteBatch(execution, connection).run(isAtomic: isAtomic) }
                execution.mailbox.submit { link.wrapped.end(execution) }
            }
        }

        override func takeBack(_ connection: consuming SQLiteConnection) {
            connection.releaseMemoryIfShort()
            isInUse = false
            if connection.isIndexLost { database.noteLoss(connection) }
            if generation != database.currentGeneration { return giveUpConnections() }
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
            letGo()
        }

        override var replacedError: DriverError {
            database.hasLeftIndex ? .sessionIndexLost(database.options.path) : .sessionReplaced
        }

        override func giveUpConnections() {
            if !isInUse { letGo() }
        }

        /// Rolls back and closes the connection.
        private func letGo() {
            guard let connection else { return }
            let (database, hadWriteTurn) = (database, hasWriteTurn)
            self.connection = nil
            hasWriteTurn = false
            lastTransaction = .none
            // Rolling back may have much to undo.
            RestTimer.start(database, context)
            context.writers.submit(for: connection.role.uid) {
                if connection.transaction == .active { try? connection.execute("ROLLBACK") }
                if hadWriteTurn { database.writes.release() }
            }
        }
    }
}

extension SQLiteExecution {
    /// Looks at a statement without running it. On a loop it may find that it has to be done on a worker
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
