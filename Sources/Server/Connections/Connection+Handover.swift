// A connection that outlives its process: what it records, how it leaves, how the next process continues it.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension Connection {
    /// Whether the descriptor store should keep it and does not.
    var isKeepable: Bool {
        handover.mayBeOffered && client.refusal == nil && !client.isFromMonitorSocket && !isLeaving
    }

    /// The store has taken the connection; without a slot it has not.
    func adopt(_ slot: HandoverSlot?) {
        handover.adopt(slot)
        recordPosition()
    }

    private var position: HandoverRecord.Position {
        HandoverRecord.Position(
            framing: stream.decoder.framing, preferences: preferences, sessionCount: sessions.lastNumber,
            lane: stream.laneState)
    }

    /// Records the position of the connection for a later process, between two turns.
    ///
    /// With an incomplete message, or with replies that the client has not taken, the position stays unknown.
    func recordPosition() {
        guard handover.isKept, !isLeaving, stream.output.isEmpty, stream.input.isEmpty, !decoding.isRunning else {
            return
        }
        handover.write(position, unanswered: inFlight)
    }

    /// The same before a request that came alone, and that may take a while, runs within its turn.
    func recordPosition(with id: RequestID, _ encoding: WireEncoding) {
        guard handover.isKept, attention == .lastRequest, stream.output.isEmpty, inFlight.isEmpty else { return }
        handover.write(position, unanswered: id, encoding)
    }

    // MARK: Leaving

    /// The process ends, and a later one continues the connection.
    func handOver() {
        // A connection that has to end reports that only to its client: the next process would continue to read.
        guard let slot = handover.slot, let store = context.shared.handover?.store, !isLeaving else {
            return disconnect()
        }
        if decoding.isRunning || stream.isOpeningLane {
            // Incomplete: the position stays unknown, and the next process closes the connection.
            handover.markUnknown()
        } else if stream.input.isEmpty, stream.output.isEmpty {
            handover.write(position, unanswered: inFlight)
        } else {
            keepLeftover(slot, store)
        }
        detach()
    }

    private func keepLeftover(_ slot: HandoverSlot, _ store: any DescriptorStore) {
        do throws(Errno) {
            let leftover = try Leftover(input: stream.input.readable, output: stream.output)
            store.keep(
                leftover.descriptorNumber, name: KeptName.leftover(slot: slot.index, number: number).text,
                isWatched: true)
            handover.write(position, unanswered: inFlight, isBehindLeftover: true)
        } catch {
            // The position stays unknown, and the next process closes the connection.
            handover.markUnknown()
        }
    }

    // MARK: Coming back

    /// Continues a connection of a former process: first the replies that it could not send, then the requests that it
    /// has not answered, then the input that it had read.
    func restore(_ leftover: Leftover?) {
        guard let slot = handover.slot else { return }
        preferences.int64Style = slot.int64Style
        preferences.noticeEncoding = slot.noticeEncoding.flatMap(context.formats.encoding)
        takeDescriptors(slot.takesDescriptors)
        if let framing = slot.framing.flatMap(context.formats.framing) { stream.decoder.resume(framing) }
        sessions.restore(count: slot.sessionCount)
        let requests = slot.unanswered ?? []
        withOutputStorage {
            if let lane = slot.lane, lane != .none { stream.leaveLane(isTold: lane == .leaving) }
            if let leftover { stream.output.append(leftover.output) }
            for request in requests {
                // Looked at when the connection was found (`FormerProcess`).
                guard let encoding = context.formats.encoding(request.encoding) else { continue }
                reply(.outcomeUnknown(sessions.restoredText), id: request.id, encoding: encoding)
            }
            handover.markUnknown()
            if let leftover {
                context.shared.handover?.forget(.leftover(slot: slot.index, number: number))
                stream.input.append(leftover.input)
                processInput()
            }
            finishTurn()
        }
    }
}

extension LoopContext {
    /// Serves a connection of a former process again.
    func reopen(
        _ descriptor: Int32, number: UInt64, client: Client, _ slot: HandoverSlot, _ leftover: Leftover?
    ) {
        let connection = makeConnection(OwnedDescriptor(descriptor), number: number, client, refusal: nil)
        connection.handover = HandoverRecord(slot)
        connection.open()
        connection.restore(leftover)
    }
}
