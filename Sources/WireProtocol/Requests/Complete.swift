// `complete`: what may come next in a statement.

public import ByteBuffers

/// `complete`: a text, and the place of the cursor in it.
public struct CompleteRequest: RequestContent {
    public typealias Reply = CompleteReply
    public static var type: RequestType { RequestType("complete", reply: "complete_response") }

    /// UTF-8, not terminated.
    public let sql: UnsafeRawBufferPointer
    /// In bytes of the text.
    public private(set) var cursor = 0
    public private(set) var target = Target()
    public private(set) var limit: Int64?
    /// Names that the user has used lately, the latest first.
    public private(set) var recent: [UnsafeRawBufferPointer] = []

    /// More than these are not heeded.
    public static let recentCountMax = 200

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var sql: UnsafeRawBufferPointer?
        var cursor: Int?
        while let name = try fields.nextName() {
            if name.equals("sql") {
                sql = try fields.optionalText("sql")
            } else if name.equals("cursor") {
                cursor = try Self.readCursor(&fields)
            } else if name.equals("limit") {
                limit = try fields.optionalPositive("limit")
            } else if name.equals("recent") {
                if !fields.skipNull() { recent = try Self.readRecent(&fields.reader) }
            } else if try !target.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard let sql else { throw DecodeError(.missing(field: "sql"), at: 0) }
        try target.check()
        self.sql = sql
        self.cursor = cursor ?? sql.count
        guard self.cursor <= sql.count else {
            throw DecodeError(.outOfRange(field: "cursor", wanted: "at most the length of sql in bytes"), at: 0)
        }
    }

    /// `nil` for null: the end of the text.
    private static func readCursor(_ fields: inout FieldReader) throws(DecodeError) -> Int? {
        let start = fields.reader.offset
        switch try fields.reader.next() {
        case .integer(let value) where value >= 0: return Int(value)
        case .null: return nil
        case .integer, .unsigned:
            throw DecodeError(.outOfRange(field: "cursor", wanted: "at most the length of sql in bytes"), at: start)
        case .bool, .real, .text, .binary, .array, .map, .ext:
            throw DecodeError(.wrongType(field: "cursor", wanted: "a number of bytes"), at: start)
        }
    }

    private static func readRecent(
        _ reader: inout MessagePackReader
    ) throws(DecodeError) -> [UnsafeRawBufferPointer] {
        var recent: [UnsafeRawBufferPointer] = []
        let count = try reader.readArray("recent")
        for _ in 0..<count {
            let name = try reader.readText("recent")
            if recent.count < recentCountMax { recent.append(name) }
        }
        return recent
    }

    /// Writes the data of a request.
    public static func write(
        sql: String, cursor: Int64, target: TargetName, limit: Int64?, recent: [String], _ writer: inout RequestWriter,
        _ output: inout ByteBuffer
    ) {
        writer.field("sql", sql, into: &output)
        writer.field("cursor", cursor, into: &output)
        target.write(&writer, &output)
        writer.optional("limit", limit, into: &output)
        guard !recent.isEmpty else { return }
        writer.key("recent", into: &output)
        writer.beginArray(into: &output)
        for name in recent { writer.text(name, into: &output) }
        writer.endArray(into: &output)
    }
}

/// What may come next, the best first.
public struct CompleteReply: ReplyData {
    public var replace = Replaced()
    public var items: [Item] = []
    /// Absent if not: the names of the database are not all known yet.
    public var isIncomplete: Bool?

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("replace", &replace)
        visitor.field("items", &items)
        visitor.optional("incomplete", &isIncomplete)
    }

    /// The bytes of the text that an item's text replaces.
    public struct Replaced: ReplyData {
        public var from: Int64 = 0
        public var to: Int64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("from", &from)
            visitor.field("to", &to)
        }
    }

    /// One proposal.
    public struct Item: ReplyData {
        public var text = ""
        public var label = ""
        public var kind = ""
        /// Absent where there is none.
        public var detail: String?
        public var relation: String?

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("text", &text)
            visitor.field("label", &label)
            visitor.field("kind", &kind)
            visitor.optional("detail", &detail)
            visitor.optional("relation", &relation)
        }
    }
}
