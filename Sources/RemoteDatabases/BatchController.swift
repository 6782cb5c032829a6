// Batches on a server, for all engines: which statement is next, how many may be on their way, what a failure does, and what is
// told. A value that knows no server, so that it can be tried in any order of events; an engine only sends.

package import DatabaseContract

/// How far a batch is.
package struct BatchController: Sendable {
    /// What is to be sent now.
    package enum Action: Equatable, Sendable {
        /// Nothing, until more is answered or there is room.
        case wait
        /// The next statement, if there is one.
        case statement
        /// Not the next statement, since the run is to stop; it is named, as the first that did not take effect.
        case refusedStatement
        /// Nothing more: the run is to stop, and all of the batch with it.
        case refusal
        /// With which everything stays.
        case commit
        /// With which nothing stays.
        case undo
        /// Nothing any more: everything was sent, and is answered.
        case end
    }

    /// What an action depends on, besides the batch itself.
    package struct Situation: Sendable {
        /// What was sent and is not answered yet.
        package var unansweredCount = 0
        /// The connection takes more.
        package var hasRoom = true
        package var hasFailed = false
        /// The run is to stop.
        package var isStopping = false
        /// The client does not wait any longer.
        package var isAbandoned = false

        package init() {}
    }

    private enum Phase {
        case sending
        /// No statement is left; all that were sent stay with `commit`.
        case exhausted
        case committing
        /// What was sent does not stay, or nothing more is to be sent.
        case givenUp
        case over
    }

    /// All or nothing.
    package let isAtomic: Bool
    /// Within a transaction of the session's: a savepoint stands for it.
    package let isNested: Bool
    /// A statement that fails concerns no other one, and nothing is undone behind `commit` (Redis).
    private let keepsOnBehindFailure: Bool
    private let unansweredCountMax: Int
    private var phase = Phase.sending
    /// One more than the index of the last statement that was sent.
    package private(set) var statementCount = 0

    /// At most `unansweredCountMax` statements, and what the engine puts around them, are on their way.
    package init(
        isAtomic: Bool, isNested: Bool = false, unansweredCountMax: Int = 1, keepsOnBehindFailure: Bool = false
    ) {
        self.isAtomic = isAtomic
        self.isNested = isNested
        self.unansweredCountMax = unansweredCountMax
        self.keepsOnBehindFailure = keepsOnBehindFailure
    }

    // MARK: Events

    /// A statement was sent.
    package mutating func didSend(_ position: BatchPosition) { statementCount = position.statementIndex + 1 }

    /// There was no next statement.
    package mutating func didExhaust() { phase = isAtomic ? .exhausted : .over }

    package mutating func didCommit() { phase = .committing }

    /// A statement could not be sent, or was refused: none behind it is.
    package mutating func giveUp() { if phase == .sending || phase == .exhausted { phase = .givenUp } }

    // MARK: What follows

    /// Whether it is worth while to send more before everything is answered.
    package func mayRefill(_ unansweredCount: Int) -> Bool { unansweredCount < unansweredCountMax / 2 }

    /// To be done, and reported, before it is asked again.
    /// - Returns: what is to be sent now.
    package mutating func next(_ situation: Situation) -> Action {
        let isAnswered = situation.unansweredCount == 0
        switch phase {
        case .sending: return nextStatement(situation)
        case .exhausted: return .commit
        case .committing:
            guard isAnswered else { return .wait }
            let isUndone = (situation.hasFailed || situation.isAbandoned) && !keepsOnBehindFailure
            phase = .over
            return isUndone ? .undo : .end
        case .givenUp: return end()
        case .over: return isAnswered ? .end : .wait
        }
    }

    private mutating func nextStatement(_ situation: Situation) -> Action {
        if situation.isAbandoned { return situation.unansweredCount == 0 ? end() : .wait }
        if situation.hasFailed, isAtomic || !keepsOnBehindFailure { return end() }
        guard situation.unansweredCount < unansweredCountMax, situation.hasRoom else { return .wait }
        guard situation.isStopping else { return .statement }
        // The statements before it have taken effect, where each stands for itself.
        return isAtomic ? .refusal : .refusedStatement
    }

    private mutating func end() -> Action {
        phase = .over
        return isAtomic ? .undo : .wait
    }
}

/// What an engine's exchange knows of its run and its batch.
package protocol BatchExchange {
    /// The batch that is under way.
    var batch: BatchController? { get set }
    /// What went wrong first in the run.
    var failure: DriverError? { get set }
    /// Statements, and what the engine puts around them, that have no complete answer yet.
    var unansweredCount: Int { get }
}

/// What an engine does for a batch.
package protocol BatchSender: ServerConnection {
    associatedtype Exchange: BatchExchange

    var exchange: Exchange { get set }
    var hasRoomForBatch: Bool { get }
    /// Begins an atomic batch: a transaction, or a savepoint if it is nested.
    func sendBatchBegin() throws(DriverError)
    /// Sends the statement that the run has at the moment, if it may be sent.
    /// - Returns: bytes that this loop had to copy.
    func sendBatchStatement(_ run: StatementRun, _ position: BatchPosition) throws(DriverError) -> Int
    /// Has the server answer the statements that were sent, of an atomic batch that goes on.
    func flushBatch() throws(DriverError)
    func sendBatchCommit() throws(DriverError)
    func sendBatchUndo()
}

/// Bytes of texts and values that are copied in one turn.
private let turnByteCountMax = 256 << 10

extension BatchSender {
    package var batch: BatchController? {
        get { exchange.batch }
        set { exchange.batch = newValue }
    }
    package var failure: DriverError? {
        get { exchange.failure }
        set { exchange.failure = newValue }
    }
    private var unansweredCount: Int { exchange.unansweredCount }

    package func flushBatch() throws(DriverError) {}

    /// Begins a batch, and sends what may be sent at once.
    package func begin(_ batch: BatchController, _ run: StatementRun) throws(DriverError) {
        run.batchSummaries = []
        run.rewindBatch()
        self.batch = batch
        do throws(DriverError) {
            if batch.isAtomic { try sendBatchBegin() }
        } catch {
            self.batch = nil
            throw error
        }
        goOnWithBatch()
    }

    /// Everything that was sent is answered.
    /// - Returns: true when more was sent.
    package func continueBatch() -> Bool {
        if batch == nil { return false }
        goOnWithBatch()
        return unansweredCount > 0
    }

    /// While earlier statements are under way.
    package func continueBatchWhileWaiting() {
        if batch?.mayRefill(unansweredCount) == true { goOnWithBatch() }
    }

    /// Sends as much as may be sent.
    private func goOnWithBatch() {
        var byteCount = 0
        var isFlushDue = false
        while true {
            let situation = batchSituation(byteCount < turnByteCountMax)
            switch batch?.next(situation) {
            case .statement:
                isFlushDue = true
                sendNext(isRefused: false, &byteCount)
            case .refusedStatement: sendNext(isRefused: true, &byteCount)
            case .refusal: if let reason = run?.stopReason { giveUpBatch(.stopped(reason)) }
            case .commit:
                isFlushDue = false
                do throws(DriverError) {
                    try sendBatchCommit()
                    batch?.didCommit()
                } catch {
                    giveUpBatch(error)
                }
            case .undo:
                isFlushDue = false
                sendBatchUndo()
            case .wait, .end, nil:
                guard isFlushDue, batch?.isAtomic == true else { return }
                isFlushDue = false
                do throws(DriverError) { try flushBatch() } catch { giveUpBatch(error) }
            }
        }
    }

    private func batchSituation(_ hasTime: Bool) -> BatchController.Situation {
        var situation = BatchController.Situation()
        situation.unansweredCount = unansweredCount
        situation.hasRoom = hasTime && hasRoomForBatch
        situation.hasFailed = failure != nil
        situation.isStopping = run?.stopReason != nil
        situation.isAbandoned = run == nil
        return situation
    }

    private func sendNext(isRefused: Bool, _ byteCount: inout Int) {
        guard let run else { return }
        var position: BatchPosition?
        do throws(DriverError) {
            guard let next = try run.nextBatchStatement() else {
                batch?.didExhaust()
                return
            }
            position = next
            if isRefused, let reason = run.stopReason { throw .stopped(reason) }
            byteCount += try sendBatchStatement(run, next)
            batch?.didSend(next)
        } catch {
            giveUpBatch(position.map { error.at($0) } ?? error)
        }
    }

    /// A statement of the client's has succeeded.
    package func noteDone(_ summary: StatementSummary, _ position: BatchPosition?) {
        if batch != nil {
            run?.addToBatch(summary, position)
            return
        }
        current.isDone = true
        run?.summary = summary
    }

    private func giveUpBatch(_ error: DriverError) {
        if failure == nil { failure = error }
        batch?.giveUp()
    }
}

extension StatementRun {
    /// A statement of a batch has succeeded.
    package func addToBatch(_ summary: StatementSummary, _ position: BatchPosition?) {
        guard let position else { return }
        if let rowIndex = position.rowIndex, rowIndex > 0, let last = batchSummaries.indices.last {
            // The server's numbers: whatever they are, their sum must not end the daemon.
            let (sum, overflow) = batchSummaries[last].rowsAffected.addingReportingOverflow(summary.rowsAffected)
            batchSummaries[last].rowsAffected = overflow ? .max : sum
            batchSummaries[last].warningCount += summary.warningCount
            batchSummaries[last].lastInsertID = summary.lastInsertID ?? batchSummaries[last].lastInsertID
        } else {
            // A statement with no parameter rows was not run, and keeps its place.
            while batchSummaries.count < position.statementIndex { batchSummaries.append(StatementSummary()) }
            batchSummaries.append(summary)
        }
    }
}
