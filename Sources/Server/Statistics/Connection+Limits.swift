// `stats`: how near each limit is, and what each user has in use.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization
internal import WireProtocol

extension Connection {
    /// Adds what this connection has of what is limited for each connection.
    func tellUse(_ total: inout LoopStatistics) {
        for (name, count) in [
            (.requestsInFlight, inFlight.count), (.sessionsPerConnection, sessions.count),
            (.pagedQueriesPerConnection, pagedQueryCount),
        ] as [(LimitName, Int)] {
            total.uses[name.rawValue].merge(used: Int64(count), peak: 0)
        }
    }

    /// Writes `limits` and `users`. What others than the caller have is for administrators.
    func writeLimits(_ ofConnections: [LimitUse], _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        let users = isAdministrator ? context.shared.users.connected : [account]
        let hits = context.shared.limitHits.all
        writer.key("limits", into: &output)
        writer.beginMap(into: &output)
        for name in LimitName.allCases {
            var use = self.use(of: name, ofConnections[name.rawValue], users)
            use.hitCount += hits[name.rawValue]
            writer.key(name.name, into: &output)
            use.write(value: name.value(context.limits), &writer, &output)
        }
        writer.endMap(into: &output)
        if isAdministrator { writePools(&writer, &output) }
        writer.key("users", into: &output)
        writer.beginArray(into: &output)
        // The request that asks is not counted.
        for user in users { user.write(besides: user === account ? 1 : 0, &writer, &output) }
        writer.endArray(into: &output)
    }

    /// Writes `pools`: the connections to each database on a server.
    private func writePools(_ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.key("pools", into: &output)
        writer.beginArray(into: &output)
        for entry in context.catalog.entries {
            for database in entry.databases {
                guard let load = database.poolLoad else { continue }
                let access: DatabaseAccess = database.isReadOnly ? .readOnly : .readWrite
                load.write(entry.configuration.name, access, &writer, &output)
            }
        }
        writer.endArray(into: &output)
    }

    private func use(of name: LimitName, _ ofConnections: LimitUse, _ users: [UserAccount]) -> LimitUse {
        var use = ofConnections
        let shared = context.shared
        switch name {
        case .connections: use.merge(used: Int64(shared.connections.count), peak: Int64(shared.connections.peak))
        case .keptConnections: use.merge(used: Int64(shared.handover?.table.takenCount ?? 0), peak: 0)
        case .readersPerDatabase:
            for entry in context.catalog.entries {
                let load = entry.database.longReadLoad
                use.merge(used: Int64(load.count), peak: Int64(load.peak))
                use.hitCount += load.delayedCount
            }
        case .workerThreads:
            for pool in [shared.workers, shared.writers] {
                use.merge(used: Int64(pool.load.busyCount), peak: Int64(pool.history.peak))
                use.hitCount += pool.history.delayedCount
            }
        case .poolConnections, .poolWait:
            for database in context.catalog.entries.flatMap(\.databases) {
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

extension PoolLoad {
    fileprivate func write(
        _ database: String, _ access: DatabaseAccess, _ writer: inout MessageWriter, _ output: inout ByteBuffer
    ) {
        writer.beginMap(into: &output)
        writer.key("database", into: &output)
        writer.text(database, into: &output)
        writer.key("access", into: &output)
        writer.text(access.rawValue, into: &output)
        for (key, number) in [
            ("value", connectionCountMax), ("open", openCount), ("used", inUseCount), ("peak", inUsePeak),
            ("waiting", waitingCount), ("waiting_peak", waitingPeak), ("wait_ms_peak", Int(waitMillisecondsPeak)),
            ("hits", Int(delayedCount)), ("refusals", Int(timeoutCount)),
        ] as [(StaticString, Int)] {
            writer.key(key, into: &output)
            writer.integer(Int64(number), into: &output)
        }
        writer.endMap(into: &output)
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

    fileprivate func write(value: Int64, _ writer: inout MessageWriter, _ output: inout ByteBuffer) {
        writer.beginMap(into: &output)
        for (key, number) in [("value", value), ("used", used), ("peak", peak)] as [(StaticString, Int64?)] {
            guard let number else { continue }
            writer.key(key, into: &output)
            writer.integer(number, into: &output)
        }
        writer.key("hits", into: &output)
        writer.unsigned(hitCount, into: &output)
        writer.endMap(into: &output)
    }
}

extension UserAccount {
    /// Of what is limited for each user.
    fileprivate func use(of name: LimitName) -> (used: Int64, peak: Int64)? {
        switch name {
        case .connectionsPerUser: (Int64(connections.count), Int64(connections.peak))
        case .bufferedBytesPerUser: (Int64(bufferedBytes.count), Int64(bufferedBytes.peak))
        case .requestsInFlightPerUser: (Int64(requestsInFlight.count), Int64(requestsInFlight.peak))
        case .sessionsPerUser: (Int64(sessions.count), Int64(sessions.peak))
        default: nil
        }
    }

    fileprivate func write(
        besides askingCount: Int, _ writer: inout MessageWriter, _ output: inout ByteBuffer
    ) {
        writer.beginMap(into: &output)
        writer.key("uid", into: &output)
        if let uid { writer.unsigned(UInt64(uid), into: &output) } else { writer.null(into: &output) }
        writer.key("user", into: &output)
        if let name = uid.flatMap(Process.userName) {
            writer.text(name, into: &output)
        } else {
            writer.null(into: &output)
        }
        for (key, number) in [
            ("connections", connections.count), ("connections_peak", connections.peak),
            ("sessions", sessions.count), ("sessions_peak", sessions.peak),
            ("requests_in_flight", requestsInFlight.count - askingCount),
            ("requests_in_flight_peak", requestsInFlight.peak),
            ("buffered_bytes", bufferedBytes.count), ("buffered_bytes_peak", bufferedBytes.peak),
            ("sqlite_memory_bytes", sqlite.memory.byteCount), ("sqlite_memory_bytes_peak", sqlite.memory.peak),
            ("temporary_bytes", sqlite.files.byteCount), ("temporary_bytes_peak", sqlite.files.peak),
        ] as [(StaticString, Int)] {
            writer.key(key, into: &output)
            writer.integer(Int64(max(0, number)), into: &output)
        }
        writer.key("refusals", into: &output)
        let ofSQLite = sqlite.memory.refusalCount + sqlite.files.refusalCount
        writer.unsigned(refusalCount.load(ordering: .relaxed) + ofSQLite, into: &output)
        writer.endMap(into: &output)
    }
}
