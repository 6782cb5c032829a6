// What was sent to a Redis server, and what its replies mean: a value that takes events and returns what to do. It knows
// no reader and no socket, so tests can try events in any order.
//
// `steps` are the commands without a complete reply. A reply comes element by element and belongs to the first of them.
//
// Source: https://redis.io/docs/latest/develop/using-commands/transactions/

internal import DatabaseContract
internal import RemoteDatabases

/// The commands and replies of one connection.
struct RedisExchange: BatchExchange {
    /// A command of the daemon's own.
    enum OwnCommand {
        case multi, exec, discard, unwatch
        /// Returns to the database of the URL.
        case select
        /// The next command is for a slot that is on its way to this server.
        case asking
    }

    /// A command that has no complete reply yet.
    private struct Step {
        enum Kind {
            /// The daemon's own.
            case own
            /// The client's.
            case statement
            /// EXEC of an atomic batch.
            case commit
        }

        /// What it does to the transaction.
        enum Effect { case none, watch, begin, execute, discard }

        var kind = Kind.own
        var position: BatchPosition?
        var effect = Effect.none
        /// How many replicas have to have the writes before it.
        var replicaCount: Int64?
        /// Data may change when it runs, which is at once.
        var mayChange = false
        /// Its error may be a client's own words, after it has run (`RedisCommandTable.Properties`).
        var answersFreely = false
        /// ASKING.
        var isAsking = false
    }

    /// An element of a reply: the reply itself, or one inside its arrays.
    struct Element {
        enum Kind { case value, null, error }

        var kind = Kind.value
        /// 0 for the reply itself.
        var depth = 0
        /// Its position in the array around it.
        var index = 0
        /// If it is a number.
        var integer: Int64 = 0
    }

    /// What the client of the run wants.
    struct Demand {
        /// It waits for the end of the run.
        var hasClient = true
        /// Rows are dropped, because the run is being stopped.
        var isDiscarding = false
    }

    /// What to do with an element.
    enum Action {
        case none
        /// It belongs to the client's rows.
        case row
        /// The rest of the rows is dropped.
        case dropRows
    }

    /// What is known of the present run: replaced as a whole when the next one begins.
    struct RunState {
        var isReadOnly = false
        var isSession = false
        /// The command waits at the server until another client does something.
        var mayBlock = false
        /// The sink has a complete frame.
        var isFull = false
        /// A frame was handed over.
        var hasFilled = false
        /// The rest of the reply is of no use.
        var isDropping = false
        /// Something has been executed, or may have been, that a repetition would do twice.
        var hasChanged = false
        /// Why the server does not take ASKING.
        var askingRefusal: DriverError?
        var batchElements = RedisBatchElements()
    }

    private var steps: [Step] = []
    private var nextStep = 0
    private(set) var current = RunState()
    /// What went wrong first in this run.
    var failure: DriverError?
    var batch: BatchController?

    private(set) var transaction = TransactionState.none
    private var hasWatched = false
    private var hasSelected = false
    /// The server has begun a transaction of the daemon's on this connection: the login may do it.
    private var mayBegin = false
    /// MULTI of an atomic batch was sent and is not answered yet.
    private var isBeginning = false

    /// The reply to the first step is an error.
    private var isError = false
    /// The reply to the first step was read as a whole; its last rows may still wait for room.
    private(set) var isReplyRead = false

    // MARK: Sending

    /// A run begins: everything before it was answered.
    mutating func beginRun(_ mode: RunMode) {
        failure = nil
        batch = nil
        current = RunState(isReadOnly: mode.isReadOnly, isSession: mode.isSession)
    }

    /// Everything is to be cleared that commands have left on the connection.
    /// - Returns: what to send for it. Without anything left, it is nothing: another user's turn costs no round trip.
    mutating func beginReset() -> [OwnCommand] {
        failure = nil
        batch = nil
        current = RunState(isDropping: true)
        var commands: [OwnCommand] = []
        if transaction != .none { commands.append(.discard) }
        if hasWatched { commands.append(.unwatch) }
        if hasSelected { commands.append(.select) }
        hasWatched = false
        hasSelected = false
        return commands
    }

    mutating func didSend(_ command: OwnCommand) {
        switch command {
        case .multi:
            isBeginning = true
            steps.append(Step(effect: .begin))
        case .exec: steps.append(Step(kind: .commit, effect: .execute))
        case .discard: steps.append(Step(effect: .discard))
        case .unwatch, .select: steps.append(Step())
        case .asking: steps.append(Step(isAsking: true))
        }
    }

    /// A command of the client's was sent. `isReading`: it only reads, as the server says. `answersFreely`: its errors may be a client's
    /// words. `replicaCount`: how many replicas a WAIT asks for, where fewer are an error.
    mutating func didSend(
        _ command: RedisCommand, _ position: BatchPosition?, isReading: Bool, answersFreely: Bool = false,
        replicaCount: Int64? = nil, _ effect: inout StatementEffect
    ) {
        if position == nil { current.mayBlock = command.mayBlock && transaction == .none }
        if position != nil, isAtomicBatch { current.batchElements.add(position) }
        let mayChange = mayChange(command, isReading: isReading) && !isAtomicBatch
        if mayChange { effect.noteSent(.commits) }
        steps.append(
            Step(
                kind: .statement, position: position, effect: stepEffect(of: command), replicaCount: replicaCount,
                mayChange: mayChange && !command.onlyWaits, answersFreely: answersFreely))
    }

    /// Whether data may change when the command runs. Inside a transaction that is when EXEC does.
    private func mayChange(_ command: RedisCommand, isReading: Bool) -> Bool {
        if command.name == "EXEC" { return !current.isReadOnly }
        return transaction == .none && !isReading
    }

    private mutating func stepEffect(of command: RedisCommand) -> Step.Effect {
        switch command.name {
        case "MULTI": return .begin
        case "EXEC": return .execute
        case "DISCARD": return .discard
        case "WATCH":
            hasWatched = true
            return .watch
        case "SELECT":
            hasSelected = true
            return .none
        default: return .none
        }
    }

    private var isAtomicBatch: Bool { batch?.isAtomic == true }
    /// Nothing may follow before MULTI is answered: where the login may not send it, what is behind it would be executed by itself.
    var mustAwaitBegin: Bool { isBeginning && !mayBegin }
    /// Whose reply is arriving, for a node of a cluster. A WAIT has done nothing that could be repeated.
    var refusalStep: RedisRefusals.Step {
        switch step.kind {
        case .own: .other
        case .statement: step.replicaCount == nil ? .ofClient : .other
        case .commit: .commit
        }
    }
    /// CLIENT UNBLOCK ends what the server does for the run.
    var canUnblock: Bool { current.mayBlock }

    var isAwaiting: Bool { nextStep < steps.count }
    var unansweredCount: Int { steps.count - nextStep }
    private var step: Step { nextStep < steps.count ? steps[nextStep] : Step() }

    // MARK: Receiving

    /// Takes an element of the reply to the first step. `error` is the error that the element is, if it is one.
    mutating func take(
        _ element: Element, _ error: @autoclosure () -> DriverError, _ demand: Demand, _ effect: StatementEffect
    ) -> Action {
        let step = step
        if element.depth == 0 {
            isError = element.kind == .error
            if step.mayChange, hasChanged(element, step) { current.hasChanged = true }
            if isError {
                // What follows may be executed all the same, and tells then whether ASKING was needed.
                if step.isAsking { noteAskingRefusal(error()) } else { note(error(), at: step.position) }
                return .none
            }
        }
        if element.depth == 0, let wanted = step.replicaCount, element.integer < wanted {
            note(Self.tooFewReplicas(element.integer, of: wanted), at: step.position)
        }
        if step.effect == .execute, element.depth <= 1 { takeExecuted(element, error(), step) }
        guard isForClient(step), failure == nil, !current.isDropping, demand.hasClient else { return .none }
        guard demand.isDiscarding, current.hasFilled || !Self.mayHaveChanged(effect) else { return .row }
        dropRest(effect)
        return .dropRows
    }

    /// Whether a reply to what may change data leaves it open that it has, and that the whole run must not be repeated for an error.
    private func hasChanged(_ element: Element, _ step: Step) -> Bool {
        if element.kind == .error { return step.answersFreely && transaction == .none }
        if step.effect == .execute { return batch != nil && element.kind != .null }
        return batch != nil && transaction == .none
    }

    private mutating func noteAskingRefusal(_ error: DriverError) {
        if current.askingRefusal == nil { current.askingRefusal = error.ofRefusedAsking }
    }

    /// Why the server does not take ASKING: the reason for what it has refused behind that, if it has.
    var askingRefusal: DriverError? { current.askingRefusal }

    /// Rows of a batch are not sent.
    private func isForClient(_ step: Step) -> Bool {
        step.kind == .statement && step.position == nil && batch == nil
    }

    /// What EXEC says of the queued commands.
    private mutating func takeExecuted(_ element: Element, _ error: @autoclosure () -> DriverError, _ step: Step) {
        if element.depth == 0 {
            if element.kind == .null { note(Self.watchFailed, at: step.position) }
            return
        }
        guard element.kind == .error, batch != nil else { return }
        let position =
            step.kind == .commit ? current.batchElements.position(ofElement: element.index) : step.position
        note(
            error().with {
                $0.detail = [$0.detail.map { $0 + "." }, Self.notRolledBack].compactMap(\.self).joined(separator: " ")
                $0.isRetryable = false
            }, at: position)
    }

    /// The element, or the end of the reply, was made into rows.
    /// - Returns: whether the rest of the rows is dropped.
    mutating func didPush(_ outcome: RedisRows.Outcome, _ demand: Demand, _ effect: StatementEffect) -> Bool {
        switch outcome {
        case .open: return false
        case .full where demand.isDiscarding:
            dropRest(effect)
            return true
        case .full: current.isFull = true
        case .overflow:
            note(Self.rowTooLarge(effect))
            current.isDropping = true
        }
        return false
    }

    /// The client does not want the rows any more. It still has to learn that the command was executed.
    private mutating func dropRest(_ effect: StatementEffect) {
        current.isDropping = true
        if Self.mayHaveChanged(effect) { note(Self.executed) }
    }

    /// The sink has a complete frame, and takes nothing until that was sent.
    var isFull: Bool { current.isFull }

    /// The frame was handed over.
    mutating func didFill() {
        current.isFull = false
        current.hasFilled = true
    }

    /// The reply to the first step was read as a whole.
    /// - Returns: whether the rows of a client end with it.
    mutating func replyDidEnd(_ demand: Demand) -> Bool {
        isReplyRead = true
        return demand.hasClient && isForClient(step) && !current.isDropping
    }

    /// All that the first step has to do is done.
    mutating func stepIsAnswered() {
        switch step.effect {
        case .begin:
            if !isError { transaction = .active }
            if step.kind == .own { didBegin() }
        case .execute, .discard: transaction = .none
        case .none: if isError, transaction == .active { transaction = .failed }
        case .watch: break
        }
        isReplyRead = false
        isError = false
        nextStep += 1
        guard nextStep == steps.count else { return }
        steps.removeAll(keepingCapacity: true)
        nextStep = 0
    }

    /// MULTI of an atomic batch was answered.
    private mutating func didBegin() {
        // What was sent behind it, since it was allowed before, was executed by itself.
        if isError, mayBegin { failure = Self.unknownOutcome("The server refused to begin the batch's transaction") }
        isBeginning = false
        mayBegin = !isError
    }

    // MARK: The end of a run

    /// Records what went wrong; only the first error is reported.
    mutating func note(_ error: DriverError, at position: BatchPosition? = nil) {
        if failure == nil { failure = position.map { error.at($0) } ?? error }
    }

    /// Everything was answered.
    /// - Returns: the error of the run.
    mutating func end() -> DriverError? {
        batch = nil
        guard let error = failure.take() else { return nil }
        return current.hasChanged && error.details.isRetryable ? error.ofPart : error
    }

    /// There are changes that stay, or may stay.
    static func mayHaveChanged(_ effect: StatementEffect) -> Bool { effect.mayStay(connectionIsLost: true) }
}

/// The statements to which the elements of the reply to EXEC belong.
struct RedisBatchElements {
    private var count = 0
    /// Index of the first element for each statement.
    private var starts: [(element: Int, position: BatchPosition)] = []

    mutating func add(_ position: BatchPosition?) {
        guard let position else { return }
        if starts.last?.position.statementIndex != position.statementIndex { starts.append((count, position)) }
        count += 1
    }

    func position(ofElement element: Int) -> BatchPosition? {
        guard let start = starts.last(where: { $0.element <= element }) else { return nil }
        var position = start.position
        position.rowIndex = position.rowIndex.map { $0 + element - start.element }
        return position
    }
}
