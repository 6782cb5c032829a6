// What the fields of a reply mean.

extension StructuredValue {
    /// A member that counts milliseconds or the like.
    func duration(_ key: String, _ unit: (Int64) -> Duration) -> Duration? {
        self[key]?.integer.map(unit)
    }
}

extension Health {
    init(_ data: StructuredValue) {
        status = data["status"]?.text ?? ""
        version = data["version"]?.text ?? ""
        protocolVersion = data["protocol"]?.integer ?? 0
        pid = data["pid"]?.integer ?? 0
        uptime = data.duration("uptime_ms", Duration.milliseconds) ?? .zero
        activation = data["activation"]?.text ?? ""
    }
}

extension DatabaseHealth {
    /// - Throws: `ClientError.protocolViolation` of a daemon that knows no such question, and has answered for itself.
    init(_ data: StructuredValue) throws(ClientError) {
        guard let database = data["database"], database.members != nil else {
            throw .protocolViolation("the daemon is older than this program, and does not ask databases")
        }
        name = database["name"]?.text ?? ""
        engine = database["engine"]?.text ?? ""
        serverVersion = database["server_version"]?.text ?? ""
        elapsed = database.duration("elapsed_us", Duration.microseconds) ?? .zero
    }
}

extension StatementSummary {
    init(_ data: StructuredValue) {
        rowCount = data["row_count"]?.integer ?? 0
        rowsAffected = data["rows_affected"]?.integer ?? 0
        lastInsertID = data["last_insert_id"]?.integer
        isTruncated = data["truncated"]?.bool ?? false
        droppedResultCount = data["result_sets_dropped"]?.integer ?? 0
        transaction = data["transaction"]?.text.flatMap(TransactionState.init)
        elapsed = data.duration("elapsed_us", Duration.microseconds) ?? .zero
    }
}

extension ResultEnd {
    init(_ data: StructuredValue) {
        rowCount = data["row_count"]?.integer ?? 0
        isTruncated = data["truncated"]?.bool ?? false
    }
}

extension BatchResult {
    init(_ data: StructuredValue) {
        rowsAffected = data["rows_affected"]?.integer ?? 0
        lastInsertID = data["last_insert_id"]?.integer
    }
}

extension ReloadResult {
    init(_ data: StructuredValue) {
        databaseCount = data["databases"]?.integer ?? 0
        restartNeeded = (data["restart_needed"]?.elements ?? []).compactMap(\.text)
        problems = (data["problems"]?.elements ?? []).compactMap(\.text)
    }
}

extension Activity {
    init(_ data: StructuredValue) {
        entries = (data["entries"]?.elements ?? []).map(Entry.init)
        isTruncated = data["truncated"]?.bool ?? false
    }
}

extension Activity.Entry {
    init(_ data: StructuredValue) {
        connection = data["connection"]?.integer ?? 0
        uid = data["uid"]?.integer
        pid = data["pid"]?.integer
        user = data["user"]?.text
        session = data["session"]?.text
        database = data["database"]?.text
        type = data["type"]?.text ?? ""
        sql = data["sql"]?.text
        state = data["state"]?.text ?? ""
        transaction = data["transaction"]?.text.flatMap(TransactionState.init)
        age = data.duration("age_ms", Duration.milliseconds) ?? .zero
    }
}

extension DatabaseInformation {
    init(_ data: StructuredValue) {
        name = data["name"]?.text ?? ""
        engine = data["engine"]?.text ?? ""
        isReadOnly = data["access"]?.text == "read_only"
        isDefault = data["default"]?.bool ?? false
        isDisabled = data["disabled"]?.bool ?? false
        server = data["server"].flatMap { $0.members == nil ? nil : ServerState($0) }
    }
}

extension DatabaseInformation.ServerState {
    init(_ data: StructuredValue) {
        isReachable = data["reachable"]?.bool
        age = data.duration("since_ms", Duration.milliseconds)
        attemptAge = data.duration("attempt_ms", Duration.milliseconds)
        lastError = data["last_error"]?.text
        lastErrorAge = data.duration("last_error_ms", Duration.milliseconds)
        connectionsMax = data["pool"]?["value"]?.integer ?? 0
        connectionsOpen = data["pool"]?["open"]?.integer ?? 0
        connectionsUsed = data["pool"]?["used"]?.integer ?? 0
        requestsWaiting = data["pool"]?["waiting"]?.integer ?? 0
    }
}

extension StatementDescription {
    init(_ reply: FinishedReply) {
        columns = reply.columns.all
        let parameters = reply.data["parameters"]?.elements ?? []
        self.parameters = parameters.map { $0["name"]?.text ?? $0.text }
        isReadOnly = reply.data["read_only"]?.bool ?? false
    }
}

extension ServerError {
    init(_ data: StructuredValue) {
        self.init(
            code: Code(rawValue: data["code"]?.text ?? "internal"),
            message: data["message"]?.text ?? "the server gave no reason")
        detail = data["detail"]?.text
        hint = data["hint"]?.text
        sqlState = data["sqlstate"]?.text
        vendorCode = data["vendor_code"]?.integer
        if let position = data["position"], position.members != nil {
            self.position = Position(
                offset: position["offset"]?.integer, line: position["line"]?.integer,
                column: position["column"]?.integer)
        }
        statementIndex = data["statement_index"]?.integer
        rowIndex = data["row_index"]?.integer
        isRetryable = data["retryable"]?.bool ?? false
        retryAfter = data.duration("retry_after_ms", Duration.milliseconds)
        transaction = data["transaction"]?.text.flatMap(TransactionState.init)
        if let holder = data["holder"], holder.members != nil {
            self.holder = Holder(
                uid: holder["uid"]?.integer, pid: holder["pid"]?.integer,
                age: holder.duration("since_ms", Duration.milliseconds))
        }
    }
}

extension SessionInformation {
    init(_ data: StructuredValue) {
        engine = data["engine"]?.text ?? ""
        serverVersion = data["server_version"]?.text ?? ""
        isReadOnly = data["read_only"]?.bool ?? false
    }
}
