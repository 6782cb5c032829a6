// Time limits for clients: transactions that nobody continues, replies that nobody reads.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// Watches the connections of one loop that may hold something too long. Without any, it does not wake up.
///
/// - Thread: its loop's.
final class Housekeeper: EventSource {
    private unowned let context: LoopContext
    private var watched: [UInt64: Connection] = [:]
    private var isScheduled = false

    init(_ context: LoopContext) { self.context = context }

    /// Watches a connection from now on, until nothing is left to watch.
    func watch(_ connection: Connection) {
        guard watched.updateValue(connection, forKey: connection.number) == nil, !isScheduled else { return }
        schedule()
    }

    /// Watches all connections that may hold something that somebody waits for.
    func watchHolders() {
        for connection in context.connections.values where connection.noteHolds(at: context.loop.now) {
            watch(connection)
        }
    }

    private func schedule() {
        isScheduled = true
        let shortest = min(
            context.limits.idleTransactionMillisecondsMax.orEndless, context.limits.writeStallMillisecondsMax.orEndless,
            context.limits.idleHoldMillisecondsMax.orEndless)
        let interval = min(1_000, max(10, shortest / 8))
        context.loop.schedule(self, at: context.loop.now.advanced(byMilliseconds: interval))
    }

    override func timerFired(_ token: UInt64) {
        isScheduled = false
        for connection in watched.values where !connection.enforceLimits(at: context.loop.now) {
            watched[connection.number] = nil
        }
        if !watched.isEmpty { schedule() }
    }
}

extension Int64 {
    /// A limit of 0 means no limit.
    fileprivate var orEndless: Int64 { self == 0 ? 1 << 40 : self }
}

extension Connection {
    /// Ends what has lasted too long.
    /// - Returns: whether there is still something to watch.
    fileprivate func enforceLimits(at now: MonotonicInstant) -> Bool {
        if isClosed { return false }
        stream.noticeReading(at: now)
        if let since = stream.stall.since, isOver(context.limits.writeStallMillisecondsMax, since, now) {
            hit(.writeStall)
            context.observer.observe(
                .readerStalled(
                    connection: number, peer: peer, limit: context.limits.writeStallMillisecondsMax,
                    byteCount: stream.output.count))
            disconnect()
            return false
        }
        var isWatching = stream.stall.since != nil
        for session in sessions.open where session.isIdleInTransaction && !isClosed {
            limitIdleTransaction(of: session, at: now)
            isWatching = true
        }
        for operation in inFlight.operations where operation.isIdleInTransaction && !isClosed {
            limitIdleTransaction(of: operation, at: now)
            isWatching = true
        }
        if !isClosed, limitHolds(at: now) { isWatching = true }
        return isWatching && !isClosed
    }

    func isOver(_ limit: Int64, _ since: MonotonicInstant, _ now: MonotonicInstant) -> Bool {
        limit > 0 && now.nanoseconds(since: since) >= limit * 1_000_000
    }

    // As with idle_in_transaction_session_timeout of PostgreSQL, the whole session ends: a client that continued with
    // its next statement, outside of the transaction that it believes to be in, would do harm.
    private func limitIdleTransaction(of session: Session, at now: MonotonicInstant) {
        let limit = context.limits.idleTransactionMillisecondsMax
        if isOver(limit, session.lastEnd, now) {
            expire(session)
            context.observer.observe(
                .transactionExpired(
                    connection: number, peer: peer, session: session.name, database: session.link.databaseName,
                    limit: limit))
        } else if isOver(limit / 2, session.lastEnd, now), let noticeEncoding, !session.isWarned {
            session.isWarned = true
            var notice = NoticeMessage(
                "idle_transaction",
                "The transaction of session \(session.name) is idle; it is rolled back, and the session ends, after "
                    + "\(limit) ms (idle_transaction_ms_max).",
                endsIn: limit - now.nanoseconds(since: session.lastEnd) / 1_000_000)
            notice.session = session.name
            warn(notice, noticeEncoding)
        }
    }

    /// Ends an import that holds what others write to, and waits for its file. A session of its client's goes on.
    private func limitIdleTransaction(of operation: Operation, at now: MonotonicInstant) {
        let limit = context.limits.idleTransactionMillisecondsMax
        guard isOver(limit, operation.waitingSince, now) else { return }
        hit(.idleTransaction)
        operation.refusal = operation.refusal ?? .importExpired(limit: limit)
        context.observer.observe(
            .transactionExpired(
                connection: number, peer: peer, session: operation.session?.name,
                database: operation.link?.databaseName ?? "", limit: limit))
        stop(operation, .cancelled)
    }

    /// Sends a warning outside of a turn.
    func warn(_ notice: NoticeMessage, _ encoding: WireEncoding) {
        withOutputStorage {
            notify(notice, encoding)
            finishTurn()
        }
    }

    private func expire(_ session: Session) {
        hit(.idleTransaction)
        sessions.remember(ended: session.name, .idleTransaction)
        end(session)
    }
}

extension Session {
    /// Whether it has a transaction that nobody continues.
    var isIdleInTransaction: Bool { active == nil && waiting.isEmpty && link.transaction != .none }
}

extension Operation {
    /// Whether it waits for its client's file while a transaction is open.
    fileprivate var isIdleInTransaction: Bool {
        progress == .waitingForFile && (link as? FileReadingLink)?.holdsTransaction == true
    }
}
