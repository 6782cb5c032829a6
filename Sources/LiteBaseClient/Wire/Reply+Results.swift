// What replies mean to callers.

internal import WireProtocol

extension Health {
    init(_ data: StructuredValue) {
        let reply = HealthReply(data)
        status = reply.status
        version = reply.version
        protocolVersion = reply.protocolVersion
        pid = reply.pid
        uptime = .milliseconds(reply.uptimeMilliseconds)
        activation = reply.activation
    }
}

extension DatabaseHealth {
    /// - Throws: `ClientError.protocolViolation` of a daemon that knows no such question, and has answered for itself.
    init(_ data: StructuredValue) throws(ClientError) {
        guard let database = HealthReply(data).database else {
            throw .protocolViolation("the daemon is older than this program, and does not ask databases")
        }
        name = database.name
        engine = database.engine
        serverVersion = database.serverVersion
        elapsed = .microseconds(database.elapsedMicroseconds)
    }
}

extension Column {
    init(_ fields: ColumnFields) {
        self.init(name: fields.name.text, type: fields.type, declaredType: fields.declaredType)
    }
}

extension StatementSummary {
    /// The summary of rows that were written by another way than a statement.
    init(_ reply: ImportReply) {
        rowCount = 0
        rowsAffected = reply.rowCount
        lastInsertID = nil
        warningCount = 0
        isTruncated = false
        droppedResultCount = 0
        transaction = TransactionState(rawValue: reply.transaction)
        elapsed = .microseconds(reply.elapsedMicroseconds)
    }

    init(_ data: StructuredValue) {
        let reply = QueryReply(data)
        rowCount = reply.rowCount
        rowsAffected = reply.rowsAffected
        lastInsertID = reply.lastInsertID
        warningCount = reply.warningCount ?? 0
        isTruncated = reply.isTruncated ?? false
        droppedResultCount = reply.droppedResultCount ?? 0
        transaction = TransactionState(rawValue: reply.transaction)
        elapsed = .microseconds(reply.elapsedMicroseconds)
    }
}

extension ResultEnd {
    init(_ reply: QueryResultEnd) {
        rowCount = reply.rowCount
        isTruncated = reply.isTruncated
    }
}

extension BatchResult {
    /// One for each statement.
    static func all(in data: StructuredValue) -> [BatchResult] {
        BatchReply(data).results.map {
            BatchResult(
                rowsAffected: $0.rowsAffected, lastInsertID: $0.lastInsertID, warningCount: $0.warningCount ?? 0)
        }
    }
}

extension ReloadResult {
    init(_ data: StructuredValue) {
        let reply = ReloadReply(data)
        databaseCount = reply.databaseCount
        restartNeeded = reply.restartNeeded
        problems = reply.problems ?? []
    }
}

extension Activity {
    init(_ data: StructuredValue) {
        let reply = ActivityReply(data)
        entries = reply.entries.map(Entry.init)
        isTruncated = reply.isTruncated
    }
}

extension Activity.Entry {
    fileprivate init(_ entry: ActivityReply.Entry) {
        connection = Int64(clamping: entry.connection)
        number = entry.number.map { Int64(clamping: $0) }
        uid = entry.uid
        pid = entry.pid
        user = entry.user
        session = entry.session
        database = entry.database
        type = entry.type
        sql = entry.sql
        state = entry.state
        transaction = TransactionState(rawValue: entry.transaction)
        age = .milliseconds(entry.ageMilliseconds)
    }
}

extension TerminationResult {
    init(_ data: StructuredValue) {
        let reply = TerminateReply(data)
        connection = Int64(clamping: reply.connection)
        uid = reply.uid
        pid = reply.pid
        user = reply.user
        requestCount = reply.requestCount
        sessionCount = reply.sessionCount
        isClosed = reply.isClosed
    }
}

extension DatabaseInformation {
    static func all(in data: StructuredValue) -> [DatabaseInformation] {
        ListDatabasesReply(data).databases.map(DatabaseInformation.init)
    }

    private init(_ database: ListDatabasesReply.Database) {
        name = database.name
        engine = database.engine
        isReadOnly = database.access == "read_only"
        mayBeOpened = database.access != "none"
        isDefault = database.isDefault
        isDisabled = database.isDisabled ?? false
        server = database.server.map(ServerState.init)
    }
}

extension DatabaseInformation.ServerState {
    fileprivate init(_ server: ListDatabasesReply.Server) {
        isReachable = server.isReachable
        age = server.sinceMilliseconds.map(Duration.milliseconds)
        attemptAge = server.attemptMilliseconds.map(Duration.milliseconds)
        lastError = server.lastError
        lastErrorAge = server.lastErrorMilliseconds.map(Duration.milliseconds)
        host = server.host
        connectionsMax = server.pool?.value ?? 0
        connectionsOpen = server.pool?.open ?? 0
        connectionsUsed = server.pool?.used ?? 0
        requestsWaiting = server.pool?.waiting ?? 0
    }
}

extension StatementDescription {
    init(_ reply: FinishedReply) {
        let description = DescribeReply(reply.data)
        columns = reply.columns.all
        parameters = description.parameters.map(\.name)
        isReadOnly = description.isReadOnly
    }
}

extension ServerError {
    init(_ data: StructuredValue) {
        let reply = ErrorReply(data)
        self.init(
            code: reply.code.isEmpty ? .internalError : Code(rawValue: reply.code),
            message: reply.message.isEmpty ? "the server gave no reason" : reply.message)
        detail = reply.detail
        hint = reply.hint
        sqlState = reply.sqlState
        vendorCode = reply.vendorCode
        position = reply.position.map { Position(offset: $0.offset, line: $0.line, column: $0.column) }
        statementIndex = reply.statementIndex
        rowIndex = reply.rowIndex
        isRetryable = reply.isRetryable ?? false
        retryAfter = reply.retryAfterMilliseconds.map(Duration.milliseconds)
        transaction = reply.transaction.flatMap(TransactionState.init)
        holder = reply.holder.map {
            Holder(uid: $0.uid, pid: $0.pid, age: $0.sinceMilliseconds.map(Duration.milliseconds))
        }
    }
}

/// A session, as the server calls it.
struct OpenedSession {
    let name: String
    let information: SessionInformation

    /// - Throws: `ClientError.protocolViolation` if the server has not sent its name.
    init(_ data: StructuredValue) throws(ClientError) {
        let reply = ConnectReply(data)
        guard !reply.session.isEmpty else { throw .protocolViolation("the server opened a session without a name") }
        name = reply.session
        information = SessionInformation(
            engine: reply.engine, serverVersion: reply.serverVersion, isReadOnly: reply.isReadOnly)
    }
}

extension Notice {
    init(_ data: StructuredValue) {
        let message = NoticeMessage(data)
        code = Code(rawValue: message.code)
        self.message = message.message
        session = message.session
        severity = message.severity
        sqlState = message.sqlState
        detail = message.detail
        hint = message.hint
        endsIn = message.endsInMilliseconds.map(Duration.milliseconds)
        droppedCount = message.count
    }
}
