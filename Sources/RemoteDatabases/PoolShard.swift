// One loop's part of a pool: its idle connections, and its requests that wait for one. It has the timers and sends connections to
// other loops; ShardState.swift decides about its own, and PoolBook.swift about those of all loops.

internal import DatabaseContract
internal import LinuxSystem

/// A request for a connection.
///
/// - Thread: its shard's loop.
final class ConnectionRequest {
    typealias Answer = Result<ServerConnection, DriverError>

    let owner: LinkOwner
    fileprivate let since = MonotonicInstant.now
    fileprivate var number: UInt64 = 0
    fileprivate var timer: TimerID?
    fileprivate let done: (Answer) -> Void

    init(_ owner: LinkOwner, done: @escaping (Answer) -> Void) {
        self.owner = owner
        self.done = done
    }
}

/// The connections of one loop to one database.
///
/// - Thread: the loop of its context.
final class PoolShard: EventSource, ConnectionHolder {
    private typealias State = ShardState<ServerConnection, ConnectionRequest>

    let context: DriverContext
    let database: RemoteDatabase
    private var pool: ConnectionPool { database.pool }
    private var index = 0
    private var state: State
    private var alarms: [State.Alarm: TimerID] = [:]

    /// Tokens of alarms begin here; the others are numbers of requests.
    private static let firstAlarmToken = UInt64.max - 16

    init(_ database: RemoteDatabase, _ context: DriverContext) {
        self.database = database
        self.context = context
        let settings = database.settings
        state = State(
            State.Limits(
                waitMilliseconds: settings.waitMillisecondsMax,
                connectMilliseconds: database.connectMillisecondsMax,
                idleMilliseconds: settings.idleMillisecondsMax,
                lifetimeMilliseconds: settings.lifetimeMillisecondsMax))
        super.init()
        index = pool.join(ConnectionPool.ShardReference(self))
    }

    // MARK: Taking

    /// A connection that is idle and clean for that user; `nil` if one must be requested.
    func take(for owner: LinkOwner) -> ServerConnection? {
        guard state.isNextClean(for: owner.uid), pool.update({ $0.takeIdle(index, for: owner.uid) }) else {
            return nil
        }
        return checked(state.takeNext(), of: owner.uid).map { lend($0, owner) }
    }

    /// An idle connection for which the user has a place: it may have been lost, or its server may be about to hang up.
    private func checked(_ connection: ServerConnection?, of uid: UInt32) -> ServerConnection? {
        guard let connection else {
            pool.update { $0.giveUp(uid) }
            return nil
        }
        connection.user = uid
        if connection.isUsable { return connection }
        drop(connection)
        return nil
    }

    /// Asks for a connection.
    /// - Returns: the answer, where it is known at once; otherwise `done` of the request is called once, and not before this
    ///   returns, unless the request is withdrawn.
    func ask(_ request: ConnectionRequest) -> ConnectionRequest.Answer? {
        request.number = state.add(request)
        return acquireInTime(request)
    }

    private func acquireInTime(_ request: ConnectionRequest) -> ConnectionRequest.Answer? {
        state.willAsk(request.number)
        if let answer = acquire(request) { return answer }
        if let end = state.beginWait(request.number, now: context.loop.now) { setTimer(request, at: end) }
        return nil
    }

    /// A request that lost the connection that it was to get asks again.
    private func askAgain(_ number: UInt64) {
        if let request = state.request(number), let answer = acquireInTime(request) { request.done(answer) }
    }

    private func setTimer(_ request: ConnectionRequest, at instant: MonotonicInstant) {
        if let timer = request.timer { context.loop.cancel(timer) }
        request.timer = context.loop.schedule(self, token: request.number, at: instant)
    }

    private func acquire(_ request: ConnectionRequest) -> ConnectionRequest.Answer? {
        let uid = request.owner.uid
        let waiter = PoolWaiter(number: request.number, shardIndex: index, uid: uid, since: request.since)
        let now = context.loop.now
        switch pool.update({ $0.acquire(waiter, now: now) }) {
        case .idle:
            guard let connection = checked(state.takeNext(for: uid), of: uid) else { return acquire(request) }
            return give(connection, to: request.number, of: uid)
        case .open(let slot): open(slot, for: request.number, of: uid)
        case .donation(let donor):
            let (number, index, pool) = (request.number, index, pool)
            pool.shard(donor).submit { $0.donate(to: pool.shard(index), number, of: uid) }
        case .queuedBehind(let first, let slot): follow(.open(first, slot: slot))
        case .queued(let retry):
            if let retry { setRetry(at: retry) }
            pool.tellHolders(now: now)
        case .failed(let error, let until):
            forget(request)
            return .failure(error.retryable(at: until, now))
        }
        return nil
    }

    /// Gives up a request; its `done` is not called any more.
    func withdraw(_ request: ConnectionRequest) {
        _ = pool.update { $0.withdraw(request.number, index) }
        forget(request)
    }

    private func forget(_ request: ConnectionRequest) {
        state.remove(request.number)
        if let timer = request.timer { context.loop.cancel(timer) }
        request.timer = nil
    }

    private func finish(_ request: ConnectionRequest, _ answer: ConnectionRequest.Answer) {
        forget(request)
        request.done(answer)
    }

    private func fail(_ number: UInt64, _ error: DriverError) {
        if let request = state.request(number) { finish(request, .failure(error)) }
    }

    /// Gives a connection to a request, clean.
    /// - Returns: the answer to the request, unless the connection is to be cleared first, or nobody waits for it any more.
    private func give(
        _ connection: ServerConnection, to number: UInt64, of uid: UInt32
    ) -> ConnectionRequest.Answer? {
        connection.holder = self
        switch state.deliver(connection, connection.condition, to: number, of: uid) {
        case .release: release(connection)
        case .reset: connection.reset()
        case .lend(let request):
            forget(request)
            return .success(lend(connection, request.owner))
        }
        return nil
    }

    /// The same for a request that waits.
    private func deliver(_ connection: ServerConnection, to number: UInt64) {
        let request = state.request(number)
        if let answer = give(connection, to: number, of: request?.owner.uid ?? 0) { request?.done(answer) }
    }

    private func lend(_ connection: ServerConnection, _ owner: LinkOwner) -> ServerConnection {
        pool.note(connection.slot, owner, since: context.loop.now)
        return connection
    }

    // MARK: Giving back

    func connectionDidSettle(_ connection: ServerConnection) {
        if let number = state.takePromise(of: connection) { return deliver(connection, to: number) }
        release(connection)
    }

    func connectionDidBreak(_ connection: ServerConnection) {
        if state.removeIdle(connection) { _ = pool.update { $0.withdrawIdle(index) } }
        discard(connection)
        if let number = state.takePromise(of: connection) { askAgain(number) }
    }

    /// Takes back a connection that does nothing, and resets it if its statements may have left something.
    func release(_ connection: ServerConnection) {
        connection.holder = self
        switch state.returned(connection.condition, now: context.loop.now) {
        case .close: drop(connection)
        case .reset: connection.reset()
        case .offer: offer(connection)
        }
    }

    private func offer(_ connection: ServerConnection) {
        let (slot, uid) = (connection.slot, connection.user.take())
        switch pool.update({ $0.release(slot, index, of: uid) }) {
        case .keep:
            state.keep(connection, connection.condition, now: context.loop.now)
            setAlarms()
        case .handOver(let waiter):
            connection.user = waiter.uid
            handOver(connection, to: waiter)
            // All places may be taken now, and users without any get one beyond the limit.
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

    /// There may be more connections, or fewer.
    func limitDidChange() {
        while pool.update({ $0.withdrawIdleBeyond(index) }), let connection = state.takeNext() { drop(connection) }
        serveAlong()
    }

    private func handOver(_ connection: ServerConnection, to waiter: PoolWaiter) {
        if waiter.shardIndex == index { return deliver(connection, to: waiter.number) }
        send(connection, to: pool.shard(waiter.shardIndex), waiter.number)
    }

    private func send(_ connection: ServerConnection, to shard: ConnectionPool.ShardReference, _ number: UInt64) {
        connection.detach()
        connection.holder = nil
        let parcel = HandedOver(connection)
        shard.submit { $0.receive(parcel, for: number) }
    }

    private func donate(to shard: ConnectionPool.ShardReference, _ number: UInt64, of uid: UInt32) {
        // It may have been lost since it was reserved.
        guard let connection = state.takeNext() else {
            pool.update { $0.giveUp(uid) }
            return shard.submit { $0.askAgain(number) }
        }
        connection.user = uid
        send(connection, to: shard, number)
    }

    private func receive(_ parcel: HandedOver<ServerConnection>, for number: UInt64) {
        let connection = parcel.value
        guard attach(connection, number) else { return }
        if connection.isUsable { return deliver(connection, to: number) }
        drop(connection)
        askAgain(number)
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

    /// Closes a connection and gives its place to the next one.
    private func drop(_ connection: ServerConnection) {
        connection.holder = nil
        connection.close()
        discard(connection)
    }

    /// Gives the place of a closing connection to the next one; earlier, the server would have one too many.
    private func discard(_ connection: ServerConnection) {
        let (slot, uid) = (connection.slot, connection.user.take())
        connection.whenClosed { [self] in
            let now = context.loop.now
            follow(pool.update { $0.discard(slot, of: uid, now: now) })
        }
    }

    private func follow(_ aftermath: PoolBook.Aftermath) {
        switch aftermath {
        case .nothing: break
        case .retry(let instant): setRetry(at: instant)
        case .open(let waiter, let slot):
            pool.shard(waiter.shardIndex).submit { $0.open(slot, for: waiter.number, of: waiter.uid) }
        case .donate(let waiter, let donor):
            let pool = pool
            pool.shard(donor).submit {
                $0.donate(to: pool.shard(waiter.shardIndex), waiter.number, of: waiter.uid)
            }
        case .fail(let waiters, let error):
            for waiter in waiters {
                pool.shard(waiter.shardIndex).submit { $0.fail(waiter.number, error) }
            }
        }
    }

    // MARK: Opening

    private func open(_ slot: Int, for number: UInt64, of uid: UInt32) {
        if let request = state.request(number), let end = state.beginOpening(number, now: context.loop.now) {
            setTimer(request, at: end)
        }
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

    private func didOpen(
        _ parcel: HandedOver<ServerConnection>, _ slot: Int, for number: UInt64, of uid: UInt32
    ) {
        pool.update { $0.openSucceeded() }
        let connection = parcel.value
        database.noteOpened(nil, server: connection.serverName)
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
        if token >= Self.firstAlarmToken {
            if let alarm = State.Alarm(rawValue: token - Self.firstAlarmToken) { ring(alarm) }
            return
        }
        guard let request = state.request(token) else { return }
        request.timer = nil
        switch state.expire(token) {
        case .connecting:
            let error = database.connectTimeout
            database.noteOpened(error)
            finish(request, .failure(error))
        case .waiting:
            // Otherwise a connection is on its way.
            guard pool.update({ $0.withdraw(token, index) }) else { return }
            let limit = database.settings.waitMillisecondsMax
            finish(request, .failure(pool.exhausted(waitMilliseconds: limit, now: context.loop.now)))
        case nil: break
        }
    }

    private func ring(_ alarm: State.Alarm) {
        alarms[alarm] = nil
        state.didRing(alarm)
        switch alarm {
        case .retry: follow(pool.update { $0.serveNext(now: .now) })
        case .sweep: while let unused = state.takeUnused(now: context.loop.now, if: withdrawIdle) { drop(unused) }
        case .clearing:
            // No state stays on an idle connection, even if nothing shows it.
            while let unproven = state.takeUnproven(now: context.loop.now, if: withdrawIdle) {
                unproven.isUsable ? unproven.reset() : drop(unproven)
            }
        }
        setAlarms()
    }

    /// - Returns: false if the connection is reserved for a waiter.
    private func withdrawIdle() -> Bool { pool.update { $0.withdrawIdle(index) } }

    private func setAlarms() {
        for alarm in [State.Alarm.sweep, .clearing] {
            if let instant = state.nextAlarm(alarm) { set(alarm, at: instant) }
        }
    }

    private func setRetry(at instant: MonotonicInstant) {
        if let instant = state.setRetry(at: instant) { set(.retry, at: instant) }
    }

    private func set(_ alarm: State.Alarm, at instant: MonotonicInstant) {
        if let timer = alarms[alarm] { context.loop.cancel(timer) }
        alarms[alarm] = context.loop.schedule(self, token: Self.firstAlarmToken + alarm.rawValue, at: instant)
    }

    /// Closes what is idle; what is in use follows when it is returned.
    func close() {
        state.close()
        while withdrawIdle(), let connection = state.takeNext() { drop(connection) }
    }

    /// The database is used on this loop again.
    func reopen() { state.reopen() }
}

extension ServerConnection {
    /// Whether an idle one may serve a request.
    fileprivate var isUsable: Bool { isQuiet() && !isOutdated }

    /// What its last user has left, for its shard.
    fileprivate var condition: ShardState<ServerConnection, ConnectionRequest>.Condition {
        ShardState<ServerConnection, ConnectionRequest>.Condition(
            opened: opened, isWorn: isWorn || isOutdated, needsReset: needsReset || transaction != .none,
            clearingDue: clearingDue,
            lastUID: lastUID)
    }
}
