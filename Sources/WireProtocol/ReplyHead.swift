// The envelope of a reply, as clients read it.

/// The envelope of a reply, for clients. All bytes point into the body.
public struct ReplyHead {
    public var id: RequestID
    /// The type's text: `query_response`, `error`, …
    public var typeName: UnsafeRawBufferPointer
    /// The MessagePack map in `data`, header included; `nil` when it is absent or null.
    public var data: UnsafeRawBufferPointer?

    /// Decodes the envelope of a MessagePack reply.
    ///
    /// The data is not walked through when it comes last, as LiteBase writes it: it is checked as it is read.
    public static func decode(_ body: UnsafeRawBufferPointer) throws(DecodeError) -> ReplyHead {
        var reader = MessagePackReader(body)
        var head = ReplyHead(id: .none, typeName: UnsafeRawBufferPointer(start: nil, count: 0), data: nil)
        var hasType = false
        let count = try reader.readMap("reply")
        for index in 0..<count {
            let key = try reader.readText("key")
            if key.equals(Envelope.id) {
                head.id = try readID(&reader)
            } else if key.equals(Envelope.type) {
                head.typeName = try reader.readText("type")
                hasType = true
            } else if key.equals(Envelope.data) {
                head.data = try readData(&reader, isLast: index == count &- 1)
            } else {
                try reader.skip()
            }
        }
        guard hasType else { throw DecodeError(.missing(field: "type"), at: 0) }
        return head
    }

    private static func readData(
        _ reader: inout MessagePackReader, isLast: Bool
    ) throws(DecodeError) -> UnsafeRawBufferPointer? {
        let start = reader.offset
        if reader.readNullIfNext() { return nil }
        var ahead = reader
        guard try ahead.readMapIfNext() != nil else {
            throw DecodeError(.wrongType(field: "data", wanted: "a map or null"), at: start)
        }
        return isLast ? reader.bytes.slice(start..<reader.bytes.count) : try reader.readRaw()
    }

    private static func readID(_ reader: inout MessagePackReader) throws(DecodeError) -> RequestID {
        if reader.readNullIfNext() { return .none }
        return try RequestID.read(&reader, field: "id")
    }
}
