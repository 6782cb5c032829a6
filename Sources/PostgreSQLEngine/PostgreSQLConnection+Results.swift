// What libpq hands out, in the words of the exchange, and what of it goes to the client.

internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases
internal import SQLText

extension PostgreSQLConnection {
    /// Takes one result of libpq's.
    func take(_ result: OpaquePointer) -> Progress? {
        let answer = answer(result)
        return perform(exchange.take(answer, &current.effect), result)
    }

    /// Takes one behind which the connection is lost.
    func takeLast(_ result: OpaquePointer) {
        let answer = answer(result)
        _ = perform(exchange.takeLast(answer, &current.effect), result)
    }

    private func perform(_ action: PostgreSQLExchange.Action, _ result: OpaquePointer) -> Progress? {
        switch action {
        case .none: break
        case .stepEnd: activate()
        case .row: return takeRow(result)
        case .typeNames: types.take(result)
        case .description: takeDescription(result)
        case .statementEnd(let position, let tag): takeEnd(result, position, tag)
        case .broken(let error): return .broken(error)
        case .lost: return lost()
        }
        return nil
    }

    private func answer(_ result: OpaquePointer) -> PostgreSQLExchange.Answer {
        switch libpq.PQresultStatus(result) {
        case PGRES_SINGLE_TUPLE:
            noteMessageSize(libpq.PQresultMemorySize(result))
            return .row
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
            let tag = CommandTag(libpq.PQcmdStatus(result))
            // The statement is the one that was sent last: what controls transactions has nothing behind it.
            let isUnasked = tag.rollsBack && run.map { !PostgreSQLStatementKind.asksForRollback($0.sql) } ?? false
            return .success(tag, isUnaskedRollback: isUnasked)
        case PGRES_EMPTY_QUERY: return .noStatement
        case PGRES_PIPELINE_SYNC: return .sync
        case PGRES_PIPELINE_ABORTED, PGRES_NONFATAL_ERROR: return .skipped
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE: return fault(result)
        default: return .copy
        }
    }

    private func fault(_ result: OpaquePointer) -> PostgreSQLExchange.Answer {
        if PostgreSQLErrors.tellsLoss(result) { return .loss(DriverError.sentence(PostgreSQLErrors.message(result))) }
        var sql = UnsafeRawBufferPointer(start: nil, count: 0)
        // Positions in a batch are of a statement that is gone: only its index is told.
        if batch == nil, let run { sql = run.sql }
        let error = PostgreSQLErrors.error(result, sql: sql)
        // Every error of a server has a SQLSTATE; libpq's own have none. That of a lost connection is not the reason.
        guard error.details.sqlState != nil else {
            if case .describe? = run?.kind, PostgreSQLErrors.isOutOfStep(result) {
                return .failure(PostgreSQLErrors.tooManyToDescribe)
            }
            return .trouble(error, isConnected: libpq.PQstatus(handle) == CONNECTION_OK)
        }
        return .failure(
            error.with {
                explainPlaceholders(&$0)
                if case .copy? = run?.kind, let context = PostgreSQLErrors.context(result) {
                    $0.detail = [$0.detail, context].compactMap(\.self).joined(separator: " ")
                }
            })
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
        guard let run else { return nil }
        if isDiscarding {
            current.hasDroppedRows = true
            return nil
        }
        let columns = beginColumns(result, run)
        guard reading.rowCountLeft > 0 else {
            run.isTruncated = true
            return nil
        }
        reading.rowCountLeft -= 1
        switch rows.push(result, columns, into: run.sink) {
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

    /// Tells the sink the columns, once.
    @discardableResult
    private func beginColumns(_ result: OpaquePointer, _ run: StatementRun) -> PostgreSQLColumns {
        if let columns = reading.columns { return columns }
        let made = rows.columns(result, types)
        if !rows.unknownTypes.isEmpty { needsReset = true }
        reading.columns = made
        run.sink.begin(made.set)
        return made
    }

    /// A statement has succeeded.
    private func takeEnd(_ result: OpaquePointer, _ position: BatchPosition?, _ tag: CommandTag) {
        var summary = StatementSummary()
        if tag.changesRows { summary.rowsAffected = tag.count }
        if !tag.isHarmless { needsReset = true }
        noteDone(summary, position)
        // A stop that came too late has dropped nothing.
        if batch == nil, let run, !current.hasDroppedRows { beginColumns(result, run) }
    }

    private func takeDescription(_ result: OpaquePointer) {
        guard let run else { return }
        run.description = StatementDescription(
            columns: rows.columns(result, types).set.columns,
            parameters: [String?](repeating: nil, count: Int(libpq.PQnparams(result))),
            isReadOnly: mode.isReadOnly || PostgreSQLStatementKind(run.sql) == .select)
    }
}
