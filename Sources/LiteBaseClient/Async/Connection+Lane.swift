// An asynchronous client's way to a lane, and back to the socket (docs/protocol.md, "Fast lane").

internal import ByteBuffers
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection.State {
    /// Counts a request, before which a lane may be asked for.
    /// - Returns: whether the thread has to ask now, and is the sender until it has the answer.
    mutating func wantLane() -> Bool {
        // Nobody may mistake on which side of the question another message is.
        guard lane == .none, upgrade.isDue, router.inFlight == 0, !isSending, output.buffer.isEmpty else {
            return false
        }
        isSending = true
        // Introductions have a reply, too.
        lane = .wanted(behind: router.unanswered)
        return true
    }

    /// The daemon ends the lane.
    /// - Returns: whether nobody else reads or writes now, and the thread does.
    mutating func takeBothWays() -> Bool {
        lane = .leaving
        isReaderWanted = isReading
        // A sender who is not blocked finds out by himself, and wakes the thread.
        guard !isReading, !isSending || isWriteBlocked else { return false }
        isReading = true
        isSending = true
        isWriteBlocked = false
        return true
    }
}

/// The question for a lane, and what there is of the answer.
struct LaneQuestion: ~Copyable {
    let id: Int64
    var unsent = ByteBuffer()
    var offer = LaneOffer()
}

// The thread's.
extension Connection {
    /// The question, when it is time for it.
    func laneQuestion() -> LaneQuestion? {
        let due = state.withLock { state -> (id: Int64, asking: Introduction)? in
            guard case .wanted(let ids) = state.lane, state.router.haveReplies(ids) else { return nil }
            return (state.router.makeID(), state.introduction)
        }
        guard let due else { return nil }
        var asking = due.asking
        asking.wantsSharedMemory = true
        var question = LaneQuestion(id: due.id)
        do throws(ClientError) {
            try Request.hello(asking).encode(id: due.id, into: &question.unsent)
        } catch {
            // A name that leaves no room for these few bytes: it goes on over the socket.
            state.withLock { $0.router.forget(due.id) }
            openLane(nil)
            return nil
        }
        // Whatever the program has said of its sockets: this one takes the descriptor of the memory, and no other.
        Sockets.setDescriptors(socket, mayPass: true)
        return question
    }

    func sendQuestion(_ question: inout LaneQuestion?) {
        while let bytes = question?.unsent.readable, !bytes.isEmpty {
            switch SystemCalls.send(socket, bytes) {
            case .bytes(let count): question?.unsent.consume(count)
            case .wouldBlock: return
            case .endOfStream: return fail(.disconnected(.brokenPipe))
            case .failed(let error): return fail(.disconnected(error))
            }
        }
    }

    /// Receives more of the answer, and nothing that follows it.
    func receiveAnswer(_ question: inout LaneQuestion?) {
        guard var asked = question.take() else { return }
        let id = asked.id
        do throws(ClientError) {
            switch try asked.offer.receive(socket, into: &incoming.buffer) {
            case .bytes, .wouldBlock: break
            case .endOfStream: throw .disconnected(nil)
            case .failed(let error): throw .disconnected(error)
            }
            if let body = try Frames.first(in: incoming.buffer.readable) {
                let (reply, byteCount) = (try Reply(body), body.count)
                incoming.buffer.consume(4 + byteCount)
                if state.withLock({ $0.router.wasAnswered(reply, id) }) {
                    return openLane(try asked.offer.rings(reply))
                }
                try dispatch(reply, byteCount: byteCount)
            }
            question = consume asked
        } catch {
            fail(error)
        }
    }

    private func openLane(_ rings: consuming LaneRings?) {
        Sockets.setDescriptors(socket, mayPass: false)
        let isGranted: Bool
        if let rings {
            isGranted = true
            rings.divide { input, output in
                incoming.lane = consume input
                outgoing.lane = consume output
            }
        } else {
            isGranted = false
        }
        state.withLock { state in
            state.lane = isGranted ? .open : .none
            if !isGranted { state.upgrade.wasRefused() }
        }
        sendAll()
    }

    /// Goes back to the socket: what is in the ring is read first, and what the former process has not read is sent again.
    func leaveLane(_ messages: [UInt8]) {
        while case .bytes(let count)? = incoming.lane?.read(into: incoming.buffer.writable(64 << 10)) {
            incoming.buffer.commit(count)
        }
        incoming.buffer.append(messages)
        guard let (_, unread) = outgoing.lane?.unread() else { return fail(.disconnected(.protocolViolation)) }
        incoming.lane = nil
        outgoing.lane = nil
        state.withLock { state in
            LaneSignal.leave.withBytes { state.beingSent.buffer.append($0) }
            state.beingSent.buffer.append(unread)
            state.beingSent.buffer.append(state.output.buffer.readable)
            state.output.buffer.removeAll()
            swap(&state.output, &state.beingSent)
            state.lane = .none
            state.isReading = false
        }
        sendAll()
        dispatchFrames()
    }
}
