// How a blocking client asks for shared memory.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

extension BlockingClient {
    /// Whether messages go through memory that the daemon shares with this client, at the moment.
    public var usesSharedMemory: Bool { channel.usesSharedMemory }

    /// Asks the daemon for shared memory. It may refuse, and where something else is going on, this is not the time.
    func openLane(until deadline: MonotonicInstant?) throws(ClientError) {
        guard !channel.usesSharedMemory, router.inFlight == 0 else { return }
        try flush(until: deadline)
        // Also not beside an introduction, whose reply nobody waits for.
        while !router.isIdle, failure == nil {
            let ready = channel.wait(.readable, -1, until: deadline).first
            if ready.contains(.readable) { receive() } else if let deadline, .now >= deadline { return }
        }
        guard output.isEmpty, input.isEmpty, failure == nil else { return }
        var asking = introduction
        asking.wantsSharedMemory = true
        let id = router.makeID()
        do throws(ClientError) {
            try Request.hello(asking).encode(id: id, into: &output)
        } catch {
            // A name that leaves no room for these few bytes: it goes on over the socket.
            router.forget(id)
            return upgrade.wasRefused()
        }
        // Whatever the program has said of its sockets: this one takes the descriptor of the memory, and no other.
        Sockets.setDescriptors(channel.socket, mayPass: true)
        defer { Sockets.setDescriptors(channel.socket, mayPass: false) }
        try flush(until: deadline)
        var offer = LaneOffer()
        let reply = try receiveReply(id, &offer, until: deadline)
        do throws(ClientError) {
            if let rings = try offer.rings(reply) { channel.open(rings) } else { upgrade.wasRefused() }
        } catch {
            fail(error)
        }
    }

    /// Receives until a reply is there, and nothing that follows it.
    private func receiveReply(
        _ id: Int64, _ offer: inout LaneOffer, until deadline: MonotonicInstant?
    ) throws(ClientError) -> Reply {
        while true {
            switch try offer.receive(channel.socket, into: &input) {
            case .bytes:
                guard let (reply, byteCount) = try takeReply() else { continue }
                if router.wasAnswered(reply, id) { return reply }
                try dispatch(reply, byteCount: byteCount)
            case .wouldBlock:
                let ready = channel.wait(.readable, -1, until: deadline).first
                if ready.isEmpty, let deadline, .now >= deadline { fail(.timedOut) }
            case .endOfStream: fail(.disconnected(nil))
            case .failed(let error): fail(.disconnected(error))
            }
            if let failure { throw failure }
        }
    }
}
