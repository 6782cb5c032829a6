// When a blocking client asks for shared memory, and how.

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// Decides when shared memory is asked for: at once, or when requests follow each other so closely that it pays.
///
/// A program that sends a few requests would pay more for the memory than it saves; one that sends a request a second would hold
/// memory for nothing.
struct LaneUpgrade {
    private let transport: Transport
    private var requestCount = 0
    private var began = MonotonicInstant(nanoseconds: 0)
    /// After a refusal there is a pause: what was used up may be free again.
    private var pauseRequestCount = 0

    /// As many requests within this time make it worthwhile.
    static let requestCount = 64
    static let nanosecondsMax: Int64 = 250_000_000
    static let refusedRequestCount = 10_000

    init(_ transport: Transport) { self.transport = transport }

    /// Counts a request, before which the client may ask.
    var isDue: Bool {
        mutating get {
            switch transport {
            case .socket: return false
            case .sharedMemory, .automatic: break
            }
            if pauseRequestCount > 0 {
                pauseRequestCount -= 1
                return false
            }
            if transport == .sharedMemory { return true }
            if requestCount == 0 { began = .now }
            requestCount += 1
            guard requestCount >= Self.requestCount else { return false }
            requestCount = 0
            return MonotonicInstant.now.nanoseconds(since: began) < Self.nanosecondsMax
        }
    }

    mutating func wasRefused() { pauseRequestCount = Self.refusedRequestCount }
}

extension BlockingClient {
    /// Whether messages go through memory that the daemon shares with this client, at the moment.
    public var usesSharedMemory: Bool { channel.usesSharedMemory }

    /// Asks the daemon for shared memory. It may refuse, and where something else is going on, this is not the time.
    func openLane(until deadline: MonotonicInstant?) throws(ClientError) {
        guard !channel.usesSharedMemory, router.inFlight == 0 else { return }
        try flush(until: deadline)
        guard output.isEmpty, input.isEmpty, failure == nil else { return }
        var asking = introduction
        asking.wantsSharedMemory = true
        let id = router.makeID()
        // Whatever the program has said of its sockets: this one takes the descriptor of the memory, and no other.
        Sockets.setDescriptors(channel.socket, mayPass: true)
        defer { Sockets.setDescriptors(channel.socket, mayPass: false) }
        try Request.hello(asking).encode(id: id, into: &output)
        try flush(until: deadline)
        var descriptor: Int32?
        let reply = try receiveReply(id, &descriptor, until: deadline)
        let file = descriptor.map { OwnedDescriptor($0) }
        guard !reply.isError, HelloReply(reply.data).transport != nil else { return upgrade.wasRefused() }
        guard let file else {
            // The daemon writes into memory that this process could not get.
            fail(.disconnected(.tooManyFiles))
            return
        }
        do throws(Errno) {
            channel.open(try LaneRings(mapping: file))
        } catch {
            fail(.disconnected(error))
        }
    }

    /// Receives until a reply is there, and nothing that follows it.
    private func receiveReply(
        _ id: Int64, _ descriptor: inout Int32?, until deadline: MonotonicInstant?
    ) throws(ClientError) -> Reply {
        while true {
            let wanted = try Frames.missingByteCount(in: input.readable)
            let target = UnsafeMutableRawBufferPointer(rebasing: input.writable(wanted)[..<wanted])
            var received = descriptor
            let outcome = Sockets.receive(channel.socket, into: target) { numbers, _ in
                for number in numbers {
                    if received == nil { received = number } else { _ = OwnedDescriptor(number) }
                }
            }
            descriptor = received
            switch outcome {
            case .bytes(let count):
                input.commit(count)
                guard let (reply, byteCount) = try takeReply() else { continue }
                if reply.id == id { return reply }
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
