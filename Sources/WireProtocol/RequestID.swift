// What ties a reply to its request.

internal import ByteBuffers

/// A request's `id`, which its replies echo exactly. Text points into the request's body.
public enum RequestID {
    /// UTF-8, at most `WireLimits.requestIDByteCountMax` bytes.
    case string(UnsafeRawBufferPointer)
    case integer(Int64)
    /// Only for values above `Int64.max`.
    case unsigned(UInt64)
    /// The request had no usable id; its reply carries null.
    case none

    /// Reads an id that must be there.
    static func read(_ reader: inout MessagePackReader, field: StaticString) throws(DecodeError) -> RequestID {
        let start = reader.offset
        switch try reader.next() {
        case .integer(let value): return .integer(value)
        case .unsigned(let value): return .unsigned(value)
        case .text(let text):
            guard text.count <= WireLimits.requestIDByteCountMax else { throw DecodeError(.idTooLong, at: start) }
            guard isValidUTF8(text) else { throw DecodeError(.invalidUTF8, at: reader.offset &- text.count) }
            return .string(text)
        case .null, .bool, .real, .binary, .array, .map, .ext:
            throw DecodeError(.wrongType(field: field, wanted: "text or an integer"), at: start)
        }
    }
}

extension RequestID: Equatable {
    /// Compares text by its bytes.
    public static func == (left: RequestID, right: RequestID) -> Bool {
        switch (left, right) {
        case (.string(let left), .string(let right)): left.equals(right)
        case (.integer(let left), .integer(let right)): left == right
        case (.unsigned(let left), .unsigned(let right)): left == right
        case (.none, .none): true
        case (.string, _), (.integer, _), (.unsigned, _), (.none, _): false
        }
    }
}
