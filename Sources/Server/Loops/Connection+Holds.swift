// What is held while nothing is asked: connections of a pool for which others wait, snapshots that keep a log from beginning
// anew. Nobody is hurried as long as nobody needs what he holds.

internal import DatabaseDrivers
internal import LinuxSystem
internal import WireProtocol

/// For how long others have needed what a session, or a reply that is not taken, holds.
struct Hold {
    private(set) var since: MonotonicInstant?
    private var lastSeen = MonotonicInstant(nanoseconds: 0)
    var isWarned = false

    /// Notes whether somebody needs it now. Whoever waits gives up and comes again, so that it is not forgotten at once.
    mutating func note(_ pressure: LinkPressure, at now: MonotonicInstant, limit: Int64) {
        if pressure != .none {
            if since == nil { since = now }
            lastSeen = now
        } else if since != nil, now.nanoseconds(since: lastSeen) > limit * 500_000 {
            self = Hold()
        }
    }

    /// What counts: whoever needs a place is served by any use of it, whoever needs the log only by its end.
    func nanoseconds(_ pressure: LinkPressure, idleSince: MonotonicInstant, at now: MonotonicInstant) -> Int64 {
        guard let since else { return 0 }
        let begin = pressure == .log ? since : max(since, idleSince)
        return now.nanoseconds(since: begin)
    }
}

extension Connection {
    /// Notes what others need; when somebody has begun to wait.
    /// - Returns: whether anything is held.
    func noteHolds(at now: MonotonicInstant) -> Bool {
        let limit = context.limits.idleHoldMillisecondsMax
        guard limit > 0, !isClosed else { return false }
        var isHolding = false
        for session in sessions where session.isLeftIdle {
            session.hold.note(session.link.pressure(on: owner.uid), at: now, limit: limit)
            // Nothing tells when a log has become long.
            isHolding = isHolding || session.hold.since != nil || session.active != nil
        }
        for operation in inFlight where operation.session == nil && operation.isLeftIdle {
            operation.hold.note(operation.link?.pressure(on: owner.uid) ?? .none, at: now, limit: limit)
            isHolding = true
        }
        return isHolding
    }

    /// Warns, and ends what was left idle for too long.
    /// - Returns: whether there is still something to look at.
    func keepPatienceWithHolders(at now: MonotonicInstant) -> Bool {
        guard noteHolds(at: now) else { return false }
        for session in sessions where session.isLeftIdle && session.hold.since != nil && !isClosed {
            keepPatience(withHolder: session, at: now)
        }
        for operation in inFlight where operation.session == nil && operation.isLeftIdle && operation.hold.since != nil
        {
            keepPatience(with: operation, at: now)
        }
        return true
    }

    private func keepPatience(withHolder session: Session, at now: MonotonicInstant) {
        let limit = context.limits.idleHoldMillisecondsMax
        let pressure = session.link.pressure(on: owner.uid)
        let idleSince = session.active?.waitingSince ?? session.lastEnd
        let held = session.hold.nanoseconds(pressure, idleSince: idleSince, at: now) / 1_000_000
        if held >= limit {
            end(holder: session, limit)
        } else if held >= limit / 2, let noticeEncoding, !session.hold.isWarned {
            session.hold.isWarned = true
            tell(
                noticeEncoding, "idle_session",
                "The session \(session.name) is idle while others need what it holds; it ends after \(limit) ms "
                    + "(idle_hold_ms_max).", session: session, endsIn: limit - held)
        }
    }

    private func keepPatience(with operation: Operation, at now: MonotonicInstant) {
        let limit = context.limits.idleHoldMillisecondsMax
        let pressure = operation.link?.pressure(on: owner.uid) ?? .none
        let held = operation.hold.nanoseconds(pressure, idleSince: operation.waitingSince, at: now) / 1_000_000
        if held >= limit {
            hit(.idleHold)
            operation.refusal = .replyHeld(limit: limit)
            observeEnd("a query", operation.link?.databaseName ?? "", limit)
            stop(operation, .cancelled)
        } else if held >= limit / 2, let noticeEncoding, !operation.hold.isWarned {
            operation.hold.isWarned = true
            tell(
                noticeEncoding, "idle_query",
                "The rows of a query are not taken while others need what it holds; it ends after \(limit) ms "
                    + "(idle_hold_ms_max).", request: operation.id, endsIn: limit - held)
        }
    }

    private func tell(
        _ encoding: WireEncoding, _ code: String, _ message: String, session: Session? = nil, request: RequestID? = nil,
        endsIn milliseconds: Int64
    ) {
        withOutputStorage {
            notify(encoding, code, message, session: session, request: request, endsInMilliseconds: milliseconds)
            finishTurn()
        }
    }

    private func end(holder session: Session, _ limit: Int64) {
        hit(.idleHold)
        observeEnd("session \(session.name)", session.link.databaseName, limit)
        session.isRevoked = true
        remember(ended: session.name, .idleHold)
        let error = session.name.withText { RequestError.sessionHeld($0, limit: limit) }
        for operation in session.waiting {
            operation.refusal = error
            stop(operation, .cancelled)
        }
        guard let active = session.active else { return endRevoked(session) }
        active.refusal = error
        stop(active, .cancelled)
    }

    private func observeEnd(_ what: String, _ database: String, _ limit: Int64) {
        context.observer.observe(
            .holderEnded(connection: number, peer: peer, what: what, database: database, limit: limit))
    }
}

extension Session {
    /// Nothing of it runs, or only what waits for the client.
    fileprivate var isLeftIdle: Bool { active.map(\.isLeftIdle) ?? waiting.isEmpty }
}

extension Operation {
    fileprivate var isLeftIdle: Bool { progress == .waitingForFetch || progress == .waitingForOutput }
}

extension String {
    fileprivate func withText<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        var text = self
        return text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
