// `health_check`: of the daemon, answered at once, or of one database, after that has answered.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension HealthRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.checkHealth(request)
    }

    static func writeReply(of operation: Operation, on connection: Connection) {
        connection.replyDatabaseHealth(operation)
    }
}

extension Connection {
    /// Answers for the daemon at once, for a database when that has answered.
    func checkHealth(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        guard request.head.data != nil else { return replyHealth(request.head.id, request.encoding) }
        let content = try content(HealthRequest.self, of: request.head)
        guard content.database != nil else { return replyHealth(request.head.id, request.encoding) }
        try checkRequestCount()
        let route: Route
        if isMonitor {
            route = self.route(by: try findWatchedDatabase(content.target.database))
        } else {
            route = try self.route(content.target)
        }
        let operation = makeOperation(request)
        let text = route.link.engine.pingText
        assign(consume route, to: operation, timeout: content.timeoutMilliseconds)
        operation.sql = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        // The row of its SELECT is not sent, but it has to be written somewhere.
        operation.prepareRows(
            writer(request.encoding), rowByteCountMax: context.limits.rowByteCountMax, account,
            accountByteCountMax: .max)
        return try submitIfAffordable(operation)
    }

    /// Answers the first of a turn directly, the others from the turn's template: only the id differs between them.
    private func replyHealth(_ id: RequestID, _ encoding: WireEncoding) -> RequestOutcome {
        if context.lastHealthTurn == context.loop.turnCount {
            replyHealthFromTemplate(id, encoding)
        } else {
            context.lastHealthTurn = context.loop.turnCount
            writeHealth(id, encoding)
        }
        return .answered
    }

    private func replyHealthFromTemplate(_ id: RequestID, _ encoding: WireEncoding) {
        let framing = stream.framing
        if context.healthReplies[encoding, framing].turn != context.loop.turnCount {
            renewHealthReply(encoding, framing)
        }
        context.healthReplies[encoding, framing].append(id, encoding, framing, to: &stream.output.tail)
    }

    private func renewHealthReply(_ encoding: WireEncoding, _ framing: Framing) {
        let before = stream.output.tail.count
        let id = writeHealth(.none, encoding)
        let bytes = UnsafeRawBufferPointer(rebasing: stream.output.tail.readable[before...])
        context.healthReplies[encoding, framing].renew(
            bytes, idRange: id.lowerBound - before..<id.upperBound - before, framing, turn: context.loop.turnCount)
        stream.output.tail.truncate(to: before)
    }

    /// - Returns: where the id is in the last buffer of the output.
    @discardableResult
    private func writeHealth(_ id: RequestID, _ encoding: WireEncoding) -> Range<Int> {
        renewUptime()
        let framing = stream.framing
        if context.healthForms[encoding, framing] == nil { makeHealthForm(encoding, framing) }
        let now = WireTimestamp(nanosecondsSince1970: WallClock.nanosecondsSince1970)
        let place = context.healthForms[encoding, framing]?.append(
            id, now, number: context.health.uptimeMilliseconds, encoding, framing, to: &stream.output.tail)
        guard let place else { preconditionFailure("there is no form of a health reply") }
        return place
    }

    @inline(never)
    private func makeHealthForm(_ encoding: WireEncoding, _ framing: Framing) {
        var buffer = ByteBuffer()
        var writer = MessageWriter(encoding: encoding, framing: framing)
        writer.begin(
            type: HealthRequest.type.replyName, id: .none, timestamp: WireTimestamp(nanosecondsSince1970: 0),
            into: &buffer)
        let uptime = context.health.writeFields(&writer, &buffer, finding: HealthReply.uptimeKey)
        writer.end(into: &buffer)
        context.healthForms[encoding, framing] = ReplyForm(buffer.readable, writer.places, number: uptime, framing)
    }

    private func renewUptime() {
        context.health.uptimeMilliseconds = max(
            0, context.loop.now.nanoseconds(since: context.shared.started) / 1_000_000)
    }

    /// A database has answered.
    func replyDatabaseHealth(_ operation: Operation) {
        guard let link = operation.link else { preconditionFailure("a database was asked without a link to it") }
        var database = HealthReply.Database()
        database.name = link.databaseName
        database.engine = link.engine.name
        database.serverVersion = link.serverVersion
        database.elapsedMicroseconds = operation.elapsedMicroseconds
        renewUptime()
        var health = context.health
        health.database = database
        reply(health, to: operation)
    }
}

extension HealthReply {
    /// The part that does not change while the process runs.
    init(of shared: SharedState) {
        self.init()
        status = "healthy"
        version = shared.version
        protocolVersion = WireLimits.protocolVersion
        pid = shared.pid
        activation = shared.activation.rawValue
    }
}
