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
    private var isClearingScheduled = false
    private var isClosed = false

    private static let sweepToken: UInt64 = 0
    /// An attempt to connect is due.
    private static let retryToken = UInt64.max
    /// Idle connections are due to be cleared.
    private static let clearingToken = UInt64.max - 1

    init(_ database: RemoteDatabase, _ context: DriverContext) {
        self.database = database
        self.context = context
        super.init()
        index = pool.join(ConnectionPool.LaneReference(self))
    }

    // MARK: Taking

    /// A connection that is there and clean for that user; `nil` when one must be asked for.
    func take(for owner: LinkOwner) -> ServerConnection? {
        guard idle.last?.isClean(for: owner.uid) == true, pool.update({ $0.takeIdle(index, for: owner.uid) }) else {
            return nil
        }
        guard let connection = idle.popLast() else {
            pool.update { $0.giveUp(owner.uid) }
            return nil
        }
        connection.user = owner.uid
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
        let uid = request.owner.uid
        let waiter = PoolWaiter(number: request.number, laneIndex: index, uid: uid, since: request.since)
        let now = context.loop.now
        switch pool.update({ $0.acquire(waiter, now: now) }) {
        case .idle:
            if let connection = takeCleanest(for: uid) {
                deliver(connection, to: request.number)
            } else {
                acquire(request)
            }
        case .open(let slot): open(slot, for: request.number, of: uid)
        case .donation(let donor):
            let (number, index, pool) = (request.number, index, pool)
            pool.lane(donor).submit { $0.donate(to: pool.lane(index), number, of: uid) }
        case .queuedBehind(let first, let slot): follow(.open(first, slot: slot))
        case .queued(let retry):
            if let retry { scheduleRetry(at: retry) }
            pool.tellHolders(now: now)
        case .failed(let error, let until): finish(request, .failure(error.retryable(at: until, now)))
        }
    }

    private func takeCleanest(for uid: UInt32) -> ServerConnection? {
        let position = idle.lastIndex { $0.isClean(for: uid) } ?? idle.indices.last
        guard let position else {
            pool.update { $0.giveUp(uid) }
            return nil
        }
        let connection = idle.remove(at: position)
        connection.user = uid
        if connection.isQuiet() { return connection }
        drop(connection)
        return nil
    }

    /// Gives up a request; its `done` is not called any more.
    func withdraw(_ request: ConnectionRequest) {
        _ = pool.update { $0.withdraw(request.number, index) }
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
            _ = pool.update { $0.withdrawIdle(index) }
        }
        discard(connection)
        // Whoever was to get it asks again.
        if let request = promised.removeValue(forKey: ObjectIdentifier(connection)), requests[request.number] != nil {
            acquireInTime(request)
        }
    }

    /// Takes back a connection that is idle, and makes it clean where its statements may have left something.
    func release(_ connection: ServerConnection) {
        connection.holder = self
        if isClosed || connection.isWorn || isTooOld(connection) { return drop(connection) }
        let isDue = connection.clearingDue.map { $0 <= context.loop.now } ?? false
        if connection.needsReset || connection.transaction != .none || isDue { return connection.reset() }
        let (slot, uid) = (connection.slot, connection.user.take())
        switch pool.update({ $0.release(slot, index, of: uid) }) {
        case .keep:
            connection.idleSince = context.loop.now
            idle.append(connection)
            scheduleSweep()
            scheduleClearing()
        case .handOver(let waiter):
            connection.user = waiter.uid
            handOver(connection, to: waiter)
            // With that all places may be taken, and users who have none get theirs beyond.
            serveAlong()
        case .close: drop(connection)
        }
    }

    private func serveAlong() {
        while true {
            let next = pool.update { $0.serveAlong(now: .now) }
            if case .nothing = next { return }
            follow(next)
        }
    }

    private func handOver(_ connection: ServerConnection, to waiter: PoolWaiter) {
        if waiter.laneIndex == index { return deliver(connection, to: waiter.number) }
        send(connection, to: pool.lane(waiter.laneIndex), waiter.number)
    }

    private func send(_ connection: ServerConnection, to lane: ConnectionPool.LaneReference, _ number: UInt64) {
        connection.detach()
        connection.holder = nil
        let parcel = HandedOver(connection)
        lane.submit { $0.receive(parcel, for: number) }
    }

    private func donate(to lane: ConnectionPool.LaneReference, _ number: UInt64, of uid: UInt32) {
        // It may have been lost since it was promised.
        guard let connection = idle.popLast() else {
            pool.update { $0.giveUp(uid) }
            return lane.submit { $0.goWithout(number) }
        }
        connection.user = uid
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
        discard(connection)
    }

    private func discard(_ connection: ServerConnection) {
        let (slot, uid, now) = (connection.slot, connection.user.take(), context.loop.now)
        follow(pool.update { $0.discard(slot, of: uid, now: now) })
    }

    private func follow(_ aftermath: PoolBook.Aftermath) {
        switch aftermath {
        case .nothing: break
        case .retry(let instant): scheduleRetry(at: instant)
        case .open(let waiter, let slot):
            pool.lane(waiter.laneIndex).submit { $0.open(slot, for: waiter.number, of: waiter.uid) }
        case .donate(let waiter, let donor):
            let pool = pool
            pool.lane(donor).submit {
                $0.donate(to: pool.lane(waiter.laneIndex), waiter.number, of: waiter.uid)
            }
        case .fail(let waiters, let error):
            for waiter in waiters {
                pool.lane(waiter.laneIndex).submit { $0.fail(waiter.number, error) }
            }
        }
    }

    // MARK: Opening

    private func open(_ slot: Int, for number: UInt64, of uid: UInt32) {
        if let request = requests[number] { startConnectTimer(request) }
        let mailbox = context.loop.mailbox
        let here = LoopBound(self, mailbox)
        let driver = database.driver
        database.connectors.submit(for: LinkOwner.daemon.uid) {
            do throws(DriverError) {
                let parcel = try driver.connect()
                mailbox.submit { here.wrapped.didOpen(parcel, slot, for: number, of: uid) }
            } catch {
                mailbox.submit { here.wrapped.openFailed(error, slot, for: number, of: uid) }
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

    private func didOpen(
        _ parcel: HandedOver<ServerConnection>, _ slot: Int, for number: UInt64, of uid: UInt32
    ) {
        pool.update { $0.openSucceeded() }
        database.noteOpened(nil)
        let connection = parcel.value
        connection.slot = slot
        connection.user = uid
        // Others may wait for the same server.
        follow(pool.update { $0.serveNext(now: .now) })
        guard attach(connection, number) else { return }
        deliver(connection, to: number)
    }

    private func openFailed(_ error: DriverError, _ slot: Int, for number: UInt64, of uid: UInt32) {
        database.noteOpened(error)
        let now = MonotonicInstant.now
        follow(pool.update { $0.openFailed(slot, of: uid, error, now: now) })
        fail(number, pool.dated(error, now: now))
    }

    // MARK: Time

    override func timerFired(_ token: UInt64) {
        if token == Self.sweepToken { return sweep() }
        if token == Self.clearingToken { return clearIdle() }
        if token == Self.retryToken {
            isRetryScheduled = false
            return follow(pool.update { $0.serveNext(now: .now) })
        }
        guard let request = requests[token] else { return }
        request.timer = nil
        if request.isOpening {
            database.noteOpened(connectTimeout)
            return finish(request, .failure(connectTimeout))
        }
        guard pool.update({ $0.withdraw(request.number, index) }) else { return }
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
            pool.update({ $0.withdrawIdle(index) })
        {
            idle.removeFirst()
            drop(oldest)
        }
        if !idle.isEmpty { scheduleSweep() }
    }

    private func scheduleClearing() {
        guard !isClearingScheduled, let due = idle.compactMap(\.clearingDue).min() else { return }
        isClearingScheduled = true
        context.loop.schedule(self, token: Self.clearingToken, at: due)
    }

    /// Makes idle connections clean, so that nothing which is left on one lasts.
    private func clearIdle() {
        isClearingScheduled = false
        let now = context.loop.now
        let due = idle.filter { $0.clearingDue.map { $0 <= now } ?? false }
        for connection in due {
            guard let position = idle.firstIndex(where: { $0 === connection }),
                pool.update({ $0.withdrawIdle(index) })
            else { break }
            idle.remove(at: position)
            connection.isQuiet() ? connection.reset() : drop(connection)
        }
        scheduleClearing()
    }

    /// Closes what is idle; what is in use follows when it is given back.
    func close() {
        isClosed = true
        while pool.update({ $0.withdrawIdle(index) }), !idle.isEmpty { drop(idle.removeLast()) }
    }

    /// The database is used on this loop again.
    func reopen() { isClosed = false }
}

extension ServerConnection {
    /// Whether nothing of another user's, or of a careless statement's, is left on it.
    fileprivate func isClean(for uid: UInt32) -> Bool { !needsReset && (lastUID == nil || lastUID == uid) }
}
