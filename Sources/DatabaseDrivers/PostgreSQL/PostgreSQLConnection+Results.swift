// What the server answers, and what of it goes to the client.

internal import CPostgreSQL
internal import LinuxSystem

extension PostgreSQLConnection {
    private func note(_ error: DriverError) {
        if failure == nil { failure = error }
    }

    /// Takes the long row that has waited for a worker.
    func takeHeld() -> Progress? {
        guard let held = heldResult.take() else { return nil }
        defer { pq_clear(held) }
        return take(held)
    }

    /// Takes one result of libpq's.
    func take(_ result: OpaquePointer) -> Progress? {
        let status = pq_resultStatus(result)
        guard isExpected(result, status) else { return .broken(nonsense("It answers what it was not asked.")) }
        switch status {
        case PQ_SINGLE_TUPLE: return takeRow(result)
        case PQ_TUPLES_OK, PQ_COMMAND_OK: takeEnd(result)
        case PQ_EMPTY_QUERY: note(located(PostgreSQLDriver.noStatement))
        case PQ_PIPELINE_SYNC: stepIsAnswered()
        case PQ_PIPELINE_ABORTED, PQ_NONFATAL_ERROR: break
        case PQ_FATAL_ERROR, PQ_BAD_RESPONSE:
            // Every error of a server has a SQLSTATE; libpq's own have none. That of a lost connection is not the reason.
            if PostgreSQLErrors.sqlState(result) == nil, pq_status(handle) == PQ_CONNECTION_OK {
                return .broken(nonsense(DriverError.sentence(PostgreSQLErrors.message(result))))
            }
            takeError(result)
            if lossDetail != nil { return lost() }
        default:
            // COPY is refused before it is sent; a server that speaks it all the same is not understood.
            return .broken(nonsense("It began a COPY, which the daemon's protocol does not support."))
        }
        return nil
    }

    /// Whether a result can be one of the present step. After a mistake of the server's nothing is sure any more, least of
    /// all which client's question it answers.
    private func isExpected(_ result: OpaquePointer, _ status: Int32) -> Bool {
        switch (step, status) {
        case (_, PQ_FATAL_ERROR), (_, PQ_BAD_RESPONSE), (_, PQ_NONFATAL_ERROR): true
        case (.sync, _): status == PQ_PIPELINE_SYNC
        // Only what runs has a tag.
        case (.preparation, PQ_COMMAND_OK), (.description, PQ_COMMAND_OK):
            !hasEnded && CommandTag(pq_cmdStatus(result)).isEmpty
        default: status != PQ_PIPELINE_SYNC && !hasEnded
        }
    }

    var step: Step { nextStep < steps.count ? steps[nextStep] : .sync }

    private func located(_ error: DriverError) -> DriverError {
        let position: BatchPosition?
        switch step {
        case .statement(let its), .preparation(let its): position = its
        default: return error
        }
        guard let position else { return error }
        return error.with {
            $0.statementIndex = position.statementIndex
            $0.rowIndex = position.rowIndex
        }
    }

    func takeError(_ result: OpaquePointer) {
        if PostgreSQLErrors.tellsLoss(result) {
            lossDetail = DriverError.sentence(PostgreSQLErrors.message(result))
            return
        }
        switch step {
        case .check where PostgreSQLErrors.isDivisionByZero(result): return note(Self.hasWritten)
        case .introduction: return
        default: break
        }
        var sql = UnsafeRawBufferPointer(start: nil, count: 0)
        // Positions in a batch are of a statement that is gone: only its index is told.
        if batch == nil, let run { sql = run.sql }
        let error = PostgreSQLErrors.error(result, sql: sql)
        // libpq makes one of its own, without a SQLSTATE, where the connection is lost.
        if failure == nil, error.details.sqlState != nil { isFailureOfServer = true }
        note(located(error.told(isSession: mode.isSession)).with { self.explainPlaceholders(&$0) })
    }

    /// What other engines take for a placeholder is an operator here, and its error says nothing of that.
    private func explainPlaceholders(_ details: inout DriverError.Details) {
        guard details.sqlState == "42601", details.hint == nil, batch == nil, let run, !run.parameters.isEmpty,
            run.sql.contains(UInt8(ascii: "?")), !run.sql.contains(UInt8(ascii: "$"))
        else { return }
        details.hint = "The placeholders of PostgreSQL are $1, $2, …"
    }

    // MARK: Rows

    private func takeRow(_ result: OpaquePointer) -> Progress? {
        noteMessageSize(pq_resultMemorySize(result))
        if case .typeNames = step { types.take(result) }
        guard let run, batch == nil, case .statement = step else { return nil }
        if isDiscarding {
            hasDroppedRows = true
            return nil
        }
        let columns = beginColumns(result, run)
        guard rowCountLeft > 0 else {
            run.isTruncated = true
            return nil
        }
        rowCountLeft -= 1
        switch rows.push(result, columns, into: run.sink) {
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

    /// Tells the sink the columns, once.
    @discardableResult
    private func beginColumns(_ result: OpaquePointer, _ run: StatementRun) -> PostgreSQLColumns {
        if let columns { return columns }
        let made = rows.columns(result, types)
        if !rows.unknownTypes.isEmpty { needsReset = true }
        columns = made
        run.sink.begin(made.set)
        return made
    }

    private static let hasWritten = DriverError(
        .readOnly, "The statement wrote in a read-only transaction, which was therefore not committed.",
        hint: "Open the database for writing.", sqlState: "25006")

    /// The end of a statement that succeeded.
    func takeEnd(_ result: OpaquePointer) {
        hasEnded = true
        switch step {
        case .own, .check, .sync, .preparation, .introduction, .typeNames: return
        case .commit:
            // What it has rolled back it should have refused.
            if CommandTag(pq_cmdStatus(result)).commits {
                isCommitted = true
            } else {
                note(nonsense("It answered COMMIT with something else."))
                isOutOfStep = true
            }
        case .description: takeDescription(result)
        case .statement(let position):
            var summary = StatementSummary()
            let tag = CommandTag(pq_cmdStatus(result))
            if tag.changesRows { summary.rowsAffected = tag.count }
            if tag.commits { isCommitted = true }
            if !tag.isHarmless { needsReset = true }
            if batch != nil {
                run?.addToBatch(summary, position)
                return
            }
            isDone = true
            guard let run else { return }
            run.summary = summary
            // A stop that came too late has dropped nothing.
            if !hasDroppedRows { beginColumns(result, run) }
        }
    }

    private func takeDescription(_ result: OpaquePointer) {
        guard let run else { return }
        run.description = StatementDescription(
            columns: rows.columns(result, types).set.columns,
            parameters: [String?](repeating: nil, count: Int(pq_nparams(result))),
            isReadOnly: mode.isReadOnly || StatementKind(run.sql) == .select)
    }
}

extension DriverError {
    /// What a state of the connection means to somebody who has none.
    fileprivate func told(isSession: Bool) -> DriverError {
        guard !isSession, details.sqlState == "25P01" else { return self }
        return PostgreSQLDriver.needsSession.with { $0.detail = details.message }
    }
}
