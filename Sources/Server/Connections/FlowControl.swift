// When a connection continues: when it reads, processes requests, starts one that waits, and produces rows. A value
// without I/O: the connection reports events, and does what it answers at the end of each turn.
//
// What can wait, and for what:
//
//     bytes in the socket       output full; too many requests in flight; a long request is decoded; input full
//     requests in the input     the first three, or others' turns
//     requests of a session     the one before; output full; others' turns
//     rows of a cursor          output full
//
// A client that reads empties a full output: while there is output, `write` is among the actions. A driver ends a
// request; a worker ends decoding. In whatever order these happen, the same function looks at everything that waits, so
// nothing depends on the single event that was expected when it was put aside.

/// The flow control of one connection.
///
/// - Thread: its connection's.
struct FlowControl: Equatable {
    /// What a request in flight is doing.
    enum Stage {
        /// The daemon works on it; that ends without the client.
        case working
        /// Behind others of its session.
        case queued
        /// Until the client has read more.
        case waitingForOutput
        /// Until the client asks for the next page, or gives it up.
        case waitingForFetch
    }

    /// The state at the end of a turn.
    struct Turn {
        var outputByteCount: Int
        var inputByteCount: Int
        /// One frame and its length may have to be kept.
        var inputByteCountMax: Int
        var requestsInFlightMax: Int
        /// False if nothing more may be read: the client has sent everything, or the connection is leaving.
        var mayRead: Bool
        /// The same for requests that were received already.
        var mayLook: Bool
    }

    /// What to do.
    struct Actions: OptionSet {
        let rawValue: UInt8

        /// Cursors that wait for output go on.
        static let resumeRows = Actions(rawValue: 1)
        /// Call `continuationDidBegin` later, after the others of the loop.
        static let goOn = Actions(rawValue: 2)
        /// Wait for something to read.
        static let read = Actions(rawValue: 4)
        /// Wait for the client to have read.
        static let write = Actions(rawValue: 8)
    }

    /// Output from which nothing more is produced, in bytes: no request is processed or started, and cursors pause.
    static let outputHighWaterByteCount = 256 << 10
    /// Output below which that ends. Less than the other, so that a cursor does not stop and start for each frame.
    static let outputLowWaterByteCount = 64 << 10

    /// Between the two marks it keeps its value.
    private var isOutputFull = false
    /// A worker decodes a long request; the next requests wait, so that they keep their order.
    private(set) var isDecoding = false
    /// The input may contain complete requests.
    var isInputReady = false
    /// A session may have a request that could start, but for the output or others' turns.
    private var hasHeldRequests = false
    /// `goOn` was answered, and the continuation has not begun yet.
    private var isContinuationDue = false
    private var workingCount = 0
    private var queuedCount = 0
    private var outputWaiterCount = 0
    private var fetchWaiterCount = 0

    // MARK: Events

    /// A request did not end at once.
    mutating func requestDidBegin(_ stage: Stage) { count(stage, 1) }

    mutating func requestDidMove(from former: Stage, to stage: Stage) {
        count(former, -1)
        count(stage, 1)
    }

    mutating func requestDidEnd(_ stage: Stage) { count(stage, -1) }

    private mutating func count(_ stage: Stage, _ change: Int) {
        switch stage {
        case .working: workingCount += change
        case .queued: queuedCount += change
        case .waitingForOutput: outputWaiterCount += change
        case .waitingForFetch: fetchWaiterCount += change
        }
    }

    /// A request of a session was not started although none runs there.
    mutating func requestWasHeld() { hasHeldRequests = true }

    mutating func decodingDidBegin() { isDecoding = true }
    mutating func decodingDidEnd() { isDecoding = false }

    /// The continuation that `goOn` asked for begins; if it cannot, `continuationIsDue` is called.
    mutating func continuationDidBegin() { isContinuationDue = false }

    /// The continuation has to be scheduled again.
    /// - Returns: false if it is scheduled already.
    mutating func continuationIsDue() -> Bool {
        defer { isContinuationDue = true }
        return !isContinuationDue
    }

    /// The sessions are about to be checked for requests.
    /// - Returns: whether one of them may have a request to start.
    mutating func takeHeldRequests() -> Bool {
        defer { hasHeldRequests = false }
        return hasHeldRequests
    }

    // MARK: Questions

    /// Whether rows may be produced and requests started.
    mutating func mayProduce(outputByteCount: Int) -> Bool {
        if outputByteCount >= Self.outputHighWaterByteCount { isOutputFull = true }
        return !isOutputFull
    }

    /// Whether the next request may be processed.
    mutating func mayLook(outputByteCount: Int, requestsInFlightMax: Int) -> Bool {
        mayProduce(outputByteCount: outputByteCount) && mayLook(requestsInFlightMax)
    }

    private func mayLook(_ requestsInFlightMax: Int) -> Bool {
        !isDecoding && (inFlightCount < requestsInFlightMax || isFullOfFetchWaiters)
    }

    private var inFlightCount: Int { workingCount &+ queuedCount &+ outputWaiterCount &+ fetchWaiterCount }

    /// Everything in flight waits for `fetch`, or behind such a query: only the client's input can end that, so it must
    /// be read. One more request is refused.
    private var isFullOfFetchWaiters: Bool {
        fetchWaiterCount > 0 && workingCount == 0 && outputWaiterCount == 0 && !hasHeldRequests
    }

    // MARK: The end of a turn

    /// Decides how to continue. Called when all output was given to the socket, and after anything that may have
    /// changed the state.
    mutating func turnDidEnd(_ turn: Turn) -> Actions {
        if turn.outputByteCount < Self.outputLowWaterByteCount {
            isOutputFull = false
        } else if turn.outputByteCount >= Self.outputHighWaterByteCount {
            isOutputFull = true
        }
        var actions: Actions = turn.outputByteCount > 0 ? .write : []
        if isOutputFull { return actions }
        if outputWaiterCount > 0 { actions.insert(.resumeRows) }
        let mayLook = turn.mayLook && mayLook(turn.requestsInFlightMax)
        if hasHeldRequests || (isInputReady && mayLook), !isContinuationDue {
            isContinuationDue = true
            actions.insert(.goOn)
        }
        if mayLook, turn.mayRead, turn.inputByteCount < turn.inputByteCountMax { actions.insert(.read) }
        return actions
    }
}
