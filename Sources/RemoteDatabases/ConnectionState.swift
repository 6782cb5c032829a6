// The state of one server connection, as a value: it takes events and returns actions. It knows no socket, loop or
// clock, so tests can try events in any order.
//
//     idle ── start ──▶ running ◀──▶ suspended
//      ▲                   │ ended
//      │                   ├─ its client could not wait: unanswered
//      │                   ├─ a cancel is still under way: awaitingCancel
//      └───────────────────┴─ it must be reset before another user gets it: resetting
//
// A server's cancel is a message on another connection that names the backend, not the statement. It may arrive late
// and hit the next statement. So nothing starts before the statement has ended and the cancel has been delivered.

/// The phases of a connection, and whether its server has to stop.
///
/// Generic over the run, of which it only knows the identity.
/// - Thread: that of its owner.
struct ConnectionState<Run: AnyObject> {
    enum Phase {
        case idle
        /// The server works for a run.
        case running(Run)
        /// The sink is full, and `resume` has not come yet; the socket is not read.
        case suspended(Run)
        /// The server has not answered everything yet, and no client waits for the answer.
        case unanswered
        /// Everything was answered, but a cancel may still arrive.
        case awaitingCancel
        /// The server resets the connection; `behind`: the run that ends when that is done.
        case resetting(behind: Run?)
        case broken
    }

    /// Whether the server has been asked to stop.
    enum Cancel {
        case none
        /// It has to stop; no cancel is on its way.
        case wanted
        case underWay
    }

    /// What to do when everything has been answered.
    enum Ending {
        /// The connection may be used again; `needsReset` if it was cancelled: the cancel may have hit something else.
        case settled(told: Run?, needsReset: Bool)
        /// The run is over; the connection can continue when its cancel has returned.
        case awaitsCancel(told: Run?)
        /// The server has to reset the connection; only then does the run end.
        case clears(Run)
    }

    /// What to do when a run has to stop.
    enum Stop {
        /// The run is not here any more, or has ended.
        case nothing
        /// The run had ended, and waited for the reset: it ends now.
        case told(Run)
        /// The run continues to its end; a cancel is sent if that has not happened yet.
        case goesOn(wasSuspended: Bool, sendsCancel: Bool)
    }

    private(set) var phase = Phase.idle
    private(set) var cancel = Cancel.none
    /// Rows are dropped, because the run is being stopped.
    private(set) var isDiscarding = false

    /// The run that the server works for.
    var run: Run? {
        switch phase {
        case .running(let run), .suspended(let run): run
        default: nil
        }
    }

    var isIdle: Bool { if case .idle = phase { true } else { false } }
    var isRunning: Bool { if case .running = phase { true } else { false } }
    var isSuspended: Bool { if case .suspended = phase { true } else { false } }
    var isResetting: Bool { if case .resetting = phase { true } else { false } }
    var isBroken: Bool { if case .broken = phase { true } else { false } }

    /// Whether to process what the server sends.
    var isAtWork: Bool {
        switch phase {
        case .running, .unanswered, .awaitingCancel, .resetting: true
        case .idle, .suspended, .broken: false
        }
    }

    // MARK: Beginning

    /// A run begins.
    mutating func start(_ run: Run) {
        precondition(isIdle && cancel == .none, "a connection to a server has two runs")
        phase = .running(run)
        isDiscarding = false
    }

    /// The server resets the connection.
    mutating func reset() {
        precondition(isIdle, "a connection in use cannot be reset")
        phase = .resetting(behind: nil)
    }

    /// Something is sent whose answer nobody waits for.
    mutating func introduce() {
        precondition(isIdle, "a connection in use cannot be introduced")
        phase = .unanswered
    }

    // MARK: Frames

    /// The sink has a complete frame.
    mutating func fill() {
        guard case .running(let run) = phase else { return }
        phase = .suspended(run)
    }

    /// - Returns: false if that run does not wait for it.
    mutating func resume(_ run: Run) -> Bool {
        guard case .suspended(let present) = phase, present === run else { return false }
        phase = .running(run)
        return true
    }

    // MARK: Stopping

    /// A run has to stop.
    mutating func stop(_ run: Run, droppingRows: Bool) -> Stop {
        switch phase {
        case .resetting(let ended?) where ended === run:
            phase = .resetting(behind: nil)
            return .told(ended)
        case .running(let present) where present === run:
            return .goesOn(wasSuspended: false, sendsCancel: abort(droppingRows: droppingRows))
        case .suspended(let present) where present === run:
            phase = .running(run)
            return .goesOn(wasSuspended: true, sendsCancel: abort(droppingRows: droppingRows))
        default: return .nothing
        }
    }

    /// The server has to stop.
    /// - Returns: whether that is new.
    mutating func abort(droppingRows: Bool) -> Bool {
        guard cancel == .none else { return false }
        cancel = .wanted
        isDiscarding = droppingRows
        return true
    }

    /// From now on rows are dropped, whatever was set before.
    mutating func discard() { isDiscarding = true }

    /// A cancel is sent.
    /// - Returns: false if one is under way, or none is wanted any more.
    mutating func beginCancel() -> Bool {
        guard cancel == .wanted else { return false }
        cancel = .underWay
        return true
    }

    /// A cancel has been delivered.
    /// - Returns: what to do, if the connection has waited only for that.
    mutating func cancelReturned() -> Ending? {
        guard cancel == .underWay else { return nil }
        cancel = .wanted
        guard case .awaitingCancel = phase else { return nil }
        return settle(nil)
    }

    /// Whether to repeat the cancel: one that arrives before its statement stops nothing.
    var isCancelDue: Bool {
        guard cancel == .wanted else { return false }
        switch phase {
        case .running, .suspended, .unanswered: return true
        case .idle, .awaitingCancel, .resetting, .broken: return false
        }
    }

    /// The client of a run does not wait any longer; the connection continues without it.
    mutating func detach() -> Run? {
        guard let run else { return nil }
        phase = .unanswered
        return run
    }

    // MARK: Ends

    /// Everything has been answered.
    ///
    /// - Parameter clearing: whether the run may have left state that has to be reset.
    /// - Returns: what to do now; `nil` for nothing.
    mutating func end(clearing: Bool) -> Ending? {
        let ended: Run?
        switch phase {
        case .running(let run), .suspended(let run): ended = run
        case .resetting(let run): ended = run
        case .unanswered, .awaitingCancel: ended = nil
        case .idle, .broken: return nil
        }
        if cancel == .underWay {
            phase = .awaitingCancel
            return .awaitsCancel(told: ended)
        }
        if clearing, let run, cancel == .none {
            phase = .resetting(behind: run)
            return .clears(run)
        }
        return settle(ended)
    }

    private mutating func settle(_ told: Run?) -> Ending {
        let wasStopped = cancel != .none
        phase = .idle
        cancel = .none
        isDiscarding = false
        return .settled(told: told, needsReset: wasStopped)
    }

    /// The connection is lost, or closed.
    /// - Returns: the run for which it worked, and the run that had ended and waited for the reset; `nil` if the
    ///   connection was lost before.
    mutating func lose() -> (run: Run?, ended: Run?)? {
        defer { phase = .broken }
        switch phase {
        case .broken: return nil
        case .running(let run), .suspended(let run): return (run, nil)
        case .resetting(let ended): return (nil, ended)
        case .idle, .unanswered, .awaitingCancel: return (nil, nil)
        }
    }
}
