// One loop's part of a pool: its idle connections, and its requests that wait for one.

internal import LinuxSystem

/// A request for a connection.
///
/// - Thread: its lane's loop.
final class ConnectionRequest {
    let owner: LinkOwner
    fileprivate let since = MonotonicInstant.now
    fileprivate var number: UInt64 = 0
    fileprivate var timer: TimerID?
    fileprivate var isOpening = false
    fileprivate let done: (Result<ServerConnection, DriverError>) -> Void

    init(_ owner: LinkOwner, done: @escaping (Result<ServerConnection, DriverError>) -> Void) {
        self.owner = owner
        self.done = done
    }
}

/// The connections of one loop to one database.
///
/// - Thread: the loop of its context.
final class PoolLane: EventSource, ConnectionHolder {
    let context: DriverContext
    let database: RemoteDatabase
    private var pool: ConnectionPool { database.pool }
    private var index = 0
    /// The one that was used last is used next: the others may become old and be closed.
    private var idle: [ServerConnection] = []
    /// Requests that have not got their connection yet.
    private var requests: [UInt64: ConnectionRequest] = [:]
    /// Connections that are made clean for a request.
    private var promised: [ObjectIdentifier: ConnectionRequest] = [:]
    private var lastNumber: UInt64 = 0
    private var isSweepScheduled = false
    private var isRetryScheduled = false
    private var isClosed = false

    private static let sweepToken: UInt64 = 0
    /// An attempt to connect is due.
    private static let retryToken = UInt64.max

    init(_ database: RemoteDatabase, _ context: DriverContext) {
        self.database = database
        self.context = context
        super.init()
        index = pool.join(ConnectionPool.LaneReference(self))
    }

    // MARK: Taking

    /// A connection that is there and clean for that user; `nil` when one must be asked for.
    func take(for owner: LinkOwner) -> ServerConnection? {
        guard idle.last?.isClean(for: owner.uid) == true, pool.takeIdle(index) else { return nil }
        guard let connection = idle.popLast() else { return nil }
        if connection.isQuiet() { return lend(connection, owner) }
        drop(connection)
        return nil
    }

    /// Asks for a connection; `done` of the request is called once, perhaps before this returns, unless it is withdrawn.
    func ask(_ request: ConnectionRequest) {
        lastNumber += 1
        request.number = lastNumber
        requests[lastNumber] = request
        acquireInTime(request)
    }

    /// Acquires, and limits the wait; of a request that comes back without its connection anew, since its timer may have
    /// fired when there was nothing to be given up.
    private func acquireInTime(_ request: ConnectionRequest) {
        acquire(request)
        guard requests[request.number] != nil, request.timer == nil else { return }
        let limit = database.settings.waitMillisecondsMax
        request.timer = context.loop.schedule(
            self, token: request.number, at: context.loop.now.advanced(byMilliseconds: limit))
    }

    private func acquire(_ request: ConnectionRequest) {
        let waiter = ConnectionPool.Waiter(
            number: request.number, laneIndex: index, uid: request.owner.uid, since: request.since)
        switch pool.acquire(waiter, now: context.loop.now) {
        case .idle:
            if let connection = takeCleanest(for: request.owner.uid) {
                deliver(connection, to: request.number)
            } else {
                acquire(request)
            }
        case .open(let slot): open(slot, for: request.number)
        case .donation(let donor):
            let (number, index, pool) = (request.number, index, pool)
            donor.submit { $0.donate(to: pool.lane(index), number) }
        case .queuedBehind(let first, let slot): follow(.open(first, slot: slot))
        case .queued(let retry): if let retry { scheduleRetry(at: retry) }
        case .failed(let error): finish(request, .failure(error))
        }
    }

    private func takeCleanest(for uid: UInt32) -> ServerConnection? {
        let position = idle.lastIndex { $0.isClean(for: uid) } ?? idle.indices.last
        guard let position else { return nil }
        let connection = idle.remove(at: position)
        if connection.isQuiet() { return connection }
        drop(connection)
        return nil
    }

    /// Gives up a request; its `done` is not called any more.
    func withdraw(_ request: ConnectionRequest) {
        _ = pool.withdraw(request.number, index)
        forget(request)
    }

    private func forget(_ request: ConnectionRequest) {
        requests[request.number] = nil
        if let timer = request.timer { context.loop.cancel(timer) }
        request.timer = nil
    }

    private func finish(_ request: ConnectionRequest, _ result: Result<ServerConnection, DriverError>) {
        forget(request)
        request.done(result)
    }

    private func fail(_ number: UInt64, _ error: DriverError) {
        if let request = requests[number] { finish(request, .failure(error)) }
    }

    /// Gives a connection to a request, clean.
    private func deliver(_ connection: ServerConnection, to number: UInt64) {
        connection.holder = self
        guard let request = requests[number] else { return release(connection) }
        guard connection.isClean(for: request.owner.uid) else {
            promised[ObjectIdentifier(connection)] = request
            return connection.reset()
        }
        let connection = lend(connection, request.owner)
        finish(request, .success(connection))
    }

    private func lend(_ connection: ServerConnection, _ owner: LinkOwner) -> ServerConnection {
        pool.note(connection.slot, owner, since: context.loop.now)
        return connection
    }

    // MARK: Giving back

    func connectionDidSettle(_ connection: ServerConnection) {
        if let request = promised.removeValue(forKey: ObjectIdentifier(connection)) {
            return deliver(connection, to: request.number)
        }
        release(connection)
    }

    func connectionDidBreak(_ connection: ServerConnection) {
        if let position = idle.firstIndex(where: { $0 === connection }) {
            idle.remove(at: position)
            _ = pool.withdrawIdle(index)
        }
        follow(pool.discard(connection.slot, now: context.loop.now))
        // Whoever was to get it asks again.
        if let request = promised.removeValue(forKey: ObjectIdentifier(connection)), requests[request.number] != nil {
            acquireInTime(request)
        }
    }

    /// Takes back a connection that is idle, and makes it clean where its statements may have left something.
    func release(_ connection: ServerConnection) {
        connection.holder = self
        if isClosed || connection.isWorn || isTooOld(connection) { return drop(connection) }
        if connection.needsReset || connection.transaction != .none { return connection.reset() }
        switch pool.release(connection.slot, index) {
        case .keep:
            connection.idleSince = context.loop.now
            idle.append(connection)
            scheduleSweep()
        case .handOver(let waiter): handOver(connection, to: waiter)
        }
    }

    private func handOver(_ connection: ServerConnection, to waiter: ConnectionPool.Waiter) {
        if waiter.laneIndex == index { return deliver(connection, to: waiter.number) }
        send(connection, to: pool.lane(waiter.laneIndex), waiter.number)
    }

    private func send(_ connection: ServerConnection, to lane: ConnectionPool.LaneReference, _ number: UInt64) {
        connection.detach()
        connection.holder = nil
        let parcel = HandedOver(connection)
        lane.submit { $0.receive(parcel, for: number) }
    }

    private func donate(to lane: ConnectionPool.LaneReference, _ number: UInt64) {
        // It may have been lost since it was promised.
        guard let connection = idle.popLast() else { return lane.submit { $0.goWithout(number) } }
        send(connection, to: lane, number)
    }

    private func goWithout(_ number: UInt64) {
        if let request = requests[number] { acquireInTime(request) }
    }

    private func receive(_ parcel: HandedOver<ServerConnection>, for number: UInt64) {
        let connection = parcel.value
        guard attach(connection, number) else { return }
        if connection.isQuiet() { return deliver(connection, to: number) }
        drop(connection)
        goWithout(number)
    }

    private func attach(_ connection: ServerConnection, _ number: UInt64) -> Bool {
        do throws(Errno) {
            try connection.attach(context, cancellers: database.cancellers)
            return true
        } catch {
            drop(connection)
            fail(number, DriverError(.connectFailed, "The daemon has no room for a connection: \(error)."))
            return false
        }
    }

    /// Closes a connection and lets the next one have its place.
    private func drop(_ connection: ServerConnection) {
        connection.holder = nil
        connection.close()
        follow(pool.discard(connection.slot, now: context.loop.now))
    }

    private func follow(_ aftermath: ConnectionPool.Aftermath) {
        switch aftermath {
        case .nothing: break
        case .retry(let instant): scheduleRetry(at: instant)
        case .open(let waiter, let slot): pool.lane(waiter.laneIndex).submit { $0.open(slot, for: waiter.number) }
        case .fail(let waiters, let error):
            for waiter in waiters {
                pool.lane(waiter.laneIndex).submit { $0.fail(waiter.number, error) }
            }
        }
    }

    // MARK: Opening

    private func open(_ slot: Int, for number: UInt64) {
        if let request = requests[number] { startConnectTimer(request) }
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let driver = database.driver
        database.connectors.submit(for: LinkOwner.daemon.uid) {
            do throws(DriverError) {
                let parcel = try driver.connect()
                mailbox.submit { here.wrapped.didOpen(parcel, slot, for: number) }
            } catch {
                mailbox.submit { here.wrapped.openFailed(error, slot, for: number) }
            }
        }
    }

    private func startConnectTimer(_ request: ConnectionRequest) {
        if let timer = request.timer { context.loop.cancel(timer) }
        request.isOpening = true
        request.timer = context.loop.schedule(
            self, token: request.number, at: context.loop.now.advanced(byMilliseconds: connectMillisecondsMax))
    }

    /// Of all servers together.
    private var connectMillisecondsMax: Int64 {
        database.settings.connectMillisecondsMax * Int64(database.driver.serverCount)
    }

    private func didOpen(_ parcel: HandedOver<ServerConnection>, _ slot: Int, for number: UInt64) {
        pool.openSucceeded()
        database.noteOpened(nil)
        let connection = parcel.value
        connection.slot = slot
        // Others may wait for the same server.
        follow(pool.openForWaiter(now: .now))
        guard attach(connection, number) else { return }
        deliver(connection, to: number)
    }

    private func openFailed(_ error: DriverError, _ slot: Int, for number: UInt64) {
        database.noteOpened(error)
        let now = MonotonicInstant.now
        follow(pool.openFailed(slot, error, now: now))
        fail(number, pool.dated(error, now: now))
    }

    // MARK: Time

    override func timerFired(_ token: UInt64) {
        if token == Self.sweepToken { return sweep() }
        if token == Self.retryToken {
            isRetryScheduled = false
            return follow(pool.openForWaiter(now: .now))
        }
        guard let request = requests[token] else { return }
        request.timer = nil
        if request.isOpening {
            return finish(request, .failure(connectTimeout))
        }
        guard pool.withdraw(request.number, index) else { return }
        let limit = database.settings.waitMillisecondsMax
        finish(request, .failure(pool.exhausted(waitMilliseconds: limit, now: context.loop.now)))
    }

    private var connectTimeout: DriverError {
        let count = database.driver.serverCount
        return DriverError(
            .connectFailed,
            "The database server did not answer within \(connectMillisecondsMax) ms (connect_ms_max"
                + (count > 1 ? " for each of \(count))." : ")."),
            hint: "Check that the server runs and can be reached.", sqlState: "08001"
        ).with { $0.isRetryable = true }
    }

    private func scheduleRetry(at instant: MonotonicInstant) {
        guard !isRetryScheduled else { return }
        isRetryScheduled = true
        context.loop.schedule(self, token: Self.retryToken, at: instant)
    }

    private func isTooOld(_ connection: ServerConnection) -> Bool {
        let limit = database.settings.lifetimeMillisecondsMax
        return limit > 0 && context.loop.now.nanoseconds(since: connection.opened) > limit * 1_000_000
    }

    private func scheduleSweep() {
        guard !isSweepScheduled, let oldest = idle.first else { return }
        isSweepScheduled = true
        let due = oldest.idleSince.advanced(byMilliseconds: database.settings.idleMillisecondsMax)
        context.loop.schedule(self, token: Self.sweepToken, at: due)
    }

    private func sweep() {
        isSweepScheduled = false
        let limit = database.settings.idleMillisecondsMax * 1_000_000
        while let oldest = idle.first, context.loop.now.nanoseconds(since: oldest.idleSince) >= limit,
            pool.withdrawIdle(index)
        {
            idle.removeFirst()
            drop(oldest)
        }
        if !idle.isEmpty { scheduleSweep() }
    }

    /// Closes what is idle; what is in use follows when it is given back.
    func close() {
        isClosed = true
        while pool.withdrawIdle(index), !idle.isEmpty { drop(idle.removeLast()) }
    }

    /// The database is used on this loop again.
    func reopen() { isClosed = false }
}

extension ServerConnection {
    /// Whether nothing of another user's, or of a careless statement's, is left on it.
    fileprivate func isClean(for uid: UInt32) -> Bool { !needsReset && (lastUID == nil || lastUID == uid) }
}
