// Whether the definitions of a schema have blobs in them: nearly none has.

internal import CSQLite

/// Spares a loop the look at a statement's program (`CachedStatement.weighBlobs`) where no definition has a blob (`x'…'`).
///
/// - Thread: that of its connection.
final class BlobWatch {
    /// Reads the version in the file's header (https://sqlite.org/pragma.html#pragma_schema_version).
    private let statement: OpaquePointer
    /// The version at which the definitions were looked at.
    @exclusivity(unchecked) private var knownVersion: Int32?
    @exclusivity(unchecked) private var foundNone = false

    init?(_ connection: SQLiteConnection) {
        guard let statement = connection.prepareOwn("PRAGMA schema_version") else { return nil }
        self.statement = statement
    }

    deinit { sqlite3_finalize(statement) }

    /// Whether the definitions have none. False also where they are too many to look at them now.
    ///
    /// A statement that was prepared with an earlier schema does not run on a loop: SQLite would have to prepare it again.
    func findsNone(_ connection: SQLiteConnection) -> Bool {
        connection.prepareBeside(Self.look.utf8.count) {
            guard let version = version() else { return false }
            if version != knownVersion {
                foundNone = looksForNone(connection)
                knownVersion = version
            }
            return foundNone
        }
    }

    private static let look =
        "SELECT 1 FROM sqlite_schema WHERE instr(sql, 'x''') OR instr(sql, 'X''') LIMIT 1"

    private func looksForNone(_ connection: SQLiteConnection) -> Bool {
        guard let look = connection.prepareOwn(Self.look) else { return false }
        defer { sqlite3_finalize(look) }
        return sqlite3_step(look) == SQLITE_DONE
    }

    private func version() -> Int32? {
        defer { sqlite3_reset(statement) }
        return sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int(statement, 0) : nil
    }
}
