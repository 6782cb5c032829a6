// `health_check`: whether the daemon is healthy, and optionally one database.

public import ByteBuffers

/// `health_check`: of the daemon, or of one database, by a round trip to it.
public struct HealthRequest: RequestContent {
    public typealias Reply = HealthReply
    public static var type: RequestType { RequestType("health_check", reply: "health_response") }

    public private(set) var database: UnsafeRawBufferPointer?
    /// How long to wait for the database.
    public private(set) var timeoutMilliseconds: Int64?

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("database") {
                database = try fields.optionalText("database")
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else {
                try fields.reader.skip()
            }
        }
    }

    /// Writes the data of a request for a database.
    public static func write(
        database: String, timeoutMilliseconds: Int64?, _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.field("database", database, into: &output)
        writer.optional("timeout_ms", timeoutMilliseconds, into: &output)
    }

    /// The database of the round trip.
    public var target: Target { Target(database: database) }
}

/// The daemon's information about itself.
public struct HealthReply: ReplyData {
    public var status = ""
    public var version = ""
    public var protocolVersion: Int64 = 0
    public var pid: Int64 = 0
    public var uptimeMilliseconds: Int64 = 0
    /// How it was started: "socket" or "standalone".
    public var activation = ""
    public var database: Database?

    /// Of the only field that changes while the process runs.
    @inlinable public static var uptimeKey: StaticString { "uptime_ms" }

    @inlinable public init() {}

    @inlinable
    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("status", &status)
        visitor.field("version", &version)
        visitor.field("protocol", &protocolVersion)
        visitor.field("pid", &pid)
        visitor.field(Self.uptimeKey, &uptimeMilliseconds)
        visitor.field("activation", &activation)
        visitor.optional("database", &database)
    }

    /// A database that has answered.
    public struct Database: ReplyData {
        public var name = ""
        public var engine = ""
        public var serverVersion = ""
        public var elapsedMicroseconds: Int64 = 0

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("name", &name)
            visitor.field("engine", &engine)
            visitor.field("server_version", &serverVersion)
            visitor.field("elapsed_us", &elapsedMicroseconds)
        }
    }
}
