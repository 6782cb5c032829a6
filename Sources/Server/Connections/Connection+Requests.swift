// From bytes to requests, and from requests to whoever answers them.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Time after which other connections get the loop, in nanoseconds.
    static let turnNanoseconds: Int64 = 500_000
    /// Requests between two looks at the clock.
    private static let clockRequestMask: UInt64 = 15

    /// Looks at complete requests in `bytes`.
    /// - Returns: how many bytes are done with.
    func process(_ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        isProcessing = true
        defer { isProcessing = false }
        let deadline = context.loop.now.advanced(byNanoseconds: Self.turnNanoseconds)
        while mayProcess {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            switch hasReadEnd ? decoder.finish(in: rest) : decoder.next(in: rest) {
            case .incomplete:
                flow.isInputReady = false
                // With nothing more to come, half a frame is nothing.
                return hasReadEnd ? bytes.count : offset
            case .skip(let consumed): offset &+= consumed
            case .frame(let body, let consumed) where body.count > LongRequest.byteCountMin:
                longFrame = LongFrame(body: body, end: consumed)
                flow.isInputReady = true
                return offset
            case .frame(let body, let consumed):
                isLastFrame = offset &+ consumed == bytes.count
                handleFrame(UnsafeRawBufferPointer(rebasing: rest[body]))
                offset &+= consumed
                if requestCount & Self.clockRequestMask == 0, deadline < .now {
                    flow.isInputReady = offset < bytes.count
                    return offset
                }
            case .failure(let failure):
                refuse(failure)
                return bytes.count
            }
        }
        flow.isInputReady = offset < bytes.count
        return isClosing || isClosed ? bytes.count : offset
    }

    /// Answers what is no request of this protocol, and closes.
    private func refuse(_ failure: FrameFailure) {
        context.observer.observe(.protocolViolation(connection: number, peer: peer, reason: failure.message))
        if case .tooLarge = failure { hit(.frameBytes) }
        if case .httpRequest = failure {
            output.tail.append(FrameFailure.httpRefusal)
        } else {
            let encoding: WireEncoding = decoder.framing == .lengthPrefixed ? .messagePack : .json
            reply(describe(failure), id: .none, encoding: encoding)
        }
        isClosing = true
    }

    private func describe(_ failure: FrameFailure) -> RequestError {
        guard case .tooLarge = failure else { return RequestError(failure) }
        let limit = LimitReport(name: LimitName.frameBytes.name, value: Int64(context.limits.frameByteCountMax))
        return RequestError(failure).with { $0.limit = limit }
    }

    private func handleFrame(_ frame: UnsafeRawBufferPointer) {
        requestCount &+= 1
        let framing = decoder.framing ?? .lines
        guard let encoding = WireEncoding(body: frame, framing: framing) else {
            return refuseBody(framing)
        }
        context.body.removeAll()
        do throws(DecodeError) {
            switch encoding {
            case .messagePack: context.body.append(frame)
            case .json: try JSONTranscoder.transcode(frame, into: &context.body)
            }
        } catch {
            return reply(RequestError(error), id: .none, encoding: encoding)
        }
        do throws(HeadError) {
            let head = try RequestHead.decode(context.body.readable)
            dispatch(head, encoding)
        } catch {
            reply(RequestError(error.error), id: error.id, encoding: encoding)
        }
        trimBody()
    }

    /// Gives the storage of a request back that was long.
    func trimBody() {
        if context.body.capacity > 4 * LongRequest.byteCountMin { context.dispose(of: &context.body) }
    }

    /// Answers a body that begins as none does. Where the next frame begins is known. A line that is no object may be another
    /// protocol's, of a program that was led to this socket and knows nothing of it, and so may be the next, which is one.
    func refuseBody(_ framing: Framing) {
        switch framing {
        case .lengthPrefixed:
            let error = RequestError(
                .badFrame, "A frame holds neither a MessagePack map nor a JSON object.",
                hint: "Start the body with a MessagePack map or with {.")
            reply(error, id: .none, encoding: .messagePack)
        case .lines:
            let error = RequestError(
                .badFrame, "A line holds no JSON object; the connection is closed.",
                hint: "Send one JSON object a line, such as {\"id\":1,\"type\":\"health_check\"}.")
            reply(error, id: .none, encoding: .json)
            isClosing = true
        }
    }

    func dispatch(_ head: RequestHead, _ encoding: WireEncoding) {
        guard let type = head.type else {
            let error = RequestError(
                .unknownType, "The request type \"\(RequestError.printable(head.typeName))\" is not known.",
                hint: "Known types: \(RequestType.allCases.map { "\($0.name)" }.joined(separator: ", ")).")
            return reply(error, id: head.id, encoding: encoding)
        }
        context.statistics.requests[Int(type.rawValue)] &+= 1
        if context.observer.wants(.debug) { observeStart(head, type) }
        if let refusal {
            // Who may raise the limit must get through, once.
            guard type == .reload, isAdministrator else { return refuseConnection(refusal, head.id, encoding) }
            isClosing = true
        }
        if context.isDraining, slot == nil, type != .healthCheck || head.data != nil {
            return reply(.shuttingDown, id: head.id, encoding: encoding)
        }
        if !inFlight.isEmpty, isInUse(head.id), !type.namesAnother {
            return reply(.idInUse, id: head.id, encoding: encoding)
        }
        do throws(RequestError) {
            if let refusal = refusal(ofBytes: context.body.count) { throw refusal }
            switch type {
            case .healthCheck: try checkHealth(head, encoding)
            case .hello: try replyHello(head, encoding)
            case .listDatabases: replyDatabases(head.id, encoding)
            case .stats: replyStatistics(head, encoding)
            case .activity: replyActivity(head, encoding)
            case .reload: try reload(head, encoding)
            case .cancel: try cancel(head, encoding)
            case .fetch: try fetch(head)
            case .dbConnect:
                try checkRequestCount()
                watch?.begin(type)
                try openSession(head, encoding)
            case .dbDisconnect: try closeSession(head, encoding)
            case .query:
                try checkRequestCount()
                watch?.begin(type)
                recordPosition(with: head.id, encoding)
                try startQuery(head, encoding)
            case .batch:
                try checkRequestCount()
                watch?.begin(type)
                recordPosition(with: head.id, encoding)
                try startBatch(head, encoding)
            case .describe:
                try checkRequestCount()
                watch?.begin(type)
                try describe(head, encoding)
            }
            watch?.end()
        } catch {
            watch?.end()
            if context.observer.wants(.debug) { observeRefusal(head, type, error) }
            reply(error, id: head.id, encoding: encoding)
        }
    }

    /// Whether a request that has not ended has that id. Most clients count, so that hardly anybody's are compared.
    private func isInUse(_ id: RequestID) -> Bool {
        if case .integer(let number) = id, number > greatestID { return false }
        return inFlight.contains { $0.id.isEqual(id) }
    }

    private func refuseConnection(_ refusal: ConnectionRefusal, _ id: RequestID, _ encoding: WireEncoding) {
        let limit = refusal.limit(context.limits)
        let who = refusal == .total ? "The daemon has" : "\(account.name.capitalizedFirst) has"
        let used = refusal == .total ? context.shared.connections.count : account.connections.count
        // It was counted when it was accepted.
        let report = LimitReport(
            name: refusal.limitName, value: Int64(limit), used: Int64(used), account: refusal == .total ? nil : account)
        reply(
            RequestError(
                .limitExceeded, "\(who) reached the limit of \(limit) connections (\(refusal.limitName)).",
                hint: "Close connections that are not used, or raise the limit."
            ).with { $0.limit = report }, id: id, encoding: encoding)
        isClosing = true
    }

    // MARK: Replies

    /// A writer in the form of this connection.
    func writer(_ encoding: WireEncoding) -> MessageWriter {
        MessageWriter(encoding: encoding, framing: decoder.framing ?? .lines, int64Style: int64Style)
    }

    /// Queues a reply whose data `fields` writes.
    func reply(
        _ type: StaticString, id: RequestID, encoding: WireEncoding,
        _ fields: (inout MessageWriter, inout ByteBuffer) -> Void
    ) {
        var writer = writer(encoding)
        let now = WireTimestamp(nanosecondsSince1970: WallClock.nanosecondsSince1970)
        writer.begin(type: type, id: id, timestamp: now, into: &output.tail)
        fields(&writer, &output.tail)
        writer.end(into: &output.tail)
    }

    /// Queues an `error` reply.
    func reply(
        _ error: RequestError, id: RequestID, encoding: WireEncoding, sql: UnsafeRawBufferPointer? = nil,
        transaction: StaticString? = nil
    ) {
        context.statistics.errors[Int(error.code.rawValue)] &+= 1
        reply("error", id: id, encoding: encoding) { writer, output in
            error.fields.write(&writer, &output, sql: sql, transaction: transaction)
        }
    }
}

extension RequestID {
    /// Whether two ids are the same.
    func isEqual(_ other: RequestID) -> Bool {
        switch (self, other) {
        case (.string(let left), .string(let right)): left.elementsEqual(right)
        case (.integer(let left), .integer(let right)): left == right
        case (.unsigned(let left), .unsigned(let right)): left == right
        default: false
        }
    }
}
