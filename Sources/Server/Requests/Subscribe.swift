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
    /// Whoever may read a database may hear what changes in it.
    func startSubscription(_ request: ReceivedRequest) throws(RequestError) -> RequestOutcome {
        let content = try content(SubscribeRequest.self, of: request.head)
        let grant = try findDatabase(content.database)
        var route = route(by: grant)
        guard let source = grant.database.changes else { throw Self.tellsNothing(route.link.engine.name) }
        let wish = SubscriptionWish(content)
        let operation = makeOperation(request)
        route.link = SubscriptionLink(route.link, source, wish, context)
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

    private static func tellsNothing(_ engine: String) -> RequestError {
        RequestError(
            .badRequest, "Databases of the engine \(engine) do not tell what changes in them.",
            hint: "Ask for what interests you now and then."
        ).with { $0.sqlState = "0A000" }
    }
}
