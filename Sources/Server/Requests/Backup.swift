// `backup`: a database's file as it is at one moment.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension BackupRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startBackup(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) { connection.replyBackup(operation) }
}

extension Connection {
    /// Whoever may read a database may copy it.
    func startBackup(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(BackupRequest.self, of: request.head)
        let route = route(by: try findDatabase(content.fields.database))
        guard route.link.engine.hasFiles else { throw RequestError(DriverError.noFileToCopy) }
        let operation = try makeTransfer(request, content.transfer, PageSink(), mustReachDisk: true)
        assign(consume route, to: operation, timeout: content.fields.timeoutMilliseconds)
        operation.mayWrite = false
        operation.kind = .backup
        return try submitTransfer(operation)
    }

    func replyBackup(_ operation: Operation) {
        guard let transfer = operation.transfer else { preconditionFailure("a backup without a file") }
        var answer = DatabaseFileReply()
        answer.byteCount = transfer.byteCount
        answer.totalByteCount = transfer.totalByteCount
        answer.elapsedMicroseconds = operation.elapsedMicroseconds
        reply(answer, to: operation)
    }
}
