// Denials on their way to the log. The program of the client is looked up for that, and the log may be slow. Neither
// may affect the time of a reply, which would distinguish a database that exists from one that does not.

internal import DatabaseContract
internal import LinuxSystem
internal import Synchronization

/// What a client is not allowed to do.
public enum DeniedRight: Sendable {
    case database
    /// Continue a session that was opened before a reload.
    case session
    case url
    case reload
    /// Send any request but those that watch the daemon.
    case request
}

/// An attempt without the right to it.
struct Denial: Sendable {
    var connection: UInt64
    var peer: PeerCredentials?
    var right: DeniedRight
    /// `nil` with `right` `database`: there is no database of that name.
    var database: String?
    /// Age of the connection.
    var ageNanoseconds: Int64

    fileprivate var isOfInterest: Bool { right != .database || database != nil }
}

/// Passes denials from the loops to the log.
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

    /// The most that may wait for a worker; the log's own limit for each user is lower.
    private static let waitingCountMax = 4_096
    /// How long denials are collected, in microseconds. Whether a request wakes a worker depends on the time alone, not
    /// on what was denied before.
    private static let gatheringMicroseconds: UInt32 = 20_000

    init(workers: WorkerPool, observer: Observer) {
        self.workers = workers
        self.observer = observer
    }

    /// Takes the same time whether the denial will be logged or not.
    func note(_ denial: Denial) {
        let mustSchedule = state.withLock { state in
            if state.waiting.count < Self.waitingCountMax { state.waiting.append(denial) }
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if mustSchedule { workers.submit(for: 0) { self.report() } }
    }

    private func report() {
        // So that a client that asks once and leaves is looked up while it still exists.
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

    /// The waiting denials with the programs of their clients, which are looked up for all of them alike. With
    /// `isLast`, and if none waits, the next one wakes a worker again.
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
