// `batch`: several statements in one message.

public import ByteBuffers

/// `batch`: several statements, run in order; all or none of them when it is atomic.
public struct BatchRequest: RequestContent {
    public typealias Reply = BatchReply
    public static var type: RequestType { RequestType("batch", reply: "batch_response") }

    public private(set) var target = Target()
    public private(set) var isAtomic = true
    public private(set) var statementCount = 0
    /// Number of parameters of the execution with the most.
    public private(set) var parameterCountPeak = 0
    /// The statements, without the array's header.
    private var content = UnsafeRawBufferPointer(start: nil, count: 0)

    /// Decodes and checks everything, so that reading the statements cannot fail.
    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var hasStatements = false
        while let name = try fields.nextName() {
            if name.equals("statements") {
                try readStatements(&fields.reader)
                hasStatements = true
            } else if name.equals("atomic") {
                isAtomic = try fields.optionalBool("atomic") ?? true
            } else if try !target.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard hasStatements else { throw DecodeError(.missing(field: "statements"), at: 0) }
        try target.check()
    }

    /// Writes the data of a request; `statements` writes each by `BatchStatement.write`.
    public static func write(
        isAtomic: Bool, target: TargetName, statements: ValueWriting, _ writer: inout RequestWriter,
        _ output: inout ByteBuffer
    ) {
        target.write(&writer, &output)
        writer.field("atomic", isAtomic, into: &output)
        writer.key("statements", into: &output)
        writer.beginArray(into: &output)
        statements(&writer, &output)
        writer.endArray(into: &output)
    }

    private mutating func readStatements(_ reader: inout MessagePackReader) throws(DecodeError) {
        let header = reader.offset
        statementCount = try reader.readArray("statements")
        guard statementCount <= WireLimits.batchStatementCountMax else {
            throw DecodeError(.tooMany(field: "statements", limit: WireLimits.batchStatementCountMax), at: header)
        }
        let start = reader.offset
        for index in 0..<statementCount {
            do throws(DecodeError) {
                parameterCountPeak = max(parameterCountPeak, try BatchStatement.read(&reader).parameterCountPeak)
            } catch {
                var located = error
                located.statementIndex = index
                throw located
            }
        }
        content = reader.bytes.slice(start..<reader.offset)
    }

    /// Starts reading at the first statement; as often as needed.
    public func makeReader() -> BatchReader {
        BatchReader(reader: MessagePackReader(content), remaining: statementCount)
    }
}

/// Reads the statements of a batch one by one. Allocates nothing.
public struct BatchReader {
    fileprivate var reader: MessagePackReader
    fileprivate var remaining: Int

    /// The next statement; `nil` after the last one.
    public mutating func next() -> BatchStatement? {
        guard remaining > 0 else { return nil }
        remaining &-= 1
        do throws(DecodeError) {
            return try BatchStatement.read(&reader)
        } catch {
            // The batch was checked when it was decoded.
            preconditionFailure("the body of a request changed while it was used")
        }
    }
}

/// One statement of a batch.
public struct BatchStatement {
    /// The values of its placeholders.
    public enum Parameters {
        /// It runs once.
        case once(ParameterList)
        /// It runs once for each row.
        case rows(ParameterRows)
    }

    /// UTF-8, not terminated.
    public let sql: UnsafeRawBufferPointer
    public let parameters: Parameters

    /// Writes a statement. At most one of the two writes values: those of one execution, or the rows of many.
    public static func write(
        sql: String, parameters: ValueWriting?, rows: ValueWriting?, _ writer: inout RequestWriter,
        _ output: inout ByteBuffer
    ) {
        writer.beginMap(into: &output)
        writer.field("sql", sql, into: &output)
        if let parameters {
            writer.key("params", into: &output)
            parameters(&writer, &output)
        }
        if let rows {
            writer.key("param_rows", into: &output)
            writer.beginArray(into: &output)
            rows(&writer, &output)
            writer.endArray(into: &output)
        }
        writer.endMap(into: &output)
    }

    /// Number of parameters of the execution with the most.
    fileprivate var parameterCountPeak: Int {
        switch parameters {
        case .once(let list): list.count
        case .rows(let rows): rows.parameterCountPeak
        }
    }

    fileprivate static func read(_ reader: inout MessagePackReader) throws(DecodeError) -> BatchStatement {
        let count = try reader.readMap("statements[]")
        var fields = FieldReader(reader, fieldCount: count)
        var sql: UnsafeRawBufferPointer?
        var list: ParameterList?
        var rows: ParameterRows?
        while let name = try fields.nextName() {
            if name.equals("sql") {
                sql = try fields.optionalText("statements[].sql")
            } else if name.equals("params") {
                list =
                    fields.skipNull() ? nil : try ParameterList.read(&fields.reader, field: "statements[].params")
            } else if name.equals("param_rows") {
                rows = fields.skipNull() ? nil : try ParameterRows.read(&fields.reader)
            } else {
                try fields.reader.skip()
            }
        }
        let end = fields.reader.offset
        reader = fields.reader
        guard let sql else { throw DecodeError(.missing(field: "statements[].sql"), at: end) }
        guard let rows else { return BatchStatement(sql: sql, parameters: .once(list ?? .empty)) }
        guard list == nil else {
            throw DecodeError(.conflict(field: "statements[].params", other: "statements[].param_rows"), at: end)
        }
        return BatchStatement(sql: sql, parameters: .rows(rows))
    }
}

/// The rows of parameters of one statement.
public struct ParameterRows {
    public let count: Int
    /// Number of parameters of the longest row.
    fileprivate let parameterCountPeak: Int
    /// The rows, without the array's header.
    private let content: UnsafeRawBufferPointer

    fileprivate static func read(_ reader: inout MessagePackReader) throws(DecodeError) -> ParameterRows {
        let count = try reader.readArray("statements[].param_rows")
        let start = reader.offset
        var peak = 0
        for _ in 0..<count {
            let row = try ParameterList.read(&reader, field: "statements[].param_rows", mayBeNamed: false)
            peak = max(peak, row.count)
        }
        return ParameterRows(count: count, parameterCountPeak: peak, content: reader.bytes.slice(start..<reader.offset))
    }

    /// Starts reading at the first row; as often as needed.
    public func makeReader() -> ParameterRowReader {
        ParameterRowReader(reader: MessagePackReader(content), remaining: count)
    }
}

/// Reads rows of parameters one by one. Allocates nothing.
public struct ParameterRowReader {
    fileprivate var reader: MessagePackReader
    fileprivate var remaining: Int

    /// The next row; `nil` after the last one.
    public mutating func next() -> ParameterList? {
        guard remaining > 0 else { return nil }
        remaining &-= 1
        do throws(DecodeError) {
            return try ParameterList.read(&reader, field: "param_rows", mayBeNamed: false)
        } catch {
            // The rows were checked when the batch was decoded.
            preconditionFailure("the body of a request changed while it was used")
        }
    }
}

/// The results of the statements.
public struct BatchReply: ReplyData {
    public var results: [Result] = []
    public var transaction = ""
    public var elapsedMicroseconds: Int64 = 0

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("results", &results)
        visitor.field("transaction", &transaction)
        visitor.field("elapsed_us", &elapsedMicroseconds)
    }

    /// The result of one statement.
    public struct Result: ReplyData {
        public var rowsAffected: Int64 = 0
        /// Absent if there are none.
        public var warningCount: Int64?
        public var lastInsertID: Int64?

        @inlinable public init() {}

        @inlinable
        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("rows_affected", &rowsAffected)
            visitor.optional("warning_count", &warningCount)
            visitor.optional("last_insert_id", &lastInsertID)
        }
    }
}
