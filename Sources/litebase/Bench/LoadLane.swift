// Messages of a load connection through memory that it shares with the daemon (docs/protocol.md, "Fast lane").

internal import ByteBuffers
internal import LinuxSystem
internal import WireProtocol

/// The client's side of one lane.
///
/// - Thread: its connection's worker's.
final class LoadLane {
    var rings: LaneRings

    private enum Signal { static let ring: UInt8 = 1, leave: UInt8 = 2 }

    init(_ rings: consuming LaneRings) { self.rings = rings }

    /// Wakes the daemon if it sleeps and something was written or read.
    func ringIfNeeded(_ socket: borrowing OwnedDescriptor) {
        guard rings.mustRing() else { return }
        withUnsafeBytes(of: Signal.ring) { _ = SystemCalls.send(socket, $0) }
    }

    /// Receives what the daemon has sent over the socket.
    /// - Returns: why the lane is over; `nil` if it is not.
    func receiveSignals(_ socket: borrowing OwnedDescriptor) -> String? {
        withUnsafeTemporaryAllocation(byteCount: 4_096, alignment: 1) { buffer in
            switch SystemCalls.receive(socket, into: buffer) {
            case .bytes(let count):
                if buffer[..<count].allSatisfy({ $0 == Signal.ring }) { return nil }
                return buffer[..<count].contains(Signal.leave)
                    ? "the daemon was replaced" : "the answer is not of the LiteBase protocol"
            case .wouldBlock: return nil
            case .endOfStream: return "the server closed the connection"
            case .failed(let error): return "the connection broke off: \(error)"
            }
        }
    }
}

/// The request for a lane, until its reply is there.
final class LaneRequest {
    enum Outcome {
        case waiting, refused
        case granted(LoadLane)
        case failed(String)
    }

    private var input = ByteBuffer()
    private var descriptor: Int32?

    deinit {
        if let descriptor { _ = OwnedDescriptor(descriptor) }
    }

    func append(to output: inout ByteBuffer) {
        var writer = RequestWriter(encoding: .messagePack, framing: .lengthPrefixed)
        writer.begin(type: HelloRequest.type, id: .integer(0), into: &output)
        HelloRequest.write(client: "litebase bench", notices: false, sharedMemory: true, &writer, &output)
        writer.end(into: &output)
    }

    /// Receives the reply, and nothing that follows it.
    func receive(_ socket: borrowing OwnedDescriptor) -> Outcome {
        while true {
            let wanted = missingByteCount
            guard wanted > 0 else { return outcome() }
            guard wanted <= WireLimits.frameByteCountCeiling else {
                return .failed("the answer is not of the LiteBase protocol")
            }
            let target = UnsafeMutableRawBufferPointer(rebasing: input.writable(wanted)[..<wanted])
            let received = Sockets.receive(socket, into: target) { numbers, _ in
                for number in numbers {
                    if let other = descriptor { _ = OwnedDescriptor(other) }
                    descriptor = number
                }
            }
            switch received {
            case .bytes(let count): input.commit(count)
            case .wouldBlock: return .waiting
            case .endOfStream: return .failed("the server closed the connection")
            case .failed(let error): return .failed("the connection broke off: \(error)")
            }
        }
    }

    /// Bytes that the reply has still, or those of its length.
    private var missingByteCount: Int {
        let bytes = input.readable
        guard bytes.count >= 4 else { return 4 - bytes.count }
        return 4 + Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self))) - bytes.count
    }

    private func outcome() -> Outcome {
        let body = UnsafeRawBufferPointer(rebasing: input.readable[4...])
        if let reply = try? ScannedReply(body), reply.isError { return .failed(ScannedReply.error(in: body).message) }
        guard let number = descriptor.take() else { return .refused }
        do throws(Errno) {
            return .granted(LoadLane(try LaneRings(mapping: OwnedDescriptor(number))))
        } catch {
            return .failed("the daemon's memory cannot be used: \(error)")
        }
    }
}
