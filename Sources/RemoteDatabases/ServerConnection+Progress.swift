// The progress of a server connection, and what follows from it.

public import DatabaseContract
public import LinuxSystem

extension ServerConnection {
    /// The names of the phases.
    package enum Phase { case idle, running, suspended, settling, resetting, broken }

    /// The progress of the present or the last run: replaced as a whole when the next one begins.
    package struct RunProgress {
        package var mode = RunMode(isReadOnly: false, isSession: false)
        /// What the run may have changed.
        package var effect = StatementEffect()
        /// Rows of the run were dropped.
        package var hasDroppedRows = false
        /// A row was larger than a reply may be.
        package var hasOverflown = false
        /// The server has reported the end of the statement.
        package var isDone = false
    }

    /// The result of processing the socket.
    public enum Progress {
        case waiting(Readiness)
        /// There is more to do at once, but others have to get their turn.
        case yielding
        /// The next step takes too long for a loop, since a row or the request is long: a worker does it.
        case heavy
        /// The sink has a complete frame.
        case full
        /// Everything that was sent has been answered.
        case ended
        case broken(DriverError)
    }

    /// What the owner of a run is to be told: by whoever was called for that run as a return value, else by `tell`.
    enum RunEvent {
        case none
        case filled(StatementRun)
        case ended(StatementRun)

        func tell() {
            switch self {
            case .none: break
            case .filled(let run): run.runDidFill()
            case .ended(let run): run.runDidEnd()
            }
        }

        /// For a call that was made for a run.
        func outcome(for asked: StatementRun) -> RunOutcome {
            switch self {
            case .filled(let run) where run === asked: return .filled
            case .ended(let run) where run === asked: return .ended
            default:
                tell()
                return .pending
            }
        }
    }

    enum TimerToken: UInt64 { case goOn = 1, grace, settle, cancelAgain }

    /// Bytes of the longest messages in each direction.
    struct Buffers {
        var sent = 0
        var received = 0
    }

    /// Whether a worker closes it, and what is to be done behind that.
    struct Closing {
        var isUnderWay = false
        var done: (() -> Void)?
    }

    final func didClose() {
        closing.isUnderWay = false
        closing.done.take()?()
    }

    /// Runs `body` when the server has one connection less.
    final func whenClosed(_ body: @escaping () -> Void) {
        if closing.isUnderWay { closing.done = body } else { body() }
    }
}
