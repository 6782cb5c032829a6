// Autocommit requests of one loop: reads on the loop itself, writes through the queue of the file.

internal import CSQLite
public import DatabaseContract
internal import LinuxSystem
internal import SQLText

/// The link of one loop to one database, without a session.
///
/// - Thread: the loop of its context.
public final class SQLiteSharedLink: DatabaseLink {
    private let link: Implementation

    public init(_ database: SQLiteDatabase, _ context: DriverContext) {
        link = Implementation(database, context)
    }

    public func start(_ run: StatementRun, for owner: LinkOwner) -> RunOutcome { link.start(run, owner) }
    public func resume(_ run: StatementRun) -> RunOutcome { link.resume(run) }
    public func stop(_ run: StatementRun, _ reason: StopReason) -> RunOutcome { link.stop(run, reason) }
    public var databaseName: String { link.database.label }
    public var engine: Engine { .sqlite }
    public var serverVersion: String { SQLiteLibrary.version }
    public var transaction: TransactionState { .none }
    public func pressure(on uid: UInt32) -> LinkPressure { link.database.pressure(ofSnapshotOf: uid) }
    public func close() { link.close() }

    private final class Implementation: SQLiteLink {
        private let reader: LoopReader
        /// Executions that wait for the database to be open.
        private var openingCount = 0
        /// By client: statements that may turn out to write, and the writes after them. A client's writes keep their
        /// order.
        private var lines: [UInt64: [SQLiteExecution]] = [:]

        override init(_ database: SQLiteDatabase, _ context: DriverContext) {
            reader = LoopReader(database, context)
            super.init(database, context)
        }

        func start(_ run: StatementRun, _ owner: LinkOwner) -> RunOutcome {
            let execution = execution(for: run, owner)
            return openingCount == 0 && isCurrent ? begin(execution) : openAndBegin(execution)
        }

        private func openAndBegin(_ execution: SQLiteExecution) -> RunOutcome {
            // Opening it would make one, and its disk may just not be there.
            if case .backup = execution.run.kind, database.isMissing { return end(execution, .noFileYet) }
            move(execution, to: .waitingForDatabase)
            openingCount += 1
            let link = LoopBound(self, context.loop.mailbox)
            database.whenOpen { failure in
                execution.continueOnLoop { link.wrapped.databaseOpened(execution, failure) }
            }
            return .pending
        }

        private func databaseOpened(_ execution: SQLiteExecution, _ failure: DriverError?) -> RunOutcome {
            openingCount -= 1
            if let failure { return end(execution, failure) }
            if generation != database.currentGeneration {
                reader.discard()
                generation = database.currentGeneration
            }
            if let reason = execution.run.stopReason { return end(execution, .stopped(reason)) }
            move(execution, to: .loop)
            // Gone again already.
            return generation == 0 ? startAgain(execution) : begin(execution)
        }

        override func startAgain(_ execution: SQLiteExecution) -> RunOutcome {
            execution.startCount += 1
            if execution.startCount > Self.startCountMax { return end(execution, .databaseReplaced) }
            execution.releaseStatement()
            // Nobody opens the database while somebody still has a connection.
            execution.interruptTarget = nil
            if let connection = execution.connection.take() {
                database.noteLoss(connection)
                takeBack(connection)
            }
            execution.wait.ticket = nil
            if execution.order.line != .none { leaveLine(execution) }
            endLongRead(execution)
            return openAndBegin(execution)
        }

        /// A file that is replaced again and again must not keep a request forever.
        private static let startCountMax = 10

        override func discardStaleConnections() {
            reader.discardIfReplaced()
        }

        override func begin(_ execution: SQLiteExecution) -> RunOutcome {
            switch execution.run.kind {
            case .batch, .load, .restore:
                reader.noteUse()
                if mayOnlyRead(execution) { return end(execution, Self.readOnlyBatch) }
                return enqueueWrite(execution)
            case .copy: return end(execution, .noCopy)
            case .statement, .describe, .backup: break
            }
            if case .backup = execution.run.kind {
                return database.options.isMemory ? end(execution, .noFileToCopy) : runAsLongRead(execution)
            }
            // Long texts take long to prepare.
            if execution.run.sql.count > Self.loopSQLByteCountMax { return prepareOnWorker(execution) }
            if case .describe = execution.run.kind { return describe(execution) }
            do throws(DriverError) {
                return begin(execution, on: try reader.take())
            } catch {
                // Opening a connection may wait for another process's lock.
                if error.code == .busy { return runAsLongRead(execution) }
                return error.isReplacement ? startAgain(execution) : end(execution, error)
            }
        }

        private func begin(_ execution: SQLiteExecution, on reader: SQLiteConnection) -> RunOutcome {
            let statement: CachedStatement
            switch prepareOnLoop(execution, reader) {
            case .prepared(let made): statement = made
            case .not(let outcome): return outcome
            }
            // Whoever goes on elsewhere has the connection from then on, and this reference may be the last one of the statement, which
            // is finalized on the connection's thread.
            guard statement.isReadOnly || mayOnlyRead(execution) else {
                _ = consume statement
                return enqueueWrite(execution)
            }
            if startsOnWorker(
                execution, statement, reader,
                mayCountRows: litebase_sqlite3_file_bytes(reader.handle) <= SQLiteBudget.loopFileByteCountMax)
            {
                _ = consume statement
                leaveReader(execution)
                return runAsLongRead(execution)
            }
            return runOnLoop(execution, reader, consume statement)
        }

        /// The worker prepares it anew on another connection: that takes less than reading all those pages again.
        override func leaveReader(_ execution: SQLiteExecution) {
            guard let own = execution.connection, own.isWorthKeeping else { return }
            execution.releaseStatement()
            execution.connection = nil
            takeBack(own)
            execution.connection = reader.takeForWorker()
        }

        override func takeBack(_ connection: consuming SQLiteConnection) {
            connection.releaseMemoryIfShort()
            // A connection's knowledge of a damaged or deleted file is useless. The writer's connection stays with the
            // writer.
            guard case .reader = connection.role else { return }
            if connection.hasMetDamage || connection.isIndexLost
                || connection.generation?.number != database.currentGeneration
            {
                return database.dispose(of: connection)
            }
            reader.takeBack(connection)
        }

        override func reserveWorker(_ execution: SQLiteExecution) -> RunOutcome? {
            let link = LoopBound(self, context.loop.mailbox)
            let waiter = SQLiteDatabase.LongReadWaiter(execution: execution) {
                execution.continueOnLoop { link.wrapped.startLongRead(execution) }
            }
            let isUndecided = execution.statement == nil && mayTurnOutToWrite(execution)
            if database.beginLongRead(waiter, mayTurnOutToWrite: isUndecided) {
                execution.isLongRead = true
                if let connection = execution.connection { reader.prepareForWorker(connection) }
                return nil
            }
            if execution.statement == nil { willBePreparedOnWorker(execution) }
            // Nothing was sent yet: it starts again when its turn comes, and its reader is free for short reads.
            execution.rewind()
            execution.releaseStatement()
            move(execution, to: .waitingForLongRead)
            if let connection = execution.connection.take() { takeBack(connection) }
            return .pending
        }

        /// Runs on a worker from the start, now or when it is its turn.
        private func runAsLongRead(_ execution: SQLiteExecution) -> RunOutcome {
            reserveWorker(execution) ?? runOnWorker(execution)
        }

        private func startLongRead(_ execution: SQLiteExecution) -> RunOutcome {
            execution.isLongRead = true
            if let reason = execution.run.stopReason { return end(execution, .stopped(reason)) }
            // The worker prepares, and opens a connection if there is none.
            discardStaleConnections()
            execution.connection = reader.takeForWorker()
            return runOnWorker(execution)
        }

        private func mayOnlyRead(_ execution: SQLiteExecution) -> Bool {
            database.isReadOnly || !execution.run.mayWrite
        }

        /// For read-only access the engine itself refuses writes: a reader is opened read-only.
        override func needsNoWriteTurn(_ execution: SQLiteExecution) -> Bool { mayOnlyRead(execution) }

        override func enqueueWrite(_ execution: SQLiteExecution) -> RunOutcome {
            precondition(!mayOnlyRead(execution), "who may only read has come to the writers' queue")
            // A worker may have prepared it. In the queue it waits for whatever file is there when its turn comes.
            move(execution, to: .waitingForWriter)
            execution.interruptTarget = nil
            endLongRead(execution)
            execution.releaseStatement()
            if let reader = execution.connection.take() { takeBack(reader) }
            let client = execution.owner.client
            if execution.order.line != .none {
                execution.order.line = .write
                serveLine(of: client)
            } else if !lines.isEmpty, lines[client] != nil {
                join(execution, as: .write)
            } else {
                joinWriters(execution)
            }
            return .pending
        }

        private func joinWriters(_ execution: SQLiteExecution) {
            let link = LoopBound(self, context.loop.mailbox)
            execution.wait.onWritten = {
                let run = execution.run
                link.wrapped.written(execution).tell(run)
            }
            wait(execution, WriteTicket(.autocommit(execution), execution.owner))
        }

        // MARK: The order of a client's writes

        /// What is not there may be made by a write that the same client has sent before: the writer finds out, behind that. If
        /// there is none, one may have been done just now: then it is looked at once more.
        override func preparationFailed(_ execution: SQLiteExecution, _ error: DriverError) -> RunOutcome {
            guard Self.mayBeMade(error), execution.run.stopReason == nil, mayTurnOutToWrite(execution),
                !execution.order.isLookedAtAgain
            else { return end(execution, error) }
            execution.run.error = nil
            execution.order.isLookedAtAgain = true
            if execution.order.isBehindWrites || hasWrites(before: execution) { return enqueueWrite(execution) }
            endLongRead(execution)
            move(execution, to: .loop)
            if let reader = execution.connection.take() { takeBack(reader) }
            return begin(execution)
        }

        /// Whether an earlier statement may remove the reason of the error: something is missing, or exists; but not
        /// for a syntax error.
        private static func mayBeMade(_ error: DriverError) -> Bool {
            switch error.code {
            case .databaseError: true
            case .syntaxError: error.details.sqlState != "42601"
            default: false
            }
        }

        private func hasWrites(before execution: SQLiteExecution) -> Bool {
            let client = execution.owner.client
            return lines[client]?.first.map { $0 !== execution } ?? database.writes.hasWrites(of: client)
        }

        /// Of one that is not prepared: whether it could be a write.
        private func mayTurnOutToWrite(_ execution: SQLiteExecution) -> Bool {
            guard case .statement = execution.run.kind else { return false }
            return !mayOnlyRead(execution) && !SQLiteText.onlyReads(execution.run.sql)
        }

        override func willBePreparedOnWorker(_ execution: SQLiteExecution) {
            guard execution.order.line == .none, mayTurnOutToWrite(execution) else { return }
            execution.order.isBehindWrites = hasWrites(before: execution)
            join(execution, as: .undecided)
        }

        private func join(_ execution: SQLiteExecution, as line: SQLiteExecution.ClientOrder.Line) {
            execution.order.line = line
            lines[execution.owner.client, default: []].append(execution)
        }

        override func leaveLine(_ execution: SQLiteExecution) {
            execution.order.line = .none
            lines[execution.owner.client]?.removeAll { $0 === execution }
            serveLine(of: execution.owner.client)
        }

        /// Moves executions to the write queue that have no undecided one of their client before them.
        private func serveLine(of client: UInt64) {
            while let first = lines[client]?.first, first.order.line != .undecided {
                lines[client]?.removeFirst()
                first.order.line = .none
                joinWriters(first)
            }
            if lines[client]?.isEmpty == true { lines[client] = nil }
        }

        private func written(_ execution: SQLiteExecution) -> RunOutcome {
            stopWaiting(execution)
            // The writer's connection stays with the writer.
            execution.connection = nil
            return execution.claim.isUndone ? startAgain(execution) : end(execution)
        }

        private func describe(_ execution: SQLiteExecution) -> RunOutcome {
            do throws(DriverError) {
                let connection = try reader.take()
                connection.mayBlock = false
                execution.connection = connection
                if isKeptFromLoop(execution, connection) { return prepareOnWorker(execution) }
                execution.describe(on: connection)
                notePreparation(execution, connection)
                if connection.hasLostIndex { return startAgain(execution) }
                if connection.mustPrepareOnWorker { return prepareOnWorker(execution) }
            } catch {
                if error.code == .busy { return prepareOnWorker(execution) }
                if error.isReplacement { return startAgain(execution) }
                execution.run.error = error
            }
            return end(execution)
        }

        func close() { reader.close() }

        private static let readOnlyBatch = DriverError(
            .readOnly, "The database is read-only, and this is for writing.", sqlState: "25006")
    }
}
