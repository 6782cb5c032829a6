// `subscribe`: what is changed in a database from now on.

public import ByteBuffers

/// `subscribe`: it ends when the client cancels it, or an error ends it.
public struct SubscribeRequest: RequestContent {
    public typealias Reply = SubscribeReply
    public static var type: RequestType { RequestType("subscribe", reply: "subscribe_response") }

    public private(set) var database: UnsafeRawBufferPointer?
    /// Names, UTF-8; `nil` for all.
    public private(set) var relations: [UnsafeRawBufferPointer]?
    /// Where an earlier subscription has come to.
    public private(set) var from: UnsafeRawBufferPointer?
    /// For how long changes are gathered before they are told.
    public private(set) var delayMilliseconds: Int64 = 0

    private static let relationCountMax = 1_000
    private static let relationByteCountMax = 1_024
    private static let delayMillisecondsMax: Int64 = 3_600_000

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("database") {
                database = try fields.optionalText("database")
            } else if name.equals("relations") {
                if !fields.skipNull() { relations = try Self.readRelations(&fields) }
            } else if name.equals("from") {
                from = try fields.optionalText("from")
            } else if name.equals("delay_ms") {
                delayMilliseconds = try Self.readDelay(&fields)
            } else {
                try fields.reader.skip()
            }
        }
    }

    private static func readRelations(_ fields: inout FieldReader) throws(DecodeError) -> [UnsafeRawBufferPointer] {
        let start = fields.reader.offset
        let count = try fields.reader.readArray("relations")
        guard count > 0, count <= relationCountMax else {
            throw DecodeError(.outOfRange(field: "relations", wanted: "one to 1,000 names"), at: start)
        }
        var relations: [UnsafeRawBufferPointer] = []
        for _ in 0..<count {
            let relation = try fields.reader.readText("relations")
            guard relation.count <= relationByteCountMax else {
                throw DecodeError(.outOfRange(field: "relations", wanted: "names of at most 1,024 bytes"), at: start)
            }
            relations.append(relation)
        }
        return relations
    }

    private static func readDelay(_ fields: inout FieldReader) throws(DecodeError) -> Int64 {
        let start = fields.reader.offset
        switch try fields.reader.next() {
        case .null: return 0
        case .integer(let value) where value >= 0 && value <= delayMillisecondsMax: return value
        case .integer, .unsigned:
            throw DecodeError(.outOfRange(field: "delay_ms", wanted: "0 to 3,600,000"), at: start)
        default: throw DecodeError(.wrongType(field: "delay_ms", wanted: "an integer"), at: start)
        }
    }

    /// A request to be sent.
    public struct Options: Sendable {
        public var database: String?
        public var relations: [String] = []
        public var from: String?
        public var delayMilliseconds: Int64?

        public init() {}
    }

    /// Writes the data of a request.
    public static func write(options: Options, _ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        writer.optional("database", options.database, into: &output)
        if !options.relations.isEmpty { writer.field("relations", options.relations, into: &output) }
        writer.optional("from", options.from, into: &output)
        writer.optional("delay_ms", options.delayMilliseconds, into: &output)
    }
}

/// That it has begun, or what has changed; the end is an error.
public struct SubscribeReply: ReplyData {
    /// What `from` takes.
    public var position = ""
    /// In the first one: what is told.
    public var covers: String?
    public var relations: [String]?
    /// The schema is among what has changed.
    public var schema: Bool?
    /// It is not known what has changed.
    public var resync: Bool?
    public var reason: String?
    public var more = true

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("position", &position)
        visitor.optional("covers", &covers)
        visitor.optional("relations", &relations)
        visitor.optional("schema", &schema)
        visitor.optional("resync", &resync)
        visitor.optional("reason", &reason)
        visitor.field(QueryFrame.more, &more)
    }
}
