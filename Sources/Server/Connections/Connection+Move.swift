// A connection that asks for a lane goes on on a loop that serves lanes.
//
// A loop that looks at memory keeps a core busy, and so does a client that looks for its replies: with a looking loop on each core, each of
// them takes turns with the client. 16 lanes of one thread on two cores: 0.3 M health checks a second by two loops, 1.3 M by one.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// Which loops serve lanes: the first ones, as many as leave the other half of the cores to the clients.
struct LaneLoops: Sendable {
    private let countMax: Int

    /// - Parameters:
    ///   - coreCount: cores that the daemon may use.
    ///   - looks: whether loops look at memory before they sleep; where they do not, every loop serves lanes.
    init(coreCount: Int, looks: Bool) { countMax = looks ? max(1, coreCount / 2) : .max }

    /// The loop that takes the lanes of loop `index`; `nil` if that serves them itself.
    func substitute(for index: Int, of loopCount: Int) -> Int? {
        let count = min(loopCount, countMax)
        return index < count ? nil : index % count
    }
}

extension SharedState {
    /// The loop that takes the lanes of the one with that mailbox; `nil` if that serves them itself.
    fileprivate func laneLoop(insteadOf own: LoopMailbox) -> LoopMember? {
        let loops = loops
        guard let index = loops.firstIndex(where: { $0.mailbox === own }) else { return nil }
        return laneLoops.substitute(for: index, of: loops.count).map { loops[$0] }
    }
}

/// A connection between two loops, with the first of its requests, to which it has no reply yet.
///
/// Whoever drops it leaves its descriptor open: every job of a loop runs.
private struct MovingConnection: Sendable {
    let descriptor: Int32
    let number: UInt64
    let client: Client
    let slot: HandoverSlot?
    let framing: FormatNumber
    let encoding: FormatNumber
    /// As MessagePack.
    let request: [UInt8]
}

extension Connection {
    /// The loop on which a connection that asks for a lane goes on; `nil` if that is its own.
    ///
    /// Only a connection that has done nothing else moves, so that nothing of it has to be carried along.
    var loopForLane: LoopMember? {
        guard requestCount == 1, phase == .open, stream.laneState == .none, mayHaveLane, case .none = decoding else {
            return nil
        }
        // One that a former process has served may have had sessions, and may take descriptors.
        guard sessions.lastNumber == 0, stream.descriptors == nil, !lacksRoomForLane else { return nil }
        // Whoever offers connections to the store would look for it here. One that nobody has offered yet is missed by a look that
        // comes while it is between two loops, as one is that was just accepted.
        if case .offered = handover { return nil }
        return context.shared.laneLoop(insteadOf: context.loop.mailbox)
    }

    /// Gives the connection to another loop, which answers the request that is being handled.
    func move(_ request: ReceivedRequest, to loop: LoopMember) -> RequestOutcome {
        guard let socket = stream.release(self, context.loop) else { return .passedOn }
        let moving = MovingConnection(
            descriptor: socket.release(), number: number, client: client.client, slot: handover.slot,
            framing: stream.framing.number, encoding: request.encoding.number, request: [UInt8](context.body.readable))
        context.statistics.requests[Int(request.row.number)] -= 1
        context.statistics.connectionsOpened -= 1
        leaveLoop()
        settleAccount()
        loop.submit { $0.take(moving) }
        return .passedOn
    }

    /// Answers the request with which the connection came from another loop.
    fileprivate func begin(_ framing: Framing, _ encoding: WireEncoding, _ request: [UInt8]) {
        stream.decoder.resume(framing)
        withOutputStorage {
            requestCount = 1
            attention = .lastRequest
            context.body.removeAll()
            request.withUnsafeBytes { context.body.append($0) }
            handleBody(encoding)
            attention = .none
            finishTurn()
        }
    }
}

extension LoopContext {
    /// Serves a connection that was another loop's.
    fileprivate func take(_ moving: MovingConnection) {
        guard let framing = formats.framing(moving.framing), let encoding = formats.encoding(moving.encoding) else {
            preconditionFailure("all loops know the same formats")
        }
        let connection = Connection(
            OwnedDescriptor(moving.descriptor), number: moving.number, client: moving.client, refusal: nil,
            context: self)
        connection.handover = HandoverRecord(moving.slot)
        connection.open()
        guard !connection.isClosed else { return }
        charge(.arrivals, of: connection) { connection.begin(framing, encoding, moving.request) }
        if isDraining { connection.beginDrain() }
    }
}
