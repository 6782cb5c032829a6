// A connection to Redis that never blocks: the loop watches its socket, and feeds hiredis's reader from it.
//
// The reader passes on each element as soon as it has arrived, and `RedisRows` writes the row into the sink. When the
// sink is full, reading stops behind the element and the socket is not read, so the server waits. The exchange
// (RedisExchange.swift) knows which commands were sent and what their replies mean; the connection does the I/O.
//
// Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2), /develop/use/pipelining/

internal import ByteBuffers
internal import CHiredis
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A connection to a Redis server.
///
/// - Thread: that of its loop.
final class RedisConnection: ServerConnection {
    private let descriptor: OwnedDescriptor
    private let driver: RedisDriver
    private let greeting: RedisGreeting
    private let reader: OpaquePointer
    private var output = RedisOutput()
    private var rows = RedisRows()
    var exchange = RedisExchange()
    /// What a node of a cluster has said to the commands of the present run.
    private var refusals = RedisRefusals()
    /// The present run, of a cluster.
    var clusterRun: RedisClusterRun? { driver.place.isOfCluster ? run as? RedisClusterRun : nil }

    private static let chunkByteCount = 32 << 10
    /// Chunks that are read before others get their turn.
    private static let chunkCountMax = 16
    /// Bytes that a loop sends before others get their turn.
    private static let turnByteCountMax = 256 << 10
    /// The longest string that is read when nobody waits for it any more.
    private static let detachedByteCountMax = 64 << 20
    /// The longest status, error or number. hiredis looks for its end from the beginning at each chunk.
    private static let lineByteCountMax = 1 << 20

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
        isWorn = greeting.wasBusy
    }

    deinit { chiredis_reader_free(reader) }

    override var serverVersion: String { greeting.version }
    override var serverName: String? { driver.hasSeveralServers ? greeting.server.label : nil }
    override var isOutdated: Bool { driver.choice?.isOutdated(opened) ?? false }
    override var socketNumber: Int32 { descriptor.number }
    override var transaction: TransactionState { exchange.transaction }

    /// Rows may always be dropped: the client still learns that the command was executed (`RedisExchange.executed`).
    override var readsOnly: Bool { true }

    /// A script has a database of its own, and cannot change the connection.
    /// - Source: https://redis.io/docs/latest/develop/programmability/lua-api/
    override var mayRemember: Bool { false }

    override func finish() { Sockets.shutdownBoth(descriptor) }

    /// An idle server sends nothing; anything that it has sent would be taken for the reply to the next command.
    override func isAlive() -> Bool { chiredis_reader_is_empty(reader) && !Sockets.hasInput(descriptor.number) }

    // MARK: Sending

    var unsentByteCount: Int { output.byteCount }

    /// Queues a command of the daemon's own.
    func queue(_ command: RedisExchange.OwnCommand) {
        write(command)
        exchange.didSend(command)
    }

    private func write(_ command: RedisExchange.OwnCommand) {
        switch command {
        case .multi: queue("MULTI")
        case .exec: queue("EXEC")
        case .discard: queue("DISCARD")
        case .unwatch: queue("UNWATCH")
        case .asking: queue("ASKING")
        case .select:
            output.beginCommand(argumentCount: 2)
            output.append("SELECT" as StaticString)
            var number = "\(driver.place.database)"
            number.withUTF8 { output.append(UnsafeRawBufferPointer($0)) }
        }
    }

    private func queue(_ word: StaticString) {
        output.beginCommand(argumentCount: 1)
        output.append(word)
    }

    /// Queues a command of the client's, and what has to go before it.
    func queue(
        _ command: RedisCommand, _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter],
        _ position: BatchPosition?, behind own: [RedisExchange.OwnCommand] = []
    ) throws(DriverError) {
        try check(command, sql, parameters)
        let replicaCount = clusterRun == nil ? nil : try command.replicaCount(sql, parameters)
        let start = output.byteCount
        do throws(DriverError) {
            for command in own { write(command) }
            output.beginCommand(argumentCount: command.argumentCount)
            var arguments = RedisArguments(sql, parameters)
            while let argument = try arguments.next() { output.append(argument) }
        } catch {
            output.truncate(to: start)
            throw error
        }
        for command in own { exchange.didSend(command) }
        let properties = properties(of: command)
        exchange.didSend(
            command, position, isReading: properties.isReadOnly, answersFreely: properties.answersFreely,
            replicaCount: replicaCount, &current.effect)
    }

    /// Sends what the server takes; a loop limits it, so that others get their turn.
    /// - Returns: false when the connection is lost.
    @discardableResult
    private func flush() -> Bool {
        let byteCountMax = absence.isAway ? Int.max : Self.turnByteCountMax
        return output.send(to: descriptor, byteCountMax: byteCountMax) != .lost
    }

    override func send(_ run: StatementRun) throws(DriverError) {
        exchange.beginRun(mode)
        if driver.place.isOfCluster { refusals = RedisRefusals() }
        rows.prepare(.values, rowCountMax: run.rowCountMax)
        guard isAlive() else { throw lostError() }
        if case .batch(let isAtomic) = run.kind {
            try beginBatch(run, isAtomic: isAtomic)
        } else {
            let command = try RedisCommand(run.sql, run.parameters)
            if case .describe = run.kind { return try describe(command, run) }
            if case .load = run.kind { throw .noTables }
            rows.prepare(command.shape, rowCountMax: run.rowCountMax)
            try queue(command, run.sql, run.parameters, nil, behind: clusterRun?.ownCommands ?? [])
        }
        flush()
    }

    override func sendReset() -> Bool {
        let commands = exchange.beginReset()
        guard isAlive() else { return false }
        for command in commands { queue(command) }
        return flush()
    }

    // MARK: What a command may do

    private func properties(of command: RedisCommand) -> RedisCommandTable.Properties {
        if command.isHarmless { return RedisCommandTable.Properties(isReadOnly: true) }
        return greeting.commands?.properties(of: command)
            ?? RedisCommandTable.Properties(answersFreely: command.isScript || greeting.wasBusy)
    }

    /// Refuses every command that does more than read where only reading is allowed.
    private func check(
        _ command: RedisCommand, _ sql: UnsafeRawBufferPointer, _ parameters: [DriverParameter]
    ) throws(DriverError) {
        guard mode.isReadOnly, !command.isHarmless else { return }
        guard let commands = greeting.commands else {
            throw greeting.wasBusy ? RedisExchange.noCommandsYet : RedisExchange.noCommands
        }
        guard commands.isReadOnly(command) else { throw RedisExchange.readOnly }
        if driver.settings.mayReadersRunScripts { return }
        if commands.isScript(command) { throw RedisExchange.noScripts }
        if let refusal = try RedisReaderRules.refusal(command, sql, parameters) { throw refusal }
    }

    private func describe(_ command: RedisCommand, _ run: StatementRun) throws(DriverError) {
        if let commands = greeting.commands, !commands.isKnown(command) {
            throw DriverError(.syntaxError, "The server does not know the command.", sqlState: "42601").with {
                $0.place = .start
            }
        }
        run.description = StatementDescription(
            columns: RedisRows.columns(command.shape).columns, parameters: [],
            isReadOnly: properties(of: command).isReadOnly)
    }

    // MARK: Receiving

    override func advance(isReadable: Bool) -> Progress {
        if !absence.isAway, absence.hasBeen { return .heavy }
        guard flush() else { return lost() }
        var chunkCount = isReadable ? 0 : Self.chunkCountMax
        while true {
            while exchange.isAwaiting {
                if !absence.isAway, isHeavy { return .heavy }
                if exchange.isReplyRead {
                    exchange.stepIsAnswered()
                    continue
                }
                switch chiredis_reader_read(reader, Unmanaged.passUnretained(self).toOpaque()) {
                case CHIREDIS_REPLY:
                    replyDidEnd()
                    if exchange.isFull { return fill() }
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

    /// A long string or line is arriving, or a row of many elements.
    private var isHeavy: Bool {
        chiredis_reader_awaited(reader) >= Self.heavyByteCountMin || rows.heldByteCount >= Self.heavyByteCountMin
            || chiredis_reader_line_begun(reader) >= Self.heavyByteCountMin
    }

    private func fill() -> Progress {
        exchange.didFill()
        run?.rowCount = rows.rowCount
        return .full
    }

    /// Reads from the socket.
    /// - Returns: what to do if nothing more has arrived.
    private func receive(_ chunkCount: inout Int) -> Progress? {
        let awaited = chiredis_reader_awaited(reader)
        guard awaited <= run?.sink.rowByteCountMax ?? Self.detachedByteCountMax else {
            return .broken(RedisExchange.stringTooLarge(current.effect))
        }
        if awaited >= Self.heavyByteCountMin { run?.sink.noteHeld(Int(awaited)) }
        guard chiredis_reader_line_begun(reader) <= Self.lineByteCountMax else {
            return .broken(RedisExchange.lineTooLong(current.effect, byteCountMax: Self.lineByteCountMax))
        }
        continueBatchWhileWaiting()
        guard chunkCount < Self.chunkCountMax else {
            guard flush() else { return lost() }
            return .waiting(output.isEmpty ? .readable : [.readable, .writable])
        }
        return withUnsafeTemporaryAllocation(byteCount: Self.chunkByteCount, alignment: 1) { chunk in
            switch SystemCalls.read(descriptor, into: chunk) {
            case .bytes(let count):
                // The loop reports what is left.
                chunkCount = count < chunk.count ? Self.chunkCountMax : chunkCount + 1
                return chiredis_reader_feed(reader, chunk.baseAddress, count) ? nil : .broken(unreadable())
            case .wouldBlock:
                chunkCount = Self.chunkCountMax
                return nil
            case .endOfStream, .failed: return lost()
            }
        }
    }

    private var demand: RedisExchange.Demand {
        RedisExchange.Demand(hasClient: run != nil, isDiscarding: isDiscarding)
    }

    /// Takes an element of the reply.
    /// - Returns: whether there is room for more.
    fileprivate func take(_ element: chiredis_element) -> Bool {
        if element.depth == 0, driver.place.isOfCluster { noteRefusal(element) }
        switch exchange.take(
            RedisExchange.Element(element), RedisErrors.error(element), demand, current.effect)
        {
        case .none: break
        case .dropRows: current.hasDroppedRows = true
        case .row:
            guard let run else { break }
            if element.depth == 0 { rows.begin(element, into: run.sink) }
            didPush(rows.take(element, into: run.sink))
        }
        return !exchange.isFull
    }

    /// A reply begins, of a node of a cluster.
    private func noteRefusal(_ element: chiredis_element) {
        let bytes = UnsafeRawBufferPointer(
            start: element.bytes, count: min(element.length, RedisRedirection.byteCountMax + 1))
        let redirection =
            element.type == CHIREDIS_ERROR ? RedisRedirection(String(decoding: bytes, as: UTF8.self)) : nil
        refusals.note(redirection, isError: element.type == CHIREDIS_ERROR, of: exchange.refusalStep)
    }

    private func replyDidEnd() {
        guard exchange.replyDidEnd(demand), rows.hasBegun, let run else { return }
        didPush(rows.finish(into: run.sink))
    }

    private func didPush(_ outcome: RedisRows.Outcome) {
        if exchange.didPush(outcome, demand, current.effect) { current.hasDroppedRows = true }
    }

    // MARK: The end

    private func finishRun() {
        defer {
            rows.prepare(.values, rowCountMax: .max)
            chiredis_reader_trim(reader)
        }
        let statementCount = batch?.statementCount
        let isDivisible = batch?.isAtomic == false
        let error = exchange.end().map { noteRole($0, isDivisible: isDivisible) }
        guard let run else { return }
        run.error = error.map { noteRedirection($0, isDivisible: isDivisible) }
        run.rowCount = rows.rowCount
        run.isTruncated = rows.isTruncated
        run.summary.transaction = transaction
        if error == nil, let statementCount {
            run.batchSummaries = Array(repeating: run.summary, count: statementCount)
        }
    }

    /// Looks whether the server says by an error that it is not the primary any more. Then the connection is not used again, and
    /// neither are the others to it.
    private func noteRole(_ error: DriverError, isDivisible: Bool) -> DriverError {
        guard let choice = driver.choice, RedisErrors.isOfReplica(error) else { return error }
        isWorn = true
        choice.noteLoss()
        return error.ofLostRole(isSession: mode.isSession, isDivisible: isDivisible)
    }

    /// Looks whether a node of a cluster has refused all of the run, which may then be sent elsewhere.
    /// - Returns: the error of the run if it is not.
    private func noteRedirection(_ error: DriverError, isDivisible: Bool) -> DriverError {
        // What was refused may not be all: behind a MULTI that is refused, other commands were executed by themselves.
        guard driver.place.isOfCluster, error.code != .outcomeUnknown,
            let redirection = refusals.redirection(isDivisible: isDivisible)
        else { return error }
        // The node would have executed it behind ASKING: no other one will.
        if let refusal = exchange.askingRefusal { return refusal }
        clusterRun?.redirection = redirection
        return error
    }

    private func lost() -> Progress { .broken(lostError()) }

    private func lostError() -> DriverError { exchange.lostError(current.effect, hasUnsent: !output.isEmpty) }

    private func unreadable() -> DriverError {
        RedisExchange.unreadable(String(cString: chiredis_reader_problem(reader)), current.effect)
    }

    override func errorOfDetachedRun(_ reason: StopReason, isLost: Bool) -> DriverError {
        RedisExchange.detachedError(reason, current.effect)
    }

    override func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool {
        RedisExchange.isOfStop(error, reason)
    }

    // MARK: Cancelling

    /// Only a command that waits can be ended early. Others are executed as a whole, and SCRIPT KILL would end whatever
    /// script runs at that moment, whoever has sent it.
    override func makeCancel() -> (@Sendable () -> Bool)? {
        guard exchange.canUnblock, greeting.clientID != nil else { return nil }
        let (driver, greeting) = (driver, greeting)
        return {
            driver.unblock(greeting)
            return true
        }
    }
}

extension RedisExchange.Element {
    fileprivate init(_ element: chiredis_element) {
        switch element.type {
        case CHIREDIS_NIL: kind = .null
        case CHIREDIS_ERROR: kind = .error
        default: kind = .value
        }
        depth = Int(element.depth)
        index = Int(element.index)
        integer = element.integer
    }
}

/// Passes elements on from hiredis, within `chiredis_reader_read`.
let redisTakeElement: chiredis_take = { context, element in
    guard let context, let element else { return false }
    return Unmanaged<RedisConnection>.fromOpaque(context).takeUnretainedValue().take(element.pointee)
}
