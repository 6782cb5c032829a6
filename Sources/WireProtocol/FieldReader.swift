// Walks through the fields of a request's data. The body was checked as a whole before: only types matter here.

/// Reads `data` field by field; unknown fields are skipped by the decoders.
struct FieldReader {
    var reader: MessagePackReader
    private var remaining: Int

    /// Starts at the first field; there are none when `data` is absent.
    init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        guard let data else {
            reader = MessagePackReader(UnsafeRawBufferPointer(start: nil, count: 0))
            remaining = 0
            return
        }
        reader = MessagePackReader(data)
        remaining = try reader.readMap("data")
    }

    /// Starts at the first field of a map that lies deeper.
    init(_ reader: MessagePackReader, fieldCount: Int) {
        self.reader = reader
        remaining = fieldCount
    }

    /// The next field's name, its value being next; `nil` after the last one.
    mutating func nextName() throws(DecodeError) -> UnsafeRawBufferPointer? {
        guard remaining > 0 else { return nil }
        remaining &-= 1
        return try reader.readText("key")
    }

    /// Skips a null and says so: an optional field that is null is absent.
    mutating func skipNull() -> Bool {
        reader.readNullIfNext()
    }

    mutating func optionalText(_ field: StaticString) throws(DecodeError) -> UnsafeRawBufferPointer? {
        skipNull() ? nil : try reader.readText(field)
    }

    mutating func optionalBool(_ field: StaticString) throws(DecodeError) -> Bool? {
        let start = reader.offset
        switch try reader.next() {
        case .bool(let value): return value
        case .null: return nil
        case .integer, .unsigned, .real, .text, .binary, .array, .map, .ext:
            throw DecodeError(.wrongType(field: field, wanted: "true or false"), at: start)
        }
    }

    /// Reads a count or a duration, for which zero and less mean nothing.
    mutating func optionalPositive(_ field: StaticString) throws(DecodeError) -> Int64? {
        let start = reader.offset
        switch try reader.next() {
        case .integer(let value) where value > 0: return value
        case .integer, .unsigned:
            throw DecodeError(.outOfRange(field: field, wanted: "a positive integer of 63 bits"), at: start)
        case .null: return nil
        case .bool, .real, .text, .binary, .array, .map, .ext:
            throw DecodeError(.wrongType(field: field, wanted: "a positive integer"), at: start)
        }
    }
}
