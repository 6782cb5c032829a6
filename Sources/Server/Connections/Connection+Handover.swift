// A connection that outlives its process: what it writes down meanwhile, how it leaves, how it comes back.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Whether the descriptor store should keep it and does not.
    var isKeepable: Bool { slot == nil && !isOffered && refusal == nil && !isClosing && !isClosed }

    /// From now on the store keeps the connection.
    func adopt(_ slot: HandoverSlot?) {
        isOffered = false
        guard let slot else { return }
        precondition(self.slot == nil, "a connection is kept twice")
        self.slot = slot
        recordPosition()
    }

    /// Tells a later process where the connection stands, between two turns.
    ///
    /// With half a message in hand, or replies that the client has not taken, the position stays unknown.
    func recordPosition() {
        guard let slot, !isClosed, !isClosing, output.isEmpty, input.isEmpty, longRequest == nil else { return }
        record(in: slot, isBehindLeftover: false)
    }

    /// The same before a request that came alone and may take a while is run within its turn.
    func recordPosition(with id: RequestID, _ encoding: WireEncoding) {
        guard let slot, isLastFrame, output.isEmpty, inFlight.isEmpty else { return }
        slot.record(
            framing: decoder.framing, int64Style: int64Style, noticeEncoding: noticeEncoding, sessionCount: lastSession,
            requestCount: 1
        ) { _ in UnansweredRequest(id: id, encoding: encoding) }
    }

    private func record(in slot: HandoverSlot, isBehindLeftover: Bool) {
        slot.record(
            framing: decoder.framing, int64Style: int64Style, noticeEncoding: noticeEncoding, sessionCount: lastSession,
            requestCount: inFlight.count, isBehindLeftover: isBehindLeftover
        ) { UnansweredRequest(id: inFlight[$0].id, encoding: inFlight[$0].encoding) }
    }

    // MARK: Leaving

    /// The process ends, and a later one goes on with the connection.
    func handOver() {
        // One that must end says so to nobody but its client: the next process would read on.
        guard let slot, let store = context.shared.handover?.store, !isClosed, !isClosing else { return disconnect() }
        if longRequest != nil {
            // Half done: the position stays unknown, and the next process closes the connection.
            slot.markUnknown()
        } else if input.isEmpty, output.isEmpty {
            record(in: slot, isBehindLeftover: false)
        } else {
            keepLeftover(slot, store)
        }
        detach()
    }

    private func keepLeftover(_ slot: HandoverSlot, _ store: any DescriptorStore) {
        do throws(Errno) {
            let leftover = try Leftover(input: input.readable, output: output)
            store.keep(
                leftover.descriptorNumber, name: KeptName.leftover(slot: slot.index, number: number).text,
                isWatched: true)
            record(in: slot, isBehindLeftover: true)
        } catch {
            // The position stays unknown, and the next process closes the connection.
            slot.markUnknown()
        }
    }

    // MARK: Coming back

    /// Goes on with a connection of a former process: first the replies that it could not send, then the requests that it
    /// has not answered, then what it had read.
    func restore(_ leftover: Leftover?) {
        guard let slot else { return }
        int64Style = slot.int64Style
        noticeEncoding = slot.noticeEncoding
        if let framing = slot.framing { decoder.resume(framing) }
        restoredSessionCount = slot.sessionCount
        let requests = slot.unanswered ?? []
        withOutputStorage {
            if let leftover { output.append(leftover.output) }
            for request in requests {
                reply(.outcomeUnknown(sessionNames), id: request.id, encoding: request.encoding)
            }
            slot.markUnknown()
            if let leftover {
                context.shared.handover?.forget(.leftover(slot: slot.index, number: number))
                input.append(leftover.input)
                processInput()
            }
            finishTurn()
        }
    }

    /// Names of the sessions that went with the former process.
    private var sessionNames: String? {
        switch restoredSessionCount {
        case 0: nil
        case 1: "The session s\(number)-1 is gone."
        default: "All sessions of this connection, s\(number)-1 to s\(number)-\(restoredSessionCount), are gone."
        }
    }

    /// What to say about a session that is not there.
    func sessionNotFound(_ name: UnsafeRawBufferPointer) -> RequestError {
        let prefix = "s\(number)-"
        if name.starts(with: prefix.utf8),
            let index = UInt64(String(decoding: name.dropFirst(prefix.utf8.count).prefix(20), as: UTF8.self)),
            index >= 1, index <= restoredSessionCount
        {
            return .sessionGone(name)
        }
        switch endedSessions.first(where: { $0.name.utf8.elementsEqual(name) })?.reason {
        case .idleTransaction: return .sessionExpired(name, limit: context.limits.idleTransactionMillisecondsMax)
        case .idleHold: return .sessionHeld(name, limit: context.limits.idleHoldMillisecondsMax)
        case .revoked: return .sessionRevoked(name)
        case nil: return .sessionNotFound(name)
        }
    }
}

extension LoopContext {
    /// Goes on serving a connection of a former process.
    func reopen(
        _ descriptor: Int32, number: UInt64, client: Client, _ slot: HandoverSlot, _ leftover: Leftover?
    ) {
        let connection = makeConnection(OwnedDescriptor(descriptor), number: number, client, refusal: nil)
        connection.slot = slot
        connection.open()
        connection.restore(leftover)
    }
}
