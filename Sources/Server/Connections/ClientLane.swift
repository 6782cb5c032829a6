// A lane of a connection: rings for the messages, and signals over the socket (docs/protocol.md, "Fast lane").

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// Where the messages of a connection are.
enum LaneState: UInt8 {
    /// On the socket.
    case none
    /// In the rings.
    case open
    /// On the socket, behind what the client sends until it knows that there is no lane any more.
    case leaving

    /// What was received while the client leaves.
    /// - Returns: the bytes behind the signals; `nil` if there are others.
    mutating func skipSignals(_ bytes: UnsafeRawBufferPointer) -> Slice<UnsafeRawBufferPointer>? {
        for (index, byte) in bytes.enumerated() {
            switch LaneSignal(rawValue: byte) {
            case .descriptor, .ring, .end: continue
            case .leave:
                self = .none
                return bytes[(index + 1)...]
            case nil: return nil
            }
        }
        return bytes[bytes.count...]
    }
}

extension Output {
    mutating func append(_ signal: LaneSignal) { signal.withBytes { append($0) } }
}

/// The lane of one connection.
///
/// Invariant: when the loop does not look at the memory, the client has to ring, or what it does is of no interest.
///
/// - Thread: its connection's loop.
final class ClientLane {
    @exclusivity(unchecked) private var rings: LaneRings
    /// Of the memory.
    let byteCount: Int
    /// Bytes of the output that are sent over the socket: the reply that tells the client of its lane.
    @exclusivity(unchecked) private var introductionByteCount: Int
    /// The reply in place of that, should the kernel not pass the descriptor.
    private(set) var refusal: [UInt8]
    /// The reply's first byte takes it along.
    private var hasSentDescriptor = false
    /// The socket was readable.
    @exclusivity(unchecked) private(set) var mustLookAtSocket = false
    /// The interest has to be set again, though the stream waits for the same.
    @exclusivity(unchecked) private(set) var hasStaleInterest = false

    init(_ rings: consuming LaneRings, introductionByteCount: Int, refusal: [UInt8]) {
        self.refusal = refusal
        byteCount = rings.byteCount
        self.rings = rings
        self.introductionByteCount = introductionByteCount
    }

    var sizes: LaneRings.Sizes { rings.sizes }
    var isOpening: Bool { introductionByteCount > 0 }
    var hasUnreadBytes: Bool { rings.hasUnreadBytes }
    var queuedByteCount: Int { rings.unreadByteCount }

    /// To be freed where that may take time.
    var memory: SharedMemory { rings.sharedMemory }

    // MARK: Waiting

    /// - Returns: the events of the socket that count: signals also while no message is read, since one tells of room for
    ///   replies.
    func wait(for interest: Readiness) -> Readiness {
        hasStaleInterest = false
        let waitsForRoom = interest.contains(.writable)
        rings.wait(forInput: interest.contains(.readable), forRoom: waitsForRoom && !isOpening)
        return isOpening && waitsForRoom ? [.readable, .writable] : .readable
    }

    var hasNews: Bool { rings.hasNews }
    func fallAsleep() -> Bool { rings.fallAsleep() }
    func mustRing() -> Bool { rings.mustRing() }

    // MARK: The socket

    func noteSignals() { mustLookAtSocket = true }

    /// Takes what was received from the socket.
    /// - Returns: the same; `.failed` also for what is no signal.
    func take(_ outcome: IOOutcome, _ bytes: UnsafeRawBufferPointer) -> IOOutcome {
        mustLookAtSocket = false
        switch outcome {
        case .bytes(let count):
            for byte in bytes[..<count] {
                switch LaneSignal(rawValue: byte) {
                case .descriptor, .ring: continue
                case .end: rings.endInput()
                case .leave, nil: return .failed(.protocolViolation)
                }
            }
            return outcome
        // Nobody could ring any more.
        case .endOfStream: return .failed(.brokenPipe)
        case .wouldBlock, .failed: return outcome
        }
    }

    /// The bytes of the output that belong to the introduction; `nil` behind it.
    func introduction(_ output: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard isOpening else { return nil }
        return UnsafeRawBufferPointer(rebasing: output[..<min(output.count, introductionByteCount)])
    }

    /// To be sent with the next byte; `nil` if it was sent.
    var unsentDescriptor: Int32? { hasSentDescriptor ? nil : rings.descriptorNumber }

    func introductionWasSent(_ byteCount: Int) {
        if !hasSentDescriptor { rings.closeDescriptor() }
        refusal = []
        hasSentDescriptor = true
        introductionByteCount -= byteCount
        hasStaleInterest = !isOpening
    }

    // MARK: The rings

    func read(into buffer: UnsafeMutableRawBufferPointer) -> IOOutcome { rings.read(into: buffer) }
    func write(_ bytes: UnsafeRawBufferPointer) -> IOOutcome { rings.write(bytes) }
}
