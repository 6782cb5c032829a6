// The seam between what is said and how it is written: all that is known of one encoding. Whoever answers a request calls
// `MessageWriter`, and knows no encoding; what decodes requests sees MessagePack, whatever the client has sent.

public import ByteBuffers

/// How the bodies of messages are read and written.
///
/// A type without values, so that choosing one counts no references. Offsets are in bytes from the output's first readable one.
/// To add an encoding: a type that conforms, its rows (`RowEncoding`, in the server), and its line in `FormatList.standard` there.
public protocol EncodingFormat: SendableMetatype {
    /// By what a later process knows it. No two have the same, and no number is used again for another one.
    static var number: FormatNumber { get }
    /// What a message of this encoding may come in; the replies go in the same.
    static var framings: FramingSet { get }

    // MARK: Reading

    /// Whether a message may begin with that byte. No two encodings share one.
    static func begins(with byte: UInt8) -> Bool
    /// Bytes that `translate` may add for each byte of a message; 0 where requests are decoded from what was sent.
    static var growth: Int { get }
    /// Appends a message as MessagePack, from which requests are decoded (`RequestHead.decode` checks it); on an error the output
    /// is as before.
    static func translate(_ body: UnsafeRawBufferPointer, into message: inout ByteBuffer) throws(DecodeError)

    // MARK: Writing messages

    /// What stands between two elements of an array or pairs of a map; 0 for nothing.
    static var separator: UInt8 { get }
    /// Opens the envelope, up to the key of its last field, `data`.
    /// - Parameters:
    ///   - type: ASCII without quotes or backslashes.
    ///   - id: of the request.
    ///   - timestamp: of replies; requests have none.
    ///   - output: what the message is appended to.
    /// - Returns: where the id and the timestamp are.
    static func appendHead(
        type: StaticString, id: RequestID, timestamp: WireTimestamp?, into output: inout ByteBuffer
    ) -> EnvelopePlaces
    /// Closes the envelope, behind the map of `data`.
    static func appendEnd(into output: inout ByteBuffer)
    /// Opens a map whose count is not known yet.
    static func openMap(into output: inout ByteBuffer)
    /// Closes the map that was opened at `header`, and has `count` pairs.
    static func closeMap(at header: Int, count: UInt32, in output: inout ByteBuffer)
    /// Opens an array whose count is not known yet.
    static func openArray(into output: inout ByteBuffer)
    /// Closes the array that was opened at `header`, and has `count` elements.
    static func closeArray(at header: Int, count: UInt32, in output: inout ByteBuffer)
    /// Appends a key: ASCII without quotes or backslashes.
    static func appendKey(_ name: StaticString, into output: inout ByteBuffer)
    /// Appends a key: any UTF-8.
    static func appendKey(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer)

    // MARK: Writing values

    static func appendNull(into output: inout ByteBuffer)
    static func appendBool(_ value: Bool, into output: inout ByteBuffer)
    /// `style` is for encodings that cannot show all integers exactly.
    static func appendInteger(_ value: Int64, style: Int64Style, into output: inout ByteBuffer)
    static func appendUnsigned(_ value: UInt64, style: Int64Style, into output: inout ByteBuffer)
    static func appendReal(_ value: Double, into output: inout ByteBuffer)
    /// The caller knows that the bytes are UTF-8.
    static func appendText(_ utf8: UnsafeRawBufferPointer, into output: inout ByteBuffer)
    static func appendBlob(_ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer)
    /// Of an envelope.
    static func appendTimestamp(_ time: WireTimestamp, into output: inout ByteBuffer)
}

/// Where those fields of an envelope are that differ between messages of one type.
public struct EnvelopePlaces: Sendable {
    public let id: Range<Int>
    /// Empty in a request.
    public let timestamp: Range<Int>

    @inlinable
    public init(id: Range<Int>, timestamp: Range<Int>) {
        self.id = id
        self.timestamp = timestamp
    }
}

extension EncodingFormat {
    /// Appends the id of a request as it came.
    @inlinable
    public static func appendID(_ id: RequestID, into output: inout ByteBuffer) {
        switch id {
        case .string(let bytes): appendText(bytes, into: &output)
        case .integer(let value): appendInteger(value, style: .number, into: &output)
        case .unsigned(let value): appendUnsigned(value, style: .number, into: &output)
        case .none: appendNull(into: &output)
        }
    }

    /// Makes MessagePack of a message in place.
    public static func translate(_ message: inout ByteBuffer) throws(DecodeError) {
        if growth == 0 { return }
        var translated = ByteBuffer()
        try translate(message.readable, into: &translated)
        swap(&message, &translated)
    }
}

/// By what a later process knows an encoding or a framing, whatever these are called meanwhile.
public struct FormatNumber: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt8

    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// Framings by their numbers.
public struct FramingSet: OptionSet, Sendable {
    public let rawValue: UInt8

    @inlinable
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The one with that number.
    @inlinable
    public init(_ number: FormatNumber) { rawValue = 1 &<< number.rawValue }

    @inlinable public static var lines: FramingSet { FramingSet(LineFraming.number) }
    @inlinable public static var lengthPrefixed: FramingSet { FramingSet(LengthFraming.number) }
}
