// Lengths: for programs.

public import ByteBuffers

/// A 4-byte big-endian length, then that many bytes.
/// - Source: protocol.md, "Framing and encoding"
public enum LengthFraming: FramingFormat {
    @inlinable public static var number: FormatNumber { FormatNumber(rawValue: 1) }
    public static var plainEncoding: WireEncoding { .messagePack }

    // Where the next frame begins is known.
    public static var bodyRefusal: BodyRefusal {
        BodyRefusal(
            message: "A frame holds neither a MessagePack map nor a JSON object.",
            hint: "Start the body with a MessagePack map or with {.", closes: false)
    }

    // MARK: Reading

    /// No frame is longer than `WireLimits.frameByteCountCeiling`.
    public static func begins(with byte: UInt8) -> Bool { byte <= 0x04 }

    public static func next(
        in bytes: UnsafeRawBufferPointer, byteCountMax: Int, searched: inout Int
    ) -> FrameStep {
        guard bytes.count >= 4 else { return .incomplete(byteCountNeeded: 4 &- bytes.count) }
        let byteCount = Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        guard byteCount <= byteCountMax else {
            return .failure(.tooLarge(byteCount: byteCount, byteCountMax: byteCountMax))
        }
        let end = 4 &+ byteCount
        guard bytes.count >= end else { return .incomplete(byteCountNeeded: end &- bytes.count) }
        return .frame(body: 4..<end, consumed: end)
    }

    /// A torn frame is no message.
    public static func last(in bytes: UnsafeRawBufferPointer) -> FrameStep? { nil }

    // MARK: Writing

    public static func open(into output: inout ByteBuffer) { output.appendBigEndian(0 as UInt32) }

    public static func close(from start: Int, in output: inout ByteBuffer) {
        let byteCount = output.count &- start &- 4
        precondition(byteCount <= Int(UInt32.max), "a frame holds less than 4 GiB")
        output.patchBigEndian(UInt32(truncatingIfNeeded: byteCount), at: start)
    }

    public static var trailerByteCount: Int { 0 }
}
