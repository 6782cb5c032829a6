import Testing

@testable import DatabaseContract
@testable import SQLiteEngine

@Suite("Statements on SQLite", .serialized)
struct SQLiteStatementTests {
    @Test func readsAndWrites() throws {
        let harness = try DriverHarness()
        #expect(harness.run("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)").error == nil)
        let insert = harness.run("INSERT INTO t(b) VALUES (?),(?)", [.null, .integer(7)])
        #expect(insert.summary.rowsAffected == 2)
        #expect(insert.summary.lastInsertID == 2)
        let select = harness.run("SELECT a, b, 1.5, x'0102' FROM t ORDER BY a")
        #expect(select.collected.rows == [["1", "NULL", "1.5", "blob(2)"], ["2", "7", "1.5", "blob(2)"]])
        #expect(select.collected.columns.map(\.type) == ["integer", "text", "any", "any"])
        // Statements that change no rows do not repeat the counts of the one before.
        #expect(harness.run("CREATE TABLE u(a)").summary.rowsAffected == 0)
        #expect(harness.run("DELETE FROM t").summary.lastInsertID == nil)
    }

    @Test(arguments: [
        ("selec", DriverError.Code.syntaxError, "42601"), ("SELECT * FROM nope", .syntaxError, "42P01"),
        ("SELECT nope", .syntaxError, "42703"), ("SELECT nope()", .syntaxError, "42883"),
        ("SELECT 1; SELECT 2", .badRequest, "42601"), ("", .badRequest, "42601"), ("-- nothing", .badRequest, "42601"),
        ("BEGIN", .needsSession, "25000"), ("SAVEPOINT x", .needsSession, "25000"), ("COMMIT", .needsSession, "25000"),
        ("CREATE TEMP TABLE x(a)", .needsSession, "25000"), ("ATTACH '/tmp/x.db' AS x", .needsSession, "25000"),
        ("ATTACH ? AS x", .needsSession, "25000"),
        ("PRAGMA journal_mode = DELETE", .permissionDenied, "42501"),
        ("PRAGMA foreign_keys = OFF", .needsSession, "25000"),
        ("SELECT load_extension('x')", .permissionDenied, "42501"), ("SELECT ?", .badRequest, "07001"),
        ("VACUUM INTO '/tmp/litebase-never.db'", .needsSession, "25000"),
        ("CREATE TABLE fine(a, CHECK (a > nope))", .syntaxError, "42703"),
    ])
    func refuses(_ sql: String, _ code: DriverError.Code, _ sqlState: String) throws {
        let run = try DriverHarness().run(sql)
        #expect(run.error?.code == code, "\(sql): \(run.error?.details.message ?? "no error")")
        #expect(run.error?.details.sqlState == sqlState)
        #expect(run.endCount == 1)
    }

    @Test func trailingCommentsAreFine() throws {
        let harness = try DriverHarness()
        #expect(harness.run("SELECT 1; -- that was all\n /* really */ ;").collected.rows == [["1"]])
    }

    @Test func constraintsHaveTheirStates() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE p(a INTEGER PRIMARY KEY, b TEXT NOT NULL, c UNIQUE, CHECK (a < 10))")
        harness.run("CREATE TABLE f(a REFERENCES p(a))")
        harness.run("INSERT INTO p VALUES (1,'x',1)")
        let cases = [
            ("INSERT INTO p VALUES (1,'x',2)", "23505"), ("INSERT INTO p VALUES (2,NULL,2)", "23502"),
            ("INSERT INTO p VALUES (2,'x',1)", "23505"), ("INSERT INTO p VALUES (20,'x',3)", "23514"),
            ("INSERT INTO f VALUES (99)", "23503"),
        ]
        for (sql, sqlState) in cases {
            let run = harness.run(sql)
            #expect(run.error?.code == .constraintViolation)
            #expect(run.error?.details.sqlState == sqlState, "\(sql)")
        }
    }

    @Test func longStatementsLeaveTheLoopAndKeepTheirRows() throws {
        let harness = try DriverHarness()
        let count = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 300000)"
        #expect(harness.run("\(count) SELECT count(*) FROM c").collected.rows == [["300000"]])
        let rows = harness.run("\(count) SELECT x FROM c").collected.rows
        #expect(rows.count == 300_000)
        #expect(rows.last == ["300000"])
        // A fast first row, then nothing for long: the row that was made on the loop must not come twice.
        let late = harness.run("SELECT 'first' UNION ALL SELECT * FROM (\(count) SELECT count(*) FROM c)")
        #expect(late.collected.rows == [["first"], ["300000"]])
    }

    @Test func suspendsAtFullFrames() throws {
        let harness = try DriverHarness()
        let run = TestRun("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 25) SELECT x FROM c")
        run.collected.frameRowCount = 10
        harness.link.start(run, for: harness.owner).tell(run)
        for expected in [1, 2] {
            // Until the callback the rows belong to another thread.
            #expect(harness.wait { run.fillCount >= expected })
            #expect(run.collected.rows.count == expected * 10)
            harness.link.resume(run).tell(run)
        }
        #expect(harness.wait { run.hasEnded })
        #expect(run.collected.rows.count == 25)
        #expect(run.fillCount == 2)
    }

    @Test func stopsAtTheRowLimit() throws {
        let harness = try DriverHarness()
        let run = TestRun("VALUES (1),(2),(3)")
        run.rowCountMax = 2
        harness.link.start(run, for: harness.owner).tell(run)
        harness.wait { run.hasEnded }
        #expect(run.collected.rows.count == 2)
        #expect(run.isTruncated)
        let exact = TestRun("VALUES (1),(2)")
        exact.rowCountMax = 2
        harness.link.start(exact, for: harness.owner).tell(exact)
        harness.wait { exact.hasEnded }
        #expect(!exact.isTruncated)
    }

    @Test func namedParametersWithAndWithoutPrefix() throws {
        let harness = try DriverHarness()
        let names = ["a", ":b", "$c"].map { name in
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: name.utf8.count, alignment: 1)
            bytes.copyBytes(from: name.utf8)
            return UnsafeRawBufferPointer(bytes)
        }
        defer { names.forEach { $0.deallocate() } }
        let run = TestRun("SELECT @a, :b, $c")
        run.parameters = names.enumerated().map { DriverParameter(name: $1, value: .integer(Int64($0))) }
        harness.link.start(run, for: harness.owner).tell(run)
        harness.wait { run.hasEnded }
        #expect(run.collected.rows == [["0", "1", "2"]])
    }

    @Test func describes() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a INTEGER, b VARCHAR(10), c DECIMAL(10,2), d BLOB, e DOUBLE)")
        let run = TestRun("SELECT *, 1 AS one FROM t WHERE a = :x OR a = ?")
        run.kind = .describe
        harness.link.start(run, for: harness.owner).tell(run)
        harness.wait { run.hasEnded }
        let description = try #require(run.description)
        #expect(description.columns.map(\.type) == ["integer", "text", "any", "blob", "real", "any"])
        #expect(description.columns.map(\.declaredType).first == "INTEGER")
        #expect(description.parameters == [":x", nil])
        #expect(description.isReadOnly)
    }

    @Test func schemaChangesReachCachedStatements() throws {
        let harness = try DriverHarness()
        harness.run("CREATE TABLE t(a)")
        #expect(harness.run("SELECT * FROM t").collected.columns.count == 1)
        harness.run("ALTER TABLE t ADD COLUMN b")
        #expect(harness.run("SELECT * FROM t").collected.columns.count == 2)
    }

    @Test func memoryDatabaseIsSharedByReadersAndWriter() throws {
        let harness = try DriverHarness(url: "sqlite::memory:")
        harness.run("CREATE TABLE t(a)")
        harness.run("INSERT INTO t VALUES (1),(2)")
        #expect(harness.run("SELECT count(*) FROM t").collected.rows == [["2"]])
        let session = try harness.session()
        #expect(harness.run("SELECT count(*) FROM t", on: session).collected.rows == [["2"]])
    }
}
