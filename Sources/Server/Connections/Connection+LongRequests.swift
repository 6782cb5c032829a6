// Long requests leave the loop to be decoded. A connection has one of them at a time; its further requests wait behind it, so
// that their order stays.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Where a long request is, counted from the start of the input.
    struct LongFrame {
        var body: Range<Int>
        var end: Int
    }

    /// Takes a long request out of the input, and has it decoded.
    func startLongRequest() {
        guard let frame = longFrame.take() else { return }
        requestCount &+= 1
        // The storage goes with the request; what came behind it is little, since nothing was read after it was complete.
        var rest = ByteBuffer()
        rest.append(UnsafeRawBufferPointer(rebasing: input.readable[frame.end...]))
        swap(&input, &rest)
        rest.truncate(to: frame.body.upperBound)
        rest.consume(frame.body.lowerBound)
        guard let encoding = WireEncoding(body: rest.readable, framing: decoder.framing ?? .lines) else {
            flow.isInputReady = !input.isEmpty
            return refuseBody(decoder.framing ?? .lines)
        }
        if encoding == .json, let error = refusal(ofBytes: LongRequest.growthOfJSON * rest.count) {
            flow.isInputReady = !input.isEmpty
            return reply(error, id: .none, encoding: encoding)
        }
        let request = LongRequest(rest, encoding)
        longRequest = request
        flow.decodingDidBegin()
        inFlightByteCount += request.chargedByteCount
        settleAccount()
        let here = LoopBound(self, context.loop.mailbox)
        let mailbox = context.loop.mailbox
        context.shared.writers.submit(for: owner.uid) {
            request.decode()
            mailbox.submit { here.wrapped.longRequestDecoded(request) }
        }
    }

    private func longRequestDecoded(_ request: LongRequest) {
        longRequest = nil
        flow.decodingDidEnd()
        inFlightByteCount -= request.chargedByteCount
        if isClosed { return settleAccount() }
        withOutputStorage {
            isLastFrame = input.isEmpty
            isProcessing = true
            answer(request)
            isProcessing = false
            processInput()
            finishTurn()
        }
    }

    private func answer(_ request: LongRequest) {
        switch request.outcome {
        case .none: preconditionFailure("a request came back from decoding without an outcome")
        case .noMessage(let error): reply(RequestError(error), id: .none, encoding: request.encoding)
        case .noRequest(let error): reply(RequestError(error.error), id: error.id, encoding: request.encoding)
        case .request(let head, _):
            // It is not known to be there by a later process, which would start it again.
            if context.isCancelling { return reply(.shuttingDown, id: head.id, encoding: request.encoding) }
            request.moveBody(to: &context.body)
            decodedRequest = request
            dispatch(head, request.encoding)
            decodedRequest = nil
            trimBody()
        }
    }

    /// The data of a request: decoded here, or by a worker already.
    func content<Content: RequestContent>(
        _ type: Content.Type, of head: RequestHead
    ) throws(RequestError) -> Content {
        do throws(DecodeError) {
            guard let decodedRequest else { return try Content(head.data) }
            guard let content = try decodedRequest.content() as? Content else {
                preconditionFailure("a request was decoded as one of another type")
            }
            return content
        } catch {
            throw RequestError(error)
        }
    }
}
