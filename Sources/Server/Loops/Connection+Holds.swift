// Resources that idle clients hold: pool connections for which others wait, and snapshots that keep a log from
// restarting. A client is only limited when somebody needs what it holds.

internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// How long others have needed what a session, or a reply that is not read, holds.
struct Hold {
    private(set) var since: MonotonicInstant?
    private var lastSeen = MonotonicInstant(nanoseconds: 0)
    var isWarned = false

    /// Records whether somebody needs it now. It is not cleared at once, because a waiter gives up and comes again.
    mutating func note(_ pressure: LinkPressure, at now: MonotonicInstant, limit: Int64) {
        if pressure != .none {
            if since == nil { since = now }
            lastSeen = now
        } else if since != nil, now.nanoseconds(since: lastSeen) > limit * 500_000 {
            self = Hold()
        }
    }

    /// The time that counts: any use of a connection of the pool serves a waiter; a log, and a writer, need the snapshot's end.
    func nanoseconds(_ pressure: LinkPressure, idleSince: MonotonicInstant, at now: MonotonicInstant) -> Int64 {
        guard let since else { return 0 }
        let begin = pressure == .place ? max(since, idleSince) : since
        return now.nanoseconds(since: begin)
    }
}

extension Connection {
    /// Records what others need, when somebody has begun to wait.
    /// - Returns: whether anything is held.
    func noteHolds(at now: MonotonicInstant) -> Bool {
        let limit = context.limits.idleHoldMillisecondsMax
        guard limit > 0, !isClosed else { return false }
        var isHolding = false
        for session in sessions.open where session.isLeftIdle {
            session.hold.note(session.link.pressure(on: owner.uid), at: now, limit: limit)
            // No event tells when a log has become long.
            isHolding = isHolding || session.hold.since != nil || session.active != nil
        }
        for operation in inFlight.operations where operation.session == nil && operation.isLeftIdle {
            operation.hold.note(operation.link?.pressure(on: owner.uid) ?? .none, at: now, limit: limit)
            isHolding = true
        }
        return isHolding
    }

    /// Warns, and ends what was idle for too long.
    /// - Returns: whether there is still something to watch.
    func limitHolds(at now: MonotonicInstant) -> Bool {
        guard noteHolds(at: now) else { return false }
        for session in sessions.open where session.isLeftIdle && session.hold.since != nil && !isClosed {
            limitHold(of: session, at: now)
        }
        for operation in inFlight.operations
        where operation.session == nil && operation.isLeftIdle && operation.hold.since != nil {
            limitHold(of: operation, at: now)
        }
        return true
    }

    private func limitHold(of session: Session, at now: MonotonicInstant) {
        let limit = context.limits.idleHoldMillisecondsMax
        let pressure = session.link.pressure(on: owner.uid)
        let idleSince = session.active?.waitingSince ?? session.lastEnd
        let held = session.hold.nanoseconds(pressure, idleSince: idleSince, at: now) / 1_000_000
        if held >= limit {
            end(holder: session, limit)
        } else if held >= limit / 2, let noticeEncoding, !session.hold.isWarned {
            session.hold.isWarned = true
            var notice = NoticeMessage(
                "idle_session",
                "The session \(session.name) is idle while others need what it holds; it ends after \(limit) ms "
                    + "(idle_hold_ms_max).", endsIn: limit - held)
            notice.session = session.name
            warn(notice, noticeEncoding)
        }
    }

    private func limitHold(of operation: Operation, at now: MonotonicInstant) {
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
            var notice = NoticeMessage(
                "idle_query",
                "The rows of a query are not taken while others need what it holds; it ends after \(limit) ms "
                    + "(idle_hold_ms_max).", endsIn: limit - held)
            notice.request = RequestIDField(operation.id)
            warn(notice, noticeEncoding)
        }
    }

    private func end(holder session: Session, _ limit: Int64) {
        hit(.idleHold)
        observeEnd("session \(session.name)", session.link.databaseName, limit)
        let error = session.name.withText { RequestError.sessionHeld($0, limit: limit) }
        revoke(session, .idleHold) { operation in
            operation.refusal = error
            stop(operation, .cancelled)
        }
    }

    private func observeEnd(_ what: String, _ database: String, _ limit: Int64) {
        context.observer.observe(
            .holderEnded(connection: number, peer: peer, what: what, database: database, limit: limit))
    }
}

extension Session {
    /// Nothing runs in it, or only a request that waits for the client.
    fileprivate var isLeftIdle: Bool { active.map(\.isLeftIdle) ?? waiting.isEmpty }
}

extension Operation {
    fileprivate var isLeftIdle: Bool { [.waitingForFetch, .waitingForOutput, .waitingForFile].contains(progress) }
}

extension String {
    fileprivate func withText<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        var text = self
        return text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
}
