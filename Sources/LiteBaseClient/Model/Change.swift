// What changes in a database, as those who listen are told.

internal import WireProtocol

/// What one wants to hear of.
public struct SubscriptionOptions: Sendable {
    /// The database, by name; `nil` for the default one.
    public var database: String?
    /// Names of tables, whatever their case; empty for all.
    public var relations: [String] = []
    /// Channels of the server (PostgreSQL, Redis), and patterns of such names (Redis), instead of tables: then each change is
    /// one message.
    public var channels: [String] = []
    public var patterns: [String] = []
    /// Where an earlier subscription has come to (`Change.position`), to go on there.
    public var from: String?
    /// For how long changes are gathered; `nil` for each commit by itself.
    public var delay: Duration?

    public init(database: String? = nil) { self.database = database }

    var wireOptions: SubscribeRequest.Options {
        var options = SubscribeRequest.Options()
        options.database = database
        options.relations = relations
        options.channels = channels
        options.patterns = patterns
        options.from = from
        options.delayMilliseconds = delay?.milliseconds
        return options
    }
}

/// What was sent to a channel of the server.
public struct ChannelMessage: Hashable, Sendable {
    /// Text; a blob where it is no UTF-8.
    public let channel: Value
    /// By what it was heard, where that is a pattern.
    public let pattern: Value?
    /// Text; a blob where it is no UTF-8.
    public let payload: Value
    /// The sender's process on the server, where it tells that.
    public let pid: Int64?

    init?(_ data: StructuredValue) {
        guard let channel = data["channel"]?.value else { return nil }
        self.channel = channel
        pattern = data["pattern"]?.value
        payload = data["payload"]?.value ?? .text("")
        pid = data["pid"]?.integer
    }
}

/// Commits that are durable: one, or some together. Or a message.
/// - Source: protocol.md, "Subscriptions"
public struct Change: Hashable, Sendable {
    /// What was told up to here, for `SubscriptionOptions.from`.
    public let position: String
    /// Tables that were changed, each once.
    public let relations: [String]
    /// Tables, columns, indexes, views or triggers were made, altered or dropped.
    public let changesSchema: Bool
    /// Why it is not known what has changed, such as "other_program": whatever was read before has to be read again. `nil`
    /// where `relations` are all.
    public let resyncReason: String?
    /// The message, of a subscription to channels; `nil` where some were missed.
    public let message: ChannelMessage?

    /// This and what has come after it, as one; for what are no messages.
    func followed(by later: Change) -> Change {
        Change(
            position: later.position,
            relations: relations + later.relations.filter { !relations.contains($0) },
            changesSchema: changesSchema || later.changesSchema,
            resyncReason: resyncReason ?? later.resyncReason, message: nil)
    }

    private init(
        position: String, relations: [String], changesSchema: Bool, resyncReason: String?, message: ChannelMessage?
    ) {
        self.position = position
        self.relations = relations
        self.changesSchema = changesSchema
        self.resyncReason = resyncReason
        self.message = message
    }

    init(_ data: StructuredValue) {
        let reply = SubscribeReply(data)
        position = reply.position
        relations = reply.relations ?? []
        changesSchema = reply.schema ?? false
        resyncReason = reply.resync == true ? reply.reason ?? "" : nil
        message = ChannelMessage(data)
    }
}

/// How a subscription begins.
struct SubscriptionStart {
    let position: String
    /// Such as "all_writers".
    let coverage: String
    /// That it could not go on where an earlier one was.
    let change: Change?

    init(_ data: StructuredValue) {
        let change = Change(data)
        position = change.position
        coverage = SubscribeReply(data).covers ?? ""
        self.change = change.resyncReason == nil ? nil : change
    }
}
