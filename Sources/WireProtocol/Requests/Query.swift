// `query`: one statement, and its rows.

public import ByteBuffers

/// `query`: one statement.
public struct QueryRequest: RequestContent {
    public typealias Reply = QueryReply
    public static var type: RequestType { RequestType("query", reply: "query_response") }

    /// UTF-8, not terminated.
    public let sql: UnsafeRawBufferPointer
    public private(set) var parameters = ParameterList.empty
    public private(set) var target = Target()
    public private(set) var timeoutMilliseconds: Int64?
    public private(set) var maxRows: Int64?
    public private(set) var pageRows: Int64?
    /// Whether to send all results of a statement that has several.
    public private(set) var resultSets = false

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var sql: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("sql") {
                sql = try fields.optionalText("sql")
            } else if name.equals("params") {
                if !fields.skipNull() { parameters = try ParameterList.read(&fields.reader, field: "params") }
            } else if name.equals("timeout_ms") {
                timeoutMilliseconds = try fields.optionalPositive("timeout_ms")
            } else if name.equals("max_rows") {
                maxRows = try fields.optionalPositive("max_rows")
            } else if name.equals("page_rows") {
                pageRows = try fields.optionalPositive("page_rows")
            } else if name.equals("result_sets") {
                resultSets = try fields.optionalBool("result_sets") ?? false
            } else if try !target.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard let sql else { throw DecodeError(.missing(field: "sql"), at: 0) }
        try target.check()
        self.sql = sql
    }

    /// Options of a request besides its statement.
    public struct Options {
        public var timeoutMilliseconds: Int64?
        public var maxRows: Int64?
        public var pageRows: Int64?
        public var resultSets = false

        public init() {}
    }

    /// Writes the data of a request; `parameters` writes the value of `params`.
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
        writer.optional("timeout_ms", options.timeoutMilliseconds, into: &output)
        writer.optional("max_rows", options.maxRows, into: &output)
        writer.optional("page_rows", options.pageRows, into: &output)
        if options.resultSets { writer.field("result_sets", true, into: &output) }
    }
}

/// The keys of frames with rows, which are written while rows are produced.
public enum QueryFrame {
    /// In the first reply of a result.
    @inlinable public static var columns: StaticString { "columns" }
    @inlinable public static var rows: StaticString { "rows" }
    /// Whether another reply follows.
    @inlinable public static var more: StaticString { "more" }
    /// In the reply in which a result ends.
    @inlinable public static var resultEnd: StaticString { "result_end" }
}

/// The fields of the last reply after its rows.
public struct QueryReply: ReplyData {
    public var rowCount: Int64 = 0
    public var rowsAffected: Int64 = 0
    /// Warnings that the server keeps for the next statement of the session; absent if there are none.
    public var warningCount: Int64?
    public var lastInsertID: Int64?
    /// Results that were not sent because the client did not ask for them; absent if there are none.
    public var droppedResultCount: Int64?
    public var resultEnd: QueryResultEnd?
    /// The number of results, if all were requested.
    public var resultCount: Int64?
    /// Absent if not.
    public var isTruncated: Bool?
    public var transaction = ""
    public var elapsedMicroseconds: Int64 = 0

    @inlinable public init() {}

    @inlinable
    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("row_count", &rowCount)
        visitor.field("rows_affected", &rowsAffected)
        visitor.optional("warning_count", &warningCount)
        visitor.optional("last_insert_id", &lastInsertID)
        visitor.optional("result_sets_dropped", &droppedResultCount)
        visitor.optional(QueryFrame.resultEnd, &resultEnd)
        visitor.optional("result_sets", &resultCount)
        visitor.optional("truncated", &isTruncated)
        visitor.field("transaction", &transaction)
        visitor.field("elapsed_us", &elapsedMicroseconds)
    }

    public static func appendFieldNames(to names: inout [String]) {
        names += [QueryFrame.columns, QueryFrame.rows, QueryFrame.more].map { "\($0)" }
        ColumnFields.appendFieldNames(to: &names)
        appendVisitedNames(to: &names)
    }
}

/// The fields at the end of one of several results.
public struct QueryResultEnd: ReplyData {
    public var rowCount: Int64 = 0
    public var isTruncated = false

    @inlinable public init() {}

    @inlinable
    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("row_count", &rowCount)
        visitor.field("truncated", &isTruncated)
    }
}

/// A column of a result.
public struct ColumnFields: ReplyData {
    public var name = TextBytes()
    public var type: String?
    public var declaredType: String?

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("name", &name)
        visitor.field("type", &type)
        visitor.field("declared_type", &declaredType)
    }
}
