// `catalog`: what is in a database, one level at a time.

public import ByteBuffers

/// `catalog`: rows of one level.
public struct CatalogRequest: RequestContent {
    public typealias Reply = CatalogReply
    public static var type: RequestType { RequestType("catalog", reply: "catalog_response") }

    public let level: UnsafeRawBufferPointer
    public private(set) var namespace: UnsafeRawBufferPointer?
    public private(set) var relation: UnsafeRawBufferPointer?
    public private(set) var match: UnsafeRawBufferPointer?
    public private(set) var kinds: [UnsafeRawBufferPointer]?
    public private(set) var definitions = false
    public private(set) var refresh = false
    public private(set) var etag: UnsafeRawBufferPointer?
    public private(set) var target = Target()
    public private(set) var timeoutMilliseconds: Int64?
    public private(set) var maxRows: Int64?
    public private(set) var pageRows: Int64?

    /// There are fewer kinds.
    private static let kindCountMax = 64

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var level: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("level") {
                level = try fields.optionalText("level")
            } else if name.equals("namespace") {
                namespace = try fields.optionalText("namespace")
            } else if name.equals("relation") {
                relation = try fields.optionalText("relation")
            } else if name.equals("match") {
                match = try fields.optionalText("match")
            } else if name.equals("kinds") {
                if !fields.skipNull() { kinds = try Self.readKinds(&fields) }
            } else if name.equals("definitions") {
                definitions = try fields.optionalBool("definitions") ?? false
            } else if name.equals("refresh") {
                refresh = try fields.optionalBool("refresh") ?? false
            } else if name.equals("etag") {
                etag = try fields.optionalText("etag")
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else if name.equals("max_rows") {
                maxRows = try fields.optionalPositive("max_rows")
            } else if name.equals("page_rows") {
                pageRows = try fields.optionalPositive("page_rows")
            } else if try !target.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard let level else { throw DecodeError(.missing(field: "level"), at: 0) }
        try target.check()
        self.level = level
    }

    private static func readKinds(_ fields: inout FieldReader) throws(DecodeError) -> [UnsafeRawBufferPointer] {
        let start = fields.reader.offset
        let count = try fields.reader.readArray("kinds")
        guard count <= kindCountMax else {
            throw DecodeError(.outOfRange(field: "kinds", wanted: "at most 64 names"), at: start)
        }
        var kinds: [UnsafeRawBufferPointer] = []
        for _ in 0..<count { kinds.append(try fields.reader.readText("kinds")) }
        return kinds
    }

    /// A request to be sent.
    public struct Options: Sendable {
        public var namespace: String?
        public var relation: String?
        public var match: String?
        public var kinds: [String] = []
        public var definitions = false
        public var refresh = false
        public var etag: String?
        public var timeoutMilliseconds: Int64?
        public var maxRows: Int64?
        public var pageRows: Int64?

        public init() {}
    }

    /// Writes the data of a request.
    public static func write(
        level: String, target: TargetName, options: Options, _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.field("level", level, into: &output)
        target.write(&writer, &output)
        writer.optional("namespace", options.namespace, into: &output)
        writer.optional("relation", options.relation, into: &output)
        writer.optional("match", options.match, into: &output)
        if !options.kinds.isEmpty { writer.field("kinds", options.kinds, into: &output) }
        if options.definitions { writer.field("definitions", true, into: &output) }
        if options.refresh { writer.field("refresh", true, into: &output) }
        writer.optional("etag", options.etag, into: &output)
        writer.optional("timeout_ms", options.timeoutMilliseconds, into: &output)
        writer.optional("max_rows", options.maxRows, into: &output)
        writer.optional("page_rows", options.pageRows, into: &output)
    }
}

/// The fields of the last reply after its rows.
public struct CatalogReply: ReplyData {
    public var rowCount: Int64 = 0
    /// Absent if not.
    public var isTruncated: Bool?
    /// True if what the client has still holds: there are no rows.
    public var isUnchanged: Bool?
    public var etag = ""
    /// In a session.
    public var transaction: String?
    public var elapsedMicroseconds: Int64 = 0

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("row_count", &rowCount)
        visitor.optional("truncated", &isTruncated)
        visitor.optional("unchanged", &isUnchanged)
        visitor.field("etag", &etag)
        visitor.optional("transaction", &transaction)
        visitor.field("elapsed_us", &elapsedMicroseconds)
    }

    public static func appendFieldNames(to names: inout [String]) {
        names += [QueryFrame.columns, QueryFrame.rows, QueryFrame.more].map { "\($0)" }
        ColumnFields.appendFieldNames(to: &names)
        appendVisitedNames(to: &names)
    }
}
