// What comes of a connection's calls: results, their rows, and errors.

internal import CMariaDB
internal import LinuxSystem

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
        return isLost ? .broken(lostError()) : progress
    }

    private func take(_ operation: MySQLOperation) {
        switch operation {
        case .query: calls.status == 0 ? resultDidBegin() : fail(MySQLErrors.error(handle, sql: errorText))
        case .nextResult: calls.status <= 0 ? resultDidBegin() : fail(MySQLErrors.error(handle, sql: errorText))
        case .login: didLogIn()
        case .prepare(let statement): didPrepare(statement)
        case .execute(let statement): calls.status == 0 ? resultDidBegin(statement) : executionDidFail(statement)
        case .nextStatementResult(let statement):
            calls.status <= 0 ? resultDidBegin(statement) : executionDidFail(statement)
        case .close, .fetchRow, .fetch: break
        }
    }

    private func didLogIn() {
        if calls.flag != 0 { return fail(MySQLErrors.error(handle, sql: errorText)) }
        isFresh = true
        isSealed = false
        stepDidEnd()
    }

    // MARK: Prepared statements

    private func didPrepare(_ statement: MySQLStatement) {
        guard calls.status == 0 else {
            statementInUse = nil
            surplus.append(statement)
            return fail(MySQLErrors.error(ofStatement: statement.handle, sql: errorText))
        }
        guard case .describe = step else { return execute(statement) }
        if let run {
            let metadata = my_stmt_result_metadata(statement.handle)
            run.description = StatementDescription(
                columns: metadata.map { rows.begin($0) } ?? [],
                parameters: [String?](repeating: nil, count: Int(my_stmt_param_count(statement.handle))),
                isReadOnly: mode.isReadOnly || MySQLStatementKind(run.sql) == .select)
            if let metadata { my_free_result(metadata) }
        }
        putBack(statement)
        stepDidEnd()
    }

    private func executionDidFail(_ statement: MySQLStatement) {
        // CR_NEW_STMT_METADATA: the table has other columns than when the statement was prepared. What the server sends
        // all the same is dropped when the statement is closed.
        if my_stmt_errno(statement.handle) == 2057 {
            statementInUse = nil
            surplus.append(statement)
            guard kind == .select, !wasRepeated else {
                note(located(Self.resultChanged))
                return stepDidFail()
            }
            wasRepeated = true
            return repeatStep()
        }
        let error = MySQLErrors.error(ofStatement: statement.handle, sql: errorText)
        putBack(statement)
        fail(error)
    }

    private static let resultChanged = DriverError(
        .databaseError, "The statement was executed, but its result has other columns than when it was prepared.",
        hint: "Look at what it did before you send it again.", sqlState: "0A000")

    // MARK: Results

    /// A statement has succeeded, or one of those in a procedure: rows follow, or none.
    private func resultDidBegin(_ statement: MySQLStatement? = nil) {
        let hasRows = calls.status == 0 && my_field_count(handle) > 0
        guard hasRows else { return resultDidEnd(statement) }
        if let statement {
            if let metadata = my_stmt_result_metadata(statement.handle) {
                beginColumns(metadata)
                my_free_result(metadata)
            }
            reading = .fetch(statement)
        } else if let begun = my_use_result(handle) {
            result = begun
            beginColumns(begun)
            reading = .fetchRow(begun)
        } else {
            fail(MySQLErrors.error(handle, sql: errorText))
        }
    }

    /// The first result is the client's. A procedure may return more: they are so, too, if it has asked for them; else they are
    /// read, dropped and counted.
    private func beginColumns(_ metadata: OpaquePointer) {
        isDropping = true
        guard case .statement = step, let run, batch == nil else { return }
        guard !hasColumns || run.wantsResultSets else {
            run.resultSets.droppedCount += 1
            return
        }
        if isDiscarding {
            // It would be the client's, who has it stopped.
            hasDroppedRows = true
            return
        }
        isDropping = false
        hasColumns = true
        rowCountLeft = run.rowCountMax
        run.sink.begin(ColumnSet(rows.begin(metadata)))
    }

    private func didFetch(_ result: OpaquePointer) -> Progress? {
        guard let row = calls.row else {
            if my_error_number(handle) != 0 {
                fail(MySQLErrors.error(handle, sql: errorText))
                return nil
            }
            freeResult()
            return rowsDidEnd(nil)
        }
        reading = .fetchRow(result)
        guard mayPush(), let lengths = my_fetch_lengths(result) else { return nil }
        return rows.isLong(lengths) ? .heavy : push(row, lengths)
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
            if let row = calls.row, let lengths = my_fetch_lengths(result) { progress = push(row, lengths) }
        case .fetch(let statement): progress = push(statement)
        default: break
        }
        return progress ?? .yielding
    }

    private func didFetch(_ statement: MySQLStatement) -> Progress? {
        switch calls.status {
        case 0, MY_DATA_TRUNCATED:
            reading = .fetch(statement)
            guard mayPush() else { return nil }
            return rows.isLong(statement.handle) ? .heavy : push(statement)
        case MY_NO_DATA: return rowsDidEnd(statement)
        default:
            // The error of a row is the connection's, not the statement's.
            let error =
                my_error_number(handle) != 0
                ? MySQLErrors.error(handle, sql: errorText)
                : MySQLErrors.error(ofStatement: statement.handle, sql: errorText)
            putBack(statement)
            fail(error)
        }
        return nil
    }

    /// Counts a row, and says whether it is for the client.
    private func mayPush() -> Bool {
        returnedRowCount += 1
        if isDropping { return false }
        guard !isDiscarding, let run else {
            hasDroppedRows = true
            return false
        }
        if rowCountLeft > 0 { return true }
        run.isTruncated = true
        return false
    }

    private func didPush(_ state: RowSink.State, _ run: StatementRun) -> Progress? {
        rowCountLeft -= 1
        switch state {
        case .open: run.rowCount += 1
        case .full:
            run.rowCount += 1
            return .full
        case .overflow:
            note(.rowTooLarge)
            abortForOverflow()
        }
        return nil
    }

    func freeResult() {
        if let result { my_free_result(result) }
        result = nil
        reading = nil
    }

    /// A result with rows has been read. Where another may follow, the client gets this one at once: what a procedure does until
    /// then may take its time.
    private func rowsDidEnd(_ statement: MySQLStatement?) -> Progress? {
        let isLast = my_more_results(handle) == 0
        resultDidEnd(statement)
        guard !isLast, !isDropping, !isDiscarding, failure == nil, let run, run.wantsResultSets else { return nil }
        run.endResult()
        return .full
    }

    /// One result has been read; others may follow.
    private func resultDidEnd(_ statement: MySQLStatement?) {
        if my_more_results(handle) != 0 {
            return calls.start(statement.map { .nextStatementResult($0) } ?? .nextResult)
        }
        if let statement { putBack(statement) }
        if case .statement(let position) = step { statementDidEnd(position, statement) }
        stepDidEnd()
    }

    private func statementDidEnd(_ position: BatchPosition?, _ statement: MySQLStatement?) {
        wasRepeated = false
        if let error = escaped() { return note(located(error)) }
        var summary = StatementSummary()
        if kind != .select {
            let count = my_affected_rows(handle)
            // With rows of RETURNING the server does not count.
            summary.rowsAffected = count == .max ? returnedRowCount : Int64(clamping: count)
            let id = my_insert_id(handle)
            if id > 0 { summary.lastInsertID = Int64(bitPattern: id) }
        }
        if batch != nil {
            run?.addToBatch(summary, position)
            return
        }
        isDone = true
        guard let run else { return }
        run.summary = summary
    }

    /// Whether the statement has ended a transaction that was not its own.
    private func escaped() -> DriverError? {
        if failure != nil { return nil }
        let isOpen = status & MY_STATUS_IN_TRANS != 0
        if mode.isReadOnly, isOpen || !kind.controlsTransaction, status & MY_STATUS_IN_TRANS_READONLY == 0 {
            if isOpen { add(.attempt("ROLLBACK")) }
            return DriverError(
                .readOnly, "The statement has ended the read-only transaction in which it ran.",
                hint: "Open the database for writing.", sqlState: "25006")
        }
        if batch?.isAtomic == true, status & MY_STATUS_IN_TRANS == 0 {
            return DriverError(
                .databaseError,
                "The statement has committed the transaction of the atomic batch, with the statements before it.",
                hint: "Set atomic to false, or leave such statements out.", sqlState: "25000")
        }
        return nil
    }

    // MARK: Errors

    /// Positions in a batch are of a statement that is gone: only its index is told.
    var errorText: UnsafeRawBufferPointer {
        guard batch == nil, let run else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        if case .own = step { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return run.sql
    }

    func located(_ error: DriverError) -> DriverError {
        guard case .statement(let position?) = step else { return error }
        return error.with {
            $0.statementIndex = position.statementIndex
            $0.rowIndex = position.rowIndex
        }
    }

    /// The call that belongs to the step has failed.
    private func fail(_ error: DriverError) {
        if let number = error.details.vendorCode { isLost = isLost || MySQLErrors.isFatal(UInt32(bitPattern: number)) }
        let isAttempt = if case .attempt = step { true } else { false }
        freeResult()
        // A KILL that was meant for the statement before has hit it.
        if isAttempt, error.details.vendorCode == 1317, !isLost { return repeatStep() }
        if !isAttempt { note(located(error)) }
        stepDidFail()
    }
}
