// From bytes to requests, and from requests to their handlers.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Time after which other connections get the loop, in nanoseconds.
    static let turnNanoseconds: Int64 = 500_000
    /// The clock is read once in so many requests; who works for one of them has read it.
    private static let clockRequestMask: UInt64 = 15

    /// Handles the complete requests in `bytes`.
    /// - Returns: the number of bytes consumed.
    func process(_ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        attention = .request
        defer { attention = .none }
        let deadline = context.loop.now.advanced(byNanoseconds: Self.turnNanoseconds)
        while mayProcess {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            switch stream.hasReadEnd ? stream.decoder.finish(in: rest) : stream.decoder.next(in: rest) {
            case .incomplete:
                flow.isInputReady = false
                // At the end of the stream, an incomplete frame is dropped.
                return stream.hasReadEnd ? bytes.count : offset
            case .skip(let consumed): offset &+= consumed
            case .frame(let body, let consumed) where body.count > LongRequest.byteCountMin:
                decoding = .found(LongFrame(body: body, end: consumed))
                flow.isInputReady = true
                return offset
            case .frame(let body, let consumed):
                attention = offset &+ consumed == bytes.count ? .lastRequest : .request
                handleFrame(UnsafeRawBufferPointer(rebasing: rest[body]))
                offset &+= consumed
                if stream.descriptors != nil { closeUndeclared(before: bytes.count - offset) }
                if deadline < context.drivers.workedUntil
                    || requestCount & Self.clockRequestMask == 0 && deadline < .now
                {
                    flow.isInputReady = offset < bytes.count
                    return offset
                }
            case .failure(let failure):
                refuse(failure)
                return bytes.count
            }
        }
        flow.isInputReady = offset < bytes.count
        return isLeaving ? bytes.count : offset
    }

    /// Answers bytes that are not a request of this protocol, and closes.
    private func refuse(_ failure: FrameFailure) {
        context.observer.observe(.protocolViolation(connection: number, peer: peer, reason: failure.message))
        if case .tooLarge = failure { hit(.frameBytes) }
        if case .httpRequest = failure {
            stream.output.tail.append(FrameFailure.httpRefusal)
        } else {
            reply(describe(failure), id: .none, encoding: stream.plainEncoding)
        }
        closeSoon()
    }

    private func describe(_ failure: FrameFailure) -> RequestError {
        guard case .tooLarge = failure else { return RequestError(failure) }
        let limit = LimitReport(name: LimitName.frameBytes.name, value: Int64(context.limits.frameByteCountMax))
        return RequestError(failure).with { $0.limit = limit }
    }

    private func handleFrame(_ frame: UnsafeRawBufferPointer) {
        requestCount &+= 1
        let framing = stream.framing
        guard let encoding = context.formats.encoding(of: frame, in: framing) else {
            return refuseBody(framing)
        }
        context.body.removeAll()
        do throws(DecodeError) {
            try encoding.format.translate(frame, into: &context.body)
        } catch {
            stream.descriptors?.removeAll()
            return reply(RequestError(error), id: .none, encoding: encoding)
        }
        handleBody(encoding)
    }

    /// Handles the request in `context.body`.
    func handleBody(_ encoding: WireEncoding) {
        do throws(HeadError) {
            let head = try RequestHead.decode(context.body.readable)
            dispatch(head, encoding)
        } catch {
            stream.descriptors?.removeAll()
            reply(RequestError(error.error), id: error.id, encoding: encoding)
        }
        trimBody()
    }

    /// Frees the storage of a long request.
    func trimBody() {
        if context.body.capacity > 4 * LongRequest.byteCountMin { context.dispose(of: &context.body) }
    }

    /// Answers a body that begins as none does.
    func refuseBody(_ framing: Framing) {
        let refusal = framing.format.bodyRefusal
        let error = RequestError(.badFrame, "\(refusal.message)", hint: "\(refusal.hint)")
        reply(error, id: .none, encoding: framing.format.plainEncoding)
        if refusal.closes { closeSoon() }
    }

    func dispatch(_ head: RequestHead, _ encoding: WireEncoding) {
        guard let row = context.requests.row(named: head.typeName) else {
            let error = RequestError(
                .unknownType, "The request type \"\(RequestError.printable(head.typeName))\" is not known.",
                hint: "Known types: \(context.requests.nameList).")
            stream.descriptors?.removeAll()
            return reply(error, id: head.id, encoding: encoding)
        }
        context.statistics.requests[Int(row.number)] &+= 1
        if context.observer.wants(.debug) { observeStart(head, row.type) }
        if row.traits.contains(.takesDescriptors) {
            do throws(RequestError) { try takeDescriptors(of: head, row) } catch {
                return reply(error, id: head.id, encoding: encoding)
            }
        }
        defer { if !passedFiles.isEmpty { passedFiles = [] } }
        if let refusal = client.refusal {
            // A client that may raise the limit must get through, once.
            guard row.traits.contains(.raisesLimits), isAdministrator else {
                return refuseConnection(refusal, head.id, encoding)
            }
            closeSoon()
        }
        if context.isDraining, !handover.isKept, !row.traits.contains(.isAnsweredAtEnd) || head.data != nil {
            return reply(.shuttingDown, id: head.id, encoding: encoding)
        }
        if inFlight.isInUse(head.id), !row.traits.contains(.namesAnother) {
            return reply(.idInUse, id: head.id, encoding: encoding)
        }
        if isMonitor, !mayMonitor(row) { return reply(refusalOfMonitor(), id: head.id, encoding: encoding) }
        do throws(RequestError) {
            try begin(row, head.id, encoding)
            _ = try row.content.answer(ReceivedRequest(head: head, encoding: encoding, row: row), on: self)
            watch.requestDidEnd()
        } catch {
            watch.requestDidEnd()
            if context.observer.wants(.debug) { observeRefusal(head, row.type, error) }
            reply(error, id: head.id, encoding: encoding)
        }
    }

    /// Checks and records what applies to all types, before a request starts.
    private func begin(_ row: RequestRow, _ id: RequestID, _ encoding: WireEncoding) throws(RequestError) {
        if let refusal = refusal(ofBytes: context.body.count) { throw refusal }
        if case .administrators(let right, let message, let hint) = row.access, !isAdministrator {
            noteDenial(of: right, nil)
            throw RequestError(.permissionDenied, "\(message)", hint: "\(hint)")
        }
        guard row.traits.contains(.isWork) else { return }
        try checkRequestCount()
        watch.requestDidBegin(row)
        if row.traits.contains(.isKept) { recordPosition(with: id, encoding) }
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
        closeSoon()
    }

    // MARK: Replies

    /// A writer in the form of this connection.
    func writer(_ encoding: WireEncoding) -> MessageWriter {
        MessageWriter(encoding: encoding, framing: stream.framing, int64Style: preferences.int64Style)
    }

    /// Queues the reply to a request that needed no operation.
    func reply(_ data: consuming some ReplyData, to request: ReceivedRequest) -> RequestOutcome {
        reply(data, request.row.type.replyName, id: request.head.id, encoding: request.encoding)
        return .answered
    }

    /// Queues the last reply of an operation.
    func reply(_ data: consuming some ReplyData, to operation: Operation) {
        reply(data, operation.row.type.replyName, id: operation.id, encoding: operation.encoding)
    }

    /// Queues a message.
    func reply(_ data: consuming some ReplyData, _ type: StaticString, id: RequestID, encoding: WireEncoding) {
        var writer = writer(encoding)
        let now = WireTimestamp(nanosecondsSince1970: WallClock.nanosecondsSince1970)
        writer.begin(type: type, id: id, timestamp: now, into: &stream.output.tail)
        data.writeFields(&writer, &stream.output.tail)
        writer.end(into: &stream.output.tail)
    }

    /// Queues an `error` reply.
    func reply(
        _ error: RequestError, id: RequestID, encoding: WireEncoding, transaction: String? = nil
    ) {
        context.statistics.errors[Int(error.code.rawValue)] &+= 1
        var answer = ErrorReply(error.fields)
        answer.transaction = transaction
        reply(answer, ErrorReply.typeName, id: id, encoding: encoding)
    }

    /// The data of a request: decoded here, or already by a worker.
    func content<Content: RequestContent>(
        _ type: Content.Type, of head: RequestHead
    ) throws(RequestError) -> Content {
        do throws(DecodeError) {
            guard case .decoded(let request) = decoding else { return try Content(head.data) }
            guard let content = try request.content() as? Content else {
                preconditionFailure("a request was decoded as one of another type")
            }
            return content
        } catch {
            throw RequestError(error)
        }
    }
}
