// The envelope of a message: id, type and data.

internal import ByteBuffers

/// The envelope of a request. All bytes point into the body, and are valid as long as it is.
public struct RequestHead {
    public var id: RequestID
    /// The type's name in the request, UTF-8; it may be unknown.
    public var typeName: UnsafeRawBufferPointer
    /// The MessagePack map in `data`, header included; `nil` when it is absent or null.
    public var data: UnsafeRawBufferPointer?

    /// Whether it is a request of that type.
    public func isOf(_ type: RequestType) -> Bool { typeName.equals(type.name) }

    /// Decodes and checks a MessagePack body; a JSON one goes through `JSONTranscoder` first.
    ///
    /// The whole body is checked here (`MessagePackReader.validate`), so that the decoders of `data` only check types.
    /// - Cost: O(n log n) at worst; allocates nothing for a message with few keys.
    public static func decode(_ body: UnsafeRawBufferPointer) throws(HeadError) -> RequestHead {
        do throws(DecodeError) {
            try MessagePackValidator.requireSize(body)
            var validator = MessagePackValidator(body)
            return try decode(&validator)
        } catch {
            throw HeadError(id: salvageID(from: body), error: error)
        }
    }

    private static func decode(_ validator: inout MessagePackValidator) throws(DecodeError) -> RequestHead {
        let count = try validator.openEnvelope()
        var id: RequestID?
        var typeName: UnsafeRawBufferPointer?
        var data: UnsafeRawBufferPointer?
        var hasData = false
        for _ in 0..<count {
            let start = validator.reader.offset
            let key = try validator.readKeyText()
            let keyOffset = validator.reader.offset &- key.count
            // The three keys need no place among the stored ones: each is checked for duplicates separately.
            var isDuplicate = false
            if key.equals(Envelope.id) {
                isDuplicate = id != nil
                id = try RequestID.read(&validator.reader, field: "id")
            } else if key.equals(Envelope.type) {
                isDuplicate = typeName != nil
                typeName = try validator.readTypeName()
            } else if key.equals(Envelope.data) {
                isDuplicate = hasData
                hasData = true
                data = try validator.readData()
            } else {
                try validator.remember(key, at: start)
                try validator.validateValue(depth: 1)
            }
            if isDuplicate { throw DecodeError(.duplicateKey, at: keyOffset) }
        }
        try validator.closeMap(from: 0)
        try validator.requireEnd()
        guard let id else { throw DecodeError(.missing(field: "id"), at: 0) }
        guard let typeName else { throw DecodeError(.missing(field: "type"), at: 0) }
        return RequestHead(id: id, typeName: typeName, data: data)
    }

    /// The id of a body that is not a proper request, if one can be found before the defect.
    private static func salvageID(from body: UnsafeRawBufferPointer) -> RequestID {
        var reader = MessagePackReader(body)
        do throws(DecodeError) {
            guard case .map(let count) = try reader.next() else { return .none }
            for _ in 0..<count {
                guard case .text(let key) = try reader.next() else { return .none }
                if key.equals(Envelope.id) { return try RequestID.read(&reader, field: "id") }
                try reader.skip()
            }
        } catch {
            // There is no better answer than that no id was found.
        }
        return .none
    }
}

/// Why a request's envelope could not be decoded, with the id that the error reply should carry.
///
/// The id points into the body: handle the error while the body is there.
public struct HeadError: Error, @unchecked Sendable {
    public let id: RequestID
    public let error: DecodeError
}

extension MessagePackValidator {
    /// Reads the header of the message's own map; returns how many pairs follow.
    fileprivate mutating func openEnvelope() throws(DecodeError) -> Int {
        if reader.isAtEnd { throw DecodeError(.empty, at: 0) }
        guard let count = try reader.readMapIfNext() else { throw DecodeError(.notAMap, at: 0) }
        return count
    }

    fileprivate mutating func readTypeName() throws(DecodeError) -> UnsafeRawBufferPointer {
        let start = reader.offset
        let name = try reader.readText("type")
        guard isValidUTF8(name) else { throw DecodeError(.invalidUTF8, at: start) }
        return name
    }

    /// Reads and checks `data`: a map, or null for none.
    fileprivate mutating func readData() throws(DecodeError) -> UnsafeRawBufferPointer? {
        let start = reader.offset
        if reader.readNullIfNext() { return nil }
        guard let count = try reader.readMapIfNext() else {
            // A broken message is that first of all.
            try validateValue(depth: 1)
            throw DecodeError(.wrongType(field: "data", wanted: "a map or null"), at: start)
        }
        try validateMap(count, at: start, depth: 1)
        return reader.bytes.slice(start..<reader.offset)
    }
}
