// What comes of a connection's calls: results, their rows, and errors.

internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import SQLText

extension MySQLConnection {
    func didEnd(_ operation: MySQLOperation) -> Progress? {
        let progress: Progress?
        switch operation {
        case .fetchRow(let result): progress = didFetch(result)
        case .fetch(let statement): progress = didFetch(statement)
        default:
            progress = nil
            take(operation)
        }
        return exchange.isLost ? .broken(lostError()) : progress
    }

    private func take(_ operation: MySQLOperation) {
        switch operation {
        case .query: calls.status == 0 ? resultDidBegin() : fail(MySQLErrors.error(handle))
        case .nextResult: calls.status <= 0 ? resultDidBegin() : fail(MySQLErrors.error(handle))
        case .login: didLogIn()
        case .prepare(let statement): didPrepare(statement)
        case .piece(let statement, _):
            if calls.flag == 0 { dueExecution = statement } else { executionDidFail(statement) }
        case .execute(let statement): calls.status == 0 ? resultDidBegin(statement) : executionDidFail(statement)
        case .nextStatementResult(let statement):
            calls.status <= 0 ? resultDidBegin(statement) : executionDidFail(statement)
        case .close, .fetchRow, .fetch: break
        }
    }

    private func didLogIn() {
        if calls.flag != 0 { return fail(MySQLErrors.error(handle)) }
        exchange.didLogIn()
        changing = MySQLChanging()
        trimText()
    }

    // MARK: Prepared statements

    private func didPrepare(_ statement: MySQLStatement) {
        guard calls.status == 0 else {
            statementInUse = nil
            surplus.append(statement)
            return fail(MySQLErrors.error(ofStatement: statement.handle))
        }
        guard case .describe = exchange.step else { return execute(statement) }
        if let run {
            let metadata = libmariadb.mysql_stmt_result_metadata(statement.handle)
            run.description = StatementDescription(
                columns: metadata.map { rows.begin($0) } ?? [],
                parameters: [String?](repeating: nil, count: Int(libmariadb.mysql_stmt_param_count(statement.handle))),
                isReadOnly: mode.isReadOnly || MySQLStatementKind(run.sql) == .select)
            if let metadata { libmariadb.mysql_free_result(metadata) }
        }
        putBack(statement)
        stepDidEnd()
    }

    private func executionDidFail(_ statement: MySQLStatement) {
        // CR_NEW_STMT_METADATA: the table has other columns than when the statement was prepared. What the server sends
        // all the same is dropped when the statement is closed.
        if libmariadb.mysql_stmt_errno(statement.handle) == 2057 {
            statementInUse = nil
            surplus.append(statement)
            if exchange.repeatsStatement() { return trimText() }
            exchange.note(Self.resultChanged)
            changing.tracker.noteDone()
            tellChangesOfFailure(isLost: false)
            return stepDidFail()
        }
        let error = MySQLErrors.error(ofStatement: statement.handle)
        putBack(statement)
        fail(error)
    }

    private static let resultChanged = DriverError(
        .databaseError, "The statement was executed, but its result has other columns than when it was prepared.",
        hint: "Look at what it did before you send it again.", sqlState: "0A000")

    // MARK: Results

    /// A statement has succeeded, or one of those in a procedure: rows follow, or none.
    private func resultDidBegin(_ statement: MySQLStatement? = nil) {
        let hasRows = calls.status == 0 && libmariadb.mysql_field_count(handle) > 0
        guard hasRows else { return resultDidEnd(statement) }
        if let statement {
            if let metadata = libmariadb.mysql_stmt_result_metadata(statement.handle) {
                beginColumns(metadata)
                libmariadb.mysql_free_result(metadata)
            }
            reading = .fetch(statement)
        } else if let begun = libmariadb.mysql_use_result(handle) {
            result = begun
            beginColumns(begun)
            reading = .fetchRow(begun)
        } else {
            fail(MySQLErrors.error(handle))
        }
    }

    /// The first result is the client's. A procedure may return more: they are so, too, if it has asked for them; else they are
    /// read, dropped and counted.
    private func beginColumns(_ metadata: UnsafeMutablePointer<MYSQL_RES>) {
        delivery.isDropping = true
        guard case .statement = exchange.step, let run, batch == nil else { return }
        guard !delivery.hasColumns || run.wantsResultSets else {
            run.resultSets.droppedCount += 1
            return
        }
        if isDiscarding {
            // It would be the client's, who has it stopped.
            current.hasDroppedRows = true
            return
        }
        delivery.isDropping = false
        delivery.hasColumns = true
        delivery.rowCountLeft = run.rowCountMax
        run.sink.begin(ColumnSet(rows.begin(metadata)))
    }

    private func didFetch(_ result: UnsafeMutablePointer<MYSQL_RES>) -> Progress? {
        guard let row = calls.row else {
            if libmariadb.mysql_errno(handle) != 0 {
                fail(MySQLErrors.error(handle))
                return nil
            }
            freeResult()
            return rowsDidEnd(nil)
        }
        reading = .fetchRow(result)
        guard mayPush(), let lengths = libmariadb.mysql_fetch_lengths(result) else { return nil }
        return isForWorker(rows.length(lengths)) ? .heavy : push(row, lengths)
    }

    /// Whether a row of that length is to be pushed by a worker. libmariadb holds all of it.
    private func isForWorker(_ byteCount: Int) -> Bool {
        guard byteCount >= Self.heavyByteCountMin else { return false }
        run?.sink.noteHeld(byteCount)
        return true
    }

    private func push(
        _ row: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, _ lengths: UnsafePointer<UInt>
    ) -> Progress? {
        guard let run else { return nil }
        let state = rows.push(row, lengths, into: run.sink)
        noteMessageSize(rows.byteCount)
        return didPush(state, run)
    }

    private func push(_ statement: MySQLStatement) -> Progress? {
        guard let run else { return nil }
        let state = rows.push(statement.handle, into: run.sink)
        noteMessageSize(rows.byteCount)
        return didPush(state, run)
    }

    /// Pushes the long row that was fetched last.
    func pushLongRow() -> Progress {
        var progress: Progress?
        switch reading {
        case .fetchRow(let result):
            if let row = calls.row, let lengths = libmariadb.mysql_fetch_lengths(result) {
                progress = push(row, lengths)
            }
        case .fetch(let statement): progress = push(statement)
        default: break
        }
        return progress ?? .yielding
    }

    private func didFetch(_ statement: MySQLStatement) -> Progress? {
        switch calls.status {
        case 0, MYSQL_DATA_TRUNCATED:
            reading = .fetch(statement)
            guard mayPush() else { return nil }
            return isForWorker(rows.length(statement.handle)) ? .heavy : push(statement)
        case MYSQL_NO_DATA: return rowsDidEnd(statement)
        default:
            // The error of a row is the connection's, not the statement's.
            let error =
                libmariadb.mysql_errno(handle) != 0
                ? MySQLErrors.error(handle) : MySQLErrors.error(ofStatement: statement.handle)
            putBack(statement)
            fail(error)
        }
        return nil
    }

    /// Counts a row, and says whether it is for the client.
    private func mayPush() -> Bool {
        delivery.returnedRowCount += 1
        if delivery.isDropping { return false }
        guard !isDiscarding, let run else {
            current.hasDroppedRows = true
            return false
        }
        if delivery.rowCountLeft > 0 { return true }
        run.isTruncated = true
        return false
    }

    private func didPush(_ state: RowSink.State, _ run: StatementRun) -> Progress? {
        delivery.rowCountLeft -= 1
        switch state {
        case .open: run.rowCount += 1
        case .full:
            run.rowCount += 1
            return .full
        case .overflow:
            exchange.note(.rowTooLarge)
            abortForOverflow()
        }
        return nil
    }

    func freeResult() {
        if let result { libmariadb.mysql_free_result(result) }
        result = nil
        reading = nil
    }

    /// A result with rows has been read. Where another may follow, the client gets this one at once: what a procedure does until
    /// then may take its time.
    private func rowsDidEnd(_ statement: MySQLStatement?) -> Progress? {
        let isLast = libmariadb.mysql_more_results(handle) == 0
        // What ends rows of a prepared statement libmariadb takes without looking at its number of warnings.
        resultDidEnd(statement, tellsWarnings: statement == nil)
        guard !isLast, !delivery.isDropping, !isDiscarding, failure == nil, let run, run.wantsResultSets else {
            return nil
        }
        run.endResult()
        return .full
    }

    /// One result has been read; others may follow.
    private func resultDidEnd(_ statement: MySQLStatement?, tellsWarnings: Bool = true) {
        if libmariadb.mysql_more_results(handle) != 0 {
            return calls.start(statement.map { .nextStatementResult($0) } ?? .nextResult)
        }
        if let statement { putBack(statement) }
        if case .statement(let position) = exchange.step { statementDidEnd(position, tellsWarnings) }
        stepDidEnd()
    }

    private func statementDidEnd(_ position: BatchPosition?, _ tellsWarnings: Bool) {
        guard exchange.statementDidEnd(run?.sql, transactionStatus) else { return }
        var summary = StatementSummary()
        if tellsWarnings { summary.warningCount = Int64(libmariadb.mysql_warning_count(handle)) }
        if exchange.kind != .select {
            let count = libmariadb.mysql_affected_rows(handle)
            // With rows of RETURNING the server does not count.
            summary.rowsAffected = count == .max ? delivery.returnedRowCount : Int64(clamping: count)
            let id = libmariadb.mysql_insert_id(handle)
            if id > 0 { summary.lastInsertID = Int64(bitPattern: id) }
        }
        noteDone(summary, position)
    }

    // MARK: Errors

    /// Looks in the text for the place of what went wrong.
    /// - Returns: what is to be done before.
    func locateFailure() -> Progress? {
        guard let failure = exchange.unlocatedFailure, let run else { return nil }
        guard absence.isAway || run.sql.count <= TextBound.byteCountMax else { return .heavy }
        exchange.didLocate(MySQLErrors.located(failure, in: run.sql))
        return nil
    }

    /// The call that belongs to the step has failed.
    private func fail(_ error: DriverError) {
        freeResult()
        let isLost = error.details.vendorCode.map { MySQLErrors.isFatal(UInt32(bitPattern: $0)) } ?? false
        tellChangesOfFailure(isLost: isLost)
        exchange.fail(noteRole(error), isInTransaction: isInTransaction)
        trimText()
    }

    /// Looks whether the server says by an error that it is not the wanted one any more. Then the connection is not used again, and
    /// neither are the others to it.
    private func noteRole(_ error: DriverError) -> DriverError {
        // Without its cluster a node is none that anybody has asked for.
        guard MySQLErrors.isOfReadOnlyServer(error) ? context.mustTakeWrites : MySQLErrors.isOfLoneNode(error) else {
            return error
        }
        isWorn = true
        context.choice?.noteLoss()
        let isDivisible = current.effect.isDivisible || batch?.isAtomic == false
        return MySQLErrors.ofLostRole(error, isSession: mode.isSession, isDivisible: isDivisible)
    }
}
