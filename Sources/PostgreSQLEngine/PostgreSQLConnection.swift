// A connection to PostgreSQL by libpq, without ever waiting for it: PQsocket is watched by the loop.
//
// It is in pipeline mode all the time, so that what belongs together goes out at once and costs one round trip: a
// read-only statement with the transaction around it, the statements of a batch. What was sent and what its answers mean is the
// exchange's (PostgreSQLExchange.swift); the connection has libpq's handle, and does what the exchange says. Rows come one by one
// (single-row mode), and when the sink has no room the socket is not read: the server waits.
//
// Source: https://www.postgresql.org/docs/15/libpq-pipeline-mode.html, -async.html, -single-row-mode.html

internal import CPostgreSQL
internal import DatabaseContract
internal import LinuxSystem
internal import RemoteDatabases

/// A connection to a PostgreSQL server.
///
/// - Thread: that of its loop.
final class PostgreSQLConnection: ServerConnection {
    typealias Step = PostgreSQLExchange.Step

    /// What a result needs until it is read.
    struct Reading {
        /// Its columns, once they are known.
        var columns: PostgreSQLColumns?
        var rowCountLeft = Int64.max
        /// Types of the parameters with which the statement was parsed whose rows are being sent.
        var rowTypes: [UInt32]?
    }

    let handle: OpaquePointer
    let types: PostgreSQLTypes
    let place: PostgreSQLLocation
    let server: PostgreSQLServerFacts
    var exchange = PostgreSQLExchange()
    /// Of the present run: replaced as a whole when the next one begins.
    var reading = Reading()
    var parameters = PostgreSQLParameters()
    var rows = PostgreSQLRows()
    var mustFlush = false
    var input = PostgreSQLInput()
    /// A long row that waits for a worker.
    var heldResult: OpaquePointer?
    /// A COPY that is under way.
    var copy: PostgreSQLCopy?
    /// The server has said that it is about to hang up, while nothing ran: libpq takes that for a notice, and the socket has nothing
    /// to read until it is closed.
    private var isEnding = false

    init(
        _ handle: OpaquePointer, _ types: PostgreSQLTypes, _ place: PostgreSQLLocation,
        _ server: PostgreSQLServerFacts
    ) {
        self.handle = handle
        self.types = types
        self.place = place
        self.server = server
        super.init()
        // Else libpq draws the place of each error into a copy of the text, character by character, for a message that nobody here
        // reads: 200 ms for 15 MB (reportErrorPosition in fe-protocol3.c).
        _ = libpq.PQsetErrorVerbosity(handle, PQERRORS_TERSE)
        // libpq calls back within calls of ours, which end with `finish`.
        _ = libpq.PQsetNoticeReceiver(
            handle,
            { argument, notice in
                guard let argument, let notice else { return }
                Unmanaged<PostgreSQLConnection>.fromOpaque(argument).takeUnretainedValue().take(notice: notice)
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// A notice belongs to whatever runs.
    private func take(notice: OpaquePointer) {
        input.noteMessage()
        // One of libpq's own: it has dropped an answer for which there was no question.
        if PostgreSQLErrors.sqlState(notice) == nil { exchange.noteOutOfStep() }
        if PostgreSQLErrors.isLastWord(notice) { isEnding = true }
        guard let run, run.wantsNotices, exchange.isAtStatement else { return }
        run.notices.append(PostgreSQLErrors.notice(notice))
    }

    override var serverVersion: String { server.version }
    override var socketNumber: Int32 { libpq.PQsocket(handle) }
    override var serverName: String? {
        guard place.serverCount > 1, let host = libpq.PQhost(handle), let port = libpq.PQport(handle) else {
            return nil
        }
        return "\(PostgreSQLText.clipped(host)):\(PostgreSQLText.clipped(port))"
    }

    override var transaction: TransactionState {
        // libpq calls active whatever waits for an answer.
        if exchange.isIntroducing { return .none }
        return switch libpq.PQtransactionStatus(handle) {
        case PQTRANS_INTRANS, PQTRANS_ACTIVE: .active
        case PQTRANS_INERROR: .failed
        default: .none
        }
    }

    override func finish() {
        if let held = heldResult.take() { libpq.PQclear(held) }
        libpq.PQfinish(handle)
    }

    /// Notifications are not carried: those of a session that has sent LISTEN must not pile up while it is idle.
    override func isAlive() -> Bool {
        guard case .read = input.read(handle) else { return false }
        dropNotifications()
        return libpq.PQstatus(handle) == CONNECTION_OK && !isEnding && !exchange.isOutOfStep && !input.isFruitless
    }

    func dropNotifications() {
        while let notification = libpq.PQnotifies(handle) {
            libpq.PQfreemem(notification)
            input.noteMessage()
        }
    }

    /// Says nothing, as an idle server should: its last word before it hangs up would be taken for the next one's answer.
    override func isQuiet() -> Bool { !Sockets.hasInput(socketNumber) }

    // MARK: Sending

    override func send(_ run: StatementRun) throws(DriverError) {
        exchange.beginRun(isSession: mode.isSession)
        reading = Reading(rowCountLeft: run.rowCountMax)
        input = PostgreSQLInput(rowByteCountMax: run.sink.rowByteCountMax)
        // Commands before this one have all been answered; libpq tells a server that has hung up meanwhile. A connection of
        // the pool was looked at when it was taken.
        guard !mode.isSession || isAlive() else { throw lostError }
        switch run.kind {
        case .statement: try send(run.sql, run.parameters, nil)
        case .describe: try sendDescribe(run)
        case .batch(let isAtomic): try beginBatch(run, isAtomic: isAtomic)
        case .backup: throw .noFileToCopy
        case .restore: throw .noFileToRestore
        case .load(let load): try sendCopy(run, PostgreSQLCopy(load))
        case .copy(let input): try sendCopy(run, PostgreSQLCopy(input))
        }
        activate()
    }

    override func sendReset() -> Bool {
        failure = nil
        do throws(DriverError) { try sendClearing() } catch { return false }
        activate()
        return true
    }

    /// A name longer than NAMEDATALEN - 1 would be cut by the server, with a notice.
    private static let nameByteCountMax = 63

    // A pooler may give its connection, with the name, to other clients.
    override func sendIntroduction(_ clientName: String) -> Bool {
        guard !server.isBehindPooler else { return false }
        let own = server.applicationName
        let full = own.isEmpty ? clientName : "\(own): \(clientName)"
        let name = String(full.utf8.prefix(Self.nameByteCountMax)) ?? clientName
        let sent = name.withCString { value in
            var value: UnsafePointer<CChar>? = value
            return libpq.PQsendQueryParams(
                handle, "SELECT pg_catalog.set_config('application_name', $1, false)", 1, nil, &value, nil, nil, 0)
        }
        guard sent == 1 else { return false }
        exchange.didSend(.introduction)
        // A connection that is lost meanwhile says so at its next statement.
        try? sync()
        return true
    }

    // MARK: Receiving

    /// The next step is the first one that has no answer: its rows are to come one by one, those of our own statements too,
    /// however many they are. This must be said before libpq has looked at any of them.
    func activate() {
        if exchange.awaitsRows { _ = libpq.PQsetSingleRowMode(handle) }
    }

    override func advanceAway() -> Progress {
        input.beginLook()
        return advanceAndRead()
    }

    override func advance(isReadable: Bool) -> Progress {
        if !absence.isAway, absence.hasBeen { return .heavy }
        if isReadable {
            switch input.read(handle) {
            case .read:
                noteMessageSize(input.byteCount)
                // Its buffer, and the row that it will make of that.
                if input.isLong { run?.sink.noteHeld(2 * input.byteCount) }
            case .failed: return lost()
            case .tooMuch: return .broken(exchange.tooLong(current.effect))
            }
        }
        if mustFlush {
            let state = flush()
            if state < 0 { return lost() }
            mustFlush = state > 0
        }
        if copy != nil { return advanceCopy() }
        while true {
            while exchange.isAwaiting { if let progress = takeNext(isReadable) { return progress } }
            guard continueBatch() else { break }
            activate()
        }
        if run == nil, failure != nil, phase == .resetting { return lost() }
        finishRun()
        return run == nil && exchange.isOutOfStep ? lost() : .ended
    }

    /// Takes what libpq hands out next.
    /// - Returns: what came of it, unless there is more to be taken.
    private func takeNext(_ isReadable: Bool) -> Progress? {
        if !absence.isAway, input.isLong { return .heavy }
        if let held = heldResult.take() {
            defer { libpq.PQclear(held) }
            return take(held)
        }
        if libpq.PQisBusy(handle) != 0 {
            if libpq.PQstatus(handle) != CONNECTION_OK { return lost() }
            dropNotifications()
            let isOurLook = isReadable || absence.isAway
            if isOurLook, input.isFruitless {
                return .broken(exchange.nonsense("It has too many parameters.", current.effect))
            }
            continueBatchWhileWaiting()
            return .waiting(mustFlush ? [.readable, .writable] : .readable)
        }
        input.noteMessage()
        // libpq has dropped an answer too many, between two others, if it was there in time.
        if exchange.isOutOfStep {
            return .broken(exchange.nonsense("It answers what it was not asked.", current.effect))
        }
        guard let result = libpq.PQgetResult(handle) else {
            if libpq.PQstatus(handle) != CONNECTION_OK { return lost() }
            stepIsAnswered()
            return nil
        }
        if !absence.isAway, libpq.PQresultMemorySize(result) >= Self.heavyByteCountMin {
            heldResult = result
            return .heavy
        }
        defer { libpq.PQclear(result) }
        return take(result)
    }

    private func stepIsAnswered() {
        exchange.stepIsAnswered()
        activate()
    }

    // MARK: The end

    func finishRun() {
        parameters.trim()
        dropNotifications()
        let isUnknown =
            libpq.PQtransactionStatus(handle) == PQTRANS_UNKNOWN && libpq.PQstatus(handle) == CONNECTION_OK
        let error = exchange.end(current.effect, isUnknown ? nil : transaction)
        if exchange.isOutOfStep { isWorn = true }
        guard let run else { return }
        run.error = error
        run.summary.transaction = transaction
    }

    /// Answers that are looked at after the end of the connection.
    private static let lastAnswerCountMax = 10_000

    /// The connection has ended. What the server said last may be there still.
    func lost() -> Progress {
        copy = nil
        var count = 0
        while count < Self.lastAnswerCountMax, exchange.isAwaiting,
            libpq.PQstatus(handle) != CONNECTION_OK || libpq.PQisBusy(handle) == 0
        {
            count += 1
            if let result = libpq.PQgetResult(handle) {
                takeLast(result)
                libpq.PQclear(result)
            } else {
                stepIsAnswered()
            }
        }
        if let error = exchange.lose(current.effect) { return .broken(error) }
        finishRun()
        return .ended
    }

    override func isOfStop(_ error: DriverError, _ reason: StopReason) -> Bool {
        [.cancelled, .timeout, DriverError.stopped(reason).code].contains(error.code)
    }

    // MARK: Cancelling

    /// Time in which the server is to take a cancel. It has no use for more: its connection is closed then.
    private static let cancelMillisecondsMax = 5_000

    override func makeCancel() -> (@Sendable () -> Bool)? {
        guard let key = libpq.PQgetCancel(handle) else { return nil }
        let parcel = HandedOver(key)
        return {
            // Where it fails, the connection is closed when it does not settle.
            let isOver = cpostgresql_cancel(parcel.value, Self.cancelMillisecondsMax)
            libpq.PQfreeCancel(parcel.value)
            return isOver
        }
    }
}
