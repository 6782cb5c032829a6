// The names of a request type. This target does not know which types exist: the daemon has a table of those that it
// serves.

/// The names of a type of request and of its reply.
public struct RequestType: Sendable {
    /// The `type` of the request.
    public let name: StaticString
    /// The `type` of its successful reply; that of a failure is `ErrorReply.typeName`.
    public let replyName: StaticString

    @inlinable
    public init(_ name: StaticString, reply replyName: StaticString) {
        self.name = name
        self.replyName = replyName
    }
}

/// The keys of a message's own map.
public enum Envelope {
    @inlinable public static var id: StaticString { "id" }
    @inlinable public static var type: StaticString { "type" }
    /// In replies only.
    @inlinable public static var timestamp: StaticString { "timestamp" }
    @inlinable public static var data: StaticString { "data" }
}
