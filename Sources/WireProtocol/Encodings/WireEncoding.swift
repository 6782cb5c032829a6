// The encoding of one message, as it is handed on from a request to its reply.

/// How a message's body is written.
public struct WireEncoding: Sendable {
    public let format: any EncodingFormat.Type
    public let number: FormatNumber
    // Copies of what is asked for at every value.
    @usableFromInline let framings: FramingSet
    @usableFromInline let separator: UInt8

    @inlinable
    public init<Format: EncodingFormat>(_ format: Format.Type) {
        self.format = format
        number = Format.number
        framings = Format.framings
        separator = Format.separator
    }

    @inlinable public static var messagePack: WireEncoding { WireEncoding(MessagePackFormat.self) }
    @inlinable public static var json: WireEncoding { WireEncoding(JSONFormat.self) }

    /// Whether messages of this encoding may come in that framing.
    @inlinable
    public func isAllowed(in framing: Framing) -> Bool { framings.contains(FramingSet(framing.number)) }
}

extension WireEncoding: Equatable {
    @inlinable
    public static func == (left: WireEncoding, right: WireEncoding) -> Bool { left.number == right.number }
}

/// How JSON replies write an integer beyond ±(2^53 − 1); `hello` chooses. MessagePack is exact anyway.
public enum Int64Style: UInt8, Sendable {
    /// `{"$int":"9223372036854775807"}`
    case tagged
    /// `9223372036854775807`, for readers that keep all 64 bits.
    case number
    /// `"9223372036854775807"`
    case string

    /// Tells a style by its name in `hello`; `nil` for any other name.
    public init?(name: UnsafeRawBufferPointer) {
        if name.equals("tagged") {
            self = .tagged
        } else if name.equals("number") {
            self = .number
        } else if name.equals("string") {
            self = .string
        } else {
            return nil
        }
    }
}
