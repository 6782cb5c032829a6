// One request on its way through a driver: what to run, where the rows go, and the outcome.

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
    /// Warnings that the engine keeps until asked for (MySQL). Those that it sends are notices.
    public var warningCount: Int64 = 0
    public var transaction = TransactionState.none

    public init() {}
}

/// The counts of one of several results.
public struct ResultEnd: Sendable {
    public var rowCount: Int64
    /// Whether `rowCountMax`, which applies to each result, has cut it off.
    public var isTruncated: Bool
}

/// The results of one statement, such as a procedure call, apart from the one being sent.
public struct ResultSets: Sendable {
    /// Results that were sent and have ended, and their counts.
    public fileprivate(set) var endedCount: Int64 = 0
    fileprivate var endedRowCount: Int64 = 0
    public fileprivate(set) var isTruncated = false
    /// Results that were read but not sent, because the client did not ask for them.
    public package(set) var droppedCount: Int64 = 0

    public init() {}
}

/// Why a run was told to stop. The first reason wins.
public enum StopReason: UInt8, Sendable {
    case cancelled = 1
    case timeout
    case disconnected
    case shuttingDown
    /// The database file is no longer the one that was opened.
    case databaseReplaced
    /// Its client has lost the right to use the database.
    case accessRevoked
    /// An administrator has ended it, or its user on another connection.
    case terminated
}

/// The kind of work.
public enum RunKind: Sendable {
    case statement
    /// Statements come from `nextBatchStatement`; `isAtomic`: all or nothing.
    case batch(isAtomic: Bool)
    /// Describes the statement without running it.
    case describe
    /// Gives the sink the database's file as it is at one moment, in order, as rows of one blob; without a statement, and only
    /// of an engine that has files (`Engine.hasFiles`).
    case backup
    /// Writes rows of a file into a table; the text is that of the engine's `RowLoading`. Only of an engine whose runs write blocks.
    case load(RowLoad)
    /// Runs a statement that takes bytes of a file as they are (COPY FROM STDIN), of an engine whose `RowLoading` has one.
    case copy(CopyInput)
    /// Gives the database the content of a file that its `Database` has made and that was checked; without a statement. Everybody
    /// sees the former content until its end, and the new one then.
    case restore(any RestoredFile)

    package var isDescription: Bool { if case .describe = self { true } else { false } }

    /// Whether it has rows, bytes or the content of a file, which belong to nobody any more when it has ended.
    package var isTransfer: Bool {
        switch self {
        case .statement, .batch, .describe: false
        case .backup, .load, .copy, .restore: true
        }
    }
}

/// The result of `describe`.
public struct StatementDescription: Sendable {
    public var columns: [ColumnDescription]
    /// Names of the parameters in order; `nil` for one by position.
    public var parameters: [String?]
    public var isReadOnly: Bool

    package init(columns: [ColumnDescription], parameters: [String?], isReadOnly: Bool) {
        self.columns = columns
        self.parameters = parameters
        self.isReadOnly = isReadOnly
    }
}

/// One statement or batch in flight. The server subclasses it; a driver fills it in.
///
/// `start` and each `resume` return `filled` or `ended`, or else exactly one of the callbacks `runDidFill` and `runDidEnd`
/// follows, on the thread of the loop that started it; its end is the last that is heard of a run. Until then it belongs to the
/// driver, which may use it on another thread: nothing but `requestStop` may be called.
/// - Thread: handed back and forth between its loop and one driver thread, never shared.
open class StatementRun: @unchecked Sendable {
    // What to run; set by the server before `start`.
    public final var kind: RunKind {
        get { keptKind }
        set { keptKind = newValue }
    }
    public final var sql: UnsafeRawBufferPointer {
        get { keptSQL }
        set { keptSQL = newValue }
    }
    public final var parameters: [DriverParameter] {
        get { keptParameters }
        _modify { yield &keptParameters }
    }
    /// Without a reference to them, as every run is asked.
    public final var parameterCapacity: Int { keptParameters.capacity }
    public final var hasParameters: Bool { !keptParameters.isEmpty }
    public final var rowCountMax: Int64 {
        get { keptRowCountMax }
        set { keptRowCountMax = newValue }
    }
    /// False if the client may only read, whatever the link allows.
    public final var mayWrite: Bool {
        get { keptMayWrite }
        set { keptMayWrite = newValue }
    }
    /// Takes the rows.
    public final let sink: RowSink

    /// Whether its client wants notices.
    public final var wantsNotices: Bool {
        get { keptWantsNotices }
        set { keptWantsNotices = newValue }
    }

    // What came of it; set by the driver before its end.
    public final var notices: DatabaseNotices {
        get { keptNotices }
        _modify { yield &keptNotices }
    }
    public final var summary: StatementSummary {
        get { keptSummary }
        set { keptSummary = newValue }
    }
    public final var batchSummaries: [StatementSummary] {
        get { keptBatchSummaries }
        _modify { yield &keptBatchSummaries }
    }
    /// The result of a run that describes.
    public final var description: StatementDescription? {
        get { keptDescription }
        set { keptDescription = newValue }
    }
    public final var error: DriverError? {
        get { keptError }
        set { keptError = newValue }
    }
    /// Without a reference to it, as every run is asked.
    public final var hasError: Bool { keptError != nil }
    public final var rowCount: Int64 {
        get { keptRowCount }
        set { keptRowCount = newValue }
    }
    public final var isTruncated: Bool {
        get { keptIsTruncated }
        set { keptIsTruncated = newValue }
    }

    /// Whether its client takes all results of a statement; if not, the first is sent and the others are counted.
    public final var wantsResultSets: Bool {
        get { keptWantsResultSets }
        set { keptWantsResultSets = newValue }
    }
    /// Results besides the one that is being sent.
    public final var resultSets: ResultSets {
        get { keptResultSets }
        set { keptResultSets = newValue }
    }

    /// The driver's own object for the run, between callbacks.
    public final var execution: AnyObject? {
        get { keptExecution }
        set { keptExecution = newValue }
    }

    private static let keptParameterCountMax = 64

    // `@exclusivity` has no effect in the modules of the server and the engines, which use these for every run: so they
    // are computed there.
    @exclusivity(unchecked) private final var keptKind: RunKind = RunKind.statement
    @exclusivity(unchecked) private final var keptParameters: [DriverParameter] = []
    @exclusivity(unchecked) private final var keptWantsNotices: Bool = false
    @exclusivity(unchecked) private final var keptNotices: DatabaseNotices = DatabaseNotices()
    @exclusivity(unchecked) private final var keptBatchSummaries: [StatementSummary] = []
    @exclusivity(unchecked) private final var keptDescription: StatementDescription?
    @exclusivity(unchecked) private final var keptExecution: AnyObject?
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

    /// Size of the request: texts and values; for a batch, all of them.
    open var requestByteCount: Int { sql.count }

    /// Whether values that do not fit their columns are refused, also where the server or the session is set to change them (MySQL).
    open var refusesMisfits: Bool { false }

    /// Of a run that was pending: the sink has a complete frame, and the driver waits for `resume`.
    open func runDidFill() {}
    /// Of a run that was pending: it has ended.
    open func runDidEnd() {}

    /// The next statement of a batch: sets `sql` and `parameters`.
    /// - Returns: indices for errors, or `nil` after the last one.
    /// - Thread: the driver's.
    open func nextBatchStatement() throws(DriverError) -> BatchPosition? { nil }
    /// Goes back to the first statement: the batch is run again.
    open func rewindBatch() {}

    /// Asks the run to stop soon; its end is still told.
    /// - Thread: any.
    public final func requestStop(_ reason: StopReason) {
        _ = stopFlag.compareExchange(expected: 0, desired: reason.rawValue, ordering: .relaxed)
    }

    /// Why the run has to stop; `nil` if it does not.
    /// - Thread: any.
    public final var stopReason: StopReason? { StopReason(rawValue: stopFlag.load(ordering: .relaxed)) }

    /// Clears the outcome: the run starts again.
    public final func restart() {
        sink.restart()
        error = nil
        rowCount = 0
        isTruncated = false
        resultSets = ResultSets()
        summary = StatementSummary()
    }

    /// Ends a result that others follow. The frame is complete, as after `RowSink.State.full`: the driver suspends, and
    /// after `resume` it may announce the next result with `sink.begin`.
    public final func endResult() {
        sink.endResult(resultEnd)
        resultSets.endedCount += 1
        resultSets.endedRowCount = rowCount
        resultSets.isTruncated = resultSets.isTruncated || isTruncated
        isTruncated = false
    }

    /// The counts of the present result at its end.
    public final var resultEnd: ResultEnd {
        ResultEnd(rowCount: rowCount - resultSets.endedRowCount, isTruncated: isTruncated)
    }

    /// Clears everything for the next use.
    public final func resetRun() {
        kind = .statement
        sql = UnsafeRawBufferPointer(start: nil, count: 0)
        // The storage of many parameters is not kept for the next request.
        parameters.removeAll(keepingCapacity: parameterCapacity <= Self.keptParameterCountMax)
        rowCountMax = .max
        mayWrite = true
        summary = StatementSummary()
        if !batchSummaries.isEmpty { batchSummaries = [] }
        if description != nil { description = nil }
        wantsNotices = false
        if !notices.isEmpty { notices = DatabaseNotices() }
        if hasError { error = nil }
        rowCount = 0
        isTruncated = false
        wantsResultSets = false
        resultSets = ResultSets()
        execution = nil
        stopFlag.store(0, ordering: .relaxed)
    }
}

/// The position in a batch.
public struct BatchPosition: Sendable {
    public var statementIndex: Int
    /// Set if the statement runs once for each parameter row.
    public var rowIndex: Int?

    public init(statementIndex: Int, rowIndex: Int?) {
        self.statementIndex = statementIndex
        self.rowIndex = rowIndex
    }
}

extension DriverError {
    /// The error of a run that was stopped.
    public static func stopped(_ reason: StopReason) -> DriverError {
        switch reason {
        case .cancelled, .disconnected: DriverError(.cancelled, "The request was cancelled.", sqlState: "57014")
        case .timeout:
            DriverError(
                .timeout, "The statement ran longer than its timeout.",
                remedy: .raiseTimeLimit, sqlState: "57014")
        case .shuttingDown:
            DriverError(
                .shuttingDown, "The daemon is stopping.",
                hint: "Repeat the request; connect again if the connection has ended.",
                sqlState: "57P01"
            ).with { $0.isRetryable = true }
        case .databaseReplaced: .databaseReplaced
        case .accessRevoked:
            DriverError(
                .permissionDenied, "A change of the configuration took away the right to do this.",
                remedy: .listDatabases, sqlState: "42501")
        case .terminated:
            DriverError(
                .cancelled, "The request was ended by an administrator, or by its user on another connection.",
                hint: "The daemon's log says who has ended it.", sqlState: "57014")
        }
    }
    /// A backup of a database that is no file.
    package static let noFileToCopy = DriverError(
        .databaseError, "The database has no file of the daemon's that could be copied.",
        hint: "Export its tables, or use the server's own tool (pg_dump, mariadb-dump, redis-cli --rdb).",
        sqlState: "0A000")
    /// The file of the database is not the one that was opened.
    package static let databaseReplaced = DriverError(
        .connectFailed, "The database file was deleted or replaced while it was open.",
        hint: "Send the request again; the file that is there now is being opened.", sqlState: "08006"
    ).with { $0.isRetryable = true }
}
