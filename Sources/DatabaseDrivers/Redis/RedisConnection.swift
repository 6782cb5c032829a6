// A connection to Redis, without ever waiting for it: hiredis's reader is fed from a socket that the loop watches.
//
// The reader hands on each element as soon as it is there, and the row goes into the sink. When that has no room, reading
// stops behind the element and the socket is not read: the server waits. `steps` are the commands that have no answer yet.
//
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2), /develop/use/pipelining/

internal import ByteBuffers
internal import CHiredis
internal import LinuxSystem

/// A connection to a Redis server.
///
/// - Thread: that of its loop.
final class RedisConnection: ServerConnection {
    /// A command that was sent and not answered yet.
    struct Step {
        enum Kind {
            /// The daemon's own.
            case own
            /// The client's.
            case statement
            /// EXEC of an atomic batch.
            case commit
        }

        /// What it does with the transaction.
        enum Effect { case none, watch, begin, execute, discard }

        var kind = Kind.own
        var position: BatchPosition?
        var effect = Effect.none
    }

    private let descriptor: OwnedDescriptor
    private let driver: RedisDriver
    private let greeting: RedisGreeting
    private let reader: OpaquePointer
    private var output = ByteBuffer()
    private var rows = RedisRows()

    private var steps: [Step] = []
    private var nextStep = 0
    private var state = TransactionState.none
    private var hasWatched = false
    private var hasSelected = false

    private var shape = RedisShape.values
    private var mayBlock = false
    /// The run may have changed something that stays, even if nothing more is heard of it.
    var mayHaveChanged = false
    /// What went wrong first in this run.
    var failure: DriverError?
    var batch: RedisBatch?

    /// The reply that is being read is an error.
    private var isError = false
    /// The sink has a complete frame.
    private var isFull = false
    /// A frame was handed over in this run.
    private var hasFilled = false
    /// The reply has been read; its last rows wait to be taken.
    private var isReplyRead = false
    /// The rest of the reply is of no use.
    private var isDropping = false

    private static let chunkByteCount = 32 << 10
    /// Chunks that are read before others get their turn.
    private static let chunkCountMax = 16

    /// The server has been greeted on `descriptor`, which does not block. The connection owns it, and the reader.
    init(
        _ descriptor: consuming OwnedDescriptor, _ reader: OpaquePointer, _ greeting: RedisGreeting,
        _ driver: RedisDriver
    ) {
        self.descriptor = descriptor
        self.reader = reader
        self.greeting = greeting
        self.driver = driver
        super.init()
    }

    deinit { chiredis_reader_free(reader) }

    override var serverVersion: String { greeting.version }
    override var socketNumber: Int32 { descriptor.number }
    override var transaction: TransactionState { state }

    /// A script has a database of its own, and may not change the connection.
    /// - Source: https://redis.io/docs/latest/develop/programmability/lua-api/
    override var mayRemember: Bool { false }

    override func finish() { Sockets.shutdownBoth(descriptor) }

    /// Says nothing, as an idle server should: what it has said unasked would be taken for the next command's reply.
    override func isAlive() -> Bool { chiredis_reader_is_empty(reader) && !Sockets.hasInput(descriptor.number) }

    // MARK: Sending

    var unansweredCount: Int { steps.count - nextStep }
    var unsentByteCount: Int { output.count }

    /// Puts a command of ours into the output.
    func queueOwn(_ words: [StaticString], _ step: Step) {
        output.append("*\(words.count)\r\n" as String)
        for word in words { queue(UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)) }
        steps.append(step)
    }

    /// Puts a command of the client's into the output.
    func queueStatement(
        _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter], _ command: RedisCommand,
        _ position: BatchPosition?
    ) throws(DriverError) {
        try check(command, sql, parameters)
        let start = output.count
        do throws(DriverError) {
            output.append("*\(command.argumentCount)\r\n" as String)
            var arguments = RedisArguments(sql, parameters)
            while let argument = try arguments.next() { queue(argument) }
        } catch {
            output.truncate(to: start)
            throw error
        }
        steps.append(Step(kind: .statement, position: position, effect: effect(command)))
        if mayChange(command), batch?.isAtomic != true { mayHaveChanged = true }
    }

    /// Whether it changes data when it is executed, which within a transaction is by EXEC.
    private func mayChange(_ command: RedisCommand) -> Bool {
        if command.name == "EXEC" { return !mode.isReadOnly }
        return state == .none && !isReading(command)
    }

    private func queue(_ argument: UnsafeRawBufferPointer) {
        output.append("$\(argument.count)\r\n" as String)
        output.append(argument)
        output.append("\r\n" as StaticString)
    }

    private func effect(_ command: RedisCommand) -> Step.Effect {
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

    /// - Returns: false when the connection is lost.
    @discardableResult
    func flush() -> Bool {
        while !output.isEmpty {
            switch SystemCalls.send(descriptor, output.readable) {
            case .bytes(let count): output.consume(count)
            case .wouldBlock: return true
            case .endOfStream, .failed: return false
            }
        }
        if output.capacity > Self.chunkByteCount { output.releaseStorage() }
        return true
    }

    override func send(_ run: StatementRun) throws(DriverError) {
        failure = nil
        mayHaveChanged = false
        mayBlock = false
        hasFilled = false
        isDropping = false
        rows.prepare(rowCountMax: run.rowCountMax)
        guard isAlive() else { throw lostError() }
        if case .batch(let isAtomic) = run.kind {
            batch = RedisBatch(isAtomic: isAtomic)
            try beginBatch(run)
        } else {
            let command = try RedisCommand(run.sql, run.parameters)
            if case .describe = run.kind { return try describe(command, run) }
            shape = command.shape
            mayBlock = command.mayBlock && state == .none
            try queueStatement(run.sql, run.parameters, command, nil)
        }
        flush()
    }

    /// Where nothing is left, nothing is sent: another user's turn costs no round trip.
    override func sendReset() -> Bool {
        failure = nil
        mayHaveChanged = false
        isDropping = true
        guard isAlive() else { return false }
        if state != .none { queueOwn(["DISCARD"], Step(effect: .discard)) }
        if hasWatched { queueOwn(["UNWATCH"], Step()) }
        if hasSelected {
            output.append("*2\r\n$6\r\nSELECT\r\n" as StaticString)
            var number = "\(driver.place.database)"
            number.withUTF8 { queue(UnsafeRawBufferPointer($0)) }
            steps.append(Step())
        }
        hasWatched = false
        hasSelected = false
        return flush()
    }

    // MARK: What a command may do

    private func isReading(_ command: RedisCommand) -> Bool {
        command.isHarmless || greeting.commands?.isReadOnly(command) ?? false
    }

    /// Refuses what does more than read where only that is allowed.
    private func check(
        _ command: RedisCommand, _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter]
    ) throws(DriverError) {
        guard mode.isReadOnly, !command.isHarmless else { return }
        guard let commands = greeting.commands else { throw Self.noCommands }
        guard commands.isReadOnly(command) else { throw Self.readOnly }
        if driver.settings.mayReadersRunScripts { return }
        if commands.isScript(command) { throw Self.noScripts }
        if let refusal = try RedisReaderRules.refusal(command, sql, parameters) { throw refusal }
    }

    private func describe(_ command: RedisCommand, _ run: StatementRun) throws(DriverError) {
        if let commands = greeting.commands, !commands.isKnown(command) {
            throw DriverError(.syntaxError, "The server does not know the command.", sqlState: "42601").with {
                $0.offset = 0
            }
        }
        run.description = StatementDescription(
            columns: RedisRows.columns(command.shape).columns, parameters: [], isReadOnly: isReading(command))
    }

    // MARK: Receiving

    override func advance(isReadable: Bool) -> Progress {
        guard flush() else { return lost() }
        var chunkCount = isReadable ? 0 : Self.chunkCountMax
        while true {
            while nextStep < steps.count {
                if !absence.isAway, isHeavy { return .heavy }
                if isReplyRead {
                    stepIsAnswered()
                    continue
                }
                switch chiredis_reader_read(reader, Unmanaged.passUnretained(self).toOpaque()) {
                case CHIREDIS_REPLY: if replyIsRead() { return fill() }
                case CHIREDIS_STOPPED: return fill()
                case CHIREDIS_NEEDS_MORE: if let progress = receive(&chunkCount) { return progress }
                default: return .broken(unreadable())
                }
            }
            guard continueBatch() else { break }
            guard flush() else { return lost() }
        }
        if run == nil, failure != nil, phase == .resetting { return lost() }
        finishRun()
        return .ended
    }

    /// A long string is on its way, or a row of many elements.
    private var isHeavy: Bool {
        absence.hasBeen || chiredis_reader_awaited(reader) >= Self.heavyByteCountMin
            || rows.heldByteCount >= Self.heavyByteCountMin
    }

    private func fill() -> Progress {
        isFull = false
        hasFilled = true
        run?.rowCount = rows.rowCount
        return .full
    }

    /// Reads from the socket.
    /// - Returns: what to do when there is nothing more for the moment.
    private func receive(_ chunkCount: inout Int) -> Progress? {
        guard chiredis_reader_awaited(reader) <= rowByteCountMax else { return .broken(stringTooLarge()) }
        guard chiredis_reader_line_begun(reader) <= Self.lineByteCountMax else { return .broken(lineTooLong()) }
        continueBatchWhileWaiting()
        guard chunkCount < Self.chunkCountMax else {
            guard flush() else { return lost() }
            return .waiting(output.isEmpty ? .readable : [.readable, .writable])
        }
        return withUnsafeTemporaryAllocation(byteCount: Self.chunkByteCount, alignment: 1) { chunk in
            switch SystemCalls.read(descriptor, into: chunk) {
            case .bytes(let count):
                // What is left is told by the loop.
                chunkCount = count < chunk.count ? Self.chunkCountMax : chunkCount + 1
                return chiredis_reader_feed(reader, chunk.baseAddress, count) ? nil : .broken(unreadable())
            case .wouldBlock:
                chunkCount = Self.chunkCountMax
                return nil
            case .endOfStream, .failed: return lost()
            }
        }
    }

    private var rowByteCountMax: Int { run?.sink.rowByteCountMax ?? Self.detachedByteCountMax }

    /// A string that nobody waits for any more may be as long as this.
    private static let detachedByteCountMax = 64 << 20

    /// A status, an error or a number may be as long as this. hiredis looks for its end from the beginning at each chunk.
    private static let lineByteCountMax = 1 << 20

    /// - Returns: whether rows must be taken first.
    private func replyIsRead() -> Bool {
        isReplyRead = true
        guard let run, step.kind == .statement, step.position == nil, rows.hasBegun, !isDropping else { return isFull }
        note(rows.finish(into: run.sink))
        return isFull
    }

    private var step: Step { nextStep < steps.count ? steps[nextStep] : Step() }

    private func stepIsAnswered() {
        switch step.effect {
        case .begin: if !isError { state = .active }
        case .execute, .discard: state = .none
        case .none: if isError, state == .active { state = .failed }
        case .watch: break
        }
        isReplyRead = false
        isError = false
        nextStep += 1
        guard nextStep == steps.count else { return }
        steps.removeAll(keepingCapacity: true)
        nextStep = 0
    }

    // MARK: Elements

    /// Takes an element of the reply to the first step.
    /// - Returns: whether there is room for more.
    fileprivate func take(_ element: chiredis_element) -> Bool {
        if element.depth == 0 {
            isError = element.type == REDIS_REPLY_ERROR
            if isError {
                note(located(RedisErrors.error(Self.text(element)), step.position))
                return true
            }
        }
        if step.effect == .execute, element.depth <= 1 { takeExecuted(element) }
        guard step.kind == .statement, step.position == nil, batch == nil, failure == nil, !isDropping, let run
        else { return true }
        if isDiscarding, hasFilled || !mayHaveChanged {
            dropRest()
            return true
        }
        if element.depth == 0 { rows.begin(shape, element, into: run.sink) }
        note(rows.take(element, into: run.sink))
        return !isFull
    }

    private func note(_ outcome: RedisRows.Outcome) {
        switch outcome {
        case .open: break
        case .full: if isDiscarding { dropRest() } else { isFull = true }
        case .overflow:
            note(rowTooLarge())
            isDropping = true
        }
    }

    /// The client does not want the rows any more. Whether it has to know that the command was executed, is another matter.
    private func dropRest() {
        isDropping = true
        hasDroppedRows = true
        if mayHaveChanged { note(Self.executed) }
    }

    private static func text(_ element: chiredis_element) -> String {
        String(decoding: UnsafeRawBufferPointer(start: element.bytes, count: element.length), as: UTF8.self)
    }

    func note(_ error: DriverError) {
        if failure == nil { failure = error }
    }

    private func located(_ error: DriverError, _ position: BatchPosition?) -> DriverError {
        position.map { error.at($0) } ?? error
    }

    /// What EXEC says of the commands that were queued.
    private func takeExecuted(_ element: chiredis_element) {
        if element.depth == 0 {
            if element.type == REDIS_REPLY_NIL { note(located(Self.watchFailed, step.position)) }
            return
        }
        guard element.type == REDIS_REPLY_ERROR, batch != nil else { return }
        let position = step.kind == .commit ? batch?.position(ofElement: Int(element.index)) : step.position
        let error = RedisErrors.error(Self.text(element)).with {
            $0.detail = [$0.detail.map { $0 + "." }, Self.notRolledBack].compactMap { $0 }.joined(separator: " ")
        }
        note(located(error, position))
    }

    // MARK: The end

    private func finishRun() {
        defer {
            batch = nil
            failure = nil
            rows.prepare(rowCountMax: .max)
            chiredis_reader_trim(reader)
        }
        guard let run else { return }
        run.error = failure
        run.rowCount = rows.rowCount
        run.isTruncated = rows.isTruncated
        run.summary.transaction = state
        if failure == nil, let batch {
            run.batchSummaries = Array(repeating: run.summary, count: batch.statementCount)
        }
    }

    private func lost() -> Progress { .broken(lostError()) }

    private func lostError() -> DriverError {
        // What was not sent as a whole was not executed; commands of a batch that were sent before it may have been.
        if mayHaveChanged, output.isEmpty || batch?.isAtomic == false {
            return Self.unknownOutcome("The connection to the database was lost")
        }
        let message =
            mode.isSession
            ? "The connection to the database was lost; an open transaction was discarded."
            : "The connection to the database was lost while the command ran."
        return DriverError(.connectFailed, message, hint: "Try again.", sqlState: "08006").with {
            $0.isRetryable = !mode.isSession
        }
    }

    /// hiredis cannot go on.
    private func unreadable() -> DriverError {
        let problem = String(cString: chiredis_reader_problem(reader))
        return DriverError(
            mayHaveChanged ? .outcomeUnknown : .databaseError, "The reply of the database cannot be read: \(problem).",
            hint: "The connection was closed. Ask for less, or for parts.", sqlState: "08P01")
    }

    /// hiredis would gather it in memory.
    private func stringTooLarge() -> DriverError {
        rowTooLarge().with {
            $0.message =
                "A string in the reply is larger than a reply may be (row_bytes_max); the connection was closed."
        }
    }

    private func lineTooLong() -> DriverError {
        rowTooLarge().with {
            $0.message =
                "A line in the reply is longer than \(Self.lineByteCountMax) bytes; the connection was closed."
            $0.hint = "Return long texts as strings, not as a status or an error."
        }
    }

    private func rowTooLarge() -> DriverError {
        DriverError(
            .limitExceeded, "A row is larger than a reply may be (row_bytes_max).",
            hint: "Ask for parts: GETRANGE, LRANGE, SCAN and the like.", sqlState: "54000"
        ).with { if mayHaveChanged { $0.detail = "The command was executed." } }
    }

    override func errorOfDetachedRun(_ reason: StopReason, isLost: Bool) -> DriverError {
        mayHaveChanged ? Self.unknownOutcome("The server did not confirm the cancelling") : .stopped(reason)
    }

    // MARK: Cancelling

    /// Only a command that waits can be told to end. Others are executed as a whole, and SCRIPT KILL would hit whatever
    /// script runs at the moment, whoever has sent it.
    override func makeCancel() -> (@Sendable () -> Bool)? {
        guard mayBlock, let id = greeting.clientID else { return nil }
        let driver = driver
        return {
            driver.unblock(id)
            return true
        }
    }
}

/// Hands elements on from hiredis, within `chiredis_reader_read`.
let redisTakeElement: chiredis_take = { context, element in
    guard let context, let element else { return false }
    return Unmanaged<RedisConnection>.fromOpaque(context).takeUnretainedValue().take(element.pointee)
}
