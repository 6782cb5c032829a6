// The exchange with a PostgreSQL server, and batches on it, against a server that is played: whatever fails, and wherever the
// connection ends, the client is told nothing that is not so.

import LinuxSystem
import LiteBaseTesting
import SQLText
import Testing

@testable import DatabaseContract
@testable import PostgreSQLEngine
@testable import RemoteDatabases

/// A server as simple as it can be: statements are numbers, which are in its table when they are committed.
private struct PlayedServer {
    enum Reply {
        case answer(PostgreSQLExchange.Answer)
        /// libpq's sign that a command has no more answers.
        case end
    }

    typealias Message = (plan: PostgreSQLPlan.Message, number: Int)

    var committed: Set<Int> = []
    var pending: Set<Int> = []
    var transaction = TransactionState.none
    /// Statements that fail, and those that have committed before their end (CALL).
    var failing: Set<Int> = []
    var committing: Set<Int> = []
    var commitFails = false
    private var savepoint: Set<Int> = []
    private var isSkipping = false

    private func success(_ tag: StaticString) -> [Reply] {
        let text = UnsafeRawPointer(tag.utf8Start).assumingMemoryBound(to: CChar.self)
        return [.answer(.success(CommandTag(text), isUnaskedRollback: false)), .end]
    }

    private mutating func fail(_ sqlState: String) -> [Reply] {
        isSkipping = true
        if transaction == .active { transaction = .failed } else { pending = [] }
        return [.answer(.failure(DriverError(.databaseError, "no", sqlState: sqlState))), .end]
    }

    mutating func execute(_ message: Message) -> [Reply] {
        if case .sync = message.plan {
            isSkipping = false
            if transaction == .none { commit() }
            return [.answer(.sync)]
        }
        if isSkipping { return [.answer(.skipped), .end] }
        switch message.plan {
        case .own(let text): return execute("\(text)")
        case .commit: return execute("COMMIT")
        case .check: return pending.isEmpty ? success("SELECT 1") : fail("22012")
        case .statement:
            if transaction == .failed { return fail("25P02") }
            if failing.contains(message.number) { return fail("23505") }
            if committing.contains(message.number) { committed.insert(message.number) }
            pending.insert(message.number)
            return success("INSERT 0 1")
        case .sync: return []
        }
    }

    private mutating func execute(_ text: String) -> [Reply] {
        switch text {
        case "COMMIT": return endTransaction()
        case "ROLLBACK":
            pending = []
            transaction = .none
            return success("ROLLBACK")
        case "ROLLBACK TO litebase_batch":
            pending = savepoint
            transaction = .active
            return success("ROLLBACK")
        default: break
        }
        if transaction == .failed { return fail("25P02") }
        switch text {
        case "BEGIN", "BEGIN READ ONLY":
            transaction = .active
            return success("BEGIN")
        case "SAVEPOINT litebase_batch":
            savepoint = pending
            return success("SAVEPOINT")
        default: return success("SELECT 1")
        }
    }

    private mutating func endTransaction() -> [Reply] {
        let hadFailed = transaction == .failed
        transaction = .none
        if hadFailed || commitFails { pending = [] }
        if hadFailed { return success("ROLLBACK") }
        if commitFails { return fail("23505") }
        commit()
        return success("COMMIT")
    }

    private mutating func commit() {
        committed.formUnion(pending)
        pending = []
    }

    /// It ends, and with it what is not committed.
    mutating func crash() {
        pending = []
        transaction = .none
    }
}

/// One run: a client, the exchange, and the server.
private struct ExchangePlay {
    enum Kind: CaseIterable { case statement, call, read, inTransaction, atomicBatch, nestedBatch, readBatch, batch }

    private static let insert: StaticString = "INSERT INTO t VALUES(1)"
    private static let call: StaticString = "CALL p()"

    var generator: SeededGenerator
    let kind: Kind
    let count: Int
    var server = PlayedServer()
    var exchange = PostgreSQLExchange()
    var effect: StatementEffect
    var unexecuted: [PlayedServer.Message] = []
    var replies: [PlayedServer.Reply] = []
    var nextNumber = 0
    var isStopping = false
    var hasCrashed = false
    /// Set when the run has ended.
    var outcome: DriverError??
    var history: [String] = []

    init(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        kind = Kind.allCases.randomElement(using: &generator) ?? .statement
        effect = StatementEffect(isReadOnly: kind == .read || kind == .readBatch)
        let isOne = [.statement, .call, .read, .inTransaction].contains(kind)
        count = isOne ? 1 : Int.random(in: 0..<6, using: &generator)
        if Int.random(in: 0..<3, using: &generator) == 0 {
            server.failing = [Int.random(in: 0..<count + 1, using: &generator)]
        }
        if kind == .call { (server.committing, server.failing) = ([0], []) }
        server.commitFails = Int.random(in: 0..<5, using: &generator) == 0
        self.generator = generator
        if isInTransaction { server.transaction = .active }
        begin()
    }

    private var isInTransaction: Bool { kind == .inTransaction || kind == .nestedBatch }
    private var isReadOnly: Bool { kind == .read || kind == .readBatch }
    private var isAtomic: Bool { kind != .batch }

    private static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    private mutating func begin() {
        exchange.beginRun(isSession: isInTransaction)
        switch kind {
        case .statement, .call, .read, .inTransaction: sendStatement(nil)
        case .batch:
            effect.noteSent(.commits)
            exchange.batch = BatchController(isAtomic: false)
        case .atomicBatch, .nestedBatch, .readBatch:
            exchange.batch = BatchController(
                isAtomic: true, isNested: isInTransaction,
                unansweredCountMax: Int.random(in: 1...8, using: &generator))
            send(.begin(isNested: isInTransaction, isReadOnly: isReadOnly))
        }
        pump()
    }

    // MARK: Sending

    private mutating func sendStatement(_ position: BatchPosition?) {
        let text = Self.bytes(kind == .call ? Self.call : Self.insert)
        let sqlKind = PostgreSQLStatementKind(text)
        send(PostgreSQLPlan(text, sqlKind, isReadOnly: isReadOnly, server.transaction), position)
        nextNumber += 1
    }

    private mutating func send(_ plan: PostgreSQLPlan, _ position: BatchPosition? = nil) {
        for message in plan.messages {
            unexecuted.append((message, nextNumber))
            switch message {
            case .own: exchange.didSend(.own)
            case .commit: exchange.didSend(.commit)
            case .check: exchange.didSend(.check)
            case .statement:
                exchange.didSend(.statement(position))
                effect.noteSent(plan.nature, isDivisible: plan.isDivisible)
            case .sync: exchange.didSend(.sync)
            }
        }
    }

    /// Sends what the batch says.
    private mutating func pump() {
        while true {
            var situation = BatchController.Situation()
            situation.unansweredCount = exchange.unansweredCount
            situation.hasFailed = exchange.failure != nil
            situation.isStopping = isStopping
            switch exchange.batch?.next(situation) {
            case .wait, .end, nil: return
            case .refusal: giveUp(.stopped(.cancelled))
            case .refusedStatement:
                if nextNumber < count {
                    giveUp(.stopped(.cancelled).at(position))
                } else {
                    exchange.batch?.didExhaust()
                }
            case .statement: sendNext()
            case .commit:
                effect.noteSent(isInTransaction ? .changes : .commits)
                send(.commit(isNested: isInTransaction, isReadOnly: isReadOnly))
                exchange.batch?.didCommit()
            case .undo: send(.undo(isNested: isInTransaction))
            }
        }
    }

    private var position: BatchPosition { BatchPosition(statementIndex: nextNumber, rowIndex: nil) }

    private mutating func giveUp(_ error: DriverError) {
        if exchange.failure == nil { exchange.failure = error }
        exchange.batch?.giveUp()
    }

    private mutating func sendNext() {
        guard nextNumber < count else {
            exchange.batch?.didExhaust()
            return
        }
        let position = position
        if isAtomic {
            unexecuted.append((.statement, nextNumber))
            exchange.didSend(.statement(position))
            nextNumber += 1
        } else {
            sendStatement(position)
        }
        exchange.batch?.didSend(position)
    }

    // MARK: Events

    mutating func step() {
        guard outcome == nil else { return }
        switch Int.random(in: 0..<300, using: &generator) {
        case 0..<2: crash()
        case 2..<4: isStopping = exchange.batch != nil
        case 4 where !hasCrashed: replies.insert(.answer(.copy), at: 0)
        case 5..<150: executeNext()
        default: takeNext()
        }
    }

    private mutating func executeNext() {
        guard !hasCrashed, !unexecuted.isEmpty else { return }
        let message = unexecuted.removeFirst()
        history.append("\(message)")
        replies += server.execute(message)
    }

    private mutating func crash() {
        guard !hasCrashed else { return }
        hasCrashed = true
        let isAnnounced = Bool.random(using: &generator)
        history.append("crash \(isAnnounced)")
        server.crash()
        // It may have said something that nobody gets to hear.
        if !isAnnounced { replies.removeLast(Int.random(in: 0...replies.count, using: &generator)) }
        // Before a command begins, or instead of what it was about to do.
        if isAnnounced { replies.append(.answer(.failure(DriverError(.databaseError, "It ends.", sqlState: "57P01")))) }
    }

    private mutating func takeNext() {
        guard !replies.isEmpty else {
            if hasCrashed { lose() } else if !exchange.isAwaiting { endIfAllIsAnswered() }
            return
        }
        switch replies.removeFirst() {
        case .end: exchange.stepIsAnswered()
        case .answer(let answer):
            switch exchange.take(answer, &effect) {
            case .broken(let error):
                // The connection is closed.
                hasCrashed = true
                server.crash()
                return end(error)
            case .lost: return lose()
            default: break
            }
        }
        if !exchange.isAwaiting { endIfAllIsAnswered() } else { pump() }
    }

    private mutating func endIfAllIsAnswered() {
        pump()
        guard !exchange.isAwaiting else { return }
        end(exchange.end(effect, server.transaction))
    }

    private mutating func lose() {
        while exchange.isAwaiting, !replies.isEmpty {
            switch replies.removeFirst() {
            case .end: exchange.stepIsAnswered()
            case .answer(let answer): _ = exchange.takeLast(answer, &effect)
            }
        }
        guard let error = exchange.lose(effect) else {
            return end(exchange.end(effect, TransactionState.none))
        }
        end(error)
    }

    private mutating func end(_ error: DriverError?) { outcome = .some(error) }

    mutating func finish() {
        for _ in 0..<500 where outcome == nil {
            executeNext()
            takeNext()
        }
    }

    // MARK: The truth

    func check() {
        let all = Set(0..<count)
        let text =
            "seed \(generator.seed), \(kind) of \(count): \(server), \(history), \(String(describing: outcome))"
        guard let outcome else {
            Issue.record("it does not come to an end: \(text)")
            return
        }
        if isReadOnly { #expect(server.committed.isEmpty, "\(text)") }
        guard let error = outcome else {
            if isReadOnly { #expect(count == 0, "it has written: \(text)") }
            if !isInTransaction { #expect(server.committed == all, "it is told that all is done: \(text)") }
            // What it says of its end comes with the next statement.
            if isInTransaction, !hasCrashed { #expect(server.pending == all, "\(text)") }
            return
        }
        if error.code == .outcomeUnknown { return }
        guard isAtomic else {
            if let index = error.details.statementIndex {
                #expect(server.committed == Set(0..<index), "those before it have taken effect: \(text)")
            }
            return
        }
        #expect(server.committed.isEmpty, "it is told that nothing has changed: \(text)")
        // A batch in a transaction of the session's leaves nothing in it.
        if kind == .nestedBatch, !hasCrashed, error.code != .databaseError || error.details.sqlState == "23505" {
            #expect(server.pending.isEmpty, "\(text)")
        }
    }
}

@Suite struct PostgreSQLExchangeTests {
    @Test func whatIsToldIsSoInAnyOrderOfEvents() {
        var seeds = SeededGenerator.fresh
        let roundCount = Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 2_000
        for _ in 0..<roundCount {
            var play = ExchangePlay(seed: seeds.next())
            for _ in 0..<80 { play.step() }
            play.finish()
            play.check()
        }
    }

    private static let committed: StaticString = "COMMIT"
    private static var tag: CommandTag {
        CommandTag(UnsafeRawPointer(committed.utf8Start).assumingMemoryBound(to: CChar.self))
    }

    /// The server ends the connection between its answer to COMMIT and the end of the pipeline.
    @Test func whatIsCommittedStaysSo() {
        var exchange = PostgreSQLExchange()
        var effect = StatementEffect()
        exchange.beginRun(isSession: true)
        exchange.didSend(.statement(nil))
        exchange.didSend(.sync)
        effect.noteSent(.commits)
        _ = exchange.take(.success(Self.tag, isUnaskedRollback: false), &effect)
        exchange.stepIsAnswered()
        _ = exchange.takeLast(.failure(DriverError(.databaseError, "It ends.", sqlState: "57P01")), &effect)
        #expect(exchange.lose(effect) == nil && exchange.end(effect, TransactionState.none) == nil)
    }

    /// Of a batch that is not atomic there may be more to do behind a COMMIT.
    @Test func whatWasNotSentIsNotDone() {
        var exchange = PostgreSQLExchange()
        var effect = StatementEffect()
        exchange.beginRun(isSession: true)
        exchange.batch = BatchController(isAtomic: false)
        exchange.didSend(.statement(BatchPosition(statementIndex: 0, rowIndex: nil)))
        exchange.didSend(.sync)
        effect.noteSent(.commits)
        _ = exchange.take(.success(Self.tag, isUnaskedRollback: false), &effect)
        exchange.stepIsAnswered()
        #expect(exchange.lose(effect)?.code == .outcomeUnknown)
    }

    /// An answer for which there was no question may be anybody's.
    @Test func whatWasNotAskedIsNotTaken() {
        for step in [PostgreSQLExchange.Step.sync, .preparation(nil), .description] {
            var exchange = PostgreSQLExchange()
            var effect = StatementEffect()
            exchange.beginRun(isSession: false)
            exchange.didSend(step)
            guard case .broken = exchange.take(.success(Self.tag, isUnaskedRollback: false), &effect) else {
                Issue.record("\(step)")
                continue
            }
        }
        var exchange = PostgreSQLExchange()
        var effect = StatementEffect()
        exchange.beginRun(isSession: false)
        exchange.didSend(.own)
        _ = exchange.take(.success(Self.tag, isUnaskedRollback: false), &effect)
        guard case .broken = exchange.take(.row, &effect) else {
            Issue.record("a row behind the end of its result")
            return
        }
    }

    /// What is put around a statement.
    @Test func plans() {
        func steps(_ text: StaticString, isReadOnly: Bool, _ transaction: TransactionState) -> String {
            let sql = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
            let plan = PostgreSQLPlan(sql, PostgreSQLStatementKind(sql), isReadOnly: isReadOnly, transaction)
            let words = plan.messages.map { message in
                if case .own(let text) = message { "\(text)" } else { "\(message)" }
            }
            return words.joined(separator: ", ") + " \(plan.nature) \(plan.isDivisible)"
        }
        #expect(steps("SELECT f()", isReadOnly: false, .none) == "statement, sync calls false")
        #expect(steps("SELECT f()", isReadOnly: false, .active) == "statement, sync reads false")
        #expect(steps("DELETE FROM t", isReadOnly: false, .none) == "statement, sync commits false")
        #expect(steps("DELETE FROM t", isReadOnly: false, .active) == "statement, sync changes false")
        #expect(steps("COMMIT", isReadOnly: false, .active) == "statement, sync commits false")
        #expect(steps("CALL p()", isReadOnly: false, .none) == "statement, sync commits true")
        #expect(
            steps("SELECT f()", isReadOnly: true, .none)
                == "BEGIN READ ONLY, SELECT, statement, check, sync, COMMIT, sync reads false")
        #expect(steps("SELECT f()", isReadOnly: true, .active) == "statement, sync reads false")
        #expect(
            steps("COMMIT", isReadOnly: true, .active)
                == "check, statement, SET TRANSACTION READ ONLY, SELECT, sync reads false")
    }
}
