// `list_databases`: what the caller may open.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

extension ListDatabasesRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        connection.listDatabases(request)
    }
}

extension Connection {
    func listDatabases(_ request: ReceivedRequest) -> RequestOutcome {
        var list = ListDatabasesReply()
        for (index, entry) in context.databases.entries.enumerated() {
            let access = access(to: entry)
            if access == nil, !isMonitor { continue }
            list.databases.append(ListDatabasesReply.Database(entry, access, isDefault: index == 0))
        }
        return reply(list, to: request)
    }
}

extension ListDatabasesReply.Database {
    /// A database and what the caller may do there; a monitor, nothing.
    init(_ entry: CatalogEntry, _ access: DatabaseAccess?, isDefault: Bool) {
        self.init()
        let grant = Grant(entry: entry, access: access ?? entry.access)
        name = entry.configuration.name
        engine = entry.database.engine.name
        self.access = access?.rawValue ?? "none"
        self.isDefault = isDefault
        isDisabled = entry.problem == nil ? nil : true
        server = grant.database.serverState.map { ListDatabasesReply.Server($0, grant.database.poolLoad) }
    }
}

extension ListDatabasesReply.Server {
    init(_ state: ServerState, _ load: PoolLoad?) {
        self.init()
        let now = MonotonicInstant.now
        func age(_ instant: MonotonicInstant) -> Int64 { max(0, now.nanoseconds(since: instant) / 1_000_000) }
        if let known = state.isReachable {
            isReachable = known
            sinceMilliseconds = age(state.since)
            attemptMilliseconds = age(state.lastAttempt)
        }
        if let failure = state.lastFailure {
            lastError = failure.error.details.reason
            lastErrorMilliseconds = age(failure.at)
        }
        host = state.host
        pool = load.map(ListDatabasesReply.Pool.init)
    }
}

extension ListDatabasesReply.Pool {
    init(_ load: PoolLoad) {
        self.init()
        value = Int64(load.connectionCountMax)
        open = Int64(load.openCount)
        used = Int64(load.inUseCount)
        waiting = Int64(load.waitingCount)
    }
}
