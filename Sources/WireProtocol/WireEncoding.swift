// The three choices that a connection or a frame makes about how messages look.

/// How a message's body is written.
public enum WireEncoding: UInt8, CaseIterable, Sendable {
    case messagePack, json

    /// Tells the encoding of one frame by its first byte; `nil` when it can be neither.
    ///
    /// Lines are JSON objects.
    /// - Source: protocol.md, "Framing and encoding"
    @inlinable
    public init?(body: UnsafeRawBufferPointer, framing: Framing) {
        guard body.count > 0 else { return nil }
        if framing == .lines {
            guard body[0] == UInt8(ascii: "{") else { return nil }
            self = .json
            return
        }
        switch body[0] {
        case 0x80...0x8f, 0xde, 0xdf: self = .messagePack
        case UInt8(ascii: "{"): self = .json
        default: return nil
        }
    }
}

/// How messages are told apart in the byte stream; fixed for a connection by the first byte that the client sends.
public enum Framing: UInt8, Sendable {
    /// One JSON object a line, ended by LF; CRLF is accepted.
    case lines
    /// A 4-byte big-endian length, then that many bytes.
    case lengthPrefixed
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
