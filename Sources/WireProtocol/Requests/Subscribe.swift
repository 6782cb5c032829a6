// `subscribe`: what is changed in a database, or sent to channels of its server, from now on.

public import ByteBuffers

/// `subscribe`: it ends when the client cancels it, or an error ends it.
public struct SubscribeRequest: RequestContent {
    public typealias Reply = SubscribeReply
    public static var type: RequestType { RequestType("subscribe", reply: "subscribe_response") }

    public private(set) var database: UnsafeRawBufferPointer?
    /// Names, UTF-8; `nil` for all.
    public private(set) var relations: [UnsafeRawBufferPointer]?
    /// Names of channels of the server, and patterns of such names.
    public private(set) var channels: [UnsafeRawBufferPointer]?
    public private(set) var patterns: [UnsafeRawBufferPointer]?
    /// Where an earlier subscription has come to.
    public private(set) var from: UnsafeRawBufferPointer?
    /// For how long changes are gathered before they are told.
    public private(set) var delayMilliseconds: Int64 = 0

    private static let nameCountMax = 1_000
    private static let nameByteCountMax = 1_024
    private static let delayMillisecondsMax: Int64 = 3_600_000

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("database") {
                database = try fields.optionalText("database")
            } else if name.equals("relations") {
                relations = try Self.readNames("relations", &fields)
            } else if name.equals("channels") {
                channels = try Self.readNames("channels", &fields)
            } else if name.equals("patterns") {
                patterns = try Self.readNames("patterns", &fields)
            } else if name.equals("from") {
                from = try fields.optionalText("from")
            } else if name.equals("delay_ms") {
                delayMilliseconds = try Self.readDelay(&fields)
            } else {
                try fields.reader.skip()
            }
        }
        guard channels != nil || patterns != nil else { return }
        let first: StaticString = channels == nil ? "patterns" : "channels"
        if relations != nil { throw DecodeError(.conflict(field: first, other: "relations"), at: 0) }
        // Messages are told one by one.
        if delayMilliseconds > 0 { throw DecodeError(.conflict(field: first, other: "delay_ms"), at: 0) }
    }

    private static func readNames(
        _ field: StaticString, _ fields: inout FieldReader
    ) throws(DecodeError) -> [UnsafeRawBufferPointer]? {
        if fields.skipNull() { return nil }
        let start = fields.reader.offset
        let count = try fields.reader.readArray(field)
        guard count > 0, count <= nameCountMax else {
            throw DecodeError(.outOfRange(field: field, wanted: "one to 1,000 names"), at: start)
        }
        var names: [UnsafeRawBufferPointer] = []
        for _ in 0..<count {
            let name = try fields.reader.readText(field)
            guard name.count <= nameByteCountMax else {
                throw DecodeError(.outOfRange(field: field, wanted: "names of at most 1,024 bytes"), at: start)
            }
            names.append(name)
        }
        return names
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
        public var channels: [String] = []
        public var patterns: [String] = []
        public var from: String?
        public var delayMilliseconds: Int64?

        public init() {}
    }

    /// Writes the data of a request.
    public static func write(options: Options, _ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        writer.optional("database", options.database, into: &output)
        if !options.relations.isEmpty { writer.field("relations", options.relations, into: &output) }
        if !options.channels.isEmpty { writer.field("channels", options.channels, into: &output) }
        if !options.patterns.isEmpty { writer.field("patterns", options.patterns, into: &output) }
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
    /// Where a message was sent to; a blob where it is no UTF-8, as the next two.
    public var channel: TextBytes?
    /// By what it was heard, where that is a pattern.
    public var pattern: TextBytes?
    public var payload: TextBytes?
    /// The process on the server that has sent it.
    public var pid: Int64?
    /// It is not known what has changed, or what was sent.
    public var resync: Bool?
    public var reason: String?
    public var more = true

    public init() {}

    // Inlinable, since each commit may be told to very many.
    @inlinable
    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("position", &position)
        visitor.optional("covers", &covers)
        visitor.optional("relations", &relations)
        visitor.optional("schema", &schema)
        visitor.optional("channel", &channel)
        visitor.optional("pattern", &pattern)
        visitor.optional("payload", &payload)
        visitor.optional("pid", &pid)
        visitor.optional("resync", &resync)
        visitor.optional("reason", &reason)
        visitor.field(QueryFrame.more, &more)
    }
}
