// When a connection gets a lane, and when it is gone.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// Why a connection has no lane any more.
enum LaneEnd {
    /// Nobody needs any of it.
    case clientIsGone
    /// The client may read the rest of the replies, and looks at the counts in any case.
    case closedHere
    /// The client sends what was not read again, to the next process.
    case handedOver
    /// The client could not get the memory, and was not told of it.
    case refused
}

extension Connection {
    /// Checks that nobody can mistake on which side of a `hello` that asks for a lane other messages are.
    func checkLane() throws(RequestError) {
        if stream.laneState == .open { return }
        guard attention == .lastRequest, inFlight.isEmpty, stream.output.isEmpty, !stream.hasUnreadBytes else {
            throw RequestError(
                .badRequest, "A hello that asks for shared memory came beside other requests.",
                hint: "Wait for all replies before it, and for its own before anything else: what follows may have to "
                    + "go through the memory.")
        }
    }

    /// Whether its client may have one at all.
    var mayHaveLane: Bool { peer != nil && !isMonitor && !context.isDraining }

    /// Makes the memory for a lane, if the client may have one; it counts among the user's from now on.
    /// - Returns: `nil` if everything stays on the socket: the client can do without.
    func makeLane(for request: HelloRequest) -> LaneRings? {
        guard stream.laneState == .none, mayHaveLane else { return nil }
        let standard = LaneRings.Sizes.standard
        let sizes = LaneRings.Sizes(
            request: request.requestRingByteCount.map(Int.init(clamping:)) ?? standard.request,
            reply: request.replyRingByteCount.map(Int.init(clamping:)) ?? standard.reply)
        guard claimLane(byteCount: sizes.byteCount) else { return nil }
        do throws(Errno) {
            return try LaneRings(sizes)
        } catch {
            account.lanes.add(-1)
            return nil
        }
    }

    /// Whether its user has as many lanes as may be, so that it would get none.
    var lacksRoomForLane: Bool {
        let limit = context.limits.lanesPerUserMax
        return account.leftLanes.count >= limit || account.lanes.count >= limit
    }

    private func claimLane(byteCount: Int) -> Bool {
        settleAccount()
        guard account.bufferedBytes.count + byteCount <= context.limits.bufferedByteCountPerUserMax else {
            hit(.bufferedBytesPerUser)
            return false
        }
        // Those that were left behind count once more: a client that leaves many stays on the socket.
        guard !lacksRoomForLane, account.lanes.claim(below: context.limits.lanesPerUserMax) else {
            hit(.lanesPerUser)
            return false
        }
        return true
    }

    /// Has everything behind the reply that was just written go through a lane; `refusal` is the reply that says nothing of it,
    /// for a client that cannot get the memory.
    func open(_ rings: consuming LaneRings, refusal: [UInt8]) {
        context.statistics.lanesOpened += 1
        context.statistics.lanesOpen += 1
        stream.open(rings, refusal: refusal, self, context.loop)
        settleAccount()
    }

    /// The kernel does not give the client the memory: it gets the other reply, and everything stays on the socket.
    func refuseLane() {
        let reply = stream.laneRefusal
        context.statistics.lanesOpened -= 1
        closeLane(.refused)
        stream.output.removeAll { context.dispose(of: &$0) }
        reply.withUnsafeBytes { stream.output.append($0) }
    }

    /// Gives up the lane, if there is one; freeing its memory would take the loop some time.
    func closeLane(_ end: LaneEnd) {
        let isLeft =
            switch end {
            case .clientIsGone: stream.hasUntakenIntroduction
            case .closedHere: stream.hasUntakenReplies
            case .handedOver, .refused: false
            }
        guard let memory = stream.closeLane() else { return }
        account.lanes.add(-1)
        if isLeft { account.leftLanes.add(1) }
        context.statistics.lanesOpen -= 1
        let start =
            switch end {
            case .clientIsGone, .refused: 0
            case .closedHere: isLeft ? memory.bytes.count : LaneRings.headerByteCount
            case .handedOver: memory.bytes.count
            }
        context.shared.disposers.submit(for: 0) { memory.discard(from: start) }
    }
}
