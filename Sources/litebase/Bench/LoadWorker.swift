// One thread of load: a loop, its connections, and the phases of the run.

internal import Glibc
internal import LinuxSystem
import LiteBaseClient

/// Drives some of a run's connections.
///
/// - Thread: made and used on a thread of its own, by `LoadRun`.
final class LoadWorker: EventSource {
    enum Phase { case warmingUp, measuring, over }
    private enum Token { static let measure: UInt64 = 0, end: UInt64 = 1, tick: UInt64 = 2, reconnect: UInt64 = 3 }

    let plan: LoadPlan
    private let endpoint: Endpoint
    private unowned let loop: EventLoop
    private let board: LoadBoard
    private let index: Int

    private(set) var phase = Phase.warmingUp
    var counters = LoadCounters()
    var source: ParameterSource
    /// Connections read into it; an incomplete frame moves to the connection's own buffer.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)

    /// Requests that may still be begun in this phase.
    private var requestsLeft = UInt64.max
    /// Requests after which this thread has done its part.
    private let wantedCount: UInt64
    private var inFlightCount: UInt64 = 0
    /// Requests that have ended in this phase, one way or the other.
    private var endedCount: UInt64 = 0
    private var lostConnectionCount = 0
    private var isReconnectScheduled = false
    private var lastReply = MonotonicInstant.now
    private var measuringSince = MonotonicInstant.now
    private var threadNanosecondsBefore: Int64 = 0
    private(set) var failure: ClientError?

    private static let tickMilliseconds: Int64 = 100

    init(_ plan: LoadPlan, _ endpoint: Endpoint, _ loop: EventLoop, _ board: LoadBoard, index: Int) {
        self.plan = plan
        self.endpoint = endpoint
        self.loop = loop
        self.board = board
        self.index = index
        wantedCount = plan.requestCount(ofThread: index) ?? .max
        source = ParameterSource(seed: plan.seed, threadIndex: index, threadCount: plan.threadCount)
    }

    deinit {
        scratch.deallocate()
    }

    /// Runs to the end.
    /// - Parameters:
    ///   - sockets: connected and non-blocking; taken over.
    ///   - start: when the warm-up began, the same for all threads.
    func run(_ sockets: [Int32], start: MonotonicInstant) {
        if plan.warmUpNanoseconds == 0 {
            beginMeasuring()
        } else {
            loop.schedule(self, token: Token.measure, at: start.advanced(byNanoseconds: plan.warmUpNanoseconds))
        }
        loop.schedule(self, token: Token.tick, at: loop.now.advanced(byMilliseconds: Self.tickMilliseconds))
        for number in sockets { adopt(OwnedDescriptor(number)) }
        loop.run()
        board.publish(counters, thread: index)
    }

    private func adopt(_ socket: consuming OwnedDescriptor) {
        let connection = LoadConnection(socket, self)
        do throws(Errno) {
            try connection.register(with: loop)
            connection.start()
        } catch {
            end(.cannotConnect(endpoint, error))
        }
    }

    override func timerFired(_ token: UInt64) {
        switch token {
        case Token.measure: beginMeasuring()
        case Token.end: end(nil)
        case Token.tick: tick()
        default: reconnect()
        }
    }

    // MARK: Phases

    private func beginMeasuring() {
        phase = .measuring
        counters = LoadCounters()
        endedCount = 0
        measuringSince = .now
        threadNanosecondsBefore = Self.threadNanoseconds
        switch plan.extent {
        case .requests:
            requestsLeft = wantedCount - min(wantedCount, inFlightCount)
            if wantedCount == 0 { end(nil) }
        case .nanoseconds(let duration):
            loop.schedule(self, token: Token.end, at: measuringSince.advanced(byNanoseconds: duration))
        }
    }

    private func tick() {
        takeTime()
        board.publish(counters, thread: index)
        let silence = MonotonicInstant.now.nanoseconds(since: lastReply)
        if board.isStopRequested {
            end(nil)
        } else if silence > LoadPlan.silenceNanosecondsMax {
            end(lostConnectionCount > 0 ? .disconnected(nil) : .timedOut)
        } else {
            loop.schedule(self, token: Token.tick, at: loop.now.advanced(byMilliseconds: Self.tickMilliseconds))
        }
    }

    private func end(_ failure: ClientError?) {
        guard phase != .over else { return }
        takeTime()
        self.failure = failure
        phase = .over
        loop.stop()
    }

    private func takeTime() {
        guard phase == .measuring else { return }
        counters.nanoseconds = MonotonicInstant.now.nanoseconds(since: measuringSince)
        counters.threadNanosecondsMax = Self.threadNanoseconds - threadNanosecondsBefore
    }

    /// Processor time of the calling thread (clock_gettime(2)).
    private static var threadNanoseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    func setInterest(
        _ connection: LoadConnection, _ socket: borrowing OwnedDescriptor, _ interest: Readiness
    ) {
        loop.setInterest(connection, socket, interest)
    }

    /// Looks at the memory of a connection, until it has had no news for a while.
    func heat(_ connection: LoadConnection) { loop.heat(connection) }

    // MARK: What connections report

    /// Whether one more request may be sent; it counts as in flight then.
    @inline(__always)
    func takeTurn() -> Bool {
        guard requestsLeft > 0, phase != .over else { return false }
        requestsLeft &-= 1
        inFlightCount &+= 1
        return true
    }

    @inline(__always)
    func requestEnded(nanoseconds: Int64) {
        // What else came in the same read as the last one does not count.
        guard phase != .over else { return }
        counters.requestCount &+= 1
        counters.latency.record(nanoseconds)
        countEnd()
    }

    func requestFailed(_ code: String, _ message: String) {
        guard phase != .over else { return }
        counters.countFailure(code, message)
        countEnd()
    }

    @inline(__always)
    private func countEnd() {
        inFlightCount &-= 1
        endedCount &+= 1
        if endedCount >= wantedCount, phase == .measuring { end(nil) }
    }

    /// Bytes came, at that time.
    @inline(__always)
    func received(_ byteCount: Int, at now: MonotonicInstant) {
        counters.bytesReceived &+= UInt64(byteCount)
        lastReply = now
    }

    /// The daemon shares no memory, and what would be measured is not what was asked for.
    func laneRefused() {
        end(
            .invalidRequest(
                "the daemon shares no memory with all of these connections: its limit is lanes_per_user_max"))
    }

    /// A connection broke off with requests that will not be answered; another one takes its place.
    func connectionLost(_ connection: LoadConnection, unanswered: Int, _ message: String) {
        connection.deregister(from: loop)
        guard phase != .over else { return }
        inFlightCount -= UInt64(unanswered)
        counters.countFailure(LoadCounters.disconnectedCode, message)
        lostConnectionCount += 1
        if case .requests = plan.extent { requestsLeft += UInt64(unanswered) }
        scheduleReconnect()
    }

    private func scheduleReconnect() {
        guard !isReconnectScheduled else { return }
        isReconnectScheduled = true
        loop.schedule(self, token: Token.reconnect, at: MonotonicInstant.now.advanced(byMilliseconds: 50))
    }

    private func reconnect() {
        isReconnectScheduled = false
        // Connections that are lost again meanwhile wait for the next attempt.
        for _ in 0..<lostConnectionCount where phase != .over {
            do throws(Errno) {
                let socket = try LoadRun.connect(endpoint, plan.trusted)
                lostConnectionCount -= 1
                adopt(socket)
            } catch {
                return scheduleReconnect()
            }
        }
    }
}
