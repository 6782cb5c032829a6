// One request that needs a database, from its arrival to its last frame.

internal import ByteBuffers
internal import DatabaseContract
internal import LinuxSystem
internal import WireProtocol

/// A request in flight: the run that a driver sees, and what its reply needs.
///
/// - Thread: its connection's loop; while it runs, a driver's (see `StatementRun`).
final class Operation: StatementRun, @unchecked Sendable {
    /// The request's bytes; `sql`, `parameters` and `id` point into them.
    @exclusivity(unchecked) var storage = ByteBuffer()
    /// The row of its request type.
    @exclusivity(unchecked) var row: RequestRow
    @exclusivity(unchecked) var id = RequestID.none
    let encoding: WireEncoding
    /// Where the rows go: `sink`, as the server sees it.
    let rows: WireRowSink
    /// The connection that waits for the reply; `nil` if it is gone.
    @exclusivity(unchecked) var connection: Connection?
    @exclusivity(unchecked) var session: Session?
    @exclusivity(unchecked) var link: (any DatabaseLink)?
    /// Where its database is, without a session.
    @exclusivity(unchecked) var location: (any DatabaseLocation)?
    /// Under which its database is counted.
    @exclusivity(unchecked) var databaseNumber = DatabaseFigures.none
    /// How long the daemon has worked on it.
    @exclusivity(unchecked) var clock = WorkClock()
    /// The time limit of its database, in milliseconds; 0: no limit.
    @exclusivity(unchecked) var timeLimit: Int64 = 0
    @exclusivity(unchecked) var timer: TimerID?
    /// Identifies the operation to its timer.
    @exclusivity(unchecked) var serial: UInt64 = 0
    @exclusivity(unchecked) var progress = Progress.idle
    /// Among its connection's requests in flight.
    @exclusivity(unchecked) var isTracked = false
    @exclusivity(unchecked) var elapsedMicroseconds: Int64 = 0
    @exclusivity(unchecked) var pageRowCount: Int64?
    /// When it began to wait for its client.
    var waitingSince = MonotonicInstant(nanoseconds: 0)
    /// What others need from it.
    var hold = Hold()
    /// Pages that were requested before they were due.
    @exclusivity(unchecked) var fetchCredit = 0
    /// `cancel` requests that wait for its end.
    @exclusivity(unchecked) var cancels: [Operation] = []
    /// Bytes of `storage` that were charged to the user's account.
    @exclusivity(unchecked) var chargedByteCount = 0
    /// Why the server itself ends it, whatever its driver reports.
    @exclusivity(unchecked) var refusal: RequestError?
    /// True after the reply's first frame was queued.
    @exclusivity(unchecked) var hasSentRows = false
    /// Where its data go instead of into replies.
    @exclusivity(unchecked) private(set) var transfer: Transfer?
    /// A statement of the server's own instead of the request's.
    @exclusivity(unchecked) private var ownText = ByteBuffer()
    @exclusivity(unchecked) private var batch: BatchSource?
    /// Parameters that are not decoded yet: a request that waits holds its bytes and nothing more.
    @exclusivity(unchecked) private var undecoded: ParameterList?

    enum Progress {
        case idle
        /// `start` has not returned yet: everything that happens belongs to the turn of the request.
        case starting
        /// Behind other requests of its session.
        case queued
        case running
        /// Until the client has read more.
        case waitingForOutput
        /// Until the client asks for the next page.
        case waitingForFetch
        /// Until the client's file has taken what was produced.
        case waitingForFile
        case ended

        /// The same for the flow control.
        var stage: FlowControl.Stage {
            switch self {
            case .idle, .starting, .running, .waitingForFile, .ended: .working
            case .queued: .queued
            case .waitingForOutput: .waitingForOutput
            case .waitingForFetch: .waitingForFetch
            }
        }
    }

    /// For requests in the encoding of the sink, one after the other.
    init(_ rows: WireRowSink, _ row: RequestRow) {
        self.row = row
        self.rows = rows
        encoding = rows.writer.encoding
        super.init(sink: rows)
    }

    /// For one request whose data go into a file.
    init(_ rows: WireRowSink, _ row: RequestRow, _ transfer: Transfer) {
        self.row = row
        self.rows = rows
        encoding = rows.writer.encoding
        self.transfer = transfer
        super.init(sink: transfer.sink)
    }

    /// Prepares for the reply's rows.
    func prepareRows(_ writer: MessageWriter, rowByteCountMax: Int, _ account: UserAccount, accountByteCountMax: Int) {
        let frameType = row.type.replyName
        rows.prepare(
            id: id, writer: writer, pageRowCount: pageRowCount, rowByteCountMax: rowByteCountMax, frameType: frameType)
        rows.setPayer(account, byteCountMax: accountByteCountMax, mayRefuse: !mayWrite)
    }

    /// Runs a statement that is not in the request.
    func setOwnText(_ text: String) {
        ownText.append(text)
        sql = ownText.readable
    }

    /// Takes the parameters of a request, which are decoded when it starts; without a session that is now.
    func setParameters(_ list: ParameterList) {
        if session == nil { decode(list) } else { undecoded = list }
    }

    /// Decodes the parameters that `setParameters` took.
    func decodeParameters() {
        guard let list = undecoded else { return }
        undecoded = nil
        decode(list)
    }

    private func decode(_ list: ParameterList) {
        if hasParameters { parameters.removeAll(keepingCapacity: true) }
        // To grow to tens of thousands in steps takes a loop milliseconds.
        if list.count > parameterCapacity { parameters.reserveCapacity(list.count) }
        var reader = list.makeReader()
        while let parameter = reader.next() {
            parameters.append(DriverParameter(name: parameter.name, value: DriverValue(parameter.value)))
        }
    }

    /// Makes the operation ready for another request.
    func reset() {
        resetRun()
        rows.trim()
        if storage.capacity > 8 << 10 { storage.releaseStorage() } else { storage.removeAll() }
        id = .none
        connection = nil
        session = nil
        link = nil
        location = nil
        databaseNumber = DatabaseFigures.none
        timer = nil
        progress = .idle
        pageRowCount = nil
        clock.timeoutMilliseconds = 0
        timeLimit = 0
        fetchCredit = 0
        hasSentRows = false
        hold = Hold()
        if refusal != nil { refusal = nil }
        if transfer != nil { transfer = nil }
        if !ownText.isEmpty { ownText.releaseStorage() }
        if batch != nil { batch = nil }
        if undecoded != nil { undecoded = nil }
    }

    // MARK: Memory

    /// Approximate size of an empty operation.
    private static let emptyByteCount = 1 << 10

    /// Bytes that it holds while it is in flight, including those that it will need when it runs.
    var heldByteCount: Int {
        let parameterCount = max(parameterCapacity, undecoded?.count ?? 0, batch?.request.parameterCountPeak ?? 0)
        // The free part of a large storage was never touched; a small one may have been used by a larger request.
        let bytes = storage.capacity > 4 * LongRequest.byteCountMin ? storage.count : storage.capacity
        return Self.emptyByteCount + (transfer == nil ? 0 : Transfer.byteCount) + bytes
            + parameterCount * MemoryLayout<DriverParameter>.stride
            + batchStatementCount * MemoryLayout<StatementSummary>.stride
    }

    /// The same from its start on, with what is made of a long request on its way to a server.
    var startedByteCount: Int {
        let byteCount = heldByteCount
        guard storage.count > LongRequest.byteCountMin, let copies = link?.engine.copies else { return byteCount }
        let parameterCount = max(parameters.count, batch?.request.parameterCountPeak ?? 0)
        return byteCount + copies.perByte * storage.count + copies.perParameter * parameterCount
    }

    override var requestByteCount: Int { storage.count }

    // MARK: What the driver tells

    override func runDidFill() { connectionHere?.operationDidGoOn(self, .filled) }
    override func runDidEnd() { connectionHere?.operationDidGoOn(self, .ended) }

    /// The connection, on its loop's thread. A driver that reported on another thread would make two threads change the
    /// output.
    private var connectionHere: Connection? {
        guard let connection else { return nil }
        precondition(connection.context.loop.mailbox.isCurrent, "a run was ended by another thread than its loop's")
        return connection
    }

    // MARK: Batches

    var batchStatementCount: Int { batch?.request.statementCount ?? 0 }

    /// The statement, or the first one of a batch.
    var firstSQL: UnsafeRawBufferPointer {
        guard let batch else { return sql }
        return batch.firstSQL ?? sql
    }

    func setBatch(_ request: BatchRequest) {
        batch = BatchSource(request)
        kind = .batch(isAtomic: request.isAtomic)
    }

    override func rewindBatch() {
        batch?.rewind()
    }

    override func nextBatchStatement() throws(DriverError) -> BatchPosition? {
        guard let step = batch?.next() else { return nil }
        sql = step.sql
        if step.parameters.count > Engine.commonParameterCountMax, let link,
            let error = link.engine.refusal(ofParameters: step.parameters.count)
        {
            throw error.with {
                $0.statementIndex = step.position.statementIndex
                $0.rowIndex = step.position.rowIndex
            }
        }
        decode(step.parameters)
        return step.position
    }
}

extension DriverValue {
    /// A parameter of the wire as drivers see it.
    init(_ value: ParameterValue) {
        switch value {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .unsigned(let value): self = .unsigned(value)
        case .real(let value): self = .real(value)
        case .text(let bytes): self = .text(bytes)
        case .blob(let bytes): self = .blob(bytes)
        }
    }
}
