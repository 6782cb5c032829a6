// `reload`: the daemon reads its configuration again.

/// `reload`.
public struct ReloadRequest: EmptyRequest {
    public typealias Reply = ReloadReply
    public static var type: RequestType { RequestType("reload", reply: "reload_response") }

    public init() {}
}

/// The configuration that is in force now.
public struct ReloadReply: ReplyData {
    public var databaseCount: Int64 = 0
    /// Settings that need a restart.
    public var restartNeeded: [String] = []
    /// Absent if there are none.
    public var problems: [String]?

    public init() {}

    public mutating func visit(_ visitor: inout some FieldVisitor) {
        visitor.field("databases", &databaseCount)
        visitor.field("restart_needed", &restartNeeded)
        visitor.optional("problems", &problems)
    }
}
