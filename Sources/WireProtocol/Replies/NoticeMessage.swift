// `notice`: a message without a request.

/// The data of a `notice`, which answers no request.
/// - Source: docs/protocol.md, Sessions and transactions
public struct NoticeMessage: ReplyData {
    public static var typeName: StaticString { "notice" }

    public var code = ""
    public var message = ""
    /// The request concerned.
    public var request: RequestIDField?
    /// The session concerned.
    public var session: String?
    public var severity: String?
    public var sqlState: String?
    public var detail: String?
    public var hint: String?
    /// Number of a database's notices that were not sent.
    public var count: Int64?
    /// Time until the subject ends.
    public var endsInMilliseconds: Int64?

    public init() {}

    public init(_ code: String, _ message: String) {
        self.code = code
        self.message = message
    }

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("code", &code)
        visitor.field("message", &message)
        visitor.optional("request", &request)
        visitor.optional("session", &session)
        visitor.optional("severity", &severity)
        visitor.optional("sqlstate", &sqlState)
        visitor.optional("detail", &detail)
        visitor.optional("hint", &hint)
        visitor.optional("count", &count)
        visitor.optional("ends_in_ms", &endsInMilliseconds)
    }
}
