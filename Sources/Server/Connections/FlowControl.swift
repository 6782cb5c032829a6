// When a connection goes on: when it reads, when it looks at requests, when one that waits is begun, when rows are made. A
// value without input or output: the connection tells it what happens, and does what it answers at the end of each turn.
//
// What can wait, and who ends that:
//
//     bytes in the socket       output full; too many requests in flight; a long request is decoded; input full
//     requests in the input     the first three, or others' turns
//     requests of a session     the one before; output full; others' turns
//     rows of a cursor          output full
//
// A full output is ended by the client that reads, for which `write` is among the actions as long as there is output; a
// request by its driver; decoding by a worker. Whatever the order in which these end, the same function looks at all that
// waits: nothing is woken by the one event that was thought of when it was put aside.

/// The flow control of one connection.
///
/// - Thread: its connection's.
struct FlowControl: Equatable {
    /// What a request in flight does.
    enum Stage {
        /// Something of the daemon's goes on, and ends by itself.
        case working
        /// Behind others of its session.
        case queued
        /// Until the client has read more.
        case waitingForOutput
        /// Until the client asks for the next page, or gives it up.
        case waitingForFetch
    }

    /// What a turn has left.
    struct Turn {
        var outputByteCount: Int
        var inputByteCount: Int
        /// One frame and its length may have to be kept.
        var inputByteCountMax: Int
        var requestsInFlightMax: Int
        /// False when nothing more is to be read: the client has said all, or the connection is on its way out.
        var mayRead: Bool
        /// The same for requests that are here already.
        var mayLook: Bool
    }

    /// What is to be done.
    struct Actions: OptionSet {
        let rawValue: UInt8

        /// Cursors that wait for output go on.
        static let resumeRows = Actions(rawValue: 1)
        /// Come back behind the others of the loop, for `continuationDidBegin`.
        static let goOn = Actions(rawValue: 2)
        /// Wait for something to read.
        static let read = Actions(rawValue: 4)
        /// Wait for the client to have read.
        static let write = Actions(rawValue: 8)
    }

    /// Output from which on nothing more is made, in bytes: no request is looked at or begun, and cursors rest.
    static let outputHighWaterByteCount = 256 << 10
    /// Output below which that ends. Less than the other, so that a cursor does not go to and fro for each frame.
    static let outputLowWaterByteCount = 64 << 10

    /// Between the two marks it is as it was.
    private var isOutputFull = false
    /// A worker decodes a long request; those behind it wait, so that their order stays.
    private(set) var isDecoding = false
    /// Complete requests may be among the input.
    var isInputReady = false
    /// A session may have a request that could begin, but for the output or others' turns.
    private var hasHeldRequests = false
    /// `goOn` was answered, and has not come to pass yet.
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

    /// A request of a session was not begun although none runs there.
    mutating func requestWasHeld() { hasHeldRequests = true }

    mutating func decodingDidBegin() { isDecoding = true }
    mutating func decodingDidEnd() { isDecoding = false }

    /// What `goOn` has asked for comes to pass; or cannot yet, and `continuationIsDue` says so.
    mutating func continuationDidBegin() { isContinuationDue = false }

    /// Somebody comes back.
    /// - Returns: false when that is arranged already.
    mutating func continuationIsDue() -> Bool {
        defer { isContinuationDue = true }
        return !isContinuationDue
    }

    /// The sessions are looked at.
    /// - Returns: whether one of them may have something to begin.
    mutating func takeHeldRequests() -> Bool {
        defer { hasHeldRequests = false }
        return hasHeldRequests
    }

    // MARK: Questions

    /// Whether rows may be made, and requests begun.
    mutating func mayProduce(outputByteCount: Int) -> Bool {
        if outputByteCount >= Self.outputHighWaterByteCount { isOutputFull = true }
        return !isOutputFull
    }

    /// Whether the next request may be looked at.
    mutating func mayLook(outputByteCount: Int, requestsInFlightMax: Int) -> Bool {
        mayProduce(outputByteCount: outputByteCount) && mayLook(requestsInFlightMax)
    }

    private func mayLook(_ requestsInFlightMax: Int) -> Bool {
        !isDecoding && (inFlightCount < requestsInFlightMax || isFullOfFetchWaiters)
    }

    private var inFlightCount: Int { workingCount &+ queuedCount &+ outputWaiterCount &+ fetchWaiterCount }

    /// All that is in flight waits for pages to be asked for, or behind such a query: only what the client sends can end that, so
    /// that it must be read. What is one request more is refused.
    private var isFullOfFetchWaiters: Bool {
        fetchWaiterCount > 0 && workingCount == 0 && outputWaiterCount == 0 && !hasHeldRequests
    }

    // MARK: The end of a turn

    /// Decides how it goes on. Called when all that was to be sent was given to the socket, and after whatever may have
    /// changed something.
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
