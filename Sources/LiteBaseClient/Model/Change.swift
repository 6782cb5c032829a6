// What changes in a database, as those who listen are told.

internal import WireProtocol

/// What one wants to hear of.
public struct SubscriptionOptions: Sendable {
    /// The database, by name; `nil` for the default one.
    public var database: String?
    /// Names of tables, whatever their case; empty for all.
    public var relations: [String] = []
    /// Where an earlier subscription has come to (`Change.position`), to go on there.
    public var from: String?
    /// For how long changes are gathered; `nil` for each commit by itself.
    public var delay: Duration?

    public init(database: String? = nil) { self.database = database }

    var wireOptions: SubscribeRequest.Options {
        var options = SubscribeRequest.Options()
        options.database = database
        options.relations = relations
        options.from = from
        options.delayMilliseconds = delay?.milliseconds
        return options
    }
}

/// Commits that are durable: one, or some together.
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

    /// This and what has come after it, as one.
    func followed(by later: Change) -> Change {
        Change(
            position: later.position,
            relations: relations + later.relations.filter { !relations.contains($0) },
            changesSchema: changesSchema || later.changesSchema,
            resyncReason: resyncReason ?? later.resyncReason)
    }

    private init(position: String, relations: [String], changesSchema: Bool, resyncReason: String?) {
        self.position = position
        self.relations = relations
        self.changesSchema = changesSchema
        self.resyncReason = resyncReason
    }

    init(_ data: StructuredValue) {
        let reply = SubscribeReply(data)
        position = reply.position
        relations = reply.relations ?? []
        changesSchema = reply.schema ?? false
        resyncReason = reply.resync == true ? reply.reason ?? "" : nil
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
