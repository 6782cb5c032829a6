// How a statement's text and values get to the server.

internal import ByteBuffers
internal import CMariaDB
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases
internal import SQLText

extension MySQLConnection {
    func beginStatement() {
        guard let run else { return stepDidFail() }
        let kind = MySQLStatementKind(run.sql)
        let nature = exchange.beginStatement(kind, isInTransaction: isInTransaction)
        noteConsequences(run.sql, kind)
        current.effect.noteSent(nature, isDivisible: !kind.isIndivisible)
        delivery.isDropping = batch != nil
        delivery.returnedRowCount = 0
        if let error = tooLarge(run) {
            exchange.note(error)
            return stepDidFail()
        }
        let position = if case .statement(let position) = exchange.step { position } else { BatchPosition?.none }
        noteChanges(by: run.sql, position)
        guard !run.parameters.isEmpty else { return start(.query, with: run.sql) }
        // Whatever comes for the first row is prepared anew.
        if case .statement = exchange.step, (position?.rowIndex ?? 0) == 0 { closeRowStatement() }
        guard let statement = rowStatement else { return prepare(run.sql) }
        rowStatement = nil
        statementInUse = statement
        execute(statement)
    }

    /// What the statement may leave on the connection.
    private func noteConsequences(_ sql: UnsafeRawBufferPointer, _ kind: MySQLStatementKind) {
        if !kind.isHarmless {
            needsReset = true
            // SHOW PROFILES has the texts of statements, and nothing but a new connection clears it.
            if LeadingWords.mayContain(sql, ["PROFILING"]) { isWorn = true }
        }
        if !mode.isSession, !needsReset, !PlainStatement.isPlain(sql, .mysql) { needsReset = true }
    }

    /// Room in a message beside the statement or its parameters.
    private static let messageOverheadByteCount = 1024

    /// The server hangs up on what is too long, so that it must not be sent.
    func tooLarge(_ run: StatementRun) -> DriverError? {
        let values = run.parameters.reduce(0) { sum, parameter in
            switch parameter.value {
            case .text(let bytes), .blob(let bytes): sum + bytes.count
            default: sum
            }
        }
        let overhead = Self.messageOverheadByteCount + 16 * run.parameters.count
        guard max(run.sql.count, values) + overhead > context.packetByteCountMax else { return nil }
        return DriverError(
            .limitExceeded, "The statement with its parameters is longer than the server takes (max_allowed_packet).",
            hint: MySQLErrors.packetHint, sqlState: "54000"
        ).with { $0.limit = DriverLimit(name: "max_allowed_packet", value: Int64(context.packetByteCountMax)) }
    }

    /// The run may end before libmariadb has sent its text, which is copied therefore: a long one by a worker.
    func start(_ operation: MySQLOperation, with sql: UnsafeRawBufferPointer) {
        text.removeAll()
        guard sql.count <= TextBound.byteCountMax else {
            dueCall = operation
            return
        }
        text.append(sql)
        calls.start(operation, text.readable)
    }

    /// - Returns: what comes before that.
    func start(due operation: MySQLOperation) -> Progress? {
        if text.isEmpty, run != nil { return .heavy }
        dueCall = nil
        if run != nil {
            calls.start(operation, text.readable)
        } else if let statement = statementInUse {
            abandon(statement)
        } else {
            stepDidFail()
        }
        return nil
    }

    func prepare(_ sql: UnsafeRawBufferPointer) {
        guard let made = libmariadb.mysql_stmt_init(handle) else {
            exchange.note(DriverError(.databaseError, "There is no memory for a statement.", sqlState: "53200"))
            return stepDidFail()
        }
        let statement = MySQLStatement(made)
        statementInUse = statement
        start(.prepare(statement), with: sql)
    }

    func execute(_ statement: MySQLStatement) {
        // The parameters are those of a run that is there no more.
        guard let run else { return abandon(statement) }
        let count = Int(libmariadb.mysql_stmt_param_count(statement.handle))
        guard run.parameters.count == count else {
            exchange.note(
                DriverError(
                    .badRequest, "The statement has \(count) placeholders, and \(run.parameters.count) were sent.",
                    hint: Hint.parameters, sqlState: "07001"))
            return abandon(statement)
        }
        guard count <= Self.boundCountMax else {
            dueBinding = statement
            return
        }
        bind(statement)
    }

    /// Parameters that a loop binds itself: for more, it takes megabytes of memory first.
    private static let boundCountMax = 4_096

    /// Nothing is sent by that.
    func bind(_ statement: MySQLStatement) {
        guard let run else { return abandon(statement) }
        guard parameters.bind(run.parameters, to: statement.handle) else {
            exchange.note(MySQLErrors.error(ofStatement: statement.handle))
            return abandon(statement)
        }
        dueExecution = statement
    }

    /// Sends the next piece of the values that go before the statement, or executes it.
    func goOnExecuting(_ statement: MySQLStatement) {
        // The values are those of a run that is there no more.
        guard run != nil else { return abandon(statement) }
        guard let piece = parameters.nextPiece() else { return calls.start(.execute(statement)) }
        calls.start(.piece(statement, piece.parameter), piece.bytes)
    }

    private func abandon(_ statement: MySQLStatement) {
        putBack(statement)
        stepDidFail()
    }

    /// A prepared statement has been executed. In an atomic batch it is kept for the next row, if it calls nothing that could
    /// change what it means.
    func putBack(_ statement: MySQLStatement) {
        statementInUse = nil
        if case .statement(let position?) = exchange.step, position.rowIndex != nil, batch?.isAtomic == true, let run,
            statement.isPlain ?? (exchange.kind.isHarmless && PlainStatement.isPlain(run.sql, .mysql))
        {
            statement.isPlain = true
            rowStatement = statement
        } else {
            surplus.append(statement)
        }
    }

    func closeRowStatement() {
        if let statement = rowStatement { surplus.append(statement) }
        rowStatement = nil
    }
}
