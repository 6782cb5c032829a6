// `health_check`, `hello`, `list_databases` and `stats`: answers that need no database.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection {
    /// Answers the first of a turn directly, the others from the turn's template: only the id differs between them.
    func replyHealth(_ id: RequestID, _ encoding: WireEncoding) {
        guard context.lastHealthTurn == context.loop.turnCount else {
            context.lastHealthTurn = context.loop.turnCount
            return writeHealth(id, encoding)
        }
        let framing = decoder.framing ?? .lines
        let form = framing == .lines ? 0 : encoding == .json ? 1 : 2
        if context.healthReplies[form].turn != context.loop.turnCount { renewHealthReply(form, encoding) }
        context.healthReplies[form].append(id, encoding, framing, to: &output.tail)
    }

    private func renewHealthReply(_ form: Int, _ encoding: WireEncoding) {
        let before = output.tail.count
        writeHealth(.none, encoding)
        let bytes = UnsafeRawBufferPointer(rebasing: output.tail.readable[before...])
        context.healthReplies[form].renew(bytes, encoding, decoder.framing ?? .lines, turn: context.loop.turnCount)
        output.tail.truncate(to: before)
    }

    private func writeHealth(_ id: RequestID, _ encoding: WireEncoding) {
        reply(RequestType.healthCheck.replyName, id: id, encoding: encoding, writeHealth)
    }

    private func writeHealth(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        let uptime = context.loop.now.nanoseconds(since: context.shared.started) / 1_000_000
        writer.key("status", into: &output)
        writer.text("healthy", into: &output)
        writer.key("version", into: &output)
        writer.text(context.shared.version, into: &output)
        writer.key("protocol", into: &output)
        writer.integer(WireLimits.protocolVersion, into: &output)
        writer.key("pid", into: &output)
        writer.integer(context.shared.pid, into: &output)
        writer.key("uptime_ms", into: &output)
        writer.integer(max(0, uptime), into: &output)
        writer.key("activation", into: &output)
        writer.text(context.shared.activation.rawValue, into: &output)
    }

    /// A database has answered.
    func replyDatabaseHealth(_ operation: Operation) {
        guard let link = operation.link else { return }
        reply(RequestType.healthCheck.replyName, id: operation.id, encoding: operation.encoding) { writer, output in
            writeHealth(&writer, &output)
            writer.key("database", into: &output)
            writer.beginMap(into: &output)
            writer.key("name", into: &output)
            writer.text(link.databaseName, into: &output)
            writer.key("engine", into: &output)
            writer.text(link.engine.rawValue, into: &output)
            writer.key("server_version", into: &output)
            writer.text(link.serverVersion, into: &output)
            writer.key("elapsed_us", into: &output)
            writer.integer(operation.elapsedMicroseconds, into: &output)
            writer.endMap(into: &output)
        }
    }

    func replyHello(_ head: RequestHead, _ encoding: WireEncoding) throws(RequestError) {
        let request = try content(HelloRequest.self, of: head)
        guard request.speaksVersion1 else {
            throw RequestError(
                .badRequest, "None of the client's protocol versions is known here.",
                hint: "This daemon speaks version 1: send \"protocol\": [1].")
        }
        int64Style = request.int64
        noticeEncoding = request.notices ? encoding : nil
        clientName = request.client.flatMap(Self.shownName)
        let limits = context.limits
        reply(RequestType.hello.replyName, id: head.id, encoding: encoding) { writer, output in
            writer.key("version", into: &output)
            writer.text(context.shared.version, into: &output)
            writer.key("protocol", into: &output)
            writer.integer(WireLimits.protocolVersion, into: &output)
            writer.key("limits", into: &output)
            writer.beginMap(into: &output)
            for (name, value) in limits.announced {
                writer.key(name, into: &output)
                writer.integer(value, into: &output)
            }
            writer.endMap(into: &output)
            writer.key("peer", into: &output)
            replyPeer(&writer, &output)
            writer.key("administrator", into: &output)
            writer.bool(isAdministrator, into: &output)
        }
    }

    /// The name as other programs may show it: printable ASCII, of bounded length; `nil` when it is empty.
    private static func shownName(_ name: UnsafeRawBufferPointer) -> String? {
        let printable = UInt8(ascii: " ")...UInt8(ascii: "~")
        let bytes = name.prefix(WireLimits.clientNameByteCountMax).map {
            printable.contains($0) ? $0 : UInt8(ascii: "?")
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    private func replyPeer(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        guard let peer else { return writer.null(into: &output) }
        writer.beginMap(into: &output)
        writer.key("uid", into: &output)
        writer.integer(Int64(peer.uid), into: &output)
        writer.key("gid", into: &output)
        writer.integer(Int64(peer.gid), into: &output)
        writer.key("pid", into: &output)
        writer.integer(Int64(peer.pid), into: &output)
        writer.key("user", into: &output)
        if let name = Process.userName(uid: peer.uid) {
            writer.text(name, into: &output)
        } else {
            writer.null(into: &output)
        }
        writer.endMap(into: &output)
    }

    func replyDatabases(_ id: RequestID, _ encoding: WireEncoding) {
        reply(RequestType.listDatabases.replyName, id: id, encoding: encoding) { writer, output in
            writer.key("databases", into: &output)
            writer.beginArray(into: &output)
            for (index, entry) in context.catalog.entries.enumerated() {
                guard let access = access(to: entry) else { continue }
                let grant = Grant(entry: entry, access: access)
                writer.beginMap(into: &output)
                writer.key("name", into: &output)
                writer.text(entry.configuration.name, into: &output)
                writer.key("engine", into: &output)
                writer.text(entry.database.engine.rawValue, into: &output)
                writer.key("access", into: &output)
                writer.text(grant.access.rawValue, into: &output)
                writer.key("default", into: &output)
                writer.bool(index == 0, into: &output)
                if entry.problem != nil {
                    writer.key("disabled", into: &output)
                    writer.bool(true, into: &output)
                }
                grant.database.serverState?.write(grant.database.poolLoad, &writer, &output)
                writer.endMap(into: &output)
            }
            writer.endArray(into: &output)
        }
    }

    // MARK: stats

    /// Writes `disabled_databases`, for those who can do something about it.
    private func writeDisabled(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        let disabled = isAdministrator ? context.catalog.disabled : []
        if disabled.isEmpty { return }
        writer.key("disabled_databases", into: &output)
        writer.beginMap(into: &output)
        for entry in disabled {
            writer.key(entry.configuration.name, into: &output)
            writer.text(entry.problem ?? "", into: &output)
        }
        writer.endMap(into: &output)
    }

    /// Asks every loop for its counters and answers when all have told.
    func replyStatistics(_ head: RequestHead, _ encoding: WireEncoding) {
        let operation = makeOperation(head, .stats, encoding)
        gather(for: operation, LoopStatistics()) { context, total in
            total.add(context.statistics)
            for connection in context.connections.values { connection.tellUse(&total) }
        } _: { [self] total in
            finishStatistics(operation, total)
        }
    }

    private func finishStatistics(_ operation: Operation, _ total: LoopStatistics) {
        if !isClosed {
            withOutputStorage {
                reply(RequestType.stats.replyName, id: operation.id, encoding: operation.encoding) { writer, output in
                    let uptime = MonotonicInstant.now.nanoseconds(since: context.shared.started) / 1_000_000
                    total.write(uptimeMilliseconds: uptime, &writer, &output)
                    writeDisabled(&writer, &output)
                    writeLimits(total.uses, &writer, &output)
                }
            }
        }
        operationDidEnd(operation)
    }
}

extension Limits {
    /// What `hello` tells a client.
    fileprivate var announced: [(StaticString, Int64)] {
        [
            ("frame_bytes_max", Int64(frameByteCountMax)), ("row_bytes_max", Int64(rowByteCountMax)),
            ("requests_in_flight_max", Int64(requestsInFlightMax)),
            ("requests_in_flight_per_user_max", Int64(requestsInFlightPerUserMax)),
            ("sessions_per_connection_max", Int64(sessionsPerConnectionMax)),
            ("sessions_per_user_max", Int64(sessionsPerUserMax)),
            ("paged_queries_per_connection_max", Int64(pagedQueriesPerConnectionMax)),
            ("statement_time_ms_max", statementTimeMillisecondsMax),
        ]
    }
}
