// `stats`: the counters of all loops, the use of each limit, and what each user holds.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension StatsRequest: DirectlyAnsweredRequest {
    static func answer(_ request: ReceivedRequest, on connection: Connection) throws(RequestError) -> RequestOutcome {
        connection.gatherStatistics(request)
    }
}

extension Connection {
    /// Asks every loop for its counters and answers when all have replied.
    func gatherStatistics(_ request: ReceivedRequest) -> RequestOutcome {
        let operation = makeOperation(request)
        gather(for: operation, LoopStatistics(typeCount: context.requests.rows.count)) { context, total in
            total.add(context.statistics)
            for connection in context.connections.values { connection.tellUse(&total) }
        } _: { [self] total in
            if !isClosed { withOutputStorage { reply(answer(total), to: operation) } }
            operationDidEnd(operation)
        }
        return .pending
    }

    /// Adds this connection's use of limits that apply to each connection.
    private func tellUse(_ total: inout LoopStatistics) {
        for (name, count) in [
            (.requestsInFlight, inFlight.count), (.sessionsPerConnection, sessions.open.count),
            (.pagedQueriesPerConnection, inFlight.pagedQueryCount),
        ] as [(LimitName, Int)] {
            total.uses[name.rawValue].merge(used: Int64(count), peak: 0)
        }
        for session in sessions.open { total.use(database: session.databaseNumber, sessions: 1) }
        for operation in inFlight.operations { total.use(database: operation.databaseNumber, requests: 1) }
    }

    private func answer(_ total: LoopStatistics) -> StatsReply {
        var answer = StatsReply(total, context.requests)
        answer.uptimeMilliseconds = MonotonicInstant.now.nanoseconds(since: context.shared.started) / 1_000_000
        answer.disabledDatabases = disabledDatabases
        // What others than the caller have is for administrators and monitors.
        let users = seesEverybody ? context.shared.users.inUse : [account]
        let hits = context.shared.limitHits.all
        for name in LimitName.allCases {
            var use = self.use(of: name, total.uses[name.rawValue], users)
            use.hitCount += hits[name.rawValue]
            answer.limits.append("\(name.name)", StatsReply.Limit(use, value: name.value(context.limits)))
        }
        if seesEverybody { answer.pools = pools }
        answer.databases = databaseFigures(total)
        // The request itself is not counted.
        answer.users = users.map { StatsReply.User($0, besides: $0 === account ? 1 : 0) }
        return answer
    }

    /// For users who can repair it.
    private var disabledDatabases: NamedValues<String>? {
        let disabled = seesEverybody ? context.databases.disabled : []
        if disabled.isEmpty { return nil }
        var reasons = NamedValues<String>()
        for entry in disabled { reasons.append(entry.configuration.name, entry.problem ?? "") }
        return reasons
    }

    /// Of the databases that the caller may open; those that clients name by URLs, together, for who sees everybody's.
    private func databaseFigures(_ total: LoopStatistics) -> [StatsReply.Database] {
        let known = context.databases.entries.filter { seesEverybody || access(to: $0) != nil }
        var figures = known.map { entry in
            var database = StatsReply.Database(total.databases[entry.number], entry.configuration.name)
            // Of a server those that are in use, of a file those of long reads.
            let connections = entry.databases.map { $0.poolLoad?.inUseCount ?? $0.longReadLoad.count }
            database.connectionsUsed = Int64(connections.reduce(0, +))
            return database
        }
        if seesEverybody { figures.append(StatsReply.Database(total.databases[DatabaseFigures.adHoc], nil)) }
        return figures
    }

    private var pools: [StatsReply.Pool] {
        context.databases.entries.flatMap { entry in
            entry.databases.compactMap { database in
                database.poolLoad.map {
                    StatsReply.Pool($0, entry.configuration.name, database.isReadOnly ? .readOnly : .readWrite)
                }
            }
        }
    }

    private func use(of name: LimitName, _ ofConnections: LimitUse, _ users: [UserAccount]) -> LimitUse {
        var use = ofConnections
        let shared = context.shared
        switch name {
        case .connections: use.merge(used: Int64(shared.connections.count), peak: Int64(shared.connections.peak))
        case .catalogBytes:
            use.merge(used: Int64(shared.catalogs.use.byteCount), peak: Int64(shared.catalogs.use.peak))
        case .keptConnections: use.merge(used: Int64(shared.handover?.table.takenCount ?? 0), peak: 0)
        case .readersPerDatabase:
            for entry in context.databases.entries {
                let load = entry.database.longReadLoad
                use.merge(used: Int64(load.count), peak: Int64(load.peak))
                use.hitCount += load.delayedCount
            }
        case .workerThreads:
            for pool in [shared.longReadWorkers, shared.promptWorkers, shared.completionWorkers] {
                use.merge(used: Int64(pool.load.busyCount), peak: Int64(pool.history.peak))
                use.hitCount += pool.history.delayedCount
            }
        case .poolConnections, .poolWait:
            for database in context.databases.entries.flatMap(\.databases) {
                if let load = database.poolLoad { use.merge(load, name) }
            }
        case .sqliteMemoryBytes:
            use.merge(MemoryAccount.memoryInAll)
            use.hitCount += MemoryAccount.memoryInAll.refusalCount
        case .sqliteMemoryBytesPerUser:
            for user in users { use.merge(user.sqlite.memory) }
        case .temporaryBytesPerUser:
            for user in users { use.merge(user.sqlite.files) }
        default:
            for user in users {
                guard let own = user.use(of: name) else { break }
                use.merge(used: own.used, peak: own.peak)
            }
        }
        return use
    }
}

extension StatsReply {
    /// The counters of all loops.
    fileprivate init(_ total: LoopStatistics, _ table: RequestTable) {
        self.init()
        connections = OpenCount(open: total.connectionsOpen, opened: total.connectionsOpened)
        lanes = OpenCount(open: total.lanesOpen, opened: total.lanesOpened)
        sessions = OpenCount(open: total.sessionsOpen, opened: total.sessionsOpened)
        // The request itself is not counted.
        requestsInFlight = Int64(max(0, total.requestsInFlight - 1))
        for (row, count) in zip(table.rows, total.requests) where count > 0 {
            requests.append("\(row.type.name)", count)
        }
        for code in ErrorCode.allCases where total.errors[Int(code.rawValue)] > 0 {
            errors.append("\(code.name)", total.errors[Int(code.rawValue)])
        }
        bytesReceived = total.bytesReceived
        bytesSent = total.bytesSent
        rowsSent = total.rowsSent
        for (row, histogram) in zip(table.rows, total.latency) where histogram.count > 0 {
            latencies.append("\(row.type.name)", Latency(histogram))
        }
    }
}

extension StatsReply.Latency {
    fileprivate init(_ histogram: LatencyHistogram) {
        self.init()
        count = histogram.count
        p50 = histogram.percentile(0.5)
        p90 = histogram.percentile(0.9)
        p99 = histogram.percentile(0.99)
        p999 = histogram.percentile(0.999)
    }
}

extension StatsReply.Limit {
    fileprivate init(_ use: LimitUse, value: Int64) {
        self.init()
        self.value = value
        used = use.used
        peak = use.peak
        hits = use.hitCount
    }
}

extension StatsReply.Database {
    fileprivate init(_ figures: DatabaseFigures, _ name: String?) {
        self.init()
        database = name
        requests = figures.requests
        errors = figures.errors
        rowsSent = figures.rows
        bytesSent = figures.bytes
        elapsedMicroseconds = figures.microseconds
        sessions = Int64(figures.sessionsOpen)
        requestsInFlight = Int64(figures.requestsInFlight)
    }
}

extension StatsReply.Pool {
    fileprivate init(_ load: PoolLoad, _ database: String, _ access: DatabaseAccess) {
        self.init()
        self.database = database
        self.access = access.rawValue
        value = Int64(load.connectionCountMax)
        open = Int64(load.openCount)
        used = Int64(load.inUseCount)
        peak = Int64(load.inUsePeak)
        waiting = Int64(load.waitingCount)
        waitingPeak = Int64(load.waitingPeak)
        waitMillisecondsPeak = load.waitMillisecondsPeak
        hits = Int64(load.delayedCount)
        refusals = Int64(load.timeoutCount)
    }
}

extension StatsReply.User {
    fileprivate init(_ account: UserAccount, besides askingCount: Int) {
        self.init()
        uid = account.uid.map(UInt64.init)
        user = account.uid.flatMap(Process.userName)
        connections = Used(account.connections.count, peak: account.connections.peak)
        sessions = Used(account.sessions.count, peak: account.sessions.peak)
        requestsInFlight = Used(account.requestsInFlight.count - askingCount, peak: account.requestsInFlight.peak)
        bufferedBytes = Used(account.bufferedBytes.count, peak: account.bufferedBytes.peak)
        sqliteMemoryBytes = Used(account.sqlite.memory.byteCount, peak: account.sqlite.memory.peak)
        temporaryBytes = Used(account.sqlite.files.byteCount, peak: account.sqlite.files.peak)
        let ofSQLite = account.sqlite.memory.refusalCount + account.sqlite.files.refusalCount
        refusals = account.refusalCount.load(ordering: .relaxed) + ofSQLite
    }
}

extension LimitUse {
    /// Adds a pool of connections.
    fileprivate mutating func merge(_ load: PoolLoad, _ name: LimitName) {
        if name == .poolConnections {
            merge(used: Int64(load.inUseCount), peak: Int64(load.inUsePeak))
            hitCount += load.delayedCount
        } else {
            peak = max(peak ?? 0, load.waitMillisecondsPeak)
            hitCount += load.timeoutCount
        }
    }

    fileprivate mutating func merge(_ usage: MemoryAccount.Usage) {
        merge(used: Int64(usage.byteCount), peak: Int64(usage.peak))
    }
}

extension UserAccount {
    /// The use of a limit that applies to each user.
    fileprivate func use(of name: LimitName) -> (used: Int64, peak: Int64)? {
        switch name {
        case .connectionsPerUser: (Int64(connections.count), Int64(connections.peak))
        case .bufferedBytesPerUser: (Int64(bufferedBytes.count), Int64(bufferedBytes.peak))
        case .requestsInFlightPerUser: (Int64(requestsInFlight.count), Int64(requestsInFlight.peak))
        case .lanesPerUser: (Int64(lanes.count), Int64(lanes.peak))
        case .sessionsPerUser: (Int64(sessions.count), Int64(sessions.peak))
        default: nil
        }
    }
}
