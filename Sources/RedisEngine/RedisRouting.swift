// Where a command, or a batch, goes in a cluster: by the slot of its keys.

internal import DatabaseContract
internal import RemoteDatabases

/// The rules by which commands go to nodes.
///
/// - Thread: any. What it takes grows with the length of the command.
struct RedisRouting: Sendable {
    let commands: RedisCommandTable

    /// What a run is about.
    struct Route: Equatable, Sendable {
        /// That of all its keys; `nil` where there are none.
        var slot: UInt16?
        /// What a node answers may be anything, word for word that of a client: a script, a module's command, or one that the server has
        /// not told. It says nothing of what the node has done.
        var answersFreely = false
    }

    /// - Throws: what a cluster cannot do, before anything is sent.
    func route(_ run: StatementRun) throws(DriverError) -> Route {
        switch run.kind {
        case .batch(let isAtomic): return try routeOfBatch(run, isAtomic ? .atomicBatch : .batch)
        case .statement:
            // The daemon's own, which says where it goes.
            if (run.sink as? RedisWalkSink)?.node != nil { return Route() }
            let command = try RedisCommand(run.sql, run.parameters)
            try RedisClusterRules.check(command, .alone)
            return Route(
                slot: try slot(of: command, run.sql, run.parameters),
                answersFreely: commands.properties(of: command).answersFreely)
        // Describing asks no node for a key; what else there is, Redis refuses.
        default: return Route()
        }
    }

    private func routeOfBatch(_ run: StatementRun, _ place: RedisClusterRules.Place) throws(DriverError) -> Route {
        run.rewindBatch()
        defer { run.rewindBatch() }
        var route = Route()
        while let position = try run.nextBatchStatement() {
            do throws(DriverError) {
                let command = try RedisCommand(run.sql, run.parameters)
                try RedisClusterRules.check(command, place)
                // Within MULTI a script runs when EXEC does, and what it answers is within the reply to that.
                if place == .batch, commands.properties(of: command).answersFreely { route.answersFreely = true }
                guard let slot = try slot(of: command, run.sql, run.parameters) else { continue }
                if let first = route.slot, first != slot { throw .severalSlots(first, slot, in: "batch") }
                route.slot = slot
            } catch {
                throw error.at(position)
            }
        }
        return route
    }

    /// The slot of all keys of a command; `nil` if it has none.
    func slot(
        of command: RedisCommand, _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter]
    ) throws(DriverError) -> UInt16? {
        guard let destination = commands.destination(of: command) else { return nil }
        let ranges = try Self.keys(destination.keys, command, sql, parameters)
        guard let last = ranges.map(\.last).max() else {
            // One that could have keys is a script without any, or what the server calls wrong.
            if !destination.hasKeys { try RedisClusterRules.checkKeyless(command, commands.words(of: command)) }
            return nil
        }
        var slot: UInt16?
        var arguments = RedisArguments(sql, parameters)
        var index = 0
        while index <= last, let argument = try arguments.next() {
            // MIGRATE has an empty text where its keys are behind KEYS.
            let isKey = ranges.contains { $0.contains(index) } && !(argument.isEmpty && command.name == "MIGRATE")
            if isKey {
                let own = RedisSlot.of(argument)
                if let slot, slot != own { throw .severalSlots(slot, own, in: "command") }
                slot = own
            }
            index += 1
        }
        return slot
    }

    private static func keys(
        _ specs: [RedisKeySpec], _ command: RedisCommand, _ sql: UnsafeRawBufferPointer,
        _ parameters: [DriverParameter]
    ) throws(DriverError) -> [RedisKeySpec.Range] {
        var ranges: [RedisKeySpec.Range] = []
        for spec in specs {
            let range = try spec.keys(count: command.argumentCount) { isWanted throws(DriverError) -> Int? in
                var arguments = RedisArguments(sql, parameters)
                return try arguments.firstIndex(where: isWanted)
            }
            if let range { ranges.append(range) }
        }
        return ranges
    }
}

extension DriverError {
    /// What a cluster cannot do at once, since no node has all the keys.
    static func severalSlots(_ first: UInt16, _ second: UInt16, in what: String) -> DriverError {
        DriverError(
            .badRequest,
            "The keys of the \(what) are of several slots of the Redis Cluster, \(first) and \(second); nothing was sent.",
            hint:
                "Give keys that belong together the same {tag}: only what stands in the first braces decides on the slot. "
                + "Or send a command for each slot.", sqlState: "0A000")
    }

    /// A walk through the keys has come to the end of the nodes; SQL's word for "no data".
    static let noSuchNodeState = "02000"
    static let noSuchNode = DriverError(
        .badRequest, "The Redis Cluster has no more primaries.", sqlState: noSuchNodeState)
}
