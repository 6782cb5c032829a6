// What a connection sends: statements with what its mode puts around them, batches, and what clears it.

internal import CPostgreSQL
internal import DatabaseContract
internal import RemoteDatabases
internal import SQLText

extension PostgreSQLConnection {
    /// Sends one statement with what its mode puts around it.
    func send(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ position: BatchPosition?
    ) throws(DriverError) {
        let kind = PostgreSQLStatementKind(sql)
        if position == nil, kind == .select, !readsOnly, PlainStatement.isPlain(sql, .postgresql) {
            current.effect.noteHarmless()
        }
        takeOver(sql, parameters, kind)
        try send(PostgreSQLPlan(sql, kind, isReadOnly: mode.isReadOnly, transaction), sql, position)
    }

    /// Sends what is planned; `sql` is the client's statement in it.
    func send(
        _ plan: PostgreSQLPlan, _ sql: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
        _ position: BatchPosition? = nil
    ) throws(DriverError) {
        for message in plan.messages {
            switch message {
            case .own(let text): try sendOwn(text)
            case .check:
                try sendOwn("SELECT 1 / (pg_catalog.txid_current_if_assigned() IS NULL)::int", as: .check)
            case .commit: try sendOwn("COMMIT", as: .commit)
            case .statement:
                try sendStatement(sql, position)
                current.effect.noteSent(plan.nature, isDivisible: plan.isDivisible)
            case .sync: try sync()
            }
        }
    }

    /// Sends a statement of ours.
    private func sendOwn(_ sql: StaticString, as step: Step = .own) throws(DriverError) {
        let text = UnsafeRawPointer(sql.utf8Start).assumingMemoryBound(to: CChar.self)
        guard libpq.PQsendQueryParams(handle, text, 0, nil, nil, nil, nil, 0) == 1 else { throw notSent }
        exchange.didSend(step)
    }

    /// Sends a statement of the client's, whose parameters `takeOver` has. The server parses it at that moment, every time:
    /// what it keeps parsed keeps also what `'now'`, the time zone, `search_path` or a table were when it was, and the types and
    /// names of its result.
    private func sendStatement(_ sql: UnsafeRawBufferPointer, _ position: BatchPosition?) throws(DriverError) {
        guard parameters.send(handle, sql) == 1 else { throw notSent }
        exchange.didSend(.statement(position))
        noteMessageSize(parameters.byteCount, isSent: true)
    }

    /// Sends a statement of an atomic batch with one of its rows. It is parsed with the first one if it calls nothing that
    /// could change what it means: within a transaction also `'now'` stays what it is.
    func sendRow(
        _ sql: UnsafeRawBufferPointer, _ kind: PostgreSQLStatementKind, _ position: BatchPosition
    ) throws(DriverError) {
        guard let rowIndex = position.rowIndex else { return try sendStatement(sql, position) }
        if rowIndex == 0 { reading.rowTypes = nil }
        if reading.rowTypes == nil || reading.rowTypes != parameters.types {
            guard kind.isPlain, PlainStatement.isPlain(sql, .postgresql) else {
                return try sendStatement(sql, position)
            }
            guard parameters.sendPrepare(handle, sql) == 1 else { throw notSent }
            exchange.didSend(.preparation(position))
            reading.rowTypes = parameters.types
        }
        guard parameters.sendPrepared(handle) == 1 else { throw notSent }
        exchange.didSend(.statement(position))
        noteMessageSize(parameters.byteCount, isSent: true)
    }

    /// Takes over the parameters of the statement that is sent next, and notes what it may leave.
    func takeOver(_ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ kind: PostgreSQLStatementKind) {
        self.parameters.fill(parameters)
        // Also where it fails: a lock of the session stays.
        if !mode.isSession, !needsReset { needsReset = !kind.isPlain || !PlainStatement.isPlain(sql, .postgresql) }
    }

    /// Ends what stands or falls together, and sends it.
    func sync() throws(DriverError) {
        guard libpq.PQpipelineSync(handle) == 1 else { throw notSent }
        exchange.didSend(.sync)
        mustFlush = flush() != 0
    }

    /// libpq moves what is left of a text each time that the server does not take all of it: a worker waits for more room before.
    func flush() -> Int32 {
        absence.isAway ? cpostgresql_flush(handle, Self.flushMilliseconds) : libpq.PQflush(handle)
    }

    private static let flushMilliseconds = 10

    /// Makes the server send what it has, before the end of the pipeline.
    func requestAnswers() throws(DriverError) {
        guard libpq.PQsendFlushRequest(handle) == 1 else { throw notSent }
        mustFlush = flush() != 0
    }

    /// libpq took nothing: the connection is lost, or the statement has too many parameters.
    private var notSent: DriverError {
        if libpq.PQstatus(handle) != CONNECTION_OK { return lostError }
        let message = libpq.PQerrorMessage(handle).map { String(cString: $0) } ?? ""
        return DriverError(
            .badRequest,
            "The statement cannot be sent: \(place.withoutSecrets(message.split(separator: "\n").joined())).",
            sqlState: "54000")
    }

    var lostError: DriverError { exchange.lostError(current.effect) }

    func sendDescribe(_ run: StatementRun) throws(DriverError) {
        parameters.fill([])
        guard parameters.sendPrepare(handle, run.sql) == 1 else { throw notSent }
        exchange.didSend(.own)
        guard libpq.PQsendDescribePrepared(handle, "") == 1 else { throw notSent }
        exchange.didSend(.description)
        try sync()
    }

    /// Sends what makes the connection as good as new.
    func sendClearing() throws(DriverError) {
        if libpq.PQtransactionStatus(handle) != PQTRANS_IDLE {
            try sendOwn("ROLLBACK")
            try sync()
        }
        try sendOwn("DISCARD ALL")
        try sync()
        if needsReset { try sendSeed() }
        if server.watchesClient {
            try sendOwn(PostgreSQLServerFacts.watchStatement)
            try sync()
        }
        if server.isBytewise {
            try sendOwn(PostgreSQLServerFacts.bytewiseStatement)
            try sync()
        }
        if !rows.unknownTypes.isEmpty { try sendTypeQuery() }
    }

    /// What SET SEED and setseed() leave is the one thing that DISCARD ALL keeps: whoever knows it knows the next random().
    private func sendSeed() throws(DriverError) {
        let sent = "\(Double.random(in: -1...1))".withCString { seed in
            var seed: UnsafePointer<CChar>? = seed
            return libpq.PQsendQueryParams(handle, "SELECT pg_catalog.setseed($1)", 1, nil, &seed, nil, nil, 0)
        }
        guard sent == 1 else { throw notSent }
        exchange.didSend(.own)
        try sync()
    }

    private func sendTypeQuery() throws(DriverError) {
        let list = rows.unknownTypes.map { "\($0)" }.joined(separator: ", ")
        rows.forgetUnknownTypes()
        let sent = (PostgreSQLTypes.query + " WHERE oid IN (\(list))").withCString {
            libpq.PQsendQueryParams(handle, $0, 0, nil, nil, nil, nil, 0)
        }
        guard sent == 1 else { throw notSent }
        exchange.didSend(.typeNames)
        try sync()
    }
}
