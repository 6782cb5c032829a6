// Lines: for people, and for programs that have no better way.

public import ByteBuffers

/// One message a line, ended by LF; CRLF is accepted, and blank lines are skipped.
/// - Source: protocol.md, "Framing and encoding"
public enum LineFraming: FramingFormat {
    @inlinable public static var number: FormatNumber { FormatNumber(rawValue: 0) }
    public static var plainEncoding: WireEncoding { .json }

    // A line that is no object may be another protocol's, of a program that was led to this socket and knows nothing of it, and so
    // may be the next, which is one.
    public static var bodyRefusal: BodyRefusal {
        BodyRefusal(
            message: "A line holds no JSON object; the connection is closed.",
            hint: "Send one JSON object a line, such as {\"id\":1,\"type\":\"health_check\"}.", closes: true)
    }

    // MARK: Reading

    public static func begins(with byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): true
        default: false
        }
    }

    /// It goes on where it has stopped, so that a line that arrives one byte at a time costs O(n) in all.
    public static func next(
        in bytes: UnsafeRawBufferPointer, byteCountMax: Int, searched: inout Int
    ) -> FrameStep {
        var lineStart = 0
        while let lineEnd = bytes.firstOffset(of: UInt8(ascii: "\n"), from: max(lineStart, min(searched, bytes.count)))
        {
            searched = 0
            guard lineEnd &- lineStart <= byteCountMax else {
                return lineStart > 0 ? .skip(consumed: lineStart) : tooLong(lineEnd, byteCountMax)
            }
            if let first = firstNonBlank(in: bytes, from: lineStart, before: lineEnd) {
                let end = bytes[lineEnd &- 1] == UInt8(ascii: "\r") ? lineEnd &- 1 : lineEnd
                return .frame(body: first..<end, consumed: lineEnd &+ 1)
            }
            lineStart = lineEnd &+ 1
        }
        if lineStart > 0 {
            searched = 0
            return .skip(consumed: lineStart)
        }
        searched = bytes.count
        // One byte more than the largest line could be its LF.
        if bytes.count > byteCountMax { return tooLong(bytes.count, byteCountMax) }
        return .incomplete(byteCountNeeded: 1)
    }

    public static func last(in bytes: UnsafeRawBufferPointer) -> FrameStep? {
        guard let first = firstNonBlank(in: bytes, before: bytes.count) else { return .skip(consumed: bytes.count) }
        return .frame(body: first..<bytes.count, consumed: bytes.count)
    }

    private static func tooLong(_ byteCount: Int, _ byteCountMax: Int) -> FrameStep {
        .failure(.tooLarge(byteCount: byteCount, byteCountMax: byteCountMax))
    }

    private static func firstNonBlank(
        in bytes: UnsafeRawBufferPointer, from start: Int = 0, before end: Int
    ) -> Int? {
        var index = start
        while index < end {
            switch bytes[index] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): index &+= 1
            default: return index
            }
        }
        return nil
    }

    // MARK: Writing

    public static func open(into output: inout ByteBuffer) {}

    public static func close(from start: Int, in output: inout ByteBuffer) { output.append(UInt8(ascii: "\n")) }

    public static var trailerByteCount: Int { 1 }
}
