// `query`, `batch` and `describe`: from a decoded request to a run on the right link.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension QueryRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startQuery(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.replyQueryEnd(operation) }
}

extension BatchRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startBatch(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.replyBatch(operation) }
}

extension DescribeRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.describe(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) {
        connection.replyDescription(operation)
    }
}

extension Connection {
    func startQuery(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(QueryRequest.self, of: request.head)
        let route = try route(content.target)
        // Up to that number no engine has to be asked.
        if content.parameters.count > Engine.commonParameterCountMax,
            let error = route.link.engine.refusal(ofParameters: content.parameters.count)
        {
            throw RequestError(error)
        }
        if content.pageRows != nil { try checkPagedQueryCount() }
        let operation = makeOperation(request)
        assign(consume route, to: operation, timeout: content.timeoutMilliseconds)
        operation.sql = content.sql
        operation.setParameters(content.parameters)
        operation.rowCountMax = content.maxRows ?? .max
        operation.pageRowCount = content.pageRows
        operation.wantsResultSets = content.resultSets
        operation.prepareRows(
            writer(request.encoding), rowByteCountMax: context.limits.rowByteCountMax, account,
            accountByteCountMax: context.limits.bufferedByteCountPerUserMax)
        return try submitIfAffordable(operation)
    }

    /// A paged query holds a connection to the database until its last page, a catalog its memory.
    func checkPagedQueryCount() throws(RequestError) {
        let (used, limit) = (inFlight.pagedQueryCount, context.limits.pagedQueriesPerConnectionMax)
        if used < limit { return context.statistics.notePeak(.pagedQueriesPerConnection, used + 1) }
        throw refusal(
            .pagedQueriesPerConnection, used: used,
            "This connection has \(used) paged queries open; the limit is \(limit) (paged_queries_per_connection_max).",
            hint: "Fetch them to the end, or cancel those that are not needed.")
    }

    func startBatch(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(BatchRequest.self, of: request.head)
        let route = try route(content.target)
        let operation = makeOperation(request)
        assign(consume route, to: operation, timeout: nil)
        operation.setBatch(content)
        operation.prepareRows(
            writer(request.encoding), rowByteCountMax: context.limits.rowByteCountMax, account,
            accountByteCountMax: .max)
        return try submitIfAffordable(operation)
    }

    /// Refuses a request that would hold more than the user may: a request that waits keeps its memory until its turn.
    func submitIfAffordable(_ operation: Operation) throws(RequestError) -> RequestOutcome {
        if let error = refusal(of: operation) {
            // The id of the reply points into them.
            swap(&operation.storage, &context.body)
            context.recycle(operation)
            throw error
        }
        return submit(operation)
    }

    func describe(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(DescribeRequest.self, of: request.head)
        let route = try route(content.target)
        let operation = makeOperation(request)
        operation.kind = .describe
        assign(consume route, to: operation, timeout: nil)
        operation.sql = content.sql
        return try submitIfAffordable(operation)
    }

    func replyDescription(_ operation: Operation) {
        guard let description = operation.description else { preconditionFailure("nothing was described") }
        var answer = DescribeReply()
        answer.columns = description.columns.map(ColumnFields.init)
        answer.parameters = description.parameters.map(DescribeReply.ParameterName.init)
        answer.isReadOnly = description.isReadOnly
        answer.transaction = operation.session?.link.transaction.name
        reply(answer, to: operation)
    }

    func replyQueryEnd(_ operation: Operation) {
        operation.rows.finish(QueryReply(operation))
        sendRows(of: operation)
    }

    func replyBatch(_ operation: Operation) {
        var answer = BatchReply()
        let summaries = operation.batchSummaries
        answer.results.reserveCapacity(operation.batchStatementCount)
        for index in 0..<operation.batchStatementCount {
            answer.results.append(BatchReply.Result(index < summaries.count ? summaries[index] : StatementSummary()))
        }
        answer.transaction = operation.transactionName
        answer.elapsedMicroseconds = operation.elapsedMicroseconds
        reply(answer, to: operation)
    }
}

extension Operation {
    fileprivate var transactionName: String { session?.link.transaction.name ?? "none" }
}

extension QueryReply {
    init(_ operation: Operation) {
        self.init()
        rowCount = operation.rowCount
        rowsAffected = operation.summary.rowsAffected
        if operation.summary.warningCount > 0 { warningCount = operation.summary.warningCount }
        lastInsertID = operation.summary.lastInsertID
        if operation.wantsResultSets {
            let hasOpenResult = operation.rows.hasOpenResult
            if hasOpenResult { resultEnd = QueryResultEnd(operation.resultEnd) }
            resultCount = operation.resultSets.endedCount + (hasOpenResult ? 1 : 0)
        } else if operation.resultSets.droppedCount > 0 {
            droppedResultCount = operation.resultSets.droppedCount
        }
        if operation.isTruncated || operation.resultSets.isTruncated { isTruncated = true }
        transaction = operation.transactionName
        elapsedMicroseconds = operation.elapsedMicroseconds
    }
}

extension QueryResultEnd {
    init(_ end: ResultEnd) {
        self.init()
        rowCount = end.rowCount
        isTruncated = end.isTruncated
    }
}

extension BatchReply.Result {
    fileprivate init(_ summary: StatementSummary) {
        self.init()
        rowsAffected = summary.rowsAffected
        if summary.warningCount > 0 { warningCount = summary.warningCount }
        lastInsertID = summary.lastInsertID
    }
}

extension ColumnFields {
    init(_ column: ColumnDescription) {
        self.init()
        name = TextBytes(column.name)
        type = column.type
        declaredType = column.declaredType
    }
}
