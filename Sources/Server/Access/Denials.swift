// What clients were not allowed to do, on its way to the log. The program of a client is looked up for that, and the log
// may be slow: neither may show in the time that a reply takes, since that would tell a database that is there from one
// that is not.

internal import DatabaseDrivers
internal import LinuxSystem
internal import Synchronization

/// What somebody may not do.
public enum DeniedRight: Sendable {
    case database
    /// Go on with a session that was opened before a reload.
    case session
    case url
    case reload
}

/// Somebody wanted what is not his.
struct Denial: Sendable {
    var connection: UInt64
    var peer: PeerCredentials?
    var right: DeniedRight
    /// `nil` with `right` `database`: there is none of that name.
    var database: String?
    /// For how long the connection is open.
    var ageNanoseconds: Int64

    fileprivate var isOfInterest: Bool { right != .database || database != nil }
}

/// Takes denials from the loops to the log.
///
/// - Thread: any.
final class Denials: Sendable {
    private struct State {
        var waiting: [Denial] = []
        var isScheduled = false
    }

    private let state = Mutex(State())
    private let workers: WorkerPool
    private let observer: Observer

    /// Those that may wait for a worker; the log's own limit, for each user, is lower.
    private static let waitingCountMax = 4_096
    /// Time for which denials are gathered, in microseconds. Whether a request wakes a worker up depends on the time alone,
    /// not on what was denied before it.
    private static let gatheringMicroseconds: UInt32 = 20_000

    init(workers: WorkerPool, observer: Observer) {
        self.workers = workers
        self.observer = observer
    }

    /// Takes the same time for what will be logged and what will not.
    func note(_ denial: Denial) {
        let mustSchedule = state.withLock { state in
            if state.waiting.count < Self.waitingCountMax { state.waiting.append(denial) }
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { workers.submit(for: 0) { self.report() } }
    }

    private func report() {
        // A client that asks once and leaves is looked at while it is still there.
        var seen = take(isLast: false)
        Process.sleep(microseconds: Self.gatheringMicroseconds)
        repeat {
            seen += take(isLast: false)
            for (denial, program) in seen where denial.isOfInterest {
                observer.observe(
                    .accessDenied(
                        connection: denial.connection, peer: denial.peer, right: denial.right,
                        database: denial.database, program: program))
            }
            seen = take(isLast: true)
        } while !seen.isEmpty
    }

    /// Those that wait, with their programs, which are looked up for all of them alike. With `isLast`, and none waiting, the
    /// next one wakes a worker up again.
    private func take(isLast: Bool) -> [(denial: Denial, program: String?)] {
        let denials = state.withLock { state in
            defer { state.waiting = [] }
            if isLast, state.waiting.isEmpty { state.isScheduled = false }
            return state.waiting
        }
        return denials.map { denial in
            let program = denial.peer.flatMap {
                Process.executable(pid: $0.pid, ageNanoseconds: denial.ageNanoseconds)
            }
            return (denial, program)
        }
    }
}
