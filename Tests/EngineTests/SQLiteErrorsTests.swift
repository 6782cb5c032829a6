// What SQLite's own result codes become.

import CSQLite
import Glibc
import LinuxSystem
import Testing

@testable import DatabaseContract
@testable import SQLiteEngine

@Suite struct SQLiteErrorsTests {
    /// With a rollback journal SQLite finds out before it writes, and calls the file read-only.
    @Test func aFileThatWasMovedIsReplacedAndNotReadOnly() throws {
        let harness = try DriverHarness()
        let path = "\(harness.directory)/moved.db"
        var handle: OpaquePointer?
        // The library is set up once in a process, before it is used.
        SQLiteLibrary.configure()
        #expect(sqlite3_open(path, &handle) == SQLITE_OK)
        defer { sqlite3_close(handle) }
        #expect(sqlite3_exec(handle, "CREATE TABLE t(x)", nil, nil, nil) == SQLITE_OK)
        #expect(rename(path, "\(harness.directory)/elsewhere.db") == 0)
        let result = sqlite3_exec(handle, "INSERT INTO t VALUES (1)", nil, nil, nil)
        #expect(sqlite3_extended_errcode(handle) == SQLiteErrors.movedFile)
        let error = SQLiteErrors.error(handle, result)
        #expect(error.isReplacement)
        #expect(error.code == .connectFailed)
    }
}
