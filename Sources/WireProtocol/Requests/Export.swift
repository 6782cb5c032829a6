// `export`: the rows of one statement, into a file that the client has opened.

public import ByteBuffers

/// `export`: one statement, whose rows go into a file.
public struct ExportRequest: TransferRequest {
    public typealias Reply = ExportReply
    public static var type: RequestType { RequestType("export", reply: "export_response") }

    /// UTF-8, not terminated; `nil` where all of a relation is wanted.
    public private(set) var sql: UnsafeRawBufferPointer?
    public private(set) var relation: UnsafeRawBufferPointer?
    public private(set) var namespace: UnsafeRawBufferPointer?
    public private(set) var parameters = ParameterList.empty
    public private(set) var target = Target()
    public private(set) var timeoutMilliseconds: Int64?
    public private(set) var maxRows: Int64?
    public private(set) var rowFormat = RowFormatFields(mustBeReadable: false)
    /// Of SQL: the table that the statements name.
    public private(set) var into: UnsafeRawBufferPointer?
    /// Of Arrow: names of columns that are to be text.
    public private(set) var textColumns: [UnsafeRawBufferPointer] = []
    public private(set) var transfer = TransferFields()

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        while let name = try fields.nextName() {
            if name.equals("sql") {
                sql = try fields.optionalText("sql")
            } else if name.equals("params") {
                if !fields.skipNull() { parameters = try ParameterList.read(&fields.reader, field: "params") }
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else if name.equals("max_rows") {
                maxRows = try fields.optionalPositive("max_rows")
            } else if name.equals("relation") {
                relation = try fields.optionalText("relation")
            } else if name.equals("namespace") {
                namespace = try fields.optionalText("namespace")
            } else if name.equals("into") {
                into = try fields.optionalText("into")
            } else if name.equals("text_columns") {
                if !fields.skipNull() { textColumns = try ColumnNames.read(&fields, "text_columns") }
            } else if try rowFormat.readField(name, from: &fields) {
                continue
            } else if try target.readField(name, from: &fields) {
                continue
            } else if try !transfer.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        if sql == nil, relation == nil { throw DecodeError(.missing(field: "sql"), at: 0) }
        if rowFormat.format == .sql, relation == nil, into == nil { throw DecodeError(.missing(field: "into"), at: 0) }
        if sql != nil, relation != nil { throw DecodeError(.conflict(field: "sql", other: "relation"), at: 0) }
        try rowFormat.check()
        try target.check()
        try transfer.check()
    }

    /// What a client may ask for besides its statement.
    public struct Options: Sendable {
        public var format = ExportFormat.csv
        public var hasHeader = true
        public var delimiter: String?
        public var null: String?
        public var textColumns: [String] = []
        public var into: String?
        public var namespace: String?
        public var maxRows: Int64?
        public var timeoutMilliseconds: Int64?
        public var progressMilliseconds: Int64?

        public init() {}
    }

    /// Writes the data of a request that takes one descriptor; `parameters` writes the value of `params`.
    public static func write(
        sql: String, parameters: ValueWriting?, target: TargetName, options: Options, _ writer: inout RequestWriter,
        _ output: inout ByteBuffer
    ) {
        writer.field("sql", sql, into: &output)
        if let parameters {
            writer.key("params", into: &output)
            parameters(&writer, &output)
        }
        target.write(&writer, &output)
        RowFormatFields.write(
            options.format, hasHeader: options.hasHeader, delimiter: options.delimiter, null: options.null, &writer,
            &output)
        writer.optional("into", options.into, into: &output)
        writer.optional("namespace", options.namespace, into: &output)
        ColumnNames.write(options.textColumns, "text_columns", &writer, &output)
        writer.optional("timeout_ms", options.timeoutMilliseconds, into: &output)
        writer.optional("max_rows", options.maxRows, into: &output)
        TransferFields.write(progressMilliseconds: options.progressMilliseconds, &writer, &output)
    }
}

/// How rows stand in a file.
/// - Source: docs/protocol.md, Transfers.
public enum ExportFormat: String, CaseIterable, Sendable {
    case csv, tsv, json, jsonl
    /// The stream of Arrow's IPC format.
    case arrow
    /// INSERT statements in the dialect of the engine. Only written.
    case sql

    init?(name: UnsafeRawBufferPointer) {
        guard let known = Self.allCases.first(where: { name.elementsEqual($0.rawValue.utf8) }) else { return nil }
        self = known
    }

    /// What stands between two fields where nothing else is asked for; `nil` for formats without delimiters.
    public var delimiter: UInt8? {
        switch self {
        case .csv: UInt8(ascii: ",")
        case .tsv: UInt8(ascii: "\t")
        case .json, .jsonl, .arrow, .sql: nil
        }
    }

    /// Whether `import` reads it, too.
    var isReadable: Bool { self != .sql }

    /// The value of a field `format`.
    static func read(_ fields: inout FieldReader, mustBeReadable: Bool) throws(DecodeError) -> ExportFormat {
        let start = fields.reader.offset
        guard let name = try fields.optionalText("format") else { return .csv }
        guard let format = ExportFormat(name: name), format.isReadable || !mustBeReadable else {
            throw DecodeError(
                .outOfRange(
                    field: "format",
                    wanted: mustBeReadable
                        ? "\"csv\", \"tsv\", \"json\", \"jsonl\" or \"arrow\""
                        : "\"csv\", \"tsv\", \"json\", \"jsonl\", \"arrow\" or \"sql\""), at: start)
        }
        return format
    }
}

/// What has been written.
public struct ExportReply: ReplyData {
    public var byteCount: Int64 = 0
    public var more = false
    public var rowCount: Int64 = 0
    public var rowsAffected: Int64 = 0
    /// Absent if not.
    public var isTruncated: Bool?
    public var transaction = ""
    public var elapsedMicroseconds: Int64 = 0

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("bytes", &byteCount)
        visitor.field(QueryFrame.more, &more)
        visitor.field("row_count", &rowCount)
        visitor.field("rows_affected", &rowsAffected)
        visitor.optional("truncated", &isTruncated)
        visitor.field("transaction", &transaction)
        visitor.field("elapsed_us", &elapsedMicroseconds)
    }
}
