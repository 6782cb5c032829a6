// `error`: why a request has failed.

/// The data of an `error`.
/// - Source: docs/protocol.md, Errors
public struct ErrorReply: ReplyData {
    public static var typeName: StaticString { "error" }

    public var code = ""
    public var message = ""
    public var detail: String?
    public var hint: String?
    public var sqlState: String?
    public var vendorCode: Int64?
    public var position: Position?
    public var statementIndex: Int64?
    public var rowIndex: Int64?
    /// Absent if not.
    public var isRetryable: Bool?
    public var retryAfterMilliseconds: Int64?
    public var transaction: String?
    public var limit: Limit?
    public var holder: Holder?

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("code", &code)
        visitor.field("message", &message)
        visitor.optional("detail", &detail)
        visitor.optional("hint", &hint)
        visitor.optional("sqlstate", &sqlState)
        visitor.optional("vendor_code", &vendorCode)
        visitor.optional("position", &position)
        visitor.optional("statement_index", &statementIndex)
        visitor.optional("row_index", &rowIndex)
        visitor.optional("retryable", &isRetryable)
        visitor.optional("retry_after_ms", &retryAfterMilliseconds)
        visitor.optional("transaction", &transaction)
        visitor.optional("limit", &limit)
        visitor.optional("holder", &holder)
    }

    /// A place in the statement.
    public struct Position: ReplyData {
        /// In bytes, from 0.
        public var offset: Int64?
        /// From 1.
        public var line: Int64?
        /// In characters, from 1.
        public var column: Int64?

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.optional("offset", &offset)
            visitor.optional("line", &line)
            visitor.optional("column", &column)
        }
    }

    /// The limit that was reached.
    public struct Limit: ReplyData {
        public var name = ""
        public var value: Int64 = 0
        public var used: Int64?
        /// Whose it is.
        public var uid: Int64?

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.field("name", &name)
            visitor.field("value", &value)
            visitor.optional("used", &used)
            visitor.optional("uid", &uid)
        }
    }

    /// The holder of what was waited for.
    public struct Holder: ReplyData {
        public var uid: Int64?
        public var pid: Int64?
        public var sinceMilliseconds: Int64?

        public init() {}

        public mutating func visit(_ visitor: inout some FieldVisitor) {
            visitor.optional("uid", &uid)
            visitor.optional("pid", &pid)
            visitor.optional("since_ms", &sinceMilliseconds)
        }
    }
}
