// The counts of a load run, and how threads hand them over.

internal import LinuxSystem
import LiteBaseClient
internal import Synchronization

/// The counts of one thread, or of all.
struct LoadCounters: Sendable {
    /// Failures of one code.
    struct Failure: Sendable {
        var count: UInt64 = 0
        /// The first message that came with it.
        var message = ""
    }

    /// Replies without an error.
    var requestCount: UInt64 = 0
    var rowCount: UInt64 = 0
    var bytesSent: UInt64 = 0
    var bytesReceived: UInt64 = 0
    /// Of replies without an error, in nanoseconds.
    var latency = LatencyHistogram(stepBits: 7)
    var failures: [String: Failure] = [:]
    /// From the end of the warm-up to the end, or until now.
    var nanoseconds: Int64 = 0
    /// Processor time of the busiest thread in that time.
    var threadNanosecondsMax: Int64 = 0

    /// The code under which connections that break off are counted.
    static let disconnectedCode = "disconnected"

    var failureCount: UInt64 { failures.values.reduce(0) { $0 + $1.count } }

    mutating func countFailure(_ code: String, _ message: String, times: UInt64 = 1) {
        var failure = failures[code] ?? Failure(message: message)
        failure.count += times
        failures[code] = failure
    }

    /// Adds another thread's counts of the same time.
    mutating func add(_ other: LoadCounters) {
        requestCount += other.requestCount
        rowCount += other.rowCount
        bytesSent += other.bytesSent
        bytesReceived += other.bytesReceived
        latency.add(other.latency)
        for (code, failure) in other.failures { countFailure(code, failure.message, times: failure.count) }
        nanoseconds = max(nanoseconds, other.nanoseconds)
        threadNanosecondsMax = max(threadNanosecondsMax, other.threadNanosecondsMax)
    }

    /// For each second of the run.
    func rate(_ count: UInt64) -> Double {
        nanoseconds > 0 ? Double(count) * 1e9 / Double(nanoseconds) : 0
    }

    /// How much of a core the busiest thread used.
    var generatorShare: Double {
        nanoseconds > 0 ? Double(threadNanosecondsMax) / Double(nanoseconds) : 0
    }
}

/// State shared by the threads of a run and the one that watches them.
final class LoadBoard: Sendable {
    private struct State {
        var counters: [LoadCounters]
        var runningCount: Int
        var failure: ClientError?
    }

    private let state: Mutex<State>
    private let stop = Atomic<Bool>(false)

    init(threadCount: Int) {
        state = Mutex(State(counters: Array(repeating: LoadCounters(), count: threadCount), runningCount: threadCount))
    }

    /// Asks the threads to end; they look every tenth of a second.
    func requestStop() { stop.store(true, ordering: .relaxed) }
    var isStopRequested: Bool { stop.load(ordering: .relaxed) }

    func publish(_ counters: LoadCounters, thread index: Int) {
        state.withLock { $0.counters[index] = counters }
    }

    /// To be called last in a thread; with a reason why it could not continue, the other threads end too.
    func finish(thread index: Int, _ failure: ClientError?) {
        state.withLock { state in
            state.runningCount -= 1
            if state.failure == nil { state.failure = failure }
        }
        if failure != nil { requestStop() }
    }

    var isFinished: Bool { state.withLock { $0.runningCount == 0 } }
    var failure: ClientError? { state.withLock { $0.failure } }

    /// The sum over the threads.
    var total: LoadCounters {
        let counters = state.withLock { $0.counters }
        return counters.dropFirst().reduce(into: counters.first ?? LoadCounters()) { $0.add($1) }
    }
}
