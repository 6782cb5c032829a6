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
        let bound = LoopBound((context: context, done: done), context.loop.mailbox)
        let mailbox = context.loop.mailbox
        let writers = context.writers
        database.whenOpen { failure in
            if let failure { return mailbox.submit { bound.wrapped.done(.failure(failure)) } }
            // Opening touches the disk.
            writers.submit(for: request.owner.uid) {
                let role = SQLiteRole.session(request.owner, isReadOnly: request.isReadOnly || database.isReadOnly)
                do throws(DriverError) {
                    let connection = try SQLiteConnection(database.options, role: role)
                    mailbox.submit {
                        bound.wrapped.done(.success(SQLiteSessionLink(database, bound.wrapped.context, connection)))
                    }
                } catch {
                    mailbox.submit { bound.wrapped.done(.failure(error)) }
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
    public func close() { link.close() }

    private final class Implementation: SQLiteLink {
        let connection: SQLiteConnection
        /// True while this session has the turn to write.
        private var hasWriteTurn = false
        private var isClosed = false
        /// As the last run left it; the connection itself may be in use by a worker.
        private(set) var lastTransaction = TransactionState.none

        init(_ database: SQLiteDatabase, _ context: DriverContext, _ connection: SQLiteConnection) {
            self.connection = connection
            super.init(database, context)
        }

        private var isReadOnly: Bool {
            if case .session(_, let isReadOnly) = connection.role { isReadOnly } else { false }
        }

        override func begin(_ execution: SQLiteExecution) {
            if case .batch = execution.run.kind {
                execution.connection = connection
                return isReadOnly ? runBatch(execution) : enqueueWrite(execution)
            }
            if case .describe = execution.run.kind {
                execution.describe(on: connection)
                return end(execution)
            }
            guard prepareOnLoop(execution, connection) else { return }
            guard let statement = execution.statement else { return end(execution) }
            if !statement.isReadOnly && !isReadOnly { return enqueueWrite(execution) }
            // COMMIT waits for the disk.
            if statement.controlsTransaction && hasWriteTurn { return runWriteOnWorker(execution) }
            runOnLoop(execution)
        }

        override var mayWriteOnWorker: Bool { isReadOnly || hasWriteTurn }

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
            if let reason = execution.run.stopReason {
                execution.run.error = .stopped(reason)
                return end(execution)
            }
            runWrite(execution)
        }

        private func runWrite(_ execution: SQLiteExecution) {
            if case .batch = execution.run.kind { return runBatch(execution) }
            runWriteOnWorker(execution)
        }

        private func runBatch(_ execution: SQLiteExecution) {
            guard case .batch(let isAtomic) = execution.run.kind else { return }
            execution.place = .worker
            execution.interruptTarget = connection
            let link = LoopBound(self, context.loop.mailbox)
            let connection = connection
            // One that only reads may take for ever, which nobody who writes is to wait for.
            let pool = isReadOnly ? context.workers : context.writers
            pool.submit(for: execution.owner.uid) {
                SQLiteBatch(execution, connection).run(isAtomic: isAtomic)
                execution.mailbox.submit { link.wrapped.end(execution) }
            }
        }

        override func takeBack(_ connection: SQLiteConnection) {
            connection.releaseMemoryIfShort()
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
            let (connection, database, hadWriteTurn) = (connection, database, hasWriteTurn)
            hasWriteTurn = false
            // Rolling back may have much to undo.
            context.writers.submit(for: connection.role.uid) {
                if connection.transaction == .active { try? connection.execute("ROLLBACK") }
                if hadWriteTurn { database.writes.release() }
            }
        }
    }
}

extension SQLiteExecution {
    /// Looks at a statement without running it.
    func describe(on connection: SQLiteConnection) {
        connection.mayBlock = false
        do throws(DriverError) {
            let statement = try connection.statement(run.sql)
            run.description = StatementDescription(
                columns: statement.columns.columns, parameters: statement.parameterNames,
                isReadOnly: statement.isReadOnly)
            connection.release(statement)
        } catch {
            run.error = error
        }
    }
}
