// What may come next in a statement.

internal import WireProtocol

/// A text with a cursor.
public struct CompletionPlace: Hashable, Sendable {
    /// SQL, or command lines of Redis.
    public var text: String
    /// In bytes of the text's UTF-8.
    public var cursor: Int
    /// How many proposals are wanted; `nil` leaves it to the daemon (50).
    public var limit: Int64?
    /// Names that the user has used lately, the latest first.
    public var recent: [String]

    /// - Parameters:
    ///   - text: the statement so far, and what stands around it.
    ///   - cursor: in bytes; `nil` is the end of the text.
    ///   - limit: how many proposals are wanted; `nil` leaves it to the daemon.
    ///   - recent: names that the user has used lately, the latest first.
    public init(_ text: String, cursor: Int? = nil, limit: Int64? = nil, recent: [String] = []) {
        (self.text, self.cursor, self.limit, self.recent) = (text, cursor ?? text.utf8.count, limit, recent)
    }
}

/// One proposal.
public struct CompletionProposal: Hashable, Sendable {
    /// What is to be inserted, in quotes where it needs them.
    public let text: String
    /// What is to be shown.
    public let label: String
    /// Such as "column"; docs/protocol.md has all of them.
    public let kind: String
    /// A type, a signature, an owner.
    public let detail: String?
    /// The relation that it belongs to.
    public let relation: String?
}

/// What may come next at a place of a text.
public struct CompletionResult: Hashable, Sendable {
    /// The bytes of the text that a proposal replaces.
    public let replaced: Range<Int>
    /// The best first.
    public let proposals: [CompletionProposal]
    /// Whether the daemon does not know all names of the database yet; asking again may tell more.
    public let isIncomplete: Bool

    init(_ data: StructuredValue) {
        let reply = CompleteReply(data)
        let from = max(0, Int(reply.replace.from))
        replaced = from..<max(from, Int(reply.replace.to))
        proposals = reply.items.map {
            CompletionProposal(text: $0.text, label: $0.label, kind: $0.kind, detail: $0.detail, relation: $0.relation)
        }
        isIncomplete = reply.isIncomplete ?? false
    }
}
