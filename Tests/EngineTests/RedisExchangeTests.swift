// The exchange with a Redis server, and batches on it, against a simulated server: whatever fails, is stopped, or is lost at any
// moment, the client is told nothing that is not true.

import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import RedisEngine
@testable import RemoteDatabases

private typealias Element = RedisExchange.Element

/// A command as it goes over the connection. Commands that write have a number.
private enum Message {
    case own(RedisExchange.OwnCommand)
    case write(Int)
    case read
    case multi, exec, discard, watch, select
}

/// The simplest possible server: numbers are in its data when they were written.
private struct SimulatedServer {
    var data: Set<Int> = []
    /// The commands between MULTI and EXEC; `nil` outside.
    var queued: [Message]?
    var isAborted = false
    /// A watched key was changed by another client.
    var isWatchBroken = false
    var database = 0
    /// Numbers that cannot be written, and those that are not even queued.
    var failing: Set<Int> = []
    var refused: Set<Int> = []

    var transaction: TransactionState { queued == nil ? .none : isAborted ? .failed : .active }

    private mutating func endTransaction() {
        queued = nil
        isAborted = false
        isWatchBroken = false
    }

    /// - Returns: the elements of the reply.
    mutating func execute(_ message: Message) -> [Element] {
        switch message {
        case .own(.multi), .multi:
            guard queued == nil else { return [Element(kind: .error)] }
            queued = []
        case .own(.exec), .exec: return commit()
        case .own(.discard), .discard:
            guard queued != nil else { return [Element(kind: .error)] }
            endTransaction()
        case .own(.unwatch): isWatchBroken = false
        case .own(.select): database = 0
        case .own(.asking): break
        case .write(let number) where queued != nil && refused.contains(number):
            isAborted = true
            return [Element(kind: .error)]
        case .write, .read, .watch, .select:
            guard queued == nil else {
                queued?.append(message)
                break
            }
            return perform(message, depth: 0)
        }
        return [Element()]
    }

    private mutating func commit() -> [Element] {
        guard let commands = queued else { return [Element(kind: .error)] }
        let (isAborted, isWatchBroken) = (isAborted, isWatchBroken)
        endTransaction()
        if isAborted { return [Element(kind: .error)] }
        if isWatchBroken { return [Element(kind: .null)] }
        return [Element()]
            + commands.enumerated().flatMap { index, command in
                perform(command, depth: 1).map { element in
                    var element = element
                    if element.depth == 1 { element.index = index }
                    return element
                }
            }
    }

    private mutating func perform(_ message: Message, depth: Int) -> [Element] {
        switch message {
        case .write(let number):
            if failing.contains(number) { return [Element(kind: .error, depth: depth)] }
            data.insert(number)
        case .select: database = 1
        default: break
        }
        return [Element(depth: depth)] + (0..<3).map { Element(depth: depth + 1, index: $0) }
    }

    /// The connection is gone, and its transaction with it.
    mutating func hangUp() { endTransaction() }
}

/// One connection of a session, which runs one thing after the other.
private struct ExchangePlay {
    enum Kind: CaseIterable { case write, read, multi, exec, discard, watch, select, atomicBatch, batch }

    private static let texts: [Kind: StaticString] = [
        .write: "INCR k", .read: "LRANGE k 0 -1", .multi: "MULTI", .exec: "EXEC", .discard: "DISCARD",
        .watch: "WATCH k",
        .select: "SELECT 1",
    ]

    var generator: SeededGenerator
    var server = SimulatedServer()
    var exchange = RedisExchange()
    var effect = StatementEffect()
    var history: [String] = []
    var isOver = false
    private var nextNumber = 0
    private var unsent: [Message] = []
    private var received: [Message] = []
    private var replies: [[Element]] = []

    // Of the present run.
    private var kind = Kind.write
    private var numbers: [Int] = []
    private var sentCount = 0
    private var isStopping = false
    private var hasClient = true
    private var hasDroppedRows = false
    private var hasOverflown = false
    /// Elements of rows that the client has got.
    private var rowElements: [Element] = []

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private var isBatch: Bool { kind == .atomicBatch || kind == .batch }
    private var demand: RedisExchange.Demand {
        RedisExchange.Demand(hasClient: hasClient, isDiscarding: isStopping)
    }

    private mutating func chance(_ one: Int) -> Bool { Int.random(in: 0..<one, using: &generator) == 0 }

    mutating func run() {
        kind = Kind.allCases.randomElement(using: &generator) ?? .write
        // Not nested, by the driver or by the server, whose error would leave the transaction as it is.
        if exchange.transaction != .none, [.multi, .watch, .atomicBatch].contains(kind) { kind = .write }
        if exchange.transaction == .none, [.exec, .discard].contains(kind) { kind = .read }
        numbers = (0..<(isBatch ? Int.random(in: 0..<6, using: &generator) : 1)).map { nextNumber + $0 }
        nextNumber += numbers.count
        server.failing = Set(numbers.filter { _ in chance(8) })
        server.refused = Set(numbers.filter { _ in chance(12) })
        if chance(3) { server.isWatchBroken = server.queued != nil }
        (sentCount, isStopping, hasClient, hasDroppedRows, hasOverflown) = (0, false, true, false, false)
        rowElements = []
        effect = StatementEffect()
        let before = server
        exchange.beginRun(RunMode(isReadOnly: false, isSession: true))
        begin()
        history.append("\(kind) \(numbers)")
        let told = goOn()
        check(told, before)
    }

    private mutating func begin() {
        guard isBatch else { return send(command(kind, numbers[0]), nil) }
        exchange.batch = BatchController(
            isAtomic: kind == .atomicBatch, unansweredCountMax: Int.random(in: 1...4, using: &generator),
            keepsOnBehindFailure: true)
        if kind == .atomicBatch { send(.multi) }
        pump()
    }

    private func command(_ kind: Kind, _ number: Int) -> Message {
        switch kind {
        case .read: .read
        case .multi: .multi
        case .exec: .exec
        case .discard: .discard
        case .watch: .watch
        case .select: .select
        case .write, .atomicBatch, .batch: .write(number)
        }
    }

    private mutating func send(_ own: RedisExchange.OwnCommand) {
        unsent.append(.own(own))
        exchange.didSend(own)
    }

    private mutating func send(_ message: Message, _ position: BatchPosition?) {
        let text = Self.texts[kind] ?? "INCR k"
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        guard let command = try? RedisCommand(bytes, []) else { return }
        unsent.append(message)
        exchange.didSend(command, position, isReading: kind == .read || command.isHarmless, &effect)
    }

    /// Sends what the batch asks for.
    private mutating func pump() {
        while true {
            var situation = BatchController.Situation()
            situation.unansweredCount = exchange.unansweredCount
            situation.hasFailed = exchange.failure != nil
            situation.isStopping = isStopping
            situation.isAbandoned = !hasClient
            let position = BatchPosition(statementIndex: sentCount, rowIndex: nil)
            switch exchange.batch?.next(situation) {
            case .wait, .end, nil: return
            case .refusal: giveUp(.stopped(.cancelled))
            case .statement, .refusedStatement:
                if sentCount == numbers.count {
                    exchange.batch?.didExhaust()
                } else if isStopping {
                    giveUp(.stopped(.cancelled).at(position))
                } else {
                    send(.write(numbers[sentCount]), position)
                    exchange.batch?.didSend(position)
                    sentCount += 1
                }
            case .commit:
                effect.noteSent(.commits)
                send(.exec)
                exchange.batch?.didCommit()
            case .undo: send(.discard)
            }
        }
    }

    private mutating func giveUp(_ error: DriverError) {
        exchange.note(error)
        exchange.batch?.giveUp()
    }

    // MARK: Events

    /// Lets things happen until everything is answered.
    /// - Returns: what the client is told.
    private mutating func goOn() -> DriverError? {
        var told: DriverError??
        while true {
            if !exchange.isAwaiting {
                pump()
                if !exchange.isAwaiting { break }
            }
            switch Int.random(in: 0..<60, using: &generator) {
            case 0:
                let error = lose()
                return told ?? error
            case 1..<4: isStopping = hasClient
            case 4 where isStopping && hasClient:
                // The client cannot wait any longer.
                hasClient = false
                told = .some(RedisExchange.detachedError(.cancelled, effect))
            case 5..<25: if !unsent.isEmpty { received.append(unsent.removeFirst()) }
            case 25..<40: if !received.isEmpty { replies.append(server.execute(received.removeFirst())) }
            default: if !replies.isEmpty { takeElement() }
            }
        }
        let error = exchange.end()
        return told ?? toldError(error)
    }

    /// The connection is lost: the server has got what was sent, and may have executed any of it.
    private mutating func lose() -> DriverError {
        history.append("lost")
        let hasUnsent = !unsent.isEmpty
        while let message = received.first, Bool.random(using: &generator) {
            received.removeFirst()
            _ = server.execute(message)
        }
        server.hangUp()
        isOver = true
        return exchange.lostError(effect, hasUnsent: hasUnsent)
    }

    private mutating func takeElement() {
        if replies[0].isEmpty {
            replies.removeFirst()
            if exchange.replyDidEnd(demand) { push() }
            if exchange.isFull { exchange.didFill() }
            exchange.stepIsAnswered()
            return
        }
        let element = replies[0].removeFirst()
        // What a server that is not ready says: nothing of the command has happened.
        let error = DriverError(.databaseError, "no").with { $0.isRetryable = true }
        switch exchange.take(element, error, demand, effect) {
        case .none: break
        case .dropRows: hasDroppedRows = true
        case .row:
            rowElements.append(element)
            push()
        }
        if exchange.isFull { exchange.didFill() }
    }

    private mutating func push() {
        let outcome: RedisRows.Outcome = chance(12) ? .full : chance(40) ? .overflow : .open
        if outcome == .overflow { hasOverflown = true }
        if exchange.didPush(outcome, demand, effect) { hasDroppedRows = true }
    }

    /// As `ServerConnection` tells it.
    private func toldError(_ error: DriverError?) -> DriverError? {
        guard isStopping else { return error }
        guard let error else { return hasDroppedRows ? .stopped(.cancelled) : nil }
        guard RedisExchange.isOfStop(error, .cancelled) else { return error }
        return .stopped(.cancelled).with { $0.statementIndex = error.details.statementIndex }
    }

    // MARK: The truth

    private mutating func check(_ told: DriverError?, _ before: SimulatedServer) {
        history.append(
            told.map { "\($0.code) \($0.details.statementIndex ?? -1) \($0.details.detail ?? "")" } ?? "done")
        let text: Comment = "seed \(generator.seed): \(history), \(server)"
        let written = server.data.subtracting(before.data)
        if !isOver {
            #expect(exchange.transaction == server.transaction, text)
            #expect(exchange.unansweredCount == 0 && exchange.failure == nil && exchange.batch == nil, text)
        }
        guard let told else { return checkSuccess(written, before, text) }
        if told.details.isRetryable { #expect(written.isEmpty, "it may be sent again as a whole: \(text)") }
        let tellsChange = told.code == .outcomeUnknown || told.details.detail != nil
        // A batch that is not atomic is told by its first statement without effect.
        if kind != .batch, !tellsChange { #expect(written.isEmpty, "it is told that nothing has changed: \(text)") }
        if kind == .batch, hasClient, !isOver, before.queued == nil, let index = told.details.statementIndex {
            #expect(written.isSuperset(of: numbers.prefix(index)) && !written.contains(numbers[index]), text)
        }
    }

    private func checkSuccess(_ written: Set<Int>, _ before: SimulatedServer, _ text: Comment) {
        #expect(!hasDroppedRows && !hasOverflown, "rows are missing: \(text)")
        switch kind {
        case .write where before.queued == nil: #expect(written == Set(numbers), text)
        case .atomicBatch: #expect(written == Set(numbers), text)
        case .batch where before.queued == nil: #expect(written == Set(numbers), text)
        case .read where before.queued == nil: #expect(rowElements.count == 4, "all of the rows: \(text)")
        case .exec: #expect(!written.isEmpty || (before.queued ?? []).allSatisfy { !isWritten($0, before) }, text)
        default: #expect(written.isEmpty, text)
        }
    }

    private func isWritten(_ message: Message, _ before: SimulatedServer) -> Bool {
        if case .write(let number) = message { server.data.contains(number) } else { false }
    }

    /// The next user gets the connection: nothing is left on it.
    mutating func reset() {
        for command in exchange.beginReset() { send(command) }
        while let message = unsent.first {
            unsent.removeFirst()
            for element in server.execute(message) {
                let demand = RedisExchange.Demand(hasClient: false)
                _ = exchange.take(element, DriverError(.databaseError, "no"), demand, effect)
            }
            _ = exchange.replyDidEnd(RedisExchange.Demand(hasClient: false))
            exchange.stepIsAnswered()
        }
        let error = exchange.end()
        let text: Comment = "seed \(generator.seed): \(history), \(server)"
        #expect(error == nil && server.database == 0, text)
        #expect(exchange.transaction == .none && server.transaction == .none, text)
        #expect(exchange.beginReset().isEmpty, "once is enough: \(text)")
    }
}

@Suite struct RedisExchangeTests {
    @Test func theClientIsToldTheTruthInAnyOrderOfEvents() {
        var seeds = SeededGenerator.fresh
        let roundCount = Process.environment("LITEBASE_TEST_ROUNDS").flatMap { Int($0) } ?? 1_000
        for _ in 0..<roundCount {
            var play = ExchangePlay(seed: seeds.next())
            for _ in 0..<20 where !play.isOver { play.run() }
            if !play.isOver { play.reset() }
        }
    }

    /// The rows of a command that may have written are dropped, and the client learns that it was executed.
    @Test func aStopBehindTheFirstFrameTellsThatTheCommandWasExecuted() throws {
        var exchange = RedisExchange()
        var effect = StatementEffect()
        let text: StaticString = "EVAL return 0"
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        exchange.beginRun(RunMode(isReadOnly: false, isSession: false))
        exchange.didSend(try RedisCommand(bytes, []), nil, isReading: false, &effect)
        let wanted = RedisExchange.Demand()
        let first = exchange.take(Element(), DriverError(.databaseError, ""), wanted, effect)
        guard case .row = first else {
            Issue.record("the row is the client's")
            return
        }
        let isDropped = exchange.didPush(.full, wanted, effect)
        #expect(!isDropped && exchange.isFull)
        exchange.didFill()
        let unwanted = RedisExchange.Demand(isDiscarding: true)
        let second = exchange.take(Element(depth: 1), DriverError(.databaseError, ""), unwanted, effect)
        guard case .dropRows = second else {
            Issue.record("nobody wants the row")
            return
        }
        _ = exchange.replyDidEnd(unwanted)
        exchange.stepIsAnswered()
        #expect(exchange.end()?.code == .outcomeUnknown)
    }

    private func command(_ text: StaticString) throws -> RedisCommand {
        try RedisCommand(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount), [])
    }

    private static let notReady = DriverError(.busy, "LOADING").with { $0.isRetryable = true }

    /// A script may say what a server says that is not ready, after it has written.
    @Test(arguments: [(false, true, false), (true, true, true), (false, false, true)])
    func whatAScriptSaysIsNoReasonToSendItAgain(_ isReading: Bool, _ answersFreely: Bool, _ isRetryable: Bool) throws {
        var exchange = RedisExchange()
        var effect = StatementEffect()
        exchange.beginRun(RunMode(isReadOnly: false, isSession: false))
        let sent = try command("EVAL x 0")
        exchange.didSend(sent, nil, isReading: isReading, answersFreely: answersFreely, &effect)
        _ = exchange.take(Element(kind: .error), Self.notReady, RedisExchange.Demand(), effect)
        _ = exchange.replyDidEnd(RedisExchange.Demand())
        exchange.stepIsAnswered()
        let error = exchange.end()
        #expect(error?.code == .busy && error?.details.isRetryable == isRetryable)
        #expect(error?.details.hint?.contains("before you send it again") == (isRetryable ? nil : true))
    }

    /// Of a batch whose first command is done, the second one's error is no reason to send both again; nor within EXEC.
    @Test(arguments: [true, false])
    func aPartThatIsDoneIsNotSentAgain(_ isAtomic: Bool) throws {
        var exchange = RedisExchange()
        var effect = StatementEffect()
        exchange.beginRun(RunMode(isReadOnly: false, isSession: false))
        exchange.batch = BatchController(isAtomic: isAtomic, unansweredCountMax: 8, keepsOnBehindFailure: true)
        let sent = try command("INCR n")
        var replies = [[Element()], [Element(kind: .error)]]
        if isAtomic {
            exchange.didSend(.multi)
            replies = [[Element()], [Element()], [Element()]]
        }
        for index in 0..<2 {
            exchange.didSend(sent, BatchPosition(statementIndex: index, rowIndex: nil), isReading: false, &effect)
        }
        if isAtomic {
            effect.noteSent(.commits)
            exchange.didSend(.exec)
            replies.append([Element(), Element(depth: 1), Element(kind: .error, depth: 1, index: 1)])
        }
        for element in replies.joined() {
            if element.depth == 0, exchange.isReplyRead { exchange.stepIsAnswered() }
            _ = exchange.take(element, Self.notReady, RedisExchange.Demand(), effect)
            _ = exchange.replyDidEnd(RedisExchange.Demand())
        }
        exchange.stepIsAnswered()
        let error = exchange.end()
        #expect(error?.code == .busy && error?.details.statementIndex == 1 && error?.details.isRetryable == false)
    }

    /// A server that does not take ASKING executes what is behind it, or refuses that for a reason that ASKING's error tells.
    @Test func anAskingThatIsRefusedIsNoErrorOfItsCommand() throws {
        var exchange = RedisExchange()
        var effect = StatementEffect()
        exchange.beginRun(RunMode(isReadOnly: false, isSession: false))
        exchange.didSend(.asking)
        exchange.didSend(try command("INCR n"), nil, isReading: false, &effect)
        for element in [Element(kind: .error), Element()] {
            let refusal = DriverError(.permissionDenied, "no").with { $0.detail = "Redis: NOPERM" }
            _ = exchange.take(element, refusal, RedisExchange.Demand(), effect)
            _ = exchange.replyDidEnd(RedisExchange.Demand())
            exchange.stepIsAnswered()
        }
        #expect(exchange.end() == nil)
        #expect(exchange.askingRefusal?.code == .permissionDenied)
        #expect(exchange.askingRefusal?.details.hint?.contains("+asking") == true)
        exchange.beginRun(RunMode(isReadOnly: false, isSession: false))
        #expect(exchange.askingRefusal == nil)
    }

    /// An element of EXEC's reply belongs to the statement, and to the row of its parameters, that queued it.
    @Test func elementsBelongToTheirStatements() {
        var elements = RedisBatchElements()
        elements.add(BatchPosition(statementIndex: 1, rowIndex: nil))
        for row in 0..<3 { elements.add(BatchPosition(statementIndex: 4, rowIndex: row)) }
        elements.add(BatchPosition(statementIndex: 5, rowIndex: nil))
        let positions = (0..<5).map { elements.position(ofElement: $0) }
        #expect(positions.map { $0?.statementIndex } == [1, 4, 4, 4, 5])
        #expect(positions.map { $0?.rowIndex } == [nil, 0, 1, 2, nil])
    }
}
