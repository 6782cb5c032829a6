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
        guard (content.rowFormat.null?.count ?? 0) <= Self.nullByteCountMax else {
            throw RequestError(.badRequest, "\"null\" has more than \(Self.nullByteCountMax) bytes.")
        }
        let text = try statement(of: content, route.link.engine)
        let options = try options(of: content, route.link.engine)
        let sink = content.rowFormat.format.makeSink(
            options, int64Style: preferences.int64Style,
            rowByteCountMax: context.limits.rowByteCountMax)
        let operation = try makeTransfer(request, content.transfer, sink, mustReachDisk: false)
        let isInSession = route.session != nil
        assign(consume route, to: operation, timeout: content.timeoutMilliseconds)
        // Without a session an export reads: what goes wrong with the file has then changed nothing.
        if !isInSession { operation.mayWrite = false }
        if let sql = content.sql { operation.sql = sql } else { operation.setOwnText(text) }
        operation.setParameters(content.parameters)
        operation.rowCountMax = content.maxRows ?? .max
        return try submitTransfer(operation)
    }

    private func options(of content: ExportRequest, _ engine: Engine) throws(RequestError) -> ExportOptions {
        // They are copied, and compared with the columns, on the loop.
        guard content.textColumns.reduce(0, { $0 + $1.count }) <= Self.relationByteCountMax else {
            throw RequestError(
                .badRequest, "The names in \"text_columns\" have more than \(Self.relationByteCountMax) bytes.")
        }
        var options = ExportOptions(
            hasHeader: content.rowFormat.hasHeader, delimiter: content.rowFormat.delimiter,
            null: content.rowFormat.null.map { Array($0) },
            textColumns: content.textColumns.map { String(decoding: $0, as: UTF8.self) })
        if content.rowFormat.format == .sql, let table = content.into ?? content.relation {
            options.table = try quoted(content.namespace, table, engine)
            options.loading = engine.loading
        }
        return options
    }

    /// The statement for all of a relation; empty where the client has sent one.
    private func statement(of content: ExportRequest, _ engine: Engine) throws(RequestError) -> String {
        guard let relation = content.relation else { return "" }
        return "SELECT * FROM " + (try quoted(content.namespace, relation, engine))
    }

    /// A table within the quotes of its engine.
    private func quoted(
        _ namespace: UnsafeRawBufferPointer?, _ relation: UnsafeRawBufferPointer, _ engine: Engine
    ) throws(RequestError) -> String {
        guard let loading = engine.loading else {
            throw RequestError(
                .badRequest, "The engine has no tables.",
                hint: "Send a statement in \"sql\", and a format that names no table."
            ).with { $0.sqlState = "0A000" }
        }
        guard relation.count + (namespace?.count ?? 0) <= Self.relationByteCountMax else {
            throw RequestError(
                .badRequest, "The name of the table has more than \(Self.relationByteCountMax) bytes.")
        }
        let names = [namespace, relation].compactMap { $0.map { String(decoding: $0, as: UTF8.self) } }
        return names.map(loading.quoted).joined(separator: ".")
    }

    private static let nullByteCountMax = 64
    /// They are copied on the loop.
    private static let relationByteCountMax = 64 << 10

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
