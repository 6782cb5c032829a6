// A worker decodes long requests. A connection has one of them at a time; its next requests wait, so that they keep
// their order.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Takes a long request out of the input and has a worker decode it.
    func startLongRequest(_ frame: LongFrame) {
        decoding = .none
        requestCount &+= 1
        // The storage goes with the request. Little follows it, because nothing was read after it was complete.
        var rest = ByteBuffer()
        rest.append(UnsafeRawBufferPointer(rebasing: stream.input.readable[frame.end...]))
        swap(&stream.input, &rest)
        rest.truncate(to: frame.body.upperBound)
        rest.consume(frame.body.lowerBound)
        guard let encoding = context.formats.encoding(of: rest.readable, in: stream.framing) else {
            flow.isInputReady = !stream.input.isEmpty
            return refuseBody(stream.framing)
        }
        let growth = encoding.format.growth * rest.count
        if growth > 0, let error = refusal(ofBytes: growth) {
            flow.isInputReady = !stream.input.isEmpty
            return reply(error, id: .none, encoding: encoding)
        }
        let request = LongRequest(rest, encoding, context.requests)
        decoding = .running(request)
        flow.decodingDidBegin()
        inFlight.reserve(byteCount: request.chargedByteCount)
        settleAccount()
        let here = LoopBound(self, context.loop.mailbox)
        let mailbox = context.loop.mailbox
        context.shared.promptWorkers.submit(for: owner.uid) {
            request.decode()
            mailbox.submit { here.wrapped.longRequestDecoded(request) }
        }
    }

    private func longRequestDecoded(_ request: LongRequest) {
        decoding = .none
        flow.decodingDidEnd()
        inFlight.release(byteCount: request.chargedByteCount)
        if isClosed { return settleAccount() }
        withOutputStorage {
            attention = stream.input.isEmpty ? .lastRequest : .request
            answer(request)
            if stream.descriptors != nil { closeUndeclared(before: stream.input.count) }
            attention = .none
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
            // It was not recorded, so a later process does not know it; this one may not start it any more.
            if context.isCancelling { return reply(.shuttingDown, id: head.id, encoding: request.encoding) }
            request.moveBody(to: &context.body)
            decoding = .decoded(request)
            dispatch(head, request.encoding)
            decoding = .none
            trimBody()
        }
    }
}
