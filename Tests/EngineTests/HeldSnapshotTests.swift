// The read transaction that short reads share.

import LinuxSystem
import Testing

@testable import DatabaseContract
@testable import SQLiteEngine

@Suite("Held snapshots of SQLite")
struct HeldSnapshotTests {
    /// A reader of the harness's database, which has one table.
    private func reader(_ harness: DriverHarness) throws -> SQLiteConnection {
        harness.run("CREATE TABLE t(a)")
        return try harness.database.openReader(mayBlock: true)
    }

    @Test func isCurrentUntilSomebodyCommits() throws {
        let harness = try DriverHarness()
        let snapshot = try #require(HeldSnapshot(reader(harness)))
        snapshot.take()
        #expect(snapshot.isHeld && snapshot.isCurrent)
        harness.run("SELECT count(*) FROM t")
        #expect(snapshot.isCurrent)
        harness.run("INSERT INTO t VALUES (1)")
        #expect(!snapshot.isCurrent)
        snapshot.release()
        snapshot.take()
        #expect(snapshot.isHeld && snapshot.isCurrent)
    }

    @Test func aTransactionThatIsRolledBackChangesNothing() throws {
        let harness = try DriverHarness()
        let snapshot = try #require(HeldSnapshot(reader(harness)))
        snapshot.take()
        let session = try harness.session()
        harness.run("BEGIN IMMEDIATE", on: session)
        harness.run("INSERT INTO t VALUES (1)", on: session)
        #expect(snapshot.isCurrent)
        harness.run("ROLLBACK", on: session)
        #expect(snapshot.isCurrent)
        harness.run("BEGIN IMMEDIATE", on: session)
        harness.run("INSERT INTO t VALUES (1)", on: session)
        harness.run("COMMIT", on: session)
        #expect(!snapshot.isCurrent)
    }

    /// Held, it keeps the log from beginning anew; that shows that a transaction is really open, and that it ends.
    @Test func keepsTheLogUntilReleased() throws {
        let harness = try DriverHarness()
        let snapshot = try #require(HeldSnapshot(reader(harness)))
        harness.run("INSERT INTO t VALUES (1)")
        snapshot.take()
        harness.run("INSERT INTO t VALUES (2)")
        let other = try SQLiteConnection(harness.database.options, role: .writer, mayBlock: false)
        let log = "\(harness.directory)/test.db-wal"
        try? other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        #expect(try !FileContent.isEmpty(log))
        snapshot.release()
        try other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        #expect(try FileContent.isEmpty(log))
    }

    @Test func needsAWriteAheadLog() throws {
        let memory = try DriverHarness(url: "sqlite::memory:")
        #expect(HeldSnapshot(try reader(memory)) == nil)
        let file = try DriverHarness()
        let path = "\(file.directory)/plain.db"
        let options = SQLiteOptions(
            path: path, isMemory: false, mode: .readWriteCreate, usesWAL: false, busyMillisecondsMax: 0,
            statementCountMax: 4, valueByteCountMax: 1 << 20, pageCacheByteCountMax: 1 << 20,
            idleMillisecondsMax: 0)
        let writer = try SQLiteConnection(options, role: .writer)
        try writer.execute("CREATE TABLE t(a)")
        #expect(HeldSnapshot(try SQLiteConnection(options, role: .reader)) == nil)
        // Asking must not have made an index.
        #expect(throws: (any Error).self) { try FileContent.isEmpty(path + "-shm") }
    }
}

private enum FileContent {
    static func isEmpty(_ path: String) throws -> Bool { try Files.read(path, byteCountMax: 64 << 20).isEmpty }
}
