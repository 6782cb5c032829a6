// Replies that differ by their id only.

internal import ByteBuffers
internal import WireProtocol

/// An encoded reply around the place of its id.
///
/// `MessageWriter` writes the id first; everything in front of it has the same length whatever the id.
struct ReplyTemplate {
    /// The turn of the loop that it was made in; what it says is as old as that.
    private(set) var turn = UInt64.max
    private var head: [UInt8] = []
    private var tail: [UInt8] = []

    /// Takes over a reply that was written with `RequestID.none`.
    mutating func renew(_ reply: UnsafeRawBufferPointer, _ encoding: WireEncoding, _ framing: Framing, turn: UInt64) {
        // {"id":null, or the length (if any), a map header, the key, and nil.
        let prefixByteCount = framing == .lengthPrefixed ? 4 : 0
        let headByteCount = prefixByteCount + (encoding == .json ? 6 : Self.mapHeaderByteCount(reply[4]) + 3)
        let idByteCount = encoding == .json ? 4 : 1
        head.removeAll(keepingCapacity: true)
        head.append(contentsOf: reply[..<headByteCount])
        tail.removeAll(keepingCapacity: true)
        tail.append(contentsOf: reply[(headByteCount + idByteCount)...])
        self.turn = turn
    }

    private static func mapHeaderByteCount(_ tag: UInt8) -> Int {
        switch tag {
        case 0xde: 3
        case 0xdf: 5
        default: 1
        }
    }

    /// Appends the reply to a request.
    func append(_ id: RequestID, _ encoding: WireEncoding, _ framing: Framing, to output: inout ByteBuffer) {
        let start = output.count
        output.append(head)
        output.append(id, encoding)
        output.append(tail)
        if framing == .lengthPrefixed {
            output.patchBigEndian(UInt32(truncatingIfNeeded: output.count - start - 4), at: start)
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func append(_ id: RequestID, _ encoding: WireEncoding) {
        switch (id, encoding) {
        case (.string(let bytes), .json): appendJSONText(bytes)
        case (.string(let bytes), .messagePack): appendMessagePackText(bytes)
        case (.integer(let value), .json): appendJSONInteger(value, style: .number)
        case (.integer(let value), .messagePack): appendMessagePackInteger(value)
        case (.unsigned(let value), .json): appendJSONUnsigned(value, style: .number)
        case (.unsigned(let value), .messagePack): appendMessagePackUnsigned(value)
        case (.none, .json): appendJSONNull()
        case (.none, .messagePack): appendMessagePackNull()
        }
    }
}
