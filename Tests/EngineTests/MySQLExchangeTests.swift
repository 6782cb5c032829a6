// The exchange with a MySQL server, and batches on it, against a server that is played: whatever fails, is killed late, or is rolled
// back by the server, the client is told nothing that is not so.

import LinuxSystem
import LiteBaseTesting
import SQLText
import Testing

@testable import DatabaseContract
@testable import MySQLEngine
@testable import RemoteDatabases

/// A server as simple as it can be: statements are numbers, which are in its table when they are committed.
private struct PlayedServer {
    enum Failure: Int32 {
        case duplicate = 1062
        /// The whole transaction is rolled back, and the session goes on without one.
        case deadlock = 1213
        case noSavepoint = 1305
        case killed = 1317
        case lost = 2013
    }

    var committed: Set<Int> = []
    var pending: Set<Int> = []
    var status = MySQLExchange.Status()
    /// A KILL that has come too late, for whatever is next.
    var isKilled = false
    private var savepoint: Set<Int>?

    private mutating func commit() {
        committed.formUnion(pending)
        endTransaction()
    }

    private mutating func endTransaction() {
        pending = []
        savepoint = nil
        status = MySQLExchange.Status()
    }

    mutating func execute(_ text: String) -> Failure? {
        if isKilled {
            isKilled = false
            return .killed
        }
        switch text {
        case "COMMIT": commit()
        case "ROLLBACK": endTransaction()
        case "SAVEPOINT litebase_batch": savepoint = pending
        case "RELEASE SAVEPOINT litebase_batch":
            if savepoint == nil { return .noSavepoint }
            savepoint = nil
        case "ROLLBACK TO SAVEPOINT litebase_batch":
            guard let savepoint else { return .noSavepoint }
            pending = savepoint
        case "BEGIN", "START TRANSACTION", "START TRANSACTION READ ONLY":
            commit()
            status = MySQLExchange.Status(isInTransaction: true, isTransactionReadOnly: text.hasSuffix("ONLY"))
        default: break
        }
        return nil
    }

    mutating func insert(_ number: Int, _ failure: Failure?) -> Failure? {
        if let killed = execute("INSERT") { return killed }
        if failure == .deadlock { endTransaction() }
        if let failure { return failure }
        pending.insert(number)
        if !status.isInTransaction { commit() }
        return nil
    }

    mutating func crash() { endTransaction() }
}

/// One connection of a session, which runs one thing after the other.
private struct ExchangePlay {
    enum Kind: CaseIterable { case insert, begin, commit, rollback, atomicBatch, batch }

    private static let texts: [Kind: StaticString] = [
        .insert: "INSERT INTO t VALUES(1)", .begin: "BEGIN", .commit: "COMMIT", .rollback: "ROLLBACK",
    ]

    var generator: SeededGenerator
    var server = PlayedServer()
    var exchange = MySQLExchange()
    var effect = StatementEffect()
    var nextNumber = 0
    var history: [String] = []
    /// What the client believes to be in its transaction; `nil` without one.
    var believed: Set<Int>?
    var isOver = false

    // Of the present run.
    private var kind = Kind.insert
    private var numbers: [Int] = []
    private var sentCount = 0
    private var isStopping = false
    private var isKillUnderWay = false

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private var isBatch: Bool { kind == .atomicBatch || kind == .batch }

    private var sql: UnsafeRawBufferPointer {
        let text = Self.texts[kind] ?? "INSERT INTO t VALUES(1)"
        return UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    mutating func run() {
        kind = Kind.allCases.randomElement(using: &generator) ?? .insert
        // What cannot be nested is not sent.
        if kind == .begin, believed != nil { kind = .insert }
        let count = isBatch ? Int.random(in: 0..<5, using: &generator) : 1
        numbers = (0..<count).map { nextNumber + $0 }
        nextNumber += count
        (sentCount, isStopping) = (0, false)
        effect = StatementEffect()
        history.append("\(kind) \(numbers)")
        let before = server
        exchange.beginRun(isReadOnly: false, isSession: true, kind: isBatch ? nil : MySQLStatementKind(sql))
        exchange.planBeginning()
        let isInTransaction = server.status.isInTransaction
        if isBatch {
            exchange.batch = BatchController(isAtomic: kind == .atomicBatch, isNested: isInTransaction)
            if kind == .atomicBatch { exchange.planBatchBegin() }
        } else {
            exchange.planStatement(sql, nil, isInTransaction: isInTransaction)
        }
        let error = goOn()
        // The connection is not used before it was delivered.
        if isKillUnderWay { deliverKill() }
        history.append(error.map { "\($0.code) \($0.details.statementIndex ?? -1)" } ?? "done")
        check(error, before)
    }

    /// Does steps until there are no more.
    private mutating func goOn() -> DriverError? {
        while true {
            if exchange.unansweredCount == 0 { pump() }
            guard let step = exchange.beginNext() else { return exchange.end(server.status) }
            let isLost = Int.random(in: 0..<60, using: &generator) == 0
            if !isStopping, Int.random(in: 0..<12, using: &generator) == 0 { stop() }
            if isKillUnderWay, Int.random(in: 0..<3, using: &generator) == 0 { deliverKill() }
            // The server has done it, or not.
            let failure = isLost && Bool.random(using: &generator) ? nil : execute(step)
            guard isLost || failure != nil else {
                succeed(step)
                continue
            }
            let number = isLost ? PlayedServer.Failure.lost : failure ?? .lost
            history.append("\(step) \(number)")
            if isLost { server.crash() }
            exchange.fail(error(number), isInTransaction: server.status.isInTransaction)
            if exchange.isLost {
                isOver = true
                return exchange.lostError(effect)
            }
        }
    }

    private func error(_ failure: PlayedServer.Failure) -> DriverError {
        DriverError(failure == .killed ? .cancelled : .databaseError, "no", sqlState: "HY000").with {
            $0.vendorCode = failure.rawValue
        }
    }

    /// The KILL hits whatever runs when it arrives, or is next.
    private mutating func stop() {
        isStopping = true
        history.append("stop")
        isKillUnderWay = exchange.beginKill()
    }

    private mutating func deliverKill() {
        isKillUnderWay = false
        server.isKilled = true
    }

    private mutating func execute(_ step: MySQLExchange.Step) -> PlayedServer.Failure? {
        switch step {
        case .own(let text), .attempt(let text): return server.execute("\(text)")
        case .statement(let position):
            let nature = exchange.beginStatement(
                MySQLStatementKind(sql), isInTransaction: server.status.isInTransaction)
            effect.noteSent(nature)
            guard kind == .insert || isBatch else { return server.execute("\(Self.texts[kind] ?? "")") }
            let failures: [PlayedServer.Failure] =
                server.status.isInTransaction ? [.duplicate, .deadlock] : [.duplicate]
            let isFailing = Int.random(in: 0..<8, using: &generator) == 0
            return server.insert(
                numbers[position?.statementIndex ?? 0], isFailing ? failures.randomElement(using: &generator) : nil)
        case .describe, .reset, .role: return nil
        }
    }

    private mutating func succeed(_ step: MySQLExchange.Step) {
        if case .statement = step { _ = exchange.statementDidEnd(sql, server.status) }
        exchange.stepDidEnd()
    }

    /// Plans what the batch says.
    private mutating func pump() {
        while true {
            var situation = BatchController.Situation()
            situation.unansweredCount = exchange.unansweredCount
            situation.hasFailed = exchange.failure != nil
            situation.isStopping = isStopping
            let position = BatchPosition(statementIndex: sentCount, rowIndex: nil)
            switch exchange.batch?.next(situation) {
            case .wait, .end, nil: return
            case .refusal: giveUp(.stopped(.cancelled))
            case .statement, .refusedStatement:
                guard sentCount < numbers.count else {
                    exchange.batch?.didExhaust()
                    continue
                }
                if isStopping {
                    giveUp(.stopped(.cancelled).at(position))
                } else {
                    exchange.planStatement(sql, position, isInTransaction: server.status.isInTransaction)
                    exchange.batch?.didSend(position)
                    sentCount += 1
                }
            case .commit:
                effect.noteSent(exchange.batch?.isNested == true ? .changes : .commits)
                exchange.planBatchCommit()
                exchange.batch?.didCommit()
            case .undo: exchange.planBatchUndo()
            }
        }
    }

    private mutating func giveUp(_ error: DriverError) {
        if exchange.failure == nil { exchange.failure = error }
        exchange.batch?.giveUp()
    }

    // MARK: The truth

    private mutating func check(_ error: DriverError?, _ before: PlayedServer) {
        let text = "seed \(generator.seed): \(history), \(server)"
        let isThere = server.committed.union(server.pending)
        if error?.code == .cancelled, !isStopping { Issue.record("it was killed for somebody else: \(text)") }
        if let error, error.code != .outcomeUnknown, kind != .batch {
            #expect(isThere.isDisjoint(with: numbers), "it is told that nothing has changed: \(text)")
        }
        // What the server has rolled back with a deadlock is told with that.
        let isAsBefore = before.status.isInTransaction == server.status.isInTransaction && !isOver
        if kind == .batch, isAsBefore, let index = error?.details.statementIndex {
            #expect(isThere.intersection(numbers) == Set(numbers.prefix(index)), "\(text)")
        }
        if error?.code == .transactionRolledBack { believed = nil }
        guard error == nil else { return }
        let hasInserted = kind == .insert || isBatch
        if hasInserted { #expect(isThere.isSuperset(of: numbers), "it is told that it is done: \(text)") }
        believe()
        if kind == .commit {
            #expect(server.committed.isSuperset(of: before.pending), "\(text)")
        }
    }

    /// Follows what the client knows of its transaction.
    private mutating func believe() {
        switch kind {
        case .begin: believed = []
        case .insert, .atomicBatch, .batch: believed?.formUnion(numbers)
        case .commit:
            let text = "seed \(generator.seed): \(history), \(server)"
            if let believed { #expect(server.committed.isSuperset(of: believed), "COMMIT was told as done: \(text)") }
            believed = nil
        case .rollback: believed = nil
        }
    }
}

@Suite struct MySQLExchangeTests {
    @Test func whatIsToldIsSoInAnyOrderOfEvents() {
        var seeds = SeededGenerator.fresh
        let roundCount = Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 1_000
        for _ in 0..<roundCount {
            var play = ExchangePlay(seed: seeds.next())
            for _ in 0..<20 where !play.isOver { play.run() }
        }
    }

    private static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// COMMIT behind a deadlock succeeds, and commits nothing of what was before it.
    @Test func aTransactionThatTheServerHasEndedIsTold() {
        var exchange = MySQLExchange()
        var server = PlayedServer()
        func run(_ text: StaticString, _ failure: PlayedServer.Failure?, _ number: Int = 0) -> DriverError? {
            let sql = Self.bytes(text)
            let kind = MySQLStatementKind(sql)
            exchange.beginRun(isReadOnly: false, isSession: true, kind: kind)
            exchange.planBeginning()
            exchange.planStatement(sql, nil, isInTransaction: server.status.isInTransaction)
            while let step = exchange.beginNext() {
                guard case .statement = step else {
                    exchange.stepDidEnd()
                    continue
                }
                _ = exchange.beginStatement(kind, isInTransaction: server.status.isInTransaction)
                let error = kind == .write ? server.insert(number, failure) : server.execute("\(text)")
                if let error {
                    let told = DriverError(.databaseError, "no", sqlState: "40001").with {
                        $0.vendorCode = error.rawValue
                    }
                    exchange.fail(told, isInTransaction: server.status.isInTransaction)
                } else {
                    _ = exchange.statementDidEnd(sql, server.status)
                    exchange.stepDidEnd()
                }
            }
            return exchange.end(server.status)
        }
        #expect(run("BEGIN", nil) == nil)
        #expect(run("INSERT INTO t VALUES(1)", nil, 1) == nil)
        #expect(run("INSERT INTO t VALUES(2)", .deadlock, 2) != nil)
        #expect(run("INSERT INTO t VALUES(3)", nil, 3) == nil)
        #expect(run("COMMIT", nil)?.code == .transactionRolledBack)
        #expect(server.committed == [3])
        #expect(run("COMMIT", nil) == nil, "once")
    }

    private static let refused = DriverError(.databaseError, "no", sqlState: "22003").with { $0.vendorCode = 1264 }

    private static func strict() -> MySQLExchange {
        var exchange = MySQLExchange()
        exchange.beginRun(isReadOnly: false, isSession: true, kind: .write)
        exchange.planBeginning()
        exchange.planStrictStatement()
        return exchange
    }

    private static func isStatement(_ step: MySQLExchange.Step?) -> Bool {
        if case .statement? = step { true } else { false }
    }

    /// The session has the mode again that it had, whatever comes of the statement.
    @Test(arguments: [false, true], [false, true])
    func theModeIsGivenBack(fails: Bool, isInTransaction: Bool) {
        var exchange = Self.strict()
        _ = exchange.beginNext()
        exchange.stepDidEnd()
        let statement = exchange.beginNext()
        #expect(Self.isStatement(statement))
        _ = exchange.beginStatement(.write, isInTransaction: isInTransaction)
        if fails {
            exchange.fail(Self.refused, isInTransaction: isInTransaction)
        } else {
            exchange.stepDidEnd()
        }
        var texts: [String] = []
        while let step = exchange.beginNext() {
            if case .attempt(let text) = step { texts.append("\(text)") }
            exchange.stepDidEnd()
        }
        #expect(texts.last == "SET SESSION sql_mode = @litebase_import_sql_mode")
        #expect((exchange.failure != nil) == fails)
    }

    /// A mode that was not taken from the session is not given to it.
    @Test func aModeThatWasNotChangedIsNotGivenBack() {
        var exchange = Self.strict()
        _ = exchange.beginNext()
        exchange.fail(Self.refused, isInTransaction: false)
        while let step = exchange.beginNext() {
            if case .attempt(let text) = step { #expect("\(text)" == "DO 0") }
            #expect(!Self.isStatement(step))
            exchange.stepDidEnd()
        }
        #expect(exchange.failure != nil)
    }

    /// A KILL that comes late is taken by a statement of ours, which is sent again.
    @Test func aLateKillHitsNobody() {
        var exchange = MySQLExchange()
        let isSent = exchange.beginKill()
        #expect(isSent)
        exchange.beginRun(isReadOnly: false, isSession: false, kind: .select)
        exchange.planBeginning()
        exchange.planStatement(Self.bytes("SELECT 1"), nil, isInTransaction: false)
        let killed = DriverError(.cancelled, "killed", sqlState: "70100").with { $0.vendorCode = 1317 }
        for _ in 0..<2 {
            guard case .attempt? = exchange.beginNext() else {
                Issue.record("it is not awaited")
                return
            }
            exchange.fail(killed, isInTransaction: false)
        }
        #expect(exchange.failure == nil)
        guard case .attempt? = exchange.beginNext() else {
            Issue.record("it is not tried again")
            return
        }
        exchange.stepDidEnd()
        guard case .statement? = exchange.beginNext() else {
            Issue.record("the statement is forgotten")
            return
        }
    }
}
