// What goes over the socket of a lane: the offer of the memory, and signals.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// A reply that may bring the memory of a lane. Nothing behind it is received with it: that would be signals.
struct LaneOffer: ~Copyable {
    private var memory: OwnedDescriptor?

    /// Receives more of the reply.
    /// - Throws: as `Frames.first`.
    mutating func receive(
        _ socket: borrowing OwnedDescriptor, into input: inout ByteBuffer
    ) throws(ClientError) -> IOOutcome {
        let wanted = try Frames.missingByteCount(in: input.readable)
        let target = UnsafeMutableRawBufferPointer(rebasing: input.writable(wanted)[..<wanted])
        var received: Int32?
        let outcome = Sockets.receive(socket, into: target) { numbers, _ in
            for number in numbers {
                if received == nil { received = number } else { _ = OwnedDescriptor(number) }
            }
        }
        if let received {
            // A former one is closed: only one is announced.
            memory = OwnedDescriptor(received)
        }
        if case .bytes(let count) = outcome { input.commit(count) }
        return outcome
    }

    /// What has come of it.
    /// - Parameter reply: the whole reply.
    /// - Returns: the rings; `nil` if the daemon has refused.
    /// - Throws: where the daemon goes over to memory that this process could not get.
    consuming func rings(_ reply: Reply) throws(ClientError) -> LaneRings? {
        guard !reply.isError, HelloReply(reply.data).transport != nil else { return nil }
        guard let memory else { throw .disconnected(.tooManyFiles) }
        do throws(Errno) {
            return try LaneRings(mapping: memory)
        } catch {
            throw .disconnected(error)
        }
    }
}

/// What was received from the socket beside a lane.
enum LaneSignals {
    /// Rings, or nothing.
    case rings
    /// The lane is to be left; behind the signal there were these bytes of messages.
    case leave([UInt8])
    /// No more come: the daemon is gone, or is none.
    case end(IOOutcome)

    static func receive(_ socket: borrowing OwnedDescriptor) -> LaneSignals {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
            switch SystemCalls.receive(socket, into: buffer) {
            case .bytes(let count):
                let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
                guard let other = bytes.firstIndex(where: { $0 != LaneSignal.ring.rawValue }) else { return .rings }
                guard bytes[other] == LaneSignal.leave.rawValue else { return .end(.failed(.protocolViolation)) }
                return .leave([UInt8](bytes[(other + 1)...]))
            case .wouldBlock: return .rings
            case .endOfStream: return .end(.endOfStream)
            case .failed(let error): return .end(.failed(error))
            }
        }
    }

    /// Why no more come; `nil` for an end in good order.
    var error: Errno? {
        if case .end(.failed(let error)) = self { error } else { nil }
    }

    /// Wakes the daemon, which sleeps.
    static func ring(_ socket: borrowing OwnedDescriptor) {
        LaneSignal.ring.withBytes { _ = SystemCalls.send(socket, $0) }
    }
}
