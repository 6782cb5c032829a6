// `query`, `batch` and `describe`: from a decoded request to a run on the right link.

internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Where a statement goes.
    private struct Route {
        var link: any DatabaseLink
        var session: Session?
        var mayWrite: Bool
        /// Longest time that a statement may run there, in milliseconds; 0: no limit.
        var milliseconds: Int64
    }

    private func route(_ target: Target) throws(RequestError) -> Route {
        if let name = target.session {
            guard let session = sessions.first(where: { $0.name.utf8.elementsEqual(name) && $0.isOpen }) else {
                throw sessionNotFound(name)
            }
            let milliseconds =
                if case .database(let entry, _) = session.right { entry.statementTimeMillisecondsMax } else {
                    context.limits.statementTimeMillisecondsMax
                }
            return Route(link: session.link, session: session, mayWrite: true, milliseconds: milliseconds)
        }
        let grant = try findDatabase(target.database)
        return Route(
            link: context.link(by: grant), session: nil, mayWrite: !grant.isReadOnly,
            milliseconds: grant.entry.statementTimeMillisecondsMax)
    }

    /// Gives an operation its way.
    private func send(_ operation: Operation, by route: consuming Route, timeout wanted: Int64?) {
        operation.link = route.link
        operation.session = route.session
        operation.mayWrite = route.mayWrite
        operation.timeLimit = route.milliseconds
        operation.timeoutMilliseconds = Self.timeout(wanted, limit: route.milliseconds)
    }

    func startQuery(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try content(QueryRequest.self, of: head)
        let route = try route(request.target)
        // Below that no engine has to be asked.
        if request.parameters.count > Engine.commonParameterCountMax,
            let error = route.link.engine.refusal(ofParameters: request.parameters.count)
        {
            throw RequestError(error)
        }
        if request.pageRows != nil { try checkPagedQueryCount() }
        let operation = makeOperation(head, .query, encoding)
        send(operation, by: consume route, timeout: request.timeoutMilliseconds)
        operation.sql = request.sql
        operation.setParameters(request.parameters)
        operation.rowCountMax = request.maxRows ?? .max
        operation.pageRowCount = request.pageRows
        operation.wantsResultSets = request.resultSets
        operation.prepareRows(
            writer(encoding), rowByteCountMax: context.limits.rowByteCountMax, account,
            accountByteCountMax: context.limits.bufferedByteCountPerUserMax)
        try submitIfAffordable(operation)
    }

    /// A paged query holds a connection to the database until its last page.
    private func checkPagedQueryCount() throws(RequestError) {
        let (used, limit) = (pagedQueryCount, context.limits.pagedQueriesPerConnectionMax)
        if used < limit { return context.statistics.notePeak(.pagedQueriesPerConnection, used + 1) }
        throw refusal(
            .pagedQueriesPerConnection, used: used,
            "This connection has \(used) paged queries open; the limit is \(limit) (paged_queries_per_connection_max).",
            hint: "Fetch them to the end, or cancel those that are not needed.")
    }

    var pagedQueryCount: Int { inFlight.count { $0.pageRowCount != nil } }

    /// The shorter one of the client's and the daemon's; 0 where there is none.
    private static func timeout(_ wanted: Int64?, limit: Int64) -> Int64 {
        guard let wanted else { return limit }
        return limit > 0 ? min(wanted, limit) : wanted
    }

    func startBatch(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try content(BatchRequest.self, of: head)
        let route = try route(request.target)
        let operation = makeOperation(head, .batch, encoding)
        send(operation, by: consume route, timeout: nil)
        operation.setBatch(request)
        operation.prepareRows(
            writer(encoding), rowByteCountMax: context.limits.rowByteCountMax, account,
            accountByteCountMax: .max)
        try submitIfAffordable(operation)
    }

    /// Refuses what would hold more than the user may have: a request that has to wait holds its memory until it is its turn.
    private func submitIfAffordable(_ operation: Operation) throws(RequestError) {
        if let error = refusal(of: operation) {
            // The id of the reply points into them.
            swap(&operation.storage, &context.body)
            context.recycle(operation)
            throw error
        }
        submit(operation)
    }

    func describe(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try content(DescribeRequest.self, of: head)
        let route = try route(request.target)
        let operation = makeOperation(head, .describe, encoding)
        operation.kind = .describe
        send(operation, by: consume route, timeout: nil)
        operation.sql = request.sql
        try submitIfAffordable(operation)
    }

    /// Answers for the daemon at once, for a database when that has answered.
    func checkHealth(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        guard head.data != nil else { return replyHealth(head.id, encoding) }
        let request = try content(HealthRequest.self, of: head)
        guard request.database != nil else { return replyHealth(head.id, encoding) }
        try checkRequestCount()
        let route = try route(request.target)
        let operation = makeOperation(head, .healthCheck, encoding)
        let text = route.link.engine.pingText
        send(operation, by: consume route, timeout: request.timeoutMilliseconds)
        operation.sql = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        // What it selects is told nobody; it has to be put somewhere.
        operation.prepareRows(
            writer(encoding), rowByteCountMax: context.limits.rowByteCountMax, account, accountByteCountMax: .max)
        try submitIfAffordable(operation)
    }

    func replyDescription(_ operation: Operation) {
        guard let description = operation.description else { return }
        reply(RequestType.describe.replyName, id: operation.id, encoding: operation.encoding) { writer, output in
            writer.key("columns", into: &output)
            writer.beginArray(into: &output)
            for column in description.columns {
                writer.beginMap(into: &output)
                writer.column(column, into: &output)
                writer.endMap(into: &output)
            }
            writer.endArray(into: &output)
            writer.key("parameters", into: &output)
            writer.beginArray(into: &output)
            for name in description.parameters {
                if let name { writer.text(name, into: &output) } else { writer.null(into: &output) }
            }
            writer.endArray(into: &output)
            writer.key("read_only", into: &output)
            writer.bool(description.isReadOnly, into: &output)
            if let session = operation.session {
                writer.key("transaction", into: &output)
                writer.text(session.link.transaction.name, into: &output)
            }
        }
    }
}
