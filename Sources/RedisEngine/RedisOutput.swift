// Commands on their way to the server.

internal import ByteBuffers
internal import LinuxSystem

/// Commands that are not sent yet, in the format of the protocol (RESP2): arrays of strings.
struct RedisOutput: ~Copyable {
    enum Outcome { case sent, wouldBlock, lost }

    private var bytes = ByteBuffer()

    /// Storage that is kept between commands.
    private static let keptByteCountMax = 32 << 10

    var byteCount: Int { bytes.count }
    var isEmpty: Bool { bytes.isEmpty }

    mutating func beginCommand(argumentCount: Int) { bytes.append("*\(argumentCount)\r\n" as String) }

    mutating func append(_ argument: UnsafeRawBufferPointer) {
        bytes.append("$\(argument.count)\r\n" as String)
        bytes.append(argument)
        bytes.append("\r\n" as StaticString)
    }

    mutating func append(_ argument: StaticString) {
        append(UnsafeRawBufferPointer(start: argument.utf8Start, count: argument.utf8CodeUnitCount))
    }

    /// Removes what was appended since it had `byteCount` bytes.
    mutating func truncate(to byteCount: Int) { bytes.truncate(to: byteCount) }

    /// Sends what the server takes, up to about `byteCountMax`.
    mutating func send(to descriptor: borrowing OwnedDescriptor, byteCountMax: Int) -> Outcome {
        var leftByteCount = byteCountMax
        while !bytes.isEmpty, leftByteCount > 0 {
            let piece = UnsafeRawBufferPointer(rebasing: bytes.readable.prefix(leftByteCount))
            switch SystemCalls.send(descriptor, piece) {
            case .bytes(let count):
                bytes.consume(count)
                leftByteCount -= count
            case .wouldBlock: return .wouldBlock
            case .endOfStream, .failed: return .lost
            }
        }
        if bytes.isEmpty, bytes.capacity > Self.keptByteCountMax { bytes.releaseStorage() }
        return .sent
    }
}
