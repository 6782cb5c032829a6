import CSQLite
import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import SQLiteEngine

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

    /// Steps the statement of the run once.
    func step() throws -> Int32 {
        let statement = try connection.statement(for: run, isUnfitForLoop: false)
        // Where it may, the connection looks more rarely with time.
        connection.mayBlock = false
        defer {
            connection.mayBlock = true
            statement.release()
        }
        connection.begin(run, statement)
        defer { connection.end() }
        sqlite3_progress_handler(
            connection.handle, 1,
            { context in
                guard let context else { return 0 }
                return Unmanaged<StepByStep>.fromOpaque(context).takeUnretainedValue().look() ? 1 : 0
            }, Unmanaged.passUnretained(self).toOpaque())
        defer { sqlite3_progress_handler(connection.handle, 0, nil, nil) }
        return sqlite3_step(statement.handle)
    }

    private func look() -> Bool {
        count += 1
        if count == stop { run.requestStop(.cancelled) }
        return connection.mustStopBetweenSteps()
    }
}

/// SQLite asks whether to stop once more when a statement has done everything, and calls it interrupted then.
@Suite("Statements that are stopped at any of their steps")
struct SQLiteStopTests {
    /// More than any of the statements has.
    private static let stepCountMax = 2_000

    @Test func aCommitIsToldAsItIs() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a)")
        let connection = try harness.database.openConnection(.session(harness.owner, isReadOnly: false))
        var wasStoppedAtItsEnd = false
        for stop in 1...Self.stepCountMax {
            try connection.execute("BEGIN IMMEDIATE")
            try connection.execute("INSERT INTO t VALUES (1)")
            let run = TestRun("COMMIT")
            let steps = StepByStep(connection, run, stop: stop)
            let isDone = try steps.step() == SQLITE_DONE
            #expect((connection.transaction == .none) == isDone, "stopped at step \(stop) of \(steps.count)")
            if steps.wasStopped, isDone { wasStoppedAtItsEnd = true }
            if connection.transaction == .active { try connection.execute("ROLLBACK") }
            if !steps.wasStopped { break }
        }
        #expect(wasStoppedAtItsEnd)
    }
}
