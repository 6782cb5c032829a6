// `terminate`: ends a request, a session or a connection of whom the caller may end.

public import ByteBuffers

/// `terminate`: ends what `activity` shows.
public struct TerminateRequest: RequestContent {
    public typealias Reply = TerminateReply
    public static var type: RequestType { RequestType("terminate", reply: "terminate_response") }

    /// What is to end.
    public enum Target {
        /// All of a connection, by its number.
        case connection(Int64)
        /// One request of a connection, by its number in `activity`.
        case request(Int64, connection: Int64)
        /// A session by its name, which is unique in the daemon.
        case session(UnsafeRawBufferPointer)
    }

    public let target: Target

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var connection: Int64?
        var request: Int64?
        var session: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("connection") {
                connection = try fields.optionalPositive("connection")
            } else if name.equals("number") {
                request = try fields.optionalPositive("number")
            } else if name.equals("session") {
                session = try fields.optionalText("session")
            } else {
                try fields.reader.skip()
            }
        }
        switch (connection, request, session) {
        case (let connection?, let request?, nil): target = .request(request, connection: connection)
        case (let connection?, nil, nil): target = .connection(connection)
        case (nil, nil, let session?): target = .session(session)
        case (_?, _, _?): throw DecodeError(.conflict(field: "session", other: "connection"), at: 0)
        case (nil, _?, _?): throw DecodeError(.conflict(field: "session", other: "number"), at: 0)
        case (nil, _, nil): throw DecodeError(.missing(field: "connection"), at: 0)
        }
    }

    /// Writes the data of a request.
    public static func write(connection: Int64, _ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        writer.field("connection", connection, into: &output)
    }

    /// Writes the data of one that ends one request.
    public static func write(
        number: Int64, connection: Int64, _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.field("connection", connection, into: &output)
        writer.field("number", number, into: &output)
    }

    /// Writes the data of one that ends a session.
    public static func write(session: String, _ writer: inout RequestWriter, _ output: inout ByteBuffer) {
        writer.field("session", session, into: &output)
    }
}

/// Whose work it was, and what was ended of it.
public struct TerminateReply: ReplyData {
    public var connection: UInt64 = 0
    public var uid: Int64?
    public var pid: Int64?
    public var user: String?
    /// Requests that were told to end.
    public var requestCount: Int64 = 0
    /// Sessions that end.
    public var sessionCount: Int64 = 0
    /// Whether the connection is closed.
    public var isClosed = false

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("connection", &connection)
        visitor.field("uid", &uid)
        visitor.field("pid", &pid)
        visitor.field("user", &user)
        visitor.field("requests", &requestCount)
        visitor.field("sessions", &sessionCount)
        visitor.field("closed", &isClosed)
    }
}
