// How messages are told apart in the byte stream: all that is known of one way to do it.

public import ByteBuffers

/// A way to tell messages apart.
///
/// A type without values, as encodings are. Offsets are in bytes from the first one that is not consumed yet.
public protocol FramingFormat: SendableMetatype {
    /// By what a later process knows it; less than 8. No two have the same, and no number is used again for another one.
    static var number: FormatNumber { get }
    /// The encoding of what answers no message that could be understood.
    static var plainEncoding: WireEncoding { get }
    /// What is answered to a body that begins as that of no encoding does.
    static var bodyRefusal: BodyRefusal { get }

    // MARK: Reading

    /// Whether a stream that begins with that byte is one of these.
    static func begins(with byte: UInt8) -> Bool
    /// Finds the next message.
    /// - Parameters:
    ///   - bytes: all that is not consumed yet.
    ///   - byteCountMax: the largest body.
    ///   - searched: kept between calls, 0 at first: how much of an unfinished message is known not to hold its end.
    /// - Returns: the message, or what else is to be done.
    static func next(in bytes: UnsafeRawBufferPointer, byteCountMax: Int, searched: inout Int) -> FrameStep
    /// The last message, where `next` was incomplete and no more bytes will come; `nil` when what is left is none.
    static func last(in bytes: UnsafeRawBufferPointer) -> FrameStep?

    // MARK: Writing

    /// Appends what stands before a body.
    static func open(into output: inout ByteBuffer)
    /// Completes what was opened at `start`, behind its body.
    static func close(from start: Int, in output: inout ByteBuffer)
    /// Bytes that `close` appends.
    static var trailerByteCount: Int { get }
}

/// An answer to a body that is no message.
public struct BodyRefusal: Sendable {
    public let message: StaticString
    public let hint: StaticString
    /// What comes next may be another protocol's, too, so that the connection ends.
    public let closes: Bool

    public init(message: StaticString, hint: StaticString, closes: Bool) {
        self.message = message
        self.hint = hint
        self.closes = closes
    }
}

/// How the messages of a connection are told apart; fixed by the first byte that the client sends.
public struct Framing: Sendable {
    public let format: any FramingFormat.Type
    public let number: FormatNumber

    @inlinable
    public init<Format: FramingFormat>(_ format: Format.Type) {
        self.format = format
        number = Format.number
    }

    @inlinable public static var lines: Framing { Framing(LineFraming.self) }
    @inlinable public static var lengthPrefixed: Framing { Framing(LengthFraming.self) }
}

extension Framing: Equatable {
    @inlinable
    public static func == (left: Framing, right: Framing) -> Bool { left.number == right.number }
}
