import LinuxSystem
import LiteBaseTesting
import Testing

@testable import DatabaseContract
@testable import SQLiteEngine

@Suite("Many runs at once on SQLite", .serialized)
struct SQLiteConcurrencyTests {
    private static let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"

    /// A text that no loop prepares: the worker opens the connection, which the loop has to know to interrupt it.
    @Test func aLongReadThatWasOpenedOnAWorkerCanBeInterrupted() throws {
        let harness = try DriverHarness()
        harness.run("SELECT 1")
        let run = TestRun("\(Self.endless) /*\(String(repeating: "x", count: 20_000))*/")
        harness.link.start(run, for: harness.owner).tell(run)
        let execution = try #require(run.execution as? SQLiteExecution)
        #expect(harness.wait(seconds: 5) { execution.interruptTarget != nil }, "nobody can interrupt it")
        harness.link.stop(run, .cancelled).tell(run)
        #expect(harness.wait(seconds: 5) { run.hasEnded })
        #expect(run.error?.code == .cancelled)
        #expect(execution.interruptTarget == nil)
    }

    @Test func writesInAGroupSucceedAndFailOneByOne() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE p(a INTEGER PRIMARY KEY)")
        harness.run("CREATE TABLE f(a REFERENCES p(a) DEFERRABLE INITIALLY DEFERRED)")
        let statements = (0..<100).map { index -> String in
            switch index % 10 {
            case 3: "INSERT INTO p VALUES (1)"
            case 5: "INSERT INTO f VALUES (100000)"
            case 7: "INSERT INTO nope VALUES (1)"
            case 9: "VACUUM"
            default: "INSERT INTO p VALUES (\(index + 1))"
            }
        }
        harness.run("INSERT INTO p VALUES (1000)")
        let runs = statements.map { TestRun($0) }
        for run in runs { harness.link.start(run, for: harness.owner).tell(run) }
        #expect(harness.wait { runs.allSatisfy(\.hasEnded) })
        for (index, run) in runs.enumerated() {
            #expect(run.endCount == 1)
            switch index % 10 {
            case 3: #expect(run.error?.code == .constraintViolation)
            case 5: #expect(run.error?.details.sqlState == "23503")
            case 7: #expect(run.error?.details.sqlState == "42P01")
            default: #expect(run.error == nil, "\(index): \(run.error?.details.message ?? "")")
            }
        }
        #expect(harness.run("SELECT count(*) FROM p").collected.rows == [["61"]])
        #expect(harness.run("SELECT count(*) FROM f").collected.rows == [["0"]])
    }

    @Test func returningRowsAreBoundedAndUndone() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a, b)")
        let small = harness.run("INSERT INTO t VALUES (1,'x'),(2,'y') RETURNING a, b")
        #expect(small.collected.rows == [["1", "x"], ["2", "y"]])
        let run = TestRun(
            "INSERT INTO t SELECT x, hex(zeroblob(50000)) FROM (WITH RECURSIVE c(x) AS "
                + "(SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 400) SELECT x FROM c) RETURNING b")
        run.collected.frameRowCount = 10
        harness.link.start(run, for: harness.owner).tell(run)
        harness.wait { run.hasEnded }
        #expect(run.error?.code == .limitExceeded)
        #expect(harness.run("SELECT count(*) FROM t").collected.rows == [["2"]])
        let session = try harness.session()
        harness.run("BEGIN", on: session)
        #expect(harness.run("DELETE FROM t WHERE a = 1 RETURNING a", on: session).collected.rows == [["1"]])
        harness.run("COMMIT", on: session)
        #expect(harness.run("SELECT count(*) FROM t").collected.rows == [["1"]])
    }

    @Test func stoppingEndsWhatRunsAndOnlyThat() throws {
        let harness = try DriverHarness()
        let run = TestRun(Self.endless)
        harness.link.start(run, for: harness.owner).tell(run)
        harness.wait(seconds: 0.05) { false }
        let before = MonotonicInstant.now
        harness.link.stop(run, .cancelled).tell(run)
        #expect(harness.wait { run.hasEnded })
        #expect(MonotonicInstant.now.nanoseconds(since: before) < 100_000_000)
        #expect(run.error?.code == .cancelled)
    }

    @Test func aLateStopNeverHitsTheNextStatement() throws {
        let harness = try DriverHarness()
        let session = try harness.session()
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for round in 0..<300 {
            let links: [any DatabaseLink] = [session, harness.link]
            let link = links[round % 2]
            let limit = Int.random(in: 1...60_000, using: &random)
            let victim = TestRun(
                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT \(limit)) SELECT count(*) FROM c")
            link.start(victim, for: harness.owner).tell(victim)
            harness.wait(seconds: Double.random(in: 0...0.002, using: &random)) { victim.hasEnded }
            link.stop(victim, .cancelled).tell(victim)
            harness.wait { victim.hasEnded }
            link.stop(victim, .cancelled).tell(victim)
            let next = harness.run(
                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 20000) SELECT count(*) FROM c",
                on: link)
            #expect(next.error == nil, "seed \(seed), round \(round)")
            #expect(next.collected.rows == [["20000"]], "seed \(seed), round \(round)")
            #expect(victim.endCount == 1)
        }
    }

    @Test func sessionsQueueForTheWriteLock() throws {
        let harness = try DriverHarness(busyMilliseconds: 200)
        harness.run("CREATE TABLE t(a)")
        let (first, second) = (try harness.session(), try harness.session())
        #expect(harness.run("BEGIN IMMEDIATE", on: first).error == nil)
        #expect(first.transaction == .active)
        let refused = harness.run("INSERT INTO t VALUES (1)")
        #expect(refused.error?.code == .busy)
        #expect(refused.error?.details.holder?.pid == 42)
        // The one that waits gets its turn as soon as the first is done.
        let waiting = TestRun("INSERT INTO t VALUES (2)")
        second.start(waiting, for: harness.owner).tell(waiting)
        #expect(harness.run("INSERT INTO t VALUES (3)", on: first).error == nil)
        #expect(harness.run("COMMIT", on: first).error == nil)
        #expect(harness.wait { waiting.hasEnded })
        #expect(waiting.error == nil)
        #expect(harness.run("SELECT count(*) FROM t").collected.rows == [["2"]])
    }

    @Test func closingASessionRollsBackAndFreesTheLock() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a)")
        let session = try harness.session()
        harness.run("BEGIN", on: session)
        harness.run("INSERT INTO t VALUES (1)", on: session)
        session.close()
        #expect(harness.run("INSERT INTO t VALUES (2)").error == nil)
        #expect(harness.run("SELECT a FROM t").collected.rows == [["2"]])
    }

    @Test func aSnapshotThatIsTooOldSaysSo() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a)")
        let session = try harness.session()
        harness.run("BEGIN", on: session)
        harness.run("SELECT * FROM t", on: session)
        harness.run("INSERT INTO t VALUES (1)")
        let late = harness.run("INSERT INTO t VALUES (2)", on: session)
        #expect(late.error?.details.sqlState == "40001")
        #expect(late.error?.details.isRetryable == true)
        // Its turn to write is given back.
        #expect(harness.run("INSERT INTO t VALUES (3)").error == nil)
    }

    @Test(arguments: [
        "INSERT INTO t VALUES (1)", "DELETE FROM t", "CREATE TABLE u(a)", "DROP TABLE t",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "REPLACE INTO t VALUES (1)", "PRAGMA query_only = OFF",
        "ATTACH '/tmp/litebase-never.db' AS x", "ATTACH ? AS x", "VACUUM", "VACUUM INTO '/tmp/litebase-never.db'",
        "PRAGMA user_version = 7", "REINDEX", "CREATE TEMP TABLE z(a)", "PRAGMA journal_mode = DELETE",
    ])
    func readOnlySessionsCannotWrite(_ sql: String) throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a)")
        harness.run("INSERT INTO t VALUES (5)")
        harness.run("CREATE INDEX i ON t(a)")
        let session = try harness.session(readOnly: true)
        let parameters: [DriverValue] = sql.contains("?") ? [.null] : []
        let run = harness.run(sql, parameters, on: session)
        #expect(run.error != nil, "\(sql)")
        #expect(
            [.readOnly, .permissionDenied].contains(run.error?.code), "\(sql): \(run.error?.details.message ?? "")")
        #expect(harness.run("SELECT a FROM t").collected.rows == [["5"]])
        #expect(harness.run("PRAGMA user_version").collected.rows == [["0"]])
    }

    @Test func atomicBatchesAreAllOrNothing() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a UNIQUE)")
        let good = TestRun("")
        good.kind = .batch(isAtomic: true)
        good.batch = ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"]
        harness.link.start(good, for: harness.owner).tell(good)
        harness.wait { good.hasEnded }
        #expect(good.batchSummaries.map(\.rowsAffected) == [1, 1])
        for isAtomic in [true, false] {
            let bad = TestRun("")
            bad.kind = .batch(isAtomic: isAtomic)
            bad.batch = ["INSERT INTO t VALUES (10)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (11)"]
            harness.link.start(bad, for: harness.owner).tell(bad)
            harness.wait { bad.hasEnded }
            #expect(bad.error?.details.statementIndex == 1)
            let count = harness.run("SELECT count(*) FROM t").collected.rows
            #expect(count == [[isAtomic ? "2" : "3"]])
        }
    }

    @Test func readersAreLimitedAndQueue() throws {
        let harness = try DriverHarness(readerCount: 2)
        harness.run("CREATE TABLE t(a)")
        let runs = (0..<10).map { _ in
            TestRun("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 200000) SELECT count(*) FROM c")
        }
        for run in runs { harness.link.start(run, for: harness.owner).tell(run) }
        #expect(harness.wait { runs.allSatisfy(\.hasEnded) })
        for run in runs { #expect(run.collected.rows == [["200000"]]) }
    }

    @Test func longReadsLeaveRoomForShortOnesAndForWrites() throws {
        let harness = try DriverHarness(readerCount: 4)
        harness.run("CREATE TABLE t(a)")
        let endless = (0..<40).map { _ in TestRun(Self.endless) }
        for run in endless { harness.link.start(run, for: harness.owner).tell(run) }
        #expect(harness.run("SELECT 1").collected.rows == [["1"]])
        #expect(harness.run("INSERT INTO t VALUES (1)").error == nil)
        // One that a worker has to prepare.
        let long = String(repeating: "x", count: 20_000)
        #expect(harness.run("INSERT INTO t VALUES (2) /* \(long) */").error == nil)
        let session = try harness.session()
        #expect(harness.run("SELECT count(*) FROM t", on: session).collected.rows == [["2"]])
        for run in endless { harness.link.stop(run, .cancelled).tell(run) }
        #expect(harness.wait { endless.allSatisfy(\.hasEnded) })
        #expect(endless.allSatisfy { $0.error?.code == .cancelled && $0.endCount == 1 })
    }

    @Test func stoppingWorksWhereverARunWaits() throws {
        let harness = try DriverHarness(readerCount: 1)
        harness.run("CREATE TABLE t(a)")
        let session = try harness.session()
        harness.run("BEGIN IMMEDIATE", on: session)
        let (reading, queued, writing) = (
            TestRun(Self.endless), TestRun(Self.endless), TestRun("INSERT INTO t VALUES (1)")
        )
        harness.link.start(writing, for: harness.owner).tell(writing)
        harness.link.start(reading, for: harness.owner).tell(reading)
        harness.link.start(queued, for: harness.owner).tell(queued)
        harness.wait(seconds: 0.05) { false }
        #expect(!reading.hasEnded && !queued.hasEnded && !writing.hasEnded)
        for run in [queued, writing, reading] {
            harness.link.stop(run, .cancelled).tell(run)
            #expect(harness.wait { run.hasEnded })
            #expect(run.error?.code == .cancelled)
        }
        harness.run("COMMIT", on: session)
        #expect(harness.run("SELECT count(*) FROM t").collected.rows == [["0"]])
    }
}
