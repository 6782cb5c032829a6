// What was sent to a server, what is awaited of it, and what its answers mean: a value that is told what is sent and what comes, and
// says what is to be done. It knows no libpq and no socket, so that it can be tried in any order of events.
//
// `steps` mirrors libpq's queue of commands: each answer that comes belongs to its first one.

internal import DatabaseContract
internal import RemoteDatabases

/// Questions and answers on one connection.
struct PostgreSQLExchange: BatchExchange {
    /// What was sent and not answered yet.
    enum Step {
        /// A statement of ours around the client's.
        case own
        /// Ours, with which all of a batch stays.
        case commit
        /// Fails when a read-only transaction has written.
        case check
        /// The client's, or one of its batch.
        case statement(BatchPosition?)
        /// Parses the next one, and those with further rows behind it.
        case preparation(BatchPosition?)
        /// Tells the client's name, which nothing depends on.
        case introduction
        case description
        case typeNames
        case sync
    }

    /// What libpq hands out.
    enum Answer {
        case row
        /// A command has succeeded.
        /// - `isUnaskedRollback`: it has rolled back, and its text does not say so.
        case success(CommandTag, isUnaskedRollback: Bool)
        case noStatement
        case sync
        /// A command behind one that has failed.
        case skipped
        /// The server's error.
        case failure(DriverError)
        /// libpq's own.
        case trouble(DriverError, isConnected: Bool)
        /// A proxy reports that it has lost the server.
        case loss(String)
        /// The server has begun COPY, which is refused before it is sent.
        case copy
    }

    /// What is to be done with the answer.
    enum Action {
        case none
        /// The next step is the first one.
        case stepEnd
        /// The row is the client's.
        case row
        case typeNames
        case description
        /// A statement of the client's has succeeded.
        case statementEnd(BatchPosition?, CommandTag)
        case broken(DriverError)
        case lost
    }

    private var steps: [Step] = []
    private var nextStep = 0
    /// libpq has taken the end of the present step's result; nothing more belongs to it.
    private var hasEnded = false
    /// The server has said what nobody had asked for, or what makes no sense: what comes next may belong to anything.
    private(set) var isOutOfStep = false

    private var isSession = false
    /// What went wrong first in this run.
    var failure: DriverError?
    var batch: BatchController?
    /// `failure` is what the server said of this run.
    private var isFailureOfServer = false
    /// Why the connection is lost, in the words of who has lost the server.
    private var lossDetail: String?

    // MARK: Sending

    /// A run begins: everything before it was answered.
    mutating func beginRun(isSession: Bool) {
        self.isSession = isSession
        failure = nil
        batch = nil
        isFailureOfServer = false
        lossDetail = nil
    }

    mutating func didSend(_ step: Step) { steps.append(step) }

    var isAwaiting: Bool { nextStep < steps.count }
    var unansweredCount: Int { steps.count - nextStep }

    /// What the next answer belongs to.
    private var step: Step { nextStep < steps.count ? steps[nextStep] : .sync }
    /// Whether that has rows, or may have.
    var awaitsRows: Bool { if isAwaiting, case .sync = step { false } else { true } }
    var isIntroducing: Bool { if case .introduction? = steps.first { true } else { false } }
    /// Whether a notice that comes is the client's; those of our own statements around its are nobody's.
    var isAtStatement: Bool {
        switch step {
        case .statement, .preparation, .commit: true
        default: false
        }
    }

    // MARK: Receiving

    /// libpq has dropped an answer for which there was no question, or tells what cannot be.
    mutating func noteOutOfStep() { isOutOfStep = true }

    /// The first step has all of its answers.
    mutating func stepIsAnswered() {
        hasEnded = false
        nextStep += 1
        guard nextStep >= steps.count else { return }
        steps.removeAll(keepingCapacity: true)
        nextStep = 0
    }

    /// Takes one answer.
    mutating func take(_ answer: Answer, _ effect: inout StatementEffect) -> Action {
        guard isExpected(answer) else { return .broken(nonsense("It answers what it was not asked.", effect)) }
        switch answer {
        case .trouble(let error, isConnected: true): return .broken(nonsense(error.details.message, effect))
        case .copy: return .broken(nonsense("It began a COPY, which the daemon's protocol does not support.", effect))
        default: break
        }
        let action = digest(answer, &effect)
        return lossDetail == nil ? action : .lost
    }

    /// Takes what the server said last, behind which the connection is lost: that it has committed, and why it ends the connection.
    mutating func takeLast(_ answer: Answer, _ effect: inout StatementEffect) -> Action {
        switch answer {
        case .row, .noStatement, .copy: .none
        default: digest(answer, &effect)
        }
    }

    /// Whether an answer can be one of the present step. After a mistake of the server's nothing is sure any more, least of
    /// all which client's question it answers.
    private func isExpected(_ answer: Answer) -> Bool {
        switch (step, answer) {
        case (_, .failure), (_, .trouble), (_, .loss): true
        case (.sync, .sync): true
        case (.sync, _), (_, .sync): false
        // Only what runs has a tag.
        case (.preparation, .success(let tag, _)), (.description, .success(let tag, _)): !hasEnded && tag.isEmpty
        default: !hasEnded
        }
    }

    private mutating func digest(_ answer: Answer, _ effect: inout StatementEffect) -> Action {
        switch answer {
        case .row: return takeRow()
        case .success(let tag, let isUnaskedRollback): return takeEnd(tag, isUnaskedRollback, &effect)
        case .noStatement: note(PostgreSQLDriver.noStatement)
        case .sync:
            stepIsAnswered()
            return .stepEnd
        case .skipped, .copy: break
        case .failure(let error): take(error, isServers: true)
        case .trouble(let error, _): take(error, isServers: false)
        case .loss(let detail): lossDetail = detail
        }
        return .none
    }

    private func takeRow() -> Action {
        switch step {
        case .typeNames: .typeNames
        case .statement where batch == nil: .row
        default: .none
        }
    }

    private mutating func takeEnd(
        _ tag: CommandTag, _ isUnaskedRollback: Bool, _ effect: inout StatementEffect
    ) -> Action {
        hasEnded = true
        switch step {
        case .own, .check, .sync, .preparation, .introduction, .typeNames: return .none
        case .description: return .description
        case .commit:
            // What it has rolled back it should have refused.
            if tag.commits {
                effect.confirm()
            } else {
                note(nonsense("It answered COMMIT with something else.", effect))
                isOutOfStep = true
            }
            return .none
        case .statement(let position):
            if tag.commits { effect.confirm() }
            if isUnaskedRollback { note(.rolledBackByCommit) }
            return .statementEnd(position, tag)
        }
    }

    private mutating func take(_ error: DriverError, isServers: Bool) {
        switch step {
        case .check where error.details.sqlState == Self.divisionByZero: return note(Self.hasWritten)
        case .introduction: return
        default: break
        }
        if failure == nil, isServers { isFailureOfServer = true }
        note(error.told(isSession: isSession))
    }

    /// What goes wrong first is what the client is told, with the place in its batch.
    mutating func note(_ error: DriverError) {
        guard failure == nil else { return }
        switch step {
        case .statement(let position?), .preparation(let position?): failure = error.at(position)
        default: failure = error
        }
    }

    private static let divisionByZero = "22012"
    private static let hasWritten = DriverError(
        .readOnly, "The statement wrote in a read-only transaction, which was therefore not committed.",
        hint: "Open the database for writing.", sqlState: "25006")

    // MARK: The end of a run

    /// Everything was answered. `transaction` is as the server has told it; `nil` when that cannot be.
    /// - Returns: the run's error.
    mutating func end(_ effect: StatementEffect, _ transaction: TransactionState?) -> DriverError? {
        // The server has ended the connection between the commit and the end of its pipeline: the run has succeeded.
        if effect.isDone, isFailureOfServer, isTerminated { failure = nil }
        if transaction == nil { isOutOfStep = true }
        defer {
            failure = nil
            batch = nil
        }
        if let failure { return failure }
        guard let transaction, !effect.isDone || isSession || transaction == .none else {
            return nonsense("It tells a state of the transaction that cannot be.", effect)
        }
        // Reset ends it.
        return isSession || transaction == .none ? nil : PostgreSQLDriver.needsSession
    }

    // MARK: The end of the connection

    /// The connection is lost, and its last words were taken.
    /// - Returns: the run's error; `nil` when it has succeeded.
    mutating func lose(_ effect: StatementEffect) -> DriverError? {
        steps.removeAll()
        nextStep = 0
        // Of a batch that is not atomic there may be more to do.
        guard effect.isDone, batch?.isAtomic != false, !isFailureOfServer || isTerminated else {
            return lostError(effect)
        }
        failure = nil
        return nil
    }

    /// What is told where the connection is lost.
    func lostError(_ effect: StatementEffect) -> DriverError {
        // An error of the statement is one, whatever came behind it. When the server ends the connection it says so before
        // it begins, or instead of committing.
        if let failure, isFailureOfServer,
            !isTerminated || !(effect.mayStay(connectionIsLost: true) && effect.isDivisible)
        {
            return failure
        }
        return DriverError.lost(effect, isSession: isSession).with {
            if let lossDetail { $0.detail = [$0.detail, lossDetail].compactMap(\.self).joined(separator: " ") }
        }
    }

    /// What the server says makes no sense.
    func nonsense(_ detail: String, _ effect: StatementEffect) -> DriverError {
        if let failure, isFailureOfServer { return failure }
        return .nonsense(detail, effect)
    }

    /// It sends more in one message than any reply may hold.
    func tooLong(_ effect: StatementEffect) -> DriverError {
        if let failure, isFailureOfServer { return failure }
        guard effect.mayStay(connectionIsLost: true) else { return .rowTooLarge }
        return .unknownOutcome("The server sent a row that is larger than a reply may be (row_bytes_max)")
    }

    /// The server ends the connection in good order.
    private static let terminated = "57P01"
    private var isTerminated: Bool { failure?.details.sqlState == Self.terminated }
}

extension DriverError {
    /// An error of the connection's state, told to a client without a session, who has no such state.
    fileprivate func told(isSession: Bool) -> DriverError {
        guard !isSession, details.sqlState == "25P01" else { return self }
        return PostgreSQLDriver.needsSession.with { $0.detail = details.message }
    }
}
