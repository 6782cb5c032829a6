// Patience with clients: transactions that nobody goes on with, replies that nobody reads.

internal import ByteBuffers
internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

/// Looks after the connections of one loop that keep something from others. Without any, it does not wake up.
///
/// - Thread: its loop's.
final class Housekeeper: EventSource {
    private unowned let context: LoopContext
    private var watched: [UInt64: Connection] = [:]
    private var isScheduled = false

    init(_ context: LoopContext) { self.context = context }

    /// Looks at a connection from now on, until there is nothing to look at any more.
    func watch(_ connection: Connection) {
        guard watched.updateValue(connection, forKey: connection.number) == nil, !isScheduled else { return }
        schedule()
    }

    /// Looks at all connections that may hold what somebody waits for.
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
        for connection in watched.values where !connection.keepPatience(at: context.loop.now) {
            watched[connection.number] = nil
        }
        if !watched.isEmpty { schedule() }
    }
}

extension Int64 {
    /// A limit of 0 is none.
    fileprivate var orEndless: Int64 { self == 0 ? 1 << 40 : self }
}

extension Connection {
    /// Ends what has lasted too long.
    /// - Returns: whether there is still something to look at.
    fileprivate func keepPatience(at now: MonotonicInstant) -> Bool {
        if isClosed { return false }
        noticeReading(at: now)
        if let since = stalledSince, isOver(context.limits.writeStallMillisecondsMax, since, now) {
            hit(.writeStall)
            context.observer.observe(
                .readerStalled(
                    connection: number, peer: peer, limit: context.limits.writeStallMillisecondsMax,
                    byteCount: output.count))
            disconnect()
            return false
        }
        var isWatching = stalledSince != nil
        for session in sessions where session.isIdleInTransaction && !isClosed {
            keepPatience(with: session, at: now)
            isWatching = true
        }
        if !isClosed, keepPatienceWithHolders(at: now) { isWatching = true }
        return isWatching && !isClosed
    }

    func isOver(_ limit: Int64, _ since: MonotonicInstant, _ now: MonotonicInstant) -> Bool {
        limit > 0 && now.nanoseconds(since: since) >= limit * 1_000_000
    }

    // As with idle_in_transaction_session_timeout of PostgreSQL, the whole session ends: a client that went on with its
    // next statement, outside of the transaction that it believes in, would do harm.
    private func keepPatience(with session: Session, at now: MonotonicInstant) {
        let limit = context.limits.idleTransactionMillisecondsMax
        if isOver(limit, session.lastEnd, now) {
            expire(session)
            context.observer.observe(
                .transactionExpired(
                    connection: number, peer: peer, session: session.name, database: session.link.databaseName,
                    limit: limit))
        } else if isOver(limit / 2, session.lastEnd, now), let noticeEncoding, !session.isWarned {
            session.isWarned = true
            withOutputStorage {
                notify(
                    noticeEncoding, "idle_transaction",
                    "The transaction of session \(session.name) is idle; it is rolled back, and the session ends, after "
                        + "\(limit) ms (idle_transaction_ms_max).",
                    session: session, endsInMilliseconds: limit - now.nanoseconds(since: session.lastEnd) / 1_000_000)
                finishTurn()
            }
        }
    }

    private func expire(_ session: Session) {
        sessions.removeAll { $0 === session }
        context.statistics.sessionsOpen -= 1
        countSessions(-1)
        hit(.idleTransaction)
        session.link.close()
        remember(ended: session.name, .idleTransaction)
    }

    /// A message that no request asked for; only to clients that said in `hello` that they know it.
    func notify(
        _ encoding: WireEncoding, _ code: String, _ message: String, session: Session? = nil, request: RequestID? = nil,
        endsInMilliseconds: Int64
    ) {
        reply("notice", id: .none, encoding: encoding) { writer, output in
            writer.key("code", into: &output)
            writer.text(code, into: &output)
            writer.key("message", into: &output)
            writer.text(message, into: &output)
            if let session {
                writer.key("session", into: &output)
                writer.text(session.name, into: &output)
            }
            if let request {
                writer.key("request", into: &output)
                writer.id(request, into: &output)
            }
            writer.key("ends_in_ms", into: &output)
            writer.integer(max(0, endsInMilliseconds), into: &output)
        }
    }
}

extension Session {
    /// Whether it holds a transaction that nobody goes on with.
    var isIdleInTransaction: Bool { active == nil && waiting.isEmpty && link.transaction != .none }
}
