// `backup` and `restore`: a database as it is at one moment, into a file that the client has opened, and back.

public import ByteBuffers

/// `backup`: the file of a SQLite database as it is at one moment.
public struct BackupRequest: TransferRequest {
    public typealias Reply = DatabaseFileReply
    public static var type: RequestType { RequestType("backup", reply: "backup_response") }

    public let fields: DatabaseFileFields
    public var transfer: TransferFields { fields.transfer }

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) { fields = try DatabaseFileFields(data) }
}

/// `restore`: a SQLite database gets the content of such a file.
public struct RestoreRequest: TransferRequest {
    public typealias Reply = DatabaseFileReply
    public static var type: RequestType { RequestType("restore", reply: "restore_response") }

    public let fields: DatabaseFileFields
    public var transfer: TransferFields { fields.transfer }

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) { fields = try DatabaseFileFields(data) }
}

/// What both need: a database, and a file.
public struct DatabaseFileFields {
    private var target = Target()
    public private(set) var timeoutMilliseconds: Int64?
    public private(set) var transfer = TransferFields()

    init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("database") {
                target.database = try fields.optionalText("database")
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else if try !transfer.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        try transfer.check()
    }

    /// Its database, where statements have the choice of a session.
    public var database: UnsafeRawBufferPointer? { target.database }

    /// Writes the data of a request that takes one descriptor.
    public static func write(
        database: String?, timeoutMilliseconds: Int64? = nil, progressMilliseconds: Int64?,
        _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.optional("database", database, into: &output)
        writer.optional("timeout_ms", timeoutMilliseconds, into: &output)
        TransferFields.write(progressMilliseconds: progressMilliseconds, &writer, &output)
    }
}

/// What has been copied, or restored.
public struct DatabaseFileReply: ReplyData {
    public var byteCount: Int64 = 0
    public var totalByteCount: Int64?
    public var more = false
    public var elapsedMicroseconds: Int64 = 0

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("bytes", &byteCount)
        visitor.optional("total_bytes", &totalByteCount)
        visitor.field(QueryFrame.more, &more)
        visitor.field("elapsed_us", &elapsedMicroseconds)
    }
}
