// `db_connect` and `db_disconnect`: the two ends of a session.

public import ByteBuffers

/// `db_connect`: opens a session on a database, by name or by URL; neither means the default one.
public struct ConnectRequest: RequestContent {
    public typealias Reply = ConnectReply
    public static var type: RequestType { RequestType("db_connect", reply: "db_connect_response") }

    public private(set) var database: UnsafeRawBufferPointer?
    public private(set) var url: UnsafeRawBufferPointer?
    public private(set) var readOnly = false

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("database") {
                database = try fields.optionalText("database")
            } else if name.equals("url") {
                url = try fields.optionalText("url")
            } else if name.equals("read_only") {
                readOnly = try fields.optionalBool("read_only") ?? false
            } else {
                try fields.reader.skip()
            }
        }
        if database != nil, url != nil { throw DecodeError(.conflict(field: "database", other: "url"), at: 0) }
    }

    /// Writes the data of a request that names a database, or a URL, or neither.
    public static func write(
        database: String? = nil, url: String? = nil, readOnly: Bool, _ writer: inout RequestWriter,
        _ output: inout ByteBuffer
    ) {
        writer.optional("database", database, into: &output)
        writer.optional("url", url, into: &output)
        if readOnly { writer.field("read_only", true, into: &output) }
    }
}

/// The session that was opened.
public struct ConnectReply: ReplyData {
    /// The name for later requests.
    public var session = ""
    public var engine = ""
    public var serverVersion = ""
    public var isReadOnly = false
    public var transaction = ""

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("session", &session)
        visitor.field("engine", &engine)
        visitor.field("server_version", &serverVersion)
        visitor.field("read_only", &isReadOnly)
        visitor.field("transaction", &transaction)
    }
}

/// `db_disconnect`: closes a session.
public struct DisconnectRequest: RequestContent {
    public typealias Reply = EmptyReply
    public static var type: RequestType { RequestType("db_disconnect", reply: "db_disconnect_response") }

    public let session: UnsafeRawBufferPointer

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var session: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("session") {
                session = try fields.optionalText("session")
            } else {
                try fields.reader.skip()
            }
        }
        guard let session else { throw DecodeError(.missing(field: "session"), at: 0) }
        self.session = session
    }

    /// Writes the data of a request.
    public static func write(session: String, _ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        writer.field("session", session, into: &output)
    }
}
