// `export`: the rows of a statement into a file.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension ExportRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startExport(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.replyExport(operation) }
}

extension Connection {
    func startExport(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(ExportRequest.self, of: request.head)
        let route = try route(content.target)
        if content.parameters.count > Engine.commonParameterCountMax,
            let error = route.link.engine.refusal(ofParameters: content.parameters.count)
        {
            throw RequestError(error)
        }
        let sink = content.format.makeSink(
            hasHeader: content.hasHeader, int64Style: preferences.int64Style,
            rowByteCountMax: context.limits.rowByteCountMax)
        let operation = try makeTransfer(request, content.transfer, sink, mustReachDisk: false)
        let isInSession = route.session != nil
        assign(consume route, to: operation, timeout: content.timeoutMilliseconds)
        // Without a session an export reads: what goes wrong with the file has then changed nothing.
        if !isInSession { operation.mayWrite = false }
        operation.sql = content.sql
        operation.setParameters(content.parameters)
        operation.rowCountMax = content.maxRows ?? .max
        return try submitTransfer(operation)
    }

    func replyExport(_ operation: Operation) {
        guard let transfer = operation.transfer else { preconditionFailure("an export without a file") }
        var answer = ExportReply()
        answer.byteCount = transfer.byteCount
        answer.rowCount = operation.rowCount
        answer.rowsAffected = operation.summary.rowsAffected
        if operation.isTruncated { answer.isTruncated = true }
        answer.transaction = operation.session?.link.transaction.name ?? "none"
        answer.elapsedMicroseconds = operation.elapsedMicroseconds
        reply(answer, to: operation)
    }
}
