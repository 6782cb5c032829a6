import CSQLite
import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseDrivers

/// Asks a connection at every step of SQLite's virtual machine whether to stop, and tells its run to stop at one of them.
private final class StepByStep {
    let connection: SQLiteConnection
    let run: TestRun
    private let stop: Int
    private(set) var count = 0

    /// The run is told to at step `stop`.
    init(_ connection: SQLiteConnection, _ run: TestRun, stop: Int) {
        self.connection = connection
        self.run = run
        self.stop = stop
    }

    var wasStopped: Bool { count >= stop }

    /// Steps a statement once.
    func step(_ sql: String) -> Int32 {
        let statement = connection.prepareOwn(sql)
        defer { sqlite3_finalize(statement) }
        connection.begin(run, stepping: statement)
        defer { connection.end() }
        sqlite3_progress_handler(
            connection.handle, 1,
            { context in
                guard let context else { return 0 }
                return Unmanaged<StepByStep>.fromOpaque(context).takeUnretainedValue().look() ? 1 : 0
            }, Unmanaged.passUnretained(self).toOpaque())
        defer { sqlite3_progress_handler(connection.handle, 0, nil, nil) }
        return sqlite3_step(statement)
    }

    private func look() -> Bool {
        count += 1
        if count == stop { run.requestStop(.cancelled) }
        return connection.mustStop()
    }
}

/// SQLite asks whether to stop once more when a statement has done everything, and calls it interrupted then.
@Suite("Statements that are stopped at any of their steps")
struct SQLiteStopTests {
    /// More than any of the statements has.
    private static let stepCountMax = 2_000

    private static func schema(_ connection: SQLiteConnection) -> String {
        let statement = connection.prepareOwn("SELECT group_concat(sql) FROM sqlite_schema")
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW, let text = sqlite3_column_text(statement, 0) else { return "" }
        return String(cString: text)
    }

    @Test(arguments: [
        "CREATE TABLE made(a)", "CREATE TABLE made AS SELECT 1 AS a", "CREATE INDEX made ON t(a)", "DROP TABLE t",
        "ALTER TABLE t RENAME COLUMN a TO b", "CREATE VIEW made AS SELECT 1",
    ])
    func aDefinitionWithinATransactionIsToldAsItIs(_ sql: String) throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a)")
        let connection = try harness.database.openConnection(.session(harness.owner, isReadOnly: false))
        let run = TestRun(sql)
        let before = Self.schema(connection)
        var (wasStoppedBefore, wasStoppedAtItsEnd) = (false, false)
        for stop in 1...Self.stepCountMax {
            try connection.execute("BEGIN IMMEDIATE")
            let steps = StepByStep(connection, run, stop: stop)
            let isDone = steps.step(sql) == SQLITE_DONE
            run.resetRun()
            #expect((Self.schema(connection) != before) == isDone, "stopped at step \(stop) of \(steps.count)")
            if steps.wasStopped, isDone { wasStoppedAtItsEnd = true }
            if steps.wasStopped, !isDone { wasStoppedBefore = true }
            if connection.transaction == .active { try connection.execute("ROLLBACK") }
            if !steps.wasStopped { break }
        }
        #expect(wasStoppedBefore && wasStoppedAtItsEnd)
    }

    @Test func aCommitIsToldAsItIs() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a)")
        let connection = try harness.database.openConnection(.session(harness.owner, isReadOnly: false))
        let run = TestRun("COMMIT")
        var wasStoppedAtItsEnd = false
        for stop in 1...Self.stepCountMax {
            try connection.execute("BEGIN IMMEDIATE")
            try connection.execute("INSERT INTO t VALUES (1)")
            let steps = StepByStep(connection, run, stop: stop)
            let isDone = steps.step("COMMIT") == SQLITE_DONE
            run.resetRun()
            #expect((connection.transaction == .none) == isDone, "stopped at step \(stop) of \(steps.count)")
            if steps.wasStopped, isDone { wasStoppedAtItsEnd = true }
            if connection.transaction == .active { try connection.execute("ROLLBACK") }
            if !steps.wasStopped { break }
        }
        #expect(wasStoppedAtItsEnd)
    }
}
