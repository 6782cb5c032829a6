// One frame of a reply, decoded.

internal import ByteBuffers
internal import WireProtocol

/// A decoded frame.
struct Reply {
    /// Whether it is an `error`.
    var isError = false
    /// Whether it is a `notice`, which answers no request.
    var isNotice = false
    /// The request's id; `nil` if it is not one of ours, such as that of a refused connection.
    var id: Int64?
    /// The `data` map, without `rows` and `columns`.
    var fields: [(key: String, value: StructuredValue)] = []
    var columns: [Column]?
    /// `rows`, flat; `nil` when there were none.
    var rows: FlatRows?

    /// The values of many rows, one row after the other.
    struct FlatRows {
        var values = FlatValues()
        var rowCount = 0
        var columnCount = 0
    }

    var data: StructuredValue { .map(fields) }

    /// - Throws: `ClientError.protocolViolation`.
    init(_ body: UnsafeRawBufferPointer) throws(ClientError) {
        do throws(DecodeError) {
            var decoder = ReplyDecoder(body)
            try decoder.decode(into: &self)
        } catch {
            throw .protocolViolation("a reply could not be read: \(error.message)")
        }
    }
}

/// Reads a frame's body.
private struct ReplyDecoder {
    /// Replies of this protocol nest five levels deep; the rest is room to grow.
    static let depthMax = 16

    var reader: MessagePackReader

    init(_ body: UnsafeRawBufferPointer) {
        reader = MessagePackReader(body)
    }

    mutating func decode(into reply: inout Reply) throws(DecodeError) {
        for _ in 0..<(try reader.readMap("message")) {
            let key = try reader.readText("key")
            if key.equals(Envelope.id) {
                if case .integer(let id) = try scalar() { reply.id = id }
            } else if key.equals(Envelope.type) {
                let type = try reader.readText("type")
                reply.isError = type.equals(ErrorReply.typeName)
                reply.isNotice = type.equals(NoticeMessage.typeName)
            } else if key.equals(Envelope.data) {
                try decodeData(into: &reply)
            } else {
                try reader.skip()
            }
        }
    }

    private mutating func decodeData(into reply: inout Reply) throws(DecodeError) {
        let start = reader.offset
        let count: Int
        switch try reader.next() {
        case .map(let pairs): count = pairs
        case .null: return
        default: throw DecodeError(.wrongType(field: "data", wanted: "a map"), at: start)
        }
        for _ in 0..<count {
            let key = try reader.readText("key")
            if key.equals(QueryFrame.rows) {
                reply.rows = try rows()
            } else if key.equals(QueryFrame.columns) {
                reply.columns = try columns()
            } else {
                reply.fields.append((String(decoding: key, as: UTF8.self), try structured(depth: 2)))
            }
        }
    }

    private mutating func rows() throws(DecodeError) -> Reply.FlatRows {
        var rows = Reply.FlatRows()
        rows.rowCount = try reader.readArray("rows")
        // One copy of the frame instead of one of each text and blob.
        if rows.rowCount > 0 { rows.values.bytes = Array(reader.bytes) }
        for index in 0..<rows.rowCount {
            let start = reader.offset
            let count = try reader.readArray("row")
            if index == 0 {
                rows.columnCount = count
                // Each count was checked against the bytes that are there, their product was not.
                let left = reader.bytes.count - reader.offset
                rows.values.cells.reserveCapacity(min(rows.rowCount * count, left))
            }
            guard count == rows.columnCount else {
                throw DecodeError(.outOfRange(field: "row", wanted: "as long as the others"), at: start)
            }
            for _ in 0..<count { try appendCell(to: &rows.values) }
        }
        return rows
    }

    /// Reads a value of a row; the values have the bytes of the frame. A list or a map, which only rows of a catalog have, is kept as
    /// the text of its JSON.
    private mutating func appendCell(to values: inout FlatValues) throws(DecodeError) {
        let start = reader.offset
        let token: MessagePackReader.Token =
            if let text = reader.readShortText() { .text(text) } else { try reader.next() }
        switch token {
        case .null: values.cells.append(.init(.null, 0))
        case .bool(let flag): values.cells.append(.init(.bool, flag ? 1 : 0))
        case .integer(let number): values.cells.append(.init(.integer, UInt64(bitPattern: number)))
        case .unsigned(let number): values.cells.append(.init(.unsigned, number))
        case .real(let number): values.cells.append(.init(.real, number.bitPattern))
        case .text(let text):
            guard isValidUTF8(text) else { throw DecodeError(.invalidUTF8, at: start) }
            values.cells.append(.init(.text, UInt64(reader.offset - text.count), byteCount: text.count))
        case .binary(let blob), .ext(_, let blob):
            values.cells.append(.init(.blob, UInt64(reader.offset - blob.count), byteCount: blob.count))
        case .array, .map: values.append(.text(try structured(token, from: start, depth: 4).json))
        }
    }

    private mutating func columns() throws(DecodeError) -> [Column] {
        var columns: [Column] = []
        for _ in 0..<(try reader.readArray("columns")) {
            columns.append(Column(ColumnFields(try structured(depth: 3))))
        }
        return columns
    }

    /// A value that is neither a list nor a map; every value of every row comes through here.
    private mutating func scalar() throws(DecodeError) -> Value {
        let start = reader.offset
        return try scalar(try reader.next(), at: start)
    }

    private func scalar(_ token: MessagePackReader.Token, at start: Int) throws(DecodeError) -> Value {
        switch token {
        case .null: return .null
        case .bool(let flag): return .bool(flag)
        case .integer(let number): return .integer(number)
        case .unsigned(let number): return .unsigned(number)
        case .real(let number): return .real(number)
        case .binary(let bytes), .ext(_, let bytes): return .blob(Array(bytes))
        case .text(let bytes):
            // `String(validating:)` looks up generic metadata at run time, for every value (measured: 15 % of a stream).
            guard isValidUTF8(bytes) else { throw DecodeError(.invalidUTF8, at: start) }
            return .text(String(decoding: bytes, as: UTF8.self))
        case .array, .map:
            throw DecodeError(.wrongType(field: "value", wanted: "a plain value"), at: start)
        }
    }

    private mutating func structured(depth: Int) throws(DecodeError) -> StructuredValue {
        let start = reader.offset
        return try structured(try reader.next(), from: start, depth: depth)
    }

    private mutating func structured(
        _ token: MessagePackReader.Token, from start: Int, depth: Int
    ) throws(DecodeError) -> StructuredValue {
        switch token {
        case .null, .bool, .integer, .unsigned, .real, .binary, .text, .ext:
            return .value(try scalar(token, at: start))
        case .array(let count):
            guard depth < Self.depthMax else { throw DecodeError(.tooDeep, at: start) }
            var elements: [StructuredValue] = []
            for _ in 0..<count { elements.append(try structured(depth: depth + 1)) }
            return .array(elements)
        case .map(let count):
            guard depth < Self.depthMax else { throw DecodeError(.tooDeep, at: start) }
            var members: [(key: String, value: StructuredValue)] = []
            for _ in 0..<count {
                let key = String(decoding: try reader.readText("key"), as: UTF8.self)
                members.append((key, try structured(depth: depth + 1)))
            }
            return .map(members)
        }
    }
}

extension StructuredValue {
    /// As JSON.
    var json: String {
        var text = ByteBuffer()
        append(to: &text)
        return String(decoding: text.readable, as: UTF8.self)
    }

    private func append(to text: inout ByteBuffer) {
        switch self {
        case .value(.null): text.appendJSONNull()
        case .value(.bool(let flag)): text.appendJSONBool(flag)
        case .value(.integer(let number)): text.appendJSONInteger(number, style: .number)
        case .value(.unsigned(let number)): text.appendJSONUnsigned(number, style: .number)
        case .value(.real(let number)): text.appendJSONReal(number)
        case .value(.text(let string)): text.appendJSONText(string)
        case .value(.blob(let bytes)): bytes.withUnsafeBytes { text.appendJSONBlob($0) }
        case .array(let elements):
            text.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                element.append(to: &text)
            }
            text.append(UInt8(ascii: "]"))
        case .map(let members):
            text.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                text.appendJSONText(member.key)
                text.append(UInt8(ascii: ":"))
                member.value.append(to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
    }
}
