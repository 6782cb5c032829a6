// One request on its way through a driver: what to run, where the rows go, and what came of it.

internal import LinuxSystem
internal import Synchronization

/// A value for a parameter. The bytes belong to the run's owner and stay valid until the run ends.
public enum DriverValue {
    case null
    /// An integer, 0 or 1, where the engine has no such type.
    case bool(Bool)
    case integer(Int64)
    /// Only above `Int64.max`.
    case unsigned(UInt64)
    case real(Double)
    case text(UnsafeRawBufferPointer)
    case blob(UnsafeRawBufferPointer)
}

/// A parameter, by position or by name (without or with the engine's prefix).
public struct DriverParameter {
    public var name: UnsafeRawBufferPointer?
    public var value: DriverValue

    @inlinable
    public init(name: UnsafeRawBufferPointer?, value: DriverValue) {
        self.name = name
        self.value = value
    }
}

/// State of the transaction of a link (protocol: `transaction`).
public enum TransactionState: Sendable {
    case none, active, failed
}

/// What a statement changed.
public struct StatementSummary: Sendable {
    public var rowsAffected: Int64 = 0
    public var lastInsertID: Int64?
    public var transaction = TransactionState.none

    public init() {}
}

/// What one of several results had.
public struct ResultEnd: Sendable {
    public var rowCount: Int64
    /// Whether `rowCountMax`, which is that of each result, has cut it.
    public var isTruncated: Bool
}

/// The results of one statement, such as a call of a procedure, besides the one that is being sent.
public struct ResultSets: Sendable {
    /// Those that were sent and have ended, and what they had.
    public fileprivate(set) var endedCount: Int64 = 0
    fileprivate var endedRowCount: Int64 = 0
    public fileprivate(set) var isTruncated = false
    /// Those that were read and not sent, since the client has not asked for them.
    public internal(set) var droppedCount: Int64 = 0

    public init() {}
}

/// Why a run was told to stop. The first reason wins.
public enum StopReason: UInt8, Sendable {
    case cancelled = 1
    case timeout
    case disconnected
    case shuttingDown
    /// The database that it works on is not at its place any more.
    case databaseReplaced
    /// Its client has lost the right to use the database.
    case accessRevoked
}

/// What kind of work a run is.
public enum RunKind: Sendable {
    case statement
    /// Statements come from `nextBatchStatement`; `isAtomic`: all or nothing.
    case batch(isAtomic: Bool)
    /// Looks at the statement without running it.
    case describe

    var isDescription: Bool { if case .describe = self { true } else { false } }
}

/// What `describe` finds out.
public struct StatementDescription: Sendable {
    public var columns: [ColumnDescription]
    /// Names of the parameters in order; `nil` for one by position.
    public var parameters: [String?]
    public var isReadOnly: Bool
}

/// One statement or batch in flight. The server subclasses it; a driver fills it in.
///
/// Exactly one of the run's callbacks `runDidFill` and `runDidEnd` follows each `start` and each `resume`, on the thread
/// of the loop that started it; `runDidEnd` is the last one. Between them the run belongs to the driver, which may use
/// it on another thread: then nothing but `requestStop` may be called.
/// - Thread: handed back and forth between its loop and one driver thread, never shared.
open class StatementRun: @unchecked Sendable {
    // What to run; set by the server before `start`.
    @exclusivity(unchecked) public final var kind = RunKind.statement
    public final var sql: UnsafeRawBufferPointer {
        get { keptSQL }
        set { keptSQL = newValue }
    }
    @exclusivity(unchecked) public final var parameters: [DriverParameter] = []
    public final var rowCountMax: Int64 {
        get { keptRowCountMax }
        set { keptRowCountMax = newValue }
    }
    /// False when the client may only read, whatever the link allows.
    public final var mayWrite: Bool {
        get { keptMayWrite }
        set { keptMayWrite = newValue }
    }
    /// Takes the rows.
    public final let sink: RowSink

    /// Whether its client wants to know what the database says besides.
    @exclusivity(unchecked) public final var wantsNotices = false

    // What came of it; set by the driver before `runDidEnd`.
    @exclusivity(unchecked) public final var notices = DatabaseNotices()
    public final var summary: StatementSummary {
        get { keptSummary }
        set { keptSummary = newValue }
    }
    @exclusivity(unchecked) public final var batchSummaries: [StatementSummary] = []
    /// Of a run that describes.
    @exclusivity(unchecked) public final var description: StatementDescription?
    public final var error: DriverError? {
        get { keptError }
        set { keptError = newValue }
    }
    public final var rowCount: Int64 {
        get { keptRowCount }
        set { keptRowCount = newValue }
    }
    public final var isTruncated: Bool {
        get { keptIsTruncated }
        set { keptIsTruncated = newValue }
    }

    /// Whether its client takes all results of a statement; else the first is sent, and the others are counted.
    public final var wantsResultSets: Bool {
        get { keptWantsResultSets }
        set { keptWantsResultSets = newValue }
    }
    /// Results besides the one that is being sent.
    public final var resultSets: ResultSets {
        get { keptResultSets }
        set { keptResultSets = newValue }
    }

    /// What the driver keeps with the run between its callbacks.
    @exclusivity(unchecked) public final var execution: AnyObject?

    private static let keptParameterCountMax = 64

    // What `@exclusivity` says does not reach the server's module, which sets or reads these for every run.
    @exclusivity(unchecked) private final var keptSQL: UnsafeRawBufferPointer = UnsafeRawBufferPointer(
        start: nil, count: 0)
    @exclusivity(unchecked) private final var keptRowCountMax: Int64 = Int64.max
    @exclusivity(unchecked) private final var keptMayWrite: Bool = true
    @exclusivity(unchecked) private final var keptSummary: StatementSummary = StatementSummary()
    @exclusivity(unchecked) private final var keptRowCount: Int64 = 0
    @exclusivity(unchecked) private final var keptError: DriverError?
    @exclusivity(unchecked) private final var keptIsTruncated: Bool = false
    @exclusivity(unchecked) private final var keptWantsResultSets: Bool = false
    @exclusivity(unchecked) private final var keptResultSets: ResultSets = ResultSets()

    private let stopFlag = Atomic<UInt8>(0)

    public init(sink: RowSink) {
        self.sink = sink
    }

    /// The sink has a complete frame, and the driver waits for `resume`.
    open func runDidFill() {}
    /// The run has ended: `error`, or the summaries are set.
    open func runDidEnd() {}

    /// The next statement of a batch: sets `sql` and `parameters`.
    /// - Returns: indices for errors, or `nil` after the last one.
    /// - Thread: the driver's.
    open func nextBatchStatement() throws(DriverError) -> BatchPosition? { nil }
    /// Goes back to the first statement: the batch is run again.
    open func rewindBatch() {}

    /// Asks the run to stop soon; it still ends by `runDidEnd`.
    /// - Thread: any.
    public final func requestStop(_ reason: StopReason) {
        _ = stopFlag.compareExchange(expected: 0, desired: reason.rawValue, ordering: .relaxed)
    }

    /// Why the run is to stop, if it is.
    /// - Thread: any.
    public final var stopReason: StopReason? { StopReason(rawValue: stopFlag.load(ordering: .relaxed)) }

    /// Forgets what came of the run so far: it starts again.
    public final func restart() {
        sink.restart()
        error = nil
        rowCount = 0
        isTruncated = false
        resultSets = ResultSets()
        summary = StatementSummary()
    }

    /// Ends a result behind which the statement goes on. The frame is complete, as after `RowSink.State.full`: the driver
    /// suspends, and when it is resumed it may announce the next result by `sink.begin`.
    public final func endResult() {
        sink.endResult(resultEnd)
        resultSets.endedCount += 1
        resultSets.endedRowCount = rowCount
        resultSets.isTruncated = resultSets.isTruncated || isTruncated
        isTruncated = false
    }

    /// What is told of the present result at its end.
    public final var resultEnd: ResultEnd {
        ResultEnd(rowCount: rowCount - resultSets.endedRowCount, isTruncated: isTruncated)
    }

    /// Clears everything for the next use.
    public final func resetRun() {
        kind = .statement
        sql = UnsafeRawBufferPointer(start: nil, count: 0)
        // Of many, the next request would hold the place for nothing.
        parameters.removeAll(keepingCapacity: parameters.capacity <= Self.keptParameterCountMax)
        rowCountMax = .max
        mayWrite = true
        summary = StatementSummary()
        if !batchSummaries.isEmpty { batchSummaries = [] }
        if description != nil { description = nil }
        wantsNotices = false
        if !notices.isEmpty { notices = DatabaseNotices() }
        error = nil
        rowCount = 0
        isTruncated = false
        wantsResultSets = false
        resultSets = ResultSets()
        execution = nil
        stopFlag.store(0, ordering: .relaxed)
    }
}

/// Which statement of a batch is being run.
public struct BatchPosition: Sendable {
    public var statementIndex: Int
    /// Set when the statement is run once for each parameter row.
    public var rowIndex: Int?

    public init(statementIndex: Int, rowIndex: Int?) {
        self.statementIndex = statementIndex
        self.rowIndex = rowIndex
    }
}

extension DriverError {
    /// The error of a run that was told to stop.
    public static func stopped(_ reason: StopReason) -> DriverError {
        switch reason {
        case .cancelled, .disconnected: DriverError(.cancelled, "The request was cancelled.", sqlState: "57014")
        case .timeout:
            DriverError(
                .timeout, "The statement ran longer than its timeout.",
                hint: "Raise timeout_ms, or make the statement do less.", sqlState: "57014")
        case .shuttingDown:
            DriverError(
                .shuttingDown, "The daemon is stopping.",
                hint: "Repeat the request; connect again if the connection has ended.",
                sqlState: "57P01"
            ).with { $0.isRetryable = true }
        case .databaseReplaced: .replaced
        case .accessRevoked:
            DriverError(
                .permissionDenied, "A change of the configuration took away the right to do this.",
                hint: Hint.databases, sqlState: "42501")
        }
    }
}
