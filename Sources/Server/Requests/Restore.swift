// `restore`: a file that the client has opened becomes the content of a database.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension RestoreRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startRestore(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.replyRestore(operation) }
}

extension Connection {
    /// Whoever may write a database may change all of it.
    func startRestore(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(RestoreRequest.self, of: request.head)
        let grant = try findDatabase(content.fields.database)
        var route = route(by: grant)
        guard route.link.engine.hasFiles else { throw RequestError(DriverError.noFileToRestore) }
        guard route.mayWrite else {
            throw RequestError(
                .readOnly, "You may only read this database, and a restore is for writing.",
                hint: "list_databases says which databases you may write."
            ).with { $0.sqlState = "25006" }
        }
        let source = RestoreSource(try takeOneFile(), grant.database, owner)
        route.link = RestoreLink(
            source, route.link, context, account, progressMilliseconds: content.transfer.progressMilliseconds)
        let operation = makeOperation(request)
        assign(route, to: operation, timeout: content.fields.timeoutMilliseconds)
        return try submitIfAffordable(operation)
    }

    func replyRestore(_ operation: Operation) {
        guard let link = operation.link as? RestoreLink else { preconditionFailure("a restore came from nowhere") }
        var answer = DatabaseFileReply()
        answer.byteCount = link.byteCount
        answer.totalByteCount = link.totalByteCount ?? link.byteCount
        answer.elapsedMicroseconds = operation.elapsedMicroseconds
        reply(answer, to: operation)
    }
}
