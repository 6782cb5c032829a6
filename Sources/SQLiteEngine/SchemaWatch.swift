// Keeps the loops from forgetting large schemas.
//
// Where another connection has changed the schema, SQLite forgets the one that it has in memory before it reads the new
// one: within the first step of a statement, at once, and without asking anybody (OP_Transaction in src/vdbe.c,
// sqlite3SchemaClear in src/callback.c of 3.40). Thirty thousand views take it some 50 ms. So before a loop uses a
// connection with a large schema, it looks whether that is still the file's, which takes microseconds; if it is not, a
// worker runs the statement.

internal import CSQLite

/// The version of a connection's schema, and whether that is a large one.
///
/// - Thread: that of its connection.
final class SchemaWatch {
    /// Reads the version in the file's header, without regard to the schema in memory
    /// (https://sqlite.org/pragma.html#pragma_schema_version).
    private let statement: OpaquePointer
    /// The version that a worker found last, of which the schema in memory is, or an earlier one.
    @exclusivity(unchecked) private var knownVersion: Int32?
    /// Whether a loop needs too long to forget the schema.
    @exclusivity(unchecked) private(set) var isLarge = false

    /// Memory of a schema from which it is a large one, in bytes: some five hundred tables, half a millisecond.
    private static let largeByteCountMin: Int32 = 512 << 10

    init?(_ connection: SQLiteConnection) {
        guard let statement = connection.prepareOwn("PRAGMA schema_version") else { return nil }
        self.statement = statement
    }

    deinit { sqlite3_finalize(statement) }

    /// Whether nobody has changed the schema since a worker saw it. False also where that cannot be read now.
    var isCurrent: Bool { knownVersion != nil && version() == knownVersion }

    /// Has the schema of the file in memory, by `read`, if it is not the known one, and measures it.
    func follow(_ connection: SQLiteConnection, read: () -> Void) {
        guard let version = version(), version != knownVersion else { return }
        read()
        knownVersion = version
        var (byteCount, unused): (Int32, Int32) = (0, 0)
        sqlite3_db_status(connection.handle, SQLITE_DBSTATUS_SCHEMA_USED, &byteCount, &unused, 0)
        isLarge = byteCount >= Self.largeByteCountMin
    }

    private func version() -> Int32? {
        defer { sqlite3_reset(statement) }
        return sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int(statement, 0) : nil
    }
}
