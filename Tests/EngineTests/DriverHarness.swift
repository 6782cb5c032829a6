// A loop, workers and a database in a directory of its own, driven by the test's thread.

import Glibc
import LinuxSystem

@testable import DatabaseContract
@testable import SQLiteEngine

/// Keeps the values of rows.
final class CollectingSink: RowSink {
    var columns: [ColumnDescription] = []
    var rows: [[String]] = []
    var row: [String] = []
    var byteCount = 0
    /// Rows after which the sink is full.
    var frameRowCount = Int.max
    private var rowsInFrame = 0

    override func begin(_ columns: ColumnSet) { self.columns = columns.columns }
    override func beginRow() { row = [] }
    override func null() { row.append("NULL") }
    override func integer(_ value: Int64) { row.append("\(value)") }
    override func real(_ value: Double) { row.append("\(value)") }
    override func text(_ bytes: UnsafeRawBufferPointer) {
        byteCount += bytes.count
        row.append(String(decoding: bytes, as: UTF8.self))
    }
    override func blob(_ bytes: UnsafeRawBufferPointer) {
        byteCount += bytes.count
        row.append("blob(\(bytes.count))")
    }
    override func endRow() -> State {
        rows.append(row)
        rowsInFrame += 1
        return rowsInFrame >= frameRowCount ? .full : .open
    }
    override func reopen() { rowsInFrame = 0 }
    override func restart() {
        rows = []
        columns = []
        rowsInFrame = 0
        byteCount = 0
    }
    override var pendingByteCount: Int { byteCount }
}

/// A run that keeps its SQL and counts its callbacks.
final class TestRun: StatementRun, @unchecked Sendable {
    let collected = CollectingSink()
    private let text: UnsafeMutableRawBufferPointer
    private(set) var endCount = 0
    private(set) var fillCount = 0
    var onFill: (() -> Void)?
    var batch: [String] = []
    private var batchIndex = 0

    init(_ sql: String, _ parameters: [DriverValue] = []) {
        text = .allocate(byteCount: max(1, sql.utf8.count), alignment: 1)
        text.copyBytes(from: sql.utf8)
        super.init(sink: collected)
        self.sql = UnsafeRawBufferPointer(rebasing: text[..<sql.utf8.count])
        self.parameters = parameters.map { DriverParameter(name: nil, value: $0) }
    }

    deinit { text.deallocate() }

    var hasEnded: Bool { endCount > 0 }
    override func runDidEnd() { endCount += 1 }
    override func runDidFill() {
        fillCount += 1
        onFill?()
    }
    override func rewindBatch() { batchIndex = 0 }
    override func nextBatchStatement() throws(DriverError) -> BatchPosition? {
        guard batchIndex < batch.count else { return nil }
        // The statements of a batch live as long as the process: tests are short.
        let statement = UnsafeMutableRawBufferPointer.allocate(byteCount: batch[batchIndex].utf8.count, alignment: 1)
        statement.copyBytes(from: batch[batchIndex].utf8)
        sql = UnsafeRawBufferPointer(statement)
        parameters = []
        batchIndex += 1
        return BatchPosition(statementIndex: batchIndex - 1, rowIndex: nil)
    }
}

/// One loop with a database.
final class DriverHarness {
    let loop: EventLoop
    let context: DriverContext
    let database: SQLiteDatabase
    let link: SQLiteSharedLink
    let directory: String
    let owner = LinkOwner(uid: 1000, pid: 42, mayOpenFiles: true)

    init(busyMilliseconds: Int64 = 2_000, url: String? = nil, readerCount: Int = 8) throws {
        SQLiteLibrary.configure()
        var template = Array("/tmp/litebase-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw Errno.current }
        directory = String(cString: made)
        loop = try EventLoop()
        context = DriverContext(
            loop: loop, longReadWorkers: WorkerPool(threadCountMax: 8), promptWorkers: WorkerPool(threadCountMax: 8))
        let settings = EmbeddedSettings(
            busyMillisecondsMax: busyMilliseconds, readerCountMax: readerCount, statementCountMax: 16,
            valueByteCountMax: 64 << 20, pageCacheByteCountMax: 8 << 20)
        let plan = DatabasePlan(
            name: "test", isOurs: true,
            settings: DatabaseSettings(
                embedded: settings,
                remote: RemoteSettings(
                    connectionCountMax: 1, waitMillisecondsMax: 1, idleMillisecondsMax: 1, lifetimeMillisecondsMax: 1,
                    connectMillisecondsMax: 1)),
            promptWorkers: context.promptWorkers)
        database = SQLiteDatabase(try SQLiteLocation(url: url ?? "sqlite:\(directory)/test.db"), plan)
        link = SQLiteSharedLink(database, context)
    }

    deinit {
        for name in (try? Files.names(in: directory)) ?? [] { try? Files.unlink("\(directory)/\(name)") }
        rmdir(directory)
    }

    /// Turns the loop until `condition` holds.
    /// - Returns: false when it never did.
    @discardableResult
    func wait(seconds: Double = 20, until condition: () -> Bool) -> Bool {
        let deadline = MonotonicInstant.now.advanced(byMilliseconds: Int64(seconds * 1000))
        while !condition() {
            if deadline < .now { return false }
            // A timer of our own bounds the wait of each turn.
            loop.schedule(EventSource(), at: MonotonicInstant.now.advanced(byMilliseconds: 20))
            loop.turn(waiting: true)
        }
        return true
    }

    /// Runs one statement to its end.
    @discardableResult
    func run(_ sql: String, _ parameters: [DriverValue] = [], on link: (any DatabaseLink)? = nil) -> TestRun {
        let run = TestRun(sql, parameters)
        (link ?? self.link).start(run, for: owner).tell(run)
        wait { run.hasEnded }
        return run
    }

    /// Opens a session.
    func session(readOnly: Bool = false) throws -> any DatabaseLink {
        var result: SessionOpening?
        let request = SessionRequest(owner: owner, isReadOnly: readOnly)
        if let opening = database.openSession(request, context, done: { result = $0 }) { result = opening }
        wait { result != nil }
        guard let result else { throw Errno.interrupted }
        return try result.get()
    }
}
