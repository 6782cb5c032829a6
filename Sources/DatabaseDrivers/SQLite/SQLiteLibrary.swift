// Settings of the whole library, before the first connection.

internal import CSQLite
internal import CSQLiteFiles

/// The SQLite library in this process.
public enum SQLiteLibrary {
    /// Sets up the library, before anything else uses it and before threads are started.
    ///
    /// Its memory is counted by ourselves (SQLiteMemory.swift), since its own statistics would take a global lock for each allocation
    /// (https://sqlite.org/c3ref/c_config_covering_index_scan.html, SQLITE_CONFIG_MEMSTATUS).
    public static func configure() { isConfigured }

    /// Once, although several servers may be in one process, of tests: a layer on top of itself would have no end.
    private static let isConfigured: Void = {
        _ = litebase_sqlite3_config_int(SQLITE_CONFIG_MEMSTATUS, 0)
        _ = litebase_sqlite3_config_no_mapping()
        SQLiteMemory.install()
        sqlite3_initialize()
        precondition(
            litebase_sqlite3_guard_files() == SQLITE_OK,
            "SQLite's file system is not the one for which CSQLiteFiles was made")
        // Temporary files are counted over what guards files.
        SQLiteMemory.installFiles()
    }()

    /// Version of the library that is loaded, such as "3.40.1".
    public static var version: String { String(cString: sqlite3_libversion()) }
}
