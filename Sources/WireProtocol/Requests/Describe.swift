// `describe`: the parameters and columns of a statement.

public import ByteBuffers

/// `describe`: the parameters and columns of a statement, without running it.
public struct DescribeRequest: RequestContent {
    public typealias Reply = DescribeReply
    public static var type: RequestType { RequestType("describe", reply: "describe_response") }

    /// UTF-8, not terminated.
    public let sql: UnsafeRawBufferPointer
    public private(set) var target = Target()

    public init(_ data: UnsafeRawBufferPointer?) throws(DecodeError) {
        var fields = try FieldReader(data)
        var sql: UnsafeRawBufferPointer?
        while let name = try fields.nextName() {
            if name.equals("sql") {
                sql = try fields.optionalText("sql")
            } else if try !target.readField(name, from: &fields) {
                try fields.reader.skip()
            }
        }
        guard let sql else { throw DecodeError(.missing(field: "sql"), at: 0) }
        try target.check()
        self.sql = sql
    }

    /// Writes the data of a request.
    public static func write(
        sql: String, target: TargetName, _ writer: inout RequestWriter, _ output: inout ByteBuffer
    ) {
        writer.field("sql", sql, into: &output)
        target.write(&writer, &output)
    }
}

/// The parameters and columns of a statement.
public struct DescribeReply: ReplyData {
    public var columns: [ColumnFields] = []
    public var parameters: [ParameterName] = []
    public var isReadOnly = false
    /// Of a session.
    public var transaction: String?

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field(QueryFrame.columns, &columns)
        visitor.field("parameters", &parameters)
        visitor.field("read_only", &isReadOnly)
        visitor.optional("transaction", &transaction)
    }

    /// A parameter of the statement.
    public struct ParameterName: FieldValue {
        /// `nil` for one by position.
        public var name: String?

        public init(_ name: String?) { self.name = name }

        public func write(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
            name.write(&writer, &output)
        }

        /// Also accepts a map with the name.
        public static func read(_ source: some FieldSource) -> ParameterName? {
            ParameterName(source.member("name")?.text ?? source.text)
        }
    }
}
