// `import`: the rows of a file that the client has opened, into a table.

public import ByteBuffers

/// `import`: rows of a file into a table.
public struct ImportRequest: TransferRequest {
    public typealias Reply = ImportReply
    public static var type: RequestType { RequestType("import", reply: "import_response") }

    /// A statement that takes the file's bytes as they are, in place of a table.
    public private(set) var sql: UnsafeRawBufferPointer?
    /// The name of the table, UTF-8; empty with `sql`.
    public private(set) var relation = UnsafeRawBufferPointer(start: nil, count: 0)
    public private(set) var namespace: UnsafeRawBufferPointer?
    /// Names of the columns for the fields of each line, in their order; of JSON, the keys that are taken.
    public private(set) var columns: [UnsafeRawBufferPointer]?
    public private(set) var rowFormat = RowFormatFields(mustBeReadable: true)
    public private(set) var encoding: UnsafeRawBufferPointer?
    /// Whether the table is to be made.
    public private(set) var create = false
    /// Whether the file is only looked at.
    public private(set) var isDryRun = false
    /// Whether all rows become visible at once, or none.
    public private(set) var isAtomic = false
    /// Lines that may be refused.
    public private(set) var rejectedCountMax: Int64 = 0
    public private(set) var target = Target()
    public private(set) var timeoutMilliseconds: Int64?
    public private(set) var transfer = TransferFields()

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var relation: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("relation") {
                relation = try fields.optionalText("relation")
            } else if name.equals("sql") {
                sql = try fields.optionalText("sql")
            } else if name.equals("namespace") {
                namespace = try fields.optionalText("namespace")
            } else if name.equals("columns") {
                if !fields.skipNull() { columns = try ColumnNames.read(&fields, "columns") }
            } else if name.equals("create") {
                create = try fields.optionalBool("create") ?? false
            } else if name.equals("dry_run") {
                isDryRun = try fields.optionalBool("dry_run") ?? false
            } else if name.equals("atomic") {
                isAtomic = try fields.optionalBool("atomic") ?? false
            } else if name.equals("max_rejected") {
                rejectedCountMax = try fields.optionalPositive("max_rejected") ?? 0
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else if name.equals("encoding") {
                encoding = try fields.optionalText("encoding")
            } else if try rowFormat.readField(name, from: &fields) {
                continue
            } else if try target.readField(name, from: &fields) {
                continue
            } else if try !transfer.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard relation != nil || sql != nil else { throw DecodeError(.missing(field: "relation"), at: 0) }
        try rowFormat.check()
        try target.check()
        try transfer.check()
        if let relation { self.relation = relation }
    }

    /// Writes the data of a request with a statement in place of a table.
    public static func write(
        sql: String, target: TargetName, _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.field("sql", sql, into: &output)
        target.write(&writer, &output)
        TransferFields.write(progressMilliseconds: nil, &writer, &output)
    }

    /// What a client may ask for besides its table.
    public struct Options: Sendable {
        public var namespace: String?
        public var columns: [String] = []
        public var format = ExportFormat.csv
        public var hasHeader = true
        public var delimiter: String?
        public var null: String?
        public var encoding: String?
        public var create = false
        public var isDryRun = false
        public var isAtomic = false
        public var rejectedCountMax: Int64 = 0
        public var timeoutMilliseconds: Int64?
        public var progressMilliseconds: Int64?

        public init() {}
    }

    /// Writes the data of a request that takes one descriptor.
    public static func write(
        relation: String, target: TargetName, options: Options, _ writer: inout RequestWriter,
        _ output: inout ByteBuffer
    ) {
        writer.field("relation", relation, into: &output)
        writer.optional("namespace", options.namespace, into: &output)
        ColumnNames.write(options.columns, "columns", &writer, &output)
        target.write(&writer, &output)
        RowFormatFields.write(
            options.format, hasHeader: options.hasHeader, delimiter: options.delimiter, null: options.null, &writer,
            &output)
        writer.optional("encoding", options.encoding, into: &output)
        if options.create { writer.field("create", true, into: &output) }
        if options.isDryRun { writer.field("dry_run", true, into: &output) }
        if options.isAtomic { writer.field("atomic", true, into: &output) }
        if options.rejectedCountMax > 0 { writer.field("max_rejected", options.rejectedCountMax, into: &output) }
        writer.optional("timeout_ms", options.timeoutMilliseconds, into: &output)
        TransferFields.write(progressMilliseconds: options.progressMilliseconds, &writer, &output)
    }
}

/// What has been imported.
public struct ImportReply: ReplyData {
    public var byteCount: Int64 = 0
    /// `nil` if it is not known.
    public var totalByteCount: Int64?
    public var more = false
    /// Rows that are in the table; of a dry run, that were found.
    public var rowCount: Int64 = 0
    public var rejectedCount: Int64 = 0
    /// The first of those lines.
    public var rejected: [RejectedLine] = []
    public var columns: [ImportedColumn] = []
    /// What makes the table; only if it is to be made.
    public var sql: String?
    public var transaction = ""
    public var elapsedMicroseconds: Int64 = 0

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("bytes", &byteCount)
        visitor.optional("total_bytes", &totalByteCount)
        visitor.field(QueryFrame.more, &more)
        visitor.field("row_count", &rowCount)
        visitor.field("rejected_count", &rejectedCount)
        visitor.field("rejected", &rejected)
        visitor.field(QueryFrame.columns, &columns)
        visitor.optional("sql", &sql)
        visitor.field("transaction", &transaction)
        visitor.field("elapsed_us", &elapsedMicroseconds)
    }
}

/// A line that is no row of the table.
public struct RejectedLine: ReplyData {
    public var line: Int64 = 0
    public var reason = ""

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("line", &line)
        visitor.field("reason", &reason)
    }
}

/// A column into which values went.
public struct ImportedColumn: ReplyData {
    public var name = ""
    public var type: String?

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("name", &name)
        visitor.field("type", &type)
    }
}

/// How far an import is: the data of its replies before the last.
public struct ImportProgress: ReplyData {
    public var byteCount: Int64 = 0
    /// `nil` if it is not known.
    public var totalByteCount: Int64?
    public var rowCount: Int64 = 0
    public var rejectedCount: Int64 = 0
    public var more = true

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("bytes", &byteCount)
        visitor.optional("total_bytes", &totalByteCount)
        visitor.field("row_count", &rowCount)
        visitor.field("rejected_count", &rejectedCount)
        visitor.field(QueryFrame.more, &more)
    }
}
