// `subscribe`: what is changed in a database from now on.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension SubscribeRequest: ServedRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        try connection.startSubscription(request)
    }

    /// It never ends without an error.
    static func writeReply(of operation: Operation, on connection: Connection) {}
}

extension Connection {
    /// Whoever may read a database may hear what changes in it, and what is sent to the channels of its server.
    func startSubscription(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(SubscribeRequest.self, of: request.head)
        let grant = try findDatabase(content.database)
        var route = route(by: grant)
        route.link = try listeningLink(content, grant.database, route.link)
        let operation = makeOperation(request)
        assign(route, to: operation, timeout: nil)
        operation.mayWrite = false
        // It lasts for as long as its client likes.
        operation.timeLimit = 0
        operation.clock.timeoutMilliseconds = 0
        operation.prepareRows(
            writer(request.encoding), rowByteCountMax: context.limits.rowByteCountMax, account,
            accountByteCountMax: context.limits.bufferedByteCountPerUserMax)
        return try submitIfAffordable(operation)
    }

    private func listeningLink(
        _ content: SubscribeRequest, _ database: any Database, _ inner: any DatabaseLink
    ) throws(RequestError) -> any DatabaseLink {
        let engine = database.engine.name
        guard let wish = ChannelWish(content) else {
            guard let source = database.changes else {
                throw database.channels == nil ? Self.tellsNothing(engine) : Self.tellsOnlyChannels(engine)
            }
            return SubscriptionLink(inner, source, SubscriptionWish(content), context, account)
        }
        guard let source = database.channels else { throw Self.hasNoChannels(engine) }
        for name in wish.names {
            do throws(DriverError) { try source.check(name) } catch { throw RequestError(error) }
        }
        return ChannelLink(inner, source, wish, context, account)
    }

    private static func tellsNothing(_ engine: String) -> RequestError {
        refusal(
            "This database of the engine \(engine) does not tell what changes in it: what is read may come from another server than what is written goes to.",
            hint:
                "Ask for what interests you now and then, or configure one server for both; target_session_attrs=read-write takes one of several."
        )
    }

    private static func tellsOnlyChannels(_ engine: String) -> RequestError {
        refusal(
            "Databases of the engine \(engine) do not tell what changes in them, but have channels.",
            hint: "Name channels to which a trigger or the program that writes sends messages.")
    }

    private static func hasNoChannels(_ engine: String) -> RequestError {
        refusal(
            "Databases of the engine \(engine) have no channels.",
            hint: "Leave channels and patterns out; relations are told where the engine can tell them.")
    }

    private static func refusal(_ message: String, hint: String) -> RequestError {
        RequestError(.badRequest, message, hint: hint).with { $0.sqlState = "0A000" }
    }
}
