// The batch controller against every order of events: what is sent, and how a batch ends, whatever the server and the client do.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import RemoteDatabases

/// A server that answers in order, and a list of everything that was sent to it.
private struct BatchPlay {
    enum Sent: Equatable {
        case begin, statement(Int), commit, undo
    }

    var generator: SeededGenerator
    let keepsOn: Bool
    let unansweredCountMax: Int
    let statementCount: Int
    /// Statements that are not sent, and those that the server refuses.
    let refused: Set<Int>
    let failing: Set<Int>
    let commitFails: Bool
    var batch: BatchController
    var sent: [Sent] = []
    var answeredCount = 0
    var nextStatement = 0
    /// What the client is told.
    var failure: String?
    var situation = BatchController.Situation()
    var hasEnded = false
    /// What was known when the last statement was sent.
    var wasUseless = false

    init(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let isAtomic = Bool.random(using: &generator)
        keepsOn = Bool.random(using: &generator)
        unansweredCountMax = [1, 2, 5, 16].randomElement(using: &generator) ?? 1
        statementCount = Int.random(in: 0...20, using: &generator)
        let isIll = Bool.random(using: &generator)
        func chosen(_ count: Int) -> Set<Int> {
            isIll ? Set((0..<count).map { _ in Int.random(in: 0..<40, using: &generator) }) : []
        }
        refused = chosen(2)
        failing = chosen(3)
        commitFails = Int.random(in: 0..<4, using: &generator) == 0
        batch = BatchController(
            isAtomic: isAtomic, unansweredCountMax: unansweredCountMax, keepsOnBehindFailure: keepsOn)
        if isAtomic { sent.append(.begin) }
        self.generator = generator
    }

    var unansweredCount: Int { sent.count - answeredCount }

    /// Does what the controller says until it waits.
    mutating func pump() {
        while true {
            situation.unansweredCount = unansweredCount
            situation.hasFailed = failure != nil
            switch batch.next(situation) {
            case .wait: return
            case .end:
                #expect(unansweredCount == 0, "\(self)")
                hasEnded = true
                return
            case .statement:
                #expect(!situation.isStopping, "\(self)")
                takeNext(nil)
            case .refusedStatement:
                #expect(situation.isStopping && !batch.isAtomic, "\(self)")
                takeNext("stopped")
            case .refusal:
                #expect(situation.isStopping && batch.isAtomic, "\(self)")
                giveUp("stopped")
            case .commit:
                sent.append(.commit)
                batch.didCommit()
            case .undo: sent.append(.undo)
            }
        }
    }

    private mutating func takeNext(_ refusal: String?) {
        #expect(unansweredCount < unansweredCountMax && situation.hasRoom, "\(self)")
        if situation.isAbandoned || (failure != nil && (batch.isAtomic || !keepsOn)) { wasUseless = true }
        guard nextStatement < statementCount else { return batch.didExhaust() }
        defer { nextStatement += 1 }
        if let refusal { return giveUp("\(refusal) \(nextStatement)") }
        if refused.contains(nextStatement) { return giveUp("refused \(nextStatement)") }
        sent.append(.statement(nextStatement))
        batch.didSend(BatchPosition(statementIndex: nextStatement, rowIndex: nil))
    }

    private mutating func giveUp(_ reason: String) {
        if failure == nil { failure = reason }
        batch.giveUp()
    }

    mutating func answer() {
        guard unansweredCount > 0 else { return }
        switch sent[answeredCount] {
        case .statement(let index) where failing.contains(index):
            if failure == nil { failure = "failed \(index)" }
        case .commit where commitFails: if failure == nil { failure = "commit" }
        default: break
        }
        answeredCount += 1
    }

    mutating func step() {
        if hasEnded { return }
        switch Int.random(in: 0..<40, using: &generator) {
        case 0: situation.isStopping = true
        case 1: situation.isAbandoned = situation.isStopping
        case 2..<6: situation.hasRoom.toggle()
        case 6..<25: answer()
        default: pump()
        }
    }

    /// The server answers everything, and there is room.
    mutating func finish() {
        situation.hasRoom = true
        for _ in 0..<200 where !hasEnded {
            while unansweredCount > 0 { answer() }
            pump()
        }
    }

    func check() {
        let statements = sent.compactMap { sent -> Int? in if case .statement(let index) = sent { index } else { nil } }
        #expect(statements == Array(0..<statements.count), "each once, in order: \(self)")
        #expect(!wasUseless && hasEnded && batch.statementCount == statements.count, "\(self)")
        let words = sent.filter { $0 == .commit || $0 == .undo }
        #expect(Array(sent.suffix(words.count)) == words, "nothing follows the last word: \(self)")
        let isComplete = statements.count == statementCount
        guard batch.isAtomic else {
            #expect(words.isEmpty, "\(self)")
            let isRefused = situation.isStopping || refused.contains { $0 < statementCount }
            if failure == nil || keepsOn, !isRefused { #expect(isComplete, "\(self)") }
            if failure == nil, !situation.isAbandoned { #expect(isComplete, "\(self)") }
            return
        }
        switch words {
        case [.commit]:
            #expect(isComplete && (keepsOn || (failure == nil && !situation.isAbandoned)), "\(self)")
        case [.undo]: #expect(failure != nil || situation.isAbandoned, "\(self)")
        case [.commit, .undo]:
            #expect(isComplete && !keepsOn && (failure != nil || situation.isAbandoned), "\(self)")
        default: Issue.record("an atomic batch ends in one way: \(self)")
        }
    }
}

@Suite struct BatchControllerTests {
    @Test func aBatchEndsInOneWayInAnyOrderOfEvents() {
        var seeds = SeededGenerator.fresh
        let roundCount = Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 500
        for _ in 0..<roundCount {
            var play = BatchPlay(seed: seeds.next())
            for _ in 0..<60 { play.step() }
            play.finish()
            play.check()
        }
    }

    private func next(
        _ batch: inout BatchController, _ change: (inout BatchController.Situation) -> Void = { _ in }
    ) -> BatchController.Action {
        var situation = BatchController.Situation()
        change(&situation)
        return batch.next(situation)
    }

    /// Each statement of a batch that is not atomic has taken effect by itself: the one at which it stopped is named.
    @Test func whoIsStoppedNamesTheStatement() {
        var batch = BatchController(isAtomic: false)
        #expect(next(&batch) == .statement)
        #expect(next(&batch) { $0.unansweredCount = 1 } == .wait)
        #expect(next(&batch) { $0.isStopping = true } == .refusedStatement)
        // There was none: all have taken effect, and there is nothing to be told of stopping.
        batch.didExhaust()
        #expect(next(&batch) { $0.isStopping = true } == .end)
    }

    /// What failed with the commit is taken back, but for a server that has no way back.
    @Test func aCommitThatFails() {
        for keepsOn in [false, true] {
            var batch = BatchController(isAtomic: true, keepsOnBehindFailure: keepsOn)
            batch.didExhaust()
            #expect(next(&batch) == .commit)
            batch.didCommit()
            #expect(next(&batch) { $0.unansweredCount = 1 } == .wait)
            #expect(next(&batch) { $0.hasFailed = true } == (keepsOn ? .end : .undo))
            #expect(next(&batch) { $0.hasFailed = true } == .end)
        }
    }

    /// Redis does not roll back: a command that fails concerns no other one, but what cannot be sent ends the batch.
    @Test func aServerThatKeepsOn() {
        var batch = BatchController(isAtomic: false, unansweredCountMax: 4, keepsOnBehindFailure: true)
        #expect(next(&batch) { $0.hasFailed = true } == .statement)
        batch.giveUp()
        #expect(next(&batch) { $0.unansweredCount = 1 } == .wait)
        #expect(next(&batch) == .end)
    }

    @Test func whatIsToldOfAStatementWithRows() {
        let run = TestRun("")
        var summary = StatementSummary()
        summary.rowsAffected = .max
        run.addToBatch(summary, BatchPosition(statementIndex: 1, rowIndex: 0))
        summary.lastInsertID = 7
        run.addToBatch(summary, BatchPosition(statementIndex: 1, rowIndex: 1))
        #expect(run.batchSummaries.map(\.rowsAffected) == [0, .max])
        #expect(run.batchSummaries.last?.lastInsertID == 7)
    }
}
