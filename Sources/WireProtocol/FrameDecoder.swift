// Splits the bytes of a connection into messages. Reads no message; owns no bytes.
//
// The connection calls `next(in:)` with all that it has not consumed yet, until it is told to read more.

/// What to do with the bytes at hand.
public enum FrameStep: Sendable {
    /// No whole message yet: read on. `byteCountNeeded` more bytes make progress; never more than one frame's rest.
    case incomplete(byteCountNeeded: Int)
    /// A message: its body lies at these offsets. Consume `consumed` bytes once it is handled.
    case frame(body: Range<Int>, consumed: Int)
    /// Blank lines only: consume them and call again.
    case skip(consumed: Int)
    /// Answer the failure, then close: where the next message starts is not known.
    case failure(FrameFailure)
}

/// Why a stream cannot be split into messages.
public enum FrameFailure: Error, Equatable, Sendable {
    /// For a line, `byteCount` is what had arrived of it.
    case tooLarge(byteCount: Int, byteCountMax: Int)
    /// Somebody speaks HTTP; answer with `httpRefusal`.
    case httpRequest
    case unknownFirstByte(UInt8)
}

/// Splits one connection's bytes; the first byte decides how.
/// - Source: protocol.md, "Framing and encoding"
public struct FrameDecoder: Sendable {
    /// `nil` before the first byte.
    public private(set) var framing: Framing?
    private let byteCountMax: Int
    private let formats: WireFormats
    /// Bytes of an unfinished message that are known not to hold its end.
    private var searched = 0

    /// - Parameters:
    ///   - frameByteCountMax: the largest body, in bytes; at most `WireLimits.frameByteCountCeiling`.
    ///   - formats: what may come.
    public init(frameByteCountMax: Int, formats: WireFormats) {
        precondition(frameByteCountMax > 0 && frameByteCountMax <= WireLimits.frameByteCountCeiling)
        byteCountMax = frameByteCountMax
        self.formats = formats
    }

    /// How messages are told apart; before the first byte, as a person would send them.
    public var framingOrFirst: Framing { framing ?? formats.firstFraming }

    /// Goes on with a stream whose first byte another decoder has seen.
    public mutating func resume(_ framing: Framing) {
        self.framing = framing
    }

    /// Finds the next message in `bytes`, which are all that is not consumed yet.
    public mutating func next(in bytes: UnsafeRawBufferPointer) -> FrameStep {
        if let framing { return framing.format.next(in: bytes, byteCountMax: byteCountMax, searched: &searched) }
        guard bytes.count > 0 else { return .incomplete(byteCountNeeded: 1) }
        guard let framing = formats.framing(startingWith: bytes[0]) else { return stepForForeignBytes(bytes) }
        self.framing = framing
        return framing.format.next(in: bytes, byteCountMax: byteCountMax, searched: &searched)
    }

    /// Finds the next message when the peer will send no more bytes than these.
    ///
    /// A last line without LF is a message; a torn length frame is not, it stays `.incomplete`.
    /// `.incomplete(byteCountNeeded: 0)` says that nothing is left.
    public mutating func finish(in bytes: UnsafeRawBufferPointer) -> FrameStep {
        if bytes.count == 0 { return .incomplete(byteCountNeeded: 0) }
        let step = next(in: bytes)
        guard case .incomplete = step else { return step }
        guard let framing else { return .failure(.unknownFirstByte(bytes[0])) }
        guard let last = framing.format.last(in: bytes) else { return step }
        searched = 0
        return last
    }
}

extension FrameDecoder {
    /// Decides about a first byte that starts neither a line nor a frame.
    private func stepForForeignBytes(_ bytes: UnsafeRawBufferPointer) -> FrameStep {
        switch HTTPMethod.match(bytes) {
        case .whole: .failure(.httpRequest)
        case .beginning: .incomplete(byteCountNeeded: 1)
        case .none: .failure(.unknownFirstByte(bytes[0]))
        }
    }
}

/// Recognises the start of an HTTP request, so that a browser or curl gets an answer that it can show.
private enum HTTPMethod {
    enum Match { case whole, beginning, none }

    static func match(_ bytes: UnsafeRawBufferPointer) -> Match {
        var result = Match.none
        for index in 0..<10 {
            let method = name(index)
            let compared = min(bytes.count, method.utf8CodeUnitCount)
            var same = true
            for offset in 0..<compared where bytes[offset] != method.utf8Start[offset] { same = false }
            guard same else { continue }
            if compared == method.utf8CodeUnitCount { return .whole }
            result = .beginning
        }
        return result
    }

    /// - Source: RFC 9110, section 9; RFC 9113, section 3.4 (`PRI`, the start of HTTP/2)
    private static func name(_ index: Int) -> StaticString {
        switch index {
        case 0: "GET "
        case 1: "POST "
        case 2: "HEAD "
        case 3: "PUT "
        case 4: "DELETE "
        case 5: "OPTIONS "
        case 6: "PATCH "
        case 7: "CONNECT "
        case 8: "TRACE "
        default: "PRI "
        }
    }
}

extension FrameFailure {
    /// The code of the `error` reply.
    public var code: ErrorCode {
        switch self {
        case .tooLarge: .frameTooLarge
        case .httpRequest, .unknownFirstByte: .badFrame
        }
    }

    /// One sentence a person can act on.
    public var message: String {
        switch self {
        case .tooLarge(let byteCount, let byteCountMax):
            "A message of \(byteCount) bytes or more was sent; the limit is \(byteCountMax) bytes."
        case .httpRequest: "This socket speaks the LiteBase protocol, not HTTP."
        case .unknownFirstByte(let byte): "The first byte, \(byte), starts neither a JSON line nor a frame."
        }
    }

    /// What to do instead.
    public var hint: StaticString {
        switch self {
        case .tooLarge: "Send large data in several messages, or raise limits.frame_bytes_max."
        case .httpRequest, .unknownFirstByte:
            "Send one JSON object a line, such as {\"id\":1,\"type\":\"health_check\"}, or 4-byte big-endian lengths followed by MessagePack maps."
        }
    }

    /// The whole answer to `.httpRequest`.
    public static let httpRefusal: StaticString = """
        HTTP/1.1 400 Bad Request\r
        Content-Type: text/plain; charset=utf-8\r
        Content-Length: 128\r
        Connection: close\r
        \r
        This is a LiteBase socket, and it does not speak HTTP.
        Send one JSON object a line, for example:
        {"id":1,"type":"health_check"}

        """
}
